"""Names, arguments and hooks on their way out: they work, warn, and say when they go.

Each is declared once, with the version that warns first and the version that has it no more. The
test suite fails from that version on, so that nothing outlives its notice.

Example, in a module that lost a function and renamed an argument::

    from hwnas_hls.deprecation import moved_names, renamed_argument

    __getattr__ = moved_names(__name__, {"old": "hwnas_hls.space:new"}, since="0.2", removal="0.4")

    @renamed_argument("rows", "n_rows", since="0.2", removal="0.4")
    def sample(n_rows): ...

and in the hook specifications::

    @hookspec(warn_on_impl=deprecated_hook("hwnas_old", "hwnas_new", since="0.2", removal="0.4"))
    def hwnas_old(): ...
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?.*")
#: Every deprecation declared by the modules imported so far.
DECLARED: list[Deprecation] = []


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Something that will be removed.

    Args:
        what: in full, for example ``hwnas_hls.space.old`` or ``argument rows of sample``.
        instead: what to write.
        since: version that warns first.
        removal: version that has it no more, at least one minor version later.
    """

    what: str
    instead: str
    since: str
    removal: str

    def __post_init__(self) -> None:
        if version(self.removal)[:2] <= version(self.since)[:2]:
            raise ValueError(
                f"{self.what}: it warns for one minor version at least, so it cannot be deprecated in "
                f"{self.since} and removed in {self.removal}"
            )

    def __str__(self) -> str:
        return (
            f"{self.what} is deprecated since hwnas-hls {self.since} and will be removed in "
            f"{self.removal}: use {self.instead}"
        )

    def due(self, at: str) -> bool:
        """Whether version ``at`` must not have it any more."""
        return version(at) >= version(self.removal)

    def warn(self, stacklevel: int = 2) -> None:
        """Issue the warning at the caller's caller, by default."""
        warnings.warn(str(self), DeprecationWarning, stacklevel=stacklevel + 1)


def version(text: str) -> tuple[int, int, int]:
    """``0.2`` or ``0.2.1.dev0`` -> (0, 2, 0) or (0, 2, 1).

    Raises:
        ValueError: it is no version.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a version: {text}")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def declare(what: str, instead: str, *, since: str, removal: str) -> Deprecation:
    """A deprecation that the test suite watches over."""
    found = Deprecation(what, instead, since, removal)
    DECLARED.append(found)
    return found


def deprecated(instead: str, *, since: str, removal: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator of a function that goes; every call warns."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        found = declare(
            f"{function.__module__}.{function.__qualname__}", instead, since=since, removal=removal
        )

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            found.warn()
            return function(*args, **kwargs)

        return call

    return decorate


def renamed_argument(
    old: str, new: str, *, since: str, removal: str
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator of a function whose keyword ``old`` is now called ``new``.

    Both at once is a TypeError, as with any argument given twice.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        name = f"{function.__module__}.{function.__qualname__}"
        found = declare(f"argument {old} of {name}", new, since=since, removal=removal)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> R:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(f"{name}() got {old} and {new}, which are the same argument")
                found.warn()
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


def moved_names(
    module: str, names: Mapping[str, str], *, since: str, removal: str
) -> Callable[[str], object]:
    """A module's ``__getattr__`` that finds its former names elsewhere.

    Args:
        names: former name -> ``module:name`` of what it is now.
    """
    found = {
        old: declare(f"{module}.{old}", place.replace(":", "."), since=since, removal=removal)
        for old, place in names.items()
    }

    def find(name: str) -> object:
        if name not in found:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        found[name].warn()
        place, _, new = names[name].partition(":")
        return getattr(importlib.import_module(place), new)

    return find


def deprecated_hook(hook: str, instead: str, *, since: str, removal: str) -> DeprecationWarning:
    """For ``hookspec(warn_on_impl=...)``; the registry adds which plugin it is."""
    return DeprecationWarning(str(declare(f"hook {hook}", instead, since=since, removal=removal)))
