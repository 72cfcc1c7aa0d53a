"""Comparison of runs: fronts, and hypervolumes over candidates and time with a shared reference point."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.live_front import LiveFront
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.storage.store import Batch, Store
from hwnas_hls.spec.notation import figure, title
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.estimate import CSYNTH_OF, RESOURCE_STAGE
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import RunFacts

if TYPE_CHECKING:
    from rich.table import Table

_TRACE_POINTS = 400


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a comparison.

    Args:
        run: its folder.
        judged: number of candidates.
        seconds: run time of its search.
        front: number of designs on its front, by the objectives of the first run.
        hypervolume: with the reference point of the first run.
        best: objective -> best value on the front.
        strategy: name of its strategy.
        trace: (candidates, seconds, hypervolume with the reference of the first run) after each batch,
            thinned out to about 400 points.
        designs: objective -> value of each design on the front.
        sources: resource among the objectives -> source -> number of designs of the front whose figure
            has it.
        settings: hash of everything in its spec but the seed.
        hardware: its part, and whether its circuits scale raw words.
    """

    run: str
    judged: int
    seconds: float
    front: int
    hypervolume: float
    best: dict[str, float]
    strategy: str
    trace: tuple[tuple[int, float, float], ...] = ()
    designs: tuple[dict[str, float], ...] = ()
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    settings: str = ""
    hardware: str = ""

    def to_json(self) -> dict[str, Any]:
        """The numbers of the table, without trace and designs."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in ("trace", "designs", "settings")
        }


def compare_runs(folders: Sequence[Path], registry: Registry) -> list[RunRow]:
    """Each run's front by the goal (objectives, scales, reference) of the first; see :func:`compared`."""
    return compared(folders, registry)[0]


def compared(folders: Sequence[Path], registry: Registry) -> tuple[list[RunRow], Goal]:
    """Each run's front by the goal of the first, and that goal.

    Raises:
        UserError: a folder is not a run, the tasks differ, a run lacks the metric of an objective, or an
            objective is a resource and the runs state it after different stages.
    """
    seen: dict[Path, Path] = {}
    for folder in folders:
        if folder.resolve() in seen:
            raise UserError(
                "the same run is given twice",
                where=str(folder),
                found=seen[folder.resolve()],
                kind=ErrorKind.AMBIGUOUS,
            )
        seen[folder.resolve()] = folder
    problem = resolve(run_spec(folders[0]), registry)
    rows = []
    for folder in folders:
        spec = run_spec(folder)
        with Store(folder, reading=True) as store:
            facts = store.run_facts() or RunFacts()
            if facts.data_fingerprint != problem.dataset.fingerprint:
                raise UserError(
                    "runs of different data cannot be compared",
                    where=str(folder),
                    found=f"task {facts.task} with data {facts.data_fingerprint}, not "
                    f"{problem.spec.task.name} with {problem.dataset.fingerprint}",
                    remedy=f"compare runs whose training and validation rows are those of {folders[0]}",
                    kind=ErrorKind.MISMATCH,
                )
            _check_stage(facts, problem.goal, folder)
            row = _row(folder, spec.strategy.name, store, problem.goal)
            rows.append(replace(row, settings=_settings(spec), hardware=hardware_of(spec, registry)))
    return rows, problem.goal


def hardware_of(spec: Spec, registry: Registry) -> str:
    """What resources of a run are of: the part, and whether they include the scaling of raw words."""
    scaled = " with the scaling of raw words" if spec.task.config.get("input_words") else ""
    # A target file belongs to the user and may be gone.
    own = spec.target.endswith(".toml")
    return f"{Path(spec.target).stem if own else registry.target(spec.target).name}{scaled}"


def _settings(spec: Spec) -> str:
    """A hash of a spec without its seed: runs with the same hash are repetitions of one experiment."""
    tables = spec.to_tables()
    tables["run"] = {name: value for name, value in tables["run"].items() if name != "seed"}
    return hashlib.sha256(json.dumps(tables, sort_keys=True, default=str).encode()).hexdigest()


def grouped(rows: Sequence[RunRow]) -> dict[str, list[RunRow]]:
    """Name -> runs that differ in their seed alone.

    A group is named after its strategy, and after its runs if another group has the same one.
    """
    groups: dict[tuple[str, str], list[RunRow]] = {}
    for row in rows:
        groups.setdefault((row.strategy, row.settings), []).append(row)
    count = Counter(strategy for strategy, _ in groups)
    out = {}
    for (strategy, _), members in groups.items():
        names = ", ".join(Path(row.run).name for row in members)
        out[strategy if count[strategy] == 1 else f"{names} ({strategy})"] = members
    return out


