"""What the store answers: every type as it went in, filtered by value, place and both times, and only what the role
sees."""

from __future__ import annotations

import datetime as dt

import pandas
import pytest

from gis.catalog import read
from gis.db.connection import owner
from gis.db.store import Store
from gis.errors import AccessDenied, InputError, NotFound

pytestmark = pytest.mark.usefixtures("store_db")

AWKWARD = '府前街 "81号",\n\\N 二楼\t'


def _run(statement: str, *values) -> None:
    with owner() as link, link.cursor() as cursor:
        cursor.execute(statement, values)


def _place(key: str, name: str, lon: float = 117.0, **more) -> None:
    columns = ["name_id", "name", "kind", *more]
    _run(
        f"INSERT INTO core.place_name ({', '.join(columns)}, geom) VALUES (%s, %s, 'road'{', %s' * len(more)}, ST_Point(%s, 32, 4490))",
        key, name, *more.values(), lon,
    )  # fmt: skip


def _names(**asked) -> list[str]:
    with Store("anonymous") as store:
        return store.frame("place_name", ["name"], geometry=False, **asked)["name"].tolist()


def test_texts_come_back_as_they_went_in_and_empty_is_not_missing():
    _place("1", AWKWARD, aliases=["旧名,一", 'a"b', ""], pinyin="", code=None)
    with Store("anonymous") as store:
        row = store.frame("place_name").iloc[0]
    assert row["name"] == AWKWARD
    assert row["aliases"] == ["旧名,一", 'a"b', ""]
    assert row["pinyin"] == ""
    assert pandas.isna(row["code"])
    assert (row.geometry.x, row.geometry.y) == (117.0, 32.0)


def test_an_empty_layer_is_an_empty_frame_with_its_columns_and_crs():
    with Store("admin") as store:
        frame = store.frame("water_pipe")
    assert len(frame) == 0
    assert list(frame.columns) == [*read.catalog().layers["water_pipe"].columns, "geometry"]
    assert frame.crs.to_epsg() == 4490


def test_numbers_flags_dates_and_heights_keep_their_types():
    _run(
        """INSERT INTO core.water_pipe (network, pipe_id, from_node, to_node, diameter_mm, status, valid_from, geom)
           VALUES ('city', 'p', 'a', 'b', 300, '0', '2020-05-06', ST_SetSRID('LINESTRING Z (117 32 1.5, 117.1 32
           2)'::geometry, 4490))"""
    )
    with Store("water") as store:
        frame = store.frame("water_pipe", ["fid", "diameter_mm", "length_m", "valid_from"])
    assert frame["diameter_mm"].tolist() == [300.0]
    assert frame["length_m"].isna().all()
    assert frame["valid_from"].tolist() == [dt.date(2020, 5, 6)]
    assert frame["fid"].dtype == "int64"
    assert frame.geometry[0].coords[0] == (117.0, 32.0, 1.5)


def test_filters_by_value_list_and_missing():
    _place("1", "甲", code="x")
    _place("2", "乙", code="y")
    _place("3", "丙")
    assert _names(where={"code": "x"}) == ["甲"]
    assert _names(where={"code": ["x", "y"]}) == ["甲", "乙"]
    assert _names(where={"code": None}) == ["丙"]
    assert _names(where={"name": "'; DROP TABLE core.place_name; --"}) == []
    assert _names(where={"name": "%s %(x)s"}) == []


def test_filters_by_place_and_transforms_with_x_before_y():
    _place("1", "里", 117.0)
    _place("2", "外", 118.0)
    assert _names(bbox=(116.9, 31.9, 117.1, 32.1)) == ["里"]
    with Store("anonymous") as store:
        point = store.frame("place_name", where={"name": "里"}, crs="EPSG:4548").geometry[0]
    assert point.x == pytest.approx(500_000, abs=1)
    assert 3_500_000 < point.y < 3_600_000
    with pytest.raises(InputError, match="EPSG"), Store("anonymous") as store:
        store.frame("place_name", crs="4548); DROP")


