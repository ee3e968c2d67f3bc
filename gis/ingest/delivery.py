"""What is loaded and what came of it: a delivery of one layer, the result of a load, its refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gis.catalog.model import Layer
from gis.errors import DataError
from gis.ingest.changes import Changes
from gis.ingest.findings import Findings
from gis.ingest.publish import Outcome
from gis.ingest.read import Source
from gis.ingest.stage import Place

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how far (rows), and of how many where that is known."""


def silent(what: str, done: int, total: int | None) -> None:
    """No progress."""


@dataclass
class Delivery:
    """One layer of a delivery: its sources (files or frames), constants (fields that are the same in all rows), names (field → source
    column), and findings that were made before. `extent` (west, south, east, north) is what positions must mostly lie in. `scopes` are
    those that it speaks of even where it has no rows: a replacing load then retires what is there."""

    layer: Layer
    sources: Sequence[Source]
    constants: dict[str, object] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    extent: tuple[float, float, float, float] | None = None
    scopes: tuple[str, ...] = ()
    changes: Changes = field(default_factory=Changes)
    """What the operator says of it as a change set."""
    place: Place | None = None
    """Where its rows are staged, while it is loaded."""
    judged: bool = False
    """The errors among the findings made before are the last word on their rows: no other check looks at them again."""


@dataclass
class LoadResult:
    """What a load did. `findings` counts by code; `layers` has one entry per layer and scope; status published, dry_run or rejected."""

    batch: int
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    findings: dict[str, int]
    seconds: float
    status: str = "published"
    layers: list[Outcome] = field(default_factory=list)

    def as_dict(self) -> dict:
        """The contract of `onemap load --json`, with a line per layer behind it."""
        return {
            "batch": self.batch,
            "rows_read": self.rows_read,
            "rows_loaded": self.rows_loaded,
            "rows_rejected": self.rows_rejected,
            "findings": self.findings,
            "seconds": round(self.seconds, 3),
            "status": self.status,
            "layers": [vars(outcome) for outcome in self.layers],
        }


class Rejected(DataError):
    """A delivery was refused; `result` says what was read and found, and under which batch its findings are kept."""

    def __init__(self, what: str, result: LoadResult):
        super().__init__(
            what,
            where=f"batch {result.batch}",
            remedy="Read the findings (--report DIR), correct the delivery and load it again",
            findings=result.findings,
        )
        self.result = result

    def as_dict(self) -> dict:
        return super().as_dict() | {"result": self.result.as_dict()}
