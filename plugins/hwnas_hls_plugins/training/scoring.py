"""The task's metric, from a design's exact outputs, with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.design import Design
from hwnas_hls.emulator import outputs
from hwnas_hls.errors import Unsupported
from hwnas_hls.estimate import Estimate
from hwnas_hls.task import CLASSIFICATION, Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

COVERAGE = 0.9
_NORMAL_QUANTILE = 1.6448536269514722  # 95 %: five percent beyond at either end
METRICS = ("accuracy", "r2", "mse", "rmse")


def check_metric(dataset: Dataset) -> None:
    """Raises Unsupported where training cannot score the task's metric."""
    allowed = METRICS[:1] if dataset.kind == CLASSIFICATION else METRICS[1:]
    if dataset.metric not in allowed:
        raise Unsupported(
            f"training scores {', '.join(allowed)} for {dataset.kind}, not the task's metric {dataset.metric}"
        )


def wilson(right: int, rows: int) -> tuple[float, float]:
    """The 90 % interval of a share that was counted (E. B. Wilson, JASA 22, 1927)."""
    z2 = _NORMAL_QUANTILE**2
    share = right / rows
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    spread = share * (1 - share) / rows + z2 / (4 * rows**2)
    half = _NORMAL_QUANTILE * math.sqrt(spread) / (1 + z2 / rows)
    return max(0.0, centre - half), min(1.0, centre + half)


def metric(name: str, predicted: NDArray[np.float64], truth: NDArray[Any]) -> tuple[float, float, float]:
    """(value, low, high) of a metric.

    Args:
        name: one of :data:`METRICS`.
        predicted: (rows, n_out), logits or values.
        truth: (rows,) class numbers, or (rows, n_out) values.

    The interval covers 90 %: Wilson's for a share; for a ratio of means (``r2`` is one minus
    such a ratio) the normal one by the delta method, averaged over outputs.
    """
    if name == "accuracy":
        right = int((predicted.argmax(axis=1) == truth).sum())
        return right / len(truth), *wilson(right, len(truth))
    squares = (predicted - truth) ** 2
    if name == "r2":
        spread = (truth - truth.mean(axis=0)) ** 2
        mean = np.maximum(spread.mean(axis=0), 1e-300)
        ratios = squares.mean(axis=0) / mean
        influence = ((squares - ratios * spread) / mean).mean(axis=1)
        value, half = 1.0 - float(ratios.mean()), _half_width(influence)
        return value, value - half, value + half
    errors = squares.mean(axis=1)
    value, half = float(errors.mean()), _half_width(errors)
    low, high = max(0.0, value - half), value + half
    return (value, low, high) if name == "mse" else (math.sqrt(value), math.sqrt(low), math.sqrt(high))


def _half_width(rows: NDArray[np.float64]) -> float:
    return _NORMAL_QUANTILE * float(rows.std()) / math.sqrt(len(rows))


def predictions(design: Design, features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Raw features (rows, n_in) -> logits, or values in the units of the task's targets.

    A regression network answers in standardised targets; ``meta`` holds what undoes it.
    """
    answers = outputs(design, features)
    if "target_scale" in design.meta:
        answers = answers * np.asarray(design.meta["target_scale"]) + np.asarray(design.meta["target_mean"])
    return answers


def score(
    design: Design, split: Split, dataset: Dataset, *, where: str, source: str = "emulated"
) -> Estimate:
    """The task's metric of ``design`` on ``split``, by bit-exact integer arithmetic.

    Args:
        where: name of the split, for the evidence.
        source: what the number rests on; the default is the integer emulator.
    """
    value, low, high = metric(dataset.metric, predictions(design, split.x), split.y)
    evidence = f"integer emulator on {len(split)} {where} rows"
    return Estimate(dataset.metric, value, low, high, source, evidence, COVERAGE)
