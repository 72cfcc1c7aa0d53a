"""Estimators: what turns candidates into numbers."""

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

#: ``keep(indices, scores, progress)``: of the candidates at ``indices`` of the batch, with their
#: interim task metric ``scores`` after the share ``progress`` of their training, which go on?
Keep = Callable[[Sequence[int], Sequence[float], float], Sequence[bool]]


def keep_all(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
    """A :data:`Keep` that stops nobody."""
    return [True] * len(indices)


def silent(words: str) -> None:
    """Says nothing of progress."""


def no_siblings(candidate: Candidate) -> tuple[Candidate, ...]:
    """The siblings of a candidate where there are none."""
    return ()


@dataclass(frozen=True, slots=True)
class Context:
    """What an estimator may know besides the candidates.

    Args:
        architecture: candidate -> its layer list.
        dataset: the task's data; estimators use ``train`` and ``validation`` only.
        target: the part.
        clock_ns: clock period where the architecture names none.
        seed: the run's; derive one's own from it and the candidate's key.
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
    """Gives numbers of candidates: costs, speeds, accuracies; training is one way to get them.

    The constructor takes, by name, any of ``config task target seed clock_ns space goal``.
    """

    #: Metrics that it may give: names, or a :class:`Metric` for one that the tool does not know.
    provides: Sequence[str | Metric]
    #: Changes whenever its numbers change; part of the cache key.
    version: str
    #: Seconds for one candidate, roughly; cheap estimators judge first.
    cost: float

    #: Whether it trains and hands back designs. Of several that train, each next one gets the
    #: candidates that successive halving keeps.
    trains: bool = False
    #: Keys of its configuration that the final training of the front changes (``trains`` only).
    full_training: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    #: Whether it is asked again, with ``context.designs`` filled, once candidates are trained.
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
    #: Name of a metric of its own that forecasts the task's metric with an honest interval:
    #: candidates that would be dominated even at its better end are not trained, see
    #: :mod:`hwnas_hls.run.forecast`. Empty: no forecast.
    forecast: str = ""
    #: Whether its metrics stand in for the task's: a run reports how well they ranked its candidates.
    proxies: bool = False

    @abstractmethod
    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` a candidate, in order.

        A candidate that cannot be judged is an ``Estimates(failure=...)``; :class:`Unsupported` refuses
        the whole batch.
        """


@dataclass(frozen=True, slots=True)
class Paused:
    """A candidate whose training waits at a rung.

    Args:
        state: all that is needed to go on, on any machine; never pickle.
        score: its interim task metric, as ``context.keep`` would be asked about.
    """

    state: bytes
    score: float


class Resumable(Estimator):
    """An estimator that trains and can pause at its rungs.

    With workers (``[cluster]``) the halving of a batch is decided in the main process over chunks
    that were trained on several machines. The numbers must be those of ``estimate``, however the
    batch is divided at each rung.
    """

    trains = True

    @property
    @abstractmethod
    def rungs(self) -> Sequence[float]:
        """Shares of the training at which ``estimate`` asks ``context.keep``: ascending, between 0 and 1,
        without both."""

    @abstractmethod
    def advance(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes | None], until: float
    ) -> list[Paused | Estimates]:
        """Train from each state (``None``: from the start) to the share ``until``.

        A candidate that cannot be trained gets its :class:`Estimates` with the reason.
        """

    @abstractmethod
    def conclude(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes]
    ) -> list[Estimates]:
        """What ``estimate`` says of candidates that ended in these states, stopped or trained to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """A trained design with a smaller circuit.

    Args:
        design: of the same types.
        price: loss a LUT that a change of its weights was allowed to cost.
        kept: share of the LUTs of the design that it was made from, by a law that ranks.
    """

    design: Design
    price: float
    kept: float


class Refining(Estimator):
    """An estimator that trains, and makes the circuits of trained designs smaller afterwards."""

    trains = True

    @abstractmethod
    def refined(
        self, designs: Sequence[Design], dataset: Dataset, split: Split, until: Sequence[float]
    ) -> list[list[Refinement]]:
        """Of each design a ladder of smaller ones, by rising price.

        Args:
            designs: trained.
            dataset: whose task it is.
            split: rows on which a change may cost loss: such as the design was trained on.
            until: of each design the highest price that is wanted.

        Returns:
            one ladder a design, empty where it has nothing that can be refined.
        """
