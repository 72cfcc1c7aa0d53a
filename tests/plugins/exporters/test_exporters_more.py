"""The exporters csv and optuna: what was searched, read back by the programs it is written for."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from refusal import expect_mentioned, refused

from hwnas_hls import hookimpl
from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.exporter import Exporter, Front
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.run.stored_run import redraw
from hwnas_hls.spec.spec import Spec
from hwnas_hls.system.files import write_text
from hwnas_hls.testing import ExporterContract, sample_front
from hwnas_hls.values.objective import Limit
from hwnas_hls.values.record import RecordState
from hwnas_hls_plugins.exporters.csv_export import CsvExporter
from hwnas_hls_plugins.exporters.optuna_export import OptunaExporter


class TestCsvContract(ExporterContract):
    def exporter(self) -> CsvExporter:
        return CsvExporter()


class TestOptunaContract(ExporterContract):
    def exporter(self) -> OptunaExporter:
        return OptunaExporter()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Front:
    """Of a toy run with candidates of every state but stopped."""
    import toy

    from hwnas_hls.spec.spec import spec_from_tables

    registry = Registry(entry_points=[])
    registry.register(toy, "toy")
    tables = {
        **toy.SPEC,
        "limits": {"max": {"lut": 900.0}},
        "estimators": {"toy-training": {"fail_width": 5}},
        "export": {"members": 2, "restarts": 1, "csim": False},
        "strategy": {"name": "toy-random"},
    }
    outcome = start(
        spec_from_tables(tables, "test"), registry, tmp_path_factory.mktemp("run") / "run", Observer()
    )
    states = {record.state for record in outcome.front.records}
    assert states == {RecordState.COMPLETE, RecordState.INFEASIBLE, RecordState.FAILED}
    return outcome.front


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_candidates_csv_contains_every_number(front: Front, tmp_path: Path) -> None:
    CsvExporter().export(front, tmp_path)
    rows = read(tmp_path / "candidates.csv")
    assert len(rows) == len(front.records)
    for row, record in zip(rows, front.records, strict=True):
        assert (row["key"], row["state"], row["reason"]) == (record.key, record.state, record.reason)
        assert int(row["knob.width"]) == record.candidate.values["width"]
        for name in ("lut", "latency_ns", "accuracy"):
            estimate = record.estimates.get(name)
            if estimate is None:
                assert row[name] == row[f"{name}_low"] == row[f"{name}_source"] == ""
                continue
            numbers = [float(row[column]) for column in (name, f"{name}_low", f"{name}_high")]
            assert numbers == [estimate.value, estimate.low, estimate.high]
            assert (row[f"{name}_source"], row[f"{name}_evidence"]) == (estimate.source, estimate.evidence)
        assert (row["excess.lut <= 900"] != "") == bool(record.violations)
    assert {row["on_front"] for row in rows} == {"true", "false"}


def test_designs_csv(front: Front, tmp_path: Path) -> None:
    CsvExporter().export(front, tmp_path)
    rows = read(tmp_path / "designs.csv")
    assert [row["key"] for row in rows] == [member.key for member in front.members]
    assert float(rows[0]["accuracy"]) == front.members[0].estimates["accuracy"].value
    assert rows[0]["check.csim"].startswith("not run")


def test_csv_cells_are_no_formulas_and_keep_their_line(front: Front, tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://x","y")\nsecond line, with a comma'
    records = [dataclasses.replace(front.records[0], reason=evil)]
    CsvExporter().export(dataclasses.replace(front, records=records), tmp_path)
    (row,) = read(tmp_path / "candidates.csv")
    assert row["reason"] == f"'{evil}"


def test_csv_of_open_intervals(front: Front, tmp_path: Path) -> None:
    record = front.records[0]
    lut = dataclasses.replace(record.estimates["lut"], high=math.inf)
    changed = dataclasses.replace(record, estimates={**record.estimates, "lut": lut})
    CsvExporter().export(dataclasses.replace(front, records=[changed]), tmp_path)
    (row,) = read(tmp_path / "candidates.csv")
    assert float(row["lut_high"]) == math.inf


def study_of(path: Path) -> Any:
    import optuna

    storage = f"sqlite:///{path}"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def test_the_study_holds_the_search(front: Front, tmp_path: Path) -> None:
    from optuna.trial import TrialState

    (path,) = OptunaExporter().export(front, tmp_path)
    study = study_of(path)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    names = [objective.metric for objective in front.goal.objectives]
    assert study.metric_names == names
    assert len(study.trials) == len(front.records)
    expected = {
        RecordState.COMPLETE: TrialState.COMPLETE,
        RecordState.FAILED: TrialState.FAIL,
        RecordState.INFEASIBLE: TrialState.PRUNED,
    }
    for trial, record in zip(study.trials, front.records, strict=True):
        assert trial.number == record.number
        assert trial.params == dict(record.candidate.values)
        assert trial.state == expected[record.state]
        assert trial.user_attrs["key"] == record.key
        assert trial.user_attrs["state"] == record.state
        assert trial.user_attrs.get("reason", "") == record.reason
        assert trial.user_attrs["lut"]["high"] == record.estimates["lut"].high
        if record.state == RecordState.COMPLETE:
            assert trial.values == [record.estimates[name].value for name in names]
        assert trial.datetime_complete >= trial.datetime_start


def test_optuna_finds_the_same_front(front: Front, tmp_path: Path) -> None:
    (path,) = OptunaExporter().export(front, tmp_path)
    best = {trial.user_attrs["key"] for trial in study_of(path).best_trials}
    chosen = {record.key for record in front.records if record.key in {m.key for m in front.members}}
    assert chosen <= best
    complete = {record.key: record for record in front.records if record.state == RecordState.COMPLETE}
    assert best <= complete.keys()
    losses = {key: complete[key].losses for key in complete}
    for key in best:
        mine = losses[key] or ()
        for other in losses.values():
            better = all(a <= b for a, b in zip(other or (), mine, strict=True))
            assert not (better and other != mine), "a trial that Optuna calls best is dominated"


def test_constraints_are_signed_distances(front: Front, tmp_path: Path) -> None:
    (path,) = OptunaExporter().export(front, tmp_path)
    study = study_of(path)
    assert study.user_attrs["limits"] == [str(limit) for limit in front.goal.limits]
    place = study.user_attrs["limits"].index("lut <= 900")
    for trial, record in zip(study.trials, front.records, strict=True):
        if record.state != RecordState.FAILED:
            over = record.estimates["lut"].high - 900
            # Both by Optuna's own interface and in the form that its dashboard reads.
            assert list(trial.constraints.values())[place] == pytest.approx(over)
            assert trial.system_attrs["constraints"][place] == pytest.approx(over)
            assert (over > 0) == (record.state == RecordState.INFEASIBLE)
            assert ("lut <= 900" in trial.user_attrs.get("excess", {})) == (over > 0)


def test_optuna_can_continue_exported_study(front: Front, tmp_path: Path) -> None:
    (path,) = OptunaExporter().export(front, tmp_path)
    study = study_of(path)
    distributions = next(t for t in study.trials if "activation" in t.params).distributions
    trial = study.ask(distributions)
    study.tell(trial, [0.5, 10.0, 100.0])
    assert len(study_of(path).trials) == len(front.records) + 1


def test_the_slow_way_gives_the_same_study(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of a revision that is not known are filled by Optuna itself."""
    few = dataclasses.replace(front, records=front.records[:12])
    folders = [tmp_path / "fast", tmp_path / "slow"]
    for folder in folders:
        folder.mkdir()
    fast = study_of(OptunaExporter().export(few, folders[0])[0])
    monkeypatch.setattr("hwnas_hls_plugins.exporters.optuna_export._KNOWN_TABLES", "another")
    slow = study_of(OptunaExporter().export(few, folders[1])[0])
    assert len(slow.trials) == 12
    assert [trial.__dict__ for trial in fast.trials] == [trial.__dict__ for trial in slow.trials]


