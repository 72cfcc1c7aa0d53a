"""What the project stands on and may do: bounded dependencies, licences, no network, no code from data."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SOURCES = sorted([*(ROOT / "hwnas_hls").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])

#: Words of licences that Apache-2.0 code may depend on without further thought.
_PERMISSIVE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|PSF-2\.0|Python Software Foundation|Zlib|MPL|Mozilla|HPND|Unlicense|CC0|"
    r"MIT-CMU|Public Domain)\b",
    re.IGNORECASE,
)
_COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
_WEAK_COPYLEFT = re.compile(r"\b(LGPL|GNU Lesser|Lesser General Public)", re.IGNORECASE)
#: Weak copyleft (LGPL) that a user cannot choose against: hls4ml itself needs it. Nothing of ours imports it.
_BY_HLS4ML = {"quantizers"}


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


def licence(name: str) -> str:
    data = importlib.metadata.metadata(name)
    said = [data.get("License-Expression") or "", *data.get_all("Classifier", [])]
    said = [text for text in said if text and (not text.startswith("Classifier") or "License" in text)]
    said = [text for text in said if "::" not in text or text.startswith("License")]
    # Some put the whole text into this field; its first words name it.
    said.append((data.get("License") or "")[:200])
    return " ".join(said)


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


def test_what_a_run_needs_is_permissively_licensed() -> None:
    weak = set()
    for name in closure(PROJECT["dependencies"]):
        said = licence(name)
        if _WEAK_COPYLEFT.search(said):
            weak.add(name)
        else:
            assert _PERMISSIVE.search(said), f"{name}: {said!r}"
    assert weak <= _BY_HLS4ML
    used = {
        path.name for path in SOURCES if re.search(r"^\s*(import|from) quantizers", path.read_text(), re.M)
    }
    assert not used


def test_no_extra_is_strong_copyleft() -> None:
    for extra, group in EXTRAS.items():
        installed = [text for text in group if _installed(Requirement(text).name)]
        for name in closure(installed):
            said = licence(name)
            copyleft = _COPYLEFT.search(_WEAK_COPYLEFT.sub("", said))
            assert not copyleft or _PERMISSIVE.search(said), f"{extra} needs {name}: {said!r}"


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
def test_no_code_comes_from_data_and_no_shell_is_asked(path: Path) -> None:
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
        assert name not in {"eval", "exec", "os.system", "os.popen", "torch.load", "np.fromstring"}
        if name == "yaml.load":
            assert ast.unparse(call.args[1]) == "_loader()", "the one loader that constructs nothing"
        assert keywords.get("shell", "False") == "False"
        if name in {"np.load", "numpy.load"}:
            assert keywords.get("allow_pickle") == "False", f"line {call.lineno}"
        if name in {"pd.read_pickle", "joblib.load"}:
            pytest.fail(f"line {call.lineno}: {name} unpickles")


def test_a_run_asks_no_network(tmp_path: Path) -> None:
    """A whole run, front and report included, in a process in which any connection is an error."""
    script = tmp_path / "offline.py"
    script.write_text(
        "import sys\n"
        "def refuse(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'):\n"
        "        raise RuntimeError(f'network: {event} {args[-1]!r}')\n"
        "sys.addaudithook(refuse)\n"
        "from hwnas_hls.cli import invoke\n"
        "sys.exit(invoke(sys.argv[1:]))\n"
    )
    asked = [
        "run",
        "--target",
        "xcvu9p",
        "--trials",
        "4",
        "--set",
        "handover.members=1",
        "--output",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(
        [sys.executable, str(script), *asked, "--plain"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "network:" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "report.html").exists()
