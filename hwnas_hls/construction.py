"""Faster construction of frozen dataclasses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

_T = TypeVar("_T")


def quickly_made(cls: type[_T]) -> type[_T]:
    """Make the objects of a frozen dataclass about four times as fast.

    It stands above ``@dataclass(frozen=True, slots=True)`` of classes with many objects, and changes nothing
    else. The ``__init__`` of a frozen dataclass sets each field by a call, because assignments are refused.
    This one makes the new object an instance of a twin that allows them until all fields are set. Fields with
    factories and keyword-only fields are not supported.
    """
    # Both names: Python uses its fast assignment only where neither is overridden.
    allowed = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    known: dict[str, Any] = {
        "frozen": cls,
        "twin": type(cls.__name__, (cls,), allowed),
        "turn": object.__setattr__,
        "slow": cls.__init__,
    }
    parameters, given, body = ["self"], ["self"], ["turn(self, '__class__', twin)"]
    for each in fields(cls):  # type: ignore[arg-type]
        has_default = each.default is not MISSING
        known[f"default_{each.name}"] = each.default
        if each.init:
            parameters.append(f"{each.name}=default_{each.name}" if has_default else each.name)
            given.append(each.name)
        if each.init or has_default:
            body.append(f"self.{each.name} = {each.name if each.init else f'default_{each.name}'}")
    body.append("self.__class__ = frozen")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    lines = [
        f"def __init__({', '.join(parameters)}):",
        # A subclass has no such twin.
        f" if self.__class__ is not frozen: return slow({', '.join(given)})",
        *(f" {line}" for line in body),
    ]
    exec("\n".join(lines), known)  # noqa: S102 - as ``dataclass`` does
    made: Callable[..., None] = known["__init__"]
    cls.__init__ = functools.wraps(cls.__init__)(made)  # type: ignore[method-assign]
    return cls
