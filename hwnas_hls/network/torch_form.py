"""A design as a torch module with the same outputs as its hardware."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network import emulator
from hwnas_hls.network.features import FeatureTypes, ends, with_modes
from hwnas_hls.network.layers import LEAKY_SLOPE

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.network.layers import Dense
    from hwnas_hls.network.precision import FixedType


class InputGrid(nn.Module):
    """Raw features -> inputs on their grid: standardised, rounded and saturated as by the host.

    Gradients do not pass.
    """

    def __init__(self, design: Design) -> None:
        super().__init__()
        self._design = design

    def forward(self, x: Any) -> Any:
        integers = emulator.input_integers(self._design, x.detach().double().cpu().numpy())
        step = 2.0**-self._design.architecture.input.fraction
        return torch.from_numpy(integers * step).to(x.device)

    def extra_repr(self) -> str:
        return str(self._design.architecture.input)


class OnGrid(nn.Module):
    """Values -> the nearest values of a fixed-point type, by its rounding and overflow modes.

    The gradient passes inside the range of the type and is zero outside (straight-through estimator).

    Args:
        kind: of all values.
        own: types of single values, see :attr:`hwnas_hls.network.design.Design.neurons`.
    """

    def __init__(self, kind: FixedType, own: FeatureTypes = ()) -> None:
        super().__init__()
        self.kind, self.own = kind, own

    def forward(self, x: Any) -> Any:
        return _Cast.apply(x, self.kind, self.own)  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        return f"{self.kind}, types of single values" if self.own else str(self.kind)


class _Cast(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Any, kind: FixedType, own: FeatureTypes) -> Any:
        step, count = 2.0**-kind.fraction, x.shape[-1]
        low, high = (torch.from_numpy(end * step).to(x.device) for end in ends(own, kind, count))
        context.save_for_backward((x >= low) & (x <= high))
        values = x.detach().cpu().numpy()
        if not own:
            return torch.from_numpy(kind.integers(values) * step).to(x.device)
        columns = [
            with_modes(one, kind).integers(values[..., place]) * 2.0 ** -with_modes(one, kind).fraction
            if one is not None
            else values[..., place] * 0.0
            for place, one in enumerate(own)
        ]
        return torch.from_numpy(np.stack(columns, axis=-1)).to(x.device)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        (inside,) = context.saved_tensors
        return gradients[0] * inside, None, None


def torch_form(design: Design) -> nn.Sequential:
    """The module of a design; see :meth:`hwnas_hls.network.design.Design.to_torch`.

    Raises:
        Unsupported: it is not a chain of dense layers, an accumulator is narrower than the exact sums,
            or an activation uses a lookup table.
    """
    modules: list[tuple[str, nn.Module]] = [("inputs", InputGrid(design))]
    weights, types = design.chain_weights, design.layer_types()
    for number, (layer, weight) in enumerate(zip(design.architecture.chain, weights, strict=True)):
        _, accum, result = types[number]
        if layer.accum is not None:
            raise Unsupported(
                f"layer {number} rounds its products to {layer.accum}: a torch layer sums exactly",
                kind=ErrorKind.INEXACT,
            )
        modules.append((f"dense{number}", _linear(layer, weight, design.biases[number])))
        if layer.activation == "relu":
            modules.append((f"relu{number}", nn.ReLU()))
        elif layer.activation == "leaky_relu":
            modules.append((f"leaky_relu{number}", nn.LeakyReLU(LEAKY_SLOPE)))
        elif layer.activation != "linear":
            raise Unsupported(f"layer {number}: {layer.activation} uses a lookup table")
        if result != accum or layer.activation == "leaky_relu" or design.own_results(number):
            modules.append((f"result{number}", OnGrid(result, design.own_results(number))))
    return nn.Sequential(OrderedDict(modules)).eval()


def _linear(layer: Dense, weight: Any, bias: Any) -> nn.Linear:
    module = nn.Linear(layer.n_in, layer.n_out, bias=bias is not None, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight.T * 2.0**-layer.weight.fraction))
        if bias is not None and layer.bias is not None:
            module.bias.copy_(torch.from_numpy(bias * 2.0**-layer.bias.fraction))
    return module
