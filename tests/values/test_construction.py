"""Quickly made objects are like those of a plain frozen dataclass."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field

import pytest

from hwnas_hls.construction import quickly_made


@dataclass(frozen=True, slots=True)
class Plain:
    """An object."""

    first: int
    second: str = "two"
    kind: str = field(default="fixed", init=False)
    _seen: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError(self.first)
        object.__setattr__(self, "_seen", self.first + 1)


@quickly_made
@dataclass(frozen=True, slots=True)
class Quick:
    """The same."""

    first: int
    second: str = "two"
    kind: str = field(default="fixed", init=False)
    _seen: int = field(init=False, compare=False, repr=False)

    __post_init__ = Plain.__post_init__


class Heir(Quick):
    """A subclass with attributes of its own."""

    def third(self) -> int:
        return self.first + 2


@pytest.mark.parametrize("given", [((1,), {}), ((1, "b"), {}), ((), {"second": "b", "first": 3})])
def test_objects_are_those_of_the_plain_class(given: tuple[tuple[int], dict[str, str]]) -> None:
    plain, quick = Plain(*given[0], **given[1]), Quick(*given[0], **given[1])
    assert dataclasses.astuple(quick) == dataclasses.astuple(plain)
    assert repr(quick) == repr(plain).replace("Plain", "Quick")
    assert type(quick) is Quick
    assert hash(quick) == hash(plain)
    assert pickle.loads(pickle.dumps(quick)) == quick  # noqa: S301
    assert dataclasses.replace(quick, first=7) == Quick(7, quick.second)
    assert inspect.signature(Quick) == inspect.signature(Plain)


def test_objects_are_frozen() -> None:
    quick = Quick(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        quick.first = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del quick.first
    assert quick.first == 1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        Quick(-1)
    with pytest.raises(TypeError):
        Quick()  # type: ignore[call-arg]


def test_an_object_of_a_subclass_stays_one() -> None:
    heir = Heir(1, second="b")
    assert type(heir) is Heir
    assert (heir.third(), heir.second, heir.kind) == (3, "b", "fixed")
    with pytest.raises(dataclasses.FrozenInstanceError):
        heir.first = 2  # type: ignore[misc]
