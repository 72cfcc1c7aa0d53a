"""The built-in estimators: cost from structure and from the calibrated model, and ways to get accuracy.

They use the engine and ``synthesizers.open_synthesis``. Begin with ``hls_model`` (latency, LUT, FF, DSP,
BRAM before synthesis) and ``training`` (quantisation-aware, many networks at once).
"""
