"""Features that are created, replaced, changed and deleted (OGC API Features part 4), as the caller may: what his role does not see he
neither reads nor writes, and it stays as it is.

The version of a feature is its number and the batch that it came with: what a client got as ETag it sends back as If-Match, and where the
feature was changed since, nothing is done (412).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson
import shapely
from psycopg2 import sql

from gis import crs as systems
from gis.access.identity import Identity, caller
from gis.api import boxes, select
from gis.catalog.model import Column, Layer
from gis.catalog.narrowing import base
from gis.catalog.read import catalog
from gis.db.connection import writing
from gis.errors import AccessDenied, InputError, NotFound, Stale
from gis.ingest import edit

_TAG = re.compile(r'^(?:W/)?"([0-9]+\.[0-9]+)(?:-[^"]*)?"$')
_OTHER_MEMBERS = ("type", "id", "geometry", "properties", "bbox", "links", "title", "crs", "coordRefSys", "time", "place", "conformsTo")
"""What a feature may bring besides (RFC 7946, JSON-FG, and the links that it was given out with); it says nothing that is kept."""


@dataclass(frozen=True)
class Given:
    """A feature as it came. properties: those that it speaks of; has_geometry: whether it speaks of its geometry; uri: the CRS of its
    coordinates; strict: whether a warning is to refuse it."""

    id: str | None
    properties: dict[str, object]
    has_geometry: bool
    geometry: shapely.Geometry | None
    uri: str
    strict: bool = False


@dataclass(frozen=True)
class Known:
    """A feature as it is stored, as far as the caller sees it."""

    fid: int
    version: str
    values: dict[str, object]
    geometry: shapely.Geometry

    def id(self, layer: Layer) -> str:
        return feature_id(layer, self.values)


@dataclass(frozen=True)
class Done:
    """What became of a request: the feature's id, its batch (None: nothing was to be changed), its version now, the warnings."""

    id: str
    batch: int | None
    version: str
    findings: list[edit.Finding]


def require_writer(layer: Layer) -> Identity:
    """Who asks, where his role may write the layer. Raises AccessDenied: 401 while he is anonymous, else 403."""
    identity = caller.get()
    if not layer.writable_by(identity.role):
        raise AccessDenied(
            f"the role {base(identity.role)} may not edit {layer.id}",
            remedy="Log in" if identity.is_anonymous else "Ask the administrator for a role that may write this layer",
            anonymous=identity.is_anonymous,
        )
    return identity


def tag(version: str, uri: str = "") -> str:
    """The ETag of a version of a feature, in the CRS with this URI: strong, so another one for each way to write its coordinates."""
    return f'"{version}-{uri.rsplit("/", 1)[-1] or "CRS84"}"'


def feature_id(layer: Layer, values: dict[str, object]) -> str:
    """The id of a feature: the values of its key joined by ':'."""
    return ":".join(str(values[name]) for name in layer.key)


# --- what came --------------------------------------------------------------------------------------------------------


def read(layer: Layer, body: bytes, content_crs: str | None, offered: list[str]) -> Given:
    """The feature that a body holds (GeoJSON; a merge patch has the same members). content_crs: the header Content-Crs (part 2, 7.8), else
    CRS84; offered: the CRSs of the collection. Raises InputError."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InputError("the body is not JSON", where="body", remedy="Send one GeoJSON feature") from None
    if not isinstance(found, dict) or found.get("type", "Feature") != "Feature":
        raise InputError("the body is no GeoJSON feature", where="body", remedy="Send one feature: type, geometry, properties")
    if strange := next((name for name in found if name not in _OTHER_MEMBERS), None):
        raise InputError(f"a feature has no member {strange[:40]!r}", where="body", remedy="Columns belong into properties")
    properties = {} if found.get("properties") is None else found["properties"]
    if not isinstance(properties, dict):
        raise InputError("properties is no object", where="properties")
    columns = layer.columns_for(caller.get().role)
    if unknown := next((name for name in properties if name not in columns), None):
        raise InputError(
            f"layer {layer.id} has no property {unknown[:60]!r}", where=unknown[:60], remedy=f"It has {', '.join(columns)}"[:600]
        )
    identifier = found.get("id")
    uri = _crs(content_crs, offered)
    return Given(
        None if identifier is None else str(identifier), properties, "geometry" in found, _geometry(found.get("geometry"), uri), uri
    )


def _crs(content_crs: str | None, offered: list[str]) -> str:
    if content_crs is None:
        return systems.CRS84
    uri = content_crs.strip().removeprefix("<").removesuffix(">")
    if uri not in (*offered, systems.CRS84, systems.CRS84 + "h"):
        raise InputError(f"CRS {uri[:80]!r} is not one of this collection", where="Content-Crs", remedy="See its list of crs")
    return uri


def _geometry(found: object, uri: str) -> shapely.Geometry | None:
    """A GeoJSON geometry with x before y, whatever the CRS's order is."""
    if found is None:
        return None
    wrong = InputError("the geometry is no GeoJSON geometry", where="geometry", remedy='{"type": "Point", "coordinates": [117.0, 32.0]}')
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise wrong
    try:
        shape = shapely.from_geojson(orjson.dumps({"type": found["type"], "coordinates": found.get("coordinates")}))
    except (shapely.errors.GEOSException, ValueError, TypeError):
        raise wrong from None
    if systems.is_northing_easting(boxes.code_of(uri)) and shape is not None:
        shape = shapely.transform(shape, lambda p: p[:, [1, 0, *range(2, p.shape[1])]], include_z=bool(shape.has_z))
    return shape


