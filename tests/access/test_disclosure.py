"""How much an answer tells of features."""

from __future__ import annotations

import pytest

from gis.access.disclosure import disclosed


def feature(geometry: dict | None) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": {"names": ["a", "b"], "lon": 1, "lat": 1}}


LINE = {"type": "LineString", "coordinates": [[117.0, 32.0, 5.5], [117.2, 31.9, 5.5]]}
AREAS = {"type": "MultiPolygon", "coordinates": [[[[116.9, 32.0], [117.0, 32.0], [117.0, 32.3], [116.9, 32.0]]]]}


@pytest.mark.parametrize(
    ("answer", "n", "bbox"),
    [
        ({"n": 3, "network": "city", "seconds": 0.1}, 0, None),
        ({"burst": {"pipe": "P1", "lon": 117, "lat": 32.1}, "valves": {"close": ["V1", "V2"], "stuck": []}, "pipes": ["P1", "V1"]}, 3,
         [117, 32.1, 117, 32.1]),
        ({"stops": [{"valve": "V1", "lon": 117.0, "lat": 32.0}, {"valve": "V2", "lon": 117.5, "lat": 31.5}], "ids": ["V1"]}, 3,
         [117.0, 31.5, 117.5, 32.0]),
        ({"features": {"type": "FeatureCollection", "features": [feature(LINE), feature(AREAS), feature(None)]}, "ids": ["x"]}, 3,
         [116.9, 31.9, 117.2, 32.3]),
        (feature({"type": "GeometryCollection", "geometries": [LINE, {"type": "Point", "coordinates": [118, 30]}]}), 1,
         [117.0, 30, 118, 32.0]),
        ({"at": [117.0, 32.0], "lon": True, "lat": "x", "rows": [[["a"], ["b"]], [["a"]]]}, 2, None),
        ({"closed": ("V1", "V2"), "rows": ({"id": "x"},)}, 3, None),
        ([], 0, None),
        (None, 0, None),
    ],
)  # fmt: skip
def test_what_an_answer_tells(answer, n, bbox):
    found = disclosed(answer)
    assert (found.n, found.bbox) == (n, bbox)
