"""The calibrated hardware model: latency, II, LUT, FF, DSP and BRAM of an hls4ml MLP before synthesis.

See ``docs/accuracy.md`` for how wrong it is, and :mod:`hwnas_hls_plugins.hls_model.query` for its input.
"""

from __future__ import annotations

from hwnas_hls_plugins.hls_model.query import LayerQuery, Query, query_of

__all__ = ["LayerQuery", "Query", "query_of"]
