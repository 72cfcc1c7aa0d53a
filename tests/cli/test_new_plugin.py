"""Scaffolds of every kind: installed by pip, their own tests pass, and a run uses them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from installed_package import install
from refusal import expect_mentioned, refused
from short_runs import SHORT_TRAINING

from hwnas_hls.cli.main import invoke
from hwnas_hls.cli.scaffold import write_plugin
from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.offers import KINDS

RUN_WITH_ALL = [
    *("--space", "my-space", "--strategy", "my-strategy", "--task", "my-task", "--max", "largest_fan_in=64"),
    *("--set", "run.estimators=['static', 'hls-model', 'training', 'my-estimator']"),
    *("--set", "run.exporters=['front-json', 'my-exporter']"),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind, written and installed by pip into a folder of its own (as with --target)."""
    root = tmp_path_factory.mktemp("plugins")
    for kind in KINDS:
        write_plugin(kind, f"my-{kind}", root)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    command += ["--target", str(root / "site"), *(str(root / f"my-{kind}") for kind in KINDS)]
    subprocess.run(command, check=True, capture_output=True)
    return root


def with_plugins(root: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    before = [path for path in [os.environ.get("PYTHONPATH")] if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "site"), *before])}
    return subprocess.run(
        [sys.executable, "-m", *command],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def own_tests(installed: Path) -> str:
    """What pytest says of the tests of all, in one process, which imports torch and hls4ml once."""
    options = ["-v", "-p", "no:cacheprovider", f"--rootdir={installed}"]
    folders = [f"my-{kind}" for kind in KINDS]
    return with_plugins(installed, "pytest", *options, *folders, cwd=installed).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass(own_tests: str, kind: str) -> None:
    results = re.findall(rf"(?m)^\S*test_my_{kind}\.py::.* ([A-Z]+) ", own_tests)
    assert len(results) >= 2, own_tests[-3000:]
    assert set(results) == {"PASSED"}, own_tests[-3000:]


def test_check_runs_the_contracts_without_pytest(installed: Path, tmp_path: Path) -> None:
    for kind in KINDS:
        done = with_plugins(installed, "hwnas_hls", "plugins", "--check", f"my-{kind}", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"holds  {kind} my-{kind}:my-{kind}" in done.stdout
        assert ", 0 fail" in done.stdout


def test_a_run_uses_five_of_them_at_once(installed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["hwnas_hls", "run", "--target", "xcvu9p", "--trials", "8", "--output", str(run), "--plain"]
    command += [
        "--set",
        "run.batch=8",
        "--set",
        "export.members=1",
        "--set",
        "export.restarts=1",
        "--set",
        "export.csim=false",
    ]
    command += SHORT_TRAINING
    done = with_plugins(installed, *command, *RUN_WITH_ALL, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "largest_fan_in" in (run / "front.json").read_text()
    assert (run / "my_exporter.csv").read_text().startswith("key,accuracy")
    spec = (run / "spec.toml").read_text()
    for kind in ("space", "strategy", "task", "estimator", "exporter"):
        assert f'"my-{kind}"' in spec


def test_a_new_synthesizer_is_used(installed: Path, tmp_path: Path) -> None:
    from hwnas_hls.testing import sample_design

    sample_design().save(tmp_path / "design")
    command = ["hwnas_hls", "synth", "design", "--synthesizer", "my-synthesizer", "--target", "xcvu9p"]
    done = with_plugins(installed, *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "port_bits" in done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        ("strateggy", "x", ErrorKind.UNKNOWN_NAME),
        ("strategy", "My_Plugin", ErrorKind.INVALID),
        ("strategy", "../evil", ErrorKind.INVALID),
        ("strategy", "class", ErrorKind.INVALID),
        ("strategy", "random", ErrorKind.TAKEN),
        ("strategy", "numpy", ErrorKind.TAKEN),
        ("task", "hwnas-hls", ErrorKind.TAKEN),
        ("space", "sklearn", ErrorKind.TAKEN),
        ("strategy", "nsga2", ErrorKind.TAKEN),
    ],
)
def test_bad_names_are_refused(kind: str, name: str, error: ErrorKind, tmp_path: Path) -> None:
    with refused(error, found=kind if error is ErrorKind.UNKNOWN_NAME else name):
        write_plugin(kind, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_left_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert invoke(["new-plugin", "task", "mine", "--output", str(tmp_path)]) == 2
    assert list((tmp_path / "mine").iterdir()) == []


def test_check_names_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = """
from hwnas_hls import hookimpl
from hwnas_hls.protocols.strategy import Strategy
class Bad(Strategy):
    "Draws from the global generator."
    name = "bad"
    def __init__(self, space): self.space = space
    def ask(self, n):
        import numpy as np
        return [self.space.sample(np.random.default_rng(np.random.randint(1000))) for _ in range(n)]
    def tell(self, records): pass
    def state(self): return None
    def restore(self, state): pass
@hookimpl
def hwnas_register_strategies(): return [Bad]
"""
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "bad_strategy", code, "bad-one")
    assert invoke(["plugins", "--check", "bad-one"]) == 1
    said = capsys.readouterr().out
    expect_mentioned(said, ["bad-one", "numpy"])
    assert invoke(["plugins", "--check", "nobody"]) == 2
