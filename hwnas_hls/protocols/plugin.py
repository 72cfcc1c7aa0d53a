"""What the classes of all six kinds of plugin share: a name, a configuration, and where they run."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class NoConfig:
    """The configuration of a class that has none."""


class Plugin(ABC):
    """The base of every class that a plugin registers; inherit from the class of its kind.

    Each kind declares its attributes with their defaults. A public class attribute that neither the
    kind nor this class declares is refused by ``hwnas-hls plugins --check`` and by the contract
    tests, so that a misspelt flag is found; begin the names of your own with an underscore.
    """

    #: The name under which a spec asks for it: plain text without a colon.
    name: ClassVar[str]
    #: A frozen dataclass; its fields are the keys of the plugin's table in the spec.
    Config: ClassVar[type] = NoConfig
    #: The configuration it was built from. A constructor that takes ``config`` should keep it here:
    #: the keys of cached results then name every default too.
    config: Any = None

    def __init__(self, config: Any = None) -> None:
        """The constructor of a class that needs nothing but its configuration."""
        self.config = self.Config() if config is None else config


class Isolatable(Plugin):
    """A plugin that may ask for a process of its own: estimators and synthesizers.

    A crash, a hang or too much memory then fails one call and not the run; see
    :mod:`hwnas_hls.plugin.isolation`.
    """

    #: Whether it runs in a process of its own.
    isolated: bool = False
    #: Address space of that process, in MB.
    memory_limit_mb: int = 4096
    #: Seconds that one call may take.
    time_limit_s: float = 600.0
