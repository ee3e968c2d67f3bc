"""Whatever is asked wrongly gets a clear 4xx, never a 500 and never an answer to another question."""

from __future__ import annotations

import pytest

ITEMS = "/collections/road/items"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
NESTED = "(" * 200 + "lanes=1" + ")" * 200
BAD = [
    *(
        f"{ITEMS}?{query}"
        for query in (
            "lanes=abc",
            "lanes=1.5",
            "lanes=99999999999999999999",
            "lanes=",
            "width_m=nan",
            "width_m=inf",
            "width_m=1e999",
            "bridge=maybe",
            "valid_from=2024-13-01",
            "valid_from=2024",
            "nothing=1",
            "lanes=1&lanes=2",
            "name=%00",
            "name=%ff%fe",
            "%ff=1",
            "limit=0",
            "limit=-1",
            "limit=abc",
            "limit=1.5",
            "limit=1e3",
            "offset=-1",
            "offset=x",
            "offset=99999999999",
            "bbox=1,2,3",
            "bbox=a,b,c,d",
            "bbox=nan,0,1,1",
            "bbox=0,0,inf,1",
            "bbox=0,10,1,5",
            "bbox=",
            "bbox=1,2,3,4,5",
            "bbox=0,0,9,1,1,3",
            "bbox-crs=" + EPSG + "4490",
            "bbox=1,2,3,4&bbox-crs=",
            "bbox=1,2,3,4&bbox-crs=EPSG:9",
            f"bbox=1,2,3,4&bbox-crs={EPSG}999999",
            f"bbox=1e9,1e9,2e9,2e9&bbox-crs={EPSG}4548",
            "crs=",
            "crs=x",
            "crs=EPSG:4490",
            f"crs={EPSG}1",
            f"crs={EPSG}4326%27",
            "crs=http://169.254.169.254/",
            "datetime=2024-13",
            "datetime=2024-02-30",
            "datetime=x",
            "datetime=",
            "datetime=2025/2024",
            "datetime=../../..",
            "datetime=2024-01-01T99:00:00Z",
            "as-of=2024-13",
            "as-of=",
            "as-of=../2024",
            "as-of=9999-12-31T99",
            "as-of=2024-01-01T00:00:00%2B23:59",
            "datetime=9999-12-31T23:59:59-23:59",
            "sortby=",
            "sortby=nothing",
            "sortby=name,name",
            "sortby=-",
            "sortby=geom",
            "sortby=name;",
            "properties=",
            "properties=nothing",
            "properties=geom",
            "resultType=all",
            "cursor=x",
            "cursor=W10",
            "cursor=" + "A" * 9000,
            "q=x",
            "f=exe",
            "f=../x",
            "filter=",
            "filter=lanes",
            "filter=nothing=1",
            "filter=lanes='x'",
            "filter=lanes==1",
            "filter=lanes=1;",
            "filter=name='x",
            "filter=pg_sleep(5)=1",
            "filter=name=(SELECT 1)",
            "filter=name='a'--",
            "filter=S_INTERSECTS(geom,POINT(nan 1))",
            "filter=S_INTERSECTS(geom,POLYGON((0 0,1 1)))",
            "filter=S_INTERSECTS(name,POINT(1 1))",
            f"filter={NESTED}",
            "filter=lanes=1&filter-lang=sql",
            f"filter=S_INTERSECTS(geom,POINT(1 1))&filter-crs={EPSG}1",
            "filter=lanes IN ()",
            "filter=fid=1",
            "filter=batch=1",
            "filter=recorded_from IS NULL",
            "filter={",
            "filter={%22op%22:1}",
            "x" * 17000,
        )
    ),
    *(
        f"/collections/road/tiles/WebMercatorQuad/{place}"
        for place in (
            "-1/0/0",
            "15/-1/0",
            "15/0/99999999",
            "15/99999/0",
            "1.5/0/0",
            "a/b/c",
            "30/0/0",
            "25/0/0",
            "15/0/0%00",
            "15/99999999999999999999/0",
        )
    ),
    "/collections/road/tiles/WebMercatorQuad/15/13306/27033?f=png",
    "/collections/road/tiles/WebMercatorQuad/15/13306/27033?x=1",
    "/collections/road/tiles/WebMercatorQuad/15/13306/27033?datetime=2024-13",
    "/collections/road/items/R1?x=1",
    "/collections/road/items/R1?crs=x",
    "/collections/road/items/R1?as-of=never",
    "/?f=exe",
    "/collections?f=exe",
    "/collections/road?f=exe",
    "/openapi?f=exe",
    "/jobs?limit=x",
    "/jobs?offset=-1",
    "/jobs?limit=-5",
    "/processes?limit=0",
    "/styles/road?f=sld",
    "/collections/road/schema?f=exe",
    "/collections/road/tiles/WebMercatorQuad?f=exe",
]
NOT_THERE = [
    "/collections/nothing",
    "/collections/../etc/passwd",
    "/collections/%2e%2e%2fx/items",
    "/collections/road/items/none",
    "/collections/road/items/%00",
    "/collections/road/coverage",
    "/collections/road/map",
    "/collections/road/position",
    "/collections/dem/items",
    "/stac",
    "/stac-api",
    "/admin/config",
    "/asyncapi",
    "/TileMatrixSets/Nothing",
    "/collections/road/tiles/Nothing",
    "/collections/road/tiles/Nothing/1/0/0",
    "/collections/road/tiles/WebMercatorQuad/2/0/0",
    "/processes/nothing",
    "/jobs/nothing",
    "/jobs/00000000-0000-0000-0000-000000000000",
    "/jobs/00000000-0000-0000-0000-000000000000/results",
    "/styles/nothing",
    "/styles/dem",
    "/styles/onemap?f=qml",
    "/d/short",
    "/d/unknown-token-0001",
    "/d/%27%20OR%201=1--",
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/map/../../../pyproject.toml",
    "/map/%2e%2e/package.json",
    "/map/..%2fpackage.json",
    "/d/" + "x" * 500,
]


