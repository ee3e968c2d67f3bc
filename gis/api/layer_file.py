"""A layer, or what a filter leaves of it, as a file: GeoPackage, FlatGeobuf, GeoParquet, Shapefile, CSV, DXF.

The rows go from PostgreSQL into the file in batches (COPY, Arrow, GDAL), so that a city takes no more memory than a street.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as parquet
import pyogrio
import shapely
from psycopg2 import sql

from gis import crs as systems
from gis.access import audit, limits
from gis.access.identity import Identity
from gis.api import drawing, select, shapefile
from gis.api.boxes import Target
from gis.api.table import FORMULA
from gis.catalog.model import Column, Layer
from gis.db.connection import reading
from gis.errors import InputError, StoreError

LONGEST_S = 600.0
"""How long the reading of one download may take."""
_BLOCK = 8 << 20
"""Bytes of a batch."""
_ARROW = {
    "text": pa.string(), "code": pa.string(), "texts": pa.string(), "int": pa.int64(), "real": pa.float64(),
    "bool": pa.bool_(), "date": pa.date32(), "timestamp": pa.timestamp("us"),
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A kind of file: its media type, the end of its name, GDAL's driver (None: written by Arrow)."""

    media: str
    suffix: str
    driver: str | None = None


FORMATS = {
    "gpkg": Format("application/geopackage+sqlite3", "gpkg", "GPKG"),
    "fgb": Format("application/vnd.flatgeobuf", "fgb", "FlatGeobuf"),
    "parquet": Format("application/vnd.apache.parquet", "parquet"),
    "shp": Format("application/zip", "shp.zip", "ESRI Shapefile"),
    "csv": Format("text/csv; charset=utf-8", "csv"),
    "dxf": Format("image/vnd.dxf", "dxf"),
}
ENCODINGS = ("UTF-8", "GBK")


@dataclass(frozen=True)
class Order:
    """What is to be written: the rows, the columns, the CRS, the kind of file, how its columns are called."""

    wanted: select.Wanted
    names: tuple[str, ...]
    target: Target
    format: str
    encoding: str = "UTF-8"
    titles: bool = False
    """Columns are called by their Chinese titles instead of their names."""

    @property
    def layer(self) -> Layer:
        return self.wanted.layer

    @property
    def srid(self) -> int:
        """The CRS that the file says it is in. x stands before y in files, whatever the authority says (GeoPackage 1.3, 2.1.3.1.2)."""
        return systems.STORED if self.target.uri == systems.CRS84 else int(self.target.uri.rsplit("/", 1)[-1])


@dataclass(frozen=True)
class Written:
    """A file, the number of features in it, and how many of their texts are not what they were, because the format cannot hold them."""

    path: Path
    n: int
    changed: int = 0


def write(order: Order, identity: Identity, folder: Path, is_wanted: Callable[[], bool] = lambda: True) -> Written:
    """Writes the file into a folder. The access is recorded before it is handed out. is_wanted: asked before every batch.

    Raises StoreError (no room, time is up), InputError where nobody wants it any more, and what the reading raises.
    """
    rows = folder / "rows.csv"
    n = _copied(order, identity, rows)
    path = folder / f"{order.layer.id}.{FORMATS[order.format].suffix}"
    asked = _Asked(is_wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a format cannot hold is told by ourselves
            changed = _WRITERS.get(order.format, _by_gdal)(order, _batches(order, rows, asked), path)
    except Exception as error:
        if asked.refused:  # however the writers' libraries pass it on
            raise InputError("nobody waits for the file any more") from None
        if isinstance(error, (OSError, pyogrio.errors.DataSourceError)):
            raise StoreError("the file cannot be written", remedy="See whether the disk is full") from error
        raise
    rows.unlink()
    area = order.wanted.area
    audit.record_access(identity, "download", order.layer, n=n, bbox=area and area.box, format=order.format)
    return Written(path, n, changed or 0)


class _Asked:
    """Whether somebody still wants the file; raises out of the stream of rows where nobody does."""

    def __init__(self, is_wanted: Callable[[], bool]):
        self._is_wanted, self.refused = is_wanted, False

    def go_on(self) -> None:
        if not self._is_wanted():
            self.refused = True
            raise InputError("nobody waits for the file any more")


def _copied(order: Order, identity: Identity, path: Path) -> int:
    """The rows as CSV, as PostgreSQL writes it: an empty field is NULL, a quoted empty one an empty text."""
    statement = select.Statement()
    columns = [_sql(order.layer.columns[name], name) for name in order.names]
    geometry = sql.SQL("encode(ST_AsBinary({}), 'hex')").format(
        select.coordinates(Target(order.target.uri, order.target.srid, False, True))
    )
    most = limits.allowance(identity).file_rows
    asked = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {}").format(
        sql.SQL(", ").join([*columns, geometry]),
        select.relation(order.layer, order.wanted.as_of),
        select.condition(order.wanted, statement),
        sql.SQL(", ").join(map(sql.Identifier, order.layer.key)),
        sql.Literal(most + 1 if most else None),
    )
    with reading(identity.role, identity.user, timeout_s=LONGEST_S) as connection, connection.cursor() as cursor, path.open("wb") as file:
        query = cursor.mogrify(asked, statement.parameters).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", file, size=1 << 20)
        n = cursor.rowcount
    if most and n > most:
        raise InputError(f"the file would hold more than {most} features", remedy="Ask for an area or by a filter, or for a higher limit")
    return n


