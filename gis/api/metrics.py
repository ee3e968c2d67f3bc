"""Figures for Prometheus: how many requests, how long, how many at once; summed over all workers where they share a folder."""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gis.api.metrics_of_jobs import Jobs

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


def exposition() -> bytes:
    """All figures in Prometheus' text format: of the web processes, and of the scheduled loads."""
    jobs = CollectorRegistry()
    jobs.register(Jobs())
    return _of_this_server() + generate_latest(jobs)


def _of_this_server() -> bytes:
    if FOLDER_VARIABLE in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)
    return generate_latest(REGISTRY)
