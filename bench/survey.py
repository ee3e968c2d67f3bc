"""A pipe survey of 100,000 lines with all checks: read, joined, checked, published. `./run bench survey [--size N]`.

The survey is that of a synthetic town; the limit is 60 s for 100,000 lines, in proportion for others. The parts are those of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from etl import pipe_survey, pipe_survey_sample
from gis.catalog import read
from gis.db import cluster, migrations, plan
from gis.settings import settings

LINES, LIMIT_S = 100_000, 60.0
_PER_ADDRESS = 0.68
"""Lines of a survey with a point every 15 m, per address of the town."""


def main() -> None:
    """Makes the survey and a cluster of its own, loads it once, prints one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=LINES)
    size = parser.parse_args().size
    with tempfile.TemporaryDirectory(prefix="onemap-bench-") as folder:
        Path(folder).chmod(0o755)
        os.environ["ONEMAP_HOME"] = f"{folder}/home"
        settings.cache_clear()
        made = pipe_survey_sample.make(Path(folder) / "survey", addresses=max(500, int(size / _PER_ADDRESS)), seed=1, spacing=15.0)
        cluster.start()
        try:
            migrations.migrate()
            plan.apply(read.catalog())
            _measure(Path(folder) / "survey", made["lines"])
        finally:
            cluster.remove()


def _measure(survey: Path, lines: int) -> None:
    catalog, limit = read.catalog(), LIMIT_S * lines / LINES
    began, used = time.perf_counter(), time.process_time()
    pipe_survey.survey_of(catalog, [survey])
    reading = time.perf_counter() - began, time.process_time() - used
    began, used = time.perf_counter(), time.process_time()
    result = pipe_survey.load(catalog, [survey])
    whole = time.perf_counter() - began, time.process_time() - used
    for name, (value, cpu) in (("survey read and checked without the database", reading), ("survey loaded with all checks", whole)):
        print(json.dumps({
            "figure": name, "lines": lines, "rows": result.rows_read, "seconds": round(value, 2),
            "cpu_s": round(cpu, 2),
            "limit_s": round(limit, 1), "ratio": round(value / limit, 3), "loaded": result.rows_loaded,
        }, ensure_ascii=False))  # fmt: skip


if __name__ == "__main__":
    main()
