"""The QGIS project as it is written: the same file every time, nothing in it that its reader may not see, no secret."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

import pytest

from gis.access.roles import visible_catalog
from gis.catalog import qgis_project as projects
from gis.catalog import read
from gis.errors import InputError

CATALOG = read.catalog()
URL = "https://map.example.cn/onemap/"
EVERYTHING = projects.Ways(URL, "onemap1", projects.Database("onemap", "onemap2"))


def written(role: str, ways: projects.Ways = EVERYTHING) -> ElementTree.Element:
    return ElementTree.fromstring(projects.project(visible_catalog(CATALOG, role), ways))


def test_the_archive_is_the_same_every_time_and_holds_the_project():
    seen = visible_catalog(CATALOG, "planner")
    made = projects.archive(seen, EVERYTHING)
    assert made == projects.archive(seen, EVERYTHING)
    with zipfile.ZipFile(io.BytesIO(made)) as file:
        assert file.namelist() == [projects.MEMBER]
        assert file.read(projects.MEMBER).decode() == projects.project(seen, EVERYTHING)


@pytest.mark.parametrize("role", ["anonymous", "water", "address", "admin"])
@pytest.mark.parametrize("ways", [projects.Ways(URL, "onemap1"), EVERYTHING], ids=["api", "postgis"])
def test_nothing_is_named_that_the_role_may_not_see(role, ways):
    seen = visible_catalog(CATALOG, role)
    text = projects.project(seen, ways)
    for layer in CATALOG.layers.values():
        assert (f"onemap_layer_{layer.id}<" in text) == (layer.id in seen.layers)
        if layer.id not in seen.layers:
            assert f">{layer.title.zh}<" not in text and f"/{layer.id}/" not in text
    if "customer_name" not in getattr(seen.layers.get("water_connection"), "columns", {}):
        assert "customer_name" not in text
    if role != "admin" and role != "address":
        assert '"token' not in text


def test_layers_are_reached_as_their_reader_reaches_them():
    sources = {one.findtext("id"): one.findtext("datasource") for one in written("planner", projects.Ways(URL)).iter("maplayer")}
    assert sources["onemap_layer_road"] == (
        "pagingEnabled='true' restrictToRequestBBOX='1' srsname='EPSG:4490' typename='road' url='https://map.example.cn/onemap/' "
        "version='OGC_API_FEATURES'"
    )
    assert sources["onemap_tiles_road"] == (
        "type=xyz&url=https://map.example.cn/onemap/collections/road/tiles/WebMercatorQuad/{z}/{y}/{x}?f%3Dmvt&zmin=8&zmax=15"
    )
    assert sources["onemap_layer_dem"].startswith("type=xyz&url=https://map.example.cn/onemap/collections/dem/tiles/WebMercatorQuad/{z}")
    direct = {one.findtext("id"): one.findtext("datasource") for one in written("planner").iter("maplayer")}
    assert direct["onemap_layer_road"].startswith("service='onemap' authcfg=onemap2 key='fid'")
    assert all("authcfg=onemap" in source for source in direct.values())
    assert not [source for source in direct.values() if "password" in source or "user=" in source]


def test_the_map_opens_on_the_city():
    canvas = written("anonymous").find("mapcanvas")
    corners = {name: float(canvas.findtext(f"extent/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")}
    assert canvas.findtext("destinationsrs/spatialrefsys/authid") == "EPSG:4548"
    # 117° E is the central meridian of EPSG:4548 (false easting 500 km), 0.2° of longitude at 32° N some 18.9 km
    assert corners["xmin"] == pytest.approx(481_100, abs=100) and corners["xmax"] == pytest.approx(518_900, abs=100)
    assert corners["ymin"] == pytest.approx(3_521_900, abs=200) and corners["ymax"] == pytest.approx(3_561_900, abs=200)


def test_who_edits_takes_the_working_crs():
    road = next(
        one for one in written("planner", projects.Ways(URL, crs="EPSG:4548")).iter("maplayer") if one.findtext("id") == "onemap_layer_road"
    )
    assert "srsname='EPSG:4548'" in road.findtext("datasource") and road.findtext("srs/spatialrefsys/authid") == "EPSG:4548"
    assert float(road.findtext("extent/xmin")) == pytest.approx(481_100, abs=200)


@pytest.mark.parametrize(
    "ways",
    [projects.Ways(URL, "a"), projects.Ways(URL, "onemap'1"), projects.Ways(URL, "七个汉字的名字"), projects.Ways(URL, crs="EPSG:3857")],
)
def test_what_qgis_would_not_take_is_refused(ways):
    with pytest.raises(InputError):
        written("planner", ways)
