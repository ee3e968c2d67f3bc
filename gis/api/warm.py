"""A new web process is warm before it takes callers: what the first of them would wait for is done already."""

from __future__ import annotations


def warm(threads: int) -> None:
    """To be measured."""
