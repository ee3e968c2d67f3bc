"""The faults of stock pygeoapi 0.24 that must not be inherited, by the rows of their table; those of axes, paging and CQL2 are
proved in full in test_features.py, those of processes in test_processes.py."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from gis.catalog.read import catalog
from gis.db import connection
from gis.settings import settings

ITEMS = "/collections/road/items"
PAGES = (
    "/",
    "/collections",
    "/collections/road",
    f"{ITEMS}",
    f"{ITEMS}/R1",
    "/collections/road/schema",
    "/collections/road/queryables",
    "/collections/road/tiles",
    "/collections/road/tiles/WebMercatorQuad",
    "/conformance",
    "/openapi",
    "/processes",
    "/processes/geocode",
    "/TileMatrixSets",
    "/TileMatrixSets/WebMercatorQuad",
    "/nothing",
    "/jobs",
)


@pytest.fixture
def statements(monkeypatch):
    """What is sent to the database."""
    sent: list[str] = []
    begin = connection._begin

    class Spy:
        def __init__(self, real):
            self.real = real

        def __enter__(self):
            self.real.__enter__()
            return self

        def __exit__(self, *failure):
            return self.real.__exit__(*failure)

        def execute(self, statement, parameters=None):
            sent.append(statement if isinstance(statement, str) else statement.as_string(self.real))
            return self.real.execute(statement, parameters)

        def __getattr__(self, name):
            return getattr(self.real, name)

    class Link:
        def __init__(self, real):
            self.__dict__["real"] = real

        def cursor(self, *arguments, **named):
            return Spy(self.real.cursor(*arguments, **named))

        def __getattr__(self, name):
            return getattr(self.real, name)

    def fetched(pool, before, statement, parameters, keep, fetched=connection._fetched):
        with connection.owner() as link:
            sent.append(statement.as_string(link))
        return fetched(pool, before, statement, parameters, keep)

    monkeypatch.setattr(connection, "_begin", lambda pool, *rest: Link(begin(pool, *rest)))
    monkeypatch.setattr(connection, "_fetched", fetched)
    monkeypatch.setattr(
        connection.Pool,
        "give_back",
        lambda self, link, broken=False, back=connection.Pool.give_back: back(self, getattr(link, "real", link), broken=broken),
    )
    return sent


def test_no_count_per_page_and_one_statement_per_item(anyone, statements):
    assert anyone.get(ITEMS).status_code == 200
    assert len(statements) == 1 and "count(" not in statements[0]
    statements.clear()
    assert anyone.get(f"{ITEMS}/R1").status_code == 200
    assert len(statements) == 1 and "LIMIT 1" in statements[0]


def test_no_statement_holds_a_value_of_the_caller(anyone, statements):
    for query in ("name=marker'--", "filter=" + quote("name LIKE 'marker%'"), "lanes=777001", "bbox=1.777001,2,3,4", "datetime=1777-01-01"):
        assert anyone.get(f"{ITEMS}?{query}").status_code == 200
    assert statements and not [text for text in statements if re.search("marker|777", text)]


def test_json_is_utf8_and_not_html(anyone):
    body = anyone.get("/collections").data
    assert "道路".encode() in body and b"\\u9053" not in body and b"&lt;" not in body


def test_qgis_finds_what_it_pushes_down(anyone):
    classes = {uri.split("/spec/")[1] for uri in anyone.get("/conformance").json["conformsTo"]}
    assert classes >= {
        "ogcapi-features-3/1.0/conf/filter",
        "ogcapi-features-3/1.0/conf/features-filter",
        "cql2/1.0/conf/basic-cql2",
        "cql2/1.0/conf/cql2-text",
        "cql2/1.0/conf/basic-spatial-functions",
        "cql2/1.0/conf/advanced-comparison-operators",
        "cql2/1.0/conf/case-insensitive-comparison",
        "ogcapi-features-5/1.0/conf/schemas",
        "ogcapi-features-2/1.0/conf/crs",
    }
    languages = anyone.get("/openapi").json["components"]["parameters"]["filter-lang"]["schema"]["enum"]
    assert "cql-text" in languages, "GDAL filters on the client where it does not find this name"
    asked = quote("(name ILIKE 'x%') AND (valid_from >= '2000-01-01T')")
    assert anyone.get(f"{ITEMS}?filter-lang=cql-text&filter={asked}").status_code == 200
    assert not [uri for uri in classes if "callback" in uri], "nothing is declared that is not there"
    assert anyone.get("/openapi").json["components"]["parameters"]["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10000,
        "default": 100,
    }
    for layer in catalog().vectors:
        if layer.readable_by("anonymous"):
            for kind in ("schema", "queryables"):
                found = anyone.get(f"/collections/{layer.id}/{kind}").json["properties"]["geometry"]["format"]
                assert found != "geometry-any" and found.startswith("geometry-")


def test_no_link_of_the_documents_leads_nowhere(water):
    """Every link of ours, templates filled in; a link to where something is sent is not followed."""
    places = ["/", "/collections/road", "/collections/road/tiles", "/collections/road/tiles/WebMercatorQuad", "/tiles",
              "/TileMatrixSets", "/groups", "/processes", "/processes/geocode", "/collections/catalogue", "/collections/sensor",
              "/collections/catalogue/items?limit=3", f"{ITEMS}?limit=1", "/jobs"]  # fmt: skip
    filled = {"tileMatrixSetId": "WebMercatorQuad", "tileMatrix": "14", "tileRow": "6653", "tileCol": "13516"}

    def links(part):
        if isinstance(part, dict) and "href" in part and "rel" in part:
            yield part
        for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from links(value)

    seen, wrong = set(), []
    for place in places:
        for link in links(water.get(place).json):
            href = re.sub(r"\{(\w+)\}", lambda found: filled.get(found[1], found[0]), link["href"])
            if href in seen or not href.startswith("http://localhost") or link["rel"].endswith(("/execute", "service-meta", "enclosure")):
                continue
            if href.endswith(("/position", "/area", "/radius", "/cube")):  # they want a place
                continue
            seen.add(href)
            answer = water.get(href.removeprefix("http://localhost") or "/")
            if answer.status_code not in (200, 204) or (answer.data and answer.mimetype != link["type"].split(";")[0]):
                wrong.append((place, link["rel"], href, answer.status_code, answer.mimetype, link["type"]))
    assert len(seen) > 100 and not wrong, wrong


def test_limits_are_a_hundred_and_ten_thousand(anyone):
    assert anyone.get(f"{ITEMS}?limit=20000").status_code == 200, "throttled, not refused"
    assert anyone.get("/collections").json["collections"].__len__() > 5


def test_the_openapi_document_is_closed_in_itself(as_role):
    for role in ("anonymous", "planner"):
        document = as_role(role).get("/openapi").json
        references = set(re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(document)))
        assert references and not [one for one in references if not one.startswith("#/")]
        for reference in references:
            part = document
            for step in reference[2:].split("/"):
                part = part[step]
        assert document["components"]["securitySchemes"].keys() == {"basic", "bearer", "key"}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_load_nothing_from_elsewhere(anyone, language):
    for path in PAGES:
        page = anyone.get(f"{path}?f=html&lang={language}")
        assert page.status_code == (404 if path == "/nothing" else 200) and page.mimetype == "text/html", path
        loaded = re.findall(r'(?:src|<link[^>]*href)="([^"]+)"', page.text)
        assert loaded and all(address.startswith("http://localhost/") for address in loaded), path
        assert "<script" not in page.text and "unpkg" not in page.text
        assert f'<html lang="{"zh-CN" if language == "zh" else "en"}">' in page.text
        for address in set(loaded):
            assert anyone.get(address[len("http://localhost") :]).status_code == 200, address
    assert ("图层" in anyone.get(f"/?f=html&lang={language}").text) == (language == "zh")


def test_every_phrase_of_the_pages_is_translated():
    from gis.api import pages

    wanted = set()
    for path in pages.TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        wanted |= set(re.findall(r"{% trans %}(.+?){% endtrans %}", text)) | set(re.findall(r"_\('([^']+)'\)", text))
    assert wanted and not wanted - pages.phrases("zh").keys()


def test_pages_are_made_quickly(anyone):
    """Stock pygeoapi needs 56 to 120 ms for a Jinja environment of its own per page: ours is kept."""
    from gis.api import pages

    anyone.get("/conformance?f=html")
    before = pages._environment.cache_info()
    for _ in range(5):
        anyone.get("/conformance?f=html")
    after = pages._environment.cache_info()
    assert after.misses == before.misses and after.hits == before.hits + 5


def test_what_is_served_is_what_the_rendered_file_says(monkeypatch):
    from pygeoapi.util import yaml_load

    from gis import processes
    from gis.api.configuration import configuration
    from gis.catalog import pygeoapi

    monkeypatch.setenv("ONEMAP_RASTER", str(settings().home / "raster"))
    rendered = yaml_load(io.StringIO(pygeoapi.render(catalog(), processes.processes())))["resources"]
    served = configuration()["resources"]
    assert served.keys() - rendered.keys() == {"catalogue"} and {name: served[name] for name in rendered} == rendered


def test_every_provider_and_process_can_be_made_from_the_configuration():
    from pygeoapi.plugin import load_plugin

    from gis.api.configuration import configuration
    from gis.api.served import as_role

    resources = configuration()["resources"]
    for resource in resources.values():
        if resource["type"] == "process":
            assert as_role("admin", lambda r=resource: load_plugin("process", r["processor"])).metadata["id"]
        else:
            for definition in resource["providers"]:
                if definition["type"] != "coverage":
                    assert as_role("admin", lambda d=definition: load_plugin("provider", d)).layer.id == definition["data"]


def test_publish_writes_both_documents(tmp_path: Path, capsysbinary):
    from gis.cli import serve

    serve.publish(tmp_path, json=True)
    said = json.loads(capsysbinary.readouterr().out)
    assert said["collections"] > 20 and json.loads((tmp_path / "openapi.json").read_bytes())["openapi"].startswith("3.")
    assert io.StringIO((tmp_path / "pygeoapi-config.yml").read_text(encoding="utf-8")).readline().startswith("#")


def test_the_door_plate_page_tells_the_public_what_is_public(anyone, as_role):
    from gis.api import site

    token = catalog().layers["door_plate"].example["token"]
    page = anyone.get(f"/d/{token}")
    assert page.status_code == 200 and "府前街81号" in page.text and token not in page.text
    assert page.headers["Cache-Control"] == "private, no-store" and page.headers["Referrer-Policy"] == "no-referrer"
    officer = catalog().layers["grid_cell"].example
    assert not [officer[name] for name in ("officer", "phone") if officer.get(name) and officer[name] in page.text]
    site._visits.clear()
    found = [anyone.get("/d/unknown-token-0001").status_code for _ in range(site.PLATES_PER_MINUTE + 3)]
    assert found[0] == 404 and found[-1] == 429


def test_the_catalogue_for_the_viewer(anyone, water):
    tree = anyone.get("/catalog").json
    assert tree["user"] == {"name": "", "role": "anonymous"} and tree["city"]["code"] == catalog().city.code
    pipes = next(group for group in water.get("/catalog").json["groups"] if group["id"] == "pipe")
    pipe = next(layer for layer in pipes["layers"] if layer["id"] == "water_pipe")
    status = next(field for field in pipe["fields"] if field["name"] == "status")
    assert status["codes"][0]["title"]["zh"] and status["title"]["en"] and pipe["tiles"]["max_zoom"] > pipe["tiles"]["min_zoom"]
    style = water.get("/styles/onemap").json
    assert "water_pipe" in style["sources"] and style["sources"]["water_pipe"]["tiles"][0].startswith(
        "http://localhost/collections/water_pipe/tiles/"
    )
    assert water.get("/styles/water_pipe?f=qml").text.lstrip().startswith("<!DOCTYPE qgis")
