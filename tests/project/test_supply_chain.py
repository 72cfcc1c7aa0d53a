"""Dependencies and permissions: bounded versions, licences, no network, no code from data."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SOURCES = sorted([*(ROOT / "hwnas_hls").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])

#: SPDX names of licences that Apache-2.0 code may depend on without further thought.
_PERMISSIVE = {
    *(
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "0BSD",
        "Apache-2.0",
        "ISC",
        "PSF-2.0",
        "Zlib",
    ),
    *("BSL-1.0", "CC0-1.0", "HPND", "Unlicense"),
}
_WEAK_COPYLEFT = {"MPL-2.0", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"}
#: What those say that give no SPDX expression, most restrictive first.
_WORDS = (
    ("strong", re.compile(r"\b(A?GPL(v\d)?|GNU (Affero )?General Public)", re.IGNORECASE)),
    ("weak", re.compile(r"\b(LGPL|GNU Lesser|Lesser General Public|MPL|Mozilla)", re.IGNORECASE)),
    ("permissive", re.compile(r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Public Domain)\b")),
)
#: Weak copyleft that a user cannot choose against: hls4ml itself needs the one, optuna the other.
_NEEDED_BY_OTHERS = {"quantizers", "tqdm"}
#: Strong copyleft in one corner: docutils says which of its files are GPL (an Emacs mode); nobody imports it.
_STRONG = {"docutils"}


def requirements() -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for group in EXTRAS.values() for text in group)]
    return [Requirement(text) for text in texts]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def closure(names: list[str]) -> Iterator[str]:
    """Every installed distribution that these need, themselves included."""
    seen: set[str] = set()
    left = [(canonicalize_name(Requirement(name).name), Requirement(name).extras) for name in names]
    while left:
        name, extras = left.pop()
        if name in seen:
            continue
        seen.add(name)
        yield name
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            wanted = [{"extra": extra} for extra in ("", *extras)]
            if needed.marker is None or any(needed.marker.evaluate(each) for each in wanted):
                left.append((canonicalize_name(needed.name), needed.extras))


def kind_of_licence(metadata: Message) -> str:
    """``permissive``, ``weak`` or ``strong`` copyleft; ``unknown`` where it does not say."""
    if expression := metadata.get("License-Expression"):
        return _kind_of_expression(expression)
    said = [text for text in metadata.get_all("Classifier", []) if text.startswith("License")]
    # Some put the whole text into this field; its first words name it.
    said.append((metadata.get("License") or "")[:200])
    return next((kind for kind, words in _WORDS if words.search(" ".join(said))), "unknown")


def _kind_of_expression(expression: str) -> str:
    """Of ``A OR B`` the freer, of ``A AND B`` the stricter."""
    order = ["permissive", "weak", "strong", "unknown"]
    if "(" in expression:
        return max(
            (_kind_of_expression(part) for part in re.split(r"[()]", expression) if part.strip()),
            key=order.index,
        )
    either = [part for part in expression.split(" OR ") if part.strip()]
    return min(
        (max((_kind(each) for each in part.split(" AND ")), key=order.index) for part in either),
        key=order.index,
    )


def _kind(name: str) -> str:
    name = name.partition(" WITH ")[0].strip()
    if name in ("", "AND", "OR") or name in _PERMISSIVE:
        return "permissive"
    if name in _WEAK_COPYLEFT:
        return "weak"
    return "strong" if "GPL" in name else "unknown"


def kinds(names: list[str]) -> dict[str, set[str]]:
    """Kind of licence -> who of everything that these need."""
    found: dict[str, set[str]] = {"permissive": set(), "weak": set(), "strong": set(), "unknown": set()}
    for name in closure(names):
        found[kind_of_licence(importlib.metadata.metadata(name))].add(name)
    return found


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_has_a_lower_and_an_upper_bound(requirement: Requirement) -> None:
    operators = {clause.operator for clause in requirement.specifier}
    assert operators & {"<", "<=", "==", "~="}, "no upper bound: a release of theirs may break ours"
    assert operators & {">", ">=", "==", "~="}, "no lower bound: an old one may lack what we use"


def test_constraints_meet_the_bounds_and_cover_what_a_run_needs() -> None:
    pinned = pins()
    for requirement in requirements():
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
    missing = set(closure(PROJECT["dependencies"])) - pinned.keys()
    # torch's build for this machine brings what it needs; setuptools comes with the environment.
    assert not {name for name in missing if not name.startswith(("nvidia-", "cuda-", "triton"))} - {
        "setuptools"
    }


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"License-Expression": "MIT"}, "permissive"),
        ({"License-Expression": "Apache-2.0 WITH LLVM-exception AND MIT"}, "permissive"),
        ({"License-Expression": "MPL-2.0 AND MIT"}, "weak"),
        ({"License-Expression": "GPL-3.0-only OR MIT"}, "permissive"),
        ({"License-Expression": "GPL-3.0-only AND MIT"}, "strong"),
        ({"License-Expression": "MIT AND (AGPL-3.0-only OR BSD-3-Clause)"}, "permissive"),
        ({"License-Expression": "Sleepycat"}, "unknown"),
        ({"License": "BSD 3-Clause"}, "permissive"),
        ({"License": "GPLv3, in parts MIT"}, "strong"),
        ({"Classifier": "License :: OSI Approved :: GNU Affero General Public License v3"}, "strong"),
        ({"Classifier": "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"}, "weak"),
        ({"Classifier": "Topic :: MIT lectures", "License": "UNKNOWN"}, "unknown"),
        ({"License": "submitted without a licence"}, "unknown"),
    ],
)
def test_licences_are_classified(fields: dict[str, str], kind: str) -> None:
    metadata = Message()
    for name, value in fields.items():
        metadata[name] = value
    assert kind_of_licence(metadata) == kind


def test_dependencies_are_permissively_licensed() -> None:
    found = kinds(PROJECT["dependencies"])
    assert found["unknown"] == found["strong"] == set()
    assert found["weak"] == _NEEDED_BY_OTHERS
    used = re.compile(rf"^\s*(import|from) ({'|'.join(_NEEDED_BY_OTHERS)})\b", re.MULTILINE)
    assert [path.name for path in SOURCES if used.search(path.read_text())] == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_no_extra_is_strong_copyleft(extra: str) -> None:
    missing = [text for text in EXTRAS[extra] if not _installed(Requirement(text).name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    found = kinds(EXTRAS[extra])
    assert found["unknown"] == set()
    assert found["strong"] <= _STRONG


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_code_is_run_from_data_and_no_shell_is_used(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] not in {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
            assert not name.startswith(("xml.etree", "xml.dom", "xml.sax", "lxml")), "entities may expand"
    for name, call in calls(tree):
        keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert name not in {"eval", "exec", "os.system", "os.popen", "np.fromstring"}
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", f"line {call.lineno}"
        if name == "yaml.load":
            assert ast.unparse(call.args[1]) == "_loader()", "the one loader that constructs nothing"
        assert keywords.get("shell", "False") == "False"
        if name in {"np.load", "numpy.load"}:
            assert keywords.get("allow_pickle") == "False", f"line {call.lineno}"
        if name in {"pd.read_pickle", "joblib.load"}:
            pytest.fail(f"line {call.lineno}: {name} unpickles")


#: Read by every Python that is started below: notes what goes to the network, and refuses it.
_WATCH = """
import os, socket, sys

