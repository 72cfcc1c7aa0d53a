"""Estimators: what turns candidates into numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.space import Space
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.protocols.task import Dataset
    from hwnas_hls.values.record import Record

#: ``keep(indices, scores, progress)``: of the candidates at ``indices`` of the batch, with their
#: interim task metric ``scores`` after the share ``progress`` of their training, which go on?
Keep = Callable[[Sequence[int], Sequence[float], float], Sequence[bool]]


def keep_all(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
    """A :data:`Keep` that stops nobody."""
    return [True] * len(indices)


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
    cache: MutableMapping[str, bytes] = field(default_factory=dict)


@runtime_checkable
class Estimator(Protocol):
    """What an estimator plugin offers; ``name`` and a frozen ``Config`` stand on the class.

    Attributes:
        provides: metrics it may give.
        version: changes whenever its numbers change; part of the cache key.
        cost: seconds a candidate, roughly; cheap estimators judge first.

    Optional class attributes: ``uses_weights = True`` asks to be called again, with
    ``context.designs`` filled, once candidates are trained. ``trains = True`` says that it
    hands back designs; the mapping ``full_training`` then holds the configuration keys that
    the final training of the front changes. ``isolated = True`` asks for a process of its own,
    see :mod:`hwnas_hls.plugin.isolation`.

    Of several estimators that train, each next one gets what successive halving lets through.
    ``learns = True`` asks for the records of earlier batches in ``context.records``.
    ``forecast = "NAME"`` says that its metric NAME is a forecast of the task's metric, with an
    honest interval: candidates that would be dominated even at its good end are not trained, see
    :mod:`hwnas_hls.run.forecast`. ``proxies = True`` says that its metrics stand in for the task's:
    a run reports how well they ranked its candidates.
    """

    name: str
    provides: Sequence[str]
    version: str
    cost: float

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` a candidate, in order.

        What cannot be judged is an ``Estimates(failure=...)``; :class:`Unsupported` refuses
        the whole batch.
        """
        ...


@dataclass(frozen=True, slots=True)
class Paused:
    """A candidate whose training waits at a rung.

    Args:
        state: all that is needed to go on, on any machine; never pickle.
        score: its interim task metric, as ``context.keep`` would be asked about.
    """

    state: bytes
    score: float


@runtime_checkable
class Resumable(Protocol):
    """An :class:`Estimator` that trains and can pause at its rungs.

    With workers (``[cluster]``) the halving of a batch is decided in the main process over chunks
    that were trained on several machines. The numbers must be those of ``estimate``, however the
    batch is divided at each rung.

    Attributes:
        rungs: shares of the training at which ``estimate`` asks ``context.keep``; ascending,
            between 0 and 1, without both.
    """

    @property
    def rungs(self) -> Sequence[float]: ...

    def advance(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes | None], until: float
    ) -> list[Paused | Estimates]:
        """Train from each state (``None``: from the start) to the share ``until``.

        One that cannot be trained gets its :class:`Estimates` with the reason.
        """
        ...

    def conclude(
        self, candidates: Sequence[Candidate], context: Context, states: Sequence[bytes]
    ) -> list[Estimates]:
        """What ``estimate`` says of candidates that ended in these states, stopped or trained to 1."""
        ...
