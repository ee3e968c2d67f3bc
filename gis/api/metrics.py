"""Figures for Prometheus: how many requests, how long, how many at once; summed over all workers where they share a folder."""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gis.api.metrics_of_jobs import Jobs
from gis.api.tile_cache import cache
from gis.db.connection import pool_figures

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client itself; `onemap serve` sets it before the workers start."""

REQUESTS = Counter("onemap_http_requests_total", "Requests answered", ["route", "method", "status"])
SECONDS = Histogram(
    "onemap_http_request_seconds",
    "Time to the answer",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
AT_ONCE = Gauge("onemap_http_requests_in_progress", "Requests being answered", multiprocess_mode="livesum")


POOL_IN_USE = Gauge("onemap_pool_connections_in_use", "Database connections at work", multiprocess_mode="livesum")
POOL_SIZE = Gauge("onemap_pool_connections", "Database connections there may be", multiprocess_mode="livesum")
TILES_FOUND = Gauge("onemap_tile_cache_hits", "Tiles found in memory since the processes began", multiprocess_mode="livesum")
TILES_MISSED = Gauge("onemap_tile_cache_misses", "Tiles not found in memory", multiprocess_mode="livesum")


def observe() -> None:
    """Write down what stands in this process's memory: called every while, since whoever is scraped cannot see the others."""
    in_use, size = pool_figures()
    POOL_IN_USE.set(in_use)
    POOL_SIZE.set(size)
    TILES_FOUND.set(cache.hits)
    TILES_MISSED.set(cache.misses)


def exposition(*, whole: bool = True) -> bytes:
    """The figures in Prometheus' text format: of the web processes; the whole of them: also of the queue, the scheduled loads and the
    data of each layer, asked from the database."""
    if not whole:
        return _of_this_server()
    jobs = CollectorRegistry()
    jobs.register(Jobs())
    return _of_this_server() + generate_latest(jobs)


def _of_this_server() -> bytes:
    if FOLDER_VARIABLE in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)
    return generate_latest(REGISTRY)
