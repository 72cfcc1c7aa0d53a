"""Quantisation-aware training of networks that are graphs: merges, convolutions, pooling, ``leaky_relu``.

Many networks train at once, whatever their shapes; the loop, its settings and the early stopping
are those of :mod:`hwnas_hls_plugins.estimators.training`, which passes
all networks other than plain chains to this package.
"""
