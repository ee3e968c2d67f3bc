"""The layer files against the database: what adds is done, what replaces is done, what would destroy is refused with a
reason."""

from __future__ import annotations

import pytest

from gis.catalog import read
from gis.catalog.model import Access, Catalog, Column, Layer, Text
from gis.db import plan
from gis.db.connection import owner, reading
from gis.errors import AccessDenied, StoreError

pytestmark = pytest.mark.usefixtures("store_db")


def _text(text: str) -> Text:
    return Text(zh=text, en=text)


def _column(kind: str = "text", **more) -> Column:
    return Column(type=kind, title=_text("列"), **more)


def _catalog(columns: dict[str, Column] | None = None, **more) -> Catalog:
    """The city's catalog with one layer more, `bench` (a seat in a park)."""
    whole = read.catalog()
    fields = {"bench_id": _column(required=True)} | (columns or {})
    bench = Layer(
        **{"id": "bench", "group": "base", "title": _text("长椅"), "description": _text("公园里"), "geometry": "Point",
           "key": ("bench_id",), "fields": fields, "access": Access(read=("anonymous",))} | more
    )  # fmt: skip
    return whole.model_copy(update={"layers": {**whole.layers, "bench": bench}})


def _asked(question: str):
    with owner() as link, link.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0] if cursor.description else None


def _add_bench() -> None:
    _asked("INSERT INTO core.bench (bench_id, geom) VALUES ('1', ST_Point(117, 32, 4490))")


def _kinds(catalog: Catalog) -> set[tuple[str, str]]:
    return {(change.kind, change.text) for change in plan.plan(catalog)}


def test_the_layer_files_are_applied_completely():
    assert plan.plan(read.catalog()) == []


def test_a_new_layer_is_added_and_then_nothing_is_left_to_do():
    catalog = _catalog()
    assert _kinds(catalog) == {("adds", "bench: new layer")}
    plan.apply(catalog)
    assert plan.plan(catalog) == []
    with reading("anonymous") as link, link.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pub.bench")
        assert cursor.fetchone() == (0,)


def test_a_new_column_is_added_to_rows_that_are_there_and_seen_through_the_views():
    plan.apply(_catalog())
    _add_bench()
    wider = _catalog({"seats": _column("int", required=True, default=3), "wood": _column("texts")})
    assert {("adds", "bench.seats: new column"), ("adds", "bench.wood: new column")} <= _kinds(wider)
    plan.apply(wider)
    assert plan.plan(wider) == []
    assert _asked("SELECT seats FROM pub.bench") == 3
    assert _asked("SELECT count(wood) FROM pub.bench_history") == 0
    assert _asked("SELECT count(*) FROM stage.bench WHERE seats IS NULL") == 0


def test_rights_taken_away_in_the_file_are_taken_away_in_the_database():
    plan.apply(_catalog())
    closed = _catalog(access=Access(read=("water",)))
    assert _kinds(closed) == {("replaces", "bench: grants")}
    plan.apply(closed)
    with pytest.raises(AccessDenied), reading("anonymous") as link, link.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pub.bench")


def test_an_index_no_longer_defined_goes_and_an_administrators_own_stays():
    plan.apply(_catalog({"wood": _column(index="btree")}))
    _asked("CREATE INDEX my_own ON core.bench (bench_id)")
    plain = _catalog({"wood": _column()})
    plan.apply(plain)
    assert plan.plan(plain) == []
    assert _asked(
        "SELECT array_agg(indexname::text) FROM pg_indexes WHERE tablename = 'bench' AND indexname IN ('my_own', 'bench_wood_idx')"
    ) == ["my_own"]


def test_a_column_may_stop_being_required_and_become_so_while_no_row_lacks_it():
    strict, loose = _catalog({"wood": _column(required=True)}), _catalog({"wood": _column()})
    plan.apply(strict)
    plan.apply(loose)
    assert plan.plan(loose) == []
    plan.apply(strict)
    assert plan.plan(strict) == []
    plan.apply(loose)
    _add_bench()
    assert ("destroys", "bench.wood: now required, but rows have no value for it") in _kinds(strict)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: _catalog({"seats": _column("real")}), "bigint in the database, double precision"),
        (lambda: _catalog(), "seats: the column is no longer in the layer file"),
        (lambda: _catalog({"seats": _column("int")}, geometry="LineString"), "geometry"),
        (lambda: _catalog({"seats": _column("int", required=True)}, key=("bench_id", "seats")), "the key is"),
        (lambda: _catalog({"seats": _column("int"), "wood": _column(required=True)}), "new and required"),
        (lambda: read.catalog(), "bench: the table has no layer file"),
    ],
)
def test_what_would_destroy_is_refused_and_nothing_at_all_is_done(change, reason: str):
    plan.apply(_catalog({"seats": _column("int")}))
    _add_bench()
    catalog = change()
    assert any(found.kind == "destroys" and reason in found.text for found in plan.plan(catalog))
    before = _asked("SELECT json_agg(a ORDER BY a) FROM (SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attnum > 0) a")
    with pytest.raises(StoreError, match="numbered migration"):
        plan.apply(catalog)
    assert before == _asked(
        "SELECT json_agg(a ORDER BY a) FROM (SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attnum > 0) a"
    )
