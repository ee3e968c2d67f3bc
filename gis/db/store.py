"""The store: what an analysis or a page asks for, as frames and rows, in one reading transaction with the caller's
role."""

from __future__ import annotations

import binascii
import contextlib
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import geopandas
import numpy
import pandas
import psycopg2.extensions
import psycopg2.extras
import pyarrow
import pyarrow.csv
import shapely
from psycopg2 import sql

from gis.catalog import read
from gis.catalog.model import Catalog, Layer
from gis.db.connection import reading, translating
from gis.errors import AccessDenied, InputError, NotFound

QUERIES = Path(__file__).parent / "sql" / "queries"
STORED_SRID = 4490

_ARROW = {
    "text": pyarrow.string(), "code": pyarrow.string(), "int": pyarrow.int64(), "real": pyarrow.float64(),
    "bool": pyarrow.bool_(), "date": pyarrow.date32(), "timestamp": pyarrow.string(), "texts": pyarrow.string(),
}  # fmt: skip


@lru_cache
def query_text(name: str) -> str:
    """The text of `gis/db/sql/queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text(encoding="utf-8")


class Store:
    """One reading transaction: everything asked of one store is seen as of one moment.

    `with Store(role, user) as store:`; the role decides what exists. Raises StoreError where the database fails.
    """

    def __init__(self, role: str = "admin", user: str = "", *, timeout_s: float | None = None):
        self.role, self.user, self._timeout_s = role, user, timeout_s
        self._stack = contextlib.ExitStack()
        self._connection: psycopg2.extensions.connection | None = None

    def __enter__(self) -> Store:
        transaction = reading(self.role, self.user, timeout_s=self._timeout_s)
        self._connection = self._stack.enter_context(transaction)
        return self

    def __exit__(self, *failure) -> bool | None:
        self._connection = None
        return self._stack.__exit__(*failure)

    @property
    def connection(self) -> psycopg2.extensions.connection:
        """The connection inside the transaction, for what frames and rows cannot say."""
        if self._connection is None:
            raise RuntimeError("a Store is used as a context manager: with Store(…) as store")
        return self._connection

    @cached_property
    def catalog(self) -> Catalog:
        return read.catalog()

    # --- what exists for this role ---

    def can_read(self, layer: str) -> bool:
        """Whether the layer exists, and for this role."""
        return layer in self.catalog.layers and self.catalog.layers[layer].readable_by(self.role)

    def require(self, layers: Sequence[str]) -> None:
        """Raises AccessDenied (401 while the caller is anonymous) where one of these layers is not for this role, or only a part of it."""
        part = [name for name in layers if self.can_read(name) and self.catalog.layers[name].part_for(self.role) is not None]
        if part:
            remedy = "Ask the administrator for the right"
            raise AccessDenied(f"This needs the whole of {', '.join(part)}; your rights cover a part", remedy=remedy)
        hidden = [layer for layer in layers if not self.can_read(layer)]
        if hidden:
            anonymous = self.role == "anonymous"
            remedy = "Log in, or send a key" if anonymous else "Ask the administrator for the right"
            raise AccessDenied("This needs data that your role may not read", remedy=remedy, anonymous=anonymous)

    def _layer(self, layer_id: str) -> Layer:
        if not self.can_read(layer_id):
            raise NotFound(f"no layer {layer_id!r}", remedy="See `onemap layers list`")
        layer = self.catalog.layers[layer_id]
        if layer.is_raster:
            raise InputError(f"{layer_id} is a raster; it has no features")
        return layer

    def version(self, layers: Sequence[str], scope: str | None = None) -> str:
        """The data version of these layers: an opaque text that changes with every batch published into one of them.

        Given a scope (a network's name), batches of other scopes do not count.
        """
        with translating(), self.connection.cursor() as cursor:
            cursor.execute("SELECT meta.data_version(%s, %s)", (list(layers), scope))
            return cursor.fetchone()[0]

    # --- named queries ---

    def rows(self, query: str, **parameters: Any) -> list[dict]:
        """The rows of the named file `gis/db/sql/queries/<query>.sql`, with `%(name)s` bound."""
        with translating(), self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(query_text(query), parameters)
            return [dict(row) for row in cursor.fetchall()]

    def frame_of(self, query: str, **parameters: Any) -> pandas.DataFrame:
        """The same as a frame (columns as the query names them)."""
        with translating(), self.connection.cursor() as cursor:
            cursor.execute(query_text(query), parameters)
            return pandas.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])

    # --- layers as frames ---

    def frame(
        self,
        layer: str,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        bbox: tuple[float, float, float, float] | None = None,
        at: dt.date | None = None,
        as_of: dt.datetime | None = None,
        geometry: bool = True,
        crs: str | None = None,
    ) -> geopandas.GeoDataFrame | pandas.DataFrame:
        """The features of a layer, ordered by fid.

        columns: those wanted (`fid` is one too); default: all that the role sees.
        where: column -> value, list of values, or None for null.
        bbox: west, south, east, north in degrees (EPSG:4490). at: in service on that day (valid time).
        as_of: as it was believed at that moment (recorded time). crs: "EPSG:…" to transform to, x before y; default
        EPSG:4490.
        Missing values are None/NaN; `int` with missing values becomes float64.
        Raises NotFound for a layer, InputError for a column that does not exist for this role.
        """
        definition = self._layer(layer)
        chosen = self._columns(definition, columns)
        conditions, values = self._conditions(definition, where, bbox, at, as_of)
        shape = _geometry(crs) if geometry else None
        table = self._selected(definition, chosen, shape, conditions, values, as_of, sql.SQL(" ORDER BY fid"))
        frame = _pandas(table, definition, chosen)
        if not geometry:
            return frame
        shapes = shapely.from_wkb(frame.pop("geometry").to_numpy(dtype=object, na_value=None))
        return geopandas.GeoDataFrame(frame, geometry=shapes, crs=crs or f"EPSG:{STORED_SRID}")

    def table(
        self,
        layer: str,
        columns: Sequence[str],
        where: Mapping[str, Any] | None = None,
        as_of: dt.datetime | None = None,
        geometry: bool = True,
    ) -> pyarrow.Table:
        """The same as an Arrow table in no order, for a million rows at once: `geometry` is EWKB (EPSG:4490), no object is made per
        value. Raises as `frame` does."""
        definition = self._layer(layer)
        conditions, values = self._conditions(definition, where, None, None, as_of)
        shape = sql.SQL("geom") if geometry else None
        found = self._selected(definition, self._columns(definition, columns), shape, conditions, values, as_of, sql.SQL(""))
        if geometry:
            place = found.column_names.index("geometry")
            shapes = pyarrow.chunked_array([_bytes(chunk) for chunk in found["geometry"].chunks], pyarrow.binary())
            found = found.set_column(place, "geometry", shapes)
        return found

    def _selected(self, definition: Layer, chosen, shape, conditions, values, as_of, order: sql.Composable) -> pyarrow.Table:
        """Rows of a layer's view (or of its history) as they come by COPY."""
        source = sql.Identifier("pub", f"{definition.id}_history" if as_of else definition.id)
        parts = [sql.Identifier(name) for name in chosen] + ([shape] if shape is not None else [])
        statement = sql.SQL("SELECT {} FROM {}{}{}").format(
            sql.SQL(", ").join(parts), source,
            sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""), order,
        )  # fmt: skip
        return self._copied(statement, values, _types(definition, chosen) | ({"geometry": pyarrow.string()} if shape is not None else {}))

    def _columns(self, layer: Layer, columns: Sequence[str] | None) -> list[str]:
        visible = list(layer.columns_for(self.role))
        if columns is None:
            return visible
        for name in columns:
            if name not in visible and name != "fid":
                raise InputError(f"{layer.id} has no column {name!r}", remedy="It has " + ", ".join(visible))
        return list(columns)

    def _conditions(self, layer: Layer, where, bbox, at, as_of) -> tuple[list[sql.Composable], list]:
        conditions: list[sql.Composable] = []
        values: list = []
        for name, value in (where or {}).items():
            self._columns(layer, [name])
            column = sql.Identifier(name)
            if value is None:
                conditions.append(sql.SQL("{} IS NULL").format(column))
            elif isinstance(value, (list, tuple, set, frozenset)):
                conditions.append(sql.SQL("{} = ANY (%s)").format(column))
                values.append(list(value))
            else:
                conditions.append(sql.SQL("{} = %s").format(column))
                values.append(value)
        if bbox is not None:
            conditions.append(sql.SQL("geom && ST_MakeEnvelope(%s, %s, %s, %s, {})").format(sql.Literal(STORED_SRID)))
            values += [float(edge) for edge in bbox]
        if at is not None:
            conditions.append(sql.SQL("(valid_from IS NULL OR valid_from <= %s) AND (valid_to IS NULL OR valid_to > %s)"))
            values += [at, at]
        if as_of is not None:
            conditions.append(sql.SQL("recorded_from <= %s AND (recorded_to IS NULL OR recorded_to > %s)"))
            values += [as_of, as_of]
        return conditions, values

    def _copied(self, statement: sql.Composable, values: list, types: dict[str, pyarrow.DataType]) -> pyarrow.Table:
        """The answer by COPY, parsed in bulk into typed columns, without an object per value, while the server still sends."""
        out, into = os.pipe()
        with ThreadPoolExecutor(1, thread_name_prefix="rows") as beside:
            found = beside.submit(_parsed, out, types)
            with os.fdopen(into, "wb", 1 << 18) as sink, translating(), self.connection.cursor() as cursor:
                selected = cursor.mogrify(statement, values).decode()
                cursor.copy_expert("COPY (" + selected + ") TO STDOUT (FORMAT csv)", sink)
            return found.result()


