"""The plugin registry of the running command: built once, stored in click's context."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hwnas_hls.plugin.registry import Registry


def current_registry() -> Registry:
    """The registry of the running command; outside a command, the installed plugins.

    Commands of plugins may call it too.
    """
    from hwnas_hls.plugin.registry import Registry

    context = click.get_current_context(silent=True)
    if context is None:
        return Registry()
    root = context.find_root()
    if root.obj is None:
        root.obj = Registry()
    registry: Registry = root.obj
    return registry
