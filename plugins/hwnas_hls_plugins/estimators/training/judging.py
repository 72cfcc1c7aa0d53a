"""Scores trained designs on rows of a task."""

from __future__ import annotations

from hwnas_hls.evidence.scoring import score
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.values.estimate import Estimate

_TARGET = ("target_mean", "target_scale")


def judged(design: Design, dataset: Dataset, split: Split, name: str) -> Estimate:
    """The task's metric of ``design`` on the rows of ``split``, by integer arithmetic.

    Args:
        name: of the split, for the evidence.
    """
    import numpy as np

    from hwnas_hls.network.emulator import outputs

    scales = {} if dataset.kind == CLASSIFICATION else {key: np.asarray(design.meta[key]) for key in _TARGET}
    return score(
        dataset,
        split,
        outputs(design, split.x),
        source="emulated",
        evidence=f"integer emulation on {len(split)} {name} rows",
        **scales,
    )
