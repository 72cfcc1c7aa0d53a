"""Every command builds the plugin registry once and finds it in click's context."""

from __future__ import annotations

import click
import pytest

from hwnas_hls import hookimpl
from hwnas_hls.cli.context import current_registry
from hwnas_hls.cli.main import cli, invoke
from hwnas_hls.plugin.registry import Registry


class Counts:
    """Adds a command that keeps the registry it is given."""

    def __init__(self) -> None:
        self.met: list[Registry] = []

    @hookimpl
    def hwnas_register_commands(self, cli: click.Group) -> None:
        cli.add_command(click.Command("keep", callback=lambda: self.met.append(current_registry())))


def test_command_uses_the_registry_that_was_built_for_it() -> None:
    plugin, built = Counts(), []

    def make() -> Registry:
        registry = Registry(entry_points=[])
        registry.register(plugin, "counts")
        built.append(registry)
        return registry

    assert invoke(["keep"], make) == 0
    assert len(built) == 1
    assert plugin.met == built
    assert "keep" not in cli.commands, "a plugin's command belongs to that call alone"


@pytest.mark.parametrize("command", [["targets"], ["plugins", "--json"]])
def test_installed_plugins_are_loaded_once(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    begin = Registry.__init__

    def counted(self: Registry, *arguments: object) -> None:
        built.append(self)
        begin(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Registry, "__init__", counted)
    assert invoke(command) == 0
    assert len(built) == 1
