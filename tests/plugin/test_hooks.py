"""Every hook in a real run: called when, with what, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import toy
from places import TESTS

from hwnas_hls import hookimpl, hookspecs
from hwnas_hls.protocols.exporter import Exporter, Front
from hwnas_hls.protocols.target import Target
from hwnas_hls.pytest_plugin import CommandResult, Workplace
from hwnas_hls.testing import TinySpace
from hwnas_hls.values.record import Record
from hwnas_hls.values.run_facts import RunFacts

TARGET = """
name = "mylab1"
part = "xcmylab-1"
family = "ultrascale+"
aliases = []
lut = 90000
ff = 180000
dsp = 400
bram_18k = 200
uram = 0
slr = 1
dsp_type = "DSP48E2"
dsp_widths = [27, 18]
clock_ns = 4.0
sources = ["made up for a test"]
note = ""
"""


class Listener:
    """A plugin that implements every hook that is no collection of classes, and keeps what it heard."""

    __name__ = "listener"

    def __init__(self, targets: Path) -> None:
        self.targets = targets
        self.heard: list[tuple[str, Any]] = []

    @hookimpl
    def hwnas_target_dirs(self) -> list[Path]:
        return [self.targets]

    @hookimpl
    def hwnas_register_commands(self, cli: click.Group) -> None:
        @cli.command("say-hello")
        def say_hello() -> None:
            """Say hello."""
            click.echo("hello")

    @hookimpl
    def hwnas_amend_project(self, project: dict[str, str], target: Target) -> None:
        project["NOTES.txt"] = f"for {target.part}\n"
        self.heard.append(("amend", sorted(project)))

    @hookimpl
    def hwnas_run_started(self, run: RunFacts) -> None:
        self.heard.append(("started", run))

    @hookimpl
    def hwnas_candidate_recorded(self, run: RunFacts, record: Record) -> None:
        self.heard.append(("recorded", (run.name, record)))

    @hookimpl
    def hwnas_run_finished(self, run: RunFacts, front: Front) -> None:
        self.heard.append(("finished", (json.loads(Path(run.folder, "front.json").read_text()), front)))


@pytest.fixture(scope="module")
def listened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, Listener, CommandResult]:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "targets").mkdir()
    (folder / "targets" / "mylab1.toml").write_text(TARGET)
    listener = Listener(folder / "targets")
    work = Workplace(folder, plugins=[listener])
    outcome = work.run("--target", "mylab1")
    assert outcome.exit_code == 0, outcome.stderr
    return work, listener, outcome


def test_hooks_of_a_run_are_called_in_order(listened: tuple[Workplace, Listener, CommandResult]) -> None:
    _, listener, outcome = listened
    kinds = [kind for kind, _ in listener.heard]
    assert kinds == ["started", *["recorded"] * 12, "amend", "finished"]
    started = listener.heard[0][1]
    assert (started.name, started.trials, started.space) == ("run", 12, "tiny")
    recorded = [what for kind, what in listener.heard if kind == "recorded"]
    assert [record.key for _, record in recorded] == [record.key for record in outcome.records]
    assert {name for name, _ in recorded} == {"run"}
    written, front = listener.heard[-1][1]
    assert [member["key"] for member in written["members"]] == [member.key for member in front.members]


def test_run_accepts_target_of_plugin(listened: tuple[Workplace, Listener, CommandResult]) -> None:
    work, _, outcome = listened
    assert outcome.front.target.part == "xcmylab-1"
    assert outcome.front.clock_ns == 4.0
    assert "mylab1" in work.invoke("targets").stdout


def test_predict_sees_target_of_a_plugin(
    listened: tuple[Workplace, Listener, CommandResult], tmp_path: Path
) -> None:
    work, _, _ = listened
    done = work.invoke("predict", "--layers", "16-64-5", "--target", "mylab1", "--json")
    found = json.loads(done.stdout)
    assert (found["part"], found["clock_ns"]) == ("xcmylab-1", 4.0)
    rows = tmp_path / "rows.csv"
    rows.write_text("row_id,layers,part\na,16-64-5,mylab1\nb,16-64-5,xcmylab-1\n")
    lines = [line.split(",", 1)[1] for line in work.invoke("predict", str(rows)).stdout.splitlines()[1:]]
    assert lines[0] == lines[1]


def test_a_project_is_amended(listened: tuple[Workplace, Listener, CommandResult]) -> None:
    _, listener, outcome = listened
    assert outcome.folder is not None
    (member,) = outcome.members
    place = outcome.folder / "designs" / member.key / "hls4ml"
    assert (place / "NOTES.txt").read_text() == "for xcmylab-1\n"
    (files,) = [what for kind, what in listener.heard if kind == "amend"]
    assert "project.tcl" in files


def test_a_command_of_a_plugin_runs(listened: tuple[Workplace, Listener, CommandResult]) -> None:
    from hwnas_hls.cli.main import cli

    assert listened[0].invoke("say-hello").stdout == "hello\n"
    assert "say-hello" not in cli.commands, "it stays with the plugin's own tests"


def test_every_hook_has_a_test_beside_its_documentation() -> None:
    """Somewhere in the suite a plugin implements it; examples of the documentation do not count."""
    tests = [path.read_text() for path in TESTS.rglob("*.py") if "docs" not in path.name]
    for hook in (name for name in vars(hookspecs) if name.startswith("hwnas_")):
        implemented = [text for text in tests if f"def {hook}(" in text or f'specname="{hook}"' in text]
        assert implemented, f"{hook} has no test"


class NoFiles(Exporter):
    """Writes no file."""

    name = "no-files"

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        return []


def test_hooks_of_classes_are_collected(hwnas: Callable[..., Workplace], tmp_path: Path) -> None:
    """Each kind from one plugin, listed under its name."""

    def offered(name: str, base: type) -> type:
        return type(name.title(), (base,), {"name": name, "__doc__": f"The {name}."})

    class Plugin:
        __name__ = "all-kinds"

        @hookimpl
        def hwnas_register_spaces(self) -> list[type]:
            return [offered("a-space", TinySpace)]

        @hookimpl
        def hwnas_register_strategies(self) -> list[type]:
            return [offered("a-strategy", toy.ToyStrategy)]

        @hookimpl
        def hwnas_register_estimators(self) -> list[type]:
            return [offered("an-estimator", toy.ToyCost)]

        @hookimpl
        def hwnas_register_tasks(self) -> list[type]:
            return [offered("a-task", toy.ToyTask)]

        @hookimpl
        def hwnas_register_synthesizers(self) -> list[type]:
            return [offered("a-synthesizer", toy.ToySynthesizer)]

        @hookimpl
        def hwnas_register_exporters(self) -> list[type]:
            return [offered("an-exporter", NoFiles)]

    outcome = hwnas(tmp_path, plugins=[Plugin()]).invoke("plugins", "--json")
    offers = json.loads(outcome.stdout)["offers"]
    found = {
        kind: [item["name"] for item in items if item["plugin"] == "all-kinds"]
        for kind, items in offers.items()
    }
    assert found == {
        "space": ["a-space"],
        "strategy": ["a-strategy"],
        "estimator": ["an-estimator"],
        "task": ["a-task"],
        "synthesizer": ["a-synthesizer"],
        "exporter": ["an-exporter"],
    }
