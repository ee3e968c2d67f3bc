"""The visitor that writes a project for QGIS: all layers by group, with Chinese names, styled, with code lists and valid time, over the
OGC API or straight from PostGIS, and the same layers as vector tiles. No QGIS is needed to write it, and no secret is in it: who logs
in stands in QGIS's own store of credentials, under the id that the project names (`authcfg`).

The elements are those that QGIS 3.22 writes itself and newer ones read; what is left out has its default.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from gis import crs
from gis.catalog import qgis_project_layers as layers
from gis.catalog import qml
from gis.catalog.model import GROUPS, Catalog, Layer
from gis.errors import InputError

STORED = layers.STORED
SPAN = "1950-01-01T00:00:00Z", "2050-01-01T00:00:00Z"
"""What the temporal controller runs over until somebody narrows it, in steps of a year."""
TILES_GROUP = "矢量瓦片（只看不查）"
AUTHCFG, AUTHCFG_DB = "onemap1", "onemap2"
"""The ids of QGIS's credentials, for the platform and for the database, that a planner gives them (docs/planner-qgis.md)."""
MEMBER = "onemap.qgs"
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP member can bear: the same project is the same file whenever it is written."""


@dataclass(frozen=True)
class Ways:
    """How a project reaches the data. url: the address of the platform; authcfg: the id of QGIS's credentials for it (None: nobody logs
    in); database: where vector layers come straight from PostGIS, else None; crs: in what vector layers are asked for over the API, the
    stored CRS or the city's working one. QGIS writes what it adds with six decimals: 0.1 m in degrees, so who edits surveyed layers
    takes the working CRS; a QGIS before 3.32 takes degrees for whatever it asked for, so the stored CRS is what everybody reads rightly."""

    url: str
    authcfg: str | None = None
    database: Database | None = None
    crs: str = STORED


@dataclass(frozen=True)
class Database:
    """service: the section of the reader's pg_service.conf that names host, port and database; authcfg: the id of QGIS's credentials."""

    service: str
    authcfg: str | None


def archive(seen: Catalog, ways: Ways) -> bytes:
    """A .qgz file: the project, packed. Equal for equal arguments, byte by byte."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        member = zipfile.ZipInfo(MEMBER, EARLIEST)
        member.compress_type = zipfile.ZIP_DEFLATED
        member.create_system = 3
        file.writestr(member, project(seen, ways))
    return made.getvalue()


def project(seen: Catalog, ways: Ways) -> str:
    """The project as XML: seen holds the layers (and their columns) that its reader may see. Raises InputError for an id of credentials
    that QGIS would not take, and for a CRS that layers are not asked for in."""
    for authcfg in (ways.authcfg, ways.database and ways.database.authcfg):
        _require_authcfg(authcfg)
    if ways.crs not in (STORED, seen.city.working_crs):
        raise InputError(f"layers are not asked for in {ways.crs[:40]!r}", where="crs", remedy=f"{STORED} or {seen.city.working_crs}")
    root = Xml.Element("qgis", version=qml.QGIS_VERSION, projectname=_title(seen))
    Xml.SubElement(root, "homePath", path="")
    Xml.SubElement(root, "title").text = _title(seen)
    Xml.SubElement(root, "trust", active="1")  # extents are taken from here: a million features are not read to open a project
    _srs(Xml.SubElement(root, "projectCrs"), seen.city.working_crs)
    made = _all_layers(seen, ways)
    root.append(_tree(seen, made))
    root.append(_canvas(seen))
    _time(root)
    inner = Xml.SubElement(root, "projectlayers")
    inner.extend(one.element for one in made)
    root.append(_properties(seen))
    Xml.indent(root, " ")
    return qml.DOCTYPE + Xml.tostring(root, encoding="unicode") + "\n"


def _title(seen: Catalog) -> str:
    return f"{seen.city.name.zh}一张图"


def _require_authcfg(authcfg: str | None) -> None:
    if authcfg and not (len(authcfg) == 7 and authcfg.isascii() and authcfg.isalnum()):
        raise InputError(
            f"{authcfg[:40]!r} is no id of QGIS credentials", where="authcfg", remedy="QGIS takes seven letters and digits, as in onemap1"
        )


# --- layers and their tree --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Made:
    layer: Layer
    tiled: bool
    element: Xml.Element

    @property
    def id(self) -> str:
        return self.element.findtext("id")


