"""A plugin with one estimator: accuracy, LUTs and latency by formulas that take microseconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hwnas_hls import hookimpl
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates, measured

#: Parameters of an Optuna trial that stands for a candidate: the median number of its active knobs.
KNOBS = 20


class Formula(Estimator):
    """Costs from the number of products, accuracy from their logarithm."""

    name = "formula"
    version = "1"
    cost = 1e-6
    provides = ("accuracy", "lut", "latency_ns")

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        found = []
        for candidate in candidates:
            layers = context.architecture(candidate).chain
            lut = float(sum(layer.n_products * layer.weight.width for layer in layers))
            latency = context.clock_ns * sum(1 + layer.reuse_factor for layer in layers)
            accuracy = 1 - 1 / (2 + math.log(lut)) - 0.001 * (int(candidate.key[:4], 16) % 97)
            found.append(
                Estimates(
                    {
                        "accuracy": measured("accuracy", accuracy, "trained", "formula"),
                        "lut": Estimate("lut", lut, 0.9 * lut, 1.1 * lut, "predicted", "formula"),
                        "latency_ns": measured("latency_ns", latency, "csynth", "formula"),
                    }
                )
            )
        return found


@hookimpl
def hwnas_register_estimators() -> Iterable[type]:
    return (Formula,)
