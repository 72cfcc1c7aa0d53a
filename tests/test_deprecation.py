"""What is on its way out warns with its version of removal, and nothing outlives it."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator

import click.testing
import pluggy
import pytest

import hwnas_hls
import hwnas_hls_plugins
from hwnas_hls import hookimpl, hookspecs, inspection
from hwnas_hls.deprecation import (
    DECLARED,
    Deprecation,
    deprecated,
    deprecated_hook,
    moved_names,
    renamed_argument,
    version,
)
from hwnas_hls.plugins import Registry

WHEN = {"since": "0.2", "removal": "0.4"}


@pytest.fixture
def declared() -> Iterator[None]:
    """Examples of these tests are no deprecations of the package."""
    before = list(DECLARED)
    yield
    DECLARED[:] = before


def test_nothing_outlives_its_removal() -> None:
    for package in (hwnas_hls, hwnas_hls_plugins):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    late = [str(found) for found in DECLARED if found.due(hwnas_hls.__version__)]
    assert not late, f"remove: {late}"


def test_due_from_the_version_of_removal_on() -> None:
    found = Deprecation("x", "y", "0.2", "0.4")
    assert not found.due("0.1.0")
    assert not found.due("0.3.9")
    assert found.due("0.4.0")
    assert found.due("0.4.0.dev1")
    assert found.due("1.0")
    assert (version("0.10") > version("0.9.3"), version("1.2.3")) == (True, (1, 2, 3))


@pytest.mark.parametrize(("since", "removal"), [("0.2", "0.2.5"), ("0.4", "0.3"), ("0.2", "soon")])
def test_a_notice_lasts_a_minor_version(since: str, removal: str) -> None:
    with pytest.raises(ValueError, match=r"one minor version|not a version"):
        Deprecation("x", "y", since, removal)


@pytest.mark.usefixtures("declared")
def test_functions_arguments_and_names() -> None:
    @deprecated("new_way", **WHEN)
    def old_way(x: int) -> int:
        return 2 * x

    @renamed_argument("rows", "n_rows", **WHEN)
    def sample(n_rows: int = 1) -> int:
        return n_rows

    said = r"old_way is deprecated since hwnas-hls 0.2 and will be removed in 0.4: use new_way"
    with pytest.warns(DeprecationWarning, match=said) as caught:
        assert old_way(3) == 6
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=r"argument rows of .*sample is deprecated.*use n_rows"):
        assert sample(rows=5) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sample(n_rows=4) == 4
    with pytest.raises(TypeError, match="the same argument"):
        sample(rows=1, n_rows=2)
    find = moved_names("here", {"Old": "hwnas_hls.precision:FixedType"}, **WHEN)
    with pytest.warns(DeprecationWarning, match=r"here.Old is deprecated.*use hwnas_hls.precision.FixedType"):
        assert find("Old").__name__ == "FixedType"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="Older"):
        find("Older")
    assert [found.what.rpartition(".")[2] for found in DECLARED[-3:]] == ["old_way", "sample", "Old"]


@pytest.mark.usefixtures("declared")
def test_a_plugin_with_a_deprecated_hook_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    marker = pluggy.HookspecMarker(hookspecs.PROJECT)

    @marker(warn_on_impl=deprecated_hook("hwnas_old", "hwnas_run_started", **WHEN))
    def hwnas_old() -> None: ...

    monkeypatch.setattr(hookspecs, "hwnas_old", hwnas_old, raising=False)

    class Plugin:
        @hookimpl
        def hwnas_old(self) -> None: ...

    registry = Registry(entry_points=[])
    with pytest.warns(
        DeprecationWarning, match=r"plugin mine: .*hook hwnas_old is deprecated.*removed in 0.4"
    ):
        registry.register(Plugin(), "mine")
    assert registry.faults == []
    assert [notice.plugin for notice in registry.notices] == ["mine"]
    monkeypatch.setattr("hwnas_hls.plugins.Registry", lambda: registry)
    done = click.testing.CliRunner().invoke(inspection.plugins, [], standalone_mode=False)
    assert "DEPRECATED plugin mine: registered in this process: hook hwnas_old" in done.output
    assert done.return_value == 0
    declaration = DECLARED[-1]
    assert (declaration.what, declaration.instead) == ("hook hwnas_old", "hwnas_run_started")
    assert declaration.due("0.4")
