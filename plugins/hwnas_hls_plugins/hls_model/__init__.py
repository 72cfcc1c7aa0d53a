"""The calibrated hardware model: latency, II, LUT, FF, DSP and BRAM of an hls4ml MLP before synthesis.

See ``docs/accuracy.md`` for how wrong it is, and :mod:`hwnas_hls_plugins.hls_model.query` for its input.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas_hls_plugins.hls_model.calibration import Calibration, read_calibration
    from hwnas_hls_plugins.hls_model.estimator import HlsModelEstimator
    from hwnas_hls_plugins.hls_model.of_model import query_of_graph, query_of_torch
    from hwnas_hls_plugins.hls_model.prediction import Interval, LayerShare, Prediction, predict
    from hwnas_hls_plugins.hls_model.query import LayerQuery, Query, query_of

#: Name -> module, imported when asked for: the command line lists its commands without numpy.
_HOMES = {
    "Calibration": "calibration",
    "HlsModelEstimator": "estimator",
    "Interval": "prediction",
    "LayerQuery": "query",
    "LayerShare": "prediction",
    "Prediction": "prediction",
    "Query": "query",
    "predict": "prediction",
    "query_of": "query",
    "query_of_graph": "of_model",
    "query_of_torch": "of_model",
    "read_calibration": "calibration",
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
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
