"""The analyses as the outside sees them: one file per analysis, one definition for its command and its OGC API process.

A process is a class with an `id`, titles, a pydantic model `Inputs` (each field with title, bounds and description), the
layers it reads, and `run(store, inputs, progress) -> dict` (a JSON object). It is thin: the answer is computed in `gis.analysis`.
The registry is the folder: every module here that defines `PROCESS` is one.
"""

from __future__ import annotations

import datetime as dt
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from gis.catalog.model import Text

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and what is being done; may raise to cancel."""


YEARS = range(1000, 9999)
"""Years whose days have a day before and after them in every time zone."""


class Inputs(BaseModel):
    """Base of the typed parameters: unknown parameters are refused, and so are texts and days that no database can hold."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _require_text(cls, given: Any) -> Any:
        if _holds_nul(given):
            raise ValueError("a text holds the character NUL, which is part of no text")
        return given

    @model_validator(mode="after")
    def _require_years(self) -> Self:
        for name, value in self:
            if isinstance(value, dt.date) and value.year not in YEARS:  # a moment is a day, too
                raise ValueError(f"{name} lies in the year {value.year}; it may lie from {YEARS[0]} to {YEARS[-1]}")
        return self


def _holds_nul(value: Any) -> bool:
    """Whether a text, or one within lists and objects, holds NUL. What is nested was parsed, so its depth is bounded."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))


@dataclass(frozen=True)
class Process:
    """One analysis. `run(store, inputs, progress)` answers a JSON object; `layers` is what the caller must be allowed to read, `any_of`
    layers of which one will do (what he asks for decides which), `writes` what he must be allowed to change, `layer_inputs` the inputs that
    name a layer which is read besides. `counted`: members of an answer that is a document which say how many features it tells of."""

    id: str
    title: Text
    description: Text
    inputs: type[Inputs]
    run: Callable[..., dict]
    layers: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    layer_inputs: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    example: dict = field(default_factory=dict)


@lru_cache
def processes() -> dict[str, Process]:
    """Every process of this folder by its id."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        process = getattr(importlib.import_module(f"{__name__}.{module.name}"), "PROCESS", None)
        if process is not None:
            found[process.id] = process
    return found