def test_scalar_modes_and_other_states(tmp_path: Path) -> None:
    from optuna.trial import TrialState

    front = sample_front()
    goal = dataclasses.replace(front.goal, mode="weighted", limits=(Limit("accuracy", "min", 0.99),))
    records = [
        dataclasses.replace(record, losses=goal.losses(record.estimates), state=state)
        for record in front.records
        for state in (record.state,)
    ]
    done = next(record for record in records if record.state == RecordState.COMPLETE)
    records += [dataclasses.replace(done, number=len(records), state=RecordState.STOPPED, losses=None)]
    (path,) = OptunaExporter().export(dataclasses.replace(front, goal=goal, records=records), tmp_path)
    study = study_of(path)
    assert [direction.name for direction in study.directions] == ["MINIMIZE"]
    assert study.trials[-1].state == TrialState.PRUNED
    trial = study.trials[done.number]
    assert trial.values == [pytest.approx(goal.losses(done.estimates)[0])]  # type: ignore[index]
    assert trial.system_attrs["constraints"][0] > 0


def test_second_export_replaces_first(front: Front, tmp_path: Path) -> None:
    for _ in range(2):
        OptunaExporter().export(front, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["optuna.sqlite3"]
    assert len(study_of(tmp_path / "optuna.sqlite3").trials) == len(front.records)


def test_export_by_format_needs_no_training(
    registry: Registry,
    toy_spec: Callable[..., Spec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(progress: Any) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    start(toy_spec(), registry, run, Observer(on_progress=stop))
    calls = tmp_path / "calls"
    monkeypatch.setenv("TOY_CALLS", str(calls))
    registry.register(_Exporters(), "more")
    assert (
        invoke(["export", str(run), "--format", "csv", "--format", "optuna", "--json"], lambda: registry) == 0
    )
    files = json.loads(capsys.readouterr().out)["files"]
    assert [Path(path).name for path in files] == ["candidates.csv", "designs.csv", "optuna.sqlite3"]
    assert len(read(run / "candidates.csv")) == 20, "the one batch before the interruption"
    assert not calls.exists()
    assert not redraw(run, registry, ()).front.members
    assert invoke(["export", str(run), "abc", "--format", "csv"], lambda: registry) == 2
    assert invoke(["export", str(run), "--format", "xls"], lambda: registry) == 2
    expect_mentioned(capsys.readouterr().err, ["csv, optuna"])


@pytest.mark.parametrize(("setting", "written"), [("title=mine", "mine"), ('title="a b"', "a b")])
def test_text_settings_need_no_quotes(
    setting: str, written: str, registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    class Titled(Exporter):
        name = "titled"

        @dataclass(frozen=True)
        class Config:
            title: str = ""

        config: Config

        def export(self, front: Front, folder: Path) -> list[Path]:
            return [write_text(folder / "title.txt", self.config.title)]

    class Titles:
        @hookimpl
        def hwnas_register_exporters(self) -> list[type]:
            return [Titled]

    start(toy_spec(run={"trials": 5}, export={"members": 1}), registry, tmp_path / "run", Observer())
    registry.register(Titles(), "titles")
    command = ["export", str(tmp_path / "run"), "--format", "titled", "--set", setting]
    assert invoke(command, lambda: registry) == 0
    assert (tmp_path / "run" / "title.txt").read_text() == written


class _Reluctant(Exporter):
    """Writes no design."""

    name = "reluctant"
    takes_design = True

    def export(self, front: Front, folder: Path) -> list[Path]:
        raise Unsupported("layer 3 of it", remedy="draw it by hand")


def test_an_exporter_that_writes_none_of_the_designs_says_of_which_and_what_would_do(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    class Plugin:
        @hookimpl
        def hwnas_register_exporters(self) -> list[type]:
            return [_Reluctant]

    registry.register(Plugin(), "more")
    run = tmp_path / "run"
    spec = toy_spec(run={"exporters": ["reluctant"]})
    # At the end of a run, where nobody asked for it, it is no failure.
    outcome = start(spec, registry, run, Observer())
    assert not outcome.failures
    wanted: dict[str, Any] = {"remedy": "draw it by hand", "mentions": ["reluctant", "layer 3 of it"]}
    with refused(ErrorKind.UNSUPPORTED, where=str(run), **wanted):
        redraw(run, registry, ["reluctant"])
    member = outcome.front.members[0]
    with refused(ErrorKind.UNSUPPORTED, where=str(run / "designs" / member.key), **wanted):
        redraw(run, registry, ["reluctant"], member=member)


class _Exporters:
    @hookimpl
    def hwnas_register_exporters(self) -> list[type]:
        return [CsvExporter, OptunaExporter]
