"""Checks of usefulness: the chance level of a task, and outputs that do not depend on the input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.run_facts import Chance

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design

#: Number of random rows over the whole input type.
_ROWS = 4096


def chance_of(dataset: Dataset, split: Split) -> Chance | None:
    """The chance level on the rows of ``split``; ``None`` for a metric for which it is unknown.

    The class is the most frequent one of the *training* rows, since a network that ignores its input
    can learn it.
    """
    import numpy as np

    if dataset.kind == CLASSIFICATION and dataset.metric == "accuracy":
        classes = np.bincount(dataset.train.y, minlength=dataset.n_out)
        majority = int(np.argmax(classes))
        share = float(np.mean(split.y == majority))
        error = math.sqrt(share * (1 - share) / len(split))
        return Chance("accuracy", share, error, f"always {dataset.labels[majority]}, the most frequent class")
    if dataset.metric == "r2":
        # The mean has R2 = 0. The standard error of R2 near 0 is at most about sqrt(2 / rows).
        return Chance("r2", 0.0, math.sqrt(2.0 / max(len(split), 1)) / 2, "always the mean")
    return None


def constant(design: Design, split: Split | None = None) -> str:
    """Why the outputs of a design do not depend on its input; empty if they do.

    Args:
        split: rows to test, in addition to random ones over the whole input type.
    """
    import numpy as np

    from hwnas_hls.network import emulator

    kind = design.architecture.input
    rng = np.random.default_rng(0)
    drawn = rng.integers(kind.lowest, kind.highest + 1, size=(_ROWS, design.architecture.n_in))
    seen = [emulator.emulate(design, drawn)]
    if split is not None and len(split):
        seen.append(emulator.emulate(design, emulator.input_integers(design, split.x)))
    outputs = np.concatenate(seen)
    if np.any(outputs != outputs[0]):
        return ""
    empty = [
        number for number, weight in enumerate(design.weights) if weight is not None and not weight.any()
    ]
    where = f": every weight of layer {empty[0]} is zero" if empty else ""
    return f"its outputs are the same for all of {len(outputs)} inputs{where}"


def useless(design: Design, dataset: Dataset, split: Split, estimate: Estimate) -> str:
    """Why a design is useless; empty if it is not.

    Args:
        split, estimate: unseen rows, and the score on them.
    """
    if words := constant(design, split):
        return words
    chance = chance_of(dataset, split)
    if chance is None or chance.metric != estimate.metric or not chance.reached(estimate):
        return ""
    return (
        f"{estimate.metric} {estimate.value:.4g} on {len(split)} rows is not above {chance.value:.4g} "
        f"({chance.words}) by more than one standard error ({chance.error:.2g})"
    )
