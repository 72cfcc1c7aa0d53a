"""The cores that a process may use."""

from __future__ import annotations

import os

import pytest

from hwnas_hls.system.cores import available_cores


@pytest.mark.parametrize(
    ("limit", "expected"), [("1", 1), ("1,4", 1), ("", None), ("0", None), ("many", None)]
)
def test_threads_are_limited_by_the_usual_variable(
    monkeypatch: pytest.MonkeyPatch, limit: str, expected: int | None
) -> None:
    allowed = len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert available_cores() == (expected or allowed)
    monkeypatch.setenv("OMP_NUM_THREADS", str(allowed + 5))
    assert available_cores() == allowed
