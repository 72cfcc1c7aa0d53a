"""Searches from Python: everything that ``hwnas-hls run`` does, with objects instead of files.

Example, a whole run::

    from hwnas_hls import run_search

    run = run_search(target="xcvu9p", task="digits16", trials=200, limits={"lut": 20_000}, seed=1)
    print(run)                      # the front as a table
    run.front_to_frame()            # the same as a pandas DataFrame
    best = run.members[0]           # the most accurate design: weights, numbers, checks
    print(run.folder / "designs" / best.key / "hls4ml")
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import UserError
from hwnas_hls.plugin.registry import registry_with
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.selection import pick
from hwnas_hls.run.user_data import Rows, rows_of
from hwnas_hls.spec import quantities
from hwnas_hls.spec import spec as specs
from hwnas_hls.spec.notation import counted
from hwnas_hls.values.objective import direction_of
from hwnas_hls.views import frames

if TYPE_CHECKING:
    import pandas
    from rich.console import Console, ConsoleOptions, RenderResult

    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls.protocols.task import Dataset, Task
    from hwnas_hls.values.record import Record

__all__ = ["Run", "open_run", "resume_run", "run_search"]

_NAMED = ("task", "space", "strategy")
_LIMIT_KEYS = ("max", "min", "max_share", "fit_part", "sub_microsecond")


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run and its results; printing it shows the front as a table.

    Args:
        folder: the run folder.
        front: the result as exporters receive it: goal, target, space, data, records, members.
        finished: false if the run was interrupted; :func:`resume_run` continues it.
        files: written by its exporters, as far as they still exist.
        plugins: registered in this process, in addition to the installed ones.
    """

    folder: Path
    front: Front
    finished: bool
    files: tuple[Path, ...] = ()
    plugins: tuple[object, ...] = ()

    @property
    def records(self) -> Sequence[Record]:
        """Every evaluated candidate, in order."""
        return self.front.records

    @property
    def members(self) -> Sequence[Member]:
        """The exported designs, best task metric first."""
        return self.front.members

    @property
    def designs(self) -> dict[str, Design]:
        """key -> trained fixed-point design, in the order of :attr:`members`."""
        return {member.key: member.design for member in self.front.members}

    @property
    def hypervolume(self) -> float:
        """Hypervolume of the front of the search; 1 is the whole box between ``best`` and ``worst``."""
        return self.front.hypervolume

    def to_frame(self) -> pandas.DataFrame:
        """One row per candidate; :func:`hwnas_hls.views.frames.records_frame` lists the columns."""
        return frames.records_frame(self.front)

    def front_to_frame(self) -> pandas.DataFrame:
        """One row per exported design, with its final numbers."""
        return frames.members_frame(self.front)

    def export_files(self, *formats: str) -> list[Path]:
        """Write the run in other formats (``csv``, ``optuna``, ...) to the run folder; returns the files.

        Raises:
            UserError: no exporter has this name.
        """
        return list(stored_run.redraw(self.folder, registry_with(self.plugins), formats).files)

    def export_design(self, key: str) -> Member:
        """Export one candidate, on the front or not, as a design with its hls4ml project in ``designs/``.

        Args:
            key: key of a complete record, or a unique prefix of it.
        """
        return stored_run.export_one(self.folder, key, registry_with(self.plugins), runs.Observer())

    def pick(self, rule: str = "knee", among: str | None = None) -> Record:
        """Pick a design or candidate by a rule: ``knee``, or for example ``min lut where accuracy>=0.93``.

        The record holds the numbers that decided. Its key is the name of the design's folder, and the
        argument for :meth:`export_design`.

        Args:
            among: ``designs`` (exported ones; final numbers, scored on the test rows) or ``search`` (every
                complete candidate; scored on the validation rows); default: designs, if there are any.

        Raises:
            UserError: the rule cannot be read, or nothing meets its conditions.
        """
        return pick(self.front, rule, among, str(self.folder)).record

    def __repr__(self) -> str:
        from io import StringIO

        from rich.console import Console

        screen = Console(file=StringIO(), no_color=True, force_terminal=False, width=80, highlight=False)
        screen.print(self)
        return str(screen.file.getvalue()).rstrip()  # type: ignore[attr-defined]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        from hwnas_hls.views.front_table import front_table

        yield Text(f"run {self.folder}", no_wrap=True, overflow="ignore")
        yield self._summary()
        if self.members:
            yield front_table(self.front)

    def _repr_html_(self) -> str:
        from html import escape

        # pandas escapes the text of headers and cells.
        table = self.front_to_frame().to_html(float_format="{:.4g}".format) if self.members else ""
        return f"<p>run {escape(str(self.folder))}: {self._summary()}</p>{table}"

    def _summary(self) -> str:
        return (
            f"{'finished' if self.finished else 'not finished'}, {counted(len(self.records), 'candidate')}, "
            f"{counted(len(self.members), 'design')}, hypervolume {self.hypervolume:.4f}"
        )


