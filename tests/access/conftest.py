"""Tests of who asks: a fresh database each, nothing remembered from the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gis.access import identity
from gis.settings import settings


@pytest.fixture
def fresh(store_db) -> Iterator[str]:
    identity.forget()
    yield store_db
    identity.forget()


@pytest.fixture
def chosen() -> Iterator[Callable[..., None]]:
    """A function that changes settings: chosen(password_days=1)."""
    with pytest.MonkeyPatch.context() as environment:

        def choose(**values) -> None:
            for name, value in values.items():
                environment.setenv(f"ONEMAP_{name.upper()}", str(value))
            settings.cache_clear()

        yield choose
    settings.cache_clear()
