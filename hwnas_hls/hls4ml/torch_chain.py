"""The layers of a torch module in the order of its forward pass, where they form a chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ErrorKind, Unsupported, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Classes of ``torch.nn`` and names of ``torch`` functions -> names of activations.
_ACTIVATIONS = {
    "relu": "relu",
    "leakyrelu": "leaky_relu",
    "leaky_relu": "leaky_relu",
    "prelu": "prelu",
    "elu": "elu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "threshold": "thresholded_relu",
}
_SILENT = ("dropout", "identity", "flatten")


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of the chain: ``linear``, ``batch`` or the name of an activation."""

    kind: str
    name: str
    module: Any


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Real weights (n_in, n_out) and biases (n_out,) or ``None``."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64] | None

    @classmethod
    def of(cls, module: Any, name: str) -> Linear:
        weight = _array(module.weight).T
        bias = None if module.bias is None else _array(module.bias)
        if not np.isfinite(weight).all() or (bias is not None and not np.isfinite(bias).all()):
            raise UserError("weights are not finite", where=f"layer {name!r}")
        return cls(weight, bias)

    def folded(self, norm: Any) -> Linear:
        """With a batch normalisation behind it, by its running statistics."""
        if norm.running_mean is None or norm.running_var is None:
            raise Unsupported("a batch normalisation without running statistics has no hardware")
        scale = 1.0 / np.sqrt(_array(norm.running_var) + norm.eps)
        scale = scale if norm.weight is None else scale * _array(norm.weight)
        offset = 0.0 if norm.bias is None else _array(norm.bias)
        bias = 0.0 if self.bias is None else self.bias
        return Linear(self.weight * scale, offset + (bias - _array(norm.running_mean)) * scale)


def _array(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)


def chain_of(module: Any) -> Iterator[Step]:
    """The chain of a module in the order of its forward pass, by torch.fx as hls4ml does."""
    from torch import fx, nn

    if not isinstance(module, nn.Module):
        raise UserError(
            "not a torch module",
            where="query_of_torch",
            found=type(module).__name__,
            kind=ErrorKind.WRONG_FORMAT,
        )
    if isinstance(module, nn.Linear):
        yield Step("linear", "linear", module)
        return
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:  # torch.fx raises whatever the module's own code runs into
        raise Unsupported(f"torch.fx cannot trace the module: {str(error)[:200]}") from error
    previous = None
    for node in traced.graph.nodes:
        if node.op == "output":
            return
        if node.op == "get_attr":
            raise Unsupported(f"{node.name!r} reads its own parameter: only chains of layers are supported")
        if node.op != "placeholder" and node.all_input_nodes != [previous]:
            raise Unsupported(f"{node.name!r} does not read the layer before it: only chains are supported")
        if node.op == "placeholder" and previous is not None:
            raise Unsupported(f"a second input {node.name!r}: only chains of layers are supported")
        previous = node
        if node.op == "placeholder":
            continue
        inner = traced.get_submodule(node.target) if node.op == "call_module" else None
        kind = type(inner).__name__ if inner is not None else getattr(node.target, "__name__", node.target)
        lower = str(kind).lower().rstrip("_")
        if isinstance(inner, nn.Linear):
            yield Step("linear", node.name, inner)
        elif isinstance(inner, nn.BatchNorm1d):
            yield Step("batch", node.name, inner)
        elif lower in _ACTIVATIONS:
            yield Step(_ACTIVATIONS[lower], node.name, inner)
        elif not lower.startswith(_SILENT):
            raise Unsupported(
                f"layer {node.name!r} is {kind}: only Linear, activations, BatchNorm1d and Dropout work"
            )
