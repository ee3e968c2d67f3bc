"""A new web process has its connections and knows its layers before it takes callers; without a database it begins all the same."""

from __future__ import annotations

import time

from gis.access.identity import caller
from gis.api import metrics, pages, warm
from gis.db import connection
from gis.settings import settings


def test_it_is_warm_before_anybody_asks(app):
    api = app.extensions["onemap_api"]
    counted = [(sample.name, sample.value) for one in metrics.REQUESTS.collect() for sample in one.samples if "total" in sample.name]
    connection.close_pool()
    warm.parent(api)
    assert connection.pool_figures() == (0, settings().pool_size) and connection._pool is None, "nothing of it goes into the fork"
    after = [(sample.name, sample.value) for one in metrics.REQUESTS.collect() for sample in one.samples if "total" in sample.name]
    assert after == counted and caller.get().is_anonymous
    assert len(pages._environment("zh").cache) == len(pages._environment("zh").list_templates())
    warm.process()
    pool = connection._pool
    assert pool is not None and len(pool._pool._pool) == warm.CONNECTIONS and not pool.in_use
    known = {link.info.backend_pid for link in pool._pool._pool}
    with connection.reading("anonymous") as link:
        assert link.info.backend_pid in known


def test_without_a_database_it_begins_all_the_same(app, monkeypatch, caplog):
    monkeypatch.setenv("ONEMAP_DSN_SERVING", "host=127.0.0.1 port=1 dbname=none user=none password=none")
    connection.close_pool()
    settings.cache_clear()
    began = time.monotonic()
    warm.parent(app.extensions["onemap_api"])
    warm.process()
    assert time.monotonic() - began < warm.PATIENCE_S
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR") or "none" in record.getMessage()]
