"""The operating point of a classifier with a signal class: a threshold on its score for a rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas_hls.evidence.scoring import wilson
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.values.scores import threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design


@dataclass(frozen=True, slots=True)
class Accepted:
    """The accepted share of some rows, with its 90 % binomial interval.

    Args:
        share: between 0 and 1.
        low, high: the interval.
        rows: number of rows.
    """

    share: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold for a wanted false positive rate, chosen on the validation rows.

    A row is accepted if its score is at least the threshold. The score is the output of the signal class
    minus the largest other output, so threshold 0 accepts what the largest output does, and ties with it.

    Args:
        signal: name of the signal class.
        score: the score, as text.
        wanted: the wanted false positive rate.
        threshold: in units of the outputs; ``None`` if no threshold keeps the rate.
        threshold_integer: in least significant bits of the outputs; ``None`` as above.
        unit: value of a least significant bit.
        distinct_scores: number of different scores on the validation rows.
        validation_efficiency, validation_false_positive_rate: on the rows that chose the threshold.
        test_efficiency, test_false_positive_rate: on the test rows.
    """

    signal: str
    score: str
    wanted: float
    threshold: float | None
    threshold_integer: int | None
    unit: float
    distinct_scores: int
    validation_efficiency: float
    validation_false_positive_rate: float
    test_efficiency: Accepted
    test_false_positive_rate: Accepted

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OperatingPoint:
        """The inverse of :meth:`to_json`."""
        shares = {name: Accepted(**data[name]) for name in ("test_efficiency", "test_false_positive_rate")}
        return cls(**{**data, **shares})

    def __str__(self) -> str:
        if self.threshold is None:
            return f"no threshold accepts at most {_percent(self.wanted)} of the other rows"
        return (
            f"accept {self.signal} if {self.score} >= {self.threshold:g} "
            f"({self.threshold_integer} x {self.unit:g}); on the test rows, efficiency "
            f"{_said(self.test_efficiency)}, false positive rate {_said(self.test_false_positive_rate)} "
            f"(wanted: {_percent(self.wanted)})"
        )


def operating_point(design: Design, dataset: Dataset) -> OperatingPoint | None:
    """The operating point of a design; ``None`` for a task without a single signal class."""
    import numpy as np

    from hwnas_hls.network import emulator

    positives = dataset.scoring.positives if dataset.kind == CLASSIFICATION else ()
    if len(positives) != 1:
        return None
    signal = positives[0]

    def scores(features: NDArray[np.float64]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = emulator.margins(
            emulator.emulate(design, emulator.input_integers(design, features)), signal
        )
        return found

    chosen_on, truth = scores(dataset.validation.x), dataset.validation.y == signal
    if not truth.any() or truth.all():
        return None
    found = threshold(truth, chosen_on, dataset.false_positive_rate)
    accepted, is_signal = scores(dataset.test.x) >= found.value, dataset.test.y == signal
    unit = 2.0 ** -emulator.output_fraction(design)
    kept = math.isfinite(found.value)
    return OperatingPoint(
        dataset.labels[signal],
        _score_words(signal, dataset),
        dataset.false_positive_rate,
        found.value * unit if kept else None,
        int(found.value) if kept else None,
        unit,
        len(np.unique(chosen_on)),
        found.efficiency,
        found.false_positive_rate,
        _accepted(accepted[is_signal]),
        _accepted(accepted[~is_signal]),
    )


def _score_words(signal: int, dataset: Dataset) -> str:
    others = [number for number in range(dataset.n_out) if number != signal]
    if len(others) == 1:
        return f"output {signal} - output {others[0]}"
    return f"output {signal} - the largest other output"


def _accepted(rows: NDArray[np.bool_]) -> Accepted:
    if not len(rows):
        return Accepted(0.0, 0.0, 1.0, 0)
    low, high = wilson(int(rows.sum()), len(rows))
    return Accepted(float(rows.mean()), low, high, len(rows))


def _said(share: Accepted) -> str:
    return f"{_percent(share.share)} ({_percent(share.low)} to {_percent(share.high)}, {share.rows} rows)"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
