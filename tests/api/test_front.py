"""The short way and Flask's way answer the same: status, every header, every byte, the same audit, under the same name in the figures."""

from __future__ import annotations

import gzip
import re

import pytest
from api_rows import put

from gis.access import identity
from gis.api import front, metrics
from gis.api.tile_cache import cache
from gis.catalog.read import catalog
from gis.db.connection import owner

TILE = "tiles/WebMercatorQuad/15/13306/27033"
PLAIN = (
    "/collections/road/items",
    "/collections/road/items/",
    "/collections/road/items?f=json",
    "/collections/road/items?limit=2&lang=en",
    "/collections/road/items?limit=2&lang=zh-CN&f=json",
    "/collections/road/items?limit=1",
    "/collections/road/items?limit=1&offset=1",
    "/collections/road/items?limit=0",
    "/collections/road/items?limit=abc",
    "/collections/road/items?limit=99999999",
    "/collections/road/items?offset=-1",
    "/collections/road/items?offset=1000000",
    "/collections/road/items?cursor=rubbish",
    "/collections/road/items?bbox=116.9,31.9,117.1,32.1",
    "/collections/road/items?bbox=116.9,31.9,117.1",
    "/collections/road/items?bbox=a,b,c,d",
    "/collections/road/items?bbox=31.9,116.9,32.1,117.1&bbox-crs=http://www.opengis.net/def/crs/EPSG/0/4490",
    "/collections/road/items?bbox-crs=http://www.opengis.net/def/crs/EPSG/0/4490",
    "/collections/road/items?crs=http://www.opengis.net/def/crs/EPSG/0/3857",
    "/collections/road/items?crs=http://www.opengis.net/def/crs/EPSG/0/9999",
    "/collections/road/items?datetime=2024-01-01",
    "/collections/road/items?datetime=2024-13-01",
    "/collections/road/items?as-of=2000-01-01",
    "/collections/road/items?resultType=hits",
    "/collections/road/items?resultType=guess",
    "/collections/road/items?properties=name&skipGeometry=true",
    "/collections/road/items?properties=no_such_column",
    "/collections/road/items?sortby=-name,+road_id",
    "/collections/road/items?sortby=no_such_column",
    "/collections/road/items?name=%E4%BA%BA%E6%B0%91%E8%B7%AF",
    "/collections/road/items?no_such_column=1",
    "/collections/road/items?name=%ff",
    "/collections/road/items?limit=1&limit=2",
    "/collections/road/items?filter=name%20LIKE%20'%25%E8%B7%AF'",
    "/collections/road/items?filter=name%20LIKE",
    "/collections/road/items?filter=%7B%22op%22%3A%22isNull%22%2C%22args%22%3A%5B%7B%22property%22%3A%22name%22%7D%5D%7D&filter-lang=cql2-json",
    "/collections/road/items?q=road",
    "/collections/road/items?f=xml",
    "/collections/road/items?f=html",
    "/collections/road/items?f=csv",
    "/collections/no_such_layer/items",
    "/collections/terrain/items",
    "/collections/road//items",
    "/collections/road/items/{road}",
    "/collections/road/items/{road}?f=json&lang=en",
    "/collections/road/items/{road}?crs=http://www.opengis.net/def/crs/EPSG/0/4549",
    "/collections/road/items/{road}?as-of=2000-01-01",
    "/collections/road/items/{road}?limit=1",
    "/collections/road/items/{road}?f=html",
    "/collections/road/items/nobody%00",
    "/collections/road/items/no%20such%20road",
    "/collections/water_pipe/items?limit=3",
    "/collections/water_pipe/items?bbox=116.9,31.9,117.1,32.1",
    "/collections/water_pipe/items/{water_pipe}",
    "/collections/water_pipe/items/{water_pipe}?f=json",
    "/collections/hydrant/items?resultType=hits",
    f"/collections/road/{TILE}",
    f"/collections/road/{TILE}?f=mvt&lang=en",
    f"/collections/road/{TILE}?f=png",
    f"/collections/road/{TILE}?datetime=2024",
    f"/collections/road/{TILE}?limit=1",
    "/collections/road/tiles/WebMercatorQuad/15/1/1",
    "/collections/road/tiles/WebMercatorQuad/99/1/1",
    "/collections/road/tiles/NoSuchGrid/15/13306/27033",
    f"/collections/water_pipe/{TILE}",
    f"/collections/no_such_layer/{TILE}",
)
HEADERS = (
    {},
    {"Accept": "application/geo+json", "Accept-Encoding": "gzip", "Accept-Language": "en"},
    {"Accept": "text/html"},
    {"Accept": "text/csv"},
    {"If-None-Match": "*", "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"},
    {"Authorization": "Bearer nobody's"},
    {"Authorization": "Nonsense"},
    {"X-Request-Id": "<script>", "Host": "map.example.org:8080"},
)
_TIME = re.compile(rb'"timeStamp": ?"[^"]*"')


