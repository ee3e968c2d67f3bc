"""Observations by OGC API - EDR: right values at the right places and times, for whom the sensors are, found by the key."""

from __future__ import annotations

import csv
import datetime as dt
import io
from urllib.parse import quote

import pytest
from api_rows import put
from covjson_pydantic.coverage import Coverage, CoverageCollection
from psycopg2 import sql

from gis.access import audit
from gis.api import coverage_json, observations
from gis.catalog.observed import QUANTITIES
from gis.db.connection import owner, reading

SENSOR = "/collections/sensor"
BEGIN = dt.datetime(2024, 5, 1, tzinfo=dt.timezone(dt.timedelta(hours=8)))


@pytest.fixture
def observed(app):
    """P1 (pressure and temperature) and P2 (pressure) 200 m apart, L1 far away; two days of quarters of an hour; N1 observed nothing."""
    places = {"P1": (117.0, 32.0), "P2": (117.002, 32.0), "L1": (117.1, 32.1), "N1": (117.0, 32.0)}
    put("sensor", *({"sensor_id": name, "name": f"{name}号", "geometry": f"POINT({x} {y})"} for name, (x, y) in places.items()))
    with owner() as connection, connection.cursor() as cursor:
        for name, quantity in (("P1", "pressure"), ("P1", "temperature"), ("P2", "pressure"), ("L1", "level")):
            cursor.execute(
                "WITH s AS (INSERT INTO observed.series (sensor_id, parameter) VALUES (%s, %s) RETURNING series)"
                " INSERT INTO observed.value (at, value, batch, series, quality) SELECT %s + n * interval '15 minutes', n, 1, s.series,"
                " CASE WHEN n = 5 THEN 3 ELSE 0 END FROM s, generate_series(0, 191) AS n WHERE n %% %s = 0",
                (name, quantity, BEGIN, 4 if quantity == "temperature" else 1),
            )


def get(caller, path: str, **more):
    answer = caller.get(f"{SENSOR}{path}", **more)
    assert answer.status_code == 200, answer.text
    return answer


def test_the_values_of_a_sensor_are_coverage_json(observed, water):
    answer = get(water, "/locations/P1?quality=true")
    assert answer.content_type == "application/prs.coverage+json"
    made = Coverage.model_validate_json(answer.data)
    assert made.domain.domainType == "PointSeries" and len(answer.json["domain"]["axes"]["t"]["values"]) == 192
    assert (
        answer.json["domain"]["axes"]["x"]["values"] == [117.0]
        and answer.json["domain"]["axes"]["t"]["values"][0] == "2024-04-30T16:00:00Z"
    )
    assert answer.json["ranges"]["pressure"]["values"][:3] == [0.0, 1.0, 2.0]
    assert answer.json["ranges"]["temperature"]["values"][:5] == [0.0, None, None, None, 4.0], "what was not observed then is null"
    assert answer.json["ranges"]["pressure_quality"]["values"][5] == 3
    assert answer.json["parameters"]["pressure"]["unit"]["symbol"]["value"] == "MPa"
    many = get(water, "/area?coords=POLYGON((116.9 31.9,117.2 31.9,117.2 32.2,116.9 32.2,116.9 31.9))")
    CoverageCollection.model_validate_json(many.data)
    assert [one["id"] for one in many.json["coverages"]] == ["L1", "P1", "P2"]
    plain = get(water, "/locations/P2").json
    assert set(plain["ranges"]) == {"pressure"}


TIMES = (
    ("datetime=2024-05-01", 96, 0),
    ("datetime=2024-05", 192, 0),
    ("datetime=2024-05-01T01:00:00%2B08:00", 1, 4),
    ("datetime=2024-04-30T17:00:00Z/2024-04-30T18:00:00Z", 5, 4),
    ("datetime=2024-05-02/..", 96, 96),
    ("datetime=../2024-05-01", 96, 0),
    ("datetime=2024-05-01/9999-12-31T23:59:60Z", 192, 0),
    ("latest=true", 1, 191),
    ("latest=true&datetime=2024-05-01", 1, 95),
    ("aggregate=hour", 48, 1.5),
    ("aggregate=day&summary=max", 2, 95),
    ("aggregate=day&summary=count", 2, 95),  # the bad value does not count
)


def test_of_the_time_that_is_asked_for(observed, water):
    for query, n, first in TIMES:
        values = get(water, f"/locations/P2?{query}").json["ranges"]["pressure"]["values"]
        assert len(values) == n and values[0] == first, query


