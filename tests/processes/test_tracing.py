"""Tracing through the database: a water network by its devices, sewers by their slope."""

import geopandas
import pytest
import shapely
from test_burst import net3  # noqa: F401

from gis.catalog.read import catalog
from gis.db.store import Store
from gis.errors import AccessDenied, Ambiguous, NotFound, NotOnNetwork
from gis.ingest.load import load_frames
from gis.processes import trace


def traced(start, direction, role="admin", **inputs):
    with Store(role) as store:
        return trace.run(store, trace.TraceInputs(start=start, direction=direction, **inputs), lambda share, what: None)


def test_a_water_network_is_traced_to_its_sources(street):
    assert traced("AB", "up")["pipes"] == ["AB", "SA"] and traced("AB", "up")["sources"] == ["S"]
    street(valve_state="closed")
    assert traced("AB", "connected")["pipes"] == ["AB"]
    assert traced("VAB", "connected")["pipes"] == ["AB", "SA"]


def test_an_id_that_names_two_things_is_ambiguous(net3):  # noqa: F811
    with pytest.raises(Ambiguous):
        traced("20", "up", network="net3")
    assert "20" in traced("20", "up", network="net3", kind="pipe")["pipes"]
    with pytest.raises(NotOnNetwork):
        traced("nowhere", "up", network="net3")


@pytest.fixture
def sewer(store_db):
    """A Y of sewers: M1 → M3 ← M2, M3 → M4, and a pipe that was abandoned."""
    spots = {"M1": (117.0, 32.001), "M2": (117.001, 32.001), "M3": (117.0005, 32.0), "M4": (117.0005, 31.999)}
    nodes = [{"manhole_id": m, "system": "sewage", "geometry": shapely.Point(*xy, 30.0)} for m, xy in spots.items()]
    ends = {"P1": ("M1", "M3", "0"), "P2": ("M2", "M3", "0"), "P3": ("M3", "M4", "0"), "P9": ("M1", "M2", "1")}
    pipes = [
        {"pipe_id": p, "from_node": a, "to_node": b, "status": s, "subtype": "WS", "diameter_mm": 400.0,
         "geometry": shapely.LineString([(*spots[a], 28.0), (*spots[b], 27.0)])}
        for p, (a, b, s) in ends.items()
    ]  # fmt: skip
    frames = {"sewer_manhole": nodes, "sewer_pipe": pipes}
    load_frames(
        catalog(),
        {k: geopandas.GeoDataFrame(v, geometry="geometry", crs="EPSG:4490") for k, v in frames.items()},
        name="sewer",
    )


def test_sewers_are_traced_by_their_direction(sewer):
    assert traced("P1", "down", network="sewer")["pipes"] == ["P1", "P3"]
    assert traced("P3", "up", network="sewer")["pipes"] == ["P1", "P2", "P3"]
    assert traced("M3", "up", network="sewer")["pipes"] == ["P1", "P2"]
    found = traced("P1", "connected", network="sewer", features=True)
    assert found["pipes"] == ["P1", "P2", "P3"] and len(found["features"]["features"]) == 3
    with pytest.raises(AccessDenied):
        traced("P1", "down", network="sewer", role="gas")
    with pytest.raises(NotFound):
        traced("P1", "down", network="rain")
