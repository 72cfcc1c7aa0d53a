"""Display of a run in the terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from hwnas_hls.errors import ReaderEndedError
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.spec.notation import counted, duration
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls.values.score_metrics import RATE_METRIC

if TYPE_CHECKING:
    from hwnas_hls.plugin.offers import Fault
    from hwnas_hls.run import search
    from hwnas_hls.run.problem import Problem

_PLAIN_WIDTH = 80
_MAX_REASONS = 3
#: Silence in seconds after which a phase of a batch is printed.
_SILENCE_S = 5.0
#: Silence in seconds after which a line says that the run goes on; it doubles with each such line.
_PATIENCE_S = 10.0
#: Interval in seconds at which the silence is measured.
_BEAT_S = 1.0
#: Leaves room for the figures of 50,000 candidates and the remaining time in 80 columns.
_BAR_WIDTH = 8


class _Console(Console):
    """A console that reports a closed pipe as such; rich itself would call ``sys.exit(1)``."""

    def on_broken_pipe(self) -> None:
        raise ReaderEndedError


def console(*, plain: bool = False, stderr: bool = False) -> Console:
    """A console without colour and drawing if the output is not a terminal."""
    probe = _Console(stderr=stderr)
    if plain or not probe.is_terminal:
        return _Console(
            stderr=stderr, no_color=True, force_terminal=False, width=_PLAIN_WIDTH, highlight=False
        )
    return probe


@contextmanager
def watch(*, quiet: bool = False, plain: bool = False) -> Iterator[runs.Observer]:
    """An observer that shows a run's progress on standard error: live, or one line per batch."""
    if quiet:
        yield runs.Observer()
        return
    screen = console(plain=plain, stderr=True)
    if screen.is_terminal:
        with _Live(screen) as live:
            yield runs.Observer(live.problem, live.progress, live.step, live.phase)
    else:
        with _Lines(screen) as lines:
            yield runs.Observer(lines.problem, lines.progress, lines.step, lines.phase)


class _Lines:
    """One line per batch and step; phases of a batch are printed after seconds of silence.

    As a context manager, it also prints signs of life: a compiler or a synthesis may take minutes.
    """

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beats, daemon=True)
        self._heard()

    def __enter__(self) -> _Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def problem(self, problem: Problem, folder: Path) -> None:
        with self._lock:
            print_problem(self._screen, problem, folder)
            self._heard()

    def progress(self, progress: search.Progress) -> None:
        self.step(_line(progress))

    def step(self, step: str) -> None:
        with self._lock:
            _say(self._screen, step)
            self._heard()

    def phase(self, words: str) -> None:
        with self._lock:
            self._phase = words
            if time.monotonic() - self._last >= _SILENCE_S:
                self.step(words)

    def beat(self) -> None:
        """Print the phase that was not printed yet, or that the run goes on, if it has been silent."""
        with self._lock:
            silence = time.monotonic() - self._last
            if self._phase and silence >= _SILENCE_S:
                self.step(self._phase)
            elif silence >= self._patience:
                _say(self._screen, f"... still at work, {duration(silence)} since the last message")
                self._patience *= 2

    def _heard(self) -> None:
        self._last, self._phase, self._patience = time.monotonic(), "", _PATIENCE_S

    def _beats(self) -> None:
        while not self._over.wait(_BEAT_S):
            try:
                self.beat()
            except ReaderEndedError:
                # The next line of the run's own thread ends the run.
                return


class _Elapsed(ProgressColumn):
    """The time since the start, which goes on after the last candidate: the export may take minutes."""

    def render(self, task: Task) -> Text:
        return Text(str(timedelta(seconds=int(task.elapsed or 0))), style="progress.elapsed")


class _Left(TimeRemainingColumn):
    """The estimated time until the last candidate, and nothing afterwards."""

    def render(self, task: Task) -> Text:
        return Text("") if task.finished else Text.assemble(super().render(task), " left")


