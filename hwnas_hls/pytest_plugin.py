"""Fixtures for the tests of plugins; pytest finds them where hwnas-hls is installed.

==================  ==============================================================
``tiny_space``      a space of twelve networks, 6 inputs and 3 outputs
``tiny_task``       the data that fit it, as a constructor gets them by ``task``
``tiny_target``     a part that does not exist, with round figures
``hwnas``           ``hwnas(tmp_path).run(...)``: a whole run and its results
``fake_tools``      a folder first on PATH to put fake tools into
``fake_vendor``     the same, with fakes of vitis-run, vitis_hls, vivado_hls, vivado
==================  ==============================================================

Nothing heavier than pytest itself is imported before a fixture is used.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hwnas_hls.api import Run
    from hwnas_hls.plugin.registry import Registry
    from hwnas_hls.protocols.exporter import Front, Member
    from hwnas_hls.protocols.space import Space
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.protocols.task import Dataset
    from hwnas_hls.testing.tools import FakeTools
    from hwnas_hls.values.record import Record

pytest.register_assert_rewrite("hwnas_hls.testing")

#: A run of a second or two: `--set` and repeated options of the caller come after these and win.
_SMALL = (
    *("--target", "xcvu9p", "--task", "tiny", "--space", "tiny", "--strategy", "random"),
    *("--trials", "12", "--plain", "--set", "run.batch=6", "--set", 'run.exporters=["front-json"]'),
    *("--set", 'run.estimators=["static", "hls-model", "least-squares"]'),
    *("--set", "export.members=1", "--set", "export.restarts=1", "--set", "export.csim=false"),
    *("--set", "export.baselines=false"),
)


@dataclass(frozen=True)
class CommandResult:
    """What a command did.

    Args:
        exit_code: as documented: 0 done, 1 failed, 2 the user's mistake, 3 not proven.
        stdout, stderr: what it printed.
        folder: the run folder of a ``run``; other commands have none.
        plugins: further plugins, in addition to the installed ones.
    """

    exit_code: int
    stdout: str
    stderr: str
    folder: Path | None = None
    plugins: tuple[object, ...] = ()

    @cached_property
    def run(self) -> Run:
        """The run, opened: records, front, data frames."""
        from hwnas_hls.api import open_run

        if self.folder is None:
            pytest.fail("only `run` leaves a run")
        if not (self.folder / "spec.toml").is_file():
            pytest.fail(f"exit code {self.exit_code}, and no run was made: {self.stderr}")
        return open_run(self.folder, plugins=self.plugins)

    @property
    def front(self) -> Front:
        return self.run.front

    @property
    def records(self) -> Sequence[Record]:
        """Every candidate, in order."""
        return self.run.records

    @property
    def members(self) -> Sequence[Member]:
        """The exported designs."""
        return self.run.members


class Workplace:
    """A folder in which commands are run in this process, with plugins that need not be installed.

    Args:
        folder: the working directory of every command.
        plugins: modules or objects with hooks.
    """

    def __init__(self, folder: Path, plugins: Sequence[object] = ()) -> None:
        from hwnas_hls.testing import tiny

        self.folder = folder
        self.plugins = (*plugins, tiny)

    def registry(self) -> Registry:
        """The installed plugins and those given.

        Raises:
            UserError: one of those given cannot be used.
        """
        from hwnas_hls.plugin.registry import registry_with

        return registry_with(self.plugins)

    def run(self, *arguments: str, folder: str = "run") -> CommandResult:
        """``hwnas-hls run`` on the tiny space and task with a tiny budget; ``arguments`` override.

        Args:
            folder: the run folder, below that of the workplace.
        """
        place = self.folder / folder
        done = self.invoke("run", *_SMALL, "--output", str(place), *arguments)
        return CommandResult(done.exit_code, done.stdout, done.stderr, place, self.plugins)

    def invoke(self, *arguments: str) -> CommandResult:
        """Any command of ``hwnas-hls``, by its arguments."""
        from hwnas_hls.cli.main import invoke

        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = invoke(list(arguments), self.registry)
        return CommandResult(code, out.getvalue(), err.getvalue(), None, self.plugins)


@pytest.fixture
def hwnas() -> Callable[..., Workplace]:
    """``hwnas(tmp_path, plugins=[module]).run("--strategy", "mine")`` gives an :class:`CommandResult`."""
    return Workplace


@pytest.fixture
def tiny_space() -> Space:
    """Twelve networks of one hidden layer, 6 inputs, 3 outputs."""
    from hwnas_hls.testing import TinySpace

    return TinySpace()


@pytest.fixture
def tiny_task() -> Dataset:
    """Three overlapping clusters in six features, split; what a constructor gets as ``task``."""
    from hwnas_hls.testing import sample_dataset

    return sample_dataset()


@pytest.fixture
def tiny_target() -> Target:
    """A part that does not exist: 100,000 LUT, 200,000 FF, 500 DSP, 300 BRAM18, 5 ns."""
    from hwnas_hls.testing import sample_target

    return sample_target()


@pytest.fixture
def fake_tools(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    """An empty folder first on PATH; ``fake_tools.place("name", "print(1)")`` puts a tool there."""
    from hwnas_hls.testing.tools import FakeTools

    tools = FakeTools(tmp_path_factory.mktemp("fake-tools"))
    tools.put_on_path(monkeypatch)
    return tools


@pytest.fixture
def fake_vendor(fake_tools: FakeTools) -> FakeTools:
    """Fakes of AMD's tools on PATH; they check their project and write reports with fixed numbers."""
    fake_tools.vendor()
    return fake_tools
