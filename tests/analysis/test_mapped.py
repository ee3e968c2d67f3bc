"""Mapped arrays are the saved ones, and hold no file open."""

from __future__ import annotations

import os

import numpy as np
import pytest

from gis.analysis.mapped import mapped


@pytest.mark.parametrize(
    "array",
    [np.arange(12).reshape(3, 4), np.asfortranarray(np.arange(12.0).reshape(3, 4)), np.array([b"JSG1", b"JSG22"]), np.zeros(0, "S3"),
     np.zeros((0, 2)), np.array([True, False])],
)  # fmt: skip
def test_what_was_saved_is_there_without_an_open_file(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    before = len(os.listdir("/proc/self/fd"))
    many = [mapped(tmp_path / "a.npy") for _ in range(20)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(np.array_equal(one, array) and one.dtype == array.dtype for one in many)
    assert not array.size or not many[0].flags.writeable
