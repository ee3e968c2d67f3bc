"""What a sheet says of valves and door-plates beside their ids."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from itertools import groupby

import pandas as pd

from gis.analysis import outage_area
from gis.standards import codes

_VALVE = ["valve_id", "kind", "diameter_mm", "turns", "remote", "road_name", "address"]


def valves(store, network: str, wanted: list[str]) -> dict[str, dict]:
    """Valves by id, with what a crew has to know; a curb stop is in no layer of its own and has its id only."""
    frame = store.frame("water_valve", _VALVE, where={"network": network, "valve_id": wanted})
    found = {v: {"id": v, "lon": None, "lat": None} | dict.fromkeys(_VALVE[1:]) for v in wanted}
    for row in frame.to_dict("records"):
        point = row.pop("geometry")
        told = {name: None if pd.isna(value) else value for name, value in row.items()}
        found[row["valve_id"]] = {"id": told.pop("valve_id"), "lon": round(point.x, 7), "lat": round(point.y, 7)} | told
    return found


def where(valve: dict) -> str:
    """Where a valve is found."""
    return valve["address"] or valve["road_name"] or "位置见图"


def about(valve: dict) -> str:
    """Its kind, diameter, turns, and whether it is moved from afar."""
    size = f" DN{valve['diameter_mm']:.0f}" if valve["diameter_mm"] else ""
    turns = f" {valve['turns']:.0f}圈" if valve["turns"] else ""
    kind = codes("onemap.valve_kind").title_of(valve["kind"]) if valve["kind"] else ""
    return f"{kind}{size}{turns}{' 远控' if valve['remote'] else ''}".strip() or "–"


def plates(store, ids: list[str]) -> list[dict]:
    """Door-plates with community, road and house, in the order in which a notice names them."""
    rows = store.rows("outage_plates", ids=ids)
    return sorted(rows, key=lambda p: (p["community"] or "", outage_area.by_number(p["address"] or "")))


def listed(rows: Iterable[dict]) -> list[dict]:
    """Door-plates {id, address, community, house} as a notice lists them."""
    return [
        {"id": p["id"], "address": p["address"], "community": p["community"] or outage_area.ELSEWHERE,
         "house": f"{p['compound']}{p['building_no'] or ''}" if p["compound"] else p["road"] or ""} for p in rows
    ]  # fmt: skip


def plates_by_community(rows: Iterable[dict]) -> str:
    """Door-plates as `listed` gives them, as HTML: by community, in it by house with its rooms drawn together."""
    parts = []
    for community, own in groupby(rows, key=lambda p: p["community"]):
        found = list(own)
        houses = "".join(f"<p class='plates'><b>{escape(at)}</b>　{escape(tails)}</p>" for at, tails in outage_area.grouped(found))
        parts.append(f"<h3>{escape(community)}（{len(found)} 个）</h3>{houses}")
    return "".join(parts)


def drained(drain: dict | None) -> str:
    """Where the closed part is emptied, as HTML: washouts and hydrants from the lowest on, and the lowest points."""
    if not drain:
        return ""
    kinds = codes("onemap.hydrant_kind")

    def level(row: dict) -> str:
        return "高程不详" if row["level_m"] is None else f"{row['level_m']:.2f} m"

    outlets = "；".join(f"{kinds.title_of(o['kind']) if o['kind'] else '消火栓'} {o['hydrant']}（{level(o)}）" for o in drain["hydrants"])
    lowest = "；".join(f"{o['node']}（{level(o)}）" for o in drain["lowest"])
    return (
        f"<p>放空：约 {drain['volume_m3']:,.1f} m³。放水处（由低到高）：{escape(outlets) or '没有登记的排泥阀和消火栓'}。"
        f"最低点：{escape(lowest) or '节点没有高程'}。</p>"
    )
