"""The base layers as tables: roads and junctions, buildings, parcels, waters, administration, grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from etl.city import parcels as pc
from etl.city import plan as p
from etl.city.admin import CODE
from etl.city.buildings import USES
from etl.city.names import COUNTY, people_names, phone_numbers
from etl.city.parcels import PEOPLE_PER_HOUSEHOLD
from etl.city.terrain import stream
from etl.city.water_net import dates

LANES = np.array([6, 6, 4, 2, 1, 1])
SPEED = np.array([80.0, 60.0, 50.0, 30.0, 20.0, 5.0])


def roads(city) -> dict:
    """Layers road and road_node."""
    g, rng = city.graph, stream(city.seed, "road table")
    used = g.degree()
    node_id = np.array([f"RN{k + 1:06d}" for k in range(len(g.node))], object)
    narrow = rng.random(len(g.a))
    oneway = np.where((g.klass == p.LANE) & (g.place < 0) & (narrow < 0.06), "forward", "both").astype(object)
    country = city.country[g.street] | (g.place >= 0)
    lanes = np.where(country & (g.klass <= p.SECONDARY) & (g.klass > 0), 2, LANES[g.klass])
    width = np.where(country & (g.klass > 0), np.minimum(p.WIDTH[g.klass] * 0.45, 12), p.WIDTH[g.klass] * 0.72)
    road = pd.DataFrame(
        {
            "road_id": [f"R{k + 1:06d}" for k in range(len(g.a))],
            "name": np.where(city.edge_name == "", None, city.edge_name),
            "class": p.CLASSES[g.klass].astype(object),
            "from_node": node_id[g.a],
            "to_node": node_id[g.b],
            "oneway": oneway,
            "lanes": lanes,
            "width_m": np.round(width, 1),
            "speed_kmh": SPEED[g.klass],
            "level": g.bridge.astype(int),
            "bridge": g.bridge,
            "tunnel": False,
            "valid_from": dates(city.edge_year, rng),
        }
    )
    order = np.argsort(np.r_[g.a, g.b], kind="stable")
    arm = np.r_[city.edge_name, city.edge_name][order]
    start = np.searchsorted(np.r_[g.a, g.b][order], np.arange(len(g.node)))
    label = []
    for k, d in zip(start, used, strict=True):
        names = list(dict.fromkeys(n for n in arm[k : k + d] if n))
        label.append(f"{names[0]}与{names[1]}路口" if d > 2 and len(names) > 1 else None)
    node = pd.DataFrame(
        {
            "node_id": node_id,
            "kind": np.where(used == 1, "end", "junction").astype(object),
            "name": label,
            "valid_from": pd.Timestamp("1990-01-01"),
        }
    )
    return {"road": (road, g.geom), "road_node": (node, shapely.points(g.node))}


def buildings(city) -> tuple[pd.DataFrame, np.ndarray]:
    """The building layer."""
    b, x, rng = city.buildings, city.parcels, stream(city.seed, "building table")
    yard = city.compound[b.parcel]
    named = np.where(
        yard != "",
        yard + np.array([f"{k}幢" for k in range(int(b.number.max()) + 1)], object)[b.number],
        np.where((city.yard_name[b.parcel] != "") & (b.number == 1), city.yard_name[b.parcel], None),
    )
    community = city.admin.name[city.admin.cell_community[city.cell]]
    year = np.clip(x.year[b.parcel] + rng.integers(0, 3, len(b.parcel)), 1920, 2025)
    return pd.DataFrame(
        {
            "building_id": city.building_id,
            "name": named,
            "use": np.array(USES, object)[b.use],
            "floors": b.floors,
            "units": city.households,
            "height_m": b.height,
            "built_year": year,
            "community": community[b.parcel],
            "address": city.yard_address[b.parcel],
            "valid_from": dates(year, rng),
        }
    ), shapely.multipolygons(b.geom, indices=np.arange(len(b.geom)))


def parcels(city) -> tuple[pd.DataFrame, np.ndarray]:
    """The parcel layer; courts' and farmhouses' parcels are plots of their own."""
    x, rng = city.parcels, stream(city.seed, "parcel table")
    n = len(x.geom)
    owners = np.where(
        np.isin(x.programme, (pc.COURTYARD, pc.FARMHOUSE, pc.TOWNHOUSE, pc.SHOPHOUSE)),
        people_names(n, rng),
        np.where(city.yard_name != "", city.yard_name, np.where(city.compound != "", city.compound + "业主共有", "青澜县自然资源局")),
    )
    status = np.where(x.programme == pc.VACANT, np.where(rng.random(n) < 0.5, "planned", "approved"), "existing").astype(object)
    return pd.DataFrame(
        {
            "parcel_id": [f"DK{k + 1:06d}" for k in range(n)],
            "land_use": pc.LAND_USE[x.programme].astype(object),
            "area_m2": np.round(shapely.area(x.geom), 1),
            "owner": owners,
            "plan_status": status,
            "valid_from": dates(np.where(status == "existing", x.year, 2027), rng),
        }
    ), shapely.multipolygons(x.geom, indices=np.arange(n))


def waters(city) -> tuple[pd.DataFrame, np.ndarray]:
    """River, canal, ponds of villages and parks, reservoirs in the hills."""
    rng, plan, x = stream(city.seed, "ponds"), city.plan, city.parcels
    geom, name, kind = [plan.river.intersection(plan.ground.county)], ["青澜河"], ["river"]
    if plan.canal is not None:
        geom.append(plan.canal.intersection(plan.ground.county))
        name.append("东风渠")
        kind.append("canal")
    for s, place in zip(plan.settlements, city.places, strict=True):
        if rng.random() < 0.8:
            at = np.array(s.at) + rng.uniform(-1, 1, 2) * 30 + np.array([0, np.sqrt(s.outline.area) * 0.75 + 40])
            pond = _blob(rng, at, rng.uniform(18, 46)).difference(s.outline.buffer(6)).difference(plan.corridor)
            if pond.geom_type == "Polygon" and pond.area > 300:
                geom.append(pond)
                name.append(f"{place}塘")
                kind.append("pond")
    for k in np.flatnonzero((x.programme == pc.PARK) & (shapely.area(x.geom) > 8000)):
        inner = x.geom[k].buffer(-22)
        if rng.random() < 0.6 and inner.area > 1500:
            lake = _blob(rng, np.array(inner.point_on_surface().coords[0]), np.sqrt(inner.area) * 0.38).intersection(inner)
            if lake.geom_type == "Polygon" and lake.area > 600:
                geom.append(lake)
                name.append(f"{city.park_name[k]}湖")
                kind.append("lake")
    roads = shapely.STRtree(city.graph.geom)
    for k in range(40):
        at = plan.ground.centre + rng.uniform(-16500, 16500, 2)
        lake = _blob(rng, at, rng.uniform(160, 420)).intersection(plan.ground.county)
        clear = not len(roads.query(lake, predicate="intersects")) and plan.ground.height(at[None])[0] > 42
        if clear and len([1 for v in kind if v == "reservoir"]) < 7 and all(g.distance(lake) > 400 for g in geom):
            geom.append(lake)
            name.append(f"{'龙青白玉双石'[len(name) % 6]}{'泉山溪潭河湾'[k % 6]}水库")
            kind.append("reservoir")
    geom = shapely.get_parts(np.array(geom), return_index=True)
    flat = [shapely.multipolygons(geom[0][geom[1] == k]) for k in range(len(name))]
    return pd.DataFrame({"body_id": [f"SX{k + 1:04d}" for k in range(len(name))], "name": name, "kind": kind}), np.array(flat)


def _blob(rng, at: np.ndarray, size: float) -> shapely.Polygon:
    a = np.linspace(0, 2 * np.pi, 37)[:-1]
    r = size * (1 + 0.22 * np.sin(2 * a + rng.uniform(0, 6)) + 0.13 * np.sin(3 * a + rng.uniform(0, 6)) + 0.06 * np.sin(5 * a))
    return shapely.Polygon(at + np.c_[r * np.cos(a), 0.75 * r * np.sin(a)])


def administration(city) -> dict:
    """Layers admin_area, community and grid_cell, with the people that live in each."""
    ad, rng = city.admin, stream(city.seed, "admin table")
    homes = np.bincount(city.cell, city.yard_households, minlength=len(ad.cell_code))
    by_community = np.bincount(ad.cell_community, homes, minlength=len(ad.code))
    by_town = np.bincount(ad.town, by_community, minlength=len(ad.town_code))

    def people(h):
        return np.round(h * PEOPLE_PER_HOUSEHOLD).astype(int)

    def km2(g):
        return np.round(shapely.area(g) / 1e6, 4)

    county = shapely.multipolygons([city.ground.county])
    area = pd.DataFrame(
        {
            "code": np.r_[[CODE], ad.town_code, ad.code],
            "name": np.r_[[COUNTY], ad.town_name, ad.name],
            "level": np.r_[["county"], np.full(len(ad.town_code), "town"), np.full(len(ad.code), "community")].astype(object),
            "parent": np.r_[[None], np.full(len(ad.town_code), CODE), ad.town_code[ad.town]].astype(object),
            "population": np.r_[people(by_town).sum(), people(by_town), people(by_community)],
            "area_km2": np.r_[km2([county]), km2(ad.town_geom), km2(ad.geom)],
            "valid_from": pd.Timestamp("2001-01-01"),
        }
    )
    community = pd.DataFrame(
        {
            "code": ad.code,
            "name": ad.name,
            "town": ad.town_name[ad.town],
            "town_code": ad.town_code[ad.town],
            "households": by_community.astype(int),
            "population": people(by_community),
            "valid_from": pd.Timestamp("2001-01-01"),
        }
    )
    serial_no = np.array([int(c[12:]) for c in ad.cell_code])
    grid = pd.DataFrame(
        {
            "grid_code": ad.cell_code,
            "name": [f"{ad.name[c]}第{s}网格" for c, s in zip(ad.cell_community, serial_no, strict=True)],
            "community_code": ad.code[ad.cell_community],
            "officer": people_names(len(serial_no), rng),
            "phone": phone_numbers(len(serial_no), rng),
            "population": people(homes),
            "valid_from": pd.Timestamp("2018-01-01"),
        }
    )
    return {
        "admin_area": (area, np.r_[[county], ad.town_geom, ad.geom]),
        "community": (community, ad.geom),
        "grid_cell": (grid, ad.cell_geom),
    }