def test_at_the_place_that_is_asked_for(observed, water):
    def found(path: str) -> list[str]:
        answer = water.get(f"{SENSOR}/{path}")
        return [] if answer.status_code == 204 else [one["id"] for one in answer.json["coverages"]]

    assert found("position?coords=POINT(117.0001 32.0)&datetime=2024-05-01") == ["P1"]
    assert found("position?coords=POINT(117.05 32.0)") == []
    assert found("radius?coords=POINT(117 32)&within=150&within-units=m&latest=true") == ["P1"]
    assert found("radius?coords=POINT(117 32)&within=0.2&within-units=km&latest=true") == ["P1", "P2"]
    assert found("cube?bbox=117.05,32.05,117.15,32.15&latest=true") == ["L1"]
    assert found("area?coords=POLYGON((117.001 31.9,117.05 31.9,117.05 32.05,117.001 32.05,117.001 31.9))&latest=true") == ["P2"]
    assert found("area?coords=POLYGON((116 31,118 31,118 33,116 33,116 31))&parameter-name=temperature&latest=true") == ["P1"]
    assert found("area?coords=POLYGON((116 31,118 31,118 33,116 33,116 31))&datetime=1999") == []


def test_other_forms_hold_the_same(observed, water):
    answer = get(water, "/locations/P1?f=csv&datetime=2024-05-01")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert len(rows) == 96 + 24 and rows[5] == {
        "location": "P1", "lon": "117.0", "lat": "32.0", "parameter": "pressure", "datetime": "2024-04-30T17:15:00Z", "value": "5.0",
        "unit": "MPa", "quality": "bad",
    }  # fmt: skip
    features = get(water, "/locations/P2?f=geojson&datetime=2024-05-01").json["features"]
    assert len(features) == 96 and features[7]["properties"]["pressure"] == 7.0
    listed = get(water, "/locations").json
    assert {one["id"] for one in listed["features"]} == {"P1", "P2", "L1"}, "who observed nothing is no location"
    first = next(one for one in listed["features"] if one["id"] == "P1")
    assert first["properties"]["latest"]["pressure"] == {"value": 191.0, "unit": "MPa", "at": "2024-05-02T15:45:00Z", "quality": "good"}
    assert first["properties"]["name"] == "P1号" and first["properties"]["parameter-name"] == ["pressure", "temperature"]
    page = get(water, "/locations?limit=1&f=html&lang=zh&parameter-name=pressure")
    assert "P1号" in page.text and "压力 191 MPa" in page.text and "2024-05-02 23:45" in page.text and "offset=1" in page.text
    assert "日平均" in get(water, "/locations/P1?f=html&lang=zh").text
    page = get(water, "/locations?limit=1&parameter-name=pressure&bbox=116,31,118,33").json
    following = page["links"][-1]
    assert following["rel"] == "next" and "parameter-name=pressure" in following["href"] and "bbox=116,31,118,33" in following["href"]
    assert [one["id"] for one in water.get(SENSOR + following["href"].split("/sensor")[1]).json["features"]] == ["P2"]
    assert [one["id"] for one in get(water, "/locations?bbox=117.05,32.05,117.15,32.15").json["features"]] == ["L1"]


def test_what_other_programs_ask_and_read(observed, water):
    """OGC 19-086r6: several positions, heights, forms by Accept, what EDR GeoJSON requires, 204 without a body's type."""
    listed = get(water, "/locations").json
    needed = {"datetime", "parameter-name", "label", "edrqueryendpoint"}
    values = get(water, "/locations/P2?f=geojson&latest=true").json
    assert all(needed <= one["properties"].keys() for one in listed["features"] + values["features"])
    assert {one["id"] for one in listed["parameters"]} >= {"pressure", "temperature"} and values["parameters"][0]["type"] == "Parameter"
    first = next(one for one in listed["features"] if one["id"] == "P1")
    assert first["properties"]["datetime"] == "2024-04-30T16:00:00Z/2024-05-02T15:45:00Z"
    assert water.get(first["properties"]["edrqueryendpoint"].split("localhost")[-1].split(":5080")[-1]).status_code == 200
    places = "MULTIPOINT((117.0001 32.0),(117.1 32.1))"
    assert [one["id"] for one in get(water, f"/position?coords={places}&latest=true").json["coverages"]] == ["L1", "P1"]
    assert [one["id"] for one in get(water, "/position?coords=POINT Z(117.0001 32.0 5)&latest=true").json["coverages"]] == ["P1"]
    for accept, kind in (("text/csv", "text/csv"), ("application/geo+json", "application/geo+json"), ("*/*", coverage_json.MEDIA)):
        assert water.get(f"{SENSOR}/locations/P1?latest=true", headers={"Accept": accept}).mimetype == kind
    nothing = water.get(f"{SENSOR}/position?coords=POINT(1 1)")
    assert nothing.status_code == 204 and "Content-Type" not in nothing.headers
    described = get(water, "").json
    assert described["extent"]["temporal"]["interval"] == [["2024-04-30T16:00:00Z", "2024-05-02T15:45:00Z"]]
    assert described["within_units"] == ["m", "km"] and described["crs_details"][0]["wkt"].startswith("GEOGCRS")
    assert described["data_queries"]["cube"]["link"]["variables"]["crs_details"] == described["crs_details"]


