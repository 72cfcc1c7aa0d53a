"""Many chains of dense layers at once, as columns: what a space may give in place of architectures.

An ``Architecture`` is made of objects, some tens of them; where millions of
candidates are only to be predicted, columns of numbers are made more than ten times as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hwnas_hls.values.candidate import Candidate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TypeColumns:
    """A fixed-point type of each layer.

    Attributes:
        width: bits in all.
        fraction: fractional bits.
        modes: how many of rounding and overflow are not Vitis' defaults, 0 to 2.
    """

    width: NDArray[np.int64]
    fraction: NDArray[np.int64]
    modes: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LayerColumns:
    """Chains of dense layers, one entry a layer, those of one network together and in order.

    Attributes:
        depth: layers of each network, at least 1; one entry a network, as in ``clock_ns``.
        clock_ns: clock period, NaN where the network names none.
        n_in, n_out: widths.
        input, weight, accum, result: types; ``accum`` of the sums, ``result`` of what is handed on.
        has_bias: whether the layer has biases.
        activation: place in :data:`~hwnas_hls.network.architecture.ACTIVATIONS`.
        strategy: place in :data:`~hwnas_hls.network.architecture.STRATEGIES`.
        reuse_factor: as in :class:`~hwnas_hls.network.architecture.Dense`.
        sparsity: share of the weights pruned to zero.
    """

    depth: NDArray[np.int64]
    clock_ns: NDArray[np.float64]
    n_in: NDArray[np.int64]
    n_out: NDArray[np.int64]
    input: TypeColumns
    weight: TypeColumns
    accum: TypeColumns
    result: TypeColumns
    has_bias: NDArray[np.bool_]
    activation: NDArray[np.int64]
    strategy: NDArray[np.int64]
    reuse_factor: NDArray[np.int64]
    sparsity: NDArray[np.float64]


@runtime_checkable
class Columnar(Protocol):
    """A :class:`~hwnas_hls.protocols.space.Space` that gives its candidates as columns too."""

    def layer_columns(self, candidates: Sequence[Candidate]) -> LayerColumns | None:
        """The layers of the candidates' architectures; ``None`` where their objects are needed.

        Every number is the one that ``architecture`` would lead to.
        """
        ...


def each_kind(
    rule: Callable[[int, int, int], int],
    n_in: NDArray[np.int64],
    n_out: NDArray[np.int64],
    reuse_factor: NDArray[np.int64],
) -> NDArray[np.int64]:
    """``rule(n_in, n_out, reuse_factor)`` of every layer, asked once for layers that are alike.

    Raises:
        OverflowError: products of the three do not fit into 63 bits.
    """
    import numpy as np

    most_out, most_reuse = int(n_out.max()) + 1, int(reuse_factor.max()) + 1
    if (int(n_in.max()) + 1) * most_out * most_reuse >= 2**63:
        raise OverflowError("layers or reuse factors too large to be told apart by one number")
    keys, place = np.unique((n_in * most_out + n_out) * most_reuse + reuse_factor, return_inverse=True)
    found = [
        rule(key // most_reuse // most_out, key // most_reuse % most_out, key % most_reuse)
        for key in keys.tolist()
    ]
    return np.array(found, np.int64)[place]
