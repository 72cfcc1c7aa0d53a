"""Check the public attributes of a plugin against those that its kind declares."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hwnas_hls.protocols.plugin import Plugin

#: Minimum similarity of a misspelt name, by :class:`difflib.SequenceMatcher`.
_LIKE = 0.8
_MISSING = object()


class Mistake(StrEnum):
    """The kinds of attribute faults."""

    UNKNOWN = "unknown"
    MISSPELT = "misspelt"
    WRONG_TYPE = "wrong type"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class AttributeFault:
    """One faulty attribute of a plugin.

    Args:
        plugin: name of the plugin's class.
        attribute: name of the attribute.
        mistake: the kind of fault.
        meant: the declared name that it resembles; empty if none.
        expected: the declared type, for a wrong type; otherwise empty.
    """

    plugin: str
    attribute: str
    mistake: Mistake
    meant: str = ""
    expected: str = ""

    def __str__(self) -> str:
        if self.mistake is Mistake.MISSING:
            return (
                f"{self.plugin} has no attribute {self.attribute}, which every plugin of its kind must have"
            )
        if self.mistake is Mistake.WRONG_TYPE:
            return f"{self.plugin}.{self.attribute} is not of type {self.expected}"
        if self.mistake is Mistake.MISSPELT:
            return f"{self.plugin} has an unknown attribute {self.attribute}: did you mean {self.meant}?"
        return (
            f"{self.plugin} has an unknown public attribute {self.attribute}: "
            f"begin its name with an underscore"
        )


def attribute_faults(plugin: Plugin) -> list[AttributeFault]:
    """The faulty attributes of a plugin: unknown, misspelt, of the wrong type, or missing.

    Additional methods are allowed, and so are attributes set by the constructor, unless they resemble
    a declared name.
    """
    declared = _declared(type(plugin))
    own = _own(type(plugin))
    faults = [fault for name, value in own.items() if (fault := _fault(plugin, name, value, declared))]
    for name, value in _instance_attributes(plugin).items():
        meant = _meant(name, declared)
        if name not in own and meant and _same_type(value, declared[meant]):
            faults.append(AttributeFault(type(plugin).__name__, name, Mistake.MISSPELT, meant))
    faults += [
        AttributeFault(type(plugin).__name__, name, Mistake.MISSING)
        for name, default in declared.items()
        if default is _MISSING and not hasattr(plugin, name)
    ]
    return faults + list(_wrong_flags(plugin, declared))


def _fault(plugin: Plugin, name: str, value: object, declared: dict[str, object]) -> AttributeFault | None:
    cls = type(plugin).__name__
    if name in declared:
        return None
    if meant := _meant(name, declared):
        return AttributeFault(cls, name, Mistake.MISSPELT, meant)
    if inspect.isroutine(value) or isinstance(value, property) or inspect.isclass(value):
        return None
    return AttributeFault(cls, name, Mistake.UNKNOWN)


def _wrong_flags(plugin: Plugin, declared: dict[str, object]) -> Iterator[AttributeFault]:
    """Attributes whose type differs from that of the declared default."""
    for name, default in declared.items():
        kind = next((kind for kind in (bool, int, float, str) if isinstance(default, kind)), None)
        if kind is None:
            continue
        value = getattr(plugin, name)
        # In Python, bool is a subclass of int; an int is accepted for a float.
        kinds = (int, float) if kind is float else (kind,)
        if not isinstance(value, kinds) or isinstance(value, bool) != (kind is bool):
            yield AttributeFault(type(plugin).__name__, name, Mistake.WRONG_TYPE, expected=kind.__name__)


def _declared(cls: type) -> dict[str, object]:
    """Public names declared by the classes of :mod:`hwnas_hls.protocols`, with their defaults."""
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("hwnas_hls.protocols."):
            found |= dict.fromkeys(_public(inspect.get_annotations(base)), _MISSING)
            found |= _public(vars(base))
    return found


def _own(cls: type) -> dict[str, object]:
    """Public names that the plugin's own classes set."""
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__[:-1]):
        if not base.__module__.startswith("hwnas_hls.protocols."):
            found |= _public(vars(base))
    return found


def _instance_attributes(plugin: Plugin) -> dict[str, object]:
    return _public(vars(plugin)) if hasattr(plugin, "__dict__") else {}


def _public(names: Any) -> dict[str, object]:
    return {name: value for name, value in dict(names).items() if not name.startswith("_")}


def _meant(name: str, declared: dict[str, object]) -> str:
    """The declared name that ``name`` misspells; empty if it resembles none or is itself declared."""
    if name in declared:
        return ""
    # The most common mistakes are case and missing underscores.
    plain = {known.replace("_", "").lower(): known for known in declared}
    near = difflib.get_close_matches(name.replace("_", "").lower(), plain, n=1, cutoff=_LIKE)
    return plain[near[0]] if near else ""


def _same_type(value: object, default: object) -> bool:
    return default is not _MISSING and type(value) is type(default)
