"""What an export says while it writes and checks the projects, and when it is interrupted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas_hls.hls4ml import project
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.spec.spec import Spec

MakeSpec = Callable[..., Spec]


def test_an_interruption_of_the_c_simulation_is_no_error_of_a_design(
    registry: Registry,
    toy_spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    # As Ctrl-C while the compiler runs.
    (tools / "g++").write_text("#!/bin/sh\nkill -INT $PPID\nsleep 60\n")
    (tools / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    steps: list[str] = []
    spec = toy_spec(export={"csim": True, "members": 1})
    outcome = runs.start(spec, registry, tmp_path / "run", runs.Observer(on_step=steps.append))
    assert outcome.interrupted
    assert list(tmp_path.glob("run/designs/*/hls4ml/csim.log"))
    assert not outcome.failures
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert not any(step.startswith("design ") for step in steps)
    assert not list(tmp_path.glob("run/designs/*/evidence/export.json"))


@pytest.mark.parametrize("csim", [True, False])
def test_the_steps_name_the_c_simulation_only_where_there_is_one(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, csim: bool
) -> None:
    def simulated(design: Any, built: Path, rows: Any, **_: object) -> project.Verification:
        return project.Verification(len(rows), 0, design.architecture.n_out)

    monkeypatch.setattr(project, "verify", simulated)
    steps: list[str] = []
    spec = toy_spec(export={"csim": csim, "members": 1})
    runs.start(spec, registry, tmp_path / "run", runs.Observer(on_step=steps.append))
    about = [step for step in steps if "hls4ml project" in step or "C simulation" in step]
    assert len(about) == 2, steps
    assert ["C simulation" in step for step in about] == [csim, csim]
