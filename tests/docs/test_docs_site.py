"""The documentation site: it builds without a warning, every page is in it, and it needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

DOCS = ROOT / "docs"
yaml = pytest.importorskip("yaml")


def listed(nav: object) -> list[str]:
    """The pages of a nav, in order."""
    if isinstance(nav, str):
        return [nav]
    below = nav.values() if isinstance(nav, dict) else nav
    return [page for item in below for page in listed(item)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_nav() -> None:
    nav = listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert len(nav) == len(set(nav)), "a page stands in the nav twice"
    assert not there - set(nav), f"add to `nav` in mkdocs.yml: {sorted(there - set(nav))}"
    assert not set(nav) - there, f"take from `nav` in mkdocs.yml: {sorted(set(nav) - there)}"


def test_a_list_begins_after_an_empty_line() -> None:
    """GitHub does without it, the site would show a paragraph with dashes."""
    for path in DOCS.rglob("*.md"):
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for before, line in zip(text.splitlines(), text.splitlines()[1:], strict=False):
            begins = re.match(r"(- |\d+\. )\S", line) and before.strip()
            assert not begins or re.match(r"(- |\d+\. |#|\s|<!--)", before), f"{path.name}: {line}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml")]
    done = subprocess.run([*command, "-d", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_it_builds_without_a_warning(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert pages <= built


def test_it_fetches_nothing(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        fetched = re.findall(r'(?:<(?:script|img|iframe)[^>]*\ssrc|<link[^>]*\shref)="(https?:[^"]*)"', text)
        assert [address for address in fetched if "canonical" not in address] == [], path.name


def test_a_broken_link_would_be_a_warning(tmp_path: Path) -> None:
    """The settings do what they are there for."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A\n\n[to](#nowhere) and [to](gone.md)\n")
    (tmp_path / "docs" / "unlisted.md").write_text("# B\n")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text()) | {"nav": [{"Home": "index.md"}]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "mkdocs", "build", "-f", str(tmp_path / "mkdocs.yml")]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("WARNING") == 3