def run_search(
    *,
    target: str | None = None,
    task: str | Path | Mapping[str, Any] | Dataset | Task | Rows | None = None,
    label: str | None = None,
    spec: specs.Spec | Path | str | Mapping[str, Any] | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    limits: Mapping[str, Any] | None = None,
    max_latency: str | float | None = None,
    clock: str | float | None = None,
    objectives: Sequence[str] | Mapping[str, Any] | None = None,
    designs: Sequence[str | Path | Mapping[str, Any]] = (),
    earlier: Sequence[str | Path] = (),
    output: Path | str | None = None,
    plugins: Iterable[object] = (),
    progress: bool | runs.Observer = False,
    **tables: Mapping[str, Any] | str,
) -> Run:
    """Search, and export the chosen designs with their hls4ml projects, like ``hwnas-hls run``.

    Args:
        target: part, board or path of a target file.
        task: name of a task, path of a data file, ``(X, y)``, a pandas DataFrame (with ``label``), a
            :class:`~hwnas_hls.protocols.task.Dataset`, a :class:`~hwnas_hls.protocols.task.Task`, or
            a ``[task]`` table. Rows in memory are written to ``data-*.npz`` next to the run folder;
            resuming or repeating the run needs that file.
        label: name of the label column.
        spec: starting point: a :class:`~hwnas_hls.spec.spec.Spec`, the path of a TOML file, or a
            mapping of its tables.
        trials, minutes, seed: as in ``[run]``.
        limits: metric -> bound, the maximum of a cost and the minimum of a quality; the keys of
            ``[limits]`` (``max min max_share fit_part sub_microsecond``) are allowed too. A bound may be
            a string such as ``"1us"``, ``"8k"`` or ``"10%"`` (of the part).
        max_latency: limit of ``latency_ns``: a string with a unit, or a number in ns.
        clock: clock period: a string with a unit, or a number in ns.
        objectives: metric names, or an ``[objectives]`` table.
        designs: your own designs, judged first: widths such as ``16-64-32-32-5``, paths of designs or
            models, or ``[[seeds]]`` tables.
        earlier: folders of earlier runs of the same data, whose candidates and designs are taken up.
        output: run folder, new or empty; default ``runs/TASK-TARGET-NNN``.
        plugins: modules (or objects) with hooks, registered in this process.
        progress: whether to show progress on standard error, or your own observer.
        tables: any other table of the spec; ``space`` and ``strategy`` may be just a name.

    Raises:
        UserError: an argument is unknown, unreadable, contradictory or missing.
    """
    plugins = tuple(plugins)
    output = None if output is None else Path(output)
    held = _spec_tables(spec)
    for name, table in tables.items():
        _lay_over(held, name, table)
    if target is not None:
        specs.override(held, ("target", "name"), target)
    if task is not None:
        _lay_over(held, "task", _task_table(task, label, output))
    if label is not None and isinstance(task, str | Path):
        specs.override(held, ("task", "label"), label)
    for name, value in (("trials", trials), ("minutes", minutes), ("seed", seed)):
        if value is not None:
            specs.override(held, ("run", name), value)
    for kind, metric, bound in _limits(limits or {}):
        specs.override(held, ("limits", kind, metric) if metric else ("limits", kind), bound)
    if max_latency is not None:
        specs.override(held, ("limits", "max", "latency_ns"), _nanoseconds(max_latency, "max_latency"))
    if clock is not None:
        specs.override(held, ("target", "clock_ns"), quantities.parse_clock_ns(str(clock), "clock"))
    if objectives is not None:
        table = objectives if isinstance(objectives, Mapping) else {"metrics": list(objectives)}
        _lay_over(held, "objectives", table)
    if designs:
        own = [dict(item) if isinstance(item, Mapping) else {"design": str(item)} for item in designs]
        held["seeds"] = [*held.get("seeds", []), *own]
    if earlier:
        specs.override(held, ("run", "from"), [str(Path(folder).absolute()) for folder in earlier])
    resolved = specs.spec_from_tables(held, "the arguments of run_search")
    registry = registry_with(plugins)
    with _watching(progress) as observer:
        outcome = runs.start(resolved, registry, output, observer)
    return _run(outcome, plugins)


