"""Candidates: one setting of the knobs of a space, identified by a hash of its values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Value = bool | int | float | str | None
#: Name of the space of candidates that are outside the space of their run; their architecture is in them.
GIVEN = "given"


def digest(data: object) -> str:
    """A hash of JSON-able ``data``, 16 hexadecimal digits, the same in every process."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One setting of the knobs of a space.

    Args:
        space: name of the space.
        values: knob name -> value of each active knob.
    """

    space: str
    values: Mapping[str, Value]
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "key", digest([self.space, dict(self.values)]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candidate) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def knobs(self) -> Mapping[str, Value]:
        """The values that are knobs of the run's space: none for a candidate outside it."""
        return {} if self.space == GIVEN else self.values

    def to_json(self) -> dict[str, Any]:
        return {"space": self.space, "values": dict(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        return cls(data["space"], data["values"])