def test_the_collection_says_what_can_be_asked(observed, anyone, water):
    described = get(water, "").json
    assert set(described["data_queries"]) == {"locations", "position", "area", "radius", "cube", "items"}
    assert set(described["parameter_names"]) == set(QUANTITIES)
    assert any(uri.endswith("ogcapi-edr-1/1.1/conf/core") for uri in anyone.get("/conformance").json["conformsTo"])
    assert f"{SENSOR}/radius" in water.get("/openapi?f=json").json["paths"]
    assert f"{SENSOR}/radius" not in anyone.get("/openapi?f=json").json["paths"]
    assert water.get("/collections/road/locations").status_code == 404


def test_for_whom_the_sensors_are_and_on_the_record(observed, anyone, water, as_role):
    for path in ("locations", "locations/P1", "position?coords=POINT(117 32)", "cube?bbox=1,2,3,4"):
        assert anyone.get(f"{SENSOR}/{path}").status_code == 404
        assert as_role("address").get(f"{SENSOR}/{path}").status_code == 404
    get(water, "/radius?coords=POINT(117 32)&within=150&within-units=m&datetime=2024-05-01")
    entry = audit.entries(layer="sensor", limit=1)[0]
    assert (entry["action"], entry["n"], entry["user"]) == ("observations", 120, "test-water")
    assert entry["detail"]["sensors"] == ["P1"] and entry["detail"]["within"] == 150 and entry["detail"]["bbox"]
    for role in ("anonymous", "address"):  # the database itself says no more than the API
        with reading(role) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT (SELECT count(*) FROM pub.observation), (SELECT count(*) FROM pub.observation_series)")
            assert cursor.fetchone() == (0, 0)


REFUSED = (
    "locations/P1?datetime=x", "locations/P1?datetime=2024-05-02/2024-05-01", "locations/P1?parameter-name=x", "locations/P1?f=exe",
    "locations/P1?latest=maybe", "locations/P1?aggregate=week", "locations/P1?summary=max", "locations/P1?of=1",
    "locations/P1?latest=true&aggregate=day", "locations/P1?crs=EPSG:3857", "locations?limit=0", "locations?f=csv",
    "position", "position?coords=POINT(200 32)", "position?coords=POINT(32)", "position?coords=LINESTRING(1 2,3 4)",
    "position?coords=POINT(nan nan)", "position?coords=POINT EMPTY", "radius?coords=POINT(117 32)", "cube",
    "radius?coords=POINT(117 32)&within=x&within-units=m", "radius?coords=POINT(117 32)&within=-1&within-units=m",
    "radius?coords=POINT(117 32)&within=1&within-units=mile", "radius?coords=POINT(117 32)&within=inf&within-units=m",
    "area?coords=POLYGON((0 0,1 1,1 0,0 1,0 0))", "area?coords=POLYGON((0 0,1 1))", "area?coords=POINT(1 2)", "cube?bbox=1,2",
)  # fmt: skip


def test_what_is_no_question_is_refused(observed, water):
    for path in REFUSED:
        answer = water.get(f"{SENSOR}/{quote(path, safe='?=&,():/')}")
        assert answer.status_code == 400 and answer.json["what"], path


def test_values_are_found_by_the_key_and_bounded(observed, water, monkeypatch):
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "WITH s AS (INSERT INTO observed.series (sensor_id, parameter) SELECT 'X' || n, 'flow' FROM generate_series(1, 300) AS n"
            " RETURNING series) INSERT INTO observed.value (at, value, batch, series)"
            " SELECT timestamptz '2024-01-01' + k * interval '1 hour', k, 1, s.series FROM s, generate_series(1, 300) AS k"
        )
        cursor.execute("ANALYZE observed.value")
        cursor.execute("SELECT array_agg(series) FROM observed.series WHERE sensor_id IN ('P1', 'X7')")
        series = cursor.fetchone()[0]
    for asked in (
        observations.Asked(observations.period("2024-05-01")), observations.Asked(latest=True),
        observations.Asked(observations.period("2024-05-01"), step="hour"),
    ):  # fmt: skip
        composed, parameters = observations.statement_of(series, asked)
        with reading("water") as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("EXPLAIN ") + composed, parameters)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "value_pkey" in plan and "Seq Scan on value" not in plan, plan
    monkeypatch.setattr(observations, "MOST_VALUES", 100)
    refused = water.get(f"{SENSOR}/locations/P1")
    assert refused.status_code == 400 and "aggregate=hour" in refused.json["remedy"]
    assert water.get(f"{SENSOR}/locations/P1?aggregate=day").status_code == 200
