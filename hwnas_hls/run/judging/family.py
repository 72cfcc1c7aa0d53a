"""Families: candidates covered by one training, and the front of their score and adder bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hwnas_hls.protocols.space import Space
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import non_dominated
from hwnas_hls.values.record import Record, RecordState

#: The cost that the trainer uses during training.
COST = "adder_bits"
#: A design is far behind if a better one costs less by this factor. The margin is needed because the cost
#: ranks designs only approximately.
BEHIND = 1.3


def shares_trainings(space: Space, records: Sequence[Record]) -> bool:
    """Whether one training covers several candidates. It is then long, and gives the designs of all."""
    return any(space.siblings(record.candidate) for record in records)


class Family:
    """The candidates with records and the front at each batch of a run.

    Args:
        metric, direction: the task's metric.
    """

    def __init__(self, metric: str, direction: str) -> None:
        self._metric, self._sign = metric, -1.0 if direction == "max" else 1.0
        self._first: dict[str, int] = {}
        self._fronts: dict[int, list[tuple[float, float]]] = {}
        self._losses: dict[int, list[tuple[float, ...]]] = {}
        self._last = -2  # batch -1 are the known designs

    def take(self, records: Sequence[Record]) -> None:
        """Add records in the order of their batches; batches that are already known are ignored."""
        batches: dict[int, list[Record]] = {}
        for record in records:
            batches.setdefault(record.batch, []).append(record)
        for batch, members in sorted(batches.items()):
            if batch <= self._last:
                continue
            for record in members:
                self._first.setdefault(record.key, batch)
            self._fronts[batch] = self._merged(self.front(batch), members)
            found = [
                record.losses for record in members if record.state == RecordState.COMPLETE and record.losses
            ]
            both = [*self.losses(batch), *found]
            self._losses[batch] = [both[place] for place in non_dominated(both)] if both else []
            self._last = batch

    def recorded_before(self, key: str, batch: int) -> bool:
        """Whether a candidate has a record in an earlier batch."""
        return self._first.get(key, batch) < batch

    def front(self, batch: int) -> list[tuple[float, float]]:
        """(task metric, adder bits) of the non-dominated complete designs of earlier batches."""
        before = [number for number in self._fronts if number < batch]
        return self._fronts[max(before)] if before else []

    def losses(self, batch: int) -> list[tuple[float, ...]]:
        """Losses of the complete candidates of earlier batches, the front of them."""
        before = [number for number in self._losses if number < batch]
        return self._losses[max(before)] if before else []

    def far_behind(
        self, rivals: Sequence[Mapping[str, Estimate]], batch: int
    ) -> Callable[[Mapping[str, Estimate]], bool]:
        """A test whether a design is far behind one of ``rivals`` or the front before ``batch``."""
        points = self._front_of([*self.front(batch), *filter(None, map(self._point, rivals))])

        def behind(estimates: Mapping[str, Estimate]) -> bool:
            own = self._point(estimates)
            return own is not None and any(
                self._sign * score < self._sign * own[0] and cost * BEHIND <= own[1] for score, cost in points
            )

        return behind

    def _point(self, estimates: Mapping[str, Estimate]) -> tuple[float, float] | None:
        if self._metric not in estimates or COST not in estimates:
            return None
        return estimates[self._metric].value, estimates[COST].value

    def _front_of(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        places = non_dominated([(self._sign * score, cost) for score, cost in points]) if points else []
        return sorted({points[place] for place in places}, key=lambda point: point[1])

    def _merged(
        self, front: Sequence[tuple[float, float]], records: Sequence[Record]
    ) -> list[tuple[float, float]]:
        found = [self._point(record.estimates) for record in records if record.state == RecordState.COMPLETE]
        return self._front_of([*front, *filter(None, found)])
