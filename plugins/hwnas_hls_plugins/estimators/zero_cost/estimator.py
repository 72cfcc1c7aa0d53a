"""The estimator ``zero-cost``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwnas_hls.errors import HwnasError, UserError
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.task import CLASSIFICATION, Split
from hwnas_hls.values.estimate import Estimate, Estimates, Metric
from hwnas_hls_plugins.estimators.zero_cost.probe import Matrix, Probe
from hwnas_hls_plugins.estimators.zero_cost.scores import METRICS, SCORES, Question

if TYPE_CHECKING:
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.protocols.task import Dataset
    from hwnas_hls.values.candidate import Candidate


@dataclass(frozen=True, slots=True)
class ZeroCostConfig:
    """Settings of the zero-cost proxies.

    Args:
        scores: names of the proxies; each is a separate metric.
        rows: number of training rows.
        repeats: number of draws of initial weights to average over.
    """

    scores: tuple[str, ...] = tuple(SCORES)
    rows: int = 32
    repeats: int = 1

    def __post_init__(self) -> None:
        for name in self.scores:
            if name not in SCORES:
                raise UserError("unknown zero-cost proxy", found=name, choices=SCORES)
        if not self.scores or len(set(self.scores)) != len(self.scores):
            raise UserError("scores must name at least one proxy, without duplicates", found=self.scores)
        if self.rows < 2:
            raise UserError("zero-cost proxies need at least 2 rows", found=self.rows)
        if self.repeats < 1:
            raise UserError("repeats of the zero-cost proxies must be at least 1", found=self.repeats)


class ZeroCostEstimator(Estimator):
    """Scores of the untrained network (synflow, snip and others) that may rank candidates like training.

    They are not accuracies and have no intervals. Each is a separate metric, for use as an objective or
    as a feature of the performance predictor. The network has its fixed-point types, so scores also
    depend on precision and sparsity. Only training rows are used.
    """

    name: ClassVar[str] = "zero-cost"
    version: str = "1"
    cost: float = 0.005
    proxies: bool = True
    Config: ClassVar[type[ZeroCostConfig]] = ZeroCostConfig
    config: ZeroCostConfig

    def __init__(self, config: ZeroCostConfig | None = None) -> None:
        self.config = config or ZeroCostConfig()
        self.provides: Sequence[Metric] = tuple(METRICS[name] for name in self.config.scores)

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One result per candidate; networks other than chains of dense layers fail."""
        rows, targets = _sample(context.dataset, self.config.rows, context.seed)
        return [self._one(candidate, context, rows, targets) for candidate in candidates]

    def _one(self, candidate: Candidate, context: Context, rows: Matrix, targets: Matrix) -> Estimates:
        classes = context.dataset.kind == CLASSIFICATION
        draws: dict[str, list[float]] = {name: [] for name in self.config.scores}
        try:
            architecture = context.architecture(candidate)
            for repeat in range(self.config.repeats):
                # The same draws for every candidate, so scores are comparable.
                probe = Probe(architecture, [context.seed, repeat], rows)
                question = Question(probe, rows, targets, classes, probe.forward(rows))
                for name in self.config.scores:
                    draws[name].append(SCORES[name](question))
        except HwnasError as error:
            return Estimates.failed(error)
        evidence = (
            f"score of the untrained network on {len(rows)} training rows, {self.config.repeats} draw(s) of "
            f"its weights; for ranking only, not an accuracy"
        )
        values = {}
        for name, found in draws.items():
            value = float(np.mean(found))
            values[name] = Estimate(name, value, value, value, "predicted", evidence)
        return Estimates(values)


def _sample(dataset: Dataset, count: int, seed: int) -> tuple[Matrix, Matrix]:
    """Random rows of the training split, by the run's seed: standardised features, and targets (one-hot
    classes or standardised values)."""
    split = dataset.train
    chosen = np.random.default_rng([seed, 0x2E50]).permutation(len(split))[:count]
    sample = Split(split.x[chosen], split.y[chosen])
    return dataset.standardised(sample), dataset.wanted(sample)
