"""Cross-fitting: the folds of a dataset."""

from __future__ import annotations

import numpy as np

from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.run.cross_fitting import folds_of


def test_folds_share_every_row_and_every_class_once() -> None:
    labels = np.array([0] * 17 + [1] * 5)
    split = Split(np.arange(len(labels), dtype=np.float64)[:, None], labels)
    dataset = Dataset(split, split, split, "classification", ("no", "yes"), ("f",), "invented")
    folds = folds_of(dataset, 4, 1)
    rows = np.concatenate([fold.validation.x[:, 0] for fold in folds])
    assert sorted(rows) == sorted(np.concatenate([dataset.train.x, dataset.validation.x])[:, 0])
    for fold in folds:
        assert len(fold.train) + len(fold.validation) == 44
        assert set(fold.validation.y) == {0, 1}
        assert fold.test is dataset.test
    assert len({fold.fingerprint for fold in folds}) == 4
