"""The layers of one depth, of all networks of a group. Loaded only to train, hence torch at the top."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from hwnas_hls_plugins.training.normalisation import Normalisation
from hwnas_hls_plugins.training.plan import LayerPlan


@dataclass(slots=True, eq=False)
class Inner:
    """The input side of a run that follows another layer, all views of shared buffers.

    Args:
        values, values_gradient: (n, cols, batch rows), the level before.
        turned_values: (n, batch rows, n_in), without the constant 1.
        turned_weights: (n, cols, rows).
        all_gradient: (n, rows, batch rows), of the sums, the constant's row included.
    """

    values: Tensor
    turned_values: Tensor
    turned_weights: Tensor
    all_gradient: Tensor
    values_gradient: Tensor


@dataclass(slots=True, eq=False)
class Run:
    """Neighbours at one level whose product is one call.

    First layers read the input copy ``source``: weights (all their rows, cols), sums (all rows,
    batch rows). Others have ``inner``: weights (n, rows, cols), sums (n, rows, batch rows).

    Args:
        input: which of a batch's input copies holds ``source``.
        weight_gradient: without the biases and the row of the constant 1.
        gradient: of the sums; for ``inner`` without the row of the constant 1.
    """

    source: int
    weights: Tensor
    weight_gradient: Tensor
    sums: Tensor
    gradient: Tensor
    inner: Inner | None = None
    input: int = 0


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
