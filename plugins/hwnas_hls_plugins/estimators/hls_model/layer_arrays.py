"""What the laws read of the layers of all designs, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LayerArrays:
    """What the laws read of each dense layer: float64 arrays of shape (layers,), designs one after the other.

    Attributes:
        n_in, n_out: widths.
        in_bits: width of the input's type; ``w_`` of the weights', ``acc_`` of the sums', ``out_`` of that
            before the activation, ``result_`` of that after it. ``_fraction`` are its fractional bits,
            ``_modes`` how many of rounding and overflow are not Vitis' defaults.
        reuse: reuse factor as asked for; ``legal_reuse`` as hls4ml builds it.
        strategy: ``LATENCY``, ``RESOURCE``, ``DISTRIBUTED`` or ``UNROLLED`` of
            :mod:`~hwnas_hls_plugins.estimators.hls_model.table`.
        activation: of its ``ACTIVATION_CODES``; ``batch`` 1 where a separate normalisation follows.
        has_bias, first, last: 0 or 1.
        habit: how the design's weights are typed, or that the layer is not pruned, a place in
            :data:`~hwnas_hls_plugins.estimators.hls_model.prior.HABITS`.
        knowledge: place in its ``KNOWLEDGE``.
        to_dsp, to_fabric: 1 where a directive binds the multiplications.
        live_bits: shape (layers, LEVELS); this and the others as in
            :class:`~hwnas_hls_plugins.estimators.hls_model.constants.ConstantCost`, counted where the weights
            are known and expected otherwise.
    """

    n_in: FloatArray
    n_out: FloatArray
    in_bits: FloatArray
    w_bits: FloatArray
    acc_bits: FloatArray
    acc_modes: FloatArray
    out_bits: FloatArray
    out_fraction: FloatArray
    result_bits: FloatArray
    result_fraction: FloatArray
    result_modes: FloatArray
    reuse: FloatArray
    legal_reuse: FloatArray
    strategy: FloatArray
    activation: FloatArray
    batch: FloatArray
    has_bias: FloatArray
    first: FloatArray
    last: FloatArray
    habit: FloatArray
    knowledge: FloatArray
    to_dsp: FloatArray
    to_fabric: FloatArray
    nonzeros: FloatArray
    multipliers: FloatArray
    multiplier_bits: FloatArray
    small_multipliers: FloatArray
    shift_adders: FloatArray
    shift_adder_bits: FloatArray
    tree_adders: FloatArray
    tree_bits: FloatArray
    bias_adders: FloatArray
    depth: FloatArray
    digits: FloatArray
    live_bits: FloatArray

    def at(self, rows: NDArray[np.int64] | slice) -> LayerArrays:
        """Some of the layers."""
        return LayerArrays(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))
