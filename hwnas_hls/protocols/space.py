"""Search spaces: one table of knobs, from which everything else comes.

Sampling, mutation, crossover, vectors (:class:`KnobSpace`), enumeration (:func:`lattice`) and
documentation are all read off the same :class:`Knob` entries.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.protocols.knob import Knob
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.values.candidate import Candidate, Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


__all__ = ["Knob", "KnobSpace", "Space", "assemble", "knobs_of", "lattice", "settings"]

#: Attempts at a changed candidate before a mutation gives way to a fresh sample.
_TRIES = 20


class Space(Plugin):
    """What may be built; inherit from :class:`KnobSpace` where a table of knobs describes it.

    The constructor takes, by name, any of ``config task target clock_ns synthesizer``.
    """

    #: The choices that a candidate makes, in order; empty where the space describes itself otherwise.
    knobs: Sequence[Knob] = ()

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Candidate:
        """A random candidate; equal generators give equal candidates."""

    @abstractmethod
    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """A candidate near the given one, and another than it."""

    @abstractmethod
    def crossover(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
        """A child of two candidates."""

    @abstractmethod
    def encode(self, candidate: Candidate) -> NDArray[np.float64]:
        """A vector, float64 (length,), of one length for the whole space; for model-based strategies."""

    @abstractmethod
    def decode(self, vector: NDArray[np.float64]) -> Candidate:
        """The candidate nearest to a vector; ``decode(encode(c)) == c``."""

    @abstractmethod
    def architecture(self, candidate: Candidate) -> Architecture:
        """The layer list that trainers, predictors and exporters share."""

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        """The candidates that one training can serve together with this one, itself among them.

        None where a training serves nobody else, as by default.
        """
        return ()


class KnobSpace(Space):
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

    #: Name of the knob whose values one training can serve together; empty where there is none.
    ladder: str = ""

    #: Expected number of knobs that one mutation changes.
    mutated_knobs: ClassVar[float] = 1.5

    def repair(self, values: dict[str, Value]) -> dict[str, Value]:
        """Move values that do not go together to the nearest that do; the default keeps them.

        Args:
            values: of the active knobs; may be changed in place. Knobs that the repair switches
                on must get a value; those that it switches off may stay and are dropped.

        Returns:
            Values of which the repair would change nothing any more.
        """
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
                    raise UserError(
                        "a knob has no value",
                        where=f"space {self.name}",
                        found=knob.name,
                        kind=ErrorKind.MISSING,
                    )
                knob.check(values[knob.name])
                kept[knob.name] = knob.canonical(values[knob.name])
        repaired = self.repair(dict(kept))
        if repaired == kept:
            return Candidate(self.name, kept)
        # A repair may switch knobs off, and gives values to those that it switches on.
        kept = {}
        for knob in self.knobs:
            if knob.active(kept):
                knob.check(repaired[knob.name])
                kept[knob.name] = repaired[knob.name]
        return Candidate(self.name, kept)

    def siblings(self, candidate: Candidate) -> tuple[Candidate, ...]:
        """The candidates that differ from ``candidate`` only in the knob :attr:`ladder`, itself among them.

        In the order of the knob's choices; none where the candidate does not have the knob.
        """
        if not self.ladder or self.ladder not in candidate.values:
            return ()
        knob = next(knob for knob in self.knobs if knob.name == self.ladder)
        found = [self.candidate({**candidate.values, knob.name: choice}) for choice in knob.choices]
        return tuple(found) if candidate in found and len(set(found)) == len(found) else ()

    def sample(self, rng: np.random.Generator) -> Candidate:
        # Every knob is drawn, active or not, so that a draw's length does not depend on its outcome.
        return self.candidate({knob.name: knob.draw(rng) for knob in self.knobs})

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """A neighbour: each knob changes with the same small chance, at least one does.

        An ordered knob mostly moves to a neighbouring value, an unordered one anywhere else.
        The result differs from ``candidate`` unless the space holds nothing else.
        """
        child = candidate
        for _ in range(_TRIES):
            child = self._mutated(candidate, rng)
            if child != candidate:
                return child
        for _ in range(_TRIES):
            child = self.sample(rng)
            if child != candidate:
                break
        return child

    def _mutated(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        values: dict[str, Value] = {}
        active = [knob for knob in self.knobs if knob.name in candidate.values and len(knob.choices) != 1]
        forced = active[int(rng.integers(len(active)))].name if active else ""
        chance = self.mutated_knobs / max(len(active), 1)
        for knob in self.knobs:
            fresh = knob.draw(rng)
            if knob.name not in candidate.values:
                values[knob.name] = fresh
                continue
            values[knob.name] = candidate.values[knob.name]
            if knob.name == forced or rng.random() < chance:
                values[knob.name] = self._neighbour(knob, candidate.values[knob.name], fresh, rng)
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
        """The candidate nearest to a vector; ``decode(encode(c)) == c``."""
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


def knobs_of(space: Space) -> tuple[Knob, ...]:
    """The knobs of any space that is a table of :class:`Knob`; none where it describes itself otherwise."""
    knobs = tuple(space.knobs)
    return knobs if all(isinstance(knob, Knob) for knob in knobs) else ()


def assemble(space: Space, values: Mapping[str, Value]) -> Candidate:
    """The candidate of ``space`` with these knob values; values of inactive knobs are ignored.

    Works for every :class:`Space`: one that is no :class:`KnobSpace` gets to repair the values
    by a round trip through its vector.
    """
    if isinstance(space, KnobSpace):
        return space.candidate(values)
    kept: dict[str, Value] = {}
    for knob in space.knobs:
        if knob.active(kept):
            kept[knob.name] = knob.canonical(values[knob.name])
    return space.decode(space.encode(Candidate(space.name, kept)))


def settings(space: Space) -> Iterator[dict[str, Value]]:
    """Every setting of the active knobs of a finite space once, the last knob turning fastest.

    Inactive knobs do not multiply settings; two settings may still be repaired into one candidate.

    Raises:
        UserError: a knob is continuous.
    """
    knobs = list(space.knobs)
    for knob in knobs:
        if knob.continuous:
            raise UserError(
                "a continuous knob cannot be enumerated",
                where=f"space {space.name}",
                found=knob.name,
                kind=ErrorKind.UNSUPPORTED,
            )
    # A stack of partial settings instead of recursion: spaces may have hundreds of knobs.
    unfinished: list[tuple[int, dict[str, Value]]] = [(0, {})]
    while unfinished:
        place, values = unfinished.pop()
        while place < len(knobs) and not knobs[place].active(values):
            place += 1
        if place == len(knobs):
            yield values
            continue
        knob = knobs[place]
        unfinished += [(place + 1, {**values, knob.name: value}) for value in reversed(knob.choices)]


def lattice(space: Space) -> Iterator[Candidate]:
    """Every candidate of a finite space exactly once, in the order of :func:`settings`.

    Raises:
        UserError: a knob is continuous.
    """
    seen: set[str] = set()
    for values in settings(space):
        candidate = assemble(space, values)
        if candidate.key not in seen:
            seen.add(candidate.key)
            yield candidate
