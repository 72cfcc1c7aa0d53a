"""docs/architecture.md names the packages in the order of the import contract, and modules that exist."""

from __future__ import annotations

import re
import tomllib

from places import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_ENGINE, _PLUGINS = ROOT / "hwnas_hls", ROOT / "plugins" / "hwnas_hls_plugins"


def test_picture_shows_the_layers_of_the_import_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [re.split(r"\s*[|:]\s*", layer) for layer in contract["layers"]]
    picture = PAGE.partition("  ---")[2].partition("```")[0]
    drawn = [line[:30].split() for line in picture.splitlines()[1:] if line.strip()]
    assert [sorted(line) for line in drawn] == [sorted(layer) for layer in layers]


def test_named_modules_exist() -> None:
    packages = {path.name for top in (_ENGINE, _PLUGINS) for path in top.iterdir() if path.is_dir()}
    named = set(re.findall(r"\b[a-z_0-9]+(?:\.[a-z_0-9]+)+\b", PAGE)) - {"spec.toml", "run.sqlite"}
    # A link to estimators.md names a page, no module.
    modules = [name for name in named if name.partition(".")[0] in packages and not name.endswith(".md")]
    assert len(modules) > 20
    for name in modules:
        path = name.replace(".", "/")
        there = [top / f"{path}{end}" for top in (_ENGINE, _PLUGINS) for end in (".py", "/__init__.py")]
        assert any(each.is_file() for each in there), name
