"""A plugin instance together with its name and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class ConfiguredPlugin:
    """A plugin instance and its configuration.

    Args:
        name: its name in the spec.
        instance: the space, strategy, estimator or synthesizer itself.
        config: its settings, including defaults if the plugin stores its ``config``.
        provider: the Python package that registered it.
    """

    name: str
    instance: Any
    config: Mapping[str, Any]
    provider: str
