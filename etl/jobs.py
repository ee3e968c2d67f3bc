"""The file of scheduled loads (`layers/jobs.yaml`): what is loaded, from where, when, how. It is read and judged here; nothing runs.

A job is `onemap load` with its arguments written down: whatever that command can do at a prompt, it can do at night.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator

from gis.catalog.model import Catalog, Strict
from gis.catalog.read import Document
from gis.errors import DefinitionError, NotFound, SourceError
from gis.ingest import sources

KINDS = ("city", "doorplates", "epanet", "facilities", "grid", "observation", "osm", "sensors", "survey", "swmm")
"""What is loaded beside single layers: kinds of delivery that a job of their own understands."""
FOLDERS = ("city", "survey")
"""Kinds whose source may be a whole folder."""
OWN = ("json", "dry_run", "report", "mode", "crs", "encoding")
"""Options of `onemap load` that have keys of their own, or that the run gives."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
Value = str | int | float | bool
Parse = Callable[[list[str]], str | None]
"""Judges the arguments of `onemap load` without running it: what is wrong with them, or None."""


class Job(Strict):
    """One job. `load`: a layer's id or one of `KINDS`; `source`: files, folders or patterns on this machine's file systems."""

    load: str
    source: tuple[str, ...]
    pick: Literal["newest", "all"] = "newest"
    """Which of several files that fit: the newest, or all of them as one delivery."""
    when: str | None = None
    """Minute, hour, day, month, weekday, as in cron; without it the job runs by hand only."""
    title: str | None = None
    enabled: bool = True
    mode: Literal["replace", "append", "update"] | None = None
    crs: str | None = None
    encoding: str | None = None
    options: dict[str, Value | list[Value] | dict[str, Value]] = Field(default={})
    """Further options of `onemap load` by their long names."""
    report: str | None = None
    """The folder of the report of the last run."""
    settle_s: Annotated[int, Field(ge=0, le=86_400)] = 60
    """By the clock, a file is loaded only when nobody has written to it for so long: it may still be on its way."""
    longest_minutes: Annotated[int, Field(ge=1, le=10_080)] = 360

    @field_validator("source", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given


class Jobs(Strict):
    """A file of jobs. `folder`: what relative sources and reports start from; without it the folder of the file."""

    timezone: str = "Asia/Shanghai"
    folder: Path | None = None
    jobs: dict[Name, Job] = Field(default={})

    def job(self, name: str) -> Job:
        """The job of this name. Raises NotFound."""
        if name not in self.jobs:
            raise NotFound(f"there is no job {name!r}", remedy=f"There are: {', '.join(sorted(self.jobs)) or 'none'}")
        return self.jobs[name]

    def next_time(self, job: Job, after: dt.datetime) -> dt.datetime:
        """The first time after a moment at which a job with times is due."""
        return next(CronSim(job.when, after.astimezone(ZoneInfo(self.timezone))))

    def path(self, text: str) -> Path:
        """A source or report as an absolute path."""
        return (self.folder / text) if self.folder else Path(text).absolute()

    def files(self, job: Job, catalog: Catalog) -> list[Path]:
        """The files (or the folder) that a run of this job would load now. Raises SourceError where there are none."""
        found = [path for text in job.source for path in _expanded(self.path(text)) if path.is_dir()] if job.load in FOLDERS else []
        if found:
            found = [max(found, key=_age)]
        else:
            found = list(dict.fromkeys(path for text in job.source for path in self._matching(self.path(text), job, catalog)))
            found = found if job.pick == "all" or not found else [max(found, key=_age)]
        if not found:
            raise SourceError(
                f"nothing is there to load: {', '.join(Path(text).name for text in job.source)}",
                remedy="Deliver the file, or correct `source` in the file of jobs",
            )
        return found

    def _matching(self, path: Path, job: Job, catalog: Catalog) -> Iterator[Path]:
        """Files of one entry of `source`: of a folder those whose names the layer file expects."""
        patterns = catalog.layers[job.load].source.files if job.load in catalog.layers else ("*",)
        for found in _expanded(path):
            if found.is_file():
                yield found
            elif found.is_dir():
                yield from (f for f in sorted(found.iterdir()) if f.is_file() and any(fnmatch(f.name, p) for p in patterns))

    def arguments(self, job: Job, files: list[Path]) -> list[str]:
        """The command line behind `onemap` that loads these files."""
        if job.load == "city":
            return ["city", "load", *map(str, files)]
        made = ["load", job.load, *map(str, files)]
        for name in ("mode", "crs", "encoding"):
            if getattr(job, name) is not None:
                made += [f"--{name}", getattr(job, name)]
        if job.report is not None:
            made += ["--report", str(self.path(job.report))]
        for name, value in job.options.items():
            made += list(_option(name, value))
        return made


def read(path: Path) -> Jobs:
    """The jobs of a file; none where there is no file. Raises DefinitionError with line, key and remedy."""
    path = Path(path)
    if not path.exists():
        return Jobs()
    found = Document(path).build(Jobs, {})
    return found.model_copy(update={"folder": (path.parent / (found.folder or ".")).resolve()})


def faults(path: Path, catalog: Catalog, parse: Parse) -> list[DefinitionError]:
    """Everything that is wrong with a file of jobs, each with its line; empty where all of it can run. Raises DefinitionError where the
    file has not the right form at all."""
    if not Path(path).exists():
        raise DefinitionError("there is no file of jobs", where=path.name, remedy="Write it, or set ONEMAP_JOBS")
    document, found, reports = Document(Path(path)), read(path), {}
    wrong = []

    def add(loc: tuple, what: str, remedy: str) -> None:
        wrong.append(document.error(loc, what, remedy))

    if not _is_timezone(found.timezone):
        add(("timezone",), f"unknown time zone {found.timezone!r}", "For example Asia/Shanghai")
    for name, job in found.jobs.items():
        at = ("jobs", name)
        if job.load not in catalog.layers and job.load not in KINDS:
            add(
                (*at, "load"), f"{job.load!r} is neither a layer nor a kind of delivery", f"Kinds: {', '.join(KINDS)}; `onemap layers list`"
            )
        for what, key, remedy in _faults_of_source(job):
            add((*at, key), what, remedy)
        if job.when is not None and (fault := fault_of_times(job.when)):
            add((*at, "when"), fault, "Five fields: minute hour day month weekday, for example 30 2 * * *")
        for option in sorted(set(OWN) & {name.replace("-", "_") for name in job.options}):
            add((*at, "options", option), f"`{option}` is no option here", "mode, crs, encoding and report are keys of the job itself")
        if job.load == "city" and (job.options or job.mode or job.crs or job.encoding or job.report):
            add(at, "a city is loaded without options", "Leave mode, crs, encoding, report and options out")
        elif fault := parse(found.arguments(job, [Path("FILE")])):
            add((*at, "options") if job.options else at, fault, "See `onemap load --help`")
        if job.report is not None and (other := reports.setdefault(found.path(job.report), name)) != name:
            add((*at, "report"), f"the job {other} writes its report to the same folder", "Name another folder")
    return wrong


def _faults_of_source(job: Job) -> Iterator[tuple[str, str, str]]:
    if not job.source:
        yield "`source` is empty", "source", "Name a file, a folder or a pattern"
    for text in job.source:
        if "://" in text or text.startswith("/vsi"):
            yield f"{text[:60]!r} is no file of this machine", "source", "Mount the other machine's folder and name files in it"
        elif not text.strip() or "**" in text:
            yield f"{text!r} is no pattern of files", "source", "Use * and ? in the last part of the path"


def fault_of_times(when: str) -> str | None:
    """What is wrong with a job's times, or None."""
    if len(when.split()) != 5:
        return f"{when!r} has {len(when.split())} fields"
    try:
        next(CronSim(when, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)))
    except (CronSimError, StopIteration):
        return f"{when!r} names no time that ever comes"
    return None


