"""The calibrated hardware model: latency, II, LUT, FF, DSP and BRAM of an hls4ml MLP before synthesis.

See ``docs/accuracy.md`` for how wrong it is, and :mod:`hwnas_hls.hls4ml.query` for its input.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.graph_query import query_of_graph
    from hwnas_hls.hls4ml.query import LayerQuery, Query, query_of
    from hwnas_hls.hls4ml.torch_query import query_of_torch
    from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration, read_calibration
    from hwnas_hls_plugins.estimators.hls_model.estimator import HlsModelEstimator
    from hwnas_hls_plugins.estimators.hls_model.prediction import Interval, LayerShare, Prediction
    from hwnas_hls_plugins.estimators.hls_model.predictor import predict

#: Name -> module, imported when asked for: the command line lists its commands without numpy.
_HOMES = {
    "Calibration": "hwnas_hls_plugins.estimators.hls_model.calibration",
    "HlsModelEstimator": "hwnas_hls_plugins.estimators.hls_model.estimator",
    "Interval": "hwnas_hls_plugins.estimators.hls_model.prediction",
    "LayerQuery": "hwnas_hls.hls4ml.query",
    "LayerShare": "hwnas_hls_plugins.estimators.hls_model.prediction",
    "Prediction": "hwnas_hls_plugins.estimators.hls_model.prediction",
    "Query": "hwnas_hls.hls4ml.query",
    "predict": "hwnas_hls_plugins.estimators.hls_model.predictor",
    "query_of": "hwnas_hls.hls4ml.query",
    "query_of_graph": "hwnas_hls.hls4ml.graph_query",
    "query_of_torch": "hwnas_hls.hls4ml.torch_query",
    "read_calibration": "hwnas_hls_plugins.estimators.hls_model.calibration",
}

__all__ = [
    "Calibration",
    "HlsModelEstimator",
    "Interval",
    "LayerQuery",
    "LayerShare",
    "Prediction",
    "Query",
    "predict",
    "query_of",
    "query_of_graph",
    "query_of_torch",
    "read_calibration",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
