"""The closed form of the ``Latency`` strategy as a torch function, for gradient-based search.

Bit widths, densities and even layer widths may be real numbers: counts are expectations under the prior on
weights of ``prior``, rounding is left out, and the steps of pipelining are
softened. Of 60 random networks of one to four layers with unknown weights, its LUTs are 7 % off
those of ``predict`` in the median, 15 % in the ninth decile and 18 % at most;
a test holds it to 8, 16 and 20 %. Its gradients say which bit or weight is worth dropping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration, read_calibration
from hwnas_hls_plugins.estimators.hls_model.keys import groups
from hwnas_hls_plugins.estimators.hls_model.prior import weight_prior
from hwnas_hls_plugins.estimators.hls_model.silicon import (
    PART_CLASSES,
    SLOWER_BY_GRADE,
    default_uncertainty,
    part_class,
    speed_grade,
    tool_of,
)

if TYPE_CHECKING:
    import torch

# Logistic curves through the prior's tables, over log2 of the weights' rms in LSBs: the share of constants
# with three CSD digits and more, and of those with two.
_MULTIPLIER_CENTRE, _MULTIPLIER_WIDTH = 5.9, 1.35
_SHIFT_CENTRE, _SHIFT_WIDTH, _SHIFT_SHARE = 1.3, 0.9, 0.68


@dataclass(frozen=True, slots=True, eq=False)
class SmoothCost:
    """Expected cost; every entry is a tensor of the batch's shape and carries gradients.

    Attributes:
        lut, dsp: of the asked stage.
        latency_cycles: real-valued, softened steps.
        latency_ns: cycles times the clock period.
    """

    lut: torch.Tensor
    dsp: torch.Tensor
    latency_cycles: torch.Tensor
    latency_ns: torch.Tensor


def smooth_cost(
    widths: torch.Tensor,
    weight_bits: torch.Tensor,
    weight_integer: torch.Tensor,
    input_bits: torch.Tensor,
    accum_bits: torch.Tensor,
    density: torch.Tensor,
    *,
    part: str,
    clock_ns: float = 5.0,
    tool: str = "vitis_hls 2023.2",
    stage: str = "csynth",
    relu: bool = True,
    calibration: Calibration | None = None,
) -> SmoothCost:
    """Expected LUTs, DSPs and latency of an MLP of L dense layers at reuse factor 1.

    Args:
        widths: shape (..., L + 1), neurons from input to output.
        weight_bits, weight_integer: shape (..., L), W and I of the weights' ``ap_fixed<W,I>``.
        input_bits: shape (..., L), width of each layer's input.
        accum_bits: shape (..., L), width of its sum, taken as exact.
        density: shape (..., L), share of weights that are not zero.
        part, clock_ns, tool, stage: as in :class:`~hwnas_hls.hls4ml.query.Query`.
        relu: whether every layer but the last is followed by a ReLU.
    """
    import torch

    fitted = calibration or read_calibration()
    k = fitted.coefficients
    compiler = tool_of(tool)
    silicon = part_class(part)
    vitis = compiler.family == "vitis"
    place = PART_CLASSES.index(silicon)

    n_in, n_out = widths[..., :-1], widths[..., 1:]
    nonzeros = n_in * n_out * density
    last = torch.zeros_like(n_in)
    last[..., -1] = 1.0
    trained = weight_prior()
    kappa = trained.kappa_hidden + (trained.kappa_last - trained.kappa_hidden) * last
    rms = kappa / torch.sqrt((density * n_in).clamp(min=1.0))
    log_rms = torch.log2(rms) + weight_bits - weight_integer
    log_rms = torch.minimum(log_rms, weight_bits - 1.0)

    # Distinct constants per input: n draws from that many equally likely ones.
    draws = (density * n_out).clamp(min=1e-6)
    levels = 4.2 * torch.exp2(0.84 * log_rms)
    distinct = n_in * levels * -torch.expm1(-draws / levels)
    many = torch.sigmoid((log_rms - _MULTIPLIER_CENTRE) / _MULTIPLIER_WIDTH)
    multipliers = distinct * many
    shift_adders = (
        distinct * (1.0 - many) * _SHIFT_SHARE * torch.sigmoid((log_rms - _SHIFT_CENTRE) / _SHIFT_WIDTH)
    )

    eligible = torch.sigmoid((input_bits - 11.5) * 8.0)
    dsp = multipliers * eligible
    constant_bits = 2.1 + 0.62 * log_rms.clamp(min=0.0)
    fabric_bits = multipliers * (1.0 - eligible) * input_bits * constant_bits

    terms = (nonzeros / n_out).clamp(min=1.0)
    # Equal sub-trees are shared: a pair of terms is one of `pairs`, two pairs one of `pairs` squared.
    pairs = (levels / density.clamp(min=0.05)) ** 2
    first = -torch.expm1(-n_out / pairs) * pairs / n_out
    second = -torch.expm1(-n_out / pairs**2) * pairs**2 / n_out
    adders = (nonzeros - n_out).clamp(min=0.0) * (0.5 * first + 0.25 * second + 0.25)
    # The mean logarithm of a weight is an octave below its rms; adders stand on level 2 on average.
    product_bits = input_bits + (log_rms - 1.0).clamp(min=0.0)
    adder_bits = torch.minimum(accum_bits, product_bits + 2.0)
    shift_lut = k["vitis_shift_adder_lut_per_bit"] if vitis else k["vivado_shift_adder_lut_per_bit"]
    relu_lut = k["vitis_relu_lut_per_bit"] if vitis else k["vivado_relu_lut_per_bit"]
    lut = (
        k["tree_lut_per_bit"] * adders * adder_bits
        + k["tree_lut_per_adder"] * adders
        + k["bias_lut_per_bit"] * n_out * accum_bits
        + shift_lut * shift_adders * (input_bits + 0.6 * constant_bits)
        + k["multiplier_lut_per_bit2"] * fabric_bits
        + k["output_lut_per_bit"] * n_out * accum_bits
    ).sum(-1)
    if relu:
        lut = lut + (relu_lut * n_out * accum_bits * (1.0 - last)).sum(-1)
    factor = fitted.factor(groups(stage, "latency", compiler.family, silicon, compiler.version), "lut")
    lut = lut * torch.exp(torch.tensor(factor, dtype=lut.dtype, device=lut.device))

    usable = clock_ns * (1.0 - default_uncertainty(compiler)) / SLOWER_BY_GRADE[speed_grade(part)]
    depth = torch.log2(terms) + 1.0
    product_ns = k.of_class_index("multiplier_ns", place) * ((input_bits / 16.0) ** 2) ** k.of_class_index(
        "multiplier_power", place
    )
    growth = 1.0 + (accum_bits - 16.0).clamp(min=0.0) / 32.0
    # One multiplier is enough to be on the longest path.
    present = -torch.expm1(-2.0 * multipliers)
    path = product_ns * present + k.of_class_index("adder_ns", place) * depth * growth
    # ceil(x) - 1 softened: half a cycle below x on average, never below zero.
    cycles = torch.nn.functional.softplus(4.0 * (path / usable - 0.5)) / 4.0
    each = k["vitis_layer_cycles"] if vitis else k["vivado_layer_cycles"]
    between = k.of_class_index("vitis_activation_cycles" if vitis else "vivado_activation_cycles", place)
    total = (cycles + each).sum(-1) + (between * (1.0 - last)).sum(-1) * float(relu)
    return SmoothCost(lut, dsp.sum(-1), total, total * clock_ns)
