"""What commands print fits a terminal of 80 columns, without colour where nobody looks at one."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
from refusal import expect_mentioned
from rich.console import Console
from synthetic_front import make_front
from toy import ToySynthesizer

from hwnas_hls.cli import terminal
from hwnas_hls.cli.main import invoke
from hwnas_hls.cli.terminal import _Live, console, print_problem
from hwnas_hls.errors import HwnasError, ReaderEndedError
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.lifecycle import Observer, resume, start
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Progress
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.notation import figure
from hwnas_hls.spec.spec import Spec
from hwnas_hls.system.files import write_text
from hwnas_hls.values.estimate import Estimate, measured
from hwnas_hls.values.record import RecordState
from hwnas_hls.views.comparison import compare_runs, comparison_table
from hwnas_hls.views.front_table import front_table


@pytest.mark.parametrize("command", ["targets", "doctor", "plugins"])
def test_listings_fit_80_columns_and_are_plain(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    # Nothing is installed: what is lacking takes the longest lines.
    monkeypatch.setenv("PATH", "")
    assert invoke([command]) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if len(line) > 80] == []
    assert "\x1b" not in printed


def test_nanoseconds_of_routed_designs_stand_beside_the_cycles() -> None:
    front = make_front(candidates=8, members=2)
    objectives = tuple(each for each in front.goal.objectives if each.metric != "latency_ns")
    front = dataclasses.replace(front, goal=dataclasses.replace(front.goal, objectives=objectives))
    cycles = measured("latency_cycles", 2, "simulated_rtl", "simulated")
    headings = []
    for source in ("post_route", "predicted"):
        ns = Estimate("latency_ns", 48.4, 48.4, 48.4, source, "routed")
        members = [
            dataclasses.replace(m, estimates={**m.estimates, "latency_cycles": cycles, "latency_ns": ns})
            for m in front.members
        ]
        shown = dataclasses.replace(front, members=members)
        stream = io.StringIO()
        Console(file=stream, width=120).print(front_table(shown))
        headings.append(stream.getvalue().splitlines()[0])
        assert ("48.4 R" in stream.getvalue()) == (source == "post_route")
    assert ["latency ns" in heading for heading in headings] == [True, False]
    assert all("cycles" in heading for heading in headings)


def test_the_head_says_whether_the_clock_is_found(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(synthesis={"synthesizer": "toy-synthesis"})
    stream = io.StringIO()
    print_problem(Console(file=stream, width=80), resolve(spec, registry), tmp_path)
    assert "clock 5 ns" in stream.getvalue()
    monkeypatch.setattr(ToySynthesizer, "clocked", lambda self, design, target, rows=None: design)
    print_problem(Console(file=stream, width=80), resolve(spec, registry), tmp_path)
    assert "clock found for each design" in stream.getvalue()


def test_unreadable_table_writes_no_partial_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "text.csv"
    table.write_text("a,b\n1,2\n")
    assert invoke(["predict", str(table)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    expect_mentioned(printed.err, [table, "a, b"])


def test_a_file_that_cannot_be_written_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HwnasError) as caught:
        write_text(tmp_path / "file" / "compare.html", "")
    words = str(caught.value)
    assert words.startswith(f"cannot write {tmp_path / 'file' / 'compare.html'}: ")
    assert ".tmp" not in words
    assert "Errno" not in words


def test_runs_with_long_names_are_compared_within_80_columns(
    tmp_path: Path, registry: Registry, toy_spec: Callable[..., Spec], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / f"a_run_of_a_very_long_name_without_a_break_number_{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders):
        start(toy_spec(run={"seed": seed, "trials": 20}), registry, folder, Observer())
    rows = compare_runs(folders, registry)
    console().print(comparison_table(rows))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    # The name is folded, not cut.
    first_column = "".join(line.split()[0] for line in lines if line.strip())
    assert all(folder.name in first_column for folder in folders)
    # The best values are written as in the other tables: 98.3 %, 13,457.
    for row in rows:
        shown = [figure(name, value) for name, value in row.best.items()]
        assert any(all(value in line for value in shown) for line in lines)


def test_the_live_line_shows_all_figures_and_the_time_left_in_80_columns(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    stream = io.StringIO()
    screen = Console(file=stream, force_terminal=True, width=80, color_system=None)
    states = {
        RecordState.COMPLETE: 41_000,
        RecordState.STOPPED: 500,
        RecordState.INFEASIBLE: 7_000,
        RecordState.FAILED: 500,
    }
    with _Live(screen) as live:
        assert "0/1" not in stream.getvalue()
        live.problem(resolve(toy_spec(run={"trials": 50_000}), registry), tmp_path)
        live.progress(Progress(49_000, 50_000, states, 120, 0.98765, 3600.0))
        live._bar.refresh()
    line = [line for line in stream.getvalue().splitlines() if "49000/50000" in line][-1]
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rpartition("\r")[2]
    assert "41000 complete, front 120, hv 0.988" in shown
    assert re.search(r"\d:\d\d:\d\d (-:--:--|\d:\d\d:\d\d) left", shown)
    assert len(shown) <= 80


def test_after_the_search_the_live_line_goes_on_without_the_figures_of_the_search(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    stream = io.StringIO()
    screen = Console(file=stream, force_terminal=True, width=80, color_system=None, get_time=lambda: now[0])
    with _Live(screen) as live:
        live.problem(resolve(toy_spec(run={"trials": 5}), registry), tmp_path)
        live.phase("export: training, epoch 100 of 100")
        live.progress(Progress(5, 5, {RecordState.COMPLETE: 5}, 2, 0.9, 60.0))
        shown = []
        for seconds in (60, 3725):
            now[0] = seconds
            live.step("hls4ml projects and C simulation of 2 designs")
            live._bar.refresh()
            line = [line for line in stream.getvalue().splitlines() if "5/5" in line][-1]
            shown.append(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rpartition("\r")[2])
    assert ["1:02:05" in line for line in shown] == [False, True]
    assert not any(words in line for line in shown for words in ("epoch", "complete", "left"))


def test_a_phase_is_printed_only_after_seconds_of_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    lines = terminal._Lines(Console(file=out, width=80))
    lines.phase("batch 1: training, 50 candidates")
    assert not out.getvalue()
    now[0] += 5.0
    lines.phase("batch 1: da-cost, 50 designs")
    lines.phase("batch 2: training, 50 candidates")
    assert out.getvalue() == "batch 1: da-cost, 50 designs\n"


def test_a_long_silence_is_broken_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    lines = terminal._Lines(Console(file=out, width=80))
    lines.phase("batch 1: training, 50 candidates")
    for _ in range(5):
        now[0] += 1.0
        lines.beat()
    assert out.getvalue() == "batch 1: training, 50 candidates\n"
    times = []
    for silence in range(1, 101):
        now[0] += 1.0
        before = out.getvalue()
        lines.beat()
        if out.getvalue() != before:
            times.append(silence)
    assert times == [10, 20, 40, 80]
    lines.step("synthesis of 2 designs")
    now[0] += 9.0
    lines.beat()
    assert out.getvalue().endswith("synthesis of 2 designs\n")


@contextlib.contextmanager
def closed_pipe() -> Iterator[TextIO]:
    """A stream whose reader has ended."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stream:
        yield stream
        # What is still in its buffer is flushed when it is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_the_end_of_the_reader_of_the_progress_is_no_fault_of_an_estimator(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first line that is printed describes a step of an estimator.
    monkeypatch.setattr(terminal, "_SILENCE_S", 0.0)
    monkeypatch.setattr(terminal, "print_problem", lambda *_: None)
    folder = tmp_path / "run"
    with closed_pipe() as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        with pytest.raises(ReaderEndedError), terminal.watch(plain=True) as observer:
            start(toy_spec(run={"trials": 6, "batch": 3}), registry, folder, observer)
    with Store(folder, reading=True) as store:
        assert not [record for record in store.records() if record.state == RecordState.FAILED]
    finished = resume(folder, registry, Observer())
    assert finished.front.records
    assert not [record for record in finished.front.records if record.state == RecordState.FAILED]


def test_the_end_of_the_reader_of_a_result_is_no_fault(
    registry: Registry,
    toy_spec: Callable[..., Spec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        start(toy_spec(run={"trials": 6}), registry, folder, Observer())
    capsys.readouterr()
    with closed_pipe() as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        assert invoke(["compare", *map(str, folders)], lambda: registry) == 141
    assert not capsys.readouterr().err