def test_valid_time_is_half_open_and_an_empty_end_means_for_ever():
    _place("1", "旧", valid_to=dt.date(2020, 1, 1))
    _place("2", "新", valid_from=dt.date(2020, 1, 1))
    _place("3", "永")
    assert _names(at=dt.date(2019, 12, 31)) == ["旧", "永"]
    assert _names(at=dt.date(2020, 1, 1)) == ["新", "永"]


def test_recorded_time_answers_as_it_was_believed_then():
    early, later = (dt.datetime(2024, month, 1, tzinfo=dt.UTC) for month in (1, 6))
    _place("1", "今名", recorded_from=later)
    _run(
        """INSERT INTO history.place_name (name_id, name, kind, fid, recorded_from, recorded_to, geom)
           SELECT name_id, '原名', kind, fid, %s, recorded_from, geom FROM core.place_name""",
        early,
    )
    assert _names() == ["今名"]
    assert _names(as_of=dt.datetime(2024, 3, 1, tzinfo=dt.UTC)) == ["原名"]
    assert _names(as_of=later) == ["今名"]
    assert _names(as_of=dt.datetime(2023, 1, 1, tzinfo=dt.UTC)) == []


def test_what_the_role_may_not_read_does_not_exist_for_it():
    with Store("anonymous") as store:
        assert store.can_read("address") and not store.can_read("water_pipe") and not store.can_read("nothing")
        for layer in ("water_pipe", "nothing"):
            with pytest.raises(NotFound):
                store.frame(layer)
        with pytest.raises(AccessDenied) as denied:
            store.require(["address", "water_pipe"])
        assert denied.value.http_status == 401
    with Store("gas") as store, pytest.raises(AccessDenied) as denied:
        store.require(["water_pipe"])
    assert denied.value.http_status == 403


def test_every_role_reads_exactly_the_columns_of_the_layer_files():
    """The grants in the database and the rules in the files are one thing: each is tried, column by column."""
    for role in ("anonymous", "planner", "water", "address", "admin"):
        with Store(role) as store:
            for layer in store.catalog.layers.values():
                if layer.is_raster or not store.can_read(layer.id):
                    continue
                seen = store.frame(layer.id)
                assert list(seen.columns) == [*layer.columns_for(role), "geometry"]
                for hidden in set(layer.columns) - set(layer.columns_for(role)):
                    with pytest.raises(InputError):
                        store.frame(layer.id, [hidden])
                    with pytest.raises(InputError):
                        store.frame(layer.id, where={hidden: "x"})


def test_the_version_changes_with_every_publication_and_only_of_these_layers_and_this_scope():
    def version(layers, scope=None):
        with Store("anonymous") as store:
            return store.version(layers, scope)

    def publish(layer: str, scope: str | None, status: str = "published", changed: int = 1) -> None:
        _run(
            """WITH b AS (INSERT INTO meta.batch (status) VALUES (%s) RETURNING id)
               INSERT INTO meta.batch_layer (batch, layer, scope, updated) SELECT id, %s, %s, %s FROM b""",
            status, layer, scope, changed,
        )  # fmt: skip

    seen = {version(["water_pipe"])}
    publish("water_pipe", "city")
    seen.add(version(["water_pipe"]))
    publish("water_pipe", "Net3")
    seen.add(now := version(["water_pipe"]))
    assert len(seen) == 3
    publish("address", None)
    publish("water_pipe", "city", "rejected")
    publish("water_pipe", "city", changed=0)
    assert version(["water_pipe"]) == now
    assert version(["water_pipe"], "city") != version(["water_pipe"], "Net3")


def test_a_batch_published_late_changes_the_version_too():
    _run("INSERT INTO meta.batch (status) VALUES ('loading'), ('published')")
    _run("INSERT INTO meta.batch_layer (batch, layer, inserted) SELECT id, 'road', 1 FROM meta.batch")
    with Store() as store:
        before = store.version(["road"])
    _run("UPDATE meta.batch SET status = 'published'")
    with Store() as store:
        assert store.version(["road"]) != before