def paths() -> list[str]:
    ids = {name: ":".join(str(layer.example[column]) for column in layer.key) for name, layer in catalog().layers.items() if layer.example}
    return [path.format(**ids) if "{" in path else path for path in PLAIN]


def _asked(client, path: str, headers: dict) -> tuple:
    cache.clear()
    answer = client.get(path, headers={"X-Request-Id": "one"} | headers)
    kept = sorted((name, value) for name, value in answer.headers if name not in ("Date", "Content-Length", "X-Request-Id"))
    body = gzip.decompress(answer.data) if answer.headers.get("Content-Encoding") == "gzip" else answer.data
    if "X-Request-Id" in headers:
        body = body.replace(answer.headers["X-Request-Id"].encode(), b"")
    elif answer.headers.get("X-Request-Id") != "one":
        raise AssertionError("the request's id is lost")
    return answer.status, kept, _TIME.sub(b"", body)


@pytest.fixture
def both(app, monkeypatch):
    """A function: (client, path, headers) -> (what the short way answers, what Flask answers, whether the short way was taken)."""
    put("road", *({"road_id": f"R{i}", "name": f"第{i}路"} for i in range(2, 5)))
    taken = []
    answered = front.Front._answered

    def watched(self, *arguments):
        found = answered(self, *arguments)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(front.Front, "_answered", watched)

    def ask(client, path: str, headers: dict) -> tuple:
        taken.clear()
        short = _asked(client, path, headers)
        was_taken = taken == [True]
        with monkeypatch.context() as without:
            without.setattr(front, "_plain", lambda visit: None)
            return short, _asked(client, path, headers), was_taken

    return ask


def audited() -> list[tuple]:
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_name, role, action, layer, n, detail FROM access.audit WHERE layer IS NOT NULL AND action <> 'refused' ORDER BY id"
        )
        return cursor.fetchall()


def test_both_ways_answer_the_same_bytes(as_role, both):
    for role in ("anonymous", "planner", "water", "gas", "admin"):
        client, taken, before = as_role(role), 0, len(audited())
        for path in paths():
            short, long, was_taken = both(client.client, path, client.headers)
            assert short == long, (role, path)
            assert not was_taken or short[0] < "400", (role, path)
            taken += was_taken
        assert taken > 20
        rows = audited()[before:]
        assert rows[::2] == rows[1::2]  # each question twice: the same line both times
        assert bool(rows) == catalog().layers["water_pipe"].readable_by(role)


def test_both_ways_look_at_the_same_headers(anyone, both):
    for headers in HEADERS:
        for path in ("/collections/road/items", "/collections/road/items/R1", f"/collections/road/{TILE}", "/collections/hydrant/items"):
            short, long, _ = both(anyone.client, path, headers)
            assert short == long, (path, headers)


def test_what_goes_wrong_is_looked_up_counted_and_said_once(anyone, both, monkeypatch, caplog):
    def counted(status: str) -> float:
        return metrics.REQUESTS.labels(front.ONE, "GET", status)._value.get()

    before, waiting = counted("200"), metrics.AT_ONCE._value.get()
    both(anyone.client, "/collections/road/items/R1", {})
    assert counted("200") == before + 2
    assert metrics.AT_ONCE._value.get() == waiting
    assert {front.PAGE, front.ONE, front.TILE} <= {rule.rule for rule in anyone.client.application.url_map.iter_rules()}

    asked, identify = [], identity.identify
    monkeypatch.setattr("gis.api.envelope.identify", lambda *given: (asked.append(given), identify(*given))[1])
    before = counted("401")
    answer = anyone.client.get("/collections/road/items/R1", headers={"X-API-Key": "nobody's"})
    assert answer.status_code == 401 and answer.json["error"] == "AccessDenied"
    assert len(asked) == 1 and counted("401") == before + 1

    def broken(*_, **__):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("gis.api.reading.items.page", broken)
    answer = anyone.client.get("/collections/road/items")
    assert answer.status_code == 500 and b"secret" not in answer.data
    assert sum("ZeroDivisionError" in record.message for record in caplog.records) == 1
    assert metrics.AT_ONCE._value.get() == waiting
