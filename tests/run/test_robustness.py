"""Damage, full disks, foreign folders and clocks that jump: nothing finished is lost or counted twice."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toy
from filelock import FileLock
from refusal import expect_mentioned, refused

from hwnas_hls import hookimpl
from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.network.design import Design
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.lifecycle import Observer
from hwnas_hls.run.storage.salvage import salvage
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.testing import sample_front
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.views.comparison import compare_runs

MakeSpec = Callable[..., Spec]
QUIET = Observer()


def outcome(folder: Path) -> list[Any]:
    with Store(folder) as store:
        return [dataclasses.replace(record, seconds=0.0).to_json() for record in store.records()]


@pytest.fixture(scope="module")
def whole(toy_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    runs.start(toy_spec(run={"trials": 200, "batch": 10}), toy.toy_registry(), folder, QUIET)
    return folder


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """A finished run to damage."""
    return shutil.copytree(whole, tmp_path / "run")


# -- a damaged store -----------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.97, 0.7, 0.4, 0.1])
def test_salvage_of_truncated_store_keeps_intact_rows(
    finished: Path, registry: Registry, share: float
) -> None:
    wanted = outcome(finished)
    path = finished / "run.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with refused(ErrorKind.DAMAGED):
        runs.resume(finished, registry, QUIET)
    kept = salvage(finished)
    assert kept.damaged.read_bytes() == whole[: int(len(whole) * share)]
    assert kept.records == 10 * kept.batches <= 200
    assert kept.records > 0 or share < 0.5
    assert outcome(finished) == wanted[: kept.records]
    runs.resume(finished, registry, QUIET)
    assert outcome(finished) == wanted


def test_salvage_of_overwritten_store_keeps_intact_rows(finished: Path, registry: Registry) -> None:
    wanted = outcome(finished)
    path = finished / "run.sqlite"
    whole = path.read_bytes()
    rng = random.Random(5)
    salvaged = []
    for _ in range(6):
        place = rng.randrange(4096, len(whole) - 8192)
        path.write_bytes(whole[:place] + rng.randbytes(6000) + whole[place + 6000 :])
        salvaged.append(salvage(finished))
        assert outcome(finished) == wanted[: salvaged[-1].records]
        runs.resume(finished, registry, QUIET)
        assert outcome(finished) == wanted
    # Most of a run survives the loss of two pages of it.
    assert max(kept.evaluations for kept in salvaged) > 150
    assert len({kept.damaged for kept in salvaged}) == 6


def test_salvage_of_intact_store_keeps_everything(finished: Path, registry: Registry) -> None:
    wanted = outcome(finished)
    with Store(finished) as store:
        evaluations = store._database.read("select count(*) from evaluation")[0][0]
    kept = salvage(finished)
    assert (kept.batches, kept.records, kept.evaluations) == (20, 200, evaluations)
    assert outcome(finished) == wanted


def test_salvage_leaves_foreign_file_untouched(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = finished / "run.sqlite"
    path.write_bytes(b"not a store at all" * 500)
    assert invoke(["resume", str(finished), "--salvage"]) == 2
    expect_mentioned(capsys.readouterr().err, [path])
    assert path.read_bytes() == b"not a store at all" * 500


def test_a_store_that_is_in_use_is_not_salvaged(tmp_path: Path) -> None:
    with Store(tmp_path), refused(ErrorKind.TAKEN, where=str(tmp_path)):
        salvage(tmp_path)


def test_start_killed_while_writing_spec_can_be_repeated(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".spec.toml.4711.tmp").write_text("[run]")
    runs.start(toy_spec(), registry, tmp_path / "run", QUIET)
    assert len(outcome(tmp_path / "run")) == 60
    assert not list((tmp_path / "run").glob(".spec*"))


# -- a store that is gone ------------------------------------------------------------------


def lose(path: Path, how: str) -> None:
    if how == "deleted":
        path.unlink()
    elif how == "emptied":
        path.write_bytes(b"")
    else:  # what is left of the file where the log beside it held everything
        path.unlink()
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("pragma journal_mode = wal")


@pytest.mark.parametrize("how", ["deleted", "emptied", "without its log"])
@pytest.mark.parametrize("left", ["run.begun", "front.json", "report.html", "designs"])
def test_a_run_without_its_store_does_not_start_again(
    finished: Path, registry: Registry, how: str, left: str
) -> None:
    for path in finished.iterdir():
        if path.name not in (left, "spec.toml", "log.txt", "run.sqlite"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (finished / left).touch()
    path = finished / "run.sqlite"
    lose(path, how)
    before = path.stat().st_size if path.exists() else None
    for command in (
        lambda: runs.resume(finished, registry, QUIET),
        lambda: stored_run.redraw(finished, registry),
        lambda: compare_runs([finished, finished.parent], registry),
    ):
        with refused(ErrorKind.DAMAGED, mentions=[left, "--output NEW"]):
            command()
    if how != "without its log":
        assert (path.stat().st_size if path.exists() else None) == before


def test_a_run_without_the_mark_continues(finished: Path, registry: Registry) -> None:
    wanted = outcome(finished)
    (finished / "run.begun").unlink()
    runs.resume(finished, registry, QUIET)
    assert outcome(finished) == wanted


def test_a_run_killed_before_its_first_candidates_continues(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "spec.toml").write_text(toy_spec().to_toml())
    for name in ("log.txt", "run.lock", "run.sqlite"):
        (folder / name).touch()
    runs.resume(folder, registry, QUIET)
    assert len(outcome(folder)) == 60
    assert (folder / "run.begun").exists()


# -- a folder that cannot be written -------------------------------------------------------


@pytest.fixture
def fixed(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run in a folder that cannot be written; root may write anywhere, so it is said only."""
    (finished / "run.lock").unlink(missing_ok=True)

    def refuse(self: object, *args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied", "run.lock")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    return finished


def test_run_in_read_only_folder_can_be_viewed(fixed: Path, registry: Registry, tmp_path: Path) -> None:
    def held() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in fixed.rglob("*") if path.is_file()}

    other = tmp_path / "other"
    shutil.copytree(fixed, other)
    before = held()
    assert len(stored_run.redraw(fixed, registry, ()).front.records) == 200
    assert [row.judged for row in compare_runs([fixed, other], registry)] == [200, 200]
    assert held() == before
    with refused(ErrorKind.NOT_ACCESSIBLE):
        stored_run.redraw(fixed, registry)
    (fixed / "run.sqlite-wal").write_bytes(b"more")
    with refused(ErrorKind.NOT_ACCESSIBLE):
        stored_run.redraw(fixed, registry, ())


