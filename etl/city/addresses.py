"""Standard addresses after GB/T 35639-2017, numbered by its Annex B, and a door-plate for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from etl.city import parcels as pc
from etl.city import plan as p
from etl.city.admin import Admin
from etl.city.buildings import Buildings, frames
from etl.city.names import COUNTY
from etl.city.parcels import Parcels
from etl.city.polylines import serial
from etl.city.streets import Graph
from etl.city.terrain import stream
from gis.analysis.doorplate_code import compose

PROVINCE, CITY = "示例省", "示例市"
GATE, BUILDING, UNIT, ROOM = range(4)
LEVELS = np.array(["gate", "building", "unit", "room"], object)
WITHOUT_GATE = (pc.PARK, pc.VACANT)


@dataclass
class Rows:
    """Address rows before their texts: yard (parcel), building row or -1, unit, floor, room, level, in order."""

    yard: np.ndarray
    building: np.ndarray
    unit: np.ndarray
    floor: np.ndarray
    room: np.ndarray
    level: np.ndarray


@dataclass
class Numbers:
    """The number of each yard on its street, the side of the street, and the compound's name or None."""

    number: np.ndarray
    side: np.ndarray
    compound: np.ndarray


def is_compound(x: Parcels, buildings: Buildings) -> np.ndarray:
    """Parcels with several buildings of dwellings or offices: 小区, 院."""
    count = np.bincount(buildings.parcel, buildings.rooms > 0, minlength=len(x.geom))
    return count > 1


def rows_per_building(x: Parcels, b: Buildings) -> np.ndarray:
    """How many address rows each building brings (its gate not counted)."""
    homes = b.rooms > 0
    return np.where(homes, is_compound(x, b)[b.parcel] + np.where(b.units > 1, b.units, 0) + b.units * b.floors * b.rooms, 0)


