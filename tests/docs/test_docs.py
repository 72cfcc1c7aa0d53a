"""The documentation of plugins, of the Python API and of the command line: complete, fresh, and it runs.

``HWNAS_REGENERATE_DOCS=1 pytest tests/docs/test_docs.py`` writes the generated parts anew.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import re
import statistics
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import click
import pytest
from docs_commands import pages
from generated_docs import DOCS, fields, generated_pages, refreshed

from hwnas_hls import api, hookspecs, pytest_plugin
from hwnas_hls.plugin.offers import KINDS
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.testing import sample_front, sample_target
from hwnas_hls.testing.plugin_check import check_plugin
from hwnas_hls.values.estimate import SOURCES, Estimate
from hwnas_hls.values.run_facts import RunFacts

PLUGINS = DOCS / "plugins"
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("hwnas_"))
_GENERATED = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)
_CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
REGENERATE = bool(os.environ.get("HWNAS_REGENERATE_DOCS"))


def written(path: Path) -> str:
    """A page without its generated parts."""
    return _GENERATED.sub("", path.read_text(encoding="utf-8"))


EXAMPLES = [
    (path.stem, number, code)
    for path in sorted(PLUGINS.glob("*.md"))
    for number, code in enumerate(_CODE.findall(written(path)))
    if "\ndef test_" not in code
]


@pytest.mark.parametrize("page", generated_pages(), ids=lambda path: path.stem)
def test_generated_parts_are_fresh(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    fresh = refreshed(text)
    if REGENERATE:
        page.write_text(fresh, encoding="utf-8")
    else:
        assert text == fresh, f"{page.name} is stale: HWNAS_REGENERATE_DOCS=1 pytest tests/docs/test_docs.py"


def test_every_page_with_generated_parts_is_known() -> None:
    names = {path.stem for path in generated_pages()}
    assert names == {"index", "hooks", "command-line", "settings", *KINDS}


def test_sources_are_ordered_by_strength() -> None:
    (text,) = re.findall(r"from the weakest:\s+(.*?)\.\n", written(PLUGINS / "estimator.md"), re.DOTALL)
    assert tuple(re.findall(r"`(\w+)`", text)) == SOURCES


def test_fields_are_read_off_docstrings() -> None:
    """The table has every field; two that are named together have a row each."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `.*?` \| (.*?) \|$", fields("Estimate"), re.MULTILINE))
    assert list(rows) == [field.name for field in dataclasses.fields(Estimate)]
    assert rows["low"] == rows["high"]
    assert rows["low"].startswith("interval of the stated coverage")
    assert "`Source`" in rows["source"]


