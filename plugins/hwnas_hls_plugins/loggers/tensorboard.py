"""Writes a run to TensorBoard: the metrics of each candidate, and the best so far.

Needs the package tensorboard. The files are in ``RUN/tensorboard``; ``tensorboard --logdir runs`` shows
all runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas_hls import hookimpl
from hwnas_hls.protocols.exporter import Front
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import RunFacts

_writers: dict[str, Any] = {}
_best: dict[str, list[float]] = {}


def _writer(run: RunFacts) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    if run.folder not in _writers:
        _writers[run.folder] = SummaryWriter(str(Path(run.folder) / "tensorboard"))
    return _writers[run.folder]


@hookimpl
def hwnas_run_started(run: RunFacts) -> None:
    """The settings of the run, as text."""
    facts = {"task": run.task, "space": run.space, "strategy": run.strategy, "seed": run.seed}
    _writer(run).add_text("run", "\n".join(f"- {name}: {value}" for name, value in facts.items()), 0)


@hookimpl
def hwnas_candidate_recorded(run: RunFacts, record: Record) -> None:
    """The metrics of a candidate, at its number; and the smallest loss of each objective so far."""
    writer = _writer(run)
    for name, value in record.metrics().items():
        writer.add_scalar(f"candidate/{name}", value, record.number)
    if record.losses is not None:
        best = _best.setdefault(run.folder, list(record.losses))
        best[:] = [min(pair) for pair in zip(best, record.losses, strict=True)]
        for number, loss in enumerate(best):
            writer.add_scalar(f"best/loss_{number}", loss, record.number)


@hookimpl
def hwnas_run_finished(run: RunFacts, front: Front) -> None:
    """The final numbers of the exported designs, in the order of the table."""
    writer = _writer(run)
    for place, member in enumerate(front.members):
        for name, estimate in member.estimates.items():
            writer.add_scalar(f"design/{name}", estimate.value, place)
    writer.close()
    _writers.pop(run.folder, None)
    _best.pop(run.folder, None)
