"""How far a long work is: rows, rate and remaining time, as a bar on a terminal and as plain lines elsewhere; on stderr either way."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from gis.cli.output import console

EVERY_S = 2.0
"""Between two lines of the same work."""


@contextmanager
def progressing() -> Iterator:
    """Yields what is called with the work, the rows done, and the rows there are where that is known."""
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.completed:,.0f}"), _Rate(),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, int] = {}

        def progress(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield progress


class _Rate(ProgressColumn):
    """Rows per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class Lines:
    """Progress where nobody watches: a line when the work changes, and at most one every two seconds, with rate and remaining time."""

    def __init__(self, clock=time.monotonic):
        self._clock, self._what, self._begun, self._said = clock, "", 0.0, 0.0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now = self._clock()
        if what != self._what:
            self._what, self._begun = what, now
        elif now - self._said < EVERY_S:
            return
        self._said = now
        print(self._line(what, done, total, now - self._begun), file=sys.stderr, flush=True)

    def _line(self, what: str, done: int, total: int | None, seconds: float) -> str:
        if not done:
            return what
        said = f"{what} {done:,}" + (f" of {total:,} ({done / total:.0%})" if total else "")
        if seconds < EVERY_S:
            return said
        rate = done / seconds
        return f"{said}, {rate:,.0f} rows/s" + (f", {(total - done) / rate:,.0f} s left" if total and total > done else "")