class _Live:
    """A progress bar with the numbers of the search."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._bar = Progress(
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[figures]}"),
            _Elapsed(),
            _Left(),
            console=screen,
            transient=True,
        )
        # There is nothing to count before the problem is known.
        self._task = self._bar.add_task("search", total=1, visible=False, figures="")

    def __enter__(self) -> _Live:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def problem(self, problem: Problem, folder: Path) -> None:
        print_problem(self._screen, problem, folder)
        self._bar.update(self._task, total=problem.spec.run.trials, visible=True)

    def progress(self, progress: search.Progress) -> None:
        complete = progress.states.get(RecordState.COMPLETE, 0)
        figures = f"{complete} complete, front {progress.front}, hv {progress.hypervolume:.3f}"
        self._bar.update(self._task, completed=progress.judged, figures=figures)

    def step(self, step: str) -> None:
        # Figures and phases of what went before would stand beside it.
        self._bar.update(self._task, figures="")
        _say(self._screen, step)

    def phase(self, words: str) -> None:
        self._bar.update(self._task, figures=words)


def _say(screen: Console, words: str) -> None:
    """Print text with names of files and plugins: square brackets are not markup."""
    screen.print(words, markup=False, soft_wrap=True)


def print_problem(screen: Console, problem: Problem, folder: Path) -> None:
    """Print the problem before the search."""
    dataset, target, goal = problem.dataset, problem.target, problem.goal
    rate = f" of {100 * dataset.false_positive_rate:.3g} %"
    wanted = ", ".join(
        f"{o.metric}{rate if o.metric == RATE_METRIC else ''} ({o.direction})" for o in goal.objectives
    )
    limits = ", ".join(
        str(limit) for limit in goal.limits if limit.bound != getattr(target, limit.metric, None)
    )
    clock = "clock found for each design" if problem.finds_clock else f"clock {problem.clock_ns:g} ns"
    _say(screen, f"target   {target.name} ({target.part}), {clock}")
    _say(
        screen,
        f"task     {problem.spec.task.name}: {counted(dataset.n_in, 'input')}, "
        f"{counted(dataset.n_out, 'output')}, "
        f"{len(dataset.train)}/{len(dataset.validation)}/{len(dataset.test)} rows",
    )
    _say(
        screen,
        f"search   {problem.spec.strategy.name} over {problem.spec.space.name}, seed {problem.spec.run.seed}",
    )
    _say(screen, f"goal     {wanted} ({goal.mode})")
    _say(screen, f"limits   {limits or 'none'}{', fits the part' if problem.spec.limits.fit_part else ''}")
    _say(screen, f"hardware {hardware_words(problem)}")
    _say(screen, f"folder   {folder}")


def hardware_words(problem: Problem) -> str:
    """How the hardware numbers of designs are obtained, and what is missing for better ones."""
    if problem.synthesizer is not None:
        return f"every exported design is synthesised by {problem.spec.synthesis.synthesizer}"
    return f"predicted, no synthesis{f': {problem.lacking}' if problem.lacking else ''}"


def _line(progress: search.Progress) -> str:
    states = " ".join(f"{count} {state}" for state, count in sorted(progress.states.items()))
    return (
        f"{progress.judged}/{progress.trials}: {states}; front {progress.front}, "
        f"hv {progress.hypervolume:.3f}, {progress.seconds:.0f} s"
    )


def print_outcome(outcome: runs.Outcome, faults: Sequence[Fault], *, plain: bool = False) -> None:
    """Print the front as a table, problems, and the next commands."""
    from hwnas_hls.views.front_summary import print_front

    screen = console(plain=plain)
    for fault in faults:
        screen.print(f"plugin fault: {fault}", markup=False)
    for line in why_all_failed(outcome.front.records):
        _say(screen, line)
    print_front(screen, outcome.front, outcome.folder)


def why_all_failed(records: Sequence[Record]) -> list[str]:
    """The most frequent reasons with their counts if every candidate failed; otherwise nothing."""
    if not records or any(record.state != RecordState.FAILED for record in records):
        return []
    reasons = Counter(" ".join(record.reason.split())[:300] for record in records)
    lines = [f"  {count} x {reason}" for reason, count in reasons.most_common(_MAX_REASONS)]
    others = len(reasons) - len(lines)
    more = [f"  and {others} more reasons; see report.html and log.txt"] if others else []
    return ["Every candidate failed:", *lines, *more]
