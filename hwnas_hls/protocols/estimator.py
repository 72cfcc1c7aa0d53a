"""Estimators: predict, train or measure candidates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.protocols.plugin import Isolatable
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


def silent(words: str) -> None:
    """Says nothing of progress."""


def no_siblings(candidate: Candidate) -> tuple[Candidate, ...]:
    """The default of :attr:`Context.siblings`: no candidate has siblings."""
    return ()


@dataclass(frozen=True, slots=True)
class Context:
    """The inputs of an estimator besides the candidates.

    Args:
        architecture: candidate -> its layer list.
        dataset: the task's data; estimators use ``train`` and ``validation`` only.
        target: the part.
        clock_ns: clock period, unless the architecture sets its own.
        seed: seed of the run; derive your own from it and the candidate's key.
        device: ``cpu``, ``cuda`` or ``auto``.
        designs: candidate key -> trained design, where one exists already.
        keep: early stopping: ``keep(indices, scores, progress)`` is told the interim scores of the
            candidates at these places of the batch after this share of the training, and says
            for each whether it goes on.
        space: that the candidates come from; ``None`` where it is not at hand (in a process of
            the estimator's own).
        known: candidate key -> what other estimators have said of it already.
        records: those of the batches before this one; only for an estimator that ``learns``.
        siblings: candidate -> the candidates that one training of it can serve too, itself among them, from
            the largest to the smallest; none where only the candidate itself is wanted. What is said of
            them goes into ``Estimates.siblings``.
        front: (task metric, adder bits) of the designs of earlier batches that no other one of them
            dominates. Training may give up what stays far behind it.
        progress: is told in a few words how far a long call has come; as often as one likes.
        cache: bytes by name that last as long as the run, over interruptions too. What stands
            there must follow from the run's seed: nobody notices whether it was computed again.
            On workers (``[cluster]``) each has its own, bounded, which ends with it: there a name
            may be missing although another worker, or this one earlier, has stored it.
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
    #: Configuration keys that change for the final training of the front (``trains`` only).
    full_training: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    #: Whether it is called again after training, with ``context.designs`` filled.
    uses_weights: bool = False
    #: Name of a cheaper estimator of the same metrics. Where a run has that one too, this one is asked in
    #: the search only of trained candidates that may enter the front by the cheaper numbers.
    contends_by: str = ""
    #: Factor by which the cheaper numbers may be off (``contends_by`` only).
    contends_within: float = 1.25
    #: Whether it computes its metrics from those of other estimators (``context.known``): it is asked
    #: again wherever these have changed, the final numbers of what is handed over included.
    combines: bool = False
    #: Whether it gets the records of earlier batches in ``context.records``.
    learns: bool = False
    #: Name of its own metric that forecasts the task's metric with a calibrated interval. Candidates
    #: that would be dominated even at the optimistic end are not trained; see
    #: :mod:`hwnas_hls.run.forecast`. Empty: no forecast.
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
        design: the refined design; its fixed-point types are unchanged.
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
            designs: trained designs.
            dataset: the task's data.
            split: rows on which the loss is computed, the rows that the designs were trained on.
            until: highest price for each design.

        Returns:
            one list per design, in order of increasing price; empty if nothing can be refined.
        """
