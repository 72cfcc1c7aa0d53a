"""A plugin that raises, exits or returns rubbish: the fault names the plugin, and the others still work."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
import toy
from refusal import expect_mentioned, refused

from hwnas_hls import hookimpl
from hwnas_hls.cli.main import cli, invoke
from hwnas_hls.cli.terminal import why_all_failed
from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.plugin.faults import PluginError
from hwnas_hls.plugin.offers import FaultKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run import stored_run
from hwnas_hls.run.lifecycle import Observer
from hwnas_hls.run.resolution import resolve
from hwnas_hls.spec.spec import Spec
from hwnas_hls.testing import sample_front
from hwnas_hls.testing.plugin_check import check_plugin
from hwnas_hls.values.record import RecordState

MakeSpec = Callable[..., Spec]
QUIET = Observer()
BASES: dict[str, type] = {
    "strategy": toy.ToyStrategy,
    "estimator": toy.ToyTraining,
    "task": toy.ToyTask,
    "space": toy.ToySpace,
    "exporter": Exporter,
}
WAYS: dict[str, tuple[BaseException, str]] = {
    "raise": (RuntimeError("kaboom"), "RuntimeError: kaboom"),
    "exit 0": (SystemExit(0), "sys.exit(0) was called"),
    "exit 3": (SystemExit(3), "sys.exit(3) was called"),
    "exit": (SystemExit(), "sys.exit() was called"),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[BaseException, str]:
    """What the plugin ends with, and the words that tell of it."""
    return WAYS[request.param]


def falls(registry: Registry, kind: str, method: str, ending: BaseException) -> Registry:
    """The registry with a plugin whose ``falls`` of that kind ends so in one method."""

    def fallen(self: object, *given: object) -> object:
        raise ending

    def init(self: object) -> None:  # no arguments: those of others are matched by name
        raise ending

    falling = {method: init if method == "__init__" else fallen}
    return offering(registry, kind, type("Falls", (BASES[kind],), {"name": "falls", **falling}))


def offering(registry: Registry, kind: str, cls: type) -> Registry:
    def offer(self: object) -> list[type]:
        return [cls]

    hook = {"strategy": "strategies"}.get(kind, f"{kind}s")
    plugin = type("Plugin", (), {f"hwnas_register_{hook}": hookimpl(offer)})
    registry.register(plugin(), "strange")
    return registry


def spec_with(toy_spec: MakeSpec, kind: str) -> Spec:
    if kind == "estimator":
        return toy_spec(run={"estimators": ["toy-cost", "falls"]})
    if kind == "exporter":
        return toy_spec(run={"exporters": ["falls"]})
    return toy_spec(**{kind: {"name": "falls"}})


# -- what nothing goes on without ----------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("strategy", "ask"),
        ("strategy", "tell"),
        ("strategy", "state"),
        ("strategy", "__init__"),
        ("estimator", "__init__"),
        ("task", "__init__"),
        ("task", "load"),
        ("space", "__init__"),
        ("space", "sample"),
    ],
)
def test_missing_essential_plugin_ends_run_by_name(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, kind: str, method: str, way: Any
) -> None:
    ending, words = way
    spec = spec_with(toy_spec, kind)
    with pytest.raises(HwnasError) as caught:
        runs.start(spec, falls(registry, kind, method, ending), tmp_path / "run", QUIET)
    said = str(caught.value)
    assert words in said
    assert caught.value.exit_code == 1
    assert f"{kind} " in said if kind != "space" or method == "__init__" else "strategy toy-random" in said
    assert "falls" in said or method == "sample"
    assert f"{Path(__file__).name}, line" in said


def test_ctrl_c_in_plugin_interrupts_run(registry: Registry, toy_spec: MakeSpec) -> None:
    with pytest.raises(KeyboardInterrupt):
        resolve(spec_with(toy_spec, "task"), falls(registry, "task", "load", KeyboardInterrupt()))


def test_a_task_that_loads_nothing_is_named(registry: Registry, toy_spec: MakeSpec) -> None:
    nothing = type("Nothing", (toy.ToyTask,), {"name": "falls", "load": lambda self: None})
    with refused(ErrorKind.PLUGIN_FAULT, PluginError):
        resolve(spec_with(toy_spec, "task"), offering(registry, "task", nothing))


def test_strategy_state_without_json_form_is_named_and_run_resumes(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    class Sets(toy.ToyStrategy):
        name = "falls"
        whole = False

        def state(self) -> Any:
            return self.asked if Sets.whole else {self.asked}

    folder = tmp_path / "run"
    offering(registry, "strategy", Sets)
    named = ["strategy falls", "state()", f"hwnas-hls resume {folder}"]
    with refused(ErrorKind.PLUGIN_FAULT, HwnasError, mentions=named):
        runs.start(spec_with(toy_spec, "strategy"), registry, folder, QUIET)
    Sets.whole = True
    assert len(runs.resume(folder, registry, QUIET).front.records) == 60


# -- what is one failure among others ------------------------------------------------------


@pytest.mark.parametrize(("kind", "method"), [("estimator", "estimate"), ("space", "architecture")])
def test_exception_for_one_candidate_becomes_failed_record(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, kind: str, method: str, way: Any
) -> None:
    ending, words = way
    outcome = runs.start(
        spec_with(toy_spec, kind), falls(registry, kind, method, ending), tmp_path / "run", QUIET
    )
    records = outcome.front.records
    assert {record.state for record in records} == {RecordState.FAILED}
    assert all(words in record.reason for record in records)
    heading, most = why_all_failed(records)
    assert heading == "Every candidate failed:"
    assert "  60 x " in most
    assert words in most


def test_most_frequent_reasons_come_first_if_all_failed() -> None:
    records = list(sample_front().records)
    assert why_all_failed(records) == []
    assert why_all_failed([]) == []
    reasons = ["a", "b", "b", "c", "c", "c", "d"]
    failed = [dataclasses.replace(records[0], state=RecordState.FAILED, reason=reason) for reason in reasons]
    said = why_all_failed(failed)
    assert said[:3] == ["Every candidate failed:", "  3 x c", "  2 x b"]
    assert len(said) == 5


def test_an_exporter_or_a_hook_that_ends_leaves_the_others(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, way: Any
) -> None:
    ending, words = way
    heard: list[object] = []

    class Hears:
        @hookimpl
        def hwnas_candidate_recorded(self, run: object, record: object) -> None:
            heard.append(record)

    class Ends:
        @hookimpl
        def hwnas_candidate_recorded(self, run: object, record: object) -> None:
            raise ending

    registry.register(Ends(), "a-ends")
    registry.register(Hears(), "b-hears")
    falls(registry, "exporter", "export", ending)
    outcome = runs.start(spec_with(toy_spec, "exporter"), registry, tmp_path / "run", QUIET)
    assert len(heard) == 60
    fault = next(fault for fault in registry.faults if fault.plugin == "a-ends")
    assert (fault.kind, fault.about) == (FaultKind.HOOK_FAILED, "hwnas_candidate_recorded")
    assert words in fault.problem
    assert [failure for failure in outcome.failures if "exporter falls" in failure and words in failure]
    with refused(ErrorKind.PLUGIN_FAULT, PluginError, mentions=[words]):
        stored_run.redraw(tmp_path / "run", registry, ["falls"])


# -- the command line ----------------------------------------------------------------------


def test_contract_check_reports_class_that_cannot_be_built(registry: Registry, way: Any) -> None:
    ending, words = way
    (found,) = check_plugin(falls(registry, "estimator", "__init__", ending), "falls")
    assert words in found.problem


def test_contract_check_survives_sys_exit(registry: Registry) -> None:
    found = list(check_plugin(falls(registry, "task", "load", SystemExit(0)), "falls"))
    assert [item for item in found if item.problem.startswith("SystemExit")]


def test_an_exit_below_a_command_of_ours_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leaves(Registry):
        def targets(self) -> NoReturn:
            sys.exit(0)

    monkeypatch.delenv("HWNAS_DEBUG", raising=False)
    assert invoke(["targets"], Leaves) == 1
    expect_mentioned(capsys.readouterr().err, ["sys.exit(0)"])


def test_plugin_command_chooses_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    command = click.Command("theirs", callback=lambda: sys.exit(7))
    monkeypatch.setitem(cli.commands, "theirs", command)
    with pytest.raises(SystemExit) as caught:
        invoke(["theirs"])
    assert caught.value.code == 7


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_keeps_all_but_errors_off_the_terminal(
    registry: Registry,
    toy_spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    quiet: bool,
) -> None:
    falls(registry, "strategy", "tell", RuntimeError("kaboom"))

    class Ends:
        @hookimpl
        def hwnas_run_started(self, run: object) -> None:
            raise RuntimeError("a hook of theirs")

    registry.register(Ends(), "ends")
    spec = tmp_path / "spec.toml"
    spec.write_text(spec_with(toy_spec, "strategy").to_toml())
    folder = tmp_path / "run"
    flags: Sequence[str] = ["-q"] if quiet else []
    assert invoke(["run", str(spec), "--output", str(folder), *flags], lambda: registry) == 1
    said = capsys.readouterr().err
    assert said.count("error: strategy falls failed on the records of batch 0") == 1
    assert ("a hook of theirs" in said) == (not quiet)
    assert "Traceback" not in said
    log = (folder / "log.txt").read_text()
    assert "a hook of theirs" in log
    assert "Traceback" in log


def test_debug_shows_traceback_of_plugin(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falls(registry, "task", "load", OSError("x"))
    monkeypatch.setenv("HWNAS_DEBUG", "1")
    spec = tmp_path / "spec.toml"
    spec.write_text(spec_with(toy_spec, "task").to_toml())
    with pytest.raises(PluginError):
        invoke(["run", str(spec), "--output", str(tmp_path / "run")], lambda: registry)
