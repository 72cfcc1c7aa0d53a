"""Estimators: what turns candidates into numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hwnas_hls.architecture import Architecture
from hwnas_hls.candidate import Candidate
from hwnas_hls.estimate import Estimates

if TYPE_CHECKING:
    from hwnas_hls.design import Design
    from hwnas_hls.target import Target
    from hwnas_hls.task import Dataset

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
        seed: of the run; derive one's own from it and the candidate's key.
        device: ``cpu``, ``cuda`` or ``auto``.
        designs: candidate key -> trained design, where one exists already.
        keep: early stopping; see :data:`Keep`.
    """

    architecture: Callable[[Candidate], Architecture]
    dataset: Dataset
    target: Target
    clock_ns: float
    seed: int
    device: str = "auto"
    designs: Mapping[str, Design] = field(default_factory=dict)
    keep: Keep = keep_all


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
    see :mod:`hwnas_hls.isolation`.
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
