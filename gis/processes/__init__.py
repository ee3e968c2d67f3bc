"""The analyses as the outside sees them: one file per analysis, one definition for its command and its OGC API process.

A process is a class with an `id`, titles, a pydantic model `Inputs` (each field with title, bounds and description), the
layers it reads, and `run(store, inputs, progress) -> dict` (a JSON object). It is thin: the answer is computed in `gis.analysis`.
The registry is the folder: every module here that defines `PROCESS` is one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from gis.catalog.model import Text

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and what is being done; may raise to cancel."""


class Inputs(BaseModel):
    """Base of the typed parameters: unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Process:
    """One analysis. `run(store, inputs, progress)` answers a JSON object; `layers` is what the caller must be allowed to read, `any_of`
    layers of which one will do (what he asks for decides which), `writes` what he must be allowed to change."""

    id: str
    title: Text
    description: Text
    inputs: type[Inputs]
    run: Callable[..., dict]
    layers: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
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