def _sql(column: Column, name: str) -> sql.Composable:
    identifier = sql.Identifier(name)
    if column.type == "texts":
        return sql.SQL("array_to_string({}, '、')").format(identifier)
    return sql.SQL("{} AT TIME ZONE 'UTC'").format(identifier) if column.type == "timestamp" else identifier


def _batches(order: Order, rows: Path, asked: _Asked) -> pa.RecordBatchReader:
    """The rows as a stream of Arrow batches; geometry as WKB in the column `geometry`."""
    columns = order.layer.columns
    schema = pa.schema([*((name, _ARROW[columns[name].type]) for name in order.names), ("geometry", pa.binary())])
    called = pa.schema([pa.field(title, field.type) for title, field in zip([*_called(order), "geometry"], schema, strict=True)])
    return pa.RecordBatchReader.from_batches(called, _read(rows, schema, called, asked))


def _read(rows: Path, schema: pa.Schema, called: pa.Schema, asked: _Asked) -> Iterator[pa.RecordBatch]:
    if rows.stat().st_size == 0:
        return
    reader = pacsv.open_csv(
        rows,
        read_options=pacsv.ReadOptions(column_names=schema.names, block_size=_BLOCK),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types={field.name: pa.string() if field.name == "geometry" else field.type for field in schema},
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False, true_values=["t"], false_values=["f"],
        ),
    )  # fmt: skip
    for batch in reader:
        asked.go_on()
        arrays = [*batch.columns[:-1], _from_hex(batch.columns[-1])]
        yield pa.RecordBatch.from_arrays(arrays, schema=called)