ASKS = {"getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo"}
SENDS = {"connect", "bind", "sendto", "sendmsg"}

def watch(event, args):
    module, _, what = event.partition(".")
    said = ""
    if module == "socket" and (what in ASKS or what in SENDS and args[0].family != socket.AF_UNIX):
        said = f"{event} {args[-1]!r}"
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        said = f"start {args[0]!r} {[os.fsdecode(word) for word in args[1]] if len(args) > 1 else ''}"
    if said:
        with open(os.environ["HWNAS_TEST_WATCHED"], "a") as notes:
            notes.write(said + "\\n")
        if not said.startswith("start"):
            raise RuntimeError(f"network: {said}")

sys.addaudithook(watch)
"""
#: Programs that a run starts; none asks the network by itself. ``driver`` is the C simulation that was just
#: compiled, and scikit-learn counts the processor's cores by ``lscpu``. A Python among them is watched, too.
_STARTED = re.compile(r"(^|/)(python[\d.]*|g\+\+|clang(\+\+)?|gcc|cc|uname|lscpu|driver)$")


def watched(
    code: str, arguments: list[str], folder: Path
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run Python in a process where it and the Pythons it starts are watched; what they asked for."""
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(_WATCH)
    notes = folder / "watch" / "notes"
    notes.touch()
    # With caches of its own: nothing is compiled before.
    changed = {
        "PYTHONPATH": str(folder / "watch"),
        "HWNAS_TEST_WATCHED": str(notes),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **changed},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done, notes.read_text().splitlines()


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 0.1)",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "import urllib.request; urllib.request.urlopen('http://example.invalid')",
        "import multiprocessing as m, socket\n"
        "p = m.get_context('spawn').Process(target=socket.gethostbyname, args=('example.invalid',))\n"
        "p.start(); p.join()",
    ],
    ids=["connect", "sendto", "urllib", "spawned"],
)
def test_network_access_is_detected(code: str, tmp_path: Path) -> None:
    """The watch itself, although the culprit swallows its error, in a child of a child, too."""
    quiet = f"try:\n    exec({code!r})\nexcept Exception: pass"
    for number, text in enumerate(
        (quiet, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {quiet!r}])")
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, asked = watched(text, [], folder)
        assert [line for line in asked if line.startswith("socket.")]


def test_run_uses_no_network(tmp_path: Path) -> None:
    """A whole run, C simulation and report included; any connection of its processes is noted and refused."""
    arguments = [
        "run",
        "--target",
        "xcvu9p",
        "--trials",
        "4",
        "--set",
        "export.members=1",
        "--set",
        "export.restarts=1",
    ]
    for setting in (
        "training.epochs=2",
        "training.descent_epochs=1",
        "training.descent_step=0.5",
        "training.dense_rows=0",
    ):
        arguments += ["--set", f"estimators.{setting}"]
    arguments += ["--set", "export.training.epochs=2", "--set", "export.folds=2"]
    # Synthesis and C simulation of a larger design take most of the time; its accuracy does not matter.
    for setting in ("space.widths=[4]", "space.max_depth=1", "space.weight_bits=[2, 3]", "export.floor=0"):
        arguments += ["--set", setting]
    arguments += ["--output", str(tmp_path / "run"), "--plain"]
    code = "import sys; from hwnas_hls.cli.main import invoke; sys.exit(invoke(sys.argv[1:]))"
    done, asked = watched(code, arguments, tmp_path)
    assert [line for line in asked if line.startswith("socket.")] == []
    started = [line.split("'")[1] for line in asked]
    assert any(name.endswith("++") for name in started), "C simulation compiles"
    assert any(Path(name).name == "driver" for name in started), "C simulation runs"
    assert [name for name in started if not _STARTED.search(name)] == []
    assert not [line for line in asked if re.search(r"python[\d.]*'.*'-[IES]+'", line)], "not watched"
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "report.html").exists()
