"""The estimator ``performance-predictor``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import HwnasError, Unsupported
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.values.estimate import Estimate, Estimates, Metric
from hwnas_hls_plugins.estimators.performance_predictor.config import PerformancePredictorConfig
from hwnas_hls_plugins.estimators.performance_predictor.features import describe

if TYPE_CHECKING:
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.protocols.space import Space
    from hwnas_hls.values.candidate import Candidate
    from hwnas_hls_plugins.estimators.performance_predictor.ensemble import Ensemble
    from hwnas_hls_plugins.estimators.performance_predictor.examples import Example

log = logging.getLogger(__name__)
_EARLIER = "performance-predictor: earlier runs"
#: Accuracies are modelled as the logarithm of the shortfall plus this offset.
_SMALLEST_SHORTFALL = 0.01


class PerformancePredictorEstimator(Estimator):
    """Forecast of the task's metric from the run's trained candidates; avoids hopeless trainings.

    The metric is called ``predicted_accuracy`` (or by the task's metric) and has an interval of stated
    coverage, from out-of-bag errors. The model is fitted to validation scores only, anew for each
    batch. A candidate that would be dominated even at the optimistic end of its interval is recorded as
    stopped, with the reason.
    """

    name: ClassVar[str] = "performance-predictor"
    version: str = "1"
    cost: float = 0.05
    learns: bool = True
    proxies: bool = True
    Config: ClassVar[type[PerformancePredictorConfig]] = PerformancePredictorConfig
    config: PerformancePredictorConfig

    def __init__(
        self,
        config: PerformancePredictorConfig | None = None,
        task: Dataset | None = None,
        space: Space | None = None,
    ) -> None:
        self.config = config or PerformancePredictorConfig()
        metric = task.metric if task else "accuracy"
        self.metric = f"predicted_{metric}"
        self.forecast = self.metric if self.config.prefilter else ""
        direction = task.direction if task else "max"
        ends = (1.0, 0.0) if direction == "max" else (0.0, 1.0)
        self.provides: Sequence[Metric] = (Metric(self.metric, direction, f"{metric}, predicted", "", *ends),)
        self._earlier: list[Example] = []
        if self.config.runs and task is not None and space is not None:
            from hwnas_hls_plugins.estimators.performance_predictor.examples import of_runs

            # Read now, so errors are reported before the run starts.
            self._earlier = of_runs(self.config.runs, task, space, self.config.features)
        self._vectors: dict[str, NDArray[np.float64]] = {}
        self._model: tuple[tuple[int, str], Ensemble, int] | None = None

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """See ``Estimator``; no number while there are too few examples."""
        examples = self._examples(context)
        if len(examples) < self.config.startup:
            return [Estimates() for _ in candidates]
        model = self._fitted(examples, context)
        classes = context.dataset.kind == CLASSIFICATION
        where = f" and {len(self._earlier)} of earlier runs" if self._earlier else ""
        evidence = (
            f"{self.config.trees} trees on {len(examples)} trained candidates of this run{where}; "
            f"interval from their errors on unseen candidates"
        )
        found = [Estimates() for _ in candidates]
        rows: dict[int, NDArray[np.float64]] = {}
        for place, candidate in enumerate(candidates):
            known = {name: item.value for name, item in context.known.get(candidate.key, {}).items()}
            missing = [name for name in self.config.features if name not in known]
            try:
                if missing:
                    raise Unsupported(f"no estimator before the predictor provides {missing[0]}")
                rows[place] = self._row(candidate, known, context)
            except HwnasError as error:
                found[place] = Estimates.failed(error)
        if rows:
            ends = model.predict(np.stack(list(rows.values())))
            value, low, high = (_accuracy(end) if classes else end for end in ends)
            for number, place in enumerate(rows):
                numbers = (float(value[number]), float(low[number]), float(high[number]))
                estimate = Estimate(self.metric, *numbers, "predicted", evidence, self.config.coverage)
                found[place] = Estimates({self.metric: estimate})
        return found

    def _examples(self, context: Context) -> list[Example]:
        from hwnas_hls_plugins.estimators.performance_predictor.examples import (
            from_bytes,
            of_records,
            to_bytes,
        )

        if self.config.runs:
            # Earlier runs may grow during an interruption of this one, which keeps its first examples.
            kept = context.cache.get(_EARLIER)
            if kept is None:
                context.cache[_EARLIER] = to_bytes(self._earlier)
            else:
                self._earlier = from_bytes(kept)
        own = of_records(context.records, context.dataset.metric, self.config.features)
        known = {example.candidate.key for example in own}
        return [*(example for example in self._earlier if example.candidate.key not in known), *own]

    def _fitted(self, examples: Sequence[Example], context: Context) -> Ensemble:
        from hwnas_hls_plugins.estimators.performance_predictor.ensemble import Ensemble

        state = (len(examples), examples[-1].candidate.key)
        if self._model is not None and self._model[0] == state and self._model[2] == context.seed:
            return self._model[1]
        x = np.stack([self._row(example.candidate, example.known, context) for example in examples])
        y = np.array([example.value for example in examples])
        if context.dataset.kind == CLASSIFICATION:
            y = _shortfall(y)
        model = Ensemble(x, y, self.config.trees, self.config.coverage, context.seed)
        self._model = (state, model, context.seed)
        return model

    def _row(self, candidate: Candidate, known: Mapping[str, float], context: Context) -> NDArray[np.float64]:
        """The features of a network, its knobs and known metrics, as one vector."""
        if candidate.key not in self._vectors:
            parts = [describe(context.architecture(candidate))]
            if context.space is not None:
                parts.append(np.asarray(context.space.encode(candidate), np.float64))
            self._vectors[candidate.key] = np.concatenate(parts)
        metrics = [known[name] for name in self.config.features]
        return np.concatenate([self._vectors[candidate.key], metrics])


def _shortfall(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    """A logarithmic scale: 92 % to 94 % is about as much as 70 % to 77 %; larger is better."""
    return -np.log(1.0 - accuracy + _SMALLEST_SHORTFALL)


def _accuracy(shortfall: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(1.0 + _SMALLEST_SHORTFALL - np.exp(-shortfall), 0.0, 1.0)
