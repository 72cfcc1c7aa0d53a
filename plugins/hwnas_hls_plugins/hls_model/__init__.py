"""The calibrated hardware model: latency, II, LUT, FF, DSP and BRAM of an hls4ml MLP before synthesis.

See ``docs/accuracy.md`` for how wrong it is, and :mod:`hwnas_hls_plugins.hls_model.query` for its input.
"""

from __future__ import annotations

from hwnas_hls_plugins.hls_model.calibration import Calibration, read_calibration
from hwnas_hls_plugins.hls_model.estimator import HlsModelEstimator
from hwnas_hls_plugins.hls_model.prediction import Interval, LayerShare, Prediction, predict
from hwnas_hls_plugins.hls_model.query import LayerQuery, Query, query_of

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
    "read_calibration",
]
