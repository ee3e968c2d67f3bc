"""Series of values as CoverageJSON (OGC 21-069r2): a PointSeries per sensor, quality flags beside the values where they are asked for."""

from __future__ import annotations

import datetime as dt

from gis.api.observations import Sensor, Values
from gis.catalog.observed import QUALITIES, QUANTITIES

MEDIA = "application/prs.coverage+json"
_SYSTEMS = [
    {"coordinates": ["x", "y"], "system": {"type": "GeographicCRS", "id": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
    {"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": "Gregorian"}},
]


def moment(at: dt.datetime) -> str:
    """A moment as RFC 3339 writes it, in UTC."""
    text = at.astimezone(dt.UTC).isoformat(timespec="auto" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def parameter(name: str) -> dict:
    """A quantity as CoverageJSON describes it, in both languages; the unit by its UCUM symbol."""
    quantity = QUANTITIES[name]
    label = quantity.title.model_dump()
    return {
        "type": "Parameter",
        "description": label,
        "observedProperty": {"id": name, "label": label},
        "unit": {"label": {"zh": quantity.symbol, "en": quantity.symbol},
                 "symbol": {"value": quantity.unit, "type": "http://www.opengis.net/def/uom/UCUM/"}},
    }  # fmt: skip


def _flags(name: str) -> dict:
    """The quality flags of a quantity as a parameter of categories."""
    title = QUANTITIES[name].title
    label = {"zh": f"{title.zh} 质量标识", "en": f"{title.en}: quality flag"}
    categories = [{"id": id_, "label": title.model_dump()} for id_, title, _ in QUALITIES]
    return {
        "type": "Parameter",
        "description": label,
        "observedProperty": {"id": f"{name}_quality", "label": label, "categories": categories},
        "categoryEncoding": {id_: i for i, (id_, _, _) in enumerate(QUALITIES)},
    }


def collection(found: list[Sensor], values: Values, *, quality: bool = False) -> dict:
    """The series of several sensors."""
    made = [coverage(one, values, quality=quality) for one in found]
    parameters: dict = {}
    for one in made:
        parameters |= one.pop("parameters")
        one["domain"].pop("referencing")
    return {"type": "CoverageCollection", "domainType": "PointSeries", "parameters": parameters, "referencing": _SYSTEMS, "coverages": made}


def coverage(one: Sensor, values: Values, *, quality: bool = False) -> dict:
    """The series of a sensor over all moments at which it observed anything; what it did not observe then is null."""
    series = {name: values[number] for name, number in one.series.items() if values.get(number)}
    times = sorted({at for rows in series.values() for at, _, _ in rows})
    ranges, parameters = {}, {}
    for name, rows in series.items():
        by_time = {at: (value, flag) for at, value, flag in rows}
        ranges[name] = _array("float", [by_time[at][0] if at in by_time else None for at in times])
        parameters[name] = parameter(name)
        if quality and rows[0][2] is not None:
            ranges[f"{name}_quality"] = _array("integer", [by_time[at][1] if at in by_time else None for at in times])
            parameters[f"{name}_quality"] = _flags(name)
    axes = {"x": {"values": [one.lon]}, "y": {"values": [one.lat]}, "t": {"values": [moment(at) for at in times]}}
    domain = {"type": "Domain", "domainType": "PointSeries", "axes": axes, "referencing": _SYSTEMS}
    return {"type": "Coverage", "id": one.id, "domain": domain, "parameters": parameters, "ranges": ranges}


def _array(kind: str, values: list) -> dict:
    return {"type": "NdArray", "dataType": kind, "axisNames": ["t"], "shape": [len(values)], "values": values}
