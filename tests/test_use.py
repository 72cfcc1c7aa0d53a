"""A run as its user treats it: taken up, edited, damaged, moved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas_hls import run as runs
from hwnas_hls.errors import UserError
from hwnas_hls.plugins import Registry
from hwnas_hls.spec import Spec, read_tables

MakeSpec = Callable[..., Spec]
QUIET = runs.Observer()


def finished(registry: Registry, spec: Spec, folder: Path) -> runs.Outcome:
    outcome = runs.start(spec, registry, folder, QUIET)
    assert outcome.front.members
    return outcome


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "spec.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def contents(folder: Path) -> dict[str, bytes]:
    # log.txt tells of every session; the lock and the write-ahead log are not the run's.
    files = [
        path for path in folder.rglob("*") if path.is_file() and path.suffix in (".json", ".npz", ".toml")
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_finished_run_that_is_resumed_stays_as_it_is(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = toy_spec(run={"exporters": []})
    first = finished(registry, spec, tmp_path / "run")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "designs").rglob("*")}
    before = contents(tmp_path / "run")
    steps: list[str] = []
    again = runs.resume(tmp_path / "run", registry, runs.Observer(on_step=steps.append))
    assert contents(tmp_path / "run") == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert steps == [f"finished before: {len(first.front.members)} designs are there"]
    assert dict(again.front.run) == dict(first.front.run)
    assert [m.key for m in again.front.members] == [m.key for m in first.front.members]
    assert [dict(m.estimates) for m in again.front.members] == [
        dict(m.estimates) for m in first.front.members
    ]


def test_export_hands_over_again_what_is_there(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    steps: list[str] = []
    runs.resume(tmp_path / "run", registry, runs.Observer(on_step=steps.append), anew=True)
    assert steps[0].startswith("full training")


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_a_damaged_design_is_handed_over_again(
    damage: str, registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    outcome = finished(registry, toy_spec(), tmp_path / "run")
    path = tmp_path / "run" / "designs" / outcome.front.members[0].key / "design.json"
    whole = json.loads(path.read_text())
    if damage == "gone":
        path.unlink()
    else:
        path.write_text(json.dumps(whole | {"digest": "0" * 16}))
    with pytest.raises(UserError):
        runs.redraw(tmp_path / "run", registry)
    runs.resume(tmp_path / "run", registry, QUIET)
    assert json.loads(path.read_text()) == whole


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 1", "seed = 2", "[run] seed = 2, not 1"),
        ("n_in = 6", "n_in = 5", "[task] n_in = 5, not 6"),
        ('name = "xcvu9p"', 'name = "xcu50"', "[target] name = 'xcu50', not 'xcvu9p'"),
    ],
)
def test_an_edited_spec_is_refused(
    old: str, new: str, said: str, registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    edit(tmp_path / "run", old, new)
    for command in (
        lambda: runs.resume(tmp_path / "run", registry, QUIET),
        lambda: runs.redraw(tmp_path / "run", registry),
        lambda: runs.hand_over_one(tmp_path / "run", "", registry, QUIET),
    ):
        with pytest.raises(UserError) as caught:
            command()
        assert said in str(caught.value)
        assert "spec.toml" in str(caught.value)


def test_a_run_can_be_made_longer(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    edit(tmp_path / "run", "trials = 60", "trials = 80")
    longer = runs.resume(tmp_path / "run", registry, QUIET)
    assert len(longer.front.records) == 80
    assert read_tables(tmp_path / "run" / "spec.toml")["run"]["trials"] == 80


def test_other_data_in_the_same_place_are_refused(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    from hwnas_hls.task import Dataset

    monkeypatch.setattr(Dataset, "fingerprint", "another")
    with pytest.raises(UserError, match="data of the task changed"):
        runs.resume(tmp_path / "run", registry, QUIET)
