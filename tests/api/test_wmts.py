"""WMTS: read by GDAL as other platforms read it."""

from __future__ import annotations

import io
import threading
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import rowcol
from rasterio.warp import transform
from test_rasters import published
from werkzeug.serving import make_server

from gis.api import tile_grid

GRIDS = ("WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad")
NAMES = {"w": "http://www.opengis.net/wmts/1.0", "ows": "http://www.opengis.net/ows/1.1"}


@pytest.fixture
def picture(app) -> None:
    """An orthophoto whose quarters have four colours."""
    bands = np.zeros((3, 330, 330), "uint8")
    bands[:, :165, :165], bands[:, :165, 165:] = np.array([[[200]], [[30]], [[30]]]), np.array([[[30]], [[200]], [[30]]])
    bands[:, 165:, :165], bands[:, 165:, 165:] = np.array([[[30]], [[30]], [[200]]]), np.array([[[180]], [[180]], [[40]]])
    published("image", bands)


@pytest.fixture
def address(app):
    """The address of the application on a port of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_gdal_reads_the_raster_through_the_capabilities(planner, picture, address):
    """The colours that GDAL finds at a place through our capabilities are those of the file there, in all three grids."""
    header = f"X-API-Key: {planner.headers['X-API-Key']}"
    with rasterio.Env(GDAL_HTTP_HEADERS=header, GDAL_ENABLE_WMS_CACHE="NO", GDAL_HTTP_TIMEOUT="20"):
        for grid in GRIDS:
            url = f"WMTS:{address}/wmts?service=WMTS&request=GetCapabilities,layer=image,tilematrixset={grid}"
            with rasterio.open(url) as file:
                west, south, east, north = file.bounds
                inside = {"WebMercatorQuad": "EPSG:3857"}.get(grid, "EPSG:4326")
                for east_m, north_m, colour in ((497_500, 3_543_500, (200, 30, 30)), (502_500, 3_538_500, (180, 180, 40))):
                    (x,), (y,) = transform("EPSG:4548", inside, [east_m], [north_m])
                    assert west < x < east and south < y < north, "the place lies within the dataset"
                    view = file.overviews(1)[2] if file.overviews(1) else 1
                    row, column = rowcol(file.transform, x, y)
                    window = rasterio.windows.Window(column, row, view, view)
                    cells = file.read((1, 2, 3), window=window, out_shape=(3, 1, 1))[:, 0, 0]
                    assert np.abs(cells.astype(int) - colour).max() <= 2, grid


def test_the_capabilities_hold_what_one_may_see(planner, anyone, as_role, picture):
    document = planner.get("/wmts?SERVICE=WMTS&REQUEST=GetCapabilities")
    assert document.status_code == 200 and document.content_type == "application/xml; charset=utf-8"
    assert planner.get("/wmts/1.0.0/WMTSCapabilities.xml").data == document.data
    root = Xml.fromstring(document.data)
    assert root.get("version") == "1.0.0"
    layers = root.findall("w:Contents/w:Layer", NAMES)
    assert [layer.findtext("ows:Identifier", None, NAMES) for layer in layers] == ["image"]
    grids = {one.findtext("ows:Identifier", None, NAMES): one for one in root.findall("w:Contents/w:TileMatrixSet", NAMES)}
    assert set(grids) == set(GRIDS)
    national = grids["CGCS2000Quad"]
    assert national.findtext("ows:SupportedCRS", None, NAMES) == "urn:ogc:def:crs:EPSG::4490"
    assert [float(v) for v in national.findtext("w:TileMatrix/w:TopLeftCorner", None, NAMES).split()] == [90, -180], "latitude first"
    for role in ("anonymous", "address"):
        names = [
            layer.findtext("ows:Identifier", None, NAMES)
            for layer in Xml.fromstring(as_role(role).get("/wmts?service=wmts&request=getcapabilities").data).findall(
                "w:Contents/w:Layer", NAMES
            )
        ]
        assert names == (["image"] if role == "address" else []), role


def test_a_tile_by_key_value_pairs_and_by_its_address_is_the_same(planner, anyone, picture):
    for grid in GRIDS:
        x, y = tile_grid.at(grid, 14, 117.0, 32.0)
        named = f"/wmts?service=WMTS&request=GetTile&version=1.0.0&layer=image&style=default&format=image/png&TileMatrixSet={grid}"
        one = planner.get(f"{named}&TileMatrix=14&TileRow={y}&TileCol={x}")
        two = planner.get(f"/wmts/1.0.0/image/default/{grid}/14/{y}/{x}.png")
        three = planner.get(f"/collections/image/tiles/{grid}/14/{y}/{x}")
        assert one.status_code == 200 and one.content_type == "image/png" and one.data == two.data == three.data
        assert Image.open(io.BytesIO(one.data)).size == (256, 256)
        assert anyone.get(f"/wmts/1.0.0/image/default/{grid}/14/{y}/{x}.png").status_code == 404


WEB = "TileMatrixSet=WebMercatorQuad"
TILE = "service=WMTS&request=GetTile&layer="
MISTAKES = [
    ("", 400, "InvalidParameterValue", "service"),
    ("service=WMS&request=GetMap", 400, "InvalidParameterValue", "service"),
    ("service=WMTS&request=GetFeatureInfo", 400, "InvalidParameterValue", "request"),
    ("service=WMTS&request=GetCapabilities&AcceptVersions=2.0.0", 400, "InvalidParameterValue", "AcceptVersions"),
    (f"{TILE}image", 400, "MissingParameterValue", "TileMatrixSet"),
    (f"{TILE}image&{WEB}&TileMatrix=30", 400, "InvalidParameterValue", "tileMatrix"),
    (f"{TILE}image&{WEB}&TileMatrix=a", 400, "InvalidParameterValue", "tileMatrix"),
    (f"{TILE}image&TileMatrixSet=Nowhere&TileMatrix=12", 404, "InvalidParameterValue", None),
    (f"{TILE}image&style=red&{WEB}&TileMatrix=12", 400, "InvalidParameterValue", "style"),
    (f"{TILE}road&{WEB}&TileMatrix=12", 404, "InvalidParameterValue", None),
    (f"{TILE}<x>&{WEB}&TileMatrix=12", 404, "InvalidParameterValue", None),
]


def test_what_is_no_request_is_answered_by_an_exception_report(planner, picture):
    at = "&TileRow=1&TileCol=1"
    for query, status, code, where in MISTAKES:
        answer = planner.get(f"/wmts?{query}{at if 'TileMatrix=' in query else ''}")
        one = Xml.fromstring(answer.data).find("ows:Exception", NAMES)
        assert (answer.status_code, one.get("exceptionCode"), one.get("locator")) == (status, code, where), query
