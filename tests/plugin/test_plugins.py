"""The registry: broken plugins do no harm, clashes and misspellings are named."""

from __future__ import annotations

import subprocess
import sys
import types
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from installed_package import install
from refusal import expect_mentioned, refused

from hwnas_hls import hookimpl
from hwnas_hls.errors import ErrorKind
from hwnas_hls.plugin.offers import KINDS, FaultKind
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.testing import TinySpace
from hwnas_hls.values.candidate import Candidate

SPACE = """
from hwnas_hls import hookimpl
from hwnas_hls.testing import TinySpace
class Mine(TinySpace):
    "A stranger's space."
    name = "{name}"
@hookimpl
def hwnas_register_spaces():
    return [Mine]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_builtin_plugins_use_entry_point() -> None:
    registry = Registry()
    assert registry.faults == []
    for kind in ("space", "strategy", "estimator", "task", "exporter"):
        assert registry.offers(kind), kind
        for same in registry.offers(kind).values():
            assert same[0].plugin == "builtin"
            assert same[0].summary, f"{same[0].name} has no docstring"


def test_an_installed_plugin_package_is_found(site: Path) -> None:
    install(site, "stranger_one", SPACE.format(name="mine"), "stranger")
    offer = Registry().offer("space", "mine", "test")
    assert (offer.plugin, offer.package) == ("stranger", "stranger-one 1.0")


def test_plugin_that_raises_on_import_is_only_a_fault(site: Path) -> None:
    install(site, "breaks_one", "raise RuntimeError('no such luck')", "breaks")
    registry = Registry()
    assert [(fault.plugin, fault.kind) for fault in registry.faults] == [("breaks", FaultKind.NOT_LOADED)]
    expect_mentioned(registry.faults[0], ["no such luck"])
    assert "mlp" in registry.offers("space")


def test_plugin_that_exits_on_import_is_a_fault(site: Path) -> None:
    install(site, "exits_one", "import sys; sys.exit(3)", "exits")
    (fault,) = Registry().faults
    assert (fault.plugin, fault.kind) == ("exits", FaultKind.NOT_LOADED)
    expect_mentioned(fault, ["SystemExit"])


def test_a_misspelt_hook_is_named(site: Path) -> None:
    code = SPACE.format(name="mine2") + "\n@hookimpl\ndef hwnas_register_spacs():\n    return []\n"
    install(site, "misspelt_one", code, "misspelt")
    registry = Registry()
    (fault,) = registry.faults
    assert (fault.plugin, fault.kind) == ("misspelt", FaultKind.UNKNOWN_HOOK)
    assert fault.about == "hwnas_register_spacs"
    expect_mentioned(fault, ["hwnas_register_spaces"])
    assert registry.offer("space", "mine2", "test").plugin == "misspelt"


def test_an_argument_that_the_spec_lacks_is_refused(site: Path) -> None:
    code = "from hwnas_hls import hookimpl\n@hookimpl\ndef hwnas_run_started(run, folder): ...\n"
    install(site, "argues_one", code, "argues")
    (fault,) = Registry().faults
    assert (fault.plugin, fault.kind) == ("argues", FaultKind.REFUSED)
    expect_mentioned(fault, ["folder"])


def test_a_defaulted_argument_that_the_spec_lacks_is_a_fault() -> None:
    class Plugin:
        @hookimpl
        def hwnas_run_started(self, run: object, folder: object = None) -> None: ...

    registry = Registry(entry_points=[])
    registry.register(Plugin(), "defaults")
    (fault,) = registry.faults
    assert (fault.kind, fault.about) == (FaultKind.UNKNOWN_ARGUMENT, "folder")


def test_a_name_claimed_twice_is_an_error_only_when_asked_for(site: Path) -> None:
    install(site, "claims_one", SPACE.format(name="mlp"), "claims")
    registry = Registry()
    assert registry.faults == []
    assert registry.offer("space", "mlp", "test", is_default=True).plugin == "builtin"
    with refused(ErrorKind.AMBIGUOUS, found="mlp") as caught:
        registry.offer("space", "mlp", "test")
    builtin, claimed = caught.value.choices or ()
    assert builtin.startswith("builtin:mlp ")
    assert claimed == "claims:mlp (claims-one 1.0)"
    assert registry.offer("space", "claims:mlp", "test").plugin == "claims"


def test_unknown_name_lists_choices_and_near_ones() -> None:
    with refused(ErrorKind.UNKNOWN_NAME, near="nsga3"):
        Registry().offer("strategy", "nsga", "spec.toml: [strategy]")


def test_a_collecting_hook_that_raises_or_returns_rubbish_is_a_fault() -> None:
    class Raises:
        @hookimpl
        def hwnas_register_tasks(self) -> list[type]:
            raise OSError("disk on fire")

    class Rubbish:
        @hookimpl
        def hwnas_register_tasks(self) -> list[object]:
            return ["not a class", type("Nameless", (), {})]

    registry = Registry(entry_points=[])
    registry.register(Raises(), "raises")
    registry.register(Rubbish(), "rubbish")
    assert registry.offers("task") == {}
    assert [(fault.plugin, fault.kind) for fault in registry.faults] == [
        ("raises", FaultKind.HOOK_FAILED),
        ("rubbish", FaultKind.WRONG_OFFER),
        ("rubbish", FaultKind.WRONG_OFFER),
    ]


def test_a_notified_plugin_that_raises_does_not_stop_the_others() -> None:
    heard = []

    class Raises:
        @hookimpl
        def hwnas_run_started(self, run: object) -> None:
            raise ValueError("no")

    class Hears:
        @hookimpl
        def hwnas_run_started(self, run: object) -> None:
            heard.append(run)

    registry = Registry(entry_points=[])
    registry.register(Raises(), "a")
    registry.register(Hears(), "b")
    registry.call_each("hwnas_run_started", run={"name": "x"})
    assert heard == [{"name": "x"}]
    (fault,) = registry.faults
    assert (fault.plugin, fault.kind, fault.about) == ("a", FaultKind.HOOK_FAILED, "hwnas_run_started")
    expect_mentioned(fault, ["ValueError: no"])


def test_constructors_get_what_they_name_and_nothing_else() -> None:
    class Takes(TinySpace):
        name = "takes"

        @dataclass(frozen=True)
        class Config:
            size: int = 3

        def __init__(self, config: Config, seed: int) -> None:
            self.size, self.seed = config.size, seed

    class Wants(TinySpace):
        name = "wants"

        def __init__(self, moon: object) -> None: ...

    plugin = types.SimpleNamespace(
        hwnas_register_spaces=hookimpl(lambda: [Takes, Wants], specname="hwnas_register_spaces")
    )
    registry = Registry(entry_points=[])
    registry.register(plugin, "p")
    takes = registry.build(registry.offer("space", "takes", "t"), {"size": 5}, "t", seed=1, task=None)
    assert (takes.size, takes.seed) == (5, 1)
    with refused(ErrorKind.UNKNOWN_NAME, found="sise", near="size"):
        registry.build(registry.offer("space", "takes", "t"), {"sise": 5}, "t", seed=1)
    with refused(ErrorKind.UNKNOWN_NAME, found="moon"):
        registry.build(registry.offer("space", "wants", "t"), {}, "t", seed=1)


def test_loading_every_plugin_imports_no_heavy_package() -> None:
    heavy = ("torch", "hls4ml", "optuna", "sklearn", "pandas", "plotly", "da4ml")
    code = (
        "import sys, hwnas_hls.cli.main; from hwnas_hls.plugin.registry import Registry; r = Registry();"
        f"[r.offers(k) for k in {KINDS!r}]; r.targets();"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_entry_points_are_those_of_the_installed_distribution() -> None:
    points = {point.name: point.value for point in metadata.entry_points(group="hwnas_hls")}
    assert points["builtin"] == "hwnas_hls_plugins"


def test_class_without_base_class_is_refused_by_name() -> None:
    class Duck:
        """Walks like a space."""

        name = "duck"

    class Half(Strategy):
        """Leaves methods out."""

        name = "half"

        def ask(self, n: int) -> list[Candidate]:
            return []

    plugin = types.SimpleNamespace(
        hwnas_register_spaces=hookimpl(lambda: [Duck], specname="hwnas_register_spaces"),
        hwnas_register_strategies=hookimpl(lambda: [Half], specname="hwnas_register_strategies"),
    )
    registry = Registry(entry_points=[])
    registry.register(plugin, "pond")
    assert registry.offers("space") == registry.offers("strategy") == {}
    duck, half = (str(fault) for fault in registry.faults)
    assert "plugin pond" in duck
    assert "class Duck(Space)" in duck
    assert "restore, state, tell" in half
