"""What a stranger's tests are given: fixtures, outcomes, fake tools, and failures that read well."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from refusal import expect_mentioned, raises_naming, refused

from hwnas_hls import hookimpl
from hwnas_hls.errors import ErrorKind
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.pytest_plugin import Workplace
from hwnas_hls.testing import EstimatorContract, FakeTools, MixedSpace, TaskContract, check
from hwnas_hls.testing.contract import expect_equal
from hwnas_hls.testing.tiny import LeastSquares, TinyTask

HEAVY = ("numpy", "torch", "hls4ml", "optuna", "sklearn", "pandas", "plotly", "click", "hwnas_hls.cli.main")


class TestTinyTask(TaskContract):
    def task(self) -> TinyTask:
        return TinyTask(TinyTask.Config())


class TestLeastSquares(EstimatorContract):
    def estimator(self) -> LeastSquares:
        return LeastSquares()


def test_least_squares_learns(tiny_space: Space, tiny_task: Dataset) -> None:
    from hwnas_hls.testing import sample_context

    candidates = [tiny_space.sample(np.random.default_rng(seed)) for seed in range(5)]
    answers = LeastSquares().estimate(candidates, sample_context(tiny_space, tiny_task))
    assert min(answer.values["accuracy"].value for answer in answers) > 0.6
    assert all(answer.design is not None for answer in answers)


def test_fixtures_fit_together(tiny_space: Space, tiny_task: Dataset, tiny_target: Target) -> None:
    architecture = tiny_space.architecture(tiny_space.sample(np.random.default_rng(0)))
    assert (architecture.n_in, architecture.n_out) == (tiny_task.n_in, tiny_task.n_out)
    assert tiny_target.lut == 100_000


@pytest.fixture
def stranger() -> types.SimpleNamespace:
    class Backwards(Strategy):
        """The space's candidates in the order of the seeds."""

        name = "backwards"

        @dataclass(frozen=True)
        class Config:
            start: int = 0

        def __init__(self, config: Config, space: Space) -> None:
            self.space, self.number = space, config.start

        def ask(self, n: int) -> list[object]:
            self.number += n
            return [self.space.sample(np.random.default_rng(self.number - place)) for place in range(n)]

        def tell(self, records: object) -> None: ...

        def state(self) -> int:
            return self.number

        def restore(self, state: int) -> None:
            self.number = state

    return types.SimpleNamespace(
        __name__="stranger",
        hwnas_register_strategies=hookimpl(lambda: [Backwards], specname="hwnas_register_strategies"),
    )


def test_a_run_of_a_plugin_that_is_not_installed(
    hwnas: Callable[..., Workplace], tmp_path: Path, stranger: object
) -> None:
    work = hwnas(tmp_path, plugins=[stranger])
    outcome = work.run("--strategy", "backwards", "--trials", "9", "--set", "run.batch=3")
    assert outcome.exit_code == 0, outcome.stderr
    assert len(outcome.records) == 9
    assert [record.batch for record in outcome.records] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert outcome.front.space.name == "tiny"
    assert len(outcome.members) == 1
    assert outcome.members[0].design.architecture.n_out == 3
    expect_mentioned(outcome.stdout, [outcome.members[0].key])
    assert outcome.folder == tmp_path / "run"
    assert "backwards" in (tmp_path / "run" / "spec.toml").read_text()
    assert list(outcome.run.front_to_frame().index) == [outcome.members[0].key]
    again = work.run("--strategy", "backwards")
    assert again.exit_code == 2
    expect_mentioned(again.stderr, ["--output"])


def test_outcome_contains_failures(hwnas: Callable[..., Workplace], tmp_path: Path) -> None:
    outcome = hwnas(tmp_path).run("--strategy", "unheard-of")
    assert outcome.exit_code == 2
    expect_mentioned(outcome.stderr, ["unheard-of"])
    with raises_naming("unheard-of", error=pytest.fail.Exception):
        _ = outcome.records
    assert hwnas(tmp_path, plugins=[types.SimpleNamespace()]).invoke("plugins").exit_code == 0


def test_a_plugin_that_cannot_be_used_is_an_error(hwnas: Callable[..., Workplace], tmp_path: Path) -> None:
    misspelt = types.SimpleNamespace(
        __name__="misspelt", hwnas_register_spacs=hookimpl(lambda: [], specname="hwnas_register_spacs")
    )
    with refused(ErrorKind.PLUGIN_FAULT, where="plugins"):
        hwnas(tmp_path, plugins=[misspelt]).registry()
    assert hwnas(tmp_path, plugins=[misspelt]).invoke("plugins").exit_code == 2


