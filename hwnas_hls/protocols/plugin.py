"""The base classes of all six kinds of plugin: name, configuration, isolation."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Any, ClassVar


def silent(words: str) -> None:
    """The default of every ``progress``: reports nothing."""


@dataclass(frozen=True)
class NoConfig:
    """The configuration of a plugin without settings."""


class Plugin(ABC):
    """Base class of everything that a plugin registers; inherit from the class of its kind.

    Each kind declares its attributes with their defaults. ``hwnas-hls plugins --check`` and the
    contract tests reject any other public class attribute, which catches misspelt flags; begin the
    names of your own attributes with an underscore.
    """

    #: Its name in a spec: plain text without a colon.
    name: ClassVar[str]
    #: A frozen dataclass; its fields are the keys of the plugin's table in the spec.
    Config: ClassVar[type] = NoConfig
    #: The configuration of the instance. A constructor that takes ``config`` should store it here; the
    #: keys of cached results then include the defaults.
    config: Any = None

    def __init__(self, config: Any = None) -> None:
        """The constructor of a class that needs nothing but its configuration."""
        self.config = self.Config() if config is None else config


class Isolatable(Plugin):
    """A plugin that can run in a separate process: an estimator or synthesizer.

    A crash, a hang or excessive memory use then fails one call instead of the run; see
    :mod:`hwnas_hls.plugin.isolation`.
    """

    #: Whether it runs in a separate process.
    isolated: bool = False
    #: Limit of the address space of that process, in MB.
    memory_limit_mb: int = 4096
    #: Time limit of one call, in seconds.
    time_limit_s: float = 600.0
