"""The front of a search while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas_hls.values.front import hypervolume, non_dominated
from hwnas_hls.values.record import Record


class LiveFront:
    """The non-dominated complete records so far."""

    def __init__(self, n_losses: int) -> None:
        self.records: list[Record] = []
        self.hypervolume = 0.0
        self._reference = [1.0] * n_losses
        self._losses = np.empty((0, n_losses))

    def add(self, records: Sequence[Record]) -> None:
        """Merge new records; of equals, the earlier one stays, and each candidate counts once.

        The hypervolume is computed once per call, and only if the front changed.
        """
        fresh: dict[str, Record] = {}
        for record in records:
            if record.feasible and record.losses is not None:
                fresh.setdefault(record.key, record)
        for record in self.records:
            fresh.pop(record.key, None)
        found = list(fresh.values())
        if not found:
            return
        losses = np.array([record.losses for record in found])
        places = non_dominated(losses)
        places = [place for place in places if not np.any(np.all(self._losses <= losses[place], axis=1))]
        if not places:
            return
        new = losses[places]
        left = [not np.any(np.all(new <= held, axis=1)) for held in self._losses]
        self.records = [record for record, stays in zip(self.records, left, strict=True) if stays]
        self.records += [found[place] for place in places]
        self._losses = np.concatenate([self._losses[np.array(left, bool)], new])
        self.hypervolume = hypervolume(self._losses, self._reference)
