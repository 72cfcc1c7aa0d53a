"""A run folder is moved with its data, or its data elsewhere."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.run.data_place import NAME, note_data
from hwnas_hls.run.folder import run_spec
from hwnas_hls.spec.spec import Spec
from hwnas_hls.spec.tables import NamedTable


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder ``old/runs/a`` and its data ``old/data.csv``."""
    data = tmp_path / "old" / "data.csv"
    folder = tmp_path / "old" / "runs" / "a"
    folder.mkdir(parents=True)
    data.write_text("a,label\n1,x\n")
    spec = Spec("xcvu9p", task=NamedTable("file", {"path": str(data), "label": "label"}))
    (folder / "spec.toml").write_text(spec.to_toml())
    note_data(spec, folder)
    return folder


def path_of(folder: Path) -> Path:
    return Path(run_spec(folder).task.config["path"])


def test_the_stored_place_counts_while_the_file_is_there(run: Path) -> None:
    assert path_of(run) == run.parents[1] / "data.csv"


def test_run_and_data_moved_together(run: Path, tmp_path: Path) -> None:
    (tmp_path / "old").rename(tmp_path / "new")
    folder = tmp_path / "new" / "runs" / "a"
    assert path_of(folder) == tmp_path / "new" / "data.csv"
    assert run_spec(folder).task.config["label"] == "label"


@pytest.mark.parametrize("place", ["data.csv", "../data.csv"])
def test_data_in_or_beside_the_run_folder_are_found(run: Path, place: str) -> None:
    shutil.move(run.parents[1] / "data.csv", run / place)
    assert path_of(run).resolve() == (run / place).resolve()


def test_data_beside_the_run_are_found_from_inside_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(run.parents[1] / "data.csv", run.parent / "data.csv")
    monkeypatch.chdir(run)
    assert path_of(Path()) == run.parent / "data.csv"


def test_data_with_other_hash_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "old").rename(tmp_path / "new")
    folder = tmp_path / "new" / "runs" / "a"
    (tmp_path / "new" / "data.csv").write_text("a,label\n2,x\n")
    with refused(ErrorKind.MISSING, found=str(tmp_path / "old" / "data.csv"), mentions=["--task"]):
        run_spec(folder)


def test_moved_data_file_is_noted_at_any_path(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere.csv"
    shutil.move(run.parents[1] / "data.csv", place)
    assert run_spec(run, place).task.config["path"] == str(place)
    assert path_of(run) == place
    place.write_text("other")
    with refused(ErrorKind.CHANGED, mentions=[place, "SHA-256"]):
        run_spec(run, place)
    with refused(ErrorKind.MISSING, found=str(tmp_path / "none.csv")):
        run_spec(run, tmp_path / "none.csv")


def test_a_task_without_files_notes_nothing(run: Path) -> None:
    (run / NAME).unlink()
    spec = dataclasses.replace(run_spec(run), task=NamedTable("digits16"))
    note_data(spec, run)
    assert not (run / NAME).exists()
    with refused(ErrorKind.CONFLICT, where="--task"):
        run_spec(run, run / "data.csv")


def test_a_damaged_note_is_named(run: Path) -> None:
    (run / NAME).write_text("{")
    with refused(ErrorKind.DAMAGED, where=str(run / NAME)):
        run_spec(run)