def as_module(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 (the example is run as printed)
    return module


@pytest.mark.parametrize(
    ("page", "number", "code"), EXAMPLES, ids=[f"{page}-{number}" for page, number, _ in EXAMPLES]
)
def test_every_example_is_a_plugin_that_keeps_its_contract(
    page: str,
    number: int,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    registry: Registry,
) -> None:
    name = f"example_{page}_{number}"
    registry.register(as_module(name, code, monkeypatch), name)
    offers = [o for kind in KINDS for same in registry.offers(kind).values() for o in same]
    assert registry.faults == []
    mine = [offer for offer in offers if offer.plugin == name]
    if page in KINDS:
        assert [offer.kind for offer in mine] == [page]
    if page == "index":
        assert mine
    if mine:
        found = list(check_plugin(registry, name))
        assert len(found) >= 4
        assert [f"{item.test}: {item.problem}" for item in found if item.problem] == []


def test_the_guide_opens_with_a_plugin_of_under_25_lines(
    registry: Registry, toy_spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = _CODE.findall(written(PLUGINS / "index.md"))[0]
    assert written(PLUGINS / "index.md").index("```python") < 200
    assert len(code.splitlines()) < 25
    registry.register(as_module("climb", code, monkeypatch), "climb")
    goal = {"mode": "constrained", "metrics": ["accuracy", "lut"]}
    spec = toy_spec(strategy={"name": "climb"}, run={"trials": 60, "batch": 20}, objectives=goal)
    outcome = start(spec, registry, tmp_path / "run", Observer())
    assert len(outcome.front.records) == 60
    losses: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for record in outcome.front.records:
        if record.losses is not None:
            losses[record.batch].append(sum(record.losses))
    first, _, last = (statistics.median(losses[batch]) for batch in losses)
    assert last < first, "it does not climb"


def test_the_test_of_the_guide_passes(tmp_path: Path) -> None:
    """Run by pytest as a stranger would, with the plugin beside it."""
    codes = _CODE.findall(written(PLUGINS / "index.md"))
    (test,) = [code for code in codes if "\ndef test_" in code]
    (tmp_path / "climb.py").write_text(codes[0])
    (tmp_path / "test_climb.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "fixture", ["hwnas", "tiny_space", "tiny_task", "tiny_target", "fake_tools", "fake_vendor"]
)
def test_every_fixture_is_documented(fixture: str) -> None:
    assert inspect.getdoc(getattr(pytest_plugin, fixture))
    assert f"`{fixture}`" in written(PLUGINS / "index.md")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_documentation_and_an_example(hook: str) -> None:
    assert inspect.getdoc(getattr(hookspecs, hook))
    sections = re.split(r"^## ", written(PLUGINS / "hooks.md"), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(f"{hook}\n")]
    prose, (code,) = _CODE.sub("", section), _CODE.findall(section)
    assert len(prose.removeprefix(hook).split()) >= 3
    assert f"def {hook}(" in code
    assert "@hookimpl" in code


def test_no_hook_is_documented_that_is_none() -> None:
    for path in PLUGINS.glob("*.md"):
        assert set(re.findall(r"hwnas_\w+", path.read_text())) - {"hwnas_hls", "hwnas_hls_plugins"} <= set(
            HOOKS
        ), path.name


def example_of(hook: str, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    sections = re.split(r"^## ", written(PLUGINS / "hooks.md"), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(f"{hook}\n")]
    module = as_module(f"example_{hook}", _CODE.findall(section)[0], monkeypatch)
    registry.register(module, f"example_{hook}")
    assert registry.faults == []
    return module


def test_examples_of_hooks_that_are_called(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for hook in HOOKS:
        if not hook.startswith("hwnas_register_") or hook == "hwnas_register_commands":
            module = example_of(hook, registry, monkeypatch)
            if hook == "hwnas_candidate_recorded":
                states = module.states
    front, run = sample_front(), RunFacts(name="r", folder=str(tmp_path))
    project: dict[str, str] = {}
    member = front.members[0]
    registry.call_each("hwnas_run_started", run=run)
    for record in front.records:
        registry.call_each("hwnas_candidate_recorded", run=run, record=record)
    registry.call_each(
        "hwnas_amend_project", project=project, candidate=member.candidate, target=sample_target()
    )
    registry.call_each("hwnas_run_finished", run=run, front=front)
    group = click.Group("hwnas-hls")
    registry.call_each("hwnas_register_commands", cli=group)
    assert registry.faults == []
    assert states.total() == len(front.records)
    assert project == {"NOTES.txt": f"candidate {member.key} for xcsample-a1-1\n"}
    assert (tmp_path / "done.txt").read_text() == "1 designs\n"
    (tmp_path / "designs" / "k").mkdir(parents=True)
    (tmp_path / "designs" / "k" / "design.json").write_text("{}")
    group.main(["count-designs", str(tmp_path)], standalone_mode=False)
    assert capsys.readouterr().out == "1\n"
    assert Path.home() / ".config" / "my-lab" / "targets" in registry.target_folders()


def test_contract_finds_broken_example(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail: a strategy that forgets its batch number on a resume is found."""
    code = _CODE.findall(written(PLUGINS / "index.md"))[0]
    broken = code.replace("self.batch = state", "pass")
    assert broken != code
    registry.register(as_module("broken", broken, monkeypatch), "broken")
    assert any(item.problem for item in check_plugin(registry, "broken"))


def small(**changes: Any) -> dict[str, Any]:
    """The arguments of a run of seconds that goes through everything but C simulation."""
    short = {"epochs": 2, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.5}
    return {
        **changes,
        "trials": 8,
        "strategy": "random",
        "run": {"batch": 8, "exporters": []},
        "space": {"widths": [4, 8], "max_depth": 2},
        "estimators": {"training": short},
        "export": {
            "members": 2,
            "restarts": 1,
            "csim": False,
            "folds": 0,
            "refine": False,
            "training": {"epochs": 2},
        },
    }


def test_the_python_of_the_api_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As printed, but for smaller budgets."""
    monkeypatch.chdir(tmp_path)
    search = api.run_search
    made: list[api.Run] = []

    def run_search(**arguments: Any) -> api.Run:
        made.append(search(**small(**arguments)))
        return made[-1]

    monkeypatch.setattr("hwnas_hls.run_search", run_search, raising=False)
    first, second, third, fourth, *_ = _CODE.findall((DOCS / "python-api.md").read_text(encoding="utf-8"))
    for number, code in enumerate((second, first)):
        space: dict[str, Any] = {}
        exec(compile(code, f"<python-api {number}>", "exec"), space)  # noqa: S102
        assert space["run"] is made[-1]
        assert made[-1].finished
        assert made[-1].members
    assert made[0].front.dataset.n_in == 8
    assert made[1].front.target.name == "xcvu9p"
    space = {"folder": made[0].folder}
    exec(compile(third, "<python-api>", "exec"), space)  # noqa: S102
    assert len(space["weights"]) == len(made[0].members)
    assert (made[0].folder / "optuna.sqlite3").is_file()
    exec(compile(fourth, "<python-api>", "exec"), space)  # noqa: S102
    assert len(space["classes"]) == len(space["scores"]) == len(space["y"])
    columns = set(space["frame"].columns)
    assert {"key", "state", "reason", "on_front", "lut", "lut_low", "lut_source", "lut_evidence"} <= columns


def test_the_api_page_names_every_argument_and_column() -> None:
    text = (DOCS / "python-api.md").read_text(encoding="utf-8")
    for name in inspect.signature(api.run_search).parameters:
        if name not in ("tables", "label"):
            assert f"`{name}`" in text, name
    assert "with `label`" in text


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_files_and_names_in_docs_exist(path: Path) -> None:
    text = written(path)
    for name in set(re.findall(r"\b(?:benchmarks|tests|hw_targets|templates)/[\w/.-]*\w", text)):
        assert (DOCS.parent / name).exists(), name
    for name in set(re.findall(r"`(hwnas_hls(?:_plugins)?(?:\.\w+)*)`", text)):
        assert named(name) is not None, name


def named(name: str) -> object:
    """A module, or what stands in one."""
    module, _, last = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(named(module), last, None) if module else None


def test_links_lead_somewhere() -> None:
    for path in [*PLUGINS.glob("*.md"), DOCS / "python-api.md", DOCS / "command-line.md"]:
        text = written(path)
        for target, anchor in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", text):
            place = path.parent / target if target else path
            assert place.is_file(), f"{path.name}: {target}"
            if anchor:
                heads = re.findall(r"^#+ (.*)$", place.read_text(), flags=re.MULTILINE)
                anchors = {"#" + head.lower().replace(" ", "-") for head in heads}
                assert anchor in anchors, f"{path.name}: {anchor}"
