"""Settings of the performance predictor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import UserError


@dataclass(frozen=True, slots=True)
class PerformancePredictorConfig:
    """What is learned from, and what the forecast is for.

    Args:
        prefilter: spare candidates that would be dominated even at the good end of their interval;
            false only gives the forecast as a metric.
        startup: finished candidates below which nothing is forecast.
        runs: folders of earlier runs on the same data and space to learn from, too.
        features: metrics of other estimators to learn from besides the network itself, for example
            ``synflow`` or ``supernet_accuracy``. They must not change once a candidate is trained.
        trees: of the ensemble.
        coverage: share of candidates whose metric is to lie in its interval.
    """

    prefilter: bool = True
    startup: int = 40
    runs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    trees: int = 100
    coverage: float = 0.9

    def __post_init__(self) -> None:
        if self.startup < 10:
            raise UserError("a predictor needs at least 10 examples", found=f"startup {self.startup}")
        if self.trees < 10:
            raise UserError("an ensemble has at least 10 trees", found=self.trees)
        if not 0.5 <= self.coverage < 1:
            raise UserError("coverage of the predictor lies in [0.5, 1)", found=self.coverage)
        # Absolute, so that the resolved spec means the same folders from anywhere.
        folders = tuple(str(Path(folder).expanduser().absolute()) for folder in self.runs)
        object.__setattr__(self, "runs", folders)
