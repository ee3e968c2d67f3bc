"""A wrong layer file is told by file, line, key and remedy; a right one is read completely."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gis.catalog import read
from gis.catalog.model import ROLES
from gis.errors import DefinitionError, NotFound
from gis.settings import settings

LAYERS = settings().layers
WANTED = (
    "admin_area road road_node building water_body parcel dem image water_pipe water_node water_valve water_source hydrant "
    "water_connection sewer_pipe sewer_manhole rain_pipe gas_pipe gas_valve gas_node heat_pipe heat_node power_line power_node "
    "telecom_line telecom_node other_pipe other_node address door_plate place_name community facility grid_cell sensor"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the layer files that a test may spoil."""
    return Path(shutil.copytree(LAYERS, tmp_path / "layers"))


def spoil(folder: Path, file: str, old: str, new: str) -> int:
    """Replaces the first occurrence of a text in a layer file; the line (from 1) in which it begins."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


WRONG = [
    ("unknown key", "base/road.yaml", "geometry: LineString", "geometri: LineString", "geometri", "geometry"),
    ("unknown key of a field", "base/road.yaml", "unit: m, title", "units: m, title", "fields.width_m.units", "unit"),
    ("unknown type", "base/road.yaml", "{type: real, min: 0.5", "{type: float, min: 0.5", "fields.width_m.type", "float"),
    ("missing title", "base/road.yaml", "title: {zh: 道路, en: Roads}\n", "", "", "title"),
    ("half a title", "base/road.yaml", "title: {zh: 道路, en: Roads}", "title: {zh: 道路}", "title", "en"),
    ("unknown code list", "base/road.yaml", "codes: onemap.road_class",
     "codes: onemap.road_clas", "fields.class.codes", "onemap.road_class"),
    ("code without list", "base/road.yaml", "codes: onemap.road_class, ", "", "fields.class", ""),
    ("rule names no column", "base/road.yaml", "NOT (bridge AND tunnel)", "NOT (bridg AND tunnel)", "checks.0.rule", "bridge"),
    ("rule calls no function", "base/road.yaml", "NOT (bridge AND tunnel)", "pg_sleep(lanes) > 0", "checks.0.rule", ""),
    ("rule with a sub-query", "base/road.yaml", "NOT (bridge AND tunnel)", "lanes > (SELECT 1)", "checks.0.rule", ""),
    ("rule with a second statement", "base/road.yaml", "NOT (bridge AND tunnel)", "bridge; DROP TABLE x", "checks.0.rule", ""),
    ("rule with a comment", "base/road.yaml", "NOT (bridge AND tunnel)", '"bridge -- x"', "checks.0.rule", ""),
    ("reference to a missing layer", "base/road.yaml", "references: road_node.node_id",
     "references: road_nod.node_id", "fields.from_node.references", "road_node"),
    ("reference to a missing column", "base/road.yaml", "references: road_node.node_id",
     "references: road_node.nod_id", "fields.from_node.references", "node_id"),
    ("tile column missing", "base/road.yaml", "columns: [name, class", "columns: [nam, class", "tiles.columns.0", "name"),
    ("style column not in tiles", "base/road.yaml", "by: class", "by: oneway", "style.by", "tiles.columns"),
    ("style case not in the list", "base/road.yaml", "value: trunk", "value: trunc", "style.cases.1", "trunk"),
    ("unknown role", "base/road.yaml", "write: [planner]", "write: [planer]", "access.write.0", "planer"),
    ("key names no field", "base/road.yaml", "key: [road_id]", "key: [road]", "key.0", "road_id"),
    ("key may be empty", "base/road.yaml", "key: [road_id]", "key: [name]", "key.0", "required"),
    ("scope outside the key", "pipe/water_pipe.yaml", "key: [network, pipe_id]", "key: [pipe_id]", "scope", "key"),
    ("example of a wrong type", "base/road.yaml", "lanes: 6", "lanes: six", "example.lanes", ""),
    ("example not in the code list", "base/road.yaml", "class: trunk,", "class: trunc,", "example.class", ""),
    ("counterexample names no column", "base/road.yaml", "counterexample: {bridge",
     "counterexample: {brigde", "checks.0.counterexample.brigde", "bridge"),
    ("a check without counterexample", "base/road.yaml", "    counterexample: {bridge: true, tunnel: true}\n",
     "", "checks.0", "catches"),
    ("a code of the platform", "base/road.yaml", "code: RDS01", "code: GEO09", "checks.0.code", "prefix"),
    ("a code with another meaning", "base/admin_area.yaml", "code: ADM01", "code: BLD01", "checks.0.code", "another"),
    ("restricted key", "base/parcel.yaml", "columns: {owner: [planner]}",
     "columns: {parcel_id: [planner]}", "access.columns.parcel_id", "layer"),
    ("restricted column in tiles", "base/parcel.yaml", "columns: [land_use", "columns: [owner, land_use", "tiles.columns.0", "remove"),
    ("public pipes", "pipe/gas_pipe.yaml", "read: [planner, gas]", "read: [anonymous]", "access.read", "anonymous"),
    ("writer who cannot read", "pipe/gas_pipe.yaml", "write: [gas]", "write: [water]", "access", ""),
    ("name of the platform", "base/road.yaml", "  lanes:", "  fid:", "fields.fid", "another name"),
    ("capital letters", "base/road.yaml", "  lanes:", "  Lanes:", "fields.Lanes", ""),
    ("min above max", "base/road.yaml", "min: 1, max: 20", "min: 30, max: 20", "fields.lanes.min", "Exchange"),
    ("default out of the list", "base/road.yaml", "default: both", "default: none", "fields.oneway.default", ""),
    ("given twice", "base/road.yaml", "key: [road_id]", "key: [road_id]\nkey: [name]", "key", "Keep one"),
    ("id given", "base/road.yaml", "key: [road_id]", "id: road\nkey: [road_id]", "id", "Remove"),
    ("a number as key", "base/road.yaml", "  lanes:", "  1:", "fields", "quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "key", "remedy"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_layer_file(folder, file, old, new, key, remedy):
    line = spoil(folder, file, old, new)
    with pytest.raises(DefinitionError) as caught:
        read.read(folder)
    error = caught.value
    assert file in error.where
    assert f"key {key}" in error.where or not key
    assert remedy in error.remedy + error.what
    assert error.remedy
    told = int(error.where.partition("line ")[2].partition(",")[0])
    assert abs(told - line) <= 6 or not key, "the line is at the mistake"


def test_line_is_exact(folder):
    line = spoil(folder, "base/road.yaml", "  lanes: {type: int", "  lanes: {type: integer")
    with pytest.raises(DefinitionError, match=r"lanes") as caught:
        read.read(folder)
    assert f"line {line}," in caught.value.where


def test_not_yaml(folder):
    spoil(folder, "base/road.yaml", "key: [road_id]", "key: [road_id")
    with pytest.raises(DefinitionError, match="not YAML") as caught:
        read.read(folder)
    assert "base/road.yaml, line" in caught.value.where


def test_not_utf8(folder):
    (folder / "base/road.yaml").write_bytes("title: 道路".encode("gbk"))
    with pytest.raises(DefinitionError, match="UTF-8"):
        read.read(folder)


def test_empty_file(folder):
    (folder / "base/road.yaml").write_text("")
    with pytest.raises(DefinitionError, match="missing"):
        read.read(folder)


def test_same_layer_twice(folder):
    shutil.copy(folder / "base/road.yaml", folder / "grid/road.yaml")
    with pytest.raises(DefinitionError, match="two layers") as caught:
        read.read(folder)
    assert "base/road.yaml" in caught.value.where and "grid/road.yaml" in caught.value.where


def test_unknown_group(folder):
    (folder / "pipes").mkdir()
    shutil.copy(folder / "base/road.yaml", folder / "pipes/other.yaml")
    with pytest.raises(DefinitionError) as caught:
        read.read(folder)
    assert "pipe/" in caught.value.remedy


def test_wrong_suffix(folder):
    (folder / "base/road.yaml").rename(folder / "base/road.yml")
    with pytest.raises(DefinitionError, match="yaml"):
        read.read(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(DefinitionError):
        read.read(tmp_path / "nowhere", LAYERS / "city.yaml")


@pytest.mark.parametrize(("old", "new", "key"), [
    ('code: "999901"', 'code: "9999"', "code"),
    ("extent: [116.80, 31.82, 117.20, 32.18]", "extent: [31.82, 116.80, 32.18, 117.20]", "extent"),
    ("center: [117.0, 32.0]", "center: [32.0, 117.0]", "center"),
    ("working_crs: EPSG:4548", "working_crs: CGCS2000", "working_crs"),
])  # fmt: skip
def test_wrong_city(folder, old, new, key):
    spoil(folder, "city.yaml", old, new)
    with pytest.raises(DefinitionError) as caught:
        read.read(folder)
    assert "layers/city.yaml" in caught.value.where
    assert key in caught.value.where + str(caught.value)


def test_every_layer_is_there():
    catalog = read.catalog()
    assert set(catalog.layers) == set(WANTED.split())
    assert catalog is read.catalog(), "read once"


def test_every_vector_layer_has_valid_time_last():
    for layer in read.catalog().vectors:
        assert list(layer.columns)[-2:] == ["valid_from", "valid_to"]


def test_layers_come_after_what_they_refer_to():
    order = [layer.id for layer in read.catalog().vectors]
    for layer in read.catalog().vectors:
        for column in layer.fields.values():
            target = (column.references or layer.id).partition(".")[0]
            assert target == layer.id or order.index(target) < order.index(layer.id)


def test_no_pipe_is_public_and_the_admin_sees_all():
    catalog = read.catalog()
    assert not any(layer.readable_by("anonymous") for layer in catalog.layers.values() if layer.group == "pipe")
    assert set(catalog.readable_by("admin")) == set(catalog.layers)
    for role in ROLES:
        assert set(catalog.readable_by("anonymous")) <= set(catalog.readable_by(role)), "what is public is so for everybody"


def test_restricted_columns():
    catalog = read.catalog()
    assert "owner" not in catalog.layer("parcel").columns_for("anonymous")
    assert "owner" in catalog.layer("parcel").columns_for("planner")
    connection = catalog.layer("water_connection")
    assert {"customer_name", "phone"} & set(connection.columns_for("planner")) == set()
    assert {"customer_name", "phone"} <= set(connection.columns_for("water"))
    assert connection.columns_for("gas") == {}
    assert "officer" not in catalog.layer("grid_cell").columns_for("water")


def test_unknown_layer_names_the_nearest():
    with pytest.raises(NotFound) as caught:
        read.catalog().layer("water_pip")
    assert "water_pipe" in caught.value.remedy


def test_the_layer_of_the_guide_is_right(folder):
    guide = (LAYERS.parent / "docs/adding-a-layer.md").read_text(encoding="utf-8")
    (folder / "pipe/cover.yaml").write_text(guide.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    assert read.read(folder).layer("cover").key == ("cover_id",)
