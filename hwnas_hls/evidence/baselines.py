"""Scores of usual models in floating point on the same test rows, to compare the exported designs with."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hwnas_hls.evidence.scoring import score
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.values.estimate import Source
from hwnas_hls.values.run_facts import Baseline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

log = logging.getLogger(__name__)
#: Maximum number of training rows of a baseline, so that all of them take seconds.
MAX_ROWS = 20_000
_HIDDEN = (64, 32)
_EPOCHS = 60
#: Trees per class and in all.
_ROUNDS, _MAX_TREES = 100, 1000
#: Without it, leaves with few rows of a rare class get huge values: on ten classes, two of them of 1 % of the
#: rows, the balanced accuracy was 0.476 instead of 0.936.
_L2 = 1.0


def baselines(dataset: Dataset, seed: int) -> tuple[Baseline, ...]:
    """A linear model, a float MLP and boosted trees of scikit-learn, scored on all test rows.

    They are trained on at most :data:`MAX_ROWS` training rows. A model that cannot be trained on these
    data is left out, with a message in the log. The test rows are used: call it when the search has ended.
    """
    import sklearn
    from threadpoolctl import threadpool_limits

    train = dataset.train.drawn(MAX_ROWS, [seed, 1])
    found = []
    for name, words, fit in _MODELS:
        began = time.monotonic()
        try:
            # Threads of OpenMP that wait for each other on a busy machine made 2 s into 2 min.
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of optimisers that have not converged
                outputs = fit(dataset, dataset.standardised(train), train.y, seed % 2**32)
        except ValueError as error:
            log.warning("no baseline %s: %s", name, error)
            continue
        estimate = score(
            dataset,
            dataset.test,
            outputs,
            source=Source.TRAINED,
            evidence=f"{words} of scikit-learn {sklearn.__version__} in floating point, trained on "
            f"{len(train)} of {len(dataset.train)} training rows, on all {len(dataset.test)} test rows",
        )
        found.append(Baseline(name, words, estimate, round(time.monotonic() - began, 2)))
    return tuple(found)


def _linear(dataset: Dataset, x: Rows, y: NDArray[Any], seed: int) -> Rows:
    from sklearn.linear_model import LogisticRegression, Ridge

    if dataset.kind == CLASSIFICATION:
        return _probabilities(dataset, LogisticRegression(max_iter=300, random_state=seed).fit(x, y))
    return _values(dataset, Ridge().fit(x, y))


def _mlp(dataset: Dataset, x: Rows, y: NDArray[Any], seed: int) -> Rows:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    settings = {"hidden_layer_sizes": _HIDDEN, "max_iter": _EPOCHS, "random_state": seed}
    if dataset.kind == CLASSIFICATION:
        return _probabilities(dataset, MLPClassifier(**settings).fit(x, y))
    mean, scale = dataset.target_standardisation
    scaled = _values(dataset, MLPRegressor(**settings).fit(x, (y - mean) / scale))
    found: Rows = scaled * scale + mean
    return found


def _trees(dataset: Dataset, x: Rows, y: NDArray[Any], seed: int) -> Rows:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    each = 1 if dataset.n_out == 2 and dataset.kind == CLASSIFICATION else dataset.n_out
    rounds = max(10, min(_ROUNDS, _MAX_TREES // each))
    settings = {"max_iter": rounds, "l2_regularization": _L2, "random_state": seed}
    if dataset.kind == CLASSIFICATION:
        return _probabilities(dataset, HistGradientBoostingClassifier(**settings).fit(x, y))
    test = dataset.standardised(dataset.test)
    columns = [HistGradientBoostingRegressor(**settings).fit(x, target).predict(test) for target in y.T]
    return np.stack(columns, axis=1)


def _probabilities(dataset: Dataset, model: Any) -> Rows:
    """Outputs of a classifier on the test rows, (rows, n_out); 0 for a class that it has not seen."""
    import numpy as np

    found = np.zeros((len(dataset.test), dataset.n_out))
    found[:, model.classes_] = model.predict_proba(dataset.standardised(dataset.test))
    return found


def _values(dataset: Dataset, model: Any) -> Rows:
    import numpy as np

    found: Rows = np.asarray(model.predict(dataset.standardised(dataset.test)), np.float64)
    return found.reshape(len(dataset.test), -1)


_Fit = Callable[[Dataset, "Rows", "NDArray[Any]", int], "Rows"]
_MODELS: tuple[tuple[str, str, _Fit], ...] = (
    ("linear", "logistic or ridge regression", _linear),
    ("mlp", f"an MLP with {_HIDDEN[0]} and {_HIDDEN[1]} hidden neurons", _mlp),
    ("trees", "boosted trees", _trees),
)
