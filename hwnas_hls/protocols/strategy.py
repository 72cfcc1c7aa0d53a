"""Search strategies: propose candidates and learn from their records."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.protocols.space import Space, knobs_of, lattice
from hwnas_hls.values.candidate import Candidate, digest
from hwnas_hls.values.record import Record

if TYPE_CHECKING:
    import numpy as np

#: Number of draws of known candidates after which the remaining candidates are enumerated.
_DRAWS = 64
#: A space with more candidates than this is not enumerated.
_LATTICE_LIMIT = 20_000


class Strategy(Plugin):
    """Proposes candidates and learns from their records.

    The constructor takes, by name, any of ``config space goal seed task target clock_ns progress``.
    A strategy owns its random state and uses no global one. One whose :meth:`ask` takes seconds
    calls ``progress("epoch 3 of 10")`` with a short text, as often as it likes.

    A resumed run creates a new strategy, calls :meth:`tell` once per past batch, in order, and then
    :meth:`restore` with the state saved after the last batch. From there it must continue exactly as
    the uninterrupted run would have. A strategy may therefore keep its whole memory in the state, or
    only what the records do not contain (its random state).

    Example, a complete strategy. It minimises the sum of the losses, which weights all objectives
    equally and searches for a single point; to search for the whole front, keep the records that
    :func:`hwnas_hls.values.front.non_dominated` returns, as ``evolution`` does::

        from dataclasses import dataclass

        from hwnas_hls.protocols.strategy import Strategy, batch_rng


        class Climb(Strategy):
            # Mutates the best candidate so far; sometimes draws a new one.

            name = "climb"

            @dataclass(frozen=True)
            class Config:
                explore: float = 0.3

            def __init__(self, config, space, seed):
                self.config, self.space, self.seed = config, space, seed
                self.batch, self.best = 0, None

            def ask(self, n):
                rng = batch_rng(self.name, self.seed, self.batch)
                self.batch += 1
                return [self._proposal(rng) for _ in range(n)]

            def _proposal(self, rng):
                if self.best is None or rng.random() < self.config.explore:
                    return self.space.sample(rng)
                return self.space.mutate(self.best.candidate, rng)

            def tell(self, records):
                for record in records:
                    if not record.feasible:
                        continue  # failed, over a limit, or stopped early
                    if self.best is None or sum(record.losses) < sum(self.best.losses):
                        self.best = record

            def state(self):
                return self.batch

            def restore(self, state):
                self.batch = state
    """

    @abstractmethod
    def ask(self, n: int) -> list[Candidate]:
        """Up to ``n`` candidates; an empty list means that the space is exhausted."""

    @abstractmethod
    def tell(self, records: Sequence[Record]) -> None:
        """Learn from records, including failed, infeasible and stopped ones.

        After a resume, the records include candidates that this instance did not propose.
        """

    @abstractmethod
    def state(self) -> Any:
        """The JSON-able state that the records do not contain; small if the records are the memory."""

    @abstractmethod
    def restore(self, state: Any) -> None:
        """Restore a value returned by :meth:`state`."""


class ProposingStrategy(Strategy):
    """A strategy whose whole memory is the records and its :class:`Proposals`.

    It asks for nothing twice, and draws after a resume what it would have drawn. Inherit, give :meth:`ask`,
    and where the strategy learns, a :meth:`tell` that calls this one.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed
        self.proposals = Proposals(self.name, space, seed)

    def tell(self, records: Sequence[Record]) -> None:
        self.proposals.tell(records)

    def state(self) -> Any:
        return self.proposals.state()

    def restore(self, state: Any) -> None:
        self.proposals.restore(state)


def batch_rng(name: str, seed: int, batch: int, purpose: str = "") -> np.random.Generator:
    """A random generator for one batch of one strategy, the same in every process.

    A strategy that creates a new one for each ask needs only the batch number to resume.
    """
    import numpy as np

    return np.random.default_rng(batch_seed(name, seed, batch, purpose, bits=64))