# --- the four -----------------------------------------------------------------------------------------------------------


def create(layer: Layer, given: Given) -> Done:
    """A new feature. Raises Conflict where its id is taken, edit.Refused with what its checks found."""
    identity = require_writer(layer)
    columns = layer.columns_for(identity.role)
    with writing(identity.role, identity.user) as connection, connection.cursor() as cursor:
        edit.lock(cursor, layer)
        values, geometry, findings = _judged(
            cursor, layer, identity, dict.fromkeys(columns) | given.properties, {}, given, strict=given.strict
        )
        identifier = feature_id(layer, values)
        if given.id not in (None, identifier):
            raise InputError(f"the id {given.id[:80]!r} is not that of the key ({identifier[:80]})", where="id", remedy="Leave it out")
        if _find(cursor, layer, columns, identifier) is not None:
            raise edit.taken(identifier)
        done = edit.write(cursor, catalog(), layer, "insert", identifier, given=values, geometry=geometry,
                          scope=_scope(layer, values), findings=findings)  # fmt: skip
        _require_visible(cursor, layer, columns, identifier)
    return Done(identifier, done.batch, f"{done.fid}.{done.batch}", done.findings)


@dataclass(frozen=True)
class Unless:
    """What the caller makes an edit depend on: the headers If-Match and If-None-Match (RFC 9110, 13.1)."""

    match: str | None = None
    none_match: str | None = None

    def require(self, version: str | None) -> None:
        """Raises Stale where the feature is not of a version that he wants changed; None: there is no feature."""
        if self.match is not None and (version is None or not _names(self.match, version)):
            raise Stale(
                "the feature was changed since it was read",
                where="If-Match",
                remedy="Read it again, and repeat the change where it still holds",
            )
        if self.none_match is not None and version is not None and _names(self.none_match, version):
            raise Stale("there is such a feature", where="If-None-Match", remedy="Leave the header out to change what is there")


def _names(header: str, version: str) -> bool:
    """Whether a list of ETags names a version; `*` names any."""
    tags = [_TAG.match(one.strip()) for one in re.findall(r'(?:W/)?"[^"]*"', header)]
    return header.strip() == "*" or version in {found[1] for found in tags if found}


def replace(layer: Layer, identifier: str, given: Given, unless: Unless = Unless()) -> Done:
    """The feature as given: what it does not speak of is empty or has its default, except what the caller does not see, which stays.
    Raises NotFound, Stale, edit.Refused."""
    return _change(layer, identifier, given, unless, partly=False)


def update(layer: Layer, identifier: str, given: Given, unless: Unless = Unless()) -> Done:
    """The feature, changed in what is given (RFC 7396): null empties, the rest stays. Raises NotFound, Stale, edit.Refused."""
    return _change(layer, identifier, given, unless, partly=True)