def _from_hex(texts: pa.StringArray) -> pa.BinaryArray:
    """Hexadecimal texts as bytes, all at once."""
    texts = pa.concat_arrays([texts])  # without an offset
    valid, offsets, data = texts.buffers()
    first, last = (texts.offset, texts.offset + len(texts))
    at = pa.Array.from_buffers(pa.int32(), last + 1, [None, offsets]).to_numpy()
    packed = bytes.fromhex(data.slice(0, int(at[-1])).to_pybytes().decode()) if data else b""
    halves = pa.array(at[first:] // 2, pa.int32())
    return pa.BinaryArray.from_buffers(pa.binary(), len(texts), [valid, halves.buffers()[1], pa.py_buffer(packed)])


def _called(order: Order) -> list[str]:
    """How the columns of the file are called; a title that comes twice stays a name."""
    titles = [order.layer.columns[name].title.zh for name in order.names]
    return [title if order.titles and titles.count(title) == 1 else name for name, title in zip(order.names, titles, strict=True)]


# --- the kinds of files -----------------------------------------------------------------------------------------------


def _by_gdal(order: Order, rows: pa.RecordBatchReader, path: Path, **more) -> None:
    pyogrio.write_arrow(
        rows, path, layer=order.layer.id, driver=FORMATS[order.format].driver, geometry_name="geometry",
        geometry_type=_kind(order.layer), crs=systems.crs(order.srid).to_wkt(),
        layer_metadata={"label": order.layer.access.label} if FORMATS[order.format].driver == "GPKG" else None, **more,
    )  # fmt: skip


def _kind(layer: Layer) -> str:
    """The geometry type as OGC writes it: `LineString Z`."""
    return layer.geometry.removesuffix("Z") + (" Z" if layer.geometry.endswith("Z") else "")


def _shapefile(order: Order, rows: pa.RecordBatchReader, path: Path) -> int:
    """All parts of a shapefile in a ZIP, with the encoding in its .cpg and a sheet that says which field is which and which texts had to
    be changed; how many those are. Moments are texts: the format knows days only."""
    folder = path.parent / "shapefile"
    folder.mkdir()
    called = dict(zip(order.names, rows.schema.names[:-1], strict=True))
    names = shapefile.short_names(list(called.values()), order.encoding)
    types = [pa.string() if pa.types.is_timestamp(field.type) else field.type for field in rows.schema]
    schema = pa.schema(list(zip([*names, "geometry"], types, strict=True)))
    fitting = shapefile.Fitting(order.encoding, called.get(order.layer.key[-1]))
    fitted = pa.RecordBatchReader.from_batches(schema, fitting.fitted(rows, schema))
    _by_gdal(order, fitted, folder / f"{order.layer.id}.shp", encoding=order.encoding)
    titles = {called[name]: order.layer.columns[name].title.zh for name in order.names}
    sheet = fitting.sheet(titles, dict(zip(called.values(), names, strict=True)))
    (folder / f"{order.layer.id}.md").write_text(sheet, encoding="utf-8")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part in sorted(folder.iterdir()):
            archive.write(part, part.name)
    shutil.rmtree(folder)
    return fitting.changed


def _drawing(order: Order, rows: pa.RecordBatchReader, path: Path) -> int:
    """A drawing (AutoCAD 2010): each feature lies on the drawing layer of its class, its properties are its extended data under ONEMAP.
    How many of these had to be cut."""
    document = drawing.empty()
    head, tail = drawing.around(document)
    entities, by = drawing.Entities(document), order.layer.style.by
    at = order.names.index(by) if by in order.names else None
    with path.open("w", encoding="utf-8", errors="dxfreplace") as file:
        file.write(head)
        for batch in rows:
            shapes = shapely.from_wkb(batch.columns[-1].to_numpy(zero_copy_only=False))
            columns = [column.to_pylist() for column in batch.columns[:-1]]
            classes = [None] * len(batch) if at is None else columns[at]
            layers = [drawing.layer_name(order.layer.id if one is None else f"{order.layer.id}_{one}") for one in classes]
            names = rows.schema.names[:-1]
            said = [
                [f"{name}={value}" for name, value in zip(names, row, strict=True) if value is not None]
                for row in (zip(*columns, strict=True) if columns else [()] * len(batch))
            ]
            file.writelines(entities.written(shapes, layers, said))
        file.write(tail)
    return entities.changed


def _parquet(order: Order, rows: pa.RecordBatchReader, path: Path) -> None:
    """GeoParquet 1.1: WKB, and in the metadata what is in the column."""
    column = {"encoding": "WKB", "geometry_types": [_kind(order.layer)], "crs": systems.crs(order.srid).to_json_dict()}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    schema = rows.schema.with_metadata({b"geo": orjson.dumps(geo), b"label": order.layer.access.label.encode()})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _csv(order: Order, rows: pa.RecordBatchReader, path: Path) -> None:
    """UTF-8 with a mark, which Excel needs to read Chinese; the geometry as WKT, in a column of that name. Before a text that a spreadsheet
    would compute stands an apostrophe."""
    names = [*rows.schema.names[:-1], "wkt"]
    digits = order.target.decimals(order.layer.survey)
    with path.open("wb") as file:
        file.write("\ufeff".encode())
        header = pa.table({name: pa.array([], pa.string()) for name in names})
        pacsv.write_csv(header, file)
        for batch in rows:
            shapes = shapely.from_wkb(batch.columns[-1].to_numpy(zero_copy_only=False))
            texts = pa.array(shapely.to_wkt(shapes, rounding_precision=digits), pa.string())
            table = pa.table([*map(_harmless, batch.columns[:-1]), texts], names=names)
            pacsv.write_csv(table, file, pacsv.WriteOptions(include_header=False))


def _harmless(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring_regex(column, f"(?s)({FORMULA})", r"'\1")


_WRITERS = {"shp": _shapefile, "dxf": _drawing, "parquet": _parquet, "csv": _csv}


def format_of(text: str) -> str:
    """The kind of file that `f` asks for. Raises InputError."""
    if text not in FORMATS:
        raise InputError(f"format {text[:40]!r} is not offered here", where="f", remedy="One of " + ", ".join(FORMATS))
    return text


def new_folder() -> Path:
    """A folder for one download; who asked for it removes it."""
    return Path(tempfile.mkdtemp(prefix="onemap-download-"))
