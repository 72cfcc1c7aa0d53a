"""Numbers at which hls4ml or its tools change what they build, each once for the whole package."""

from __future__ import annotations

#: Products of a layer, or values of an array, beyond which arrays stop being partitioned (``maximum_size``
#: in hls4ml's ``project.tcl``) and the adder tree of the Latency strategy is no longer balanced (H572, H903,
#: H904 of fastmachinelearning/hls4ml).
UNROLL_LIMIT = 4096
#: Bits of an operand beyond which a product takes two DSPs or collapses into LUTs.
OPERAND_BITS = 26
#: Vitis HLS builds products of narrower inputs from LUTs.
DSP_INPUT_BITS = 12
#: A float32 holds every value up to this width.
FLOAT_BITS = 24
#: A double, through which C simulation takes its inputs and gives its outputs, up to this one.
DOUBLE_BITS = 53
#: Activations that hls4ml builds as tables.
TABLES = ("tanh", "sigmoid", "softmax")
