"""Estimators: predict, train or measure candidates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.protocols.plugin import Isolatable, silent
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates, Metric

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.space import Space
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.protocols.task import Dataset, Split
    from hwnas_hls.values.record import Record

#: ``keep(indices, scores, progress)``: whether training continues, for each of the candidates at
#: ``indices`` of the batch, given their task metric ``scores`` after the fraction ``progress`` of it.
Keep = Callable[[Sequence[int], Sequence[float], float], Sequence[bool]]


def keep_all(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
    """A :data:`Keep` that stops no candidate."""
    return [True] * len(indices)


def no_siblings(candidate: Candidate) -> tuple[Candidate, ...]:
    """The default of :attr:`Context.siblings`: no candidate has siblings."""
    return ()


@dataclass(frozen=True, slots=True)
class Context:
    """The inputs of an estimator in addition to the candidates.

    Args:
        architecture: candidate -> its layer list.
        dataset: the task's data; estimators use ``train`` and ``validation`` only.
        target: the part.
        clock_ns: clock period, unless the architecture sets its own.
        finds_clock: whether the synthesizer finds a clock for each exported design, because the user states
            none; the clocks here are then defaults.
        seed: seed of the run; derive your own from it and the candidate's key.
        device: ``cpu``, ``cuda`` or ``auto``.
        designs: candidate key -> trained design, if there is one.
        keep: early stopping. Call ``keep(indices, scores, progress)`` with the interim scores of the
            candidates at these indices of the batch after this fraction of the training; it returns
            for each whether its training continues.
        space: the space of the candidates; ``None`` in the separate process of an isolated estimator.
        known: candidate key -> estimates of other estimators.
        records: records of the earlier batches; only for an estimator with ``learns = True``.
        siblings: candidate -> all candidates that the same training covers, including itself, from the
            largest to the smallest; empty if only the candidate itself is wanted. Return their results in
            ``Estimates.siblings``.
        front: (task metric, adder bits) of the non-dominated designs of earlier batches. Training may
            stop candidates that are far behind it.
        progress: call it with a short text to report the progress of a long call, as often as you like.
        cache: bytes by name, kept for the whole run, also across interruptions. Store only values that
            follow from the run's seed, so that a value computed again is the same. Each worker
            (``[cluster]``) has its own bounded cache, which ends with it; a name may therefore be missing
            although another worker, or this one earlier, stored it.
    """

    architecture: Callable[[Candidate], Architecture]
    dataset: Dataset
    target: Target
    clock_ns: float
    seed: int
    device: str = "auto"
    designs: Mapping[str, Design] = field(default_factory=dict)
    keep: Keep = keep_all
    space: Space | None = None
    known: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    records: Sequence[Record] = ()
    siblings: Callable[[Candidate], Sequence[Candidate]] = no_siblings
    front: Sequence[tuple[float, float]] = ()
    progress: Callable[[str], None] = silent
    cache: MutableMapping[str, bytes] = field(default_factory=dict)
    finds_clock: bool = False


class Estimator(Isolatable):
    """Estimates metrics of candidates: cost, speed, accuracy. Trainers are estimators too.

    The constructor takes, by name, any of ``config task target seed clock_ns space goal``.
    """

    #: Metrics that it may return: names, or a :class:`Metric` for one that the tool does not define.
    provides: Sequence[str | Metric]
    #: Change it whenever the numbers change; it is part of the cache key.
    version: str
    #: Rough duration per candidate in seconds; cheap estimators run first.
    cost: float

    #: Whether it trains and returns designs. If several estimators train, each one receives the
    #: candidates that successive halving kept after the previous one.
    trains: bool = False
    #: Configuration keys that change for full trainings of exported designs (``trains`` only).
    full_training: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    #: Numeric configuration keys and the factors by which they change for full trainings of a design
    #: after one that failed (``trains`` only).
    after_failure: ClassVar[Mapping[str, float]] = MappingProxyType({})
    #: Whether it is called again after training, with ``context.designs`` filled. Of an exported design, its
    #: numbers of source ``trained`` or ``emulated`` are measured again, by an instance that has the test
    #: rows as ``dataset.validation``.
    uses_weights: bool = False
    #: Name of a cheaper estimator of the same metrics. If a run has both, the search calls this one only
    #: for trained candidates that may enter the front according to the cheaper numbers.
    contends_by: str = ""
    #: Maximum factor by which the cheaper numbers may be wrong (``contends_by`` only).
    contends_within: float = 1.25
    #: Whether it computes its metrics from those of other estimators (``context.known``). It is called
    #: again whenever these change, including the final numbers of exported designs.
    combines: bool = False
    #: Whether it receives the records of earlier batches in ``context.records``.
    learns: bool = False
    #: Name of its own metric that forecasts the task's metric with a calibrated interval. Candidates
    #: that would be dominated even at the optimistic end are not trained; see
    #: :mod:`hwnas_hls.run.judging.forecast`. Empty: no forecast.
    forecast: str = ""
    #: Whether its metrics are proxies of the task's metric; the run then reports their rank correlation.
    proxies: bool = False

    @abstractmethod
    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """Return one :class:`Estimates` per candidate, in order.

        For a candidate that cannot be evaluated, return ``Estimates(failure=...)``. Raising
        :class:`Unsupported` rejects the whole batch.
        """


@dataclass(frozen=True, slots=True)
class Paused:
    """A candidate whose training is paused at a rung.

    Args:
        state: everything needed to continue on any machine; must not contain a pickle.
        score: its interim task metric, the value passed to ``context.keep``.
    """

    state: bytes
    score: float


class Resumable(Estimator):
    """An estimator that trains and can pause at its rungs.

    With workers (``[cluster]``), chunks of a batch are trained on several machines, and the main
    process decides the halving over the whole batch. The numbers must equal those of ``estimate``,
    however the batch is divided at each rung.
    """

    trains = True

    @property
    @abstractmethod
    def rungs(self) -> Sequence[float]:
        """Fractions of the training at which ``estimate`` calls ``context.keep``: ascending, between 0 and 1,
        both excluded."""

    @abstractmethod
    def advance(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes | None], until: float
    ) -> list[Paused | Estimates]:
        """Train from each state (``None``: from the start) up to the fraction ``until``.

        For a candidate that cannot be trained, return its :class:`Estimates` with the reason.
        """

    @abstractmethod
    def conclude(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes]
    ) -> list[Estimates]:
        """The result of ``estimate`` for candidates whose training stopped or finished in these states."""


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """A trained design after refinement, with a smaller circuit.

    Args:
        design: the refined design; result types may be wider, and features may have fewer bits.
        price: maximum increase of the loss per LUT saved that a change of a weight was allowed to cost.
        kept: LUTs relative to the original design, by an estimate that ranks designs.
    """

    design: Design
    price: float
    kept: float


class Refining(Estimator):
    """An estimator that trains, and can make the circuits of trained designs smaller."""

    trains = True

    @abstractmethod
    def refined(
        self, designs: Sequence[Design], dataset: Dataset, split: Split, until: Sequence[float]
    ) -> list[list[Refinement]]:
        """Refine each design at increasing prices.

        Args:
            designs: trained designs, the most important first.
            dataset: the task's data.
            split: rows on which the loss is computed, the rows that the designs were trained on.
            until: highest price for each design.

        Returns:
            one list per design, in order of increasing price; empty if a design cannot be refined, or would
            take too long.
        """
