"""A sample city: the source files of the fictional 青澜县 (999901), as a bureau would deliver them.

The same number of addresses and seed give the same data, whatever the machine. The town grows with the number of addresses.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from etl.city import addresses as ad
from etl.city import base, drainage, names, observations, services, utilities, water, write
from etl.city import buildings as bd
from etl.city import parcels as pc
from etl.city import plan as p
from etl.city import streets as st
from etl.city.admin import Admin, divide_county
from etl.city.terrain import Ground, stream
from gis.errors import InputError

LEAST, MOST = 500, 3_000_000
DENSITY = (5600, 2000)
"""Addresses per km² of a county town, and how many more of a city of a million."""
MAIN_STREETS = ("axis", "main", "ring_n", "ring_e", "ring_s", "ring_w", "wall_n", "wall_e", "wall_s", "wall_w")
"""Kinds of street lines that are there in any case."""


@dataclass
class City:
    """All that the later subjects need to know of the earlier ones. Arrays named after a subject are in its order."""

    seed: int
    addresses: int
    ground: Ground
    plan: p.Plan
    graph: st.Graph
    parcels: pc.Parcels
    buildings: bd.Buildings
    aisles: bd.Aisles
    rows: ad.Rows
    places: list[str]
    edge_name: np.ndarray
    road: np.ndarray
    """Road part of the name of each parcel's street, and below its lane part."""
    lane: np.ndarray
    country: np.ndarray
    """Street lines (index into plan.lines) that are country roads."""
    edge_year: np.ndarray
    households: np.ndarray
    yard_households: np.ndarray
    compound: np.ndarray
    building_id: np.ndarray
    park_name: np.ndarray
    has_gate: np.ndarray
    people: int
    admin: Admin = None
    cell: np.ndarray = None
    yard_name: np.ndarray = None
    yard_address: np.ndarray = None


def make(addresses: int = 20_000, seed: int = 1, out: str | Path = "city", defects: bool = False, progress=None) -> dict:
    """Make the city's files in `out`: exactly `addresses` address rows, everything else in proportion.

    addresses: 500 to 3,000,000. defects: plant faults of every kind of check and list them in manifest.json.
    progress(what, done, total) is told what is being made. Returns counts by layer, files, seconds. Raises InputError.
    """
    if not LEAST <= addresses <= MOST:
        raise InputError(f"a sample city has {LEAST} to {MOST:,} addresses, not {addresses}", where="addresses")
    start, told = time.perf_counter(), progress or (lambda *_: None)
    city = _town(addresses, seed, told)
    tables = _tables(city, told)
    out = Path(out)
    manifest = None
    if defects:
        from etl.city import defects as faults

        manifest = faults.plant(city, tables)
    files = write.write(out, tables, city.ground, told)
    observations.write(out, tables["sensor"][0], seed)
    if manifest is not None:
        (out / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), "utf-8")
    elif (out / "manifest.json").exists():
        (out / "manifest.json").unlink()
    return {
        "addresses": addresses,
        "seed": seed,
        "out": str(out),
        "layers": {k: len(v[0]) for k, v in tables.items()},
        "files": files,
        "defects": 0 if manifest is None else len(manifest),
        "people": city.people,
        "seconds": round(time.perf_counter() - start, 1),
    }


def _town(addresses: int, seed: int, told) -> City:
    """Streets, parcels and buildings of a town that holds the addresses; it is planned larger until it does."""
    density = DENSITY[0] + DENSITY[1] * min(1.0, np.log10(max(addresses / 20_000, 1)) / 1.7)
    radius = max(640.0, 1000 * np.sqrt(0.86 * addresses / (density * np.pi)))
    for _ in range(6):
        told("streets", 0, None)
        ground = Ground(seed, radius)
        plan = p.draw(ground, addresses)
        blocks = st.lay_out(plan)
        graph = st.join(plan)
        told("parcels and buildings", 0, None)
        x = pc.parcel_out(plan, blocks, graph, addresses)
        pc.place_facilities(x, addresses, seed)
        b, aisles = bd.build(x, seed)
        keep, keep_b, capacity = ad.trim(x, b, addresses)
        if capacity >= addresses:
            break
        radius *= 1.18
    return _settle(addresses, seed, ground, plan, graph, x, b, aisles, keep, keep_b)


def _settle(addresses, seed, ground, plan, graph, x, b, aisles, keep, keep_b) -> City:
    new = np.cumsum(keep) - 1
    ais = keep[aisles.parcel]
    aisles = bd.Aisles(new[aisles.parcel[ais]], aisles.ends[ais])
    b = b.select(keep_b)
    b.parcel = new[b.parcel]
    x = x.select(keep)
    rows = ad.list_rows(x, b, addresses)
    kinds = np.array([s.kind for s in plan.lines])
    country = np.char.startswith(kinds, "road") | (kinds == "expressway")
    graph, x = _kept_streets(graph, x, aisles, country, kinds, np.array([s.geom for s in plan.lines], object))
    places = names.settlement_names(plan)
    road, lane = names.street_names(plan, graph, places)
    full = road + lane
    is_room = rows.level == ad.ROOM
    households = np.bincount(rows.building[is_room], minlength=len(b.geom)).astype(int)
    plain = (households == 0) & (b.use == bd.RES) & (b.number == 1)
    yard_households = np.bincount(b.parcel, households * (b.use == bd.RES) + plain, minlength=len(x.geom)).astype(int)
    compound = np.full(len(x.geom), "", object)
    many = np.flatnonzero(ad.is_compound(x, b) & np.isin(x.programme, pc.RESIDENTIAL))
    compound[many] = names.compound_names(len(many), seed)
    park = np.full(len(x.geom), "", object)
    green = np.flatnonzero(x.programme == pc.PARK)
    stems = names._pool(stream(seed, "park names"), [], names.FIRST, names.SECOND, len(green))
    park[green] = stems
    has_gate = np.isin(np.arange(len(x.geom)), rows.yard)
    return City(
        seed,
        addresses,
        ground,
        plan,
        graph,
        x,
        b,
        aisles,
        rows,
        places,
        full[graph.street],
        road[graph.street[x.edge]],
        lane[graph.street[x.edge]],
        country,
        _edge_years(graph, x, seed),
        households,
        yard_households,
        compound,
        np.array([f"FW{k + 1:07d}" for k in range(len(b.geom))], object),
        park,
        has_gate,
        int(yard_households.sum() * pc.PEOPLE_PER_HOUSEHOLD),
    )


