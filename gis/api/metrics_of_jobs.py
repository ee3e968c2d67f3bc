"""Figures of the scheduled loads for Prometheus, asked from the run history when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gis.db.connection import reading
from gis.errors import OneMapError

_JOBS = """
SELECT coalesce(r.job, s.job), extract(epoch FROM s.next_at)::float8, extract(epoch FROM r.started_at)::float8,
       extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8, r.failing::int, r.rows_loaded,
       r.rows_rejected, extract(epoch FROM r.succeeded_at)::float8
FROM meta.last_job_run r FULL JOIN meta.scheduled_job s ON s.job = r.job ORDER BY 1
"""
_SCHEDULER = "SELECT extract(epoch FROM beat_at)::float8, (fault IS NULL)::int FROM meta.scheduler"
_QUEUE = """
SELECT status, count(*), extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE status = 'accepted'))::float8
FROM meta.job GROUP BY status
"""
_DATA = """
SELECT l.layer, max(b.id), extract(epoch FROM max(b.recorded_at))::float8
FROM meta.batch_layer l JOIN meta.batch b ON b.id = l.batch WHERE b.status = 'published' GROUP BY l.layer ORDER BY l.layer
"""
_FIGURES = (
    ("onemap_job_next_timestamp_seconds", "When the job is due next"),
    ("onemap_job_last_start_timestamp_seconds", "When its last run began"),
    ("onemap_job_last_seconds", "How long its last run took"),
    ("onemap_job_last_failed", "1 where its last run failed, was refused or was interrupted"),
    ("onemap_job_last_rows_loaded", "Rows that its last run loaded"),
    ("onemap_job_last_rows_rejected", "Rows that its last run rejected"),
    ("onemap_job_last_success_timestamp_seconds", "When it last ended well"),
)


class Jobs(Collector):
    """The last run of every job, and whether somebody keeps the times. Without a database there are no figures of it, and
    `onemap_database_up` is 0."""

    def describe(self) -> list:
        """Nothing is asked when the collector is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures as they are now."""
        try:
            with reading("admin") as connection, connection.cursor() as cursor:
                cursor.execute(_JOBS)
                jobs = cursor.fetchall()
                cursor.execute(_SCHEDULER)
                scheduler = cursor.fetchone()
                cursor.execute(_QUEUE)
                queue = cursor.fetchall()
                cursor.execute(_DATA)
                data = cursor.fetchall()
        except OneMapError:
            yield GaugeMetricFamily("onemap_database_up", "Whether the database answers", value=0)
            return
        yield GaugeMetricFamily("onemap_database_up", "Whether the database answers", value=1)
        for number, (name, title) in enumerate(_FIGURES, 1):
            family = GaugeMetricFamily(name, title, labels=["job"])
            for row in jobs:
                if row[number] is not None:
                    family.add_metric([row[0]], float(row[number]))
            yield family
        yield from _of_the_queue(queue)
        yield from _of_the_data(data)
        if scheduler is not None:
            yield GaugeMetricFamily(
                "onemap_scheduler_beat_timestamp_seconds", "Last sign of life of who keeps the times", value=scheduler[0]
            )
            yield GaugeMetricFamily("onemap_jobs_file_sound", "Whether the file of jobs can be used", value=scheduler[1])


def _of_the_queue(rows: list[tuple]) -> Iterator[GaugeMetricFamily]:
    counted = GaugeMetricFamily("onemap_queue_jobs", "Jobs by their state", labels=["status"])
    oldest = 0.0
    for status, n, waiting in rows:
        counted.add_metric([status], n)
        oldest = max(oldest, waiting or 0.0)
    yield counted
    yield GaugeMetricFamily("onemap_queue_oldest_waiting_seconds", "How long the job waits that waits longest", value=oldest)


def _of_the_data(rows: list[tuple]) -> Iterator[GaugeMetricFamily]:
    version = GaugeMetricFamily("onemap_data_version", "The newest published batch of a layer", labels=["layer"])
    moment = GaugeMetricFamily("onemap_data_published_timestamp_seconds", "When it was published", labels=["layer"])
    for layer, batch, at in rows:
        version.add_metric([layer], batch)
        moment.add_metric([layer], at)
    yield version
    yield moment