def _is_timezone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def digest(job: Job, files: list[Path]) -> str:
    """One digest of what a run would load and how: the contents of the files (a folder's all), and the definition."""
    contents = [(str(path.relative_to(root if root.is_dir() else root.parent)), path) for root in files for path in parts(root)]
    definition = job.model_dump(mode="json", include={"load", "mode", "crs", "encoding", "options"})
    made = hashlib.sha256(json.dumps(definition, sort_keys=True, ensure_ascii=False).encode())
    for name, path in contents:
        made.update(f"{sources.digest(path).sha256}  {name}\n".encode())
    return made.hexdigest()


def parts(path: Path) -> list[Path]:
    """All files of a source: of a folder what lies in it, of a shapefile what belongs to it."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    if path.suffix.lower() == ".shp":
        return sorted(p for p in path.parent.iterdir() if p.stem == path.stem and p.is_file())
    return [path]


def youngest(files: list[Path]) -> float:
    """When somebody last wrote to any of the files, seconds since 1970."""
    return max((part.stat().st_mtime for path in files for part in parts(path)), default=0.0)


def _expanded(path: Path) -> list[Path]:
    """A path, or what its pattern stands for, in order. A file that is called like the pattern is meant itself."""
    if path.exists():
        return [path]
    anchor = next((parent for parent in path.parents if not _is_pattern(str(parent))), Path("/"))
    return sorted(anchor.glob(str(path.relative_to(anchor))))


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _age(path: Path) -> tuple[float, str]:
    return youngest([path]), path.name


def _option(name: str, value: Any) -> Iterator[str]:
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, dict):
        for key, one in value.items():
            yield from (option, f"{key}={one}")
    elif isinstance(value, list):
        for one in value:
            yield from (option, str(one))
    elif value is True:
        yield option
    elif value is not False:
        yield from (option, str(value))
