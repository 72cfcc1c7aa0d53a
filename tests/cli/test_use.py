"""A run as its user treats it: taken up, edited, damaged, moved."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import toy
from refusal import expect_mentioned, refused
from rich.console import Console

from hwnas_hls import hookimpl, resources
from hwnas_hls.cli import main as cli
from hwnas_hls.cli import options as command_parts
from hwnas_hls.cli import terminal
from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.evidence.verdict import NOT_PROVEN, PROVEN, judge
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.facts import logged
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.bounds import parse_bound
from hwnas_hls.spec.notation import counted
from hwnas_hls.spec.spec import Spec, read_tables, spec_from_tables
from hwnas_hls.values.check import PASSED, failure, not_run
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.objective import Limit
from hwnas_hls.views.front_summary import print_front

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


def test_resuming_finished_run_changes_nothing(
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
    assert steps == [f"finished before: {counted(len(first.front.members), 'design')}"]
    assert again.front.run == first.front.run
    assert [m.key for m in again.front.members] == [m.key for m in first.front.members]
    assert [dict(m.estimates) for m in again.front.members] == [
        dict(m.estimates) for m in first.front.members
    ]


def test_all_designs_are_exported_again_on_request(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    steps: list[str] = []
    runs.resume(tmp_path / "run", registry, runs.Observer(on_step=steps.append), export_again=True)
    assert steps[0].startswith("full training")


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_a_damaged_design_is_exported_again(
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
        stored_run.redraw(tmp_path / "run", registry)
    runs.resume(tmp_path / "run", registry, QUIET)
    assert json.loads(path.read_text()) == whole


def test_an_exported_design_is_not_replaced_by_another_training(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    member = finished(registry, toy_spec(), tmp_path / "run").front.members[0]
    place = tmp_path / "run" / "designs" / member.key
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    again = stored_run.export_one(tmp_path / "run", member.key, registry, QUIET)
    assert again.design.digest() == member.design.digest()
    assert again.estimates == member.estimates
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()} == before
    (place / "rtl").mkdir()
    (place / "rtl" / "circuit.json").write_text('{"design": "another"}')
    (place / "weights.npz").unlink()
    stored_run.export_one(tmp_path / "run", member.key, registry, QUIET)
    assert (place / "weights.npz").exists()
    assert not (place / "rtl").exists()


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
        lambda: stored_run.redraw(tmp_path / "run", registry),
        lambda: stored_run.export_one(tmp_path / "run", "", registry, QUIET),
    ):
        with refused(ErrorKind.CHANGED, where=str(tmp_path / "run" / "spec.toml"), mentions=[said]):
            command()


def test_more_trials_can_be_added_to_run(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    edit(tmp_path / "run", "trials = 60", "trials = 80")
    longer = runs.resume(tmp_path / "run", registry, QUIET)
    assert len(longer.front.records) == 80
    assert read_tables(tmp_path / "run" / "spec.toml")["run"]["trials"] == 80


def test_other_data_in_the_same_place_are_refused(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    from hwnas_hls.protocols.task import Dataset

    monkeypatch.setattr(Dataset, "fingerprint", "another")
    with refused(ErrorKind.CHANGED):
        runs.resume(tmp_path / "run", registry, QUIET)


def sizes(path: Path) -> list[int]:
    whole = path.stat().st_size
    return [100, 4096, 5000, whole // 4, whole // 2, whole - 4096, whole - 1]


def test_damaged_store_is_user_error(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    finished(registry, toy_spec(), tmp_path / "run")
    path = tmp_path / "run" / "run.sqlite"
    whole = path.read_bytes()
    noisy = whole[: len(whole) // 2] + b"\x5a" * 8192 + whole[len(whole) // 2 + 8192 :]
    for damaged in [*(whole[:size] for size in sizes(path)), noisy, b"not a store at all" * 500]:
        path.write_bytes(damaged)
        with refused(ErrorKind.DAMAGED, where=str(path), mentions=[f"hwnas-hls run {tmp_path / 'run'}"]):
            runs.resume(tmp_path / "run", registry, QUIET)
    path.write_bytes(whole)
    runs.resume(tmp_path / "run", registry, QUIET)


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store._database._connection.execute("pragma max_page_count = 12")
        with refused(ErrorKind.NOT_ACCESSIBLE, HwnasError, mentions=[tmp_path / "run.sqlite"]) as caught:
            store.set_meta(much="x" * 1_000_000)
        assert not isinstance(caught.value, UserError)
    with Store(tmp_path) as store:
        store.set_meta(much="x" * 1_000_000)
        assert len(store.meta()["much"]) == 1_000_000


def test_failed_transaction_is_rolled_back(tmp_path: Path) -> None:
    """The next transaction begins, whatever the last one ended with."""
    with Store(tmp_path) as store:
        database = store._database
        twice = "insert into record values (1, 0, '{}'), (1, 0, '{}')"
        with refused(ErrorKind.DAMAGED), database.transaction() as connection:
            connection.execute(twice)
        assert database.read("select count(*) from record") == [(0,)]
        store.set_meta(after=1)
        assert store.meta() == {"after": 1}


def test_sqlite_errors_do_not_pass_raw(tmp_path: Path) -> None:
    (tmp_path / "run.sqlite").mkdir()
    with refused(ErrorKind.NOT_ACCESSIBLE, where=str(tmp_path / "run.sqlite")):
        Store(tmp_path)
    (tmp_path / "run.sqlite").rmdir()
    with Store(tmp_path) as store:
        store._database._connection.execute("drop table record")
        with refused(ErrorKind.NOT_ACCESSIBLE, HwnasError, mentions=["record"]):
            store.records()
    assert sqlite3.connect(tmp_path / "run.sqlite").execute("pragma quick_check").fetchone() == ("ok",)


class BrokenExporter(Exporter):
    """Writes nothing."""

    name = "broken"

    def export(self, front: object, folder: Path) -> list[Path]:
        raise OSError(28, "No space left on device")


class Breaker:
    @hookimpl
    def hwnas_register_exporters(self) -> list[type]:
        return [BrokenExporter]


def test_an_export_that_failed_is_an_exit_code(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.register(Breaker(), "breaker")
    outcome = finished(registry, toy_spec(run={"exporters": ["broken"]}), tmp_path / "run")
    (failure,) = outcome.failures
    assert failure.startswith("exporter broken: OSError: [Errno 28] No space left on device")
    assert Path(__file__).name in failure
    assert command_parts.ended(outcome, registry, quiet=True, plain=True, as_json=False) == 1
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "run")
    assert "No space left" in said.err


class NotesExporter(Exporter):
    """Writes its own settings."""

    name = "notes"

    @dataclass(frozen=True)
    class Config:
        text: str = "nothing"

    def __init__(self, config: Config, task: Dataset) -> None:
        self.config = config
        if config.text in task.labels:
            raise UserError("the text is a class", where="text", found=config.text, kind=ErrorKind.CONFLICT)

    def export(self, front: object, folder: Path) -> list[Path]:
        path = folder / "notes.txt"
        path.write_text(self.config.text)
        return [path]


class Notes:
    @hookimpl
    def hwnas_register_exporters(self) -> list[type]:
        return [NotesExporter]


def test_exporters_of_a_run_have_settings(registry: Registry, toy_spec: MakeSpec, tmp_path: Path) -> None:
    registry.register(Notes(), "notes")
    wrong = toy_spec(run={"exporters": ["notes"]}, exporters={"notes": {"txet": "hello"}})
    with refused(ErrorKind.UNKNOWN_NAME, where="test.toml: [exporters.notes]", found="txet"):
        runs.start(wrong, registry, tmp_path / "run", QUIET)
    label = toy_spec(run={"exporters": ["notes"]}, exporters={"notes": {"text": "yes"}})
    with refused(ErrorKind.CONFLICT, where="test.toml: [exporters.notes].text", found="yes"):
        runs.start(label, registry, tmp_path / "run", QUIET)
    assert not (tmp_path / "run").exists()
    spec = toy_spec(run={"exporters": ["notes"]}, exporters={"notes": {"text": "hello"}})
    finished(registry, spec, tmp_path / "run")
    notes = tmp_path / "run" / "notes.txt"
    assert notes.read_text() == "hello"
    edit(tmp_path / "run", 'text = "hello"', 'text = "again"')
    stored_run.redraw(tmp_path / "run", registry)
    assert notes.read_text() == "again"


def shown(front: object, folder: Path) -> str:
    sink = io.StringIO()
    print_front(Console(file=sink, width=80, no_color=True), front, folder)  # type: ignore[arg-type]
    return sink.getvalue()


def test_the_end_of_a_run_writes_percentages_in_one_way(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    said = shown(finished(registry, toy_spec(), tmp_path / "run").front, tmp_path / "run")
    found = re.findall(r"[\d.]+\s*%", said)
    # In the table of designs, and below it.
    assert len(found) > 1
    assert all(re.fullmatch(r"\d+\.\d\s%", words) for words in found), found


def test_designs_without_c_simulation_are_listed(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    outcome = finished(registry, toy_spec(), tmp_path / "run")
    members = [
        dataclasses.replace(member, checks={"project": PASSED, "csim": not_run("no g++")})
        for member in outcome.front.members
    ]
    count = len(members)
    said = shown(dataclasses.replace(outcome.front, members=members), tmp_path)
    expect_mentioned(said, [f"{count} of {count} designs", "no g++"])
    assert [words for member in members for words in member.unproven] == []
    wrong = dataclasses.replace(members[0], checks={"csim": failure("NOT BIT-EXACT: 1\nsecond line")})
    assert wrong.unproven == ["csim: NOT BIT-EXACT: 1\nsecond line"]
    said = shown(dataclasses.replace(outcome.front, members=[wrong]), tmp_path)
    expect_mentioned(said, [wrong.key[:8], "csim: NOT BIT-EXACT: 1"])
    assert "second line" not in said


def test_words_in_square_brackets_are_no_markup(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "[red]a[" / "b]"
    with terminal.watch(plain=True) as observer:
        runs.start(toy_spec(), registry, folder, observer)
        observer.on_step("[/nothing]")
    said = capsys.readouterr().err
    assert str(folder) in said
    assert "[/nothing]" in said


def test_a_target_file_means_the_same_from_any_folder(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = resources.data_folder("hw_targets") / "xcvu9p.toml"
    (tmp_path / "own.toml").write_text(given.read_text().replace('"xcvu9p"', '"mine"'))
    monkeypatch.chdir(tmp_path)
    finished(registry, toy_spec(target={"name": "own.toml"}), tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert runs.resume(tmp_path / "run", registry, QUIET).front.target.name == "mine"
    path = tmp_path / "own.toml"
    path.write_text(path.read_text().replace("lut = 1182240", "lut = 118224"))
    with refused(ErrorKind.CHANGED, where=str(tmp_path / "run" / "spec.toml")):
        runs.resume(tmp_path / "run", registry, QUIET)


def test_newer_version_with_more_keys_resumes_older_run(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    finished(registry, toy_spec(), folder)
    tables = read_tables(folder / "spec.toml")
    del tables["limits"]["sub_microsecond"]
    (folder / "spec.toml").write_text(tomli_w.dumps(tables))
    with Store(folder) as store:
        store.set_meta(spec=tables)
    assert runs.resume(folder, registry, QUIET).front.members


@pytest.mark.parametrize("text", ["lut=nan", "lut=inf", "accuracy=93", "lut=many"])
def test_bounds_that_no_number_can_meet_are_refused(text: str) -> None:
    named = ["accuracy", 93, 0.93] if "accuracy" in text else []
    with refused(ErrorKind.INVALID, where="--max", found=text, mentions=named):
        parse_bound(text, "--max")
    if "accuracy" in text:
        metric, _, value = text.partition("=")
        with refused(ErrorKind.INVALID, mentions=named):
            spec_from_tables({"target": {"name": "x"}, "limits": {"max": {metric: float(value)}}}, "a.toml")


def test_a_bound_in_percent_is_a_share() -> None:
    assert parse_bound("accuracy=93%", "--min") == ("accuracy", pytest.approx(0.93))


def test_validate_refuses_a_metric_that_does_not_exist(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = finished(registry, toy_spec(), tmp_path / "run")
    place = tmp_path / "run" / "designs" / outcome.front.members[0].key
    assert cli.invoke(["validate", str(place), "--max", "luts=100"]) == 2
    expect_mentioned(capsys.readouterr().err, ["luts", ": lut"])
    assert not (place / "validation.json").exists()
    assert cli.invoke(["validate", str(place), "--max", "lut=1e9"]) == 3


def test_numbers_of_other_circuit_are_listed_as_unused() -> None:
    def lut(value: float, source: str, *, in_domain: bool) -> Estimate:
        return Estimate("lut", value, value, value, source, "adder graph", in_domain=in_domain)

    other = lut(1219.0, "open_synthesis", in_domain=False)
    (finding,) = judge([Limit("lut", "max", 2000.0)], [other], 5.0)
    assert finding.verdict == NOT_PROVEN
    assert "not used" in finding.why
    assert "1219" in finding.why
    (finding,) = judge([Limit("lut", "max", 2000.0)], [other, lut(1500.0, "post_route", in_domain=True)], 5.0)
    assert finding.verdict == PROVEN
    assert "1219" not in finding.why


def test_an_empty_folder_without_write_permission_is_refused(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere: what the system says is stood in for.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with refused(ErrorKind.NOT_ACCESSIBLE, where=str(tmp_path)):
        runs.start(toy_spec(), registry, tmp_path, QUIET)
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_written_after_a_library_switched_loggers_off(tmp_path: Path) -> None:
    import logging

    logger = logging.getLogger("hwnas_hls.run.lifecycle")
    logger.disabled = True
    with logged(tmp_path):
        logger.info("begun")
    assert "INFO hwnas_hls.run.lifecycle: begun" in (tmp_path / "log.txt").read_text()


def test_two_runs_of_a_process_write_their_own_logs(tmp_path: Path) -> None:
    import logging

    logger = logging.getLogger("hwnas_hls.run.lifecycle")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    before = logging.getLogger("hwnas_hls").level
    first, second = logged(tmp_path / "first"), logged(tmp_path / "second")
    first.__enter__()
    second.__enter__()
    level = logging.getLogger("hwnas_hls").level
    first.__exit__(None, None, None)
    logger.info("late")
    second.__exit__(None, None, None)
    assert level == logging.INFO
    assert logging.getLogger("hwnas_hls").level == before
    assert "late" in (tmp_path / "second" / "log.txt").read_text()
    assert "late" not in (tmp_path / "first" / "log.txt").read_text()


class Broken(Strategy):
    """A strategy that goes wrong in its second batch."""

    name = "broken"
    _how = "raise"

    @dataclass(frozen=True)
    class Config:
        """Nothing to set."""

    def __init__(self, space: Any, seed: int) -> None:
        self.space, self.rng, self.asked = space, np.random.default_rng(seed), 0

    def ask(self, n: int) -> list[Any]:
        self.asked += 1
        if self.asked == 2:
            if self._how == "raise":
                raise RuntimeError("furnace is out")
            return [1, 2]
        return [self.space.sample(self.rng) for _ in range(n)]

    def tell(self, records: object) -> None: ...

    def state(self) -> int:
        return self.asked

    def restore(self, state: int) -> None:
        self.asked = state


@pytest.mark.parametrize(
    ("how", "words"),
    [("raise", "RuntimeError: furnace is out"), ("return", "ask() returned a list with 1")],
)
def test_run_with_failing_strategy_resumes_after_fix(
    toy_spec: MakeSpec, tmp_path: Path, how: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plugin:
        @hookimpl
        def hwnas_register_strategies(self) -> list[type]:
            return [Broken]

    registry = Registry(entry_points=[])
    registry.register(toy, "toy")
    registry.register(Plugin(), "breaker")
    monkeypatch.setattr(Broken, "_how", how)
    named = ["strategy broken", words, f"hwnas-hls resume {tmp_path / 'run'}"]
    with refused(ErrorKind.PLUGIN_FAULT, HwnasError, mentions=named):
        runs.start(toy_spec(strategy={"name": "broken"}), registry, tmp_path / "run", QUIET)
    assert "Traceback" in (tmp_path / "run" / "log.txt").read_text()
    monkeypatch.setattr(Broken, "ask", lambda self, n: [self.space.sample(self.rng) for _ in range(n)])
    assert len(runs.resume(tmp_path / "run", registry, QUIET).front.records) == 60


def test_the_report_of_a_run_takes_data_that_were_moved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).round(2)
    rows = [f"{a},{b},{c},{'yes' if a + b > 0 else 'no'}" for a, b, c in x]
    data, moved = tmp_path / "data.csv", tmp_path / "archive" / "data.csv"
    data.write_text("\n".join(["a,b,c,label", *rows]))
    settings = {
        "target": {"name": "xcvu9p"},
        "task": {"name": "file", "path": str(data)},
        "run": {"trials": 4, "batch": 4, "exporters": ["front-json"]},
        "space": {"widths": [4], "max_depth": 1},
        "estimators": {"training": {"epochs": 4, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}},
        "export": {"members": 1, "restarts": 1, "folds": 0, "csim": False, "training": {"epochs": 4}},
        "synthesis": {"synthesizer": "none"},
    }
    folder = tmp_path / "runs" / "a"
    finished(Registry(), spec_from_tables(settings, "test"), folder)
    moved.parent.mkdir()
    data.rename(moved)
    assert cli.invoke(["report", str(folder)]) == 2
    assert cli.invoke(["report", str(folder), "--task", str(moved)]) == 0
    assert cli.invoke(["report", str(folder)]) == 0
    moved.write_text(moved.read_text() + "\n1,1,1,yes")
    assert cli.invoke(["report", str(folder), "--task", str(moved)]) == 2
