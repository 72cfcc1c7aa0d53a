"""Search spaces: one table of knobs, from which everything else comes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from hwnas_hls.architecture import Architecture
from hwnas_hls.candidate import Candidate, Value
from hwnas_hls.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice a candidate makes.

    Args:
        name: unique in its space.
        choices: the values, in order where ``ordered``; empty for a continuous knob.
        ordered: neighbours in ``choices`` are alike (mutation prefers them, vectors keep the order).
        low, high: range of a continuous knob, both ends included.
        log: a continuous knob spread evenly in its logarithm.
        active_if: ``(other knob, values)``: this knob exists only where that one has such a
            value. The other knob stands earlier in the table.
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
            raise ValueError(f"knob {self.name} has either choices or a range (low, high)")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError(f"knob {self.name} is logarithmic and so starts above zero")

    @classmethod
    def integer(cls, name: str, low: int, high: int, step: int = 1, **more: object) -> Knob:
        """A knob over ``low, low+step, ..., high``."""
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
            return math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
        return low + position * (high - low)

    def position(self, value: Value) -> float:
        """Where ``value`` lies in [0, 1]: the middle of its share for a choice."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        low, high, number = float(self.low or 0.0), float(self.high or 0.0), float(value or 0.0)
        if self.log:
            return (math.log(number) - math.log(low)) / (math.log(high) - math.log(low))
        return (number - low) / (high - low) if high > low else 0.5

    def check(self, value: Value) -> None:
        """Raises UserError where ``value`` is not this knob's."""
        if self.choices:
            if value not in self.choices:
                raise UserError("not a value of this knob", where=self.name, found=value, choices=self.choices)
        elif not isinstance(value, int | float) or not float(self.low or 0) <= value <= float(self.high or 0):
            raise UserError(f"knob {self.name} lies in [{self.low}, {self.high}]", found=value)


@runtime_checkable
class Space(Protocol):
    """What a space plugin offers; ``name`` and a frozen ``Config`` stand on the class."""

    name: str

    @property
    def knobs(self) -> Sequence[Knob]: ...

    def sample(self, rng: np.random.Generator) -> Candidate: ...

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate: ...

    def crossover(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate: ...

    def encode(self, candidate: Candidate) -> NDArray[np.float64]: ...

    def decode(self, vector: NDArray[np.float64]) -> Candidate: ...

    def architecture(self, candidate: Candidate) -> Architecture: ...


class KnobSpace(ABC):
    """A space that is its table of knobs: inherit, give :attr:`knobs` and :meth:`architecture`.

    Example, a whole space::

        class Shallow(KnobSpace):
            name = "shallow"

            @dataclass(frozen=True)
            class Config:
                max_width: int = 32

            def __init__(self, config, task):
                self.knobs = (Knob.integer("width", 4, config.max_width, 4),)
                self.n_in, self.n_out = task.n_in, task.n_out

            def architecture(self, candidate):
                eight = FixedType(8, 3)
                hidden = Dense(self.n_in, candidate.values["width"], "relu", eight, eight)
                return Architecture(eight, (hidden, Dense(hidden.n_out, self.n_out, "linear", eight, eight)))
    """

    name: ClassVar[str]
    knobs: Sequence[Knob]

    #: Expected number of knobs that one mutation changes.
    mutated_knobs: ClassVar[float] = 1.5

    @abstractmethod
    def architecture(self, candidate: Candidate) -> Architecture:
        """The layer list that trainers, predictors and exporters share."""

    def repair(self, values: dict[str, Value]) -> dict[str, Value]:
        """Move values that do not go together to the nearest that do; the default keeps them."""
        return values

    def candidate(self, values: Mapping[str, Value]) -> Candidate:
        """A candidate from knob values: inactive ones are dropped, missing active ones refused.

        Raises:
            UserError: an active knob has no value or one that is not its own.
        """
        kept: dict[str, Value] = {}
        for knob in self.knobs:
            if knob.active(kept):
                if knob.name not in values:
                    raise UserError("a knob has no value", where=f"space {self.name}", found=knob.name)
                knob.check(values[knob.name])
                kept[knob.name] = values[knob.name]
        return Candidate(self.name, self.repair(kept))

    def sample(self, rng: np.random.Generator) -> Candidate:
        # Every knob is drawn, active or not, so that a draw's length does not depend on its outcome.
        return self.candidate({knob.name: knob.draw(rng) for knob in self.knobs})

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """A neighbour: each knob changes with the same small chance, at least one does.

        An ordered knob mostly moves to a neighbouring value, an unordered one anywhere else.
        """
        values: dict[str, Value] = {}
        changed = False
        active = [knob.name for knob in self.knobs if knob.name in candidate.values]
        forced = active[int(rng.integers(len(active)))]
        chance = self.mutated_knobs / max(len(active), 1)
        for knob in self.knobs:
            fresh = knob.draw(rng)
            if knob.name not in candidate.values:
                values[knob.name] = fresh
                continue
            values[knob.name] = candidate.values[knob.name]
            if rng.random() < chance or (knob.name == forced and not changed):
                values[knob.name] = self._neighbour(knob, candidate.values[knob.name], fresh, rng)
                changed = True
        return self.candidate(values)

    @staticmethod
    def _neighbour(knob: Knob, value: Value, fresh: Value, rng: np.random.Generator) -> Value:
        if knob.continuous:
            return knob.at(knob.position(value) + 0.1 * float(rng.standard_normal()))
        if len(knob.choices) == 1:
            return value
        place = knob.choices.index(value)
        if knob.ordered and rng.random() < 0.75:
            step = 1 if rng.random() < 0.5 else -1
            if not 0 <= place + step < len(knob.choices):
                step = -step
            return knob.choices[place + step]
        if fresh != value:
            return fresh
        return knob.choices[(place + 1 + int(rng.integers(len(knob.choices) - 1))) % len(knob.choices)]

    def crossover(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
        """A child that takes each knob from one parent at random (uniform crossover)."""
        values: dict[str, Value] = {}
        for knob in self.knobs:
            fresh = knob.draw(rng)
            first, second = (a, b) if rng.random() < 0.5 else (b, a)
            values[knob.name] = first.values.get(knob.name, second.values.get(knob.name, fresh))
        return self.candidate(values)

    def encode(self, candidate: Candidate) -> NDArray[np.float64]:
        """A float64 vector of fixed length: per knob one position in [0, 1] if ordered, one-hot
        otherwise; -1 (one-hot: all zero) where the knob is inactive."""
        import numpy as np

        parts: list[float] = []
        for knob in self.knobs:
            value = candidate.values.get(knob.name)
            present = knob.name in candidate.values
            if knob.continuous or knob.ordered:
                parts.append(knob.position(value) if present else -1.0)
            else:
                parts.extend(float(present and value == choice) for choice in knob.choices)
        return np.array(parts)

    def decode(self, vector: NDArray[np.float64]) -> Candidate:
        """The candidate nearest to a vector; ``decode(encode(c)) == c`` for finite knobs."""
        values: dict[str, Value] = {}
        place = 0
        for knob in self.knobs:
            if knob.continuous or knob.ordered:
                values[knob.name] = knob.at(float(vector[place]))
                place += 1
            else:
                values[knob.name] = knob.choices[int(vector[place : place + len(knob.choices)].argmax())]
                place += len(knob.choices)
        return self.candidate(values)
