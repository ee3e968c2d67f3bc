"""Pressures after a closure: what stays fed is solved by EPANET, demand driven by pressure, before the closure and after.

Below the minimum service pressure a customer gets the part sqrt(p / minimum) of his demand, at none nothing (Wagner et al. 1988, as in
EPANET 2.2). Parts that have lost every source are taken out beforehand: EPANET cannot solve them, and their pressure is none.
Pressures in metres of water above the junction's elevation, heads and elevations in metres, demands in L/s, diameters in millimetres.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from gis.errors import InputError, SourceError

if TYPE_CHECKING:
    import wntr

LITRE = 0.001
FITTING_M = 0.1
"""The length of what joins two junctions without a length of its own."""
SET = ("prv", "psv", "pbv", "fcv", "tcv")
"""Valves that hold what they are set to."""
CEILING_M = 160.0
"""A pump that lifts to more than this (PN 16, the class of ordinary mains) runs against a closed end."""
SMOOTH = 150.0
"""Hazen–Williams coefficient of such a link: it resists as good as nothing."""


@dataclass(frozen=True)
class Tables:
    """What is solved, as frames. junctions: node_id, elevation_m, demand_lps. pipes: pipe_id, from_node, to_node, length_m, diameter_mm,
    roughness (Hazen–Williams C). devices: device_id, kind, from_node, to_node, diameter_mm, setting_m (prv, psv, pbv: pressure, m; fcv:
    flow, L/s; tcv: loss coefficient), and of pumps curve (points flow L/s, head m; (n, 2) or None) and power_kw; whatever is not known of
    one lets water pass from start to end. sources: node_id, head_m. Ids at most 31 characters without spaces."""

    junctions: pd.DataFrame
    pipes: pd.DataFrame
    devices: pd.DataFrame
    sources: pd.DataFrame


def model(tables: Tables) -> wntr.network.WaterNetworkModel:
    """The EPANET model of a network at one moment, head loss by Hazen–Williams."""
    import wntr

    made = wntr.network.WaterNetworkModel()
    made.options.time.duration = 0
    made.options.hydraulic.inpfile_units = "LPS"
    for row in tables.junctions.itertuples():
        made.add_junction(row.node_id, base_demand=row.demand_lps * LITRE, elevation=row.elevation_m)
    for row in tables.sources.itertuples():
        made.add_reservoir(row.node_id, base_head=row.head_m)
    for row in tables.pipes.itertuples():
        size = max(row.length_m, FITTING_M), row.diameter_mm / 1000, row.roughness
        made.add_pipe(row.pipe_id, row.from_node, row.to_node, *size)
    for row in tables.devices.itertuples():
        _add_device(made, row)
    return made


def _add_device(made: wntr.network.WaterNetworkModel, row) -> None:
    """A pressure, flow or throttle valve with its setting, a pump with its curve or power; else a link that only lets water pass."""
    ends = row.device_id, row.from_node, row.to_node
    curve, power = getattr(row, "curve", None), getattr(row, "power_kw", np.nan)
    if row.kind in SET and np.isfinite(row.setting_m):
        made.add_valve(*ends, row.diameter_mm / 1000, row.kind.upper(), initial_setting=row.setting_m * (LITRE if row.kind == "fcv" else 1))
    elif row.kind == "pump" and curve is not None and len(curve):
        made.add_curve(row.device_id, "HEAD", [(flow * LITRE, head) for flow, head in curve])
        made.add_pump(*ends, pump_type="HEAD", pump_parameter=row.device_id)
    elif row.kind == "pump" and power > 0:
        made.add_pump(*ends, pump_type="POWER", pump_parameter=power * 1000)
    else:
        made.add_pipe(*ends, FITTING_M, row.diameter_mm / 1000, SMOOTH, check_valve=True)


def loaded(path: Path) -> wntr.network.WaterNetworkModel:
    """The model of an EPANET file as it is: curves, patterns, settings and controls. Raises SourceError where wntr cannot read it."""
    import wntr

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return wntr.network.WaterNetworkModel(str(path))
    except (ValueError, KeyError, TypeError, RuntimeError, wntr.epanet.exceptions.EpanetException) as error:
        raise SourceError(
            f"EPANET's reader refuses the file: {type(error).__name__}", remedy="Open and save it once in EPANET 2.2"
        ) from None


def follow(made: wntr.network.WaterNetworkModel, closed: set[str]) -> list[str]:
    """Brings a file's model to the present: pipes that it has closed and that are not among the links closed now are opened, unless a
    control moves them. Answers the links that are closed now and were not in the file."""
    from wntr.network import LinkStatus

    steered = {item.name for _, control in made.controls() for item in control.requires()}
    for name, pipe in made.pipes():
        if pipe.initial_status == LinkStatus.Closed and name not in closed | steered:
            pipe.initial_status = LinkStatus.Open
    known = set(made.link_name_list)
    return [name for name in sorted(closed & known) if made.get_link(name).initial_status != LinkStatus.Closed]


def cut(made: wntr.network.WaterNetworkModel, links: Iterable[str] = (), sources: Iterable[str] = ()) -> set[str]:
    """Takes links out of a model (a closed link carries nothing), shuts sources, and removes all that no source reaches any more,
    with the controls that act on what is gone. Answers the junctions removed."""
    _remove_links(made, {name for name in links if name in made.link_name_list})
    gone = _unfed(made, set(sources))
    _remove_links(made, {name for name, link in made.links() if {link.start_node_name, link.end_node_name} & gone})
    _remove_controls(made, gone)
    junctions = gone & set(made.junction_name_list)
    for name in gone:
        made.remove_node(name, force=True)
    return junctions


def _remove_links(made: wntr.network.WaterNetworkModel, names: set[str]) -> None:
    _remove_controls(made, names)
    for name in names:
        made.remove_link(name, force=True)


def _remove_controls(made: wntr.network.WaterNetworkModel, names: set[str]) -> None:
    """Those that look at or act on a node or link of these names: EPANET would open again what is closed."""
    for control_name, control in list(made.controls()):
        if names & {item.name for item in control.requires()}:
            made.remove_control(control_name)


def _unfed(made: wntr.network.WaterNetworkModel, shut: set[str]) -> set[str]:
    """The nodes that water from no source reaches, along links that are open or that a control may open, in their direction."""
    from wntr.network import LinkStatus

    steered = {item.name for _, control in made.controls() for item in control.requires()}
    index = {name: i for i, name in enumerate(made.node_name_list)}
    start, end = [], []
    for name, link in made.links():
        if link.initial_status == LinkStatus.Closed and name not in steered:
            continue
        a, b = index[link.start_node_name], index[link.end_node_name]
        if link.start_node_name in shut or link.end_node_name in shut:
            continue
        start.append(a)
        end.append(b)
        both_ways = (
            not link.check_valve if link.link_type == "Pipe" else link.link_type == "Valve" and link.valve_type not in ("PRV", "PSV")
        )
        if both_ways:
            start.append(b)
            end.append(a)
    n = len(index)
    first = [index[name] for name in (*made.reservoir_name_list, *made.tank_name_list) if name not in shut]
    start += [n] * len(first)
    end += first
    graph = csr_matrix((np.ones(len(start)), (start, end)), shape=(n + 1, n + 1))
    reached = set(breadth_first_order(graph, n, return_predecessors=False).tolist())
    return {name for name, i in index.items() if i not in reached or name in shut}


def solved(
    made: wntr.network.WaterNetworkModel, minimum_m: float, hours: float = 0.0, progress: Callable[[float], None] = lambda share: None
) -> pd.DataFrame:
    """Per junction: pressure_m, the lowest within `hours` from the start of the model's day (at most as long as the model runs; 0: at its
    first moment), demand_lps and delivered_lps, the means over that time. Index: junction id. `attrs`: `warnings`, what EPANET said;
    `against_closed`: the pumps that lift to more than CEILING_M.

    progress: told the share of the time that is solved, after each step; what it raises ends the run. Raises InputError where EPANET finds
    no solution.
    """
    _ask_for(made, minimum_m, hours)
    if not made.num_junctions:
        return pd.DataFrame({"pressure_m": [], "demand_lps": [], "delivered_lps": []}, dtype=float)
    found, warned = _run(made, progress)
    names = made.junction_name_list
    pressure, delivered = found.node["pressure"][names], found.node["demand"][names]
    wanted = _wanted(made, pressure.index.to_numpy())
    table = pd.DataFrame(
        {
            "pressure_m": pressure.min().to_numpy(float), "demand_lps": wanted / LITRE,
            "delivered_lps": delivered.mean().to_numpy(float) / LITRE,
        },
        index=pd.Index(names),
    )  # fmt: skip
    high = set(pressure.columns[(pressure > CEILING_M).any()])
    table.attrs.update(warnings=warned, against_closed=[name for name, pump in made.pumps() if pump.end_node_name in high])
    return table


def _run(made: wntr.network.WaterNetworkModel, progress: Callable[[float], None]):
    """The results of EPANET, solved step by step, and its warnings, each once."""
    import wntr

    with tempfile.TemporaryDirectory(prefix="hydraulics-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = [str(Path(folder) / f"run.{kind}") for kind in ("inp", "rpt", "bin")]
        toolkit = wntr.epanet.toolkit.ENepanet(version=2.2)
        try:
            wntr.network.write_inpfile(made, files[0], units=made.options.hydraulic.inpfile_units, version=2.2)
            toolkit.ENopen(*files)
            try:
                _solve(toolkit, max(made.options.time.duration, 1), progress)
            finally:
                toolkit.ENclose()
            found = wntr.epanet.io.BinFile().read(files[2], False, made.options.hydraulic.headloss == "D-W")
        except (wntr.epanet.exceptions.EpanetException, RuntimeError) as error:
            raise InputError(
                f"EPANET finds no solution: {str(error)[:120]}", remedy="Check the network's sources, pumps and settings"
            ) from None
    said = (str(text).split(" at ")[0].split(" - ")[-1].strip()[:120] for text in toolkit.errcodelist)
    return found, list(dict.fromkeys(said))


def _solve(toolkit, duration: float, progress: Callable[[float], None]) -> None:
    """All time steps; between two of them the caller hears how far it is."""
    toolkit.ENopenH()
    toolkit.ENinitH(1)  # 1: the results are kept
    while True:
        now = toolkit.ENrunH()
        progress(min(now / duration, 1.0))
        if toolkit.ENnextH() <= 0:
            break
    toolkit.ENcloseH()
    toolkit.ENsaveH()


def _ask_for(made: wntr.network.WaterNetworkModel, minimum_m: float, hours: float) -> None:
    options = made.options
    options.hydraulic.demand_model = "PDD"
    options.hydraulic.minimum_pressure = 0.0
    options.hydraulic.required_pressure = float(minimum_m)
    options.hydraulic.pressure_exponent = 0.5
    options.quality.parameter = "NONE"
    options.time.duration = min(options.time.duration, hours * 3600)
    options.time.report_start, options.time.statistic = 0, "NONE"
    options.time.report_timestep = options.time.hydraulic_timestep


def _wanted(made: wntr.network.WaterNetworkModel, times: np.ndarray) -> np.ndarray:
    """The mean demand of each junction over these seconds, m³/s: base demands by their patterns."""
    factor = made.options.hydraulic.demand_multiplier
    patterns: dict[str | None, float] = {}
    total = np.zeros(made.num_junctions)
    for i, (_, junction) in enumerate(made.junctions()):
        for part in junction.demand_timeseries_list:
            name = part.pattern_name
            if name not in patterns:
                patterns[name] = 1.0 if part.pattern is None else float(np.mean([part.pattern.at(t) for t in times]))
            total[i] += part.base_value * patterns[name] * factor
    return total


def compared(points: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, minimum_m: float) -> pd.DataFrame:
    """What a closure does to each point of use. points: before, after (the junction of the model it hangs on), demand_lps, customers, and
    whatever else it is known by; before, after: as `solved`.

    Adds before_m, after_m (none: no water), unserved_lps, and `state`: cut_off; fell_below (the minimum, by this closure); low (was below
    it before); served; dry (had no water before).
    """
    found = points.copy()
    share = {}
    for side, solution in (("before", before), ("after", after)):
        rows = solution.reindex(points[side])
        found[f"{side}_m"] = rows["pressure_m"].to_numpy()
        wanted = rows["demand_lps"].to_numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            share[side] = np.where(wanted > 0, np.clip(rows["delivered_lps"].to_numpy() / wanted, 0, 1), 0.0)
    found["unserved_lps"] = found["demand_lps"] * (1 - np.nan_to_num(share["after"]))
    found["unserved_before_lps"] = found["demand_lps"] * (1 - np.nan_to_num(share["before"]))
    had, has = found["before_m"].notna(), found["after_m"].notna()
    found["state"] = np.select(
        [~had, ~has, found["after_m"] >= minimum_m, found["before_m"] >= minimum_m],
        ["dry", "cut_off", "served", "fell_below"], "low",
    )  # fmt: skip
    return found


def summary(table: pd.DataFrame) -> dict:
    """The closure in numbers: per state its points and customers, the lowest pressure left, the largest fall, and the demand not served."""
    fed = table[table["after_m"].notna() & table["before_m"].notna()]
    count = table.groupby("state").agg(points=("demand_lps", "size"), customers=("customers", "sum"))
    fall = (fed["before_m"] - fed["after_m"]).to_numpy()
    return {
        "junctions": {s: int(count["points"].get(s, 0)) for s in ("cut_off", "fell_below", "low", "served", "dry")},
        "customers": {s: int(count["customers"].get(s, 0)) for s in ("cut_off", "fell_below", "low", "served", "dry")},
        "lowest_m": _rounded(fed["after_m"].min() if len(fed) else None),
        "largest_fall_m": _rounded(fall.max() if len(fed) else None),
        "demand_lps": _rounded(table["demand_lps"].sum()),
        "unserved_lps": {
            "before": _rounded(table["unserved_before_lps"].sum()), "after": _rounded(table["unserved_lps"].sum()),
            "cut_off": _rounded(table.loc[table["state"] == "cut_off", "unserved_lps"].sum()),
        },
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)