# -- a full disk ---------------------------------------------------------------------------


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 500 KiB of its own, under a name that no message about a full one would hold."""
    place = tmp_path / "volume"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system takes rights that this user has not")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_loses_no_record(
    small_volume: Path,
    registry: Registry,
    toy_spec: MakeSpec,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = toy_spec(run={"trials": 200, "batch": 10})
    runs.start(spec, registry, tmp_path / "ample", QUIET)
    folder = small_volume / "a"
    arguments = ["run", str(tmp_path / "ample" / "spec.toml"), "--output", str(folder), "--plain"]
    code = invoke(arguments, lambda: registry)
    said = capsys.readouterr().err
    assert code in (1, 2), said
    assert re.search(r"\bfull\b|No space left", said), said
    assert str(folder) in said
    assert f"hwnas-hls resume {folder}" in said
    assert "Traceback" not in said
    assert "bug in hwnas-hls" not in said
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_volume)], check=True)
    judged = len(outcome(folder))
    assert 0 < judged < 200
    assert outcome(folder) == outcome(tmp_path / "ample")[:judged]
    assert invoke(["resume", str(folder), "--plain"], lambda: registry) == 0
    assert outcome(folder) == outcome(tmp_path / "ample")


# -- plugins that raise --------------------------------------------------------------------


class Fussy(toy.ToySpace):
    """The toy space, which cannot build networks of some width, or draw any after a while."""

    name = "fussy"
    no_draws_after = 10**9

    def architecture(self, candidate: Candidate) -> Any:
        if candidate.values["width"] == 7:  # type: ignore[comparison-overlap]
            raise ArithmeticError("seven is too much")
        return super().architecture(candidate)

    def sample(self, rng: Any) -> Candidate:
        type(self).no_draws_after -= 1
        if self.no_draws_after < 0:
            raise ArithmeticError("the urn is empty")
        return super().sample(rng)


class FussyPlugin:
    @hookimpl
    def hwnas_register_spaces(self) -> list[type]:
        return [Fussy]

    @hookimpl
    def hwnas_run_started(self) -> None:
        raise ArithmeticError("not now")


@pytest.fixture
def fussy(registry: Registry) -> Registry:
    registry.register(FussyPlugin(), "fussy")
    return registry


def test_space_exception_becomes_failed_record(
    fussy: Registry, toy_spec: MakeSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs.start(toy_spec(space={"name": "fussy", "max_width": 8}), fussy, tmp_path / "run", QUIET)
    with Store(tmp_path / "run") as store:
        records = store.records()
    assert len(records) == 60
    seven = [record for record in records if record.candidate.values["width"] == 7]
    assert seven
    assert [record for record in records if record.state == "failed"] == seven
    assert all("seven is too much" in record.reason for record in seven)
    assert "not now" in caplog.text
    assert "fussy" in caplog.text


def test_run_with_failing_space_resumes_after_fix(
    fussy: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(space={"name": "fussy", "max_width": 64})
    runs.start(spec, fussy, tmp_path / "whole", QUIET)
    monkeypatch.setattr(Fussy, "no_draws_after", 45)
    named = ["toy-random", "the urn is empty", f"hwnas-hls resume {tmp_path / 'run'}"]
    with refused(ErrorKind.PLUGIN_FAULT, HwnasError, mentions=named) as caught:
        runs.start(spec, fussy, tmp_path / "run", QUIET)
    assert caught.value.exit_code == 1
    assert "Traceback" in (tmp_path / "run" / "log.txt").read_text()
    assert len(outcome(tmp_path / "run")) == 40
    monkeypatch.setattr(Fussy, "no_draws_after", 10**9)
    runs.resume(tmp_path / "run", fussy, QUIET)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


# -- folders and clocks --------------------------------------------------------------------


def test_read_only_disk_is_refused(small_volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Root may write everywhere, but not there."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_volume)], check=True)
    assert invoke(["run", "--target", "xcvu9p", "--output", str(small_volume / "run")]) == 2
    expect_mentioned(capsys.readouterr().err, [small_volume])
    assert list(small_volume.iterdir()) == []


def test_a_clock_that_jumps_back_changes_nothing(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(run={"trials": 60, "batch": 10, "minutes": 5})
    runs.start(spec, registry, tmp_path / "straight", QUIET)
    hours = iter(range(10**6))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600.0 * next(hours))
    runs.start(spec, registry, tmp_path / "back", QUIET)
    with Store(tmp_path / "back") as store:
        seconds = [batch.seconds for batch in store.batches()]
    assert seconds == sorted(seconds)
    assert seconds[-1] < 300
    assert outcome(tmp_path / "back") == outcome(tmp_path / "straight")


# -- designs from strangers ----------------------------------------------------------------


def changed(data: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    copy: Any = json.loads(json.dumps(data))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("digest",), None),
        (("architecture",), []),
        (("architecture", "layers"), {}),
        (("architecture", "layers", 0, "n_in"), 10**12),
        (("architecture", "layers", 0, "weight"), 5),
        (("architecture", "layers", 0, "inputs"), [7]),
        (("architecture", "layers", 0, "kind"), "../../etc"),
        (("labels",), 3),
        (("schema",), 99),
    ],
)
def test_design_with_wrong_value_is_user_error(tmp_path: Path, path: Any, value: Any) -> None:
    sample_front().members[0].design.save(tmp_path)
    file = tmp_path / "design.json"
    file.write_text(json.dumps(changed(json.loads(file.read_text()), *path, value=value)))
    with pytest.raises(UserError):
        Design.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"schema": 1}', '{"schema": NaN}', "\xff"])
def test_malformed_design_is_refused(tmp_path: Path, text: str) -> None:
    sample_front().members[0].design.save(tmp_path)
    (tmp_path / "design.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError):
        Design.load(tmp_path)


def test_weights_that_would_fill_the_memory_are_not_unpacked(tmp_path: Path) -> None:
    import zipfile

    sample_front().members[0].design.save(tmp_path)
    with zipfile.ZipFile(tmp_path / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weight0.npy", b"\0" * (300 << 20))
    assert (tmp_path / "weights.npz").stat().st_size < 1_000_000
    with refused(ErrorKind.WRONG_FORMAT, where=str(tmp_path / "weights.npz"), mentions=[f"{300 << 20:,}"]):
        Design.load(tmp_path)


def test_candidates_of_one_training_may_name_each_other(tmp_path: Path) -> None:
    """Two exported candidates of one full training did, and a resumed run followed them without an end."""
    from hwnas_hls.run.storage.store import Store
    from hwnas_hls.values.candidate import Candidate
    from hwnas_hls.values.estimate import Estimates, measured

    first, second = Candidate("toy", {"width": 1}), Candidate("toy", {"width": 2})
    alone = {
        name: Estimates({"lut": measured("lut", value, "open_synthesis", "made up")})
        for name, value in (("a", 1.0), ("b", 2.0))
    }
    both = {
        "a": dataclasses.replace(alone["a"], siblings=((second, alone["b"]),)),
        "b": dataclasses.replace(alone["b"], siblings=((first, alone["a"]),)),
    }
    with Store(tmp_path) as store:
        store.add_evaluations(both, {first: "a", second: "b"})
    with Store(tmp_path) as store:
        assert store.evaluations(["a", "b"]) == both
