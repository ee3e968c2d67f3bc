"""From a position to what is there: the nearest addresses, the road, the community and the grid cell."""

from __future__ import annotations

import datetime as dt
import math
import time

from pydantic import Field

from gis import crs
from gis.catalog.model import Text
from gis.db.store import Store
from gis.errors import InputError, OutsideExtent
from gis.processes import Inputs, Process


class ReverseGeocodeInputs(Inputs):
    """Where to look."""

    lon: float = Field(title="经度 Longitude", description="度，CGCS2000 / Degrees, CGCS2000")
    lat: float = Field(title="纬度 Latitude", description="度，CGCS2000 / Degrees, CGCS2000")
    limit: int = Field(5, ge=1, le=100, title="条数 Limit", description="最多返回地址数 / At most so many addresses")


def require_inside(lon: float, lat: float, extent: tuple[float, float, float, float]) -> None:
    """Raises InputError where it is no position, OutsideExtent where it lies outside the city, with the likely cause."""
    if not (math.isfinite(lon) and math.isfinite(lat) and -180 <= lon <= 180 and -90 <= lat <= 90):
        if math.isfinite(lon) and math.isfinite(lat) and bool(crs.inside(lat, lon, extent)):
            raise OutsideExtent("longitude and latitude are swapped", where=f"{lon} {lat}", remedy="Give longitude first")
        raise InputError("not a position in degrees", where=f"{lon} {lat}", remedy="Give longitude, then latitude")
    if not crs.inside(lon, lat, extent):
        swapped = bool(crs.inside(lat, lon, extent))
        remedy = "Give longitude first, then latitude" if swapped else "The city reaches from {} {} to {} {}".format(*extent)
        raise OutsideExtent("the position lies outside the city", where=f"{lon:g} {lat:g}", remedy=remedy)


def run(store: Store, inputs: ReverseGeocodeInputs, progress=None) -> dict:
    """{lon, lat, addresses: [{address_id, full_text, lon, lat, level, plate_id, distance_m}], road: {road_id, name,
    distance_m}, community: {code, name}, grid: {grid_code, name}, data_version, seconds}; null where there is none.

    Distances in metres in the working CRS. Raises OutsideExtent outside the city.
    """
    started = time.perf_counter()
    store.require(PROCESS.layers)
    city = store.catalog.city
    require_inside(inputs.lon, inputs.lat, city.extent)
    here = {"lon": inputs.lon, "lat": inputs.lat, "day": dt.date.today()}
    metric = here | {"srid": crs.epsg(city.working_crs)}
    answer = {"lon": inputs.lon, "lat": inputs.lat}
    answer["addresses"] = [_rounded(row) for row in store.rows("reverse_addresses", **metric, limit=inputs.limit)]
    for name, layer, values in (("road", "road", metric), ("community", "community", here), ("grid", "grid_cell", here)):
        rows = store.rows(f"reverse_{name}", **values) if store.can_read(layer) else []
        answer[name] = _rounded(rows[0]) if rows else None
    read = [layer for layer in ("address", "road", "community", "grid_cell") if store.can_read(layer)]
    return answer | {"data_version": store.version(read), "seconds": round(time.perf_counter() - started, 4)}


def _rounded(row: dict) -> dict:
    places = {"lon": 7, "lat": 7, "distance_m": 2}
    return {name: round(value, places[name]) if name in places else value for name, value in row.items()}


PROCESS = Process(
    id="reverse-geocode",
    title=Text(zh="坐标查地址", en="Reverse geocode"),
    description=Text(
        zh="由坐标查最近的地址、道路、社区和网格。", en="The nearest addresses, the road, community and grid cell of a position."
    ),
    inputs=ReverseGeocodeInputs,
    run=run,
    layers=("address",),
    keywords=("逆地址", "reverse geocoding", "address"),
    example={"lon": 117.0, "lat": 32.0},
)