def trim(x: Parcels, b: Buildings, addresses: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Which parcels and buildings are needed for exactly `addresses` rows: masks, and how many rows there are at most."""
    gate = ~np.isin(x.programme, WITHOUT_GATE)
    has = np.bincount(b.parcel, minlength=len(x.geom)) > 0
    gate &= has
    per = rows_per_building(x, b)
    total = gate + np.bincount(b.parcel, per, minlength=len(x.geom)).astype(int)
    before = np.cumsum(total) - total
    keep = before < addresses
    start = before[b.parcel] + 1 + np.cumsum(per) - per - (np.cumsum(per) - per)[np.searchsorted(b.parcel, b.parcel)]
    return keep, keep[b.parcel] & ((start < addresses) | (per == 0)), int(total.sum())


def list_rows(x: Parcels, b: Buildings, addresses: int) -> Rows:
    """All rows in order of yard, building, unit, room; the first `addresses` of them."""
    has = np.bincount(b.parcel, minlength=len(x.geom)) > 0
    yards = np.flatnonzero(~np.isin(x.programme, WITHOUT_GATE) & has)
    compound = is_compound(x, b)
    homes = np.flatnonzero(b.rooms > 0)
    named = homes[compound[b.parcel[homes]]]
    multi = homes[b.units[homes] > 1]
    u_b = np.repeat(multi, b.units[multi])
    r_n = (b.units * b.floors * b.rooms)[homes]
    r_b = np.repeat(homes, r_n)
    k = np.arange(len(r_b)) - np.repeat(np.cumsum(r_n) - r_n, r_n)
    per_unit = (b.floors * b.rooms)[r_b]
    r_unit, rest = k // per_unit + 1, k % per_unit
    r_floor, r_room = rest // b.rooms[r_b] + 1, rest % b.rooms[r_b] + 1
    zero = [np.zeros(len(v), int) for v in (yards, named, u_b)]
    u_unit = serial(u_b) + 1
    parts = [
        Rows(yards, np.full(len(yards), -1), zero[0], zero[0], zero[0], zero[0] + GATE),
        Rows(b.parcel[named], named, zero[1], zero[1], zero[1], zero[1] + BUILDING),
        Rows(b.parcel[u_b], u_b, u_unit, zero[2], zero[2], zero[2] + UNIT),
        Rows(b.parcel[r_b], r_b, r_unit, r_floor, r_room, np.full(len(r_b), ROOM)),
    ]
    all_rows = {f: np.concatenate([getattr(v, f) for v in parts]) for f in Rows.__dataclass_fields__}
    order = np.lexsort((all_rows["room"], all_rows["floor"], all_rows["unit"], all_rows["building"], all_rows["yard"]))
    order = order[:addresses]
    return Rows(**{f: v[order] for f, v in all_rows.items()})


def number_yards(plan: p.Plan, graph: Graph, x: Parcels, b: Buildings, rows: Rows, compound_name: np.ndarray) -> Numbers:
    """Annex B: east-west streets count from the east, odd on the north side; north-south streets from the north, odd on the
    west side; one number per yard, no skips and no repeats on either side of a street."""
    yards = np.unique(rows.yard)
    street = graph.street[x.edge[yards]]
    lines = np.array([s.geom for s in plan.lines], object)[street]
    gate = shapely.points(x.gate[yards])
    at = shapely.line_locate_point(lines, gate)
    ends = np.c_[shapely.get_coordinates(shapely.get_point(lines, 0)), shapely.get_coordinates(shapely.get_point(lines, -1))]
    east_west = np.abs(ends[:, 2] - ends[:, 0]) >= np.abs(ends[:, 3] - ends[:, 1])
    reverse = np.where(east_west, ends[:, 2] > ends[:, 0], ends[:, 3] > ends[:, 1])
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(lines, np.minimum(at + 1, shapely.length(lines))))
    behind = shapely.get_coordinates(shapely.line_interpolate_point(lines, np.maximum(at - 1, 0)))
    d, to = ahead - behind, x.gate[yards] - behind
    d *= np.where(reverse, -1, 1)[:, None]
    right = d[:, 0] * to[:, 1] - d[:, 1] * to[:, 0] < 0
    order = np.lexsort((np.where(reverse, -at, at), right, street))
    turn = np.empty(len(yards), int)
    turn[order] = serial(street[order] * 2 + right[order])
    number, side = np.zeros(len(x.geom), int), np.full(len(x.geom), None, object)
    number[yards] = 2 * turn + np.where(right, 1, 2)
    side[yards] = np.where(east_west, np.where(right, "north", "south"), np.where(right, "west", "east"))
    return Numbers(number, side, compound_name)


def _points(x: Parcels, b: Buildings, rows: Rows) -> np.ndarray:
    """Where each address is: at the gate, at the building's north wall, at the unit's entrance there."""
    xy = x.gate[rows.yard].copy()
    inner = np.flatnonzero(rows.building >= 0)
    used, which = np.unique(rows.building[inner], return_inverse=True)
    middle, axis, w, d = frames(b.geom[used])
    north = np.c_[-axis[:, 1], axis[:, 0]]
    units = np.maximum(b.units[used], 1)[which]
    unit = rows.unit[inner]
    along = np.where(unit > 0, (unit - 0.5) / units - 0.5, 0.0) * w[which]
    xy[inner] = middle[which] + axis[which] * along[:, None] + north[which] * (d[which] / 2 - 0.4)[:, None]
    return xy


def _text(values: np.ndarray) -> pd.Series:
    return pd.Series(values, dtype="str")


def address_table(
    x: Parcels,
    b: Buildings,
    rows: Rows,
    numbers: Numbers,
    admin: Admin,
    cell: np.ndarray,
    road: np.ndarray,
    lane: np.ndarray,
    yard_name: np.ndarray,
    building_id: np.ndarray,
    seed: int,
):
    """The address layer: a DataFrame of its columns, and (N, 2) positions in EPSG:4548.

    cell: grid cell of each yard; road, lane: names of each yard's street; yard_name: what is there, or "".
    """
    rng = stream(seed, "address dates")
    n, y = len(rows.yard), rows.yard
    community = admin.cell_community[cell]
    town = admin.town[community]
    base = _text(PROVINCE + CITY + COUNTY + admin.town_name[town] + road + lane + numbers.number.astype(str).astype(object) + "号")
    base += _text(np.where(numbers.compound != "", numbers.compound, ""))
    in_compound = is_compound(x, b)[y] & (rows.building >= 0)
    number_of = np.where(rows.building >= 0, b.number[np.maximum(rows.building, 0)], 0)
    top = int(max(number_of.max(initial=0), rows.unit.max(initial=0))) + 1
    blocks = np.array([f"{k}幢" for k in range(top)], object)
    stairs = np.array([f"{k}单元" for k in range(top)], object)
    has_unit = (rows.unit > 0) & (b.units[np.maximum(rows.building, 0)] > 1)
    building_no = np.where(in_compound, blocks[number_of], None)
    unit = np.where(has_unit, stairs[rows.unit], None)
    rooms = np.array([f"{f}{r:02d}室" for f in range(40) for r in range(10)], object)
    room = np.where(rows.level == ROOM, rooms[rows.floor * 10 + rows.room], None)
    full = base.take(y).reset_index(drop=True)
    for part in (building_no, unit, room):
        full = full + _text(np.where(part == None, "", part))  # noqa: E711  (element-wise)
    ids = np.char.zfill(np.arange(1, n + 1).astype(str), 8).astype(object)
    first_building = np.full(len(x.geom), -1)
    first_building[b.parcel[::-1]] = np.arange(len(b.parcel))[::-1]
    single = np.bincount(b.parcel, minlength=len(x.geom)) == 1
    building = np.where(rows.building >= 0, rows.building, np.where(single[y], first_building[y], -1))
    day = pd.to_datetime((x.year[y] - 1970).astype("datetime64[Y]")) + pd.to_timedelta(
        stream(seed, "yard days").integers(0, 360, len(x.geom))[y], unit="D"
    )
    table = pd.DataFrame(
        {
            "address_id": _text("DZ" + ids),
            "full_text": full,
            "province": PROVINCE,
            "city": CITY,
            "county": COUNTY,
            "town": _text(admin.town_name[town[y]]),
            "community": _text(admin.name[community[y]]),
            "community_code": _text(admin.code[community[y]]),
            "road": _text(road[y]),
            "lane": _text(np.where(lane[y] == "", None, lane[y])),
            "number": _text(np.array([f"{k}号" for k in range(int(numbers.number.max()) + 1)], object)[numbers.number[y]]),
            "compound": _text(np.where(numbers.compound[y] == "", None, numbers.compound[y])),
            "building_no": _text(building_no),
            "unit": _text(unit),
            "floor": pd.array(np.where(rows.level == ROOM, rows.floor, 0), "Int64"),
            "room": _text(room),
            "name": _text(np.where((rows.level == GATE) & (yard_name[y] != ""), yard_name[y], None)),
            "building_id": _text(np.where(building >= 0, building_id[np.maximum(building, 0)], None)),
            "plate_id": _text("MP" + ids),
            "entrance": _text(np.where(rows.level <= UNIT, "main", "none")),
            "status": _text(np.where(rng.random(n) < 0.995, "official", "unofficial")),
            "stage": _text(np.full(n, "current")),
            "level": _text(LEVELS[rows.level]),
            "valid_from": day,
        }
    )
    table.loc[rows.level != ROOM, "floor"] = pd.NA
    return table, _points(x, b, rows)


def plate_table(
    address: pd.DataFrame,
    x: Parcels,
    b: Buildings,
    rows: Rows,
    numbers: Numbers,
    admin: Admin,
    cell: np.ndarray,
    lane: np.ndarray,
    klass: np.ndarray,
    seed: int,
) -> pd.DataFrame:
    """The door-plate layer, one plate to each address, in the same order. klass: street class of each yard.

    Codes: 12 area + 3 grid + 5 building + 6 unit + 1 check digit; kinds follow the sizes of GB 17733-2008.
    """
    rng = stream(seed, "plates")
    n, y = len(rows.yard), rows.yard
    own = (rows.level == GATE) | (rows.level == BUILDING)
    head = np.maximum.accumulate(np.where(own, np.arange(n), 0))
    number = np.zeros(n, int)
    at = np.flatnonzero(own)
    number[at] = serial(cell[y[at]]) + 1
    number = number[head]
    in_unit = (rows.floor - 1) * np.maximum(b.rooms[np.maximum(rows.building, 0)], 1) + rows.room
    tail = np.where(own, 0, rows.unit * 10000 + np.where(rows.level == ROOM, in_unit, 0))
    grid = admin.cell_code[cell[y]].astype("U15")
    code = compose(grid.astype("U12"), np.array([g[12:] for g in admin.cell_code], "U3")[cell[y]], number, tail)
    big = (shapely.area(x.geom) > 3500)[y]
    small = (klass == p.LANE)[y] | np.isin(x.programme, (pc.COURTYARD, pc.FARMHOUSE, pc.TOWNHOUSE))[y]
    kind = np.select(
        [rows.level == BUILDING, rows.level == UNIT, rows.level == ROOM, big, small],
        ["building", "unit", "room", "gate_large", "gate_small"],
        "gate_medium",
    )
    letters = np.array(list("23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"), "U1")
    token = letters[rng.integers(0, len(letters), (n, 22), dtype=np.uint8)].view("U22").reshape(n)
    state = np.select([(d := rng.random(n)) < 0.012, d < 0.02, d < 0.025], ["made", "missing", "planned"], "installed")
    station = np.array([f"{t.removesuffix('街道').removesuffix('镇').removesuffix('乡')}派出所" for t in admin.town_name], object)
    on = np.datetime64("2019-03-01") + rng.integers(0, 1900, n).astype("timedelta64[D]")
    on = pd.Series(pd.to_datetime(np.maximum(on, address["valid_from"].to_numpy().astype("datetime64[D]"))))
    on[(state == "planned") | (state == "made")] = pd.NaT
    return pd.DataFrame(
        {
            "plate_id": address["plate_id"],
            "code": _text(code),
            "address_id": address["address_id"],
            "address": address["full_text"],
            "building_id": address["building_id"],
            "kind": _text(kind.astype(object)),
            "road": address["road"] + _text(lane[y]),
            "number": address["number"],
            "side": _text(numbers.side[y]),
            "token": _text(token.astype(object)),
            "police_station": _text(station[admin.town[admin.cell_community[cell]]][y]),
            "grid_code": _text(admin.cell_code[cell[y]]),
            "state": _text(state.astype(object)),
            "installed_on": on,
            "valid_from": address["valid_from"],
        }
    )