def test_commands_run_in_the_folder(hwnas: Callable[..., Workplace], tmp_path: Path) -> None:
    before = Path.cwd()
    outcome = hwnas(tmp_path).invoke("new-plugin", "task", "mine")
    assert outcome.exit_code == 0
    assert (tmp_path / "mine" / "mine.py").is_file()
    expect_mentioned(outcome.stdout, ["hwnas-hls plugins --check mine"])
    assert Path.cwd() == before


def test_fake_tools_run_and_are_recorded(fake_tools: FakeTools) -> None:
    fake_tools.place("area-of", '"""A docstring."""\nfrom __future__ import annotations\nprint(1234)')
    fake_tools.place("fails", "import sys; sys.exit(int(sys.argv[1]))")
    assert fake_tools.calls() == []
    done = subprocess.run(["area-of", "--part", "xcvu9p"], capture_output=True, text=True, check=True)
    assert done.stdout == "1234\n"
    assert subprocess.run(["fails", "7"], check=False).returncode == 7
    assert fake_tools.calls() == [["area-of", "--part", "xcvu9p"], ["fails", "7"]]


def test_the_fake_vendor_serves_a_synthesizer(
    fake_vendor: FakeTools, hwnas: Callable[..., Workplace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hwnas_hls.testing import sample_design

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    sample_design().save(tmp_path / "design")
    command = ("synth", "design", "--synthesizer", "vitis", "--target", "xcvu9p", "--json")
    outcome = hwnas(tmp_path).invoke(*command)
    assert outcome.exit_code == 0, outcome.stderr
    assert fake_vendor.calls()[-1] == ["vitis-run", "--tcl", "build_prj.tcl", "--mode", "hls"]
    monkeypatch.setenv("FAKE_VENDOR_MODE", "licence")
    refusal = hwnas(tmp_path).invoke(*command)
    assert refusal.exit_code == 1
    assert json.loads(refusal.stdout)["failure"]


def test_pytest_starts_without_heavy_imports(tmp_path: Path) -> None:
    """The entry point is loaded in every pytest of an environment that has hwnas-hls."""
    (tmp_path / "test_it.py").write_text(
        f"import sys\ndef test_it():\n    assert [m for m in {HEAVY!r} if m in sys.modules] == []\n"
        "    assert 'hwnas_hls.pytest_plugin' in sys.modules\n"
    )
    # Other plugins of this environment may import what they like.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_broken_contract_has_readable_message(tmp_path: Path) -> None:
    """One line of the contract, its message and the first difference; no inner frames."""
    (tmp_path / "test_it.py").write_text(
        "from hwnas_hls.testing import SpaceContract, TinySpace\n"
        "class Restless(TinySpace):\n"
        "    drawn = 0\n"
        "    def sample(self, rng):\n"
        "        import numpy as np\n"
        "        Restless.drawn += 1\n"
        "        return super().sample(np.random.default_rng(Restless.drawn))\n"
        "class TestRestless(SpaceContract):\n"
        "    def space(self):\n"
        "        return Restless()\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "differs first at [" in done.stdout
    assert "def expect" not in done.stdout
    assert len(done.stdout) < 6000


def test_differences_are_pointed_at() -> None:
    with raises_naming("other numbers", "['a'][2]", 3, 5, error=AssertionError):
        expect_equal({"a": [1, 2, 3], "b": 4}, {"a": [1, 2, 5], "b": 4}, "other numbers")
    with raises_naming("counts", 2, 3, error=AssertionError):
        expect_equal([1, 2], [1, 2, 3], "counts")
    with raises_naming("keys", ["x"], error=AssertionError):
        expect_equal({"x": 1}, {}, "keys")
    with raises_naming("numbers", 7, 8, error=AssertionError):
        expect_equal(7, 8, "numbers")
    expect_equal([{"a": 1}], [{"a": 1}], "nothing")


def test_check_needs_no_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None; from hwnas_hls.testing import *;"
        "c = type('C', (SpaceContract,), {'space': lambda self: TinySpace(), 'fresh_transcript': "
        "lambda self: self.transcript()}); print([f for f in check(c()) if f.problem])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert MixedSpace().name == "mixed"
    assert [finding for finding in check(TestLeastSquares()) if finding.problem] == []
