"""The data version moves with each publication that changed something, and with nothing else."""

from __future__ import annotations

import pytest

from gis.db.connection import owner

pytestmark = pytest.mark.usefixtures("store_db")


def _version(link, *layers: str, scope: str | None = None) -> str:
    with link.cursor() as cursor:
        cursor.execute("SELECT meta.data_version(%s, %s)", (list(layers), scope))
        return cursor.fetchone()[0]


def _batch(link, status: str) -> int:
    with link.cursor() as cursor:
        cursor.execute("INSERT INTO meta.batch (status, recorded_at) VALUES (%s, now()) RETURNING id", (status,))
        return cursor.fetchone()[0]


def _did(link, batch: int, layer: str, scope: str | None = None, inserted: int = 1) -> None:
    with link.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meta.batch_layer (batch, layer, scope, inserted) VALUES (%s, %s, %s, %s)", (batch, layer, scope, inserted)
        )


def _publish(link, batch: int) -> None:
    with link.cursor() as cursor:
        cursor.execute("UPDATE meta.batch SET status = 'published' WHERE id = %s", (batch,))


def test_it_moves_with_what_changed_whichever_is_written_first():
    with owner() as link:
        assert _version(link, "road") == "0.0"
        early, late = _batch(link, "loading"), _batch(link, "loading")
        _did(link, early, "road")
        assert _version(link, "road") == "0.0"
        _publish(link, late)
        _did(link, late, "road")
        first = _version(link, "road")
        _publish(link, early)  # begun earlier, published later
        assert _version(link, "road") not in (first, "0.0")
        assert _version(link, "water_pipe") == "0.0"
        before = _version(link, "road")
        nothing = _batch(link, "loading")
        _did(link, nothing, "road", inserted=0)
        _publish(link, nothing)
        _publish(link, nothing)
        failed = _batch(link, "failed")
        _did(link, failed, "road")
        assert _version(link, "road") == before


def test_a_scope_sees_its_own_batches_and_those_of_all():
    with owner() as link:
        for scope in ("north", "south", None):
            batch = _batch(link, "loading")
            _did(link, batch, "water_pipe", scope)
            before = {seen: _version(link, "water_pipe", scope=seen) for seen in ("north", "south", None)}
            _publish(link, batch)
            moved = {seen for seen, was in before.items() if _version(link, "water_pipe", scope=seen) != was}
            assert moved == ({scope, None} if scope else {"north", "south", None})


def test_two_who_publish_at_once_are_both_counted():
    with owner() as one:
        batch = _batch(one, "loading")
        _did(one, batch, "road")
    with owner() as one, owner() as two:
        _publish(one, batch)
        other = _batch(two, "loading")
        _did(two, other, "road")
        one.commit()
        seen = _version(one, "road")
        _publish(two, other)
        two.commit()
        assert _version(one, "road") != seen
