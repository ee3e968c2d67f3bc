"""The callers of the matrix of rights, what each may see, and how an answer is looked into."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from os import environ

import numpy
import orjson
import pytest
from api_rows import Caller
from expected_rights import ROLES, VALID_TIME, WEST, Expected, layers, plant, plant_observations, unpacked
from psycopg2 import sql
from rasterio import open as open_raster
from rasterio.transform import from_bounds
from shapely import box

from gis.access import accounts, identity, rights
from gis.api.app import create_app
from gis.api.tile_cache import cache
from gis.db.connection import fetch, owner
from gis.settings import settings

BEFORE = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=36)).strftime("%Y-%m-%dT%H:%M:%SZ")
NEVER = "never_was"
LAYERS = layers()
"""As their files say, by the tests' own reader."""

NARROW = {
    "water_pipe": {"area": True},
    "water_valve": {"columns": ("network", "valve_id", "kind", *VALID_TIME)},
    "water_node": {"hidden": True},
    "hydrant": {"rows": "w"},
    "address": {"area": True},
    "community": {"area": True},
    "door_plate": {"area": True},
    "place_name": {"area": True},
    "sensor": {"area": True},
}
"""What rights leave the user `west` of the role water: see the fixture `matrix`."""


THOROUGHLY = ("anonymous", "planner", "water", "address", "west")
"""Callers who ask in every form; the others ask every route in its first."""


class Seen:
    """What one caller may see: of each layer the columns and the rows."""

    def __init__(self, role: str, narrow: dict | None = None):
        self.role, self._narrow = role, narrow or {}

    def layer(self, layer: Expected) -> bool:
        return layer.reads(self.role) and not self._narrow.get(layer.id, {}).get("hidden")

    def column(self, layer: Expected, column: str) -> bool:
        return self.layer(layer) and layer.sees(self.role, column) and column in self._narrow.get(layer.id, {}).get("columns", [column])

    def row(self, layer: Expected, row: str) -> bool:
        narrow = self._narrow.get(layer.id, {})
        return ("area" not in narrow or layer.shape(row).intersects(box(*WEST))) and ("rows" not in narrow or row in narrow["rows"])

    @property
    def is_narrowed(self) -> bool:
        return bool(self._narrow)

    def is_whole(self, layer: Expected) -> bool:
        return layer.id not in self._narrow

    def token(self, layer_id: str, column: str, row: str) -> bool:
        layer = LAYERS[layer_id]
        if column == "source":  # the name of the file delivered: for who sees all of the layer
            return self.layer(layer) and self.is_whole(layer)
        return self.column(layer, column) and self.row(layer, row)

    def tokens(self, layer: Expected, rows: str) -> set[tuple[str, str, str]]:
        """All tokens that a listing of these rows shows."""
        texts = [column for column in layer.fields if layer.is_text(column) and self.column(layer, column)]
        return {(layer.id, column, row) for row in rows if self.row(layer, row) for column in texts}


class Asker(Caller):
    """A caller who remembers what was answered about what never was."""

    def __init__(self, client, headers):
        super().__init__(client, headers)
        self._known = {}

    @staticmethod
    def ways(pattern: str) -> list[tuple[str, str, dict]]:
        """Ways to ask a path wrongly or unusually: (method, what is behind the path, headers)."""
        asked = [("GET", f"{'&' if '?' in pattern else '?'}{mistake}", {}) for mistake in _MISTAKES]
        return asked + [("GET", "", dict([one])) for one in _CONDITIONS.items()] + [(method, "", {}) for method in _METHODS]

    @staticmethod
    def require_recorded(answer, found: set[tuple[str, str, str]], what: str) -> None:
        """Whatever shows a value of a layer that is not public has left a row in the audit: of that layer, by that request."""
        shown = {layer for layer, column, _ in found if LAYERS[layer].label != "公开" and column != "source"}
        if shown:
            left = fetch("auditor", "", _NEWEST, {"request": answer.headers["X-Request-Id"]})
            assert shown <= {row[0] for row in left}, f"{what} shows {shown} and leaves no trace"

    def never(self, path: str):
        if path not in self._known:
            self._known[path] = self.get(path)
        return self._known[path]


@pytest.fixture(scope="module")
def matrix(module_db) -> Iterator[dict[str, tuple[Asker, Seen]]]:
    """The application over planted rows, and its callers by name: one per role, and `west`, whom rights narrow."""
    for name in ("ONEMAP_AT_ONCE", "ONEMAP_HEAVY_AT_ONCE"):  # tests/access says what limits do
        environ[name] = "0"
    settings.cache_clear()
    identity.forget()
    cache.clear()
    for layer in LAYERS.values():
        plant(layer)
        if layer.is_raster:
            _raster(layer.id)
    plant_observations()
    app = create_app()
    callers = {"anonymous": (Asker(app.test_client(), {}), Seen("anonymous"))}
    for role in ROLES[1:]:
        accounts.add_user(f"test-{role}", role)
        callers[role] = (_with_key(app, f"test-{role}"), Seen(role))
    accounts.add_user("west", "water", department="西城所")
    area = ",".join(map(str, WEST))
    rights.add("user", "west", "water_pipe", area=area)
    rights.add("user", "west", "water_valve", columns=("kind",))
    rights.add("department", "西城所", "water_node", last_day=dt.date.today() - dt.timedelta(days=1))
    rights.add("department", "西城所", "hydrant", filter=f"hydrant_id = '{LAYERS['hydrant'].token('hydrant_id', 'w')}'")
    rights.add("department", "西城所", "address/", area=area)
    rights.add("user", "west", "sensor", area=area)
    callers["west"] = (_with_key(app, "west"), Seen("water", NARROW))
    yield callers
    for name in ("ONEMAP_AT_ONCE", "ONEMAP_HEAVY_AT_ONCE"):
        del environ[name]


