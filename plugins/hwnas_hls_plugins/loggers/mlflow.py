"""Writes a run to MLflow: settings, the metrics of each candidate, and the files of the run.

Needs the package mlflow. ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` set the place, as usual.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas_hls import hookimpl
from hwnas_hls.protocols.exporter import Front
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import RunFacts

_runs: dict[str, str] = {}


def _mlflow() -> Any:
    import mlflow

    return mlflow


@hookimpl
def hwnas_run_started(run: RunFacts) -> None:
    """An MLflow run with the name of the run folder, and its settings as parameters."""
    mlflow = _mlflow()
    started = mlflow.start_run(run_name=run.name)
    _runs[run.folder] = started.info.run_id
    names = ("task", "space", "strategy", "seed", "trials", "clock_ns", "data_fingerprint")
    mlflow.log_params({name: getattr(run, name) for name in names})


@hookimpl
def hwnas_candidate_recorded(run: RunFacts, record: Record) -> None:
    """The metrics of a candidate, at its number."""
    if record.estimates:
        _mlflow().log_metrics(record.metrics(), step=record.number, run_id=_runs[run.folder])


@hookimpl
def hwnas_run_finished(run: RunFacts, front: Front) -> None:
    """The numbers of the best exported design, and the report as an artifact."""
    mlflow = _mlflow()
    for member in front.members[:1]:
        final = {f"best_{name}": estimate.value for name, estimate in member.estimates.items()}
        mlflow.log_metrics(final, run_id=_runs[run.folder])
    for name in ("report.html", "front.json", "spec.toml"):
        if (Path(run.folder) / name).is_file():
            mlflow.log_artifact(str(Path(run.folder) / name), run_id=_runs[run.folder])
    mlflow.end_run()
    _runs.pop(run.folder, None)
