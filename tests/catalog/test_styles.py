"""The rendered things are what their readers accept: pygeoapi, MapLibre, QGIS, people; and the committed ones are current."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from pygeoapi.config import validate_config
from pygeoapi.util import yaml_load

from gis.catalog import checks, maplibre, pages, pygeoapi, qml, read
from gis.cli.layers import rendered
from gis.settings import ROOT
from gis.standards import codes

CATALOG = read.catalog()
VECTORS = [layer for layer in CATALOG.layers.values() if not layer.is_raster]
RENDERED = rendered()
BASE = "http://127.0.0.1:5080/"


def parts(value):
    """Every value in a nested structure."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from parts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from parts(inner)
    else:
        yield value


# --- committed files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_committed_file_is_current(name):
    path = ROOT / name
    assert path.is_file() and path.read_text(encoding="utf-8") == RENDERED[name], "run `onemap layers render`"


def test_no_page_is_left_over():
    assert {f"docs/layers/{path.name}" for path in (ROOT / "docs/layers").glob("*.md")} <= set(RENDERED)


# --- pygeoapi ---------------------------------------------------------------------------------------------------------


def test_configuration_is_valid_for_stock_pygeoapi(tmp_path, monkeypatch):
    monkeypatch.delenv("ONEMAP_PORT", raising=False)
    path = tmp_path / "pygeoapi-config.yml"
    path.write_text(pygeoapi.render(CATALOG, ["pipe-burst"]), encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        config = yaml_load(file)
    assert validate_config(config)
    assert config["server"]["bind"]["port"] == 5080
    assert set(config["resources"]) == {*CATALOG.layers, "pipe-burst"}


def test_stock_pygeoapi_command_accepts_the_committed_file():
    command = shutil.which("pygeoapi", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert command, "pygeoapi is installed with the project"
    done = subprocess.run([command, "config", "validate", "-c", str(ROOT / "pygeoapi-config.yml")], capture_output=True, text=True)
    assert done.returncode == 0 and "Valid configuration" in done.stdout


def test_collections_have_two_languages_extent_and_ways_in():
    resources = yaml.safe_load(pygeoapi.render(CATALOG))["resources"]
    for layer in VECTORS:
        found = resources[layer.id]
        assert set(found["title"]) == set(found["description"]) == {"zh", "en"}
        assert found["extents"]["spatial"]["bbox"] == list(CATALOG.city.extent)
        assert [p["type"] for p in found["providers"]] == ["feature", "tile"]
        assert not any("storage_crs" in p for p in found["providers"])
    assert resources["dem"]["providers"][0]["data"].endswith("/dem.tif")


def test_nothing_is_fetched_from_elsewhere():
    text = pygeoapi.render(CATALOG)
    outside = {url for url in re.findall(r"https?://[^\s'\"}]+", text) if "127.0.0.1" not in url}
    assert all(url.startswith("http://www.opengis.net/def/crs/") for url in outside), "only names of CRSs, which nobody fetches"


# --- MapLibre ---------------------------------------------------------------------------------------------------------


def test_map_style_is_valid(tmp_path):
    validator = ROOT / "gis/viewer/node_modules/.bin/gl-style-validate"
    if not validator.exists():
        pytest.skip("the viewer's packages are not installed")
    styles = {"onemap": maplibre.map_style(CATALOG, BASE)} | {la.id: maplibre.layer_style(la, BASE, CATALOG.city) for la in VECTORS}
    for name, style in styles.items():
        path = Path(tmp_path / f"{name}.json")
        path.write_text(json.dumps(style), encoding="utf-8")
        done = subprocess.run([validator, path], capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_style_names_nothing_outside_and_only_tile_columns():
    style = maplibre.map_style(CATALOG, BASE)
    assert style["glyphs"].startswith(BASE + "fonts/") and style["sprite"] == BASE + "sprites/onemap"
    assert "glyphs" not in maplibre.map_style(CATALOG) and "sprite" not in maplibre.map_style(CATALOG), "clients want whole addresses"
    for value in parts(style):
        assert not (isinstance(value, str) and value.startswith("http") and not value.startswith(BASE))
    for drawn in style["layers"][1:]:
        layer = CATALOG.layer(drawn["source"])
        wanted = set(re.findall(r'\["(?:get|has)", "(\w+)"\]', json.dumps(drawn)))
        assert wanted <= set(layer.tiles.columns), f"{drawn['id']} needs a column that is not in the tiles"


def test_colours_can_be_turned_for_the_night():
    """Every colour is #rrggbb."""
    for drawn in maplibre.map_style(CATALOG)["layers"]:
        for name, value in drawn["paint"].items():
            if name.endswith("-color"):
                texts = [v for v in parts(value) if isinstance(v, str) and v.startswith(("#", "rgb", "hsl"))]
                assert texts and all(re.fullmatch("#[0-9a-f]{6}", v) for v in texts)


def test_style_of_a_role_has_only_its_layers():
    sources = {role: set(maplibre.map_style(CATALOG, role=role)["sources"]) for role in ("anonymous", "water", "gas", "admin")}
    assert "road" in sources["anonymous"] and not any(s.endswith("_pipe") for s in sources["anonymous"])
    assert "water_pipe" in sources["water"] and "gas_pipe" not in sources["water"]
    assert "gas_pipe" in sources["gas"] and "water_pipe" not in sources["gas"]
    assert sources["admin"] == set(CATALOG.layers)


def test_labels_are_above_all_shapes():
    kinds = [drawn["type"] for drawn in maplibre.map_style(CATALOG)["layers"]]
    first = kinds.index("symbol")
    assert set(kinds[first:]) == {"symbol"}


def test_water_pipe_is_drawn_in_the_colour_of_cjj61_and_dashed_when_unused():
    drawn = {one["id"]: one for one in maplibre.layer_style(CATALOG.layer("water_pipe"))["layers"]}
    assert drawn["water_pipe"]["paint"]["line-color"] == "#00ffff"
    assert "line-dasharray" in drawn["water_pipe-unused"]["paint"] and "line-dasharray" not in drawn["water_pipe"]["paint"]
    assert "diameter_mm" in json.dumps(drawn["water_pipe"]["paint"]["line-width"])


@pytest.mark.parametrize(("color", "share"), [("#00ffff", 0.6), ("#000000", 0.6), ("#ffffff", 0.7), ("#4c3926", 0.7)])
def test_shade_is_a_colour_and_never_lighter(color, share):
    darker = maplibre.shade(color, share)
    assert re.fullmatch("#[0-9a-f]{6}", darker)
    assert all(int(darker[i : i + 2], 16) <= int(color[i : i + 2], 16) for i in (1, 3, 5))


# --- QGIS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", VECTORS, ids=lambda layer: layer.id)
def test_qml_has_aliases_value_maps_and_a_symbol_for_each_class(layer):
    root = ElementTree.fromstring(qml.style(layer))
    aliases = {a.get("field"): a.get("name") for a in root.iter("alias")}
    assert set(aliases) == set(layer.columns)
    assert all(aliases[n].startswith(column.title.zh) for n, column in layer.columns.items())
    for field in root.iter("field"):
        column = layer.columns[field.get("name")]
        widget = field.find("editWidget")
        assert (widget.get("type") == "ValueMap") == bool(column.codes)
        if column.codes:
            shown = {o.get("name"): o.get("value") for o in widget.iter("Option") if o.get("value") is not None}
            assert shown == {entry.zh: entry.code for entry in codes(column.codes)}
    renderer = root.find("renderer-v2")
    symbols = {s.get("name") for s in renderer.find("symbols")}
    asked = {c.get("symbol") for c in renderer.iter("category")} | {r.get("symbol") for r in renderer.iter("rule")}
    assert asked <= symbols and symbols
    assert root.findtext("layerGeometryType") == str(layer.dimension)
    assert {s.get("type") for s in renderer.find("symbols")} == {("marker", "line", "fill")[layer.dimension]}


def test_no_qml_for_a_raster():
    with pytest.raises(ValueError):
        qml.style(CATALOG.layer("dem"))


# --- pages and checks -------------------------------------------------------------------------------------------------


def test_page_names_every_field_check_and_role():
    layer = CATALOG.layer("water_valve")
    page = pages.page(layer, CATALOG)
    for name, column in layer.columns.items():
        assert f"`{name}`" in page and column.title.zh in page and column.title.en in page
    for check in layer.checks:
        assert check.code in page
    assert "供水 water" in page


def test_links_of_the_index_lead_to_pages():
    written = pages.render(CATALOG)
    assert set(re.findall(r"\]\((\w+\.md)\)", written["README.md"])) == {f"{i}.md" for i in CATALOG.layers}


def test_index_names_every_derived_code():
    derived = {check.code for layer in VECTORS for check in checks.derived(layer, CATALOG)}
    page = pages.index(CATALOG)
    assert all(f"| {code} |" in page for code in derived)


def test_the_docstring_of_checks_names_every_derived_code_and_level():
    for layer in VECTORS:
        for check in checks.derived(layer, CATALOG):
            row = re.search(rf"^{check.code} +(\S+).*\n( +/warning)?", checks.__doc__, re.MULTILINE)
            assert row and check.level in ([row.group(1), "warning"] if row.group(2) else [row.group(1)])


def test_check_sql_can_stand_in_a_larger_statement():
    for layer in VECTORS:
        for check in checks.of(layer, CATALOG):
            assert "%" not in check.sql and ";" not in check.sql
            assert check.title.zh and check.title.en and check.remedy.zh and check.remedy.en
            assert check.field is None or check.field in layer.columns or check.field == "geom"
