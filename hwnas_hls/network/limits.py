"""Limits at which hls4ml or the HLS tools change what they build."""

from __future__ import annotations

#: Products of a layer, or values of an array, above which arrays are not partitioned (``maximum_size``
#: in hls4ml's ``project.tcl``) and the adder tree of the Latency strategy is not balanced (H572, H903,
#: H904 of fastmachinelearning/hls4ml).
UNROLL_LIMIT = 4096
#: Operand width above which a product takes two DSPs or is built from LUTs.
OPERAND_BITS = 26
#: Vitis HLS builds products of narrower operands from LUTs.
DSP_INPUT_BITS = 12
#: A float32 represents all values up to this width.
FLOAT_BITS = 24
#: A double represents all values up to this width; C simulation passes inputs and outputs as doubles.
DOUBLE_BITS = 53
#: Activations that hls4ml builds as lookup tables.
TABLES = ("tanh", "sigmoid", "softmax")