def _all_layers(seen: Catalog, ways: Ways) -> list[_Made]:
    made = []
    for layer in seen.layers.values():
        if layer.is_raster:
            made.append(_Made(layer, False, layers.raster(layer, seen.city, ways.url, ways.authcfg)))
            continue
        if ways.database:
            element = layers.from_postgis(layer, seen.city, ways.database.service, ways.database.authcfg)
        else:
            element = layers.from_api(layer, seen.city, ways.url, ways.authcfg, ways.crs)
        made.append(_Made(layer, False, element))
        made.append(_Made(layer, True, layers.vector_tiles(layer, seen.city, ways.url, ways.authcfg)))
    return made


def _tree(seen: Catalog, made: list[_Made]) -> Xml.Element:
    """Groups in their order, in each what is drawn above stands above; the tiles in a group of their own, switched off. What is drawn
    over what is the order of the whole map, whatever group it is in."""
    root = Xml.Element("layer-tree-group")
    real, tiled = [one for one in made if not one.tiled], [one for one in made if one.tiled]
    for group, title in GROUPS.items():
        _branch(root, title.zh, (one for one in real if one.layer.group == group), on=True)
    tiles = Xml.SubElement(root, "layer-tree-group", name=TILES_GROUP, checked="Qt::Unchecked", expanded="0")
    for group, title in GROUPS.items():
        _branch(tiles, title.zh, (one for one in tiled if one.layer.group == group), on=True)
    if not len(tiles):
        root.remove(tiles)
    order = Xml.SubElement(root, "custom-order", enabled="1")
    for one in sorted(made, key=_height, reverse=True):
        Xml.SubElement(order, "item").text = one.id
    return root


def _height(one: _Made) -> tuple:
    """Rasters lie under everything, areas under lines under points of the same order."""
    return (not one.layer.is_raster, one.layer.style.order, 2 - (one.layer.dimension or 0), one.layer.id)


def _branch(root: Xml.Element, title: str, members: Iterable[_Made], *, on: bool) -> None:
    members = sorted(members, key=_height, reverse=True)
    if not members:
        return
    branch = Xml.SubElement(root, "layer-tree-group", name=title, checked="Qt::Checked" if on else "Qt::Unchecked", expanded="1")
    for one in members:
        Xml.SubElement(
            branch, "layer-tree-layer", id=one.id, name=one.layer.title.zh, source=one.element.findtext("datasource"),
            providerKey=one.element.findtext("provider"), checked="Qt::Checked" if one.layer.style.visible else "Qt::Unchecked",
            expanded="0",
        )  # fmt: skip


# --- the project itself -----------------------------------------------------------------------------------------------


def _srs(parent: Xml.Element, name: str) -> None:
    layers.reference_system(parent, name)


def _canvas(seen: Catalog) -> Xml.Element:
    """The map opens with the city's extent, in its working CRS (x is easting there: QGIS draws maps, it does not write coordinates)."""
    canvas = Xml.Element("mapcanvas", name="theMapCanvas", annotationsVisible="1")
    Xml.SubElement(canvas, "units").text = "degrees" if crs.is_geographic(seen.city.working_crs) else "meters"
    west, south, east, north = seen.city.extent
    x, y = crs.transform([west, east, east, west], [south, south, north, north], crs.STORED, seen.city.working_crs)
    layers.rectangle(Xml.SubElement(canvas, "extent"), (x.min(), y.min(), x.max(), y.max()))
    Xml.SubElement(canvas, "rotation").text = "0"
    _srs(Xml.SubElement(canvas, "destinationsrs"), seen.city.working_crs)
    return canvas


def _time(root: Xml.Element) -> None:
    settings = Xml.SubElement(root, "ProjectTimeSettings", timeStep="1", timeStepUnit="y", frameRate="1", cumulativeTemporalRange="0")
    span = Xml.SubElement(settings, "TemporalRange")
    Xml.SubElement(span, "start").text, Xml.SubElement(span, "end").text = SPAN


def _properties(seen: Catalog) -> Xml.Element:
    """Lengths and areas are measured on the ellipsoid of CGCS2000, in metres and square metres."""
    root = Xml.Element("properties")
    system = Xml.SubElement(root, "SpatialRefSys")
    Xml.SubElement(system, "ProjectionsEnabled", type="int").text = "1"
    measure = Xml.SubElement(root, "Measure")
    Xml.SubElement(measure, "Ellipsoid", type="QString").text = ELLIPSOID
    units = Xml.SubElement(root, "Measurement")
    Xml.SubElement(units, "DistanceUnits", type="QString").text = "meters"
    Xml.SubElement(units, "AreaUnits", type="QString").text = "m2"
    return root


ELLIPSOID = "EPSG:1024"
"""CGCS2000 in the EPSG registry."""