def _parsed(descriptor: int, types: dict[str, pyarrow.DataType]) -> pyarrow.Table:
    """The rows of a CSV text that comes through a pipe, read to its end whatever happens, so that the sender never waits for good."""
    with os.fdopen(descriptor, "rb", 1 << 16) as source:
        try:
            if not source.peek(1):
                return pyarrow.table({name: pyarrow.array([], kind) for name, kind in types.items()})
            return pyarrow.csv.open_csv(
                source,
                read_options=pyarrow.csv.ReadOptions(column_names=list(types), block_size=4 << 20),
                parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
                    true_values=["t"], false_values=["f"],
                ),
            ).read_all()  # fmt: skip
        finally:
            while not source.closed and source.read(1 << 20):
                pass


def _geometry(crs: str | None) -> sql.Composable:
    if crs is None or crs == f"EPSG:{STORED_SRID}":
        return sql.SQL("encode(ST_AsBinary(geom), 'hex')")
    name, _, code = crs.partition(":")
    if name != "EPSG" or not code.isdigit():
        raise InputError("A coordinate system is named EPSG:<number>", where=crs)
    return sql.SQL("encode(ST_AsBinary(ST_Transform(geom, {})), 'hex')").format(sql.Literal(int(code)))


def _bytes(digits: pyarrow.Array) -> pyarrow.Array:
    """Hexadecimal text as bytes, all values at once."""
    validity, bounds, data = digits.buffers()
    first = digits.offset
    bounds = numpy.frombuffer(bounds, numpy.int32)[first : first + len(digits) + 1]
    raw = binascii.unhexlify(data[bounds[0] : bounds[-1]]) if data is not None else b""
    halves = pyarrow.py_buffer(((bounds - bounds[0]) // 2).astype(numpy.int32))
    if digits.null_count and first:
        validity = pyarrow.array(digits.is_valid()).buffers()[1]
    return pyarrow.Array.from_buffers(pyarrow.binary(), len(digits), [validity, halves, pyarrow.py_buffer(raw)])


def _types(layer: Layer, columns: Sequence[str]) -> dict[str, pyarrow.DataType]:
    return {name: pyarrow.int64() if name == "fid" else _ARROW[layer.columns[name].type] for name in columns}


def _pandas(table: pyarrow.Table, layer: Layer, columns: Sequence[str]) -> pandas.DataFrame:
    frame = table.to_pandas()
    for name in columns:
        kind = layer.columns[name].type if name != "fid" else "int"
        if kind == "timestamp":
            frame[name] = pandas.to_datetime(frame[name], utc=True, format="ISO8601")
        elif kind == "texts":
            cast = psycopg2.extensions.STRINGARRAY
            frame[name] = pandas.Series([None if pandas.isna(v) else cast(v, None) for v in frame[name]], dtype=object, index=frame.index)
    return frame
