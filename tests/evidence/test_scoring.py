"""The evidence of scores: it states the rate of a threshold and the method of the interval."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwnas_hls.evidence.scoring import method, score
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.estimate import Source


@pytest.mark.parametrize(
    ("metric", "ending"),
    [
        ("efficiency_at_fpr", "; false positive rate at most 0.25 %; interval by bootstrap over rows"),
        ("f1", "; interval by bootstrap over rows"),
        ("auc", "; interval by DeLong"),
        ("accuracy", ""),
    ],
)
def test_the_ending_of_the_evidence(metric: str, ending: str) -> None:
    rng = np.random.default_rng(0)
    split = Split(rng.normal(size=(400, 2)), (np.arange(400) % 4 == 0).astype(np.int64))
    data = Dataset(split, split, split, "classification", ("no", "yes"), ("a", "b"), "made up")
    data = dataclasses.replace(data, false_positive_rate=0.0025)
    found = score(data, split, split.x, source=Source.EMULATED, evidence="on 400 rows", metric=metric)
    assert found.evidence == f"on 400 rows{ending}"
    assert method(found) == ending
