"""Every command that the documentation shows is run, page by page, in a folder of its own."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from docs_commands import ROOT, Command, File, Scratch, hidden, pages, shape, steps, verdict, words

from hwnas_hls.pytest_plugin import Workplace
from hwnas_hls.testing import FakeTools

REGENERATE = bool(os.environ.get("HWNAS_REGENERATE_DOCS"))
_ROUTES = "needs a run for an ECP5 part; tests/plugins/synthesizers/test_ecp5.py routes one design"
#: (page, why) -> commands that are shown and not run. Benchmarks only have to be there.
SKIPPED = {
    ("README.md", "installs something"): 2,
    ("docs/cluster.md", "installs something"): 1,
    ("docs/cluster.md", "needs several machines"): 6,
    ("docs/ecp5.md", "installs something"): 1,
    ("docs/ecp5.md", _ROUTES): 3,
    ("docs/validating.md", _ROUTES): 1,
    ("docs/installation.md", "installs into a fresh environment; README.md's command does it in CI"): 3,
    ("docs/open-synthesis.md", "installs something"): 1,
    (
        "docs/coming-from.md",
        "needs a model file of yours; tests/run/test_own_designs.py reads each kind",
    ): 4,
    (
        "docs/second-question.md",
        "needs an earlier run of the same task; tests/run/test_known_designs.py has some",
    ): 1,
    ("docs/using-vitis.md", "needs AMD's installation"): 1,
    ("docs/using-vitis.md", "one C synthesis per candidate; the same path runs with --synthesizer open"): 1,
}
PAGES = [path for path in pages() if any(isinstance(s, Command) and not s.skipped for s in steps(path))]


def commands() -> Iterator[Command]:
    return (step for path in pages() for step in steps(path) if isinstance(step, Command))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with what the pages name: a finished run, tables of rows, projects with reports."""
    folder = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    kinds = np.arange(120) % 3
    x = rng.normal(size=(120, 4)) + kinds[:, None]
    for name, label in (("my.csv", "kind"), ("measurements.csv", "quality")):
        with (folder / name).open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["a", "b", "c", "d", label])
            rows.writerows([*row, "xyz"[kind]] for row, kind in zip(x.tolist(), kinds, strict=True))
    with (folder / "trigger.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["a", "b", "c", "d", "signal"])
        rows.writerows([*row, int(kind == 2)] for row, kind in zip(x.tolist(), kinds, strict=True))
    outcome = Workplace(folder).run("--set", 'run.exporters=["front-json", "html-report"]', folder="RUN")
    assert outcome.exit_code == 0, outcome.stderr
    key = outcome.members[0].key
    project = folder / "projects" / "tagger"
    shutil.copytree(folder / "RUN" / "designs" / key / "hls4ml", project)
    options = project / "build_opt.tcl"
    options.write_text(re.sub(r"(\bcosim\s+)\d", r"\g<1>0", options.read_text()))
    FakeTools(folder / ".fakes").vendor("vitis-run")
    command = [str(folder / ".fakes" / "vitis-run"), "--tcl", "build_prj.tcl", "--mode", "hls"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    # The fake tool's area is the same for every network; one far from the prediction would be doubtful.
    for report in project.rglob("*_csynth.xml"):
        text = report.read_text().replace("<LUT>432</LUT>", "<LUT>5000</LUT>")
        report.write_text(text.replace("<FF>210</FF>", "<FF>400</FF>"))
    header = "row_id,tool,stage,part,clock_ns_target,layers,activations,precision,reuse_factor,strategy,"
    header += "latency_cycles_min,ii_min,lut,ff,dsp,bram18"
    lines = [
        f"r{n},vitis_hls 2023.2,csynth,xcvu9p-flga2104-2L-e,5,16-{8 * n}-5,relu-linear,"
        f'"ap_fixed<8,3>",1,Latency,5,1,{1500 * n},{400 * n},0,0'
        for n in range(1, 5)
    ]
    (folder / "rows.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder, key


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_of_a_page_run(
    path: Path,
    prepared: tuple[Path, str],
    tmp_path: Path,
    fake_tools: FakeTools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template, key = prepared
    folder = tmp_path / "scratch"
    shutil.copytree(template, folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    scratch = Scratch(folder, key)
    for step in steps(path):
        if isinstance(step, File):
            (folder / step.name).write_text(step.text)
            continue
        if step.skipped:
            continue
        for name in list(fake_tools.folder.iterdir()):
            name.unlink()
        if "vitis" in step.notes:
            fake_tools.vendor()
        code, out, err = scratch.run(step)
        assert code in step.exits, f"{step.text}\nended with {code}\n{out}\n{err}"
        if "words" in step.notes and code in (0, 3):
            assert words(step.output) <= words(out + err), step.text
        if "verdict" in step.notes:
            assert verdict(out) == verdict(step.output), step.text
        if "like" in step.notes and REGENERATE:
            path.write_text(path.read_text().replace(step.output, out.rstrip("\n")))
        elif "like" in step.notes:
            stale = f"{step.text}: HWNAS_REGENERATE_DOCS=1 pytest tests/docs writes it anew"
            assert shape(out.rstrip("\n")) == shape(step.output), stale


def test_skipped_commands_are_listed() -> None:
    """Each with its reason; a page with more of them says so here."""
    found = Counter((c.page, c.skipped) for c in commands() if c.skipped and c.skipped != "a benchmark")
    assert found == SKIPPED


def test_benchmarks_are_there() -> None:
    shown = [command for command in commands() if command.skipped == "a benchmark"]
    assert shown
    for command in shown:
        (script,) = [word for word in command.words if word.startswith("benchmarks/")]
        assert (ROOT / script).is_file(), f"{command.page}: {command.text}"


def test_no_command_hides_in_blocks_that_are_not_run() -> None:
    """Commands are found by the kind of their block; one of another kind would never be run."""
    for path in pages():
        assert not list(hidden(path)), path.name


def test_docs_check_finds_command_in_unrun_block(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```text\n$ hwnas-hls run\noutput\n```\n\n```\nA=1 hwnas-hls doctor\n```\n\n"
        "~~~sh\npip install x\n~~~\n\n- item\n\n  ```sh\n  hwnas-hls targets\n  ```\n\n"
        "```sh\nhwnas-hls synth x\n```\n\n    hwnas-hls report x\n\n"
        "```console\n$ hwnas-hls run\nhwnas-hls said\n```\n"
        "<!-- generated: commands -->\n```text\nhwnas-hls run\n```\n<!-- end -->\n"
        "<!-- test: file a.txt -->\n```text\npip install y\n```\nhwnas-hls begins a sentence.\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("docs_commands.ROOT", tmp_path)
        found = list(hidden(page))
    assert found == ["$ hwnas-hls run", "A=1 hwnas-hls doctor", "pip install x", "hwnas-hls targets"]


def test_commands_are_found(tmp_path: Path) -> None:
    """The search itself: each kind of block, notes, comments, continued lines, files."""
    page = tmp_path / "page.md"
    page.write_text(
        "Text\n\n    hwnas-hls run  # comment\n    more text\n\n"
        "<!-- test: vitis, exit 1 or 3 -->\n```sh\nA=1 hwnas-hls synth \\\n  x  # y\n```\n"
        "```console\n$ hwnas-hls targets | head -1\ntarget\nmore\n$ pip install x\n```\n"
        "<!-- test: skip (needs a cluster) -->\n\n    hwnas-hls farm\n\n"
        "<!-- test: file a.toml -->\n```toml\nx = 1\n```\n\n    x = 3\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("docs_commands.ROOT", tmp_path)
        found = list(steps(page))
    texts = [step.text for step in found]
    assert texts == [
        "hwnas-hls run", "A=1 hwnas-hls synth    x", "hwnas-hls targets | head -1", "pip install x",
        "hwnas-hls farm", "x = 1\n",
    ]  # fmt: skip
    run, synth, targets, install, farm, file = found
    assert isinstance(synth, Command)
    assert (synth.exits, synth.words[0]) == ({1, 3}, "hwnas-hls")
    assert isinstance(targets, Command)
    assert targets.output == "target\nmore"
    assert isinstance(install, Command)
    assert install.skipped == "installs something"
    assert isinstance(farm, Command)
    assert farm.skipped == "needs a cluster"
    assert isinstance(file, File)
    assert isinstance(run, Command)
    assert not run.skipped


def test_outputs_are_compared_but_for_their_numbers() -> None:
    assert shape("LUT   2,566  665 to 4,650") == shape("LUT 31 1 to 99")
    assert shape("LUT 1 p") != shape("FF 1 p")
    assert shape("a\nb") != shape("a")
    assert words("4cbba194 bit-exact 2,566 LUT p") == {"bit", "exact", "LUT"}
    assert verdict("NOT PROVEN  runs/a\n  PROVEN  x") == "NOT PROVEN"


def test_every_printed_output_is_compared_with_real_output() -> None:
    """By its shape, its words or its verdict; an output that is only shown goes stale."""
    checks = {"like", "words", "verdict"}
    unchecked = [c for c in commands() if c.output and not c.skipped and not checks & set(c.notes)]
    assert [f"{command.page}: {command.text}" for command in unchecked] == []
