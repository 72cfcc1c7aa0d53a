"""The built-in estimators: hardware cost before synthesis, training, and predictors of accuracy.

They use the engine and ``synthesizers.open_synthesis``. Begin with ``hls_model`` (latency, LUT, FF, DSP,
BRAM before synthesis) and ``training`` (quantisation-aware, many networks at once).
"""
