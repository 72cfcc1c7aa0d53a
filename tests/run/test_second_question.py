"""A second question to a stored run: the same records under other objectives and limits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import toy
from click.testing import CliRunner
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.second_question import answer
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.record import RecordState
from hwnas_hls.views.second_question import print_answer

MakeSpec = Callable[..., Spec]


def state_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(toy_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = toy_spec(limits={"max": {"lut": 2000.0}})
    folder = tmp_path_factory.mktemp("finished") / "run"
    return runs.start(spec, toy.toy_registry(), folder, runs.Observer()).folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def test_a_tighter_limit_gives_the_front_below_it(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_CALLS", str(tmp_path / "calls"))
    before = state_of(folder)
    first = stored_run.redraw(folder, registry, ()).front
    found = answer(folder, registry, {"limits": {"max": {"lut": 700.0}}})
    # By hand: the complete records below the limit that no other one dominates.
    alive = [r for r in first.records if r.feasible and r.estimates["lut"].high <= 700]
    front = {
        r.key
        for r in alive
        if not any(
            all(a <= b for a, b in zip(o.losses or (), r.losses or (), strict=True)) and o.losses != r.losses
            for o in alive
        )
    }
    assert alive
    assert {r.key for r in found.candidates} <= front
    exported = {member.key for member in first.members}
    assert not exported & {r.key for r in found.candidates}
    assert all(member.estimates["lut"].high <= 700 for member in found.front.members)
    assert {limit.bound for limit in found.front.goal.limits if limit.metric == "lut"} == {700.0}
    assert not (tmp_path / "calls").exists()  # nothing was trained
    assert state_of(folder) == before


def test_looser_limit_states_untrained_candidates(registry: Registry, folder: Path) -> None:
    first = stored_run.redraw(folder, registry, ()).front
    over = [record for record in first.records if record.state == RecordState.INFEASIBLE]
    found = answer(folder, registry, {"limits": {"max": {"lut": 1e6}}})
    assert over
    assert found.untrained == len(over)


def test_other_objective_gives_other_front(registry: Registry, folder: Path) -> None:
    found = answer(folder, registry, {"objectives": {"metrics": ["lut"]}})
    cheapest = min(r.estimates["lut"].value for r in found.front.records if r.feasible)
    shown = [*found.front.members, *found.candidates]
    assert min(item.estimates["lut"].value for item in shown) == cheapest
    with refused(ErrorKind.UNKNOWN_NAME, found="energy_pj"):
        answer(folder, registry, {"objectives": {"metrics": ["energy_pj"]}})


def test_unmeasured_metric_is_computed_from_weights(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_CALLS", str(tmp_path / "calls"))
    found = answer(folder, registry, {"objectives": {"metrics": ["auc", "lut"]}})
    complete = [record for record in found.front.records if record.feasible]
    assert complete
    assert all("auc" in record.estimates for record in complete)
    assert found.front.dataset.metric == "auc"
    assert not (tmp_path / "calls").exists()


def test_unmet_limit_shows_nearest_candidates(registry: Registry, folder: Path) -> None:
    from rich.console import Console

    found = answer(folder, registry, {"limits": {"max": {"lut": 1.0}}})
    assert not found.candidates
    assert not found.front.members
    screen = Console(width=80, no_color=True, record=True)
    print_answer(screen, found)
    text = screen.export_text()
    nearest = found.front.least_infeasible[0].key[:8]
    assert nearest in text
    assert "lut <= 1" in text
    assert "p predicted" in text


def test_report_command_answers_question(folder: Path, registry: Registry) -> None:
    from hwnas_hls.cli.main import cli

    out = CliRunner().invoke(cli, ["report", str(folder), "--max", "lut=700", "--json"], obj=registry)
    assert out.exit_code == 0, out.output
    data = json.loads(out.stdout)
    assert data["goal"]["limits"][0] == {"metric": "lut", "kind": "max", "bound": 700.0}
    plain = CliRunner().invoke(cli, ["report", str(folder), "--max", "lut=700"], obj=registry)
    for item in data["not_exported"]:
        assert item["key"][:8] in plain.stdout
