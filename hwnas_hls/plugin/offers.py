"""What plugins offer, and what can be wrong with them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import UserError
from hwnas_hls.plugin.faults import in_words

if TYPE_CHECKING:
    from hwnas_hls.protocols.plugin import Plugin

BUILTIN = "builtin"
#: kind of plugin -> the hook that collects it
COLLECTED = {
    "space": "hwnas_register_spaces",
    "strategy": "hwnas_register_strategies",
    "estimator": "hwnas_register_estimators",
    "task": "hwnas_register_tasks",
    "synthesizer": "hwnas_register_synthesizers",
    "exporter": "hwnas_register_exporters",
}
KINDS = tuple(COLLECTED)


class FaultKind(StrEnum):
    """What is wrong with a plugin."""

    #: Another package uses its entry point name.
    NAME_TAKEN = "name taken"
    #: Its module raised while it was imported.
    NOT_LOADED = "not loaded"
    #: pluggy takes none of its hooks.
    REFUSED = "refused"
    #: A hook of a name that does not exist.
    UNKNOWN_HOOK = "unknown hook"
    #: A hook with an argument that its specification does not have.
    UNKNOWN_ARGUMENT = "unknown argument"
    #: What a collecting hook returned is no plugin class of its kind.
    WRONG_OFFER = "wrong offer"
    #: A hook raised.
    HOOK_FAILED = "hook failed"
    #: A target file that cannot be used.
    TARGET_FILE = "target file"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a plugin; the rest of the tool works without it.

    Args:
        plugin: its entry point name.
        kind: what is wrong; programs look at this.
        problem: the same in words.
        about: the hook or argument that is wrong; empty for the plugin as a whole.
    """

    plugin: str
    kind: FaultKind
    problem: str
    about: str = ""

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Offer:
    """One class that a plugin offers.

    Args:
        kind: one of :data:`KINDS`.
        name: its name in a spec.
        plugin: name of the entry point; ``plugin:name`` is unambiguous.
        package: distribution and version that provides it.
        cls: the class.
    """

    kind: str
    name: str
    plugin: str
    package: str
    cls: type[Plugin]

    @property
    def qualified(self) -> str:
        return f"{self.plugin}:{self.name}"

    @property
    def config(self) -> type:
        return self.cls.Config

    @property
    def summary(self) -> str:
        """The first sentence of the docstring of its class, without the marks of reStructuredText."""
        paragraph = (inspect.getdoc(self.cls) or "").split("\n\n", 1)[0]
        sentence = re.split(r"(?<=[.!?])\s", " ".join(paragraph.split()), maxsplit=1)[0]
        return re.sub(r":\w+:`~?([^`]*)`", r"\1", sentence).replace("``", "")


def construct(cls: Callable[..., Any], what: str, **available: object) -> Any:
    """Call ``cls`` with the arguments in ``available`` that its signature names.

    Raises:
        UserError: it takes an argument that is not available.
    """
    chosen: dict[str, object] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            return cls(**available)
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if name in available:
            chosen[name] = available[name]
        elif parameter.default is parameter.empty:
            raise UserError(f"{what} takes an unknown argument", found=name, choices=sorted(available))
    return cls(**chosen)


def base_class(kind: str) -> type[Plugin]:
    """The class that plugins of a kind inherit from: ``Space`` of ``hwnas_hls.protocols.space``, ...

    It is imported when the first plugin is asked for, so that the command line starts fast.
    """
    module = importlib.import_module(f"hwnas_hls.protocols.{kind}")
    found: type[Plugin] = getattr(module, kind.capitalize())
    return found


def offer_problem(kind: str, cls: object) -> str:
    """Why ``cls`` is not a plugin class of this kind; empty if it is."""
    base = base_class(kind)
    if not isinstance(cls, type):
        return f"not a class but an object of type {type(cls).__name__}; return the class itself"
    if not issubclass(cls, base):
        return (
            f"{cls.__name__} does not inherit from {base.__module__}.{base.__name__}: "
            f"write class {cls.__name__}({base.__name__})"
        )
    if missing := sorted(cls.__abstractmethods__):
        return f"{cls.__name__} lacks {', '.join(missing)}, which every {base.__name__} must have"
    name = cls.name if hasattr(cls, "name") else None
    if not isinstance(name, str) or not name or ":" in name or name != name.strip():
        return f"its name is {name!r}; it must be a string without a colon and without spaces at its ends"
    if not dataclasses.is_dataclass(cls.Config):
        return f"its Config is {cls.Config!r}; it must be a dataclass: write @dataclass(frozen=True)"
    return ""


def short(error: BaseException) -> str:
    """What was raised, in one line of at most 300 characters."""
    return " ".join(in_words(error).split())[:300]