def _kept_streets(graph, x, aisles, country, kinds, lines):
    """The streets that serve what is built, made one graph; parcels then open to the nearest of them."""
    wanted = (country | np.isin(kinds, MAIN_STREETS))[graph.street] | np.isin(np.arange(len(graph.a)), x.edge)
    middle = shapely.line_interpolate_point(graph.geom, 0.5, normalized=True)
    e, _ = shapely.STRtree(x.geom).query(middle, predicate="dwithin", distance=30.0)
    near = np.zeros(len(graph.a), bool)
    near[e] = True
    wanted |= near & (graph.length < 700)
    graph = st.develop(graph, wanted).sided(lines)
    x.edge, x.gate, _ = pc.gates(x.geom, graph)
    _compound_gates(graph, x, aisles)
    return graph, x


def _compound_gates(graph, x, aisles) -> None:
    """Compounds open where their aisle meets the boundary, to the street there; each aisle then begins at its gate."""
    rim = shapely.boundary(x.geom[aisles.parcel])
    usable = np.flatnonzero((graph.klass != p.EXPRESSWAY) & ~graph.bridge)
    tree = shapely.STRtree(graph.geom[usable])
    found = []
    for end in (0, 1):
        at = shapely.get_coordinates(shapely.shortest_line(shapely.points(aisles.ends[:, end]), rim)).reshape(-1, 2, 2)[:, 1]
        pair, dist = tree.query_nearest(shapely.points(at), return_distance=True, all_matches=False)
        order = np.argsort(pair[0], kind="stable")
        edge = usable[pair[1][order]]
        found.append((at, edge, dist[order] - graph.width[edge] / 2 + 4.0 * (graph.klass[edge] == p.TRUNK)))
    far = found[1][2] < found[0][2] - 1.0
    ok = np.minimum(found[0][2], found[1][2]) < 14
    at, edge = np.where(far[:, None], found[1][0], found[0][0]), np.where(far, found[1][1], found[0][1])
    aisles.ends[far] = aisles.ends[far][:, ::-1]
    x.gate[aisles.parcel[ok]], x.edge[aisles.parcel[ok]] = at[ok], edge[ok]


def _edge_years(graph, x, seed) -> np.ndarray:
    """When each street's utilities were laid: with the parcels along it, renewed in part."""
    rng = stream(seed, "street years")
    early = np.full(len(graph.a), 3000)
    np.minimum.at(early, x.edge, x.year)
    early = np.where(early == 3000, 1998, early)
    renewed = rng.random(len(early)) < 0.45
    return np.clip(np.where(renewed, early + rng.integers(10, 35, len(early)), early + rng.integers(0, 4, len(early))), 1956, 2024)


def _tables(city: City, told) -> dict:
    """Every layer as (DataFrame, geometry in EPSG:4548)."""
    told("administration", 0, None)
    x = city.parcels
    inside = shapely.get_coordinates(shapely.point_on_surface(x.geom))
    city.admin = divide_county(city.plan, city.graph, inside, city.yard_households, city.places)
    city.cell = city.admin.cell_of(inside)
    settled = city.admin.settlement_community[x.place]
    home = (x.place >= 0) & (settled >= 0)
    wrong = home & (city.admin.cell_community[city.cell] != settled)
    cells = np.searchsorted(city.admin.cell_community, settled[wrong])
    city.cell[wrong] = cells
    city.yard_name = services.yard_names(city)
    told("addresses", 0, None)
    numbers = ad.number_yards(city.plan, city.graph, x, city.buildings, city.rows, city.compound)
    table, at = ad.address_table(
        x, city.buildings, city.rows, numbers, city.admin, city.cell, city.road, city.lane, city.yard_name, city.building_id, city.seed
    )
    plates = ad.plate_table(
        table, x, city.buildings, city.rows, numbers, city.admin, city.cell, city.lane, city.graph.klass[x.edge], city.seed
    )
    city.yard_address = np.full(len(x.geom), None, object)
    gates = city.rows.level == ad.GATE
    city.yard_address[city.rows.yard[gates]] = table["full_text"].to_numpy()[gates]
    points = shapely.points(at)
    tables = {"address": (table, points), "door_plate": (plates, points)}
    tables |= base.administration(city) | base.roads(city)
    tables |= {
        "building": base.buildings(city),
        "parcel": base.parcels(city),
        "water_body": base.waters(city),
        "facility": services.facilities(city),
        "place_name": services.place_names(city),
    }
    told("water", 0, None)
    tables |= water.make(city).tables
    told("drainage", 0, None)
    tables |= drainage.make(city)
    told("gas, heat, power, telecommunication", 0, None)
    tables |= utilities.gas(city) | utilities.heat(city) | utilities.power(city) | utilities.telecom(city)
    tables["sensor"] = services.sensors(city, tables)
    return tables
