"""Estimator ``static``: what a network costs on paper, from its layer list alone.

Parameters, multiply-accumulates, bit operations and model size are counts. ``energy_pj`` is a
model of the arithmetic only: the energies of integer operations in 45 nm CMOS at 0.9 V of
M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014 (8-bit add
0.03 pJ, 32-bit add 0.1 pJ, 8-bit multiply 0.2 pJ, 32-bit multiply 3.1 pJ), scaled by bit width.

Zero weights are counted nowhere: hls4ml's ``Latency`` and ``distributed_arithmetic`` build
nothing for them. (``Resource`` stores and multiplies them all the same; what hardware costs is
the business of the hardware estimator.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas_hls.architecture import Architecture
from hwnas_hls.candidate import Candidate
from hwnas_hls.errors import HwnasError
from hwnas_hls.estimate import Estimate, Estimates, measured
from hwnas_hls.estimator import Context
from hwnas_hls.precision import FixedType

if TYPE_CHECKING:
    from hwnas_hls.design import Design

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
                raise ValueError(f"{name} is above zero, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over the layers of one network.

    Args:
        parameters: weights and biases that are not zero.
        macs: multiply-accumulates per inference.
        bit_operations: products of bits: macs times weight bits times input bits.
        size_bits: bits of the parameters.
        add_bits: bits of all sums, accumulator width times additions.
    """

    parameters: int
    macs: int
    bit_operations: int
    size_bits: int
    add_bits: int


class StaticEstimator:
    """Counts and arithmetic energy; needs no data, no part, no training."""

    name: ClassVar[str] = "static"
    Config: ClassVar[type[StaticConfig]] = StaticConfig
    provides: ClassVar[tuple[str, ...]] = (
        "parameters",
        "macs",
        "bit_operations",
        "model_size_bytes",
        "energy_pj",
    )
    version: ClassVar[str] = "1"
    #: Seconds a candidate; 10,000 candidates of four layers took 0.6 s on one shared core.
    cost: ClassVar[float] = 6e-5
    #: Once weights are known their zeros are.
    uses_weights: ClassVar[bool] = True

    def __init__(self, config: StaticConfig) -> None:
        self.config = config

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` a candidate, in order; a candidate without architecture fails."""
        found = []
        for candidate in candidates:
            design = context.designs.get(candidate.key)
            try:
                if design is not None:
                    found.append(self._estimates(count_design(design), _WEIGHTS_KNOWN))
                else:
                    architecture = context.architecture(candidate)
                    sparse = any(layer.sparsity for layer in architecture.chain)
                    found.append(
                        self._estimates(count(architecture), _WEIGHTS_PRUNED if sparse else _WEIGHTS_OPEN)
                    )
            except HwnasError as error:
                found.append(Estimates(failure=str(error)))
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
            name: measured(name, float(value), "predicted", f"counted from the layer list; {basis}")
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


def count(architecture: Architecture) -> Counts:
    """Counts of a network without weights; pruned weights are left out, accumulators are exact."""
    types = [
        (source, layer.accum or layer.exact_accum(source)) for source, layer in architecture.layer_inputs()
    ]
    return _count(
        architecture,
        types,
        [layer.n_products - round(layer.sparsity * layer.n_products) for layer in architecture.chain],
        [layer.n_out if layer.bias is not None else 0 for layer in architecture.chain],
    )


def count_design(design: Design) -> Counts:
    """Counts of a trained design: its non-zero weights and biases, its own accumulators."""
    import numpy as np

    return _count(
        design.architecture,
        [(source, accum) for source, accum, _ in design.layer_types()],
        [int(np.count_nonzero(weight)) for weight in design.weights],
        [0 if bias is None else int(np.count_nonzero(bias)) for bias in design.biases],
    )


def _count(
    architecture: Architecture,
    types: Sequence[tuple[FixedType, FixedType]],
    weights: Sequence[int],
    biases: Sequence[int],
) -> Counts:
    bit_operations = size_bits = add_bits = 0
    for layer, (source, accum), n_weights, n_biases in zip(
        architecture.chain, types, weights, biases, strict=True
    ):
        bit_operations += n_weights * layer.weight.width * source.width
        size_bits += n_weights * layer.weight.width
        size_bits += n_biases * (layer.bias.width if layer.bias is not None else 0)
        # An output of k products takes k - 1 additions, and one more for its bias.
        add_bits += (max(0, n_weights - layer.n_out) + n_biases) * accum.width
    return Counts(sum(weights) + sum(biases), sum(weights), bit_operations, size_bits, add_bits)
