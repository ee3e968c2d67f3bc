"""What each role may see, read from the layer files by a small reader of its own, and the rows with which a leak is found.

Every text of every planted row is a token that names its layer, its column and its row; so each answer tells by itself what it shows.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import shapely
import yaml
from psycopg2 import sql
from shapely.affinity import translate

from gis.db.connection import owner

FOLDER = Path(__file__).parents[2] / "layers"
ROLES = ("anonymous", "planner", "water", "drainage", "gas", "heat", "power", "telecom", "address", "admin", "security", "auditor")
ROWS = {"w": ("core", -0.06), "e": ("core", 0.06), "p": ("history", -0.06), "q": ("history", 0.06)}
"""The rows of each layer: believed today in the west and in the east, believed before in the west and in the east (table, degrees)."""
WEST = (116.85, 31.9, 116.97, 32.1)
TOKEN = re.compile(rb"zq([a-z0-9_]+?)xx([a-z0-9_]+?)xx([wepq])zq")
VALID_TIME = ("valid_from", "valid_to")


@dataclass(frozen=True)
class Expected:
    """One layer as its file says it."""

    id: str
    group: str
    title: str
    description: str
    geometry: str
    key: tuple[str, ...]
    fields: dict
    example: dict
    label: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    restricted: dict
    zooms: tuple[int, int]

    @property
    def is_raster(self) -> bool:
        return self.geometry == "Raster"

    def reads(self, role: str) -> bool:
        return "anonymous" in self.read or role == "admin" or role in self.read

    def sees(self, role: str, column: str) -> bool:
        return self.reads(role) and (column not in self.restricted or role == "admin" or role in self.restricted[column])

    def token(self, column: str, row: str) -> str:
        return f"zq{self.id}xx{column}xx{row}zq"

    def id_of(self, row: str) -> str:
        """The feature id of a planted row."""
        return ":".join(self.token(column, row) if self.is_text(column) else str(self.example[column]) for column in self.key)

    def is_text(self, column: str) -> bool:
        return self.fields[column]["type"] == "text"

    def shape(self, row: str) -> shapely.Geometry:
        """Where a planted row lies: the good row's place, moved; areas are small there, so that each lies on one side."""
        shape = shapely.from_wkt(self.example["geometry"])
        if self.geometry.startswith("Multi"):
            shape = shapely.MultiPolygon([shapely.box(116.999, 31.999, 117.001, 32.001)])
        return translate(shape, ROWS[row][1])


def layers() -> dict[str, Expected]:
    """All layers of the folder, by id."""
    found = {}
    for file in sorted(FOLDER.glob("*/*.yaml")):
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        access, tiles = said.get("access", {}), said.get("tiles", {})
        found[file.stem] = Expected(
            file.stem, file.parent.name, said["title"]["zh"], said["description"]["zh"], said["geometry"], tuple(said.get("key", ())),
            said.get("fields", {}), said.get("example", {}), access.get("label", "内部"), tuple(access.get("read", ())),
            tuple(access.get("write", ())), access.get("columns", {}), (tiles.get("min_zoom", 10), tiles.get("max_zoom", 16)),
        )  # fmt: skip
    return found


def plant(layer: Expected) -> None:
    """The four rows of a layer."""
    before, since = dt.datetime.now(dt.UTC) - dt.timedelta(days=2), dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO meta.batch (status, recorded_at, source) VALUES ('published', %s, %s) RETURNING id",
                       (before, f"zq{layer.id}xxsourcexxwzq.gpkg"))  # fmt: skip
        batch = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO meta.batch_layer (batch, layer, rows_read, rows_loaded, inserted) VALUES (%s, %s, 4, 4, 4)", (batch, layer.id)
        )
        if layer.is_raster:
            return
        for row, (schema, _) in ROWS.items():
            values = {c: v for c, v in layer.example.items() if c != "geometry"}
            values |= {column: layer.token(column, row) for column in layer.fields if layer.is_text(column)}
            values |= {"batch": batch, "recorded_from": before} | ({"recorded_to": since} if schema == "history" else {})
            shape = shapely.to_wkt(layer.shape(row), output_dimension=3, rounding_precision=7)
            cursor.execute(
                sql.SQL("INSERT INTO {} ({}, geom) VALUES ({}, {}(ST_GeomFromText({}, 4490)))").format(
                    sql.Identifier(schema, layer.id), sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join(map(sql.Literal, values.values())),
                    sql.SQL("ST_Force3D" if layer.geometry.endswith("Z") else "ST_Force2D"), sql.Literal(shape),
                )
            )  # fmt: skip


def plant_observations() -> None:
    """A value of each sensor that is believed today."""
    with owner() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO observed.series (sensor_id, parameter) SELECT sensor_id, 'pressure' FROM core.sensor")
        cursor.execute("INSERT INTO observed.value (at, value, batch, series) SELECT now(), 4711, 1, series FROM observed.series")


def tokens(body: bytes) -> set[tuple[str, str, str]]:
    """The tokens in an answer, as (layer, column, row)."""
    return {tuple(part.decode() for part in match) for match in TOKEN.findall(unpacked(body))}


def unpacked(body: bytes) -> bytes:
    """An answer as it is; of an archive what is in it."""
    if body[:2] != b"PK":
        return body
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return b"\n".join(archive.read(name) for name in archive.namelist())
