"""The layers of one depth, of all networks of a group. Loaded only to train, hence torch at the top."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from hwnas_hls_plugins.training.normalisation import Normalisation
from hwnas_hls_plugins.training.plan import LayerPlan


@dataclass(slots=True, eq=False)
class Run:
    """Neighbours at one level whose product is one call.

    A first layer reads the input copy ``source``; the others read their own slice of the
    level before (``values``). Shapes: weights (n, rows, cols), or (n * rows, cols) where the
    input is shared; sums and their gradients likewise with batch rows as the last axis.
    """

    source: int
    weights: Tensor
    weight_gradient: Tensor
    sums: Tensor
    gradient: Tensor
    values: Tensor | None = None
    values_gradient: Tensor | None = None


@dataclass(slots=True, eq=False)
class Level:
    """Everything of one depth, counted from the output; matrices are features x batch rows.

    ``values`` may be the ``sums`` themselves (nothing bounds them), and ``mask``, where the
    gradient passes, may take their place (nobody needs them any more).
    """

    layers: list[LayerPlan]
    starts: list[int]
    sums: Tensor
    values: Tensor
    mask: Tensor
    gradient: Tensor
    low: Tensor
    high: Tensor
    bounded: bool
    rectified: Tensor
    span: tuple[int, int]
    runs: list[Run] = field(default_factory=list)
    dropout: Tensor | None = None
    push: Tensor | None = None
    norm: Normalisation | None = None

    def slice(self, number: int) -> slice:
        return slice(self.starts[number], self.starts[number] + self.layers[number].rows)