def test_a_wrong_parameter_is_400(anyone):
    wrong = {}
    for path in BAD:
        answer = anyone.get(path)
        if (
            answer.status_code != 400
            or "Traceback" in answer.text
            or "psycopg" in answer.text
            or "SELECT" in answer.json["detail"].replace("(SELECT 1)", "")
        ):
            wrong[path[:80]] = (answer.status_code, answer.text[-100:])
    assert not wrong


def test_what_is_not_there_is_404(anyone):
    wrong = {path: status for path in NOT_THERE if (status := anyone.get(path).status_code) not in (404, 400 if "%00" in path else 404)}
    assert not wrong


@pytest.mark.parametrize(
    "body, kind",
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"null", "application/json"),
        (b'{"op":"="}', "application/json"),
        (b'{"op":"and","args":[]}', "application/json"),
        (b'{"op":"=","args":[{"property":"nothing"},1]}', "application/json"),
        (b"x", None),
        (b"lanes=1", "application/x-www-form-urlencoded"),
        (b"a", "text/plain"),
        (b'{"op":"not","args":[' * 400 + b"true" + b"]}" * 400, "application/json"),
        (b'{"a":' * 100000, "application/json"),
    ],
)
def test_a_body_that_is_no_filter_is_400(anyone, body, kind):
    answer = anyone.post(ITEMS, data=body, content_type=kind)
    assert answer.status_code == 400, answer.text


def test_methods_that_are_not_offered(anyone):
    assert anyone.client.delete("/collections/road/items").status_code == 405
    assert anyone.client.put("/collections/road").status_code == 405


def test_a_body_of_a_hundred_megabytes_is_refused(anyone):
    answer = anyone.client.post(ITEMS, data=b"{}", content_type="application/json", environ_overrides={"CONTENT_LENGTH": str(100 * 2**20)})
    assert answer.status_code == 413


def test_mistakes_have_one_shape(anyone):
    answer = anyone.get(f"{ITEMS}?lanes=abc", headers={"X-Request-Id": "my-id-1"})
    assert answer.content_type == "application/problem+json" and answer.headers["X-Request-Id"] == "my-id-1"
    assert answer.json["code"] == "InvalidParameterValue" and answer.json["where"] == "lanes" and answer.json["requestId"] == "my-id-1"
    assert answer.json["error"] == "InputError" and "abc" in answer.json["what"]
    page = anyone.get("/nothing", headers={"Accept": "text/html"})
    assert page.status_code == 404 and page.mimetype == "text/html" and "没有找到" in page.text
    assert anyone.get("/nothing", headers={"X-Request-Id": "<x>\u00e9"}).headers["X-Request-Id"] != "<x>"


@pytest.mark.parametrize(
    ("process", "inputs", "status", "error"),
    [
        ("pipe-burst", {"network": "city", "pipe": "no-such-pipe"}, 400, "NotOnNetwork"),
        ("pipe-burst", {"network": "city", "pipe": 3}, 400, "InputError"),
        ("reverse-geocode", {"lon": 10.0, "lat": 50.0}, 400, "OutsideExtent"),
        ("no-such-process", {}, 404, "NotFound"),
    ],
)
def test_a_mistake_says_its_class(water, process, inputs, status, error):
    answer = water.post(f"/processes/{process}/execution", json={"inputs": inputs})
    assert (answer.status_code, answer.json["error"]) == (status, error), answer.text
    assert answer.json["what"] and answer.json["code"]


def test_whoever_is_refused_is_told_so_by_class(anyone):
    answer = anyone.get("/collections/road/items", headers={"X-API-Key": "om_wrong"})
    assert (answer.status_code, answer.json["error"]) == (401, "AccessDenied")


def test_a_page_quotes_the_caller_and_formats_nothing(anyone):
    for said in ("%25s%25(x)d", "%25%16", "{{7*7}}", "%7B%25%20x%20%25%7D", "<script>"):
        answer = anyone.get(f"{ITEMS}?{said}=1&{said}=2&f=html")
        assert answer.status_code == 400 and answer.mimetype == "text/html" and "<script>" not in answer.text
        assert "{{" not in said or "{{7*7}}" in answer.text


def test_any_accept_header_and_language_will_do(anyone):
    for accept in ("*/*", "", "text/html;q=0.1,*/*", "image/png", "application/x-nothing", ";;;,,,", "a/b;q=9", "x" * 500):
        for path in ("/", ITEMS, "/collections/road/tiles/WebMercatorQuad/15/13306/27033", "/jobs"):
            assert anyone.get(path, headers={"Accept": accept}).status_code == 200, (accept, path)
    for language in ("zh-CN", "en;q=0.5", "xx", "*", "-", "zh_Hant_TW", "a" * 300, "q=;"):
        assert anyone.get("/", headers={"Accept-Language": language}).status_code == 200
        assert anyone.get(f"/collections?lang={language}").status_code == 200, language
