"""Work in forked processes: results, progress, errors, and no process that stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.system.forks import Follow, can_fork, forked

pytestmark = pytest.mark.skipif(not can_fork(), reason="needs fork")


def ignored(*said: object) -> None:
    pass


def test_results_come_in_order_from_other_processes() -> None:
    held = {"a": 1}

    def work(place: int, follow: Follow) -> tuple[int, int]:
        time.sleep(0.1 * (2 - place))
        held["a"] += place
        return os.getpid(), held["a"]

    found = forked(work, [ignored] * 3)
    assert [value for _, value in found] == [1, 2, 3]
    assert len({pid for pid, _ in found} | {os.getpid()}) == 4
    assert held == {"a": 1}


def test_progress_arrives_here() -> None:
    said: list[tuple[int, object]] = []

    def work(place: int, follow: Follow) -> None:
        for step in range(3):
            follow(step, "x" * place)

    forked(work, [lambda *words, place=place: said.append((place, words)) for place in range(2)])
    for place in range(2):
        assert [words for of, words in said if of == place] == [(step, "x" * place) for step in range(3)]


def test_an_error_is_raised_here_and_ends_the_others() -> None:
    def work(place: int, follow: Follow) -> None:
        if place == 1:
            raise ValueError("seven")
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(ValueError, match="seven"):
        forked(work, [ignored] * 2)
    assert time.monotonic() - began < 30
    assert not multiprocessing.active_children()


def test_a_killed_process_is_an_error() -> None:
    def work(place: int, follow: Follow) -> None:
        if place == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    with pytest.raises(HwnasError) as raised:
        forked(work, [ignored] * 2)
    assert raised.value.kind == ErrorKind.FAILED
    assert str(-signal.SIGKILL) in str(raised.value)
    assert not multiprocessing.active_children()


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, time
from hwnas_hls.system.forks import forked
def work(place, follow):
    pathlib.Path({str(tmp_path)!r}, str(place)).write_text(str(os.getpid()))
    time.sleep(300)
forked(work, [lambda *said: None] * 2)
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    files = [tmp_path / str(place) for place in range(2)]
    while not all(file.exists() and file.read_text() for file in files) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = [int(file.read_text()) for file in files]
    process.kill()
    process.wait()
    while any(_runs(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in children)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
