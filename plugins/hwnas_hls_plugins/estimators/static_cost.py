"""Estimator ``static``: operation counts, model size and arithmetic energy from the layer list.

Parameters, multiply-accumulates, bit operations and model size are counts. ``energy_pj`` is a
model of the arithmetic only: the energies of integer operations in 45 nm CMOS at 0.9 V of
M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014 (8-bit add
0.03 pJ, 32-bit add 0.1 pJ, 8-bit multiply 0.2 pJ, 32-bit multiply 3.1 pJ), scaled by bit width.

Merges and poolings count as additions and comparisons, convolutions as their products at
every position.

Zero weights are not counted: hls4ml's ``Latency`` and ``distributed_arithmetic`` build nothing for
them. (``Resource`` stores and multiplies them; the hardware estimators account for this.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas_hls.errors import HwnasError
from hwnas_hls.network.architecture import Architecture, Conv2D, Layer, Merge, Pool2D
from hwnas_hls.network.layers import Weighted
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates, Source, measured

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design

#: pJ per product of two bits: 0.2 / 8**2 = 0.00313 and 3.1 / 32**2 = 0.00303, their geometric mean.
MULTIPLY_PJ_PER_BIT2 = 0.00308
#: pJ per bit of a sum: 0.03 / 8 = 0.00375 and 0.1 / 32 = 0.00313, their geometric mean.
ADD_PJ_PER_BIT = 0.00342
#: A part made in 16 nm at a lower voltage, with inputs that rarely toggle every bit, needs a fraction ...
LOW_FACTOR = 0.25
#: ... while programmable logic needs about 14 times the dynamic power of a standard-cell circuit of
#: the same generation (I. Kuon and J. Rose, IEEE TCAD 26(2), 2007).
HIGH_FACTOR = 14.0


@dataclass(frozen=True)
class StaticConfig:
    """Settings of the estimator ``static``.

    Args:
        multiply_pj_per_bit2: energy of a multiplication over the product of its operand widths.
        add_pj_per_bit: energy of an addition over its width.
    """

    multiply_pj_per_bit2: float = MULTIPLY_PJ_PER_BIT2
    add_pj_per_bit: float = ADD_PJ_PER_BIT

    def __post_init__(self) -> None:
        for name in ("multiply_pj_per_bit2", "add_pj_per_bit"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above zero, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over the layers of one network.

    Args:
        parameters: number of non-zero weights and biases.
        macs: multiply-accumulates per inference.
        bit_operations: products of bits: macs times weight bits times input bits.
        size_bits: bits of the parameters.
        add_bits: bits of all sums, accumulator width times additions (and comparisons of poolings).
    """

    parameters: int
    macs: int
    bit_operations: int
    size_bits: int
    add_bits: int


