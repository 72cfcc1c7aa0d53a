"""Settings of the performance predictor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import UserError


@dataclass(frozen=True, slots=True)
class PerformancePredictorConfig:
    """Settings of the performance predictor.

    Args:
        prefilter: do not train candidates that would be dominated even at the optimistic end of their
            interval; if false, the forecast is only a metric.
        startup: minimum number of trained candidates for a forecast.
        runs: folders of earlier runs with the same data and space, as additional training examples.
        features: metrics of other estimators used as features in addition to the network, for example
            ``synflow`` or ``supernet_accuracy``. They must not change when a candidate is trained.
        trees: number of trees of the ensemble.
        coverage: share of candidates whose metric is in its interval.
    """

    prefilter: bool = True
    startup: int = 40
    runs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    trees: int = 100
    coverage: float = 0.9

    def __post_init__(self) -> None:
        if self.startup < 10:
            raise UserError("the predictor needs at least 10 examples", found=f"startup {self.startup}")
        if self.trees < 10:
            raise UserError("the ensemble needs at least 10 trees", found=self.trees)
        if not 0.5 <= self.coverage < 1:
            raise UserError("the coverage of the predictor must be in [0.5, 1)", found=self.coverage)
        # Absolute paths keep the resolved spec valid in any folder.
        folders = tuple(str(Path(folder).expanduser().absolute()) for folder in self.runs)
        object.__setattr__(self, "runs", folders)
