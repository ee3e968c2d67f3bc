"""Public facilities, place names and sensors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from pypinyin import Style, lazy_pinyin

from etl.city import parcels as pc
from etl.city import plan as p
from etl.city.names import phone_numbers
from etl.city.polylines import Polylines, serial
from etl.city.terrain import stream
from etl.city.water_net import dates

#                     kind             level            places per person, least, unit names
KINDS = {
    pc.KINDERGARTEN: ("kindergarten", "five_minute", 0.030, 120, "幼儿园"),
    pc.PRIMARY: ("primary_school", "ten_minute", 0.065, 360, "小学"),
    pc.MIDDLE: ("middle_school", "fifteen_minute", 0.034, 600, "初级中学"),
    pc.HIGH: ("high_school", "fifteen_minute", 0.030, 900, "高级中学"),
    pc.HOSPITAL: ("hospital", "fifteen_minute", 0.0065, 150, "医院"),
    pc.CLINIC: ("clinic", "five_minute", 0.0, 0, "社区卫生服务站"),
    pc.ELDERLY: ("elderly_care", "ten_minute", 0.006, 60, "养老院"),
    pc.FIRE: ("fire_station", "fifteen_minute", 0.0, 0, "消防救援站"),
    pc.POLICE: ("police_station", "ten_minute", 0.0, 0, "派出所"),
    pc.MARKET: ("market", "five_minute", 0.0, 0, "农贸市场"),
    pc.LIBRARY: ("library", "fifteen_minute", 0.0, 0, "图书馆"),
    pc.SPORTS: ("sports", "fifteen_minute", 0.0, 0, "体育中心"),
}


def yard_names(city) -> np.ndarray:
    """A name for yards that have one: schools, hospitals, works, offices; "" elsewhere. Each is there once."""
    x, out = city.parcels, np.full(len(city.parcels.geom), "", object)
    community = city.admin.name[city.admin.cell_community[city.cell]]
    stem = np.array([c.removesuffix("社区") for c in community], object)
    stem = np.array([c if len(c) < 3 or c[-1] != "村" else c[:-1] for c in stem], object)
    tails = {k: v[4] for k, v in KINDS.items()} | {
        pc.FACTORY: "工业园",
        pc.STORAGE: "物流仓库",
        pc.PUBLIC: "政务服务中心",
        pc.OFFICE: "大厦",
        pc.COMMERCE: "商业广场",
        pc.UTILITY: "市政服务站",
    }
    for k, tail in tails.items():
        own = np.flatnonzero(x.programme == k)
        turn = serial(stem[own])
        out[own] = [s + (tail if t == 0 else _second(tail, t)) for s, t in zip(stem[own], turn, strict=True)]
    hospitals = np.flatnonzero((x.programme == pc.HOSPITAL) & (x.place < 0))
    for name, k in zip(("青澜县人民医院", "青澜县中医院", "青澜县妇幼保健院"), hospitals, strict=False):
        out[k] = name
    for name, kind in (
        ("青澜县第一中学", pc.HIGH),
        ("青澜县实验小学", pc.PRIMARY),
        ("青澜县图书馆", pc.LIBRARY),
        ("青澜县体育中心", pc.SPORTS),
        ("青澜县人民政府", pc.PUBLIC),
    ):
        own = np.flatnonzero((x.programme == kind) & (x.place < 0))
        if len(own):
            out[own[0]] = name
    return out


def _second(tail: str, turn: int) -> str:
    return f"第{'二三四五六七八九十'[turn - 1]}{tail}" if turn < 10 else f"{turn + 1}号{tail}"


def facilities(city) -> tuple[pd.DataFrame, np.ndarray]:
    """The facility layer: capacities add up to what the people near them need."""
    x, rng = city.parcels, stream(city.seed, "facility table")
    people = city.people
    rows, points = [], []
    for k, (kind, level, share, least, _) in KINDS.items():
        own = np.flatnonzero((x.programme == k) & city.has_gate)
        weight = shapely.area(x.geom[own])
        part = weight / max(weight.sum(), 1)
        capacity = np.maximum(np.round(people * share * part / 10) * 10, least).astype(float)
        rows.append(
            pd.DataFrame(
                {
                    "name": city.yard_name[own],
                    "kind": kind,
                    "level": level,
                    "capacity": capacity if share else np.nan,
                    "address": city.yard_address[own],
                    "year": x.year[own],
                }
            )
        )
        points.append(shapely.points(x.gate[own]))
    green = np.flatnonzero((x.programme == pc.PARK) & (shapely.area(x.geom) > 4000) & (x.place < 0))
    name = np.array([f"{s}公园" for s in city.park_name[green]], object)
    middle = shapely.point_on_surface(x.geom[green])
    shelter = shapely.area(x.geom[green]) > 9000
    for kind, sel, tail, cap in (
        ("park", np.ones(len(green), bool), "", None),
        ("shelter", shelter, "应急避难场所", 2.0),
        ("toilet", np.arange(len(green)) % 2 == 0, "公共厕所", None),
    ):
        rows.append(
            pd.DataFrame(
                {
                    "name": name[sel] + tail,
                    "kind": kind,
                    "level": "five_minute" if kind == "toilet" else "ten_minute",
                    "capacity": np.round(shapely.area(x.geom[green][sel]) / cap / 50) * 50 if cap else np.nan,
                    "address": None,
                    "year": np.maximum(x.year[green][sel], 1985),
                }
            )
        )
        points.append(middle[sel])
    stops, at = _bus_stops(city)
    table = pd.concat([*rows, stops], ignore_index=True)
    geom = np.concatenate([*points, at])
    table.insert(0, "facility_id", [f"SS{k + 1:05d}" for k in range(len(table))])
    table["capacity"] = table["capacity"].round().astype("Int64")
    table["phone"] = np.where(table["kind"].isin(["bus_stop", "park", "toilet", "shelter"]), None, phone_numbers(len(table), rng))
    table["valid_from"] = dates(table.pop("year").to_numpy(), rng)
    depots, depot_at = _water_depots(city, len(table))
    return pd.concat([table, depots], ignore_index=True), np.concatenate([geom, depot_at])


def _water_depots(city, before: int):
    """Where the crews of the water utility start: one or two yards with a gate, those of the town first."""
    x = city.parcels
    yard = np.flatnonzero(np.isin(x.programme, (pc.UTILITY, pc.FACTORY, pc.STORAGE)) & city.has_gate)
    rng = stream(city.seed, "water depots")
    own = yard[np.lexsort((yard, x.programme[yard] != pc.UTILITY, x.place[yard] >= 0))][:2]
    table = pd.DataFrame(
        {
            "facility_id": [f"SS{before + k + 1:05d}" for k in range(len(own))],
            "name": ["青澜县供水抢修站", "青澜县第二供水抢修站"][: len(own)],
            "kind": "water_depot",
            "level": "fifteen_minute",
            "capacity": pd.array([pd.NA] * len(own), dtype="Int64"),
            "address": city.yard_address[own],
            "phone": phone_numbers(len(own), rng),
            "valid_from": dates(x.year[own], rng),
        }
    )
    return table, shapely.points(x.gate[own])


def _bus_stops(city):
    g = city.graph
    street = np.flatnonzero((g.klass <= p.BRANCH) & (g.klass != p.EXPRESSWAY) & ~g.bridge)
    lines = Polylines.of_geometry(g.geom[street])
    length = lines.lengths()
    gap = np.select([g.klass[street] == p.TRUNK, g.klass[street] == p.SECONDARY], [480.0, 560.0], 1500.0)
    gap = np.where(city.country[g.street[street]] | (g.place[street] >= 0), 1600.0, gap)
    run = np.cumsum(length / gap)
    hit = np.floor(run) > np.floor(run - length / gap)
    line = np.flatnonzero(hit)
    at, d = lines.at(line, length[line] * 0.5)
    side = np.c_[d[:, 1], -d[:, 0]] * (g.width[street[line]] / 2 - 1.5)[:, None]
    names = city.edge_name[street[line]]
    turn = serial(names)
    label = np.array([f"{n}站" if t == 0 else f"{n}{t + 1}站" for n, t in zip(names, turn, strict=True)], object)
    both = pd.DataFrame(
        {
            "name": np.r_[label, label],
            "kind": "bus_stop",
            "level": "five_minute",
            "capacity": np.nan,
            "address": np.r_[names, names],
            "year": 2012,
        }
    )
    return both, shapely.points(np.r_[at + side, at - side])


def place_names(city) -> tuple[pd.DataFrame, np.ndarray]:
    """Roads, compounds, villages, bridges, parks, waters, government, landmarks, with pinyin and other names."""
    g, x, rng = city.graph, city.parcels, stream(city.seed, "place names")
    name, kind, at, alias = [], [], [], []

    def add(names, what, xy, other=None):
        name.extend(names)
        kind.extend([what] * len(names))
        at.append(xy)
        alias.extend(other if other is not None else [None] * len(names))

    length = np.where(city.edge_name != "", g.length, 0)
    order = np.lexsort((-length, city.edge_name))
    first = order[np.r_[True, city.edge_name[order][1:] != city.edge_name[order][:-1]]]
    first = first[city.edge_name[first] != ""]
    roads = city.edge_name[first]
    other = [f"老{r[:-1]}街" if r[-1] == "路" and rng.random() < 0.12 else None for r in roads]
    add(list(roads), "road", shapely.get_coordinates(shapely.line_interpolate_point(g.geom[first], 0.5, normalized=True)), other)
    own = np.flatnonzero((city.compound != "") & city.has_gate)
    other = [f"{c[:2]}{'小区' if not c.endswith('小区') else '苑'}" if rng.random() < 0.2 else None for c in city.compound[own]]
    add(list(city.compound[own]), "compound", shapely.get_coordinates(shapely.centroid(x.geom[own])), other)
    add(
        [n if s.zone == p.VILLAGE else f"{n}集镇" for n, s in zip(city.places, city.plan.settlements, strict=True)],
        "village",
        np.array([s.at for s in city.plan.settlements]),
    )
    bridge = np.flatnonzero(g.bridge & (city.edge_name != ""))
    turn = serial(city.edge_name[bridge])
    add(
        [
            f"{city.edge_name[b].removesuffix('公路')}{'大' if g.klass[b] <= p.TRUNK else ''}桥" + ("" if t == 0 else f"（{t + 1}）")
            for b, t in zip(bridge, turn, strict=True)
        ],
        "bridge",
        shapely.get_coordinates(shapely.line_interpolate_point(g.geom[bridge], 0.5, normalized=True)),
    )
    park = np.flatnonzero((x.programme == pc.PARK) & (shapely.area(x.geom) > 4000) & (x.place < 0))
    add([f"{n}公园" for n in city.park_name[park]], "park", shapely.get_coordinates(shapely.centroid(x.geom[park])))
    mark = np.flatnonzero((city.yard_name != "") & city.has_gate & ~np.isin(x.programme, (pc.FACTORY, pc.STORAGE)))
    add(list(city.yard_name[mark]), "landmark", x.gate[mark])
    add(
        ["青澜河", "青澜县人民政府"],
        "water",
        city.ground.place(np.array([[0.0, city.ground.river_line(np.zeros(1))[0]], [60, city.plan.old_centre[1]]])),
        ["澜河", "县政府"],
    )
    kind[-1] = "government"
    pinyin = ["".join(lazy_pinyin(n, style=Style.NORMAL)).capitalize() for n in name]
    table = pd.DataFrame(
        {
            "name_id": [f"DM{k + 1:06d}" for k in range(len(name))],
            "name": name,
            "kind": kind,
            "pinyin": pinyin,
            "aliases": alias,
            "code": [f"999901-{k + 1:06d}" for k in range(len(name))],
            "valid_from": pd.Timestamp("1985-01-01"),
        }
    )
    return table, shapely.points(np.concatenate(at))


def sensors(city, tables: dict) -> tuple[pd.DataFrame, np.ndarray]:
    """Pressure and flow on the water network, levels in sewers, gas, covers, weather."""
    rng = stream(city.seed, "sensors")
    rows, points = [], []
    nodes, node_at = tables["water_node"]
    live = np.flatnonzero(nodes["zone"].to_numpy() != "")
    pipes, pipe_at = tables["water_pipe"]
    large = np.flatnonzero((pipes["diameter_mm"] >= 300) & (pipes["status"] == "0"))
    holes, hole_at = tables["sewer_manhole"]
    gas, gas_at = tables["gas_valve"]

    def add(kind, unit, which, at, **more):
        rows.append(pd.DataFrame({"kind": kind, "unit": unit, **more}, index=range(len(which))))
        points.append(shapely.points(shapely.get_coordinates(at)))

    k = np.sort(rng.choice(live, max(8, len(live) // 120), replace=False))
    add("pressure", "MPa", k, node_at[k], network="city", node_id=nodes["node_id"].to_numpy()[k])
    k = np.sort(rng.choice(large, min(len(large), max(4, len(large) // 60)), replace=False))
    add(
        "flow",
        "m3/h",
        k,
        shapely.line_interpolate_point(shapely.force_2d(pipe_at[k]), 0.5, normalized=True),
        network="city",
        pipe_id=pipes["pipe_id"].to_numpy()[k],
    )
    k = np.sort(rng.choice(live, max(3, len(live) // 900), replace=False))
    add("quality", "NTU", k, node_at[k], network="city", node_id=nodes["node_id"].to_numpy()[k])
    for kind, unit, every in (("level", "m", 90), ("manhole_cover", "", 60)):
        k = np.sort(rng.choice(len(holes), max(4, len(holes) // every), replace=False))
        add(kind, unit or None, k, hole_at[k], node_id=holes["manhole_id"].to_numpy()[k])
    k = np.sort(rng.choice(len(gas), max(3, len(gas) // 30), replace=False))
    add("gas", "%LEL", k, gas_at[k], node_id=gas["node_id"].to_numpy()[k])
    w = np.array([s.at for s in city.plan.settlements if s.zone == p.TOWN])
    add("weather", "mm", w, shapely.points(w))
    table = pd.concat(rows, ignore_index=True)
    labels = {
        "pressure": "压力计",
        "flow": "流量计",
        "quality": "水质仪",
        "level": "液位计",
        "manhole_cover": "智能井盖",
        "gas": "燃气探测器",
        "weather": "雨量站",
    }
    table.insert(0, "sensor_id", [f"GZ{k + 1:05d}" for k in range(len(table))])
    table.insert(
        1, "name", [f"{labels[k]}{i + 1:03d}" for k, i in zip(table["kind"], serial(table["kind"].to_numpy().astype(object)), strict=True)]
    )
    state = rng.random(len(table))
    table["state"] = np.select([state < 0.05, state < 0.08], ["offline", "maintenance"], "online").astype(object)
    table["installed_on"] = dates(rng.integers(2018, 2026, len(table)), rng)
    table["valid_from"] = table["installed_on"]
    return table, np.concatenate(points)
