"""What a layer file can say, as types. `gis.catalog.read` fills them; each visitor (DDL, pygeoapi, style …) reads them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic import Field as Of

from gis.catalog import narrowing
from gis.crs import Shift
from gis.settings import settings

Name = Annotated[str, Of(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Role = Literal["anonymous", "planner", "water", "drainage", "gas", "heat", "power", "telecom", "address", "admin", "security", "auditor"]
GeometryType = Literal["Point", "PointZ", "LineString", "LineStringZ", "MultiPolygon", "MultiPolygonZ", "Raster"]
ROLES: tuple[str, ...] = get_args(Role)
WITHOUT_LAYERS = ("security", "auditor")
"""Administrators of users and readers of the audit: they see what anybody sees, and no layer file gives them more."""
Level = Literal["info", "warning", "error", "fatal"]
"""info and warning: the row is loaded; error: the row is rejected and kept; fatal: the whole batch is rejected."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Strict):
    """A text in Chinese and English."""

    zh: str
    en: str


class Column(Strict):
    """One field: its type, unit, range, code list and titles; `source` lists the names it has in deliveries."""

    type: Literal["text", "code", "int", "real", "bool", "date", "timestamp", "texts"]
    title: Text
    description: Text | None = None
    unit: str | None = None
    """UCUM: mm, m, L/s, %, [‰] …; shown behind the value."""
    required: bool = False
    min: float | dt.date | None = None
    max: float | dt.date | None = None
    max_length: int = 1000
    codes: str | None = None
    """A code list of `gis.standards`, `table.list`; for type code only."""
    pattern: str | None = None
    source: tuple[str, ...] = ()
    references: str | None = None
    """`layer.column` that must hold this value (within the same scope); checked after mapping as a finding."""
    dangling: dict = {}
    """A row (columns that differ from the good row) whose reference leads nowhere, where the value alone breaks another check too."""
    index: Literal["btree", "trgm"] | None = None
    unique: bool = False
    """No two rows of a delivery may hold the same value."""
    default: str | int | float | bool | None = None

    @model_validator(mode="after")
    def _codes_iff_code(self):
        if (self.type == "code") != (self.codes is not None):
            raise ValueError("a field of type code names its list in `codes`, and no other field does")
        return self


class Source(Strict):
    """Where deliveries of this layer come from and how to understand them."""

    files: tuple[str, ...] = ()
    """Patterns of file names in a delivery folder."""
    layer: str | None = None
    """The layer inside the file, where it holds several."""
    encoding: str | None = None
    """The encoding to assume where the file declares none."""
    crs: str | None = None
    """The CRS to assume where the file declares none."""
    lon: tuple[str, ...] = ("lon", "lng", "longitude", "经度", "x", "X")
    lat: tuple[str, ...] = ("lat", "latitude", "纬度", "y", "Y")
    max_rejected: float = 0.5
    """The share of rejected rows above which the whole batch is rejected."""


class Check(Strict):
    """A check that the types do not imply. `rule` is an SQL condition over the row's columns that must hold;
    `counterexample` is a row (columns that differ from the good row) that it must catch."""

    code: Annotated[str, Of(pattern=r"^[A-Z]{2,4}[0-9]{2,3}$")]
    level: Level
    rule: str
    title: Text
    remedy: Text
    source: str | None = None
    """Standard and clause."""
    counterexample: dict = {}