def open_run(folder: Path | str, *, plugins: Iterable[object] = ()) -> Run:
    """Open a run folder, finished or not; nothing is searched, trained, exported or written.

    While another process works on the run, this is a snapshot of its finished batches; open it again
    for a newer one.

    Args:
        folder: created by ``hwnas-hls run`` or :func:`run_search`.
        plugins: plugins of the run that are not installed.

    Raises:
        UserError: the folder is not a run, or its store cannot be read.
    """
    plugins = tuple(plugins)
    return _run(stored_run.redraw(Path(folder), registry_with(plugins), ()), plugins)


def resume_run(
    folder: Path | str, *, plugins: Iterable[object] = (), progress: bool | runs.Observer = False
) -> Run:
    """Continue a run after any interruption; finished work is not repeated."""
    plugins = tuple(plugins)
    with _watching(progress) as observer:
        return _run(runs.resume(Path(folder), registry_with(plugins), observer), plugins)


def _run(outcome: runs.Outcome, plugins: tuple[object, ...]) -> Run:
    return Run(outcome.folder, outcome.front, not outcome.interrupted, tuple(outcome.files), plugins)


def _watching(progress: bool | runs.Observer) -> Any:
    from contextlib import nullcontext

    from hwnas_hls.cli.terminal import watch

    return nullcontext(progress) if isinstance(progress, runs.Observer) else watch(quiet=not progress)


def _spec_tables(spec: specs.Spec | Path | str | Mapping[str, Any] | None) -> dict[str, Any]:
    if spec is None:
        return {}
    if isinstance(spec, specs.Spec):
        return spec.to_tables()
    if isinstance(spec, Mapping):
        return copy.deepcopy(dict(spec))
    return specs.read_tables(Path(spec))


def _lay_over(held: dict[str, Any], name: str, table: Mapping[str, Any] | str) -> None:
    """Merge one table of a spec; naming another plugin drops the configuration of the previous one."""
    if isinstance(table, str):
        if name not in _NAMED:
            raise UserError("expected a mapping", where=name, found=repr(table))
        table = {"name": table}
    below = held.get(name)
    if not isinstance(below, dict) or (
        name in _NAMED and "name" in table and below.get("name") != table["name"]
    ):
        below = {}
    held[name] = {**below, **copy.deepcopy(dict(table))}


def _task_table(task: Any, label: str | None, output: Path | None) -> Mapping[str, Any] | str:
    if isinstance(task, str | Mapping):
        return task
    if isinstance(task, Path):
        return str(task)
    place = Path("runs") if output is None else output.parent
    return rows_of(task, label).save(place)


def _limits(limits: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    """Yield (key of ``[limits]``, metric or empty, bound)."""
    for name, bound in limits.items():
        if name in _LIMIT_KEYS and isinstance(bound, Mapping):
            yield from ((name, metric, value) for metric, value in bound.items())
        elif name in _LIMIT_KEYS:
            yield name, "", bound
        else:
            yield "max" if direction_of(name) == "min" else "min", name, bound


def _nanoseconds(value: str | float, where: str) -> float:
    return quantities.parse_time_ns(value if isinstance(value, str) else f"{value:.12g}", where)
