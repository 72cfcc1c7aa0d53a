"""The loggers on the notify hooks, against doubles of the documented interfaces.

``torch.utils.tensorboard.SummaryWriter``: add_text, add_scalar, close. mlflow: start_run, log_params,
log_metrics, log_artifact, end_run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import toy

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.spec.spec import Spec
from hwnas_hls_plugins.loggers import mlflow, tensorboard


def started(logger: ModuleType, make: Callable[..., Spec], folder: Path) -> runs.Outcome:
    registry = Registry(entry_points=[])
    registry.register(toy, "toy")
    registry.register(logger, "logger")
    outcome = runs.start(make(run={"trials": 20}), registry, folder, runs.Observer())
    assert not registry.faults
    return outcome


def test_tensorboard(toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scalars: list[tuple[str, float, int]] = []
    made: list[str] = []

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            made.append(log_dir)

        def add_text(self, tag: str, text: str, step: int) -> None:
            assert "toy-task" in text

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            scalars.append((tag, value, step))

        def close(self) -> None:
            made.append("closed")

    double: Any = ModuleType("torch.utils.tensorboard")
    double.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", double)
    outcome = started(tensorboard, toy_spec, tmp_path / "run")
    assert made == [str(tmp_path / "run" / "tensorboard"), "closed"]
    for record in outcome.front.records:
        assert ("candidate/lut", record.estimates["lut"].value, record.number) in scalars
    losses = [record.losses[0] for record in outcome.front.records if record.losses]
    assert [value for tag, value, _ in scalars if tag == "best/loss_0"][-1] == min(losses)


def test_mlflow(toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, Any]] = []
    double: Any = ModuleType("mlflow")
    double.start_run = lambda run_name: (
        said.append(("start", run_name)) or SimpleNamespace(info=SimpleNamespace(run_id="7"))
    )
    double.log_params = lambda params: said.append(("params", params))
    double.log_metrics = lambda metrics, step=None, run_id=None: said.append(
        ("metrics", (step, run_id, metrics))
    )
    double.log_artifact = lambda path, run_id=None: said.append(("file", Path(path).name))
    double.end_run = lambda: said.append(("end", None))
    monkeypatch.setitem(sys.modules, "mlflow", double)
    outcome = started(mlflow, toy_spec, tmp_path / "run")
    assert said[0] == ("start", "run")
    assert said[1][1]["seed"] == 1
    steps = [item[1][0] for item in said if item[0] == "metrics"]
    assert steps[:20] == list(range(20))
    best = outcome.front.members[0]
    assert said[-3][1] == (None, "7", {f"best_{n}": e.value for n, e in best.estimates.items()})
    assert said[-2:] == [("file", "spec.toml"), ("end", None)]
