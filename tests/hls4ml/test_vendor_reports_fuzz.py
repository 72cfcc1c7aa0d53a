"""Damaged reports: a typed error or believable numbers, never another exception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import TESTS

from hwnas_hls.errors import ReportError
from hwnas_hls.hls4ml.reports import (
    read_cosim,
    read_csynth,
    read_export,
    read_project,
    read_timing,
    read_utilisation,
)

DATA = TESTS / "data" / "vendor_reports"
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
READERS: dict[str, Callable[[Path], Any]] = {
    "vitis_2023_csynth.xml": read_csynth,
    "vivado_2016_csynth.rpt": read_csynth,
    "vitis_2021_csynth.rpt": read_csynth,
    "vivado_2019_cosim.rpt": read_cosim,
    "ultrascale_synth.rpt": read_utilisation,
    "hierarchical.rpt": read_utilisation,
    "timing_routed.rpt": read_timing,
    "vivado_export.rpt": read_export,
}
#: What hurts readers of tables: signs, non-numbers, huge numbers, marks of tables, XML and encodings.
PIECES = [
    b"-",
    b"nan",
    b"inf",
    b"|",
    b"+--+",
    b"\n",
    b"\0",
    b"\xff\xfe",
    b"9" * 40,
    b"<",
    b"&x;",
    b"]]>",
    b"1e308",
]


def believable(value: object) -> bool:
    """No number in a report's values is negative, infinite or not a number, but slacks."""
    if is_dataclass(value):
        return all(
            believable(getattr(value, field.name))
            for field in fields(value)
            if field.name not in ("wns_ns", "tns_ns", "whs_ns")
        )
    if isinstance(value, tuple):
        return all(believable(item) for item in value)
    if isinstance(value, float):
        return 0 <= value < 1e13
    return not isinstance(value, int) or isinstance(value, bool) or 0 <= value <= 10**12


def judge(read: Callable[[Path], Any], path: Path, data: bytes) -> None:
    path.write_bytes(data)
    message, report = str(path), None
    try:
        report = read(path)
    except ReportError as error:
        message = str(error)
    assert str(path) in message
    assert believable(report)


@pytest.mark.parametrize("name", READERS)
@given(share=st.floats(0, 1))
@SETTINGS
def test_report_truncated_at_any_byte_is_handled(tmp_path: Path, name: str, share: float) -> None:
    data = (DATA / name).read_bytes()
    judge(READERS[name], tmp_path / name, data[: int(share * len(data))])


@pytest.mark.parametrize("name", READERS)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES)), max_size=6))
@SETTINGS
def test_pieces_overwritten(tmp_path: Path, name: str, edits: list[tuple[float, int, bytes]]) -> None:
    data = (DATA / name).read_bytes()
    for share, length, piece in edits:
        at = int(share * len(data))
        data = data[:at] + piece + data[at + length :]
    judge(READERS[name], tmp_path / name, data)


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=400))
@SETTINGS
def test_any_bytes(tmp_path: Path, name: str, data: bytes) -> None:
    judge(READERS[name], tmp_path / name, data)


@pytest.mark.parametrize("name", READERS)
@given(drop=st.sets(st.integers(0, 120), max_size=40))
@SETTINGS
def test_lines_lost(tmp_path: Path, name: str, drop: set[int]) -> None:
    lines = (DATA / name).read_bytes().splitlines(keepends=True)
    judge(READERS[name], tmp_path / name, b"".join(line for at, line in enumerate(lines) if at not in drop))


@given(share=st.floats(0, 1), name=st.sampled_from(sorted(READERS)))
@SETTINGS
def test_whole_projects(tmp_path: Path, share: float, name: str) -> None:
    data = (DATA / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    try:
        reports = read_project(tmp_path)
    except ReportError:
        return
    assert believable(reports.solutions)
