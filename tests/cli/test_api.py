"""The Python API: a run in a few lines, data as objects, runs as data frames."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from refusal import raises_naming, refused

import hwnas_hls
from hwnas_hls import Run, compare_runs, open_run, resume_run, run_search
from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.folder import run_spec
from hwnas_hls.run.lifecycle import Observer
from hwnas_hls.run.user_data import rows_of
from hwnas_hls.testing import sample_dataset
from hwnas_hls.values.record import RecordState


def toy_tables(**changes: Any) -> dict[str, Any]:
    tables = copy.deepcopy(toy.SPEC)
    tables["run"] |= {"trials": 20, "batch": 10}
    for name, table in changes.items():
        tables[name] = {**tables.get(name, {}), **table}
    return tables


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("api") / "run"
    scale = {"worst": {"accuracy": 0.1}}
    return run_search(spec=toy_tables(), output=folder, plugins=[toy], limits={"lut": 3000}, objectives=scale)


def test_a_run(run: Run) -> None:
    assert run.finished
    assert len(run.records) == 20
    assert run.members
    assert list(run.designs) == [member.key for member in run.members]
    assert run.hypervolume > 0
    for member in run.members:
        assert member.record.estimates["lut"].high <= 3000
        assert (run.folder / "designs" / member.key / "design.json").is_file()


def test_the_frame_equals_the_records(run: Run) -> None:
    frame = run.to_frame()
    assert list(frame.index) == list(range(20))
    for record in run.records:
        row = frame.loc[record.number]
        assert (row["key"], row["state"], row["reason"]) == (record.key, record.state, record.reason)
        assert row["knob.width"] == record.candidate.values["width"]
        estimate = record.estimates["lut"]
        assert (row["lut"], row["lut_low"], row["lut_high"]) == (estimate.value, estimate.low, estimate.high)
        assert (row["lut_source"], row["lut_evidence"]) == (estimate.source, estimate.evidence)
        assert np.isnan(row["accuracy"]) == ("accuracy" not in record.estimates)
    infeasible = frame[frame["state"] == "infeasible"]
    assert len(infeasible) > 0
    assert (infeasible["excess.lut <= 3000"] > 0).all()
    assert set(frame[frame["on_front"]]["key"]) == set(run.designs)


def test_the_front_as_a_frame(run: Run) -> None:
    frame = run.front_to_frame()
    assert list(frame.index) == list(run.designs)
    best = run.members[0]
    assert frame.loc[best.key, "accuracy"] == best.estimates["accuracy"].value
    assert frame.loc[best.key, "shape"] == best.design.architecture.shape
    assert not [column for column in frame.columns if column.endswith("_evidence")]


def test_run_has_text_and_html_form(run: Run) -> None:
    text = repr(run)
    assert text.splitlines()[0] == f"run {run.folder}"
    assert "finished, 20 candidates" in text.splitlines()[1]
    assert run.members[0].key[:8] in text
    assert max(map(len, text.splitlines()[1:])) <= 80
    html = run._repr_html_()
    assert html.count("<tr") == len(run.members) + 2
    assert run.members[0].key in html
    assert len(repr(run.front)) < 200


def test_open_run_reads_and_changes_nothing(run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.json")}
    again = open_run(run.folder, plugins=[toy])
    assert again.finished
    assert [record.to_json() for record in again.records] == [record.to_json() for record in run.records]
    assert list(again.designs) == list(run.designs)
    for key, design in again.designs.items():
        assert design.digest() == run.designs[key].digest()
    assert again.files == ()
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.json")} == before


def test_any_candidate_can_be_exported(run: Run) -> None:
    other = next(
        record
        for record in run.records
        if record.state == RecordState.COMPLETE and record.key not in run.designs
    )
    member = run.export_design(other.key[:10])
    assert member.key == other.key
    assert (run.folder / "designs" / other.key / "hls4ml").is_dir()


def test_export_by_name(run: Run) -> None:
    assert [path.name for path in run.export_files("csv", "front-json")] == [
        "candidates.csv",
        "designs.csv",
        "front.json",
    ]
    with refused(ErrorKind.UNKNOWN_NAME, near="csv"):
        run.export_files("cvs")


def test_an_interrupted_run_continues(tmp_path: Path) -> None:
    def interrupt(progress: Any) -> None:
        raise KeyboardInterrupt

    begun = run_search(
        spec=toy_tables(), output=tmp_path / "run", plugins=[toy], progress=Observer(on_progress=interrupt)
    )
    assert not begun.finished
    assert "not finished" in repr(begun)
    assert len(open_run(begun.folder, plugins=[toy]).records) == 10
    done = resume_run(begun.folder, plugins=[toy])
    straight = run_search(spec=toy_tables(), output=tmp_path / "straight", plugins=[toy])
    assert done.finished
    assert [record.key for record in done.records] == [record.key for record in straight.records]
    assert list(done.designs) == list(straight.designs)
    registry = Registry()
    registry.register(toy, "toy")
    first, second = compare_runs([done.folder, straight.folder], registry)
    assert first.hypervolume == second.hypervolume == pytest.approx(done.hypervolume)


def test_arguments_become_the_spec(tmp_path: Path) -> None:
    done = run_search(
        target="pynq-z2",
        spec=toy_tables(space={"max_width": 8}),
        trials=4,
        seed=7,
        limits={"lut": 900, "accuracy": 0.1, "fit_part": False, "max": {"dsp": 3}},
        max_latency="0.5us",
        clock=8,
        objectives=["accuracy", "lut"],
        export={"members": 1},
        output=tmp_path / "run",
        plugins=[toy],
    )
    spec = run_spec(done.folder)
    assert (spec.target, spec.clock_ns, spec.run.trials, spec.run.seed) == ("pynq-z2", 8.0, 4, 7)
    assert spec.limits.max == {"lut": 900.0, "latency_ns": 500.0, "dsp": 3.0}
    assert spec.limits.min == {"accuracy": 0.1}
    assert not spec.limits.fit_part
    assert spec.objectives.metrics == ("accuracy", "lut")
    assert spec.export.members == 1
    assert not spec.export.csim, "a table is laid over, not put in its place"
    assert spec.space.config == {"max_width": 8}


def test_another_space_by_name_drops_the_configuration(tmp_path: Path) -> None:
    with refused(ErrorKind.UNKNOWN_NAME, found="nobody"):
        run_search(spec=toy_tables(strategy={"explore": 1}), strategy="nobody", plugins=[toy])


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ({}, {"kind": ErrorKind.MISSING}),
        ({"target": "xcvu9p", "trails": {"x": 1}}, {"found": "trails", "kind": ErrorKind.UNKNOWN_NAME}),
        ({"target": "xcvu9p", "limits": {"luts": 5}}, {"found": "luts", "near": "lut"}),
        ({"target": "xcvu9p", "max_latency": "soon"}, {"where": "max_latency"}),
        ({"target": "xcvu9p", "task": 7}, {"where": "task", "found": "int"}),
        ({"target": "xcvu9p", "task": ([[1.0, 2.0]], [1, 2])}, {"found": "X (1, 2), y (2,)"}),
        ({"target": "xcvu9p", "run": "fast"}, {"where": "run", "found": "'fast'"}),
    ],
)
def test_mistakes(
    arguments: dict[str, Any], values: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        run_search(**arguments)
    assert {name: getattr(caught.value, name) for name in values} == values
    assert list(tmp_path.iterdir()) == []


def toy_on(task: Any, folder: Path, **more: Any) -> Run:
    tables = toy_tables()
    del tables["task"]
    return run_search(spec=tables, task=task, trials=3, output=folder, plugins=[toy], **more)


def test_arrays_and_frames_and_data_sets(tmp_path: Path) -> None:
    import pandas

    rng = np.random.default_rng(0)
    y = np.array(["cat", "dog"])[np.arange(60) % 2]
    x = rng.normal(size=(60, 3)) + (y == "dog")[:, None]
    frame = pandas.DataFrame(x, columns=["a", "<b>", "c"]).assign(kind=y)
    of_arrays = toy_on((x, y), tmp_path / "arrays")
    of_frame = toy_on(frame, tmp_path / "frame", label="kind")
    given = dataclasses.replace(sample_dataset(), metric="auc", false_positive_rate=0.1)
    of_dataset = toy_on(given, tmp_path / "dataset")
    assert of_arrays.front.dataset.labels == ("cat", "dog")
    assert of_dataset.front.dataset.scoring.false_positive_rate == 0.1
    assert (of_arrays.front.dataset.metric, of_dataset.front.dataset.metric) == ("accuracy", "auc")
    assert of_frame.front.dataset.features == ("a", "<b>", "c")
    assert of_arrays.front.dataset.fingerprint == of_frame.front.dataset.fingerprint
    for name in ("train", "validation", "test"):
        kept, split = getattr(of_dataset.front.dataset, name), getattr(given, name)
        assert np.array_equal(kept.x, split.x)
        assert [of_dataset.front.dataset.labels[n] for n in kept.y] == [given.labels[n] for n in split.y]
    # From the folder alone: the rows were kept.
    assert open_run(of_frame.folder, plugins=[toy]).front.dataset.features == ("a", "<b>", "c")


def test_a_frame_without_its_label(tmp_path: Path) -> None:
    import pandas

    frame = pandas.DataFrame({"a": [1.0], "kind": ["x"]})
    with refused(ErrorKind.MISSING, where="label"):
        rows_of(frame)
    with refused(ErrorKind.UNKNOWN_NAME, near="kind"):
        rows_of(frame, "knd")


def test_unusable_plugin_is_listed_with_reason(tmp_path: Path) -> None:
    class Broken:
        @hwnas_hls.hookimpl
        def hwnas_register_tsks(self) -> list[type]:
            return []

    with refused(ErrorKind.PLUGIN_FAULT, where="plugins"):
        run_search(spec=toy_tables(), output=tmp_path / "run", plugins=[Broken()])
    assert list(tmp_path.iterdir()) == []


def test_the_api_is_loaded_on_demand() -> None:
    code = """