def _change(layer: Layer, identifier: str, given: Given, unless: Unless, *, partly: bool) -> Done:
    identity = require_writer(layer)
    columns = layer.columns_for(identity.role)
    with writing(identity.role, identity.user) as connection, connection.cursor() as cursor:
        edit.lock(cursor, layer)
        known = _require(cursor, layer, columns, identifier, unless)
        _require_same_key(layer, known, given)
        kept = known.values if partly else {name: known.values[name] for name in layer.key}
        spoken = given.properties if partly else dict.fromkeys(columns) | given.properties
        spoken = {name: value for name, value in spoken.items() if name not in layer.key}
        values, geometry, findings = _judged(
            cursor, layer, identity, spoken, kept, given if given.has_geometry or not partly else None, known, strict=given.strict
        )
        done = edit.write(cursor, catalog(), layer, "update", known.id(layer), fid=known.fid, given=values, geometry=geometry,
                          scope=_scope(layer, values), findings=findings)  # fmt: skip
        _require_visible(cursor, layer, columns, known.id(layer))
    version = known.version if done.batch is None else f"{done.fid}.{done.batch}"
    return Done(known.id(layer), done.batch, version, done.findings)


def delete(layer: Layer, identifier: str, unless: Unless = Unless()) -> Done:
    """The feature goes; its history stays. Raises NotFound, Stale, Conflict where others cannot do without it."""
    identity = require_writer(layer)
    columns = layer.columns_for(identity.role)
    with writing(identity.role, identity.user) as connection, connection.cursor() as cursor:
        edit.lock(cursor, layer)
        known = _require(cursor, layer, columns, identifier, unless)
        done = edit.write(cursor, catalog(), layer, "delete", known.id(layer), fid=known.fid, scope=_scope(layer, known.values))
    return Done(known.id(layer), done.batch, "", done.findings)


def _judged(
    cursor,
    layer: Layer,
    identity: Identity,
    spoken: dict,
    kept: dict,
    given: Given | None,
    known: Known | None = None,
    *,
    strict: bool = False,
) -> tuple[dict, shapely.Geometry, list[edit.Finding]]:
    """Values and geometry as they are stored (spoken: as they came; kept: as they are), and the warnings. Raises edit.Refused."""
    table, findings = edit.understood(layer, spoken)
    values = kept | edit.row(table)
    if given is None:
        geometry = known.geometry
    else:
        target = boxes.target(given.uri)
        geometry = edit.stored_geometry(
            layer, given.geometry, table, boxes.code_of(given.uri), known=known and known.geometry, digits=target.decimals(layer.survey)
        )
    wrong, before = {finding.field for finding in findings}, known and known.values
    findings = findings + edit.judged(cursor, catalog(), layer, values, geometry, identity.role, but=wrong, known=before)
    return values, geometry, edit.require_good(findings, strict=strict)


def _find(cursor, layer: Layer, columns: dict[str, Column], identifier: str) -> Known | None:
    """The feature as the caller sees it now."""
    statement = select.Statement()
    read_ = sql.SQL(", ").join([sql.SQL("f.fid, f.batch, ST_AsEWKB(f.geom)"), *(sql.Identifier("f", name) for name in columns)])
    composed = None if "\0" in identifier else select.one(layer, columns, identifier, None, read_, statement)
    if composed is None:
        return None
    cursor.execute(composed, statement.parameters)
    found = cursor.fetchone()
    if found is None:
        return None
    fid, batch, geometry, *values = found
    return Known(fid, f"{fid}.{batch or 0}", dict(zip(columns, values, strict=True)), shapely.from_wkb(bytes(geometry)))


def _require(cursor, layer: Layer, columns: dict[str, Column], identifier: str, unless: Unless) -> Known:
    """The feature that is to be changed, where it is still what the caller saw. Raises NotFound, Stale."""
    known = _find(cursor, layer, columns, identifier)
    unless.require(known and known.version)
    if known is None:
        raise NotFound("No such feature")
    return known


def _require_same_key(layer: Layer, known: Known, given: Given) -> None:
    """The URL says which feature is meant; a body that says another is a mistake, not a new name."""
    if given.id not in (None, known.id(layer)):
        raise InputError(
            f"the body's id {given.id[:80]!r} is not that of the URL",
            where="id",
            remedy="A feature keeps its id: create another and delete it",
        )
    for name in layer.key:
        said = given.properties.get(name)
        if said is not None and str(said) != str(known.values[name]):
            raise InputError(
                f"{name} {str(said)[:80]!r} is not that of the URL",
                where=name,
                remedy="A feature keeps its id: create another and delete it",
            )


def _require_visible(cursor, layer: Layer, columns: dict[str, Column], identifier: str) -> None:
    """Nobody may make a feature, or make of one, what he may not see."""
    if _find(cursor, layer, columns, identifier) is None:
        raise AccessDenied("the feature would lie outside what you may see", remedy="Ask whoever is responsible for that area")


def _scope(layer: Layer, values: dict[str, object]) -> str | None:
    return str(values[layer.scope]) if layer.scope else None