def _with_key(app, user: str) -> Asker:
    return Asker(app.test_client(), {"X-API-Key": accounts.new_key(user)})


def _raster(layer_id: str) -> None:
    folder = settings().home / "raster"
    folder.mkdir(parents=True, exist_ok=True)
    view = {"width": 20, "height": 20, "count": 1, "dtype": "float32", "crs": "EPSG:4490", "transform": from_bounds(*WEST, 20, 20)}
    with open_raster(folder / f"{layer_id}.tif", "w", driver="GTiff", **view) as file:
        file.write_band(1, numpy.add.outer(numpy.arange(20.0), numpy.arange(20.0)))


def tile_of(layer: Expected, row: str) -> str:
    """The tile of the layer's largest zoom in which a planted row lies: z/y/x of WebMercatorQuad."""
    at, z = (box(*WEST).centroid if layer.is_raster else layer.shape(row).centroid), layer.zooms[1]
    n = 2**z
    y = (1 - math.asinh(math.tan(math.radians(at.y))) / math.pi) / 2 * n
    return f"{z}/{int(y)}/{int((at.x + 180) / 360 * n)}"


def path_for(pattern: str, layer: Expected, name: str | None = None) -> str:
    """The path for a layer, or the same with another name."""
    is_raster = layer.is_raster
    z, y, x = tile_of(layer, "w").split("/")
    item, gone = ("x", "x") if is_raster else (layer.id_of("w"), layer.id_of("p"))
    named = name or layer.id
    return pattern.format(
        layer=named, near=named[:-1], item=item, gone=gone, group=layer.group, before=BEFORE,
        tile=f"{z}/{y}/{x}", eastern=tile_of(layer, "e"), z=z, y=y, x=x,
    )  # fmt: skip


def bare(answer, layer: Expected) -> tuple:
    """An answer without what names the request or what was asked: to compare what is hidden with what never was."""
    body = answer.get_data()
    body = re.sub(rb'"(requestId|timeStamp|instance)":\s*"[^"]*"', b"", body)
    body = re.sub(rb"\b[0-9a-f]{16}\b", b"", body)
    body = body.replace(NEVER.encode(), b"@").replace(layer.id.encode(), b"@")
    heads = {name: text.replace(NEVER, "@").replace(layer.id, "@") for name, text in answer.headers if name not in _OWN_HEADERS}
    return answer.status_code, heads, body


_OWN_HEADERS = ("X-Request-Id", "Content-Length", "Date", "ETag")
"""That differ from answer to answer, or with the length of a name."""

_MISTAKES = (
    "f=bogus", "f=html", "limit=x", "bbox=1", "datetime=x", "as-of=x", "filter=x(", "filter=pipe_id = 'x'", "sortby=x", "properties=x",
    "crs=x", "cursor=x", "since=x", "resultType=hits", "history=x", "never=1", "f=json&f=json", "skipGeometry=x", "coords=POINT(117 32)",
    "encoding=x",
)  # fmt: skip
_CONDITIONS = {"If-None-Match": '"x"', "If-Match": '"1.1"', "Range": "bytes=0-1", "Accept": "text/html", "Prefer": "respond-async"}
_NEWEST = sql.SQL(
    "SELECT layer FROM (SELECT * FROM access.audit ORDER BY id DESC LIMIT 100) a WHERE detail ->> 'request' = %(request)s AND n > 0"
)
_METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")


def text_of(answer) -> str:
    """What is written in an answer, in an archive too."""
    return unpacked(answer.get_data()).decode("utf-8", "replace")


def is_named(layer: Expected, body: str) -> bool:
    """Whether an answer names a layer."""
    names = (f'"{layer.id}"', f"/{layer.id}/", f"/{layer.id}?", f"/{layer.id}<", f"pub.{layer.id}", layer.description)
    return any(name in body for name in names)


def contents() -> dict[str, int]:
    """How many rows each layer has, and when the newest was written."""
    found = {}
    with owner() as connection, connection.cursor() as cursor:
        for layer in LAYERS.values():
            if not layer.is_raster:
                cursor.execute(f'SELECT count(*), max(recorded_from) FROM core."{layer.id}"')
                found[layer.id] = cursor.fetchone()
    return found


def questions(column: str) -> list[tuple[str, dict]]:
    """Every way to ask about a column, as (path behind the layer, how)."""
    cql2 = {"op": "like", "args": [{"property": column}, "zq%"]}
    texts = (f"{column}=x", f"sortby={column}", f"sortby=-{column}", f"properties={column}", f"filter={column} IS NULL",
             f"filter={column} LIKE 'zq%25'", f"filter=CASEI({column}) = 'x'", f"filter=NOT ({column} = 'x')",
             f"resultType=hits&filter={column} = 'x'", f"f=csv&properties={column}")  # fmt: skip
    asked = [(f"items?{text}", {}) for text in texts]
    asked += [(f"download?f=csv&{text}", {}) for text in (f"{column}=x", f"properties={column}", f"filter={column} IS NULL")]
    asked += [("items", {"json": cql2}), (f"items?filter-lang=cql2-json&filter={orjson.dumps(cql2).decode()}", {})]
    return asked
