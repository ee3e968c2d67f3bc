"""A street of two pipes, every answer about which is known by heart."""

from __future__ import annotations

import geopandas
import shapely

from gis.catalog.read import catalog
from gis.ingest.load import load_frames


def put(**changed):
    """Load the street; what is changed replaces what was there."""
    frames = {layer: geopandas.GeoDataFrame(found, geometry="geometry", crs="EPSG:4490") for layer, found in rows(**changed).items()}
    return load_frames(catalog(), frames, name="street")


def rows(valve_state="open", valid_to=None) -> dict[str, list[dict]]:
    """The rows of each layer, geometry included; the state of one valve and the end of the pipes' life may differ."""
    points = {"S": (117.0, 32.0), "A": (117.001, 32.0), "B": (117.002, 32.0)}

    def spot(node):
        return shapely.Point(*points[node], 30.0)

    def line(a, b):
        return shapely.LineString([(*points[a], 30.0), (*points[b], 30.0)])

    base = {"network": "city"}
    plate = {"kind": "unit", "state": "planned", "address_id": "a"}
    house = shapely.MultiPolygon([shapely.box(117.0014, 32.0001, 117.0016, 32.0003)])
    return {
        "building": [{"building_id": "b1", "use": "residential", "geometry": house}],
        "address": [{"address_id": "a", "full_text": "府前街1号", "status": "official", "stage": "current", "level": "building",
                     "geometry": shapely.Point(117.0015, 32.0002)}],
        "door_plate": [plate | {"plate_id": "m1", "address": "府前街1号", "building_id": "b1",
                        "geometry": shapely.Point(117.0015, 32.0002)}],
        "water_node": [base | {"node_id": n, "geometry": spot(n)} for n in points],
        "water_pipe": [base | {"pipe_id": a + b, "from_node": a, "to_node": b, "diameter_mm": 100.0, "status": "0", "valid_to": valid_to,
                               "geometry": line(a, b)} for a, b in ("SA", "AB")],
        "water_valve": [base | {"valve_id": f"V{p}", "kind": "gate", "isolating": True, "node_id": p[0], "pipe_id": p,
                                "normal_status": valve_state if p == "AB" else "open", "operable": True, "accessible": True,
                                "geometry": spot(p[0])} for p in ("SA", "AB")],
        "water_source": [base | {"source_id": "S", "node_id": "S", "kind": "plant", "geometry": spot("S")}],
        "hydrant": [base | {"hydrant_id": "H", "pipe_id": "AB", "fraction": 0.5, "operable": True, "geometry": spot("B")}],
        "water_connection": [base | {
            "connection_id": "c1", "pipe_id": "AB", "fraction": 0.5, "building_id": "b1", "customers": 24, "priority": "school",
            "curb_valve": "k1", "curb_status": "open", "curb_operable": True,
            "geometry": shapely.LineString([(117.0015, 32.0, 30.0), (117.0015, 32.0002, 30.0)]),
        }],
    }  # fmt: skip
