"""A plugin built from its configuration, with what identifies both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class ConfiguredPlugin:
    """A plugin instance and the configuration that it was built from.

    Args:
        name: under which the spec asks for it.
        instance: the space, strategy, estimator or synthesizer itself.
        config: every setting, defaults included where the plugin keeps its ``config``.
        provider: the Python package that registered it.
    """

    name: str
    instance: Any
    config: Mapping[str, Any]
    provider: str