def _check_stage(facts: RunFacts, goal: Goal, folder: Path) -> None:
    """Refuse a run whose resources are not those after logic synthesis, if they are an objective.

    Raises:
        UserError: the stage of its resources is another one, or was not recorded.
    """
    resources = [item.metric for item in goal.objectives if item.metric in CSYNTH_OF]
    if resources and facts.resources != RESOURCE_STAGE:
        raise UserError(
            f"{', '.join(resources)} of this run is not known to be after logic synthesis",
            where=str(folder),
            found=facts.resources or "a run of an earlier version, whose figures may be those of C synthesis",
            remedy="repeat it: `hwnas-hls run RUN/spec.toml --output NEW`",
            kind=ErrorKind.MISMATCH,
        )


def _row(folder: Path, strategy: str, store: Store, goal: Goal) -> RunRow:
    records = store.records()
    front = LiveFront(goal.n_losses)
    trace: list[tuple[int, float, float]] = []
    batches = list(store.batches())
    for batch, members in _by_batch(records, batches):
        front.add([_by(goal, record, folder) for record in members])
        judged = (trace[-1][0] if trace else 0) + len(members)
        trace.append((judged, batch.seconds, front.hypervolume))
    designs = [
        {objective.metric: record.estimates[objective.metric].value for objective in goal.objectives}
        for record in front.records
    ]
    best = {}
    for objective in goal.objectives:
        values = [design[objective.metric] for design in designs]
        if values:
            best[objective.metric] = max(values) if objective.direction == "max" else min(values)
    step = max(1, math.ceil(len(trace) / _TRACE_POINTS))
    return RunRow(
        str(folder),
        len(records),
        max((batch.seconds for batch in batches), default=0.0),
        len(designs),
        front.hypervolume,
        best,
        strategy,
        (*trace[:-1:step], *trace[-1:]),
        tuple(designs),
        {
            item.metric: dict(Counter(str(record.estimates[item.metric].source) for record in front.records))
            for item in goal.objectives
            if item.metric in CSYNTH_OF and front.records
        },
    )


def _by_batch(records: Sequence[Record], batches: Sequence[Batch]) -> list[tuple[Batch, list[Record]]]:
    members: dict[int, list[Record]] = {batch.number: [] for batch in batches}
    for record in records:
        members[record.batch].append(record)
    return [(batch, members[batch.number]) for batch in batches if members[batch.number]]


def _by(goal: Goal, record: Record, folder: Path) -> Record:
    """``record`` with the losses of the goal of the first run."""
    if not record.feasible:
        return record
    losses = goal.losses(record.estimates)
    if losses is None:
        missing = [item.metric for item in goal.objectives if item.metric not in record.estimates]
        raise UserError(
            "a run has no values for an objective of the first run",
            where=str(folder),
            found=", ".join(missing),
            kind=ErrorKind.MISSING,
        )
    return replace(record, losses=losses)


def kinds(rows: Sequence[RunRow]) -> list[str]:
    """What the resources among the objectives are, and their circuits, by run where the runs differ."""
    out = []
    for metric in dict.fromkeys(name for row in rows for name in row.sources):
        said = {Path(row.run).name: _counted(row.sources.get(metric, {})) for row in rows}
        words = (
            next(iter(said.values()))
            if len({frozenset(row.sources.get(metric, {})) for row in rows}) == 1
            else "; ".join(f"{name}: {text}" for name, text in said.items())
        )
        out.append(f"{title(metric)}: after logic synthesis, {words}")
    if len({row.hardware for row in rows}) > 1:
        each = "; ".join(f"{Path(row.run).name}: {row.hardware}" for row in rows)
        out.append(f"the circuits differ: {each}")
    return out


def _counted(sources: dict[str, int]) -> str:
    if len(sources) == 1:
        return next(iter(sources))
    return ", ".join(f"{count} {source}" for source, count in sorted(sources.items())) or "no design"


def comparison_table(rows: Sequence[RunRow]) -> Table:
    """For the terminal."""
    from rich import box
    from rich.table import Table

    table = Table(
        "run",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption="\n".join(
            [
                "results of the searches, on validation rows",
                "hv: hypervolume by the objectives of the first run",
                *kinds(rows),
            ]
        ),
    )
    for name in ("evaluated", "seconds", "front", "hv", *(f"best\n{name}" for name in rows[0].best)):
        table.add_column(name, justify="right", no_wrap=True)
    table.columns[0].overflow = "fold"
    for row in rows:
        best = [figure(name, row.best[name]) if name in row.best else "-" for name in rows[0].best]
        table.add_row(
            Path(row.run).name,
            str(row.judged),
            f"{row.seconds:.0f}",
            str(row.front),
            f"{row.hypervolume:.4f}",
            *best,
        )
    return table
