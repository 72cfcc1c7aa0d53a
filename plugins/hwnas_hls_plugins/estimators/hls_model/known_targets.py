"""The targets of ``predict`` and ``calibrate``, including those of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas_hls.protocols.target import Targets


def known_targets() -> Targets:
    """The shipped target files and those of plugins."""
    from hwnas_hls.cli.context import current_registry
    from hwnas_hls.protocols.target import Targets

    return Targets(current_registry().targets())
