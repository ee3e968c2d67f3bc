"""Every layer's good row passes all its checks, and every check catches its counterexample and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import psycopg2.extensions
import pytest

from gis.catalog import checks, ddl, read
from gis.catalog.model import Layer
from gis.catalog.quote import literal, name, names
from gis.db import cluster

CATALOG = read.catalog()
LAYERS = [layer for layer in CATALOG.layers.values() if not layer.is_raster]
CASES = [(layer, check) for layer in LAYERS for check in checks.of(layer, CATALOG)]


@pytest.fixture(scope="module")
def link(template: str) -> Iterator[psycopg2.extensions.connection]:
    """One connection to the empty template; every test rolls back, so nothing stays in it."""
    connection = psycopg2.connect(**cluster.parameters(template))
    yield connection
    connection.close()


@pytest.fixture
def cursor(link) -> Iterator[psycopg2.extensions.cursor]:
    with link.cursor() as cursor:
        yield cursor
    link.rollback()


def put(cursor, layer: Layer, row: dict, number: int) -> None:
    """A row into the stage, as the road in leaves it there (single polygons are multi-polygons already)."""
    columns = [n for n in layer.columns if n in row]
    cursor.execute(
        f"INSERT INTO {name('stage', layer.id)} ({names(columns)}, src_row, geom)"
        f" VALUES ({', '.join(['%s'] * len(columns))}, %s, ST_GeomFromText(%s, 4490))",
        [*(row[n] for n in columns), number, row.get("geometry")],
    )


def put_referenced(cursor, layer: Layer, row: dict, but: str | None = None) -> None:
    """What the row refers to, into `core` of the layers that must hold it; not for the column `but`."""
    for n, column in layer.columns.items():
        if column.references is None or row.get(n) is None or n == but:
            continue
        target_id, _, target_column = column.references.partition(".")
        target = CATALOG.layer(target_id)
        there = {**target.example, target_column: row[n]}
        if target.scope and row.get(target.scope) is not None:
            there[target.scope] = row[target.scope]
        columns = [c for c in target.columns if c in there]
        cursor.execute(
            f"INSERT INTO {name('core', target_id)} ({names(columns)}, geom)"
            f" VALUES ({', '.join(['%s'] * len(columns))}, {ddl.stored_geometry(target, 'ST_GeomFromText(%s, 4490)')})"
            " ON CONFLICT DO NOTHING",
            [*(there[c] for c in columns), target.example["geometry"]],
        )


def caught(cursor, layer: Layer) -> dict[str, set[int]]:
    """The codes that speak against each staged row: {code + field: rows}."""
    found: dict[str, set[int]] = {}
    for check in checks.of(layer, CATALOG):
        if check.kind == "row":
            cursor.execute(f"SELECT src_row FROM {name('stage', layer.id)} s WHERE {check.sql}")
        else:
            cursor.execute(check.sql)
        if rows := {row[0] for row in cursor.fetchall()}:
            found.setdefault(f"{check.code} {check.field}", set()).update(rows)
    return found


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.id)
def test_good_row_passes_every_check(cursor, layer):
    put_referenced(cursor, layer, layer.example)
    put(cursor, layer, layer.example, 1)
    assert caught(cursor, layer) == {}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.id)
def test_good_row_fits_the_table(cursor, layer):
    put(cursor, layer, layer.example, 1)
    columns = names(layer.columns)
    cursor.execute(
        f"INSERT INTO {name('core', layer.id)} ({columns}, geom) SELECT {columns}, {ddl.stored_geometry(layer)}"
        f" FROM {name('stage', layer.id)} s"
    )
    assert cursor.rowcount == 1


@pytest.mark.parametrize(("layer", "check"), CASES, ids=[f"{a.id}-{b.code}-{b.field}" for a, b in CASES])
def test_counterexample_yields_exactly_its_code(cursor, layer, check):
    good, bad = layer.example, {**layer.example, **check.counterexample}
    put_referenced(cursor, layer, good)
    put_referenced(cursor, layer, bad, but=check.field if check.code in ("PAT", "LEN", "REF") else None)
    if check.code in ("DUP", "UNI"):
        put(cursor, layer, {**good, **({} if check.code == "DUP" else check.counterexample)}, 1)
        put(cursor, layer, good, 2)
        assert caught(cursor, layer) == {f"{check.code} {check.field}": {2}}
        return
    put(cursor, layer, bad, 1)
    assert caught(cursor, layer) == {f"{check.code} {check.field}": {1}}


def test_one_statement_can_hold_every_row_check(cursor):
    """The road in runs them in one pass: the conditions must stand side by side."""
    layer = CATALOG.layer("address")
    put(cursor, layer, {**layer.example, "floor": 999, "stage": "gone"}, 1)
    pairs = ", ".join(
        f"({literal(check.code)}, {literal(check.field)}, {check.sql})" for check in checks.of(layer, CATALOG) if check.kind == "row"
    )
    cursor.execute(f"SELECT code, field FROM stage.address s CROSS JOIN LATERAL (VALUES {pairs}) v (code, field, bad) WHERE bad ORDER BY 1")
    assert cursor.fetchall() == [("COD", "stage"), ("RNG", "floor")]
