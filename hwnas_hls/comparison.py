"""Comparing runs: the hypervolume of each front below one shared reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import UserError
from hwnas_hls.front import hypervolume, non_dominated
from hwnas_hls.objective import Goal
from hwnas_hls.plugins import Registry
from hwnas_hls.problem import pose
from hwnas_hls.run import run_spec
from hwnas_hls.store import Store

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a comparison.

    Args:
        run: its folder.
        judged: candidates.
        seconds: run time of its search.
        front: designs on its front, by the first run's objectives.
        hypervolume: below the first run's reference.
        best: objective -> best value on the front.
    """

    run: str
    judged: int
    seconds: float
    front: int
    hypervolume: float
    best: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare_runs(folders: Sequence[Path], registry: Registry) -> list[RunRow]:
    """Each run's front by the goal (objectives, scales, reference) of the first.

    Raises:
        UserError: a folder is no run, the tasks differ, or a run lacks an objective's metric.
    """
    problem = pose(run_spec(folders[0]), registry)
    rows = []
    for folder in folders:
        run_spec(folder)
        with Store(folder) as store:
            facts = store.meta().get("run", {})
            if facts.get("data_fingerprint") != problem.dataset.fingerprint:
                raise UserError(
                    "runs of different data cannot be compared",
                    where=str(folder),
                    found=facts.get("task"),
                    choices=[problem.spec.task.name],
                )
            rows.append(_row(folder, store, problem.goal))
    return rows


def _row(folder: Path, store: Store, goal: Goal) -> RunRow:
    records = store.records()
    complete = [record for record in records if record.feasible]
    losses = []
    for record in complete:
        found = goal.losses(record.estimates)
        if found is None:
            missing = [o.metric for o in goal.objectives if o.metric not in record.estimates]
            raise UserError(
                "a run lacks an objective of the first", where=str(folder), found=", ".join(missing)
            )
        losses.append(found)
    kept = non_dominated(losses)
    best = {}
    for objective in goal.objectives:
        values = [complete[place].estimates[objective.metric].value for place in kept]
        if values:
            best[objective.metric] = max(values) if objective.direction == "max" else min(values)
    seconds = max((batch.seconds for batch in store.batches()), default=0.0)
    volume = hypervolume([losses[place] for place in kept], [1.0] * goal.n_losses)
    return RunRow(str(folder), len(records), seconds, len(kept), volume, best)


def comparison_table(rows: Sequence[RunRow]) -> Table:
    """For the terminal."""
    from rich.table import Table

    table = Table(
        "run", "judged", "seconds", "front", "hypervolume", *(f"best {name}" for name in rows[0].best)
    )
    for row in rows:
        best = [f"{row.best[name]:.4g}" if name in row.best else "-" for name in rows[0].best]
        table.add_row(
            Path(row.run).name,
            str(row.judged),
            f"{row.seconds:.0f}",
            str(row.front),
            f"{row.hypervolume:.4f}",
            *best,
        )
    return table
