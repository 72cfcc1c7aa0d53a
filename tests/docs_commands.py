"""The commands that the documentation shows, found and run.

What counts as a command: a line of a fenced ``sh`` or ``bash`` block, a line after ``$`` in a fenced
``console`` block (what follows is its output), and a line of an indented block that begins with a
known program. ``run`` gets a budget of seconds; ``RUN`` and ``KEY`` stand for a small finished run
and one of its designs. Comments before a block say what else there is to know::

    <!-- test: vitis -->                 fakes of AMD's tools are on PATH
    <!-- test: exit 1 or 3 -->           it ends with one of these codes
    <!-- test: skip (why) -->            it is not run; the reasons are counted by a test
    <!-- test: like -->                  the output is as printed, but for its numbers
    <!-- test: words -->                 every word that is printed is said (if it ends with 0 or 3)
    <!-- test: verdict -->               what its first line says before the path is as printed
    <!-- test: trials 100 -->            a search needs so many candidates to find something
    <!-- test: set KEY=VALUE -->         the same of a setting that the budget of seconds changes
    <!-- test: file cells.toml -->       the block is no command but this file

Several are joined by commas: ``<!-- test: vitis, exit 3 -->``.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from places import ROOT

from hwnas_hls.pytest_plugin import Workplace

#: Options after those of the page, and so stronger.
BUDGET = (
    *("--plain", "--set", "estimators.training.epochs=1", "--set", "export.training.epochs=1"),
    *("--set", "estimators.training.descent_epochs=1", "--set", "estimators.training.descent_step=0.5"),
    *("--set", "estimators.training.dense_rows=0"),
    *("--set", "export.members=1", "--set", "export.csim=false"),
    *("--set", "export.folds=0", "--set", "export.refine=false", "--set", "export.restarts=1"),
    *("--set", "export.baselines=false"),
)
#: Networks of the default space that are synthesised in seconds.
SMALL_NETWORKS = ("--set", "space.widths=[4, 8]", "--set", "space.max_depth=2")
PROGRAMS = ("hwnas-hls", "pip", "python", "python3", "apt-get", "nice", "source", "vitis-run", "git", "dask")
_BLOCK = re.compile(
    r"(?:<!-- test: (?P<notes>[^>]*?) -->\n+)?"
    r"(?:^```(?P<kind>\w*)[^\n]*\n(?P<fenced>.*?)^```$|(?P<indented>(?:^ {4}[^\n]*\n|^\n(?= {4}))+))",
    re.DOTALL | re.MULTILINE,
)
_SETTING = re.compile(r"[A-Z_]+=\S*")


@dataclass(frozen=True)
class Command:
    """One command of a page.

    Args:
        page: its path below the repository.
        text: as printed, without prompt and comment.
        output: lines printed below it.
        notes: from the comment before its block.
    """

    page: str
    text: str
    output: str = ""
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """Without settings of environment variables before it."""
        words = shlex.split(self.text, comments=True)
        while words and _SETTING.fullmatch(words[0]):
            words = words[1:]
        return words

    @property
    def skipped(self) -> str:
        """Why it is not run; empty where it is."""
        for note in self.notes:
            if note.startswith("skip"):
                return note.removeprefix("skip").strip(" ()")
        words = [word for word in self.words if word != "nice"]
        if words[0] in ("pip", "apt-get", "git") or words[1:3] == ["-m", "venv"]:
            return "installs something"
        if words[0].startswith("python") and len(words) > 1 and words[1].startswith("benchmarks/"):
            return "a benchmark"
        return ""

    @property
    def exits(self) -> set[int]:
        for note in self.notes:
            if note.startswith("exit "):
                return {int(code) for code in note.removeprefix("exit ").split(" or ")}
        return {0}

    @property
    def trials(self) -> int:
        """What a search of it may judge."""
        wanted = [note.removeprefix("trials ") for note in self.notes if note.startswith("trials ")]
        return int(wanted[0]) if wanted else 6

    @property
    def settings(self) -> list[str]:
        """Settings of a search of it that are stronger than those of the budget."""
        return [note.removeprefix("set ") for note in self.notes if note.startswith("set ")]


@dataclass(frozen=True)
class File:
    """A block that is a file to be there for the commands after it."""

    name: str
    text: str


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _written(path: Path) -> str:
    """A page without its generated parts."""
    return re.sub(r"<!-- generated: .*?<!-- end -->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def steps(path: Path) -> Iterator[Command | File]:
    """Commands and files of a page, in order."""
    page = path.relative_to(ROOT).as_posix()
    for match in _BLOCK.finditer(_written(path)):
        notes = tuple(note.strip() for note in (match["notes"] or "").split(",") if note.strip())
        body = match["fenced"] if match["fenced"] is not None else match["indented"]
        files = [note.removeprefix("file ") for note in notes if note.startswith("file ")]
        if files:
            yield File(files[0], body)
        elif match["kind"] in ("sh", "bash"):
            for line in _joined(body):
                if line.strip() and not line.lstrip().startswith("#"):
                    yield Command(page, _bare(line), "", notes)
        elif match["kind"] == "console":
            yield from _console(page, body, notes)
        elif match["indented"] is not None:
            for line in _joined(body):
                words = [w for w in line.split() if not _SETTING.fullmatch(w)]
                if words and words[0] in PROGRAMS:
                    yield Command(page, _bare(line), "", notes)


def hidden(path: Path) -> Iterator[str]:
    """Lines of blocks that look like commands and that :func:`steps` passes over.

    Blocks count however they are fenced or indented; prose does not.
    """
    left = _written(path)
    for match in _BLOCK.finditer(left):
        notes = match["notes"] or ""
        if match["kind"] in ("sh", "bash", "console") or match["indented"] or "file " in notes:
            left = left.replace(match[0], "\n")
    fence = ""
    for line in left.splitlines():
        mark = re.match(r"\s*(```|~~~)", line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        elif fence or line.startswith("    "):
            words = [word for word in line.split() if not _SETTING.fullmatch(word)]
            if words and words[0] in ("$", *PROGRAMS):
                yield line.strip()


def _console(page: str, body: str, notes: tuple[str, ...]) -> Iterator[Command]:
    text, output = "", []
    for line in _joined(body):
        if line.startswith("$ "):
            if text:
                yield Command(page, text, "\n".join(output), notes)
            text, output = _bare(line.removeprefix("$ ")), []
        else:
            output.append(line)
    if text:
        yield Command(page, text, "\n".join(output), notes)


def _joined(body: str) -> list[str]:
    return body.replace("\\\n", " ").rstrip("\n").split("\n")


def _bare(line: str) -> str:
    """Without a comment behind two or more blanks and a #."""
    return re.sub(r"\s{2,}#.*$", "", line).strip()