def batch_seed(name: str, seed: int, batch: int, purpose: str = "", bits: int = 32) -> int:
    """A seed below ``2**bits`` for one batch of one strategy; ``bits`` is at most 64."""
    return int(digest([name, seed, batch, purpose]), 16) >> (64 - bits)


class Proposals:
    """The proposals of a strategy and the records it has received; prevents duplicates.

    The state consists of the number of batches and of the pending candidates, those proposed but
    without a record; a resume passes the others to :meth:`tell` again.

    Args:
        name: name of the strategy, for its random numbers.
        space: the space of the candidates.
        seed: seed of the run.
    """

    def __init__(self, name: str, space: Space, seed: int) -> None:
        self.name = name
        self.space = space
        self.seed = seed
        self.batch = 0
        self._known: set[str] = set()
        self._pending: dict[str, None] = {}
        self._lattice: list[Candidate] | None = None
        self._starts = tuple(space.starts())
        knobs = knobs_of(space)
        self._countable = bool(knobs) and all(not knob.continuous for knob in knobs)

    def next_rng(self) -> np.random.Generator:
        """Begin a batch and return its random generator."""
        rng = batch_rng(self.name, self.seed, self.batch)
        self.batch += 1
        return rng

    def known(self, candidate: Candidate) -> bool:
        return candidate.key in self._known

    def add(self, candidate: Candidate) -> Candidate:
        """Record ``candidate`` as proposed."""
        self._known.add(candidate.key)
        self._pending[candidate.key] = None
        return candidate

    def tell(self, records: Sequence[Record]) -> None:
        for record in records:
            self._known.add(record.key)
            self._pending.pop(record.key, None)

    def sample(self, rng: np.random.Generator) -> Candidate | None:
        """A new candidate, recorded as proposed: a start of the space, then random ones.

        ``None`` if the space is exhausted.

        A space of at most 20,000 candidates is enumerated to find the remaining ones; a larger one
        counts as exhausted after 64 * 64 draws without a new candidate.
        """
        for candidate in self._starts:
            if not self.known(candidate):
                return self.add(candidate)
        for _ in range(_DRAWS):
            candidate = self.space.sample(rng)
            if not self.known(candidate):
                return self.add(candidate)
        left = self._left()
        if left is None:
            for _ in range(_DRAWS * _DRAWS):
                candidate = self.space.sample(rng)
                if not self.known(candidate):
                    return self.add(candidate)
            return None
        return self.add(left[int(rng.integers(len(left)))]) if left else None

    @property
    def starting(self) -> bool:
        """Whether a start of the space has not been proposed yet; :meth:`sample` gives it next."""
        return any(not self.known(candidate) for candidate in self._starts)

    def variant(self, candidate: Candidate, rng: np.random.Generator) -> Candidate | None:
        """``candidate`` if it is new, else a new mutant of it, else any new one; recorded as proposed."""
        for _ in range(_DRAWS):
            if not self.known(candidate):
                return self.add(candidate)
            candidate = self.space.mutate(candidate, rng)
        return self.sample(rng)

    def state(self) -> dict[str, Any]:
        return {"batch": self.batch, "pending": list(self._pending)}

    def restore(self, state: Any) -> None:
        try:
            self.batch = int(state["batch"])
            self._pending = dict.fromkeys(str(key) for key in state["pending"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                "not a saved state of this strategy",
                where=self.name,
                found=state,
                kind=ErrorKind.WRONG_FORMAT,
            ) from error
        self._known |= self._pending.keys()

    def _left(self) -> list[Candidate] | None:
        """The candidates not yet proposed, in the order of the lattice; ``None`` if there are too many."""
        if not self._countable:
            return None
        if self._lattice is None:
            found = list(itertools.islice(lattice(self.space), _LATTICE_LIMIT + 1))
            if len(found) > _LATTICE_LIMIT:
                self._countable = False
                return None
            self._lattice = found
        self._lattice = [candidate for candidate in self._lattice if not self.known(candidate)]
        return self._lattice