import json, sys, hwnas_hls
light = sorted({"numpy", "torch", "pandas", "hls4ml", "optuna"} & sys.modules.keys())
names = [name for name in hwnas_hls.__all__ if name not in dir(hwnas_hls)]
assert callable(hwnas_hls.run_search)
heavy = sorted({"torch", "pandas", "hls4ml", "optuna"} & sys.modules.keys())
print(json.dumps([light, names, heavy]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == [[], [], []]
    with raises_naming("run_serach", error=AttributeError):
        hwnas_hls.run_serach  # type: ignore[attr-defined] # noqa: B018


def test_a_running_run_is_watched(tmp_path: Path) -> None:
    from hwnas_hls.run.storage.store import Store

    folder = tmp_path / "run"
    seen: list[int] = []

    def watch(progress: Any) -> None:
        snapshot = open_run(folder, plugins=[toy])
        assert not snapshot.finished
        seen.append(len(snapshot.records))

    run_search(spec=toy_tables(), output=folder, plugins=[toy], progress=Observer(on_progress=watch))
    assert seen == [10, 20]
    with Store(folder):  # holds the lock, as another process would
        assert len(open_run(folder, plugins=[toy]).records) == 20


def test_stored_run_lists_its_files(tmp_path: Path) -> None:
    tables = toy_tables(run={"exporters": ["front-json"]})
    made = run_search(spec=tables, output=tmp_path / "run", plugins=[toy])
    assert [path.name for path in made.files] == ["front.json"]
    assert open_run(made.folder, plugins=[toy]).files == made.files
    moved = made.folder.rename(tmp_path / "moved")
    assert open_run(moved, plugins=[toy]).files == (moved / "front.json",)