class Access(Strict):
    """Who reads, who writes. `columns` narrows: column -> roles that see it. admin always reads and writes, and what
    anonymous may read everybody may: the lists are completed so when they are read."""

    label: Literal["公开", "内部", "敏感"] = "内部"
    read: tuple[Role, ...] = ()
    write: tuple[Role, ...] = ()
    columns: dict[str, tuple[Role, ...]] = {}

    @field_validator("read", "write")
    @classmethod
    def _complete(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        return ROLES if "anonymous" in roles else tuple(role for role in ROLES if role in roles or role == "admin")

    @field_validator("columns")
    @classmethod
    def _complete_columns(cls, columns: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {column: cls._complete(roles) for column, roles in columns.items()}

    @model_validator(mode="after")
    def _consistent(self):
        if "anonymous" in self.write:
            raise ValueError("anonymous writes nothing")
        given = {role for roles in (self.read, self.write, *self.columns.values()) if "anonymous" not in roles for role in roles}
        if named := given.intersection(WITHOUT_LAYERS):
            raise ValueError(f"{', '.join(sorted(named))} see what anybody sees, and no layer beyond that")
        if blind := [role for role in self.write if role not in self.read]:
            raise ValueError(f"who writes must be able to read: {', '.join(blind)}")
        return self


class Tiles(Strict):
    group: Name | None = None
    """Layers asked for together (`water`), besides the group of their folder."""
    min_zoom: int = 10
    max_zoom: int = 16
    """Tiles above it are not made; clients over-zoom."""
    columns: tuple[str, ...] = ()
    simplify_px: float = 0.5
    """Tolerance of simplification in pixels of a 512-pixel tile, below max_zoom."""
    min_px: float = 0.5
    """Lines and areas smaller than this many pixels are left out below max_zoom."""
    thin_below: int | None = None
    """Points: below this zoom at most one feature per cell of 4 px, with the `count` of the points in it."""


class Case(Strict):
    """One class of a categorised style."""

    value: str | int
    color: str
    title: Text | None = None
    width: float = 1.0
    """Times the width or radius of the style."""
    min_zoom: float | None = None
    """Drawn from this zoom on."""
    symbol: str | None = None
    """As `Style.symbol`, for this class."""


class Style(Strict):
    color: str = "#666666"
    width: float = 1.5
    radius: float = 4.0
    opacity: float = 1.0
    outline: str | None = None
    dash: tuple[float, ...] = ()
    hollow: bool = False
    """Points: a ring in the colour instead of a disc; lines: a double line."""
    symbol: Annotated[str, Of(max_length=2)] | None = None
    """Points: the character in the middle."""
    icon: Literal["valve", "manhole", "hydrant", "source", "sensor"] | None = None
    """Points: a pictogram in the middle, where they are drawn large enough."""
    by: str | None = None
    """The column that the cases distinguish."""
    cases: tuple[Case, ...] = ()
    min_zoom: int | None = None
    """Drawn from this zoom on, where tiles begin earlier than the map needs them."""
    label: str | None = None
    label_min_zoom: int = 16
    order: int = 50
    """Drawing order, low is below."""
    visible: bool = True
    """Shown when the map opens."""


class Layer(Strict):
    """One layer, one file. `id` and `group` come from the file's name and folder."""

    id: Name
    group: Literal["base", "pipe", "address", "service", "grid", "sensor"]
    title: Text
    description: Text
    geometry: GeometryType
    key: tuple[str, ...] = ()
    """The columns that identify a feature; the feature id of the APIs is their values joined by `:`."""
    scope: str | None = None
    """A key column (`network`) that splits the layer: a replacing load touches only the scope that it delivers."""
    survey: bool = False
    """Surveyed: coordinates keep 1 mm (9 decimals of a degree); else 7 decimals are enough."""
    fields: dict[Name, Column] = {}
    source: Source = Source()
    checks: tuple[Check, ...] = ()
    example: dict = {}
    """A good row: its values pass every check (the tests prove it); `geometry` as WKT in EPSG:4490."""
    access: Access = Access()
    tiles: Tiles = Tiles()
    style: Style = Style()

    @property
    def is_raster(self) -> bool:
        return self.geometry == "Raster"

    @property
    def columns(self) -> dict[str, Column]:
        """All columns in order, the two of valid time last."""
        return {**self.fields, **VALID_TIME} if not self.is_raster else {}

    @property
    def flat(self) -> bool:
        """True where the stored geometry has no Z."""
        return not self.geometry.endswith("Z")

    @property
    def dimension(self) -> int | None:
        """0 points, 1 lines, 2 areas, None raster."""
        return {"Point": 0, "LineString": 1, "MultiPolygon": 2}.get(self.geometry.removesuffix("Z"))

    def readable_by(self, role: str) -> bool:
        """May this caller's role (see `gis.catalog.narrowing`) read the layer at all, on the network on which it is served?"""
        if self.access.label not in settings().labels_shown:
            return False
        part = self.part_for(role)
        return narrowing.base(role) in self.access.read and (part is None or part.shown)

    def writable_by(self, role: str) -> bool:
        """May this role change the layer? Whom rights narrow, changes nothing anywhere: his database role only reads."""
        return role in self.access.write and self.readable_by(role)

    def part_for(self, role: str) -> narrowing.Part | None:
        """What rights leave of the layer for a caller's role; None where they leave it whole."""
        return narrowing.part(self, role)

    def granted_columns(self, role: str) -> dict[str, Column]:
        """The columns that the layer file gives a role, in order."""
        restricted = self.access.columns
        return {name: column for name, column in self.columns.items() if role in restricted.get(name, ROLES)}

    def columns_for(self, role: str) -> dict[str, Column]:
        """The columns that this role may see, in order; none where it may not read the layer."""
        if not self.readable_by(role):
            return {}
        seen, part = self.granted_columns(narrowing.base(role)), self.part_for(role)
        if part is None or part.columns is None:
            return seen
        kept = part.columns.union(self.key, VALID_TIME)  # a feature always has its id and its time
        return {name: column for name, column in seen.items() if name in kept}

    def source_names(self, column: str) -> tuple[str, ...]:
        """The names that a delivery may give this column: its own first, then those of its `source`."""
        return (column, *(name for name in self.columns[column].source if name != column))


VALID_TIME: dict[str, Column] = {
    "valid_from": Column(
        type="date",
        title=Text(zh="生效日期", en="Valid from"),
        source=("valid_from", "生效日期", "建成日期", "敷设日期", "埋设日期", "启用日期", "Mdate"),
        description=Text(zh="自该日起在用，空为自始", en="In service from this day on; empty means since ever"),
    ),
    "valid_to": Column(
        type="date",
        title=Text(zh="失效日期", en="Valid to"),
        source=("valid_to", "失效日期", "废弃日期", "停用日期"),
        description=Text(zh="该日起不再在用，空为至今", en="No longer in service from this day on; empty means until further notice"),
    ),
}


GROUPS: dict[str, Text] = {
    "base": Text(zh="基础地理", en="Base map"),
    "pipe": Text(zh="地下管线", en="Pipelines"),
    "address": Text(zh="地名地址", en="Addresses"),
    "service": Text(zh="公共服务", en="Public services"),
    "grid": Text(zh="社会治理网格", en="Grid management"),
    "sensor": Text(zh="感知数据", en="Sensors"),
}
"""The groups of layers (the folders of the layer files) in their order, with titles."""


class AcceptanceLimits(Strict):
    """When a delivery is 合格 or 有条件合格: shares of its rows."""

    errors: tuple[float, float] = (0.0, 0.02)
    """Rejected rows: accepted up to the first share, accepted with conditions up to the second, refused above."""
    warnings: tuple[float, float] = (0.05, 0.30)
    """Rows with a warning, likewise."""
    filled: dict[str, float] = {}
    """Field (`material`: in every layer that has it) or layer and field (`water_pipe.diameter_mm`) → the share of rows that must
    fill it; less is a condition."""

    def least(self, layer: str, field: str) -> float | None:
        """The share of a layer's rows that must fill a field; None where nothing is asked."""
        return self.filled.get(f"{layer}.{field}", self.filled.get(field))


class DatumShift(Strict):
    """How an older datum becomes CGCS2000: `seven` parameters (dx, dy, dz m; rx, ry, rz arc seconds, position vector; scale ppm)
    or the path of an NTv2 `grid`; `source` says who determined them."""

    seven: tuple[float, float, float, float, float, float, float] | None = None
    grid: Path | None = None
    source: str

    @model_validator(mode="after")
    def _one(self):
        if (self.seven is None) == (self.grid is None):
            raise ValueError("give either `seven` parameters or a `grid`")
        return self


class City(Strict):
    """The city whose map this is (`layers/city.yaml`)."""

    code: Annotated[str, Of(pattern=r"^[0-9]{6}$")]
    name: Text
    province: Text | None = None
    city: Text | None = None
    """The prefecture-level city that it belongs to."""
    extent: tuple[float, float, float, float]
    """West, south, east, north in degrees (EPSG:4490)."""
    working_crs: Annotated[str, Of(pattern=r"^EPSG:[0-9]+$")]
    """The projected CRS of all metric work."""
    center: tuple[float, float]
    zoom: float = 13
    acceptance: AcceptanceLimits = AcceptanceLimits()
    datums: dict[Literal["beijing54", "xian80"], DatumShift] = {}
    """The way from each older datum to CGCS2000, where the bureau has one."""

    @property
    def shifts(self) -> dict[str, Shift]:
        """The same for `gis.crs.known_datum`."""
        return {k: Shift(v.seven or (), str(v.grid or "")) for k, v in self.datums.items()}

    @model_validator(mode="after")
    def _inside(self):
        west, south, east, north = self.extent
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError("extent is west, south, east, north in degrees")
        if not (west <= self.center[0] <= east and south <= self.center[1] <= north):
            raise ValueError("center is longitude, latitude inside the extent")
        return self

    @property
    def srid(self) -> int:
        """The EPSG number of the working CRS."""
        return int(self.working_crs.removeprefix("EPSG:"))


class Catalog(Strict):
    """The city and its layers, by id, in drawing order of their groups. A catalogue equals itself only: it can key a cache, and keeps
    what is cached for it from being taken for another's (an `id` is given again once its object is gone)."""

    city: City
    layers: dict[str, Layer]
    root: Path

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def layer(self, layer_id: str) -> Layer:
        """The layer with this id. Raises NotFound with the nearest names."""
        from difflib import get_close_matches

        from gis.errors import NotFound

        if layer_id in self.layers:
            return self.layers[layer_id]
        near = get_close_matches(layer_id, self.layers, 3)
        raise NotFound(f"no layer {layer_id!r}", remedy=f"Did you mean {', '.join(near)}?" if near else "See `onemap layers list`")

    @property
    def vectors(self) -> tuple[Layer, ...]:
        """The layers that are tables, in the order in which they can be loaded: what is referred to before what refers to it."""
        waiting = {layer.id: layer for layer in self.layers.values() if not layer.is_raster}
        placed: dict[str, Layer] = {}
        while waiting:
            ready = [
                layer
                for layer in waiting.values()
                if not {r.partition(".")[0] for c in layer.fields.values() if (r := c.references)} & (waiting.keys() - {layer.id})
            ] or list(waiting.values())[:1]
            for layer in ready:
                placed[layer.id] = waiting.pop(layer.id)
        return tuple(placed.values())

    def readable_by(self, role: str) -> dict[str, Layer]:
        """The layers that this role may read, by id."""
        return {layer_id: layer for layer_id, layer in self.layers.items() if layer.readable_by(role)}