class Scratch:
    """A folder in which the commands of one page run, in order.

    Args:
        folder: holds ``RUN`` and the example files already.
        key: of the design that KEY means.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def run(self, command: Command) -> tuple[int, str, str]:
        """(exit code, standard output, standard error)."""
        text = re.sub(r"\bKEY\b", self.key, command.text)
        text = re.sub(r"(\S+/designs)/([0-9a-f]{16})\b", self._there, text)
        plain = not re.search(r"[|;<>&`$]", re.sub(r"'[^']*'|\"[^\"]*\"", "", text))
        words = shlex.split(text)
        if plain and words[0] == "hwnas-hls":
            outcome = Workplace(self.folder).invoke(*small(words[1:], command.trials, command.settings))
            return outcome.exit_code, outcome.stdout, outcome.stderr
        shim = self.folder / ".bin"
        if not shim.is_dir():
            shim.mkdir()
            code = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\n"
            code += "from docs_commands import small\nfrom hwnas_hls.cli.main import main\n"
            code += "main(small(sys.argv[1:]))\n"
            (shim / "hwnas-hls").write_text(code)
            # A link would leave the virtual environment.
            (shim / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
            for path in shim.iterdir():
                path.chmod(0o755)
        environment = {**os.environ, "PATH": f"{shim}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def _there(self, match: re.Match[str]) -> str:
        """The printed run had a larger budget and other designs: one of this run stands for it.

        Those that the run itself exported have RTL and come first.
        """
        places = (self.folder / match[1]).glob("*")
        designs = [path.name for path in sorted(places, key=lambda path: (not (path / "rtl").is_dir(), path))]
        return f"{match[1]}/{match[2] if match[2] in designs or not designs else designs[0]}"


def shape(output: str) -> list[str]:
    """What an output looks like: numbers may change with a calibration, words may not."""
    return [re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*", "#", line)).strip() for line in output.splitlines()]


def words(output: str) -> set[str]:
    """Words of an output, of three letters or more (a range "1 to 2" may be one number in another run).

    Without numbers, keys of designs and the plural behind a number; how trials ended varies from run to run.
    """
    lasting = re.sub(r"(?m)^\d+/\d+: .*$", "", output)
    lasting = re.sub(r"(\d\s+[A-Za-z]{3,}?)s\b", r"\1", lasting)  # one cycle here may be three there
    return set(re.findall(r"[A-Za-z_]{3,}", re.sub(r"\b[0-9a-f]{8,16}\b", "", lasting)))


def verdict(output: str) -> str:
    """``NOT PROVEN`` of ``NOT PROVEN  runs/x/designs/0a...``; the evidence below depends on the design."""
    return output.lstrip().partition("  ")[0]


def small(arguments: Sequence[str], trials: int = 6, settings: Sequence[str] = ()) -> list[str]:
    """The arguments of a command, with a budget of seconds where it searches."""
    arguments = list(arguments)
    if arguments[:1] == ["run"] and not {"-h", "--help"} & set(arguments):
        if "--space" not in arguments and not any(word.endswith(".toml") for word in arguments):
            arguments += SMALL_NETWORKS
        arguments += [*BUDGET, "--trials", str(trials), "--set", f"run.batch={trials}"]
        arguments += [word for setting in settings for word in ("--set", setting)]
        if "--synthesis-budget" in arguments:
            arguments += ["--synthesis-budget", "1"]
    return arguments
