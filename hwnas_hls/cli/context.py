"""The registry of the command that is running: built once, kept in click's context."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hwnas_hls.plugin.registry import Registry


def current_registry() -> Registry:
    """The plugins of the running command; outside of a command the installed ones.

    Commands of plugins may ask for it too.
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