class StaticEstimator(Estimator):
    """Operation counts and arithmetic energy; needs no data, part or training."""

    name: ClassVar[str] = "static"
    Config: ClassVar[type[StaticConfig]] = StaticConfig
    config: StaticConfig
    provides: tuple[str, ...] = (
        "parameters",
        "macs",
        "bit_operations",
        "model_size_bytes",
        "energy_pj",
    )
    version: str = "2"
    #: Seconds per candidate; 10,000 candidates with four layers took 0.6 s on one shared core.
    cost: float = 6e-5
    #: Trained weights determine the number of zeros.
    uses_weights: bool = True

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` per candidate, in order; a candidate without an architecture fails."""
        found = []
        for candidate in candidates:
            design = context.designs.get(candidate.key)
            try:
                if design is not None:
                    found.append(self._estimates(count_design(design), _WEIGHTS_KNOWN))
                else:
                    architecture = context.architecture(candidate)
                    sparse = any(_sparsity(layer) for layer in architecture.layers)
                    found.append(
                        self._estimates(count(architecture), _WEIGHTS_PRUNED if sparse else _WEIGHTS_OPEN)
                    )
            except HwnasError as error:
                found.append(Estimates.failed(error))
        return found

    def _estimates(self, counts: Counts, basis: str) -> Estimates:
        config = self.config
        energy_pj = (
            config.multiply_pj_per_bit2 * counts.bit_operations + config.add_pj_per_bit * counts.add_bits
        )
        exact = {
            "parameters": counts.parameters,
            "macs": counts.macs,
            "bit_operations": counts.bit_operations,
            "model_size_bytes": counts.size_bits / 8,
        }
        values = {
            name: measured(name, float(value), Source.COUNTED, f"counted from the layer list; {basis}")
            for name, value in exact.items()
        }
        values["energy_pj"] = Estimate(
            "energy_pj",
            energy_pj,
            LOW_FACTOR * energy_pj,
            HIGH_FACTOR * energy_pj,
            "predicted",
            f"model of the arithmetic only (no memory, clock, wires, activation, input or output): "
            f"multiplications at {config.multiply_pj_per_bit2:g} pJ per product of bits, additions at "
            f"{config.add_pj_per_bit:g} pJ per bit{self._source()}; {basis}. Good for comparing designs; "
            f"uncalibrated, the interval is a rough one from 1/4 (finer process, few toggles) to 14 times "
            f"(programmable logic against standard cells, Kuon and Rose 2007)",
        )
        return Estimates(values)

    def _source(self) -> str:
        if self.config == StaticConfig():
            return " (45 nm CMOS, Horowitz, ISSCC 2014, scaled by width)"
        return " (as configured)"


_WEIGHTS_OPEN = "no weight is known yet, all are counted"
_WEIGHTS_PRUNED = "no weight is known yet, those that pruning will leave are counted"
_WEIGHTS_KNOWN = "the non-zero weights and biases of the trained design are counted"


def _sparsity(layer: Layer) -> float:
    return layer.sparsity if isinstance(layer, Weighted) else 0.0


def count(architecture: Architecture) -> Counts:
    """Counts of a network without weights; pruned weights are left out, accumulators are exact."""
    types = [(source, accum) for source, accum, _ in architecture.layer_types()]
    weights, biases = [], []
    for layer in architecture.layers:
        held = math.prod(layer.weight_shape or (0,))
        weights.append(held - round(_sparsity(layer) * held))
        has_bias = isinstance(layer, Weighted) and layer.bias is not None
        biases.append((layer.weight_shape or (0,))[-1] if has_bias else 0)
    return _count(architecture, types, weights, biases)


def count_design(design: Design) -> Counts:
    """Counts of a trained design: its non-zero weights and biases, its own accumulators."""
    import numpy as np

    return _count(
        design.architecture,
        [(source, accum) for source, accum, _ in design.layer_types()],
        [0 if weight is None else int(np.count_nonzero(weight)) for weight in design.weights],
        [0 if bias is None else int(np.count_nonzero(bias)) for bias in design.biases],
    )


def _count(
    architecture: Architecture,
    types: Sequence[tuple[FixedType, FixedType]],
    weights: Sequence[int],
    biases: Sequence[int],
) -> Counts:
    macs = bit_operations = size_bits = add_bits = 0
    for layer, (source, accum), n_weights, n_biases in zip(
        architecture.layers, types, weights, biases, strict=True
    ):
        if not isinstance(layer, Weighted):
            add_bits += _sums(layer) * accum.width
            continue
        # A convolution uses each weight once per position, including padded margins.
        positions = layer.out_height * layer.out_width if isinstance(layer, Conv2D) else 1
        outputs = (layer.weight_shape or (0,))[-1]
        macs += n_weights * positions
        bit_operations += n_weights * positions * layer.weight.width * source.width
        size_bits += n_weights * layer.weight.width
        size_bits += n_biases * (layer.bias.width if layer.bias is not None else 0)
        # An output with k products needs k - 1 additions, and one more for its bias.
        add_bits += (max(0, n_weights - outputs) + n_biases) * positions * accum.width
    return Counts(sum(weights) + sum(biases), macs, bit_operations, size_bits, add_bits)


def _sums(layer: Layer) -> int:
    """The additions or comparisons of a layer without weights."""
    if isinstance(layer, Pool2D):
        return (layer.window - 1) * layer.n_out
    return layer.n_out if isinstance(layer, Merge) and layer.merge == "add" else 0
