"""Knobs: the choices that a search makes, each with its values, condition and meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.errors import UserError
from hwnas_hls.values.candidate import Value

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice of a candidate.

    Args:
        name: unique in the space.
        choices: its values, in order if ``ordered``; empty for a continuous knob.
        ordered: whether neighbours in ``choices`` are similar (for mutation and vectors).
        low, high: range of a continuous knob, inclusive.
        log: whether a continuous knob is sampled logarithmically.
        active_if: ``(other knob, values)``: this knob exists only if the other one has one of these
            values. The other knob must precede it in the table.
        doc: one sentence for the documentation and the report.
    """

    name: str
    choices: tuple[Value, ...] = ()
    ordered: bool = True
    low: float | None = None
    high: float | None = None
    log: bool = False
    active_if: tuple[str, tuple[Value, ...]] | None = None
    doc: str = ""

    def __post_init__(self) -> None:
        if bool(self.choices) == (self.low is not None and self.high is not None):
            raise ValueError(f"knob {self.name} needs either choices or a range (low, high)")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError(f"knob {self.name} has duplicate choices")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError(f"knob {self.name} is logarithmic, so low must be above zero")

    @classmethod
    def integer(cls, name: str, low: int, high: int, step: int = 1, **more: object) -> Knob:
        """An integer knob with the choices ``low, low+step, ..., high``."""
        return cls(name, tuple(range(low, high + 1, step)), **more)  # type: ignore[arg-type]

    @property
    def continuous(self) -> bool:
        return not self.choices

    def active(self, values: Mapping[str, Value]) -> bool:
        if self.active_if is None:
            return True
        other, allowed = self.active_if
        return other in values and values[other] in allowed

    def draw(self, rng: np.random.Generator) -> Value:
        return self.at(float(rng.random()))

    def at(self, position: float) -> Value:
        """The value at ``position`` in [0, 1]; inverse of :meth:`position` up to its resolution."""
        position = min(max(position, 0.0), 1.0)
        if self.choices:
            return self.choices[min(int(position * len(self.choices)), len(self.choices) - 1)]
        low, high = float(self.low or 0.0), float(self.high or 0.0)
        if self.log:
            return self.canonical(math.exp(math.log(low) + position * (math.log(high) - math.log(low))))
        return self.canonical(low + position * (high - low))

    def canonical(self, value: Value) -> Value:
        """The canonical form of ``value``: the choice it equals, or nine significant digits.

        Otherwise ``8`` and ``8.0``, or a real number and its decoded vector, would give two candidates
        with different keys.
        """
        if self.choices:
            return self.choices[self.choices.index(value)]
        return min(max(float(f"{float(value or 0.0):.9g}"), float(self.low or 0.0)), float(self.high or 0.0))

    def position(self, value: Value) -> float:
        """The position of ``value`` in [0, 1]; for a choice, the middle of its interval."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        low, high, number = float(self.low or 0.0), float(self.high or 0.0), float(value or 0.0)
        if self.log:
            return (math.log(number) - math.log(low)) / (math.log(high) - math.log(low))
        return (number - low) / (high - low) if high > low else 0.5

    def check(self, value: Value) -> None:
        """Raise UserError if ``value`` is not a value of this knob."""
        if self.choices:
            if value not in self.choices:
                raise UserError(
                    "not a value of this knob", where=self.name, found=value, choices=self.choices
                )
        elif not isinstance(value, int | float) or not float(self.low or 0) <= value <= float(self.high or 0):
            raise UserError(f"a value of knob {self.name} must be in [{self.low}, {self.high}]", found=value)
