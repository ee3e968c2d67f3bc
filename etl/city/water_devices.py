"""What hangs on the mains: valves, hydrants, service connections; and mains that are retired or only planned."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from etl.city import parcels as pc
from etl.city.names import people_names, phone_numbers
from etl.city.polylines import Polylines, serial
from etl.city.water_net import OWNER, dates


def valves(city, net, ids, pipe_id, ground, depth, sources, prv_ends, shut, par, road, rng):
    """Valves on junction arms: mostly N−1 of N arms, some all, some forgotten; zone borders shut; check valves at the works."""
    n = len(net.a)
    arm_pipe, arm_node = np.r_[np.arange(n), np.arange(n)], np.r_[net.a, net.b]
    degree = np.bincount(arm_node, minlength=len(net.xy))
    kind = net.kind[arm_pipe]
    order = np.lexsort((rng.random(2 * n), -net.diameter[arm_pipe], arm_node))
    place = np.empty(2 * n, int)
    place[order] = serial(arm_node[order])
    every = rng.random(len(net.xy)) < 0.28
    want = (degree[arm_node] >= 3) & (kind == 0) & ((place > 0) | every[arm_node]) & (rng.random(2 * n) > 0.13)
    tee = degree[arm_node] >= 3
    want = np.where((kind == 0) & (arm_node >= len(par.node)), tee & (rng.random(2 * n) < 0.16), want)
    want = np.where((kind == 1) & (np.r_[np.ones(n, bool), np.zeros(n, bool)]), rng.random(2 * n) < 0.96, want)
    want = np.where(kind == 2, True, want)
    border = (
        np.isin(net.edge, par.edge[shut])[arm_pipe]
        & (kind == 0)
        & (arm_node == np.r_[par.a, [-2]][np.searchsorted(par.edge, net.edge[arm_pipe].clip(0)).clip(0, len(par.a))])
    )
    want |= border
    pick = np.flatnonzero(want)
    pipe, node = arm_pipe[pick], arm_node[pick]
    length = net.lines.lengths()[pipe]
    off = np.minimum(1.4 + net.diameter[pipe] / 1000, length * 0.3)
    xy, _ = net.lines.at(pipe, np.where(pick < n, off, length - off))
    draw = rng.random((len(pick), 4))
    table = pd.DataFrame(
        {
            "network": "city",
            "kind": np.where(net.diameter[pipe] >= 400, "butterfly", "gate").astype(object),
            "isolating": True,
            "node_id": ids[node],
            "pipe_id": pipe_id[pipe],
            "from_node": None,
            "to_node": None,
            "flow": "both",
            "normal_status": np.where(border[pick], "closed", "open").astype(object),
            "operable": border[pick] | (draw[:, 0] > 0.035),
            "accessible": draw[:, 1] > 0.02,
            "remote": (net.diameter[pipe] >= 500) & (draw[:, 2] < 0.4),
            "diameter_mm": net.diameter[pipe],
            "turns": (net.diameter[pipe] / 10 * 1.1 + 3).astype(int),
            "road_name": road[pipe],
            "year": np.maximum(net.year[pipe], 1990),
        }
    )
    at_source = np.flatnonzero(net.kind == 2)[:2]
    checks = pd.DataFrame(
        {
            "network": "city",
            "kind": "check",
            "isolating": False,
            "node_id": ids[net.b[at_source]],
            "pipe_id": pipe_id[at_source],
            "from_node": None,
            "to_node": None,
            "flow": "to_node",
            "normal_status": "open",
            "operable": True,
            "accessible": True,
            "remote": False,
            "diameter_mm": net.diameter[at_source],
            "turns": 0,
            "road_name": "",
            "year": 2004,
        }
    )
    c_len = net.lines.lengths()[at_source]
    prv = pd.DataFrame(
        {
            "network": "city",
            "kind": ["prv"],
            "isolating": False,
            "node_id": None,
            "pipe_id": None,
            "from_node": ids[prv_ends[0]],
            "to_node": ids[prv_ends[1]],
            "flow": "both",
            "normal_status": "open",
            "operable": True,
            "accessible": True,
            "remote": True,
            "diameter_mm": 200.0,
            "turns": 0,
            "road_name": "",
            "year": 2016,
        }
    )
    xy = np.r_[xy, net.lines.at(at_source, c_len - 4.0)[0], [net.xy[list(prv_ends)].mean(0)]]
    all_rows = pd.concat([table, checks, prv], ignore_index=True)
    all_rows.insert(1, "valve_id", [f"FM{k + 1:06d}" for k in range(len(all_rows))])
    all_rows["live_status"] = all_rows["normal_status"]
    all_rows["address"] = np.where(all_rows["road_name"] != "", all_rows["road_name"] + "阀门井", None)
    all_rows["valid_from"] = dates(all_rows.pop("year").to_numpy(), rng)
    z = city.ground.height(xy) - 1.0
    return all_rows, shapely.points(np.round(np.c_[xy, z], 3))


def hydrants(city, net, pipe_id, z, road, rng):
    """A public hydrant about every 110 m of main in streets (GB 50974-2014 7.2.5: not more than 120 m)."""
    mains = np.flatnonzero((net.kind == 0) & (net.diameter >= 100))
    length = net.lines.lengths()
    run = np.cumsum(length[mains])
    count = np.floor(run / 108).astype(int) - np.floor((run - length[mains]) / 108).astype(int)
    pipe = np.repeat(mains, count)
    mark = (np.repeat(np.floor((run - length[mains]) / 108), count) + serial(pipe) + 1) * 108
    at = mark - np.repeat(run - length[mains], count)
    fraction = np.clip(at / length[pipe], 0.02, 0.98)
    xy, d = net.lines.at(pipe, fraction * length[pipe])
    xy = xy + np.c_[d[:, 1], -d[:, 0]] * np.where(rng.random(len(pipe)) < 0.5, 1.4, -1.4)[:, None]
    ground = city.ground.height(xy)
    draw = rng.random((len(pipe), 2))
    table = pd.DataFrame(
        {
            "network": "city",
            "hydrant_id": [f"XH{k + 1:05d}" for k in range(len(pipe))],
            "pipe_id": pipe_id[pipe],
            "fraction": np.round(fraction, 4),
            "diameter_mm": np.where(net.diameter[pipe] >= 150, 100.0, 65.0),
            "kind": np.where(draw[:, 0] < 0.75, "aboveground", "underground").astype(object),
            "road_name": road[pipe],
            "operable": draw[:, 1] > 0.02,
            "valid_from": dates(np.maximum(net.year[pipe], 1988), rng),
        }
    )
    return table, shapely.points(np.round(np.c_[xy, ground], 3))


PRIORITY = {
    pc.HOSPITAL: "hospital",
    pc.CLINIC: "hospital",
    pc.ELDERLY: "elderly_care",
    pc.FIRE: "fire",
    pc.FACTORY: "industry",
    pc.KINDERGARTEN: "school",
    pc.PRIMARY: "school",
    pc.MIDDLE: "school",
    pc.HIGH: "school",
}


def connections(city, net, pipe_id, z, compound_pipe, rng):
    """A service line for every building with customers: along the row's lane to the compound's aisle, or straight to the main."""
    b, x = city.buildings, city.parcels
    has = np.isin(x.programme, (pc.PARK, pc.VACANT), invert=True)[b.parcel]
    single = np.isin(x.programme, (pc.COURTYARD, pc.FARMHOUSE, pc.TOWNHOUSE, pc.SHOPHOUSE))[b.parcel] & (b.number > 1)
    pool = np.flatnonzero(has & ~single)
    inner = (compound_pipe[b.parcel[pool]] >= 0) & np.isfinite(b.spine[pool, 0, 0])
    mains = np.flatnonzero(net.kind == 0)
    lines = net.lines.geometry()
    rows = pool[~inner]
    near = shapely.STRtree(lines[mains]).query_nearest(b.geom[rows], max_distance=130, all_matches=False)
    order = np.argsort(near[0], kind="stable")
    direct, main = rows[near[0][order]], mains[near[1][order]]
    walls = shapely.get_coordinates(shapely.shortest_line(lines[main], b.geom[direct])).reshape(-1, 2, 2)
    apart = np.hypot(*(walls[:, 1] - walls[:, 0]).T) > 0.3
    direct, main, walls = direct[apart], main[apart], walls[apart]
    way_pipe = compound_pipe[b.parcel[pool[inner]]]
    spine = b.spine[pool[inner]]
    foot = shapely.line_locate_point(lines[way_pipe], shapely.points(spine[:, 2]))
    foot_xy, _ = net.lines.at(way_pipe, foot)
    ways = np.concatenate([np.stack([foot_xy, spine[:, 1], spine[:, 0]], 1).reshape(-1, 2), walls.reshape(-1, 2)])
    of = np.r_[np.repeat(np.arange(len(way_pipe)), 3), len(way_pipe) + np.repeat(np.arange(len(main)), 2)]
    building, pipe = np.r_[pool[inner], direct], np.r_[way_pipe, main]
    length = net.lines.lengths()[pipe]
    at = np.r_[foot, shapely.line_locate_point(lines[main], shapely.points(walls[:, 0]))]
    top = city.ground.height(ways) - 0.8
    geom = shapely.linestrings(np.round(np.c_[ways, top], 3), indices=of)
    programme = x.programme[b.parcel[building]]
    priority = np.array([PRIORITY.get(k, "none") for k in range(len(pc.PROGRAMMES))], object)[programme]
    hospitals = np.flatnonzero(programme == pc.HOSPITAL)
    priority[hospitals[::2]] = "dialysis"
    customers = np.maximum(city.households[building], 1)
    n = len(building)
    curb = rng.random(n) < 0.86
    ids = np.array([f"JH{k + 1:06d}" for k in range(n)], object)
    table = pd.DataFrame(
        {
            "network": "city",
            "connection_id": ids,
            "pipe_id": pipe_id[pipe],
            "fraction": np.round(np.clip(at / length, 0, 1), 5),
            "building_id": city.building_id[building],
            "customers": customers,
            "priority": priority,
            "diameter_mm": np.select([customers > 60, customers > 20, customers > 4], [100.0, 80.0, 50.0], 25.0),
            "material": np.where(net.year[pipe] < 1998, "G", "PE").astype(object),
            "curb_valve": np.where(curb, ids + "V", None),
            "curb_status": np.where(curb, "open", None),
            "curb_operable": pd.array(np.where(curb, rng.random(n) > 0.05, None), "boolean"),
            "customer_name": np.where(
                customers > 1,
                np.where(city.yard_name[b.parcel[building]] != "", city.yard_name[b.parcel[building]] + "物业", people_names(n, rng)),
                people_names(n, rng),
            ),
            "phone": phone_numbers(n, rng),
            "valid_from": dates(x.year[b.parcel[building]], rng),
        }
    )
    return table, geom, pipe


def retired_and_planned(city, out, net, ids, used, depth, rng) -> None:
    """Old mains left in the ground beside their successors (废弃), and a few extensions that are still planned (空管)."""
    pipes, geom = out.tables["water_pipe"]
    nodes, points = out.tables["water_node"]
    mains = np.flatnonzero((net.kind == 0) & (net.year > 1990) & (net.lines.lengths() > 45))
    old = np.sort(rng.choice(mains, max(3, len(mains) // 70), replace=False))
    leaf = np.flatnonzero(np.bincount(np.r_[net.a, net.b], minlength=len(net.xy)) == 1)
    leaf = leaf[np.isin(leaf, net.b[net.kind == 0])][: max(3, len(leaf) // 60)]
    lines = net.lines.take(old)
    side = lines.normals() * 0.9
    shifted = np.round(lines.xy + side, 3)
    shifted = Polylines(shifted, lines.of, lines.n)
    far = np.round(net.xy[leaf] + np.array([38.0, 17.0]), 3)
    plan_xy = np.stack([net.xy[leaf], far], 1).reshape(-1, 2)
    new_xy = np.r_[shifted.xy[shifted.first], shifted.xy[shifted.last], far]
    n_old, n_plan = len(old), len(leaf)
    node_ids = np.array([f"JS{len(used) + k + 1:06d}" for k in range(len(new_xy))], object)
    ground = np.round(city.ground.height(new_xy), 3)
    all_xy = np.r_[shifted.xy, plan_xy]
    g_all = city.ground.height(all_xy)
    z = np.round(g_all - 1.2, 3)
    lines_all = Polylines(all_xy, np.r_[shifted.of, n_old + np.repeat(np.arange(n_plan), 2)], n_old + n_plan)
    end_z = np.round(ground - 1.2, 3)
    z[lines_all.first[:n_old]], z[lines_all.last[:n_old]] = end_z[:n_old], end_z[n_old : 2 * n_old]
    z[lines_all.first[n_old:]] = np.round(np.round(city.ground.height(net.xy[leaf]), 3) - depth[leaf], 3)
    z[lines_all.last[n_old:]] = end_z[2 * n_old :]
    year_old = np.r_[net.year[old] - 22, np.full(n_plan, 2027)]
    extra = pd.DataFrame(
        {
            "network": "city",
            "pipe_id": [f"JSG{len(pipes) + k + 1:06d}" for k in range(n_old + n_plan)],
            "from_node": np.r_[node_ids[:n_old], ids[leaf]],
            "to_node": np.r_[node_ids[n_old : 2 * n_old], node_ids[2 * n_old :]],
            "subtype": "JP",
            "diameter_mm": np.r_[np.maximum(net.diameter[old] * 0.5, 75), np.full(n_plan, 160.0)],
            "material": np.r_[np.full(n_old, "ZT"), np.full(n_plan, "PE")].astype(object),
            "length_m": np.round(lines_all.lengths(), 2),
            "depth_from_m": 1.2,
            "depth_to_m": 1.2,
            "embedding": "ZM",
            "status": np.r_[np.full(n_old, "1"), np.full(n_plan, "2")].astype(object),
            "pressure_mpa": 0.0,
            "owner": OWNER,
            "road_name": np.r_[pipes["road_name"].to_numpy()[old], np.full(n_plan, "")],
            "zone": "",
            "roughness": 80.0,
            "valid_from": dates(year_old, rng),
            "valid_to": pd.Series(pd.NaT, index=range(n_old + n_plan), dtype="datetime64[us]"),
        }
    )
    extra.loc[: n_old - 1, "valid_to"] = dates(net.year[old] + 1, rng)[:n_old]
    extra.loc[n_old:, ["depth_from_m"]] = depth[leaf]
    more = pd.DataFrame(
        {
            "network": "city",
            "node_id": node_ids,
            "feature": np.r_[np.full(2 * n_old, "cap"), np.full(n_plan, "stub")].astype(object),
            "ground_m": ground,
            "depth_m": 1.2,
            "base_demand_lps": 0.0,
            "zone": "",
            "valid_from": pd.concat(
                [extra["valid_from"][:n_old], extra["valid_from"][:n_old], extra["valid_from"][n_old:]], ignore_index=True
            ),
        }
    )
    out.tables["water_pipe"] = (pd.concat([pipes, extra], ignore_index=True), np.r_[geom, lines_all.geometry(z)])
    out.tables["water_node"] = (pd.concat([nodes, more], ignore_index=True), np.r_[points, shapely.points(np.c_[new_xy, end_z])])
