"""Scores of network outputs: the task's metric with its statistical interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.values.estimate import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design

COVERAGE = 0.9
_Z = 1.6448536269514722  # two-sided 90 % of the normal distribution
_RESAMPLES = 200


def score(
    dataset: Dataset,
    split: Split,
    outputs: NDArray[np.floating],
    *,
    source: str,
    evidence: str,
) -> Estimate:
    """The task's metric of real-valued network outputs.

    Classification: accuracy of the largest output, with Wilson's binomial interval.
    Regression: R2 averaged over the targets, with a bootstrap interval over rows (fixed seed).

    Args:
        split: provides ``y``.
        outputs: (rows, n_out); in a regression, in the unit of the targets.
        source, evidence: as in :class:`Estimate`.
    """
    import numpy as np

    if dataset.kind == CLASSIFICATION:
        right = int(np.sum(np.argmax(outputs, axis=1) == split.y))
        low, high = wilson(right, len(split))
        return Estimate("accuracy", right / len(split), low, high, source, evidence, COVERAGE)
    value = _r2(split.y, outputs)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(_RESAMPLES):
        rows = rng.integers(len(split), size=len(split))
        draws.append(_r2(split.y[rows], outputs[rows]))
    low, high = (float(end) for end in np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]))
    return Estimate(dataset.metric, value, min(low, value), max(high, value), source, evidence, COVERAGE)


def scored(design: Design, dataset: Dataset, split: Split, *, source: str, evidence: str) -> Estimate:
    """The task's metric of a design on the rows of a split, by integer emulation."""
    return score(dataset, split, real_outputs(design, split.x), source=source, evidence=evidence)


def real_outputs(design: Design, features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Raw features (rows, n_in) -> outputs (rows, n_out) of a design; in a regression, in the unit of its
    targets."""
    import numpy as np

    from hwnas_hls.network.emulator import outputs

    found = outputs(design, features)
    if "target_scale" not in design.meta:
        return found
    in_units: NDArray[np.float64] = found * np.asarray(design.meta["target_scale"])
    in_units += np.asarray(design.meta["target_mean"])
    return in_units


def wilson(right: int, rows: int) -> tuple[float, float]:
    """Wilson's 90 % interval of the share ``right / rows``.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.
    """
    share, spread = right / rows, _Z * _Z / rows
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def near_one(
    truth: NDArray[Any], outputs: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Both arrays divided by a power of two per column, which brings the truth below one.

    Squares of values like 1e200 or 1e-200 would overflow or underflow float64; ratios stay exact.

    Args:
        truth, outputs: (rows, n) each.
    """
    import numpy as np

    exponent = np.frexp(np.abs(truth).max(axis=0))[1]
    return np.ldexp(truth, -exponent), np.ldexp(outputs, -exponent)


def _r2(truth: NDArray[Any], outputs: NDArray[np.floating]) -> float:
    truth, outputs = near_one(truth, outputs)
    residual = ((truth - outputs) ** 2).sum(axis=0)
    total = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    # A target that is constant in these rows has no variance to explain.
    explained = [1 - r / t if t > 0 else float(r == 0) for r, t in zip(residual, total, strict=True)]
    return float(sum(explained) / len(explained))
