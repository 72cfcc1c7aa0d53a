"""Search spaces: a table of knobs, and how knob values become an architecture.

Sampling, mutation, crossover, vectors (:class:`KnobSpace`), enumeration (:func:`lattice`) and
documentation are all read off the same :class:`Knob` entries.
"""

from __future__ import annotations

import functools
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

#: Number of attempts at a mutation before a new sample is drawn instead.
_TRIES = 20
#: Number of candidates whose siblings are remembered.
_MOST_FAMILY_MEMBERS = 20_000


class Space(Plugin):
    """The set of candidates of a search; inherit from :class:`KnobSpace` if a table of knobs describes it.

    The constructor takes, by name, any of ``config task target clock_ns synthesizer``.
    """

    #: The choices of a candidate, in order; empty if the space is described in another way.
    knobs: Sequence[Knob] = ()

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Candidate:
        """A random candidate; equal generator states give equal candidates."""

    @abstractmethod
    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """A candidate near the given one, but different from it."""

    @abstractmethod
    def crossover(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
        """A child of two candidates."""

    @abstractmethod
    def encode(self, candidate: Candidate) -> NDArray[np.float64]:
        """A vector, float64 (length,), of the same length for every candidate; for model-based strategies."""

    @abstractmethod
    def decode(self, vector: NDArray[np.float64]) -> Candidate:
        """The candidate nearest to a vector; ``decode(encode(c)) == c``."""

    @abstractmethod
    def architecture(self, candidate: Candidate) -> Architecture:
        """The layer list that trainers, predictors and exporters share."""

    def nearest(self, architecture: Architecture) -> Candidate | None:
        """The candidate nearest to an architecture of the user; the search also starts from it.

        ``None`` by default: the space does not know.
        """
        return None

    def starts(self) -> Sequence[Candidate]:
        """Candidates that a search proposes before random ones; none by default."""
        return ()

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        """The candidates that one training covers together with this one, including itself.

        Empty by default: each training covers only its own candidate.
        """
        return ()


class KnobSpace(Space):
    """A space defined by a table of knobs; a subclass sets :attr:`knobs` and :meth:`architecture`.

    Example, a complete space::

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

    #: Name of the knob whose values one training covers together; empty if there is none.
    ladder: str = ""

    #: Expected number of knobs changed by one mutation.
    mutated_knobs: ClassVar[float] = 1.5

    def repair(self, values: dict[str, Value]) -> dict[str, Value]:
        """Replace an invalid combination of values by the nearest valid one; the default changes nothing.

        Args:
            values: of the active knobs; may be changed in place. The repair must set a value for every
                knob that it activates; values of knobs that it deactivates are dropped.

        Returns:
            Values that a second repair would not change.
        """
        return values

    def candidate(self, values: Mapping[str, Value]) -> Candidate:
        """A candidate from knob values; values of inactive knobs are dropped.

        Raises:
            UserError: an active knob has no value, or a value that is not among its choices.
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
        # A repair may deactivate knobs, and sets values for knobs that it activates.
        kept = {}
        for knob in self.knobs:
            if knob.active(kept):
                knob.check(repaired[knob.name])
                kept[knob.name] = repaired[knob.name]
        return Candidate(self.name, kept)

    def siblings(self, candidate: Candidate) -> tuple[Candidate, ...]:
        """The candidates that differ from ``candidate`` at most in the knob :attr:`ladder`.

        In the order of the knob's choices; empty if the candidate does not have the knob.
        """
        if not self.ladder or self.ladder not in candidate.values:
            return ()
        if candidate.key not in self._families:
            knob = next(knob for knob in self.knobs if knob.name == self.ladder)
            found = tuple(self.candidate({**candidate.values, knob.name: choice}) for choice in knob.choices)
            family = found if candidate in found and len(set(found)) == len(found) else ()
            if len(self._families) > _MOST_FAMILY_MEMBERS:
                self._families.clear()
            # Unless a repair changed other knobs, its members have the same siblings.
            alike = [
                one.key
                for one in family
                if {**one.values, knob.name: None} == {**candidate.values, knob.name: None}
            ]
            self._families |= dict.fromkeys((candidate.key, *alike), family)
        return self._families[candidate.key]

    @functools.cached_property
    def _families(self) -> dict[str, tuple[Candidate, ...]]:
        """Key -> the siblings of a candidate, which a search asks for many times."""
        return {}

    def sample(self, rng: np.random.Generator) -> Candidate:
        # Inactive knobs are drawn too: the number of random numbers must not depend on the result.
        return self.candidate({knob.name: knob.draw(rng) for knob in self.knobs})

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """A neighbour: each knob changes with the same small probability, and at least one changes.

        An ordered knob usually moves to a neighbouring value, an unordered one to any other value.
        The result differs from ``candidate`` unless the space has no other.
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
        """A float64 vector of fixed length: one position in [0, 1] per ordered knob, a one-hot code per
        unordered knob; an inactive knob gives -1 (one-hot: all zeros)."""
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
    """The knobs of a space that is described by :class:`Knob` entries; empty for any other space."""
    knobs = tuple(space.knobs)
    return knobs if all(isinstance(knob, Knob) for knob in knobs) else ()


def assemble(space: Space, values: Mapping[str, Value]) -> Candidate:
    """The candidate of ``space`` with these knob values; values of inactive knobs are ignored.

    Works for every :class:`Space`: one that is not a :class:`KnobSpace` repairs the values in a round
    trip through its vector.
    """
    if isinstance(space, KnobSpace):
        return space.candidate(values)
    kept: dict[str, Value] = {}
    for knob in space.knobs:
        if knob.active(kept):
            kept[knob.name] = knob.canonical(values[knob.name])
    return space.decode(space.encode(Candidate(space.name, kept)))


def settings(space: Space) -> Iterator[dict[str, Value]]:
    """Every combination of values of the active knobs of a finite space, the last knob varying fastest.

    Inactive knobs add no combinations; a repair may still map two combinations to one candidate.

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
