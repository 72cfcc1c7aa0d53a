"""Checks whether a project on disk is the hardware of a design, by types, weights and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas_hls.hls4ml.belonging import plain_part
from hwnas_hls.hls4ml.query import LayerQuery, Query
from hwnas_hls.network.features import FeatureTypes
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.reuse import nearest_legal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def differences(asked: Query, there: Query) -> list[str]:
    """The differences between a design and a project, as text; empty if they match.

    Tools and stages are not compared, because they belong to the report. Weights are compared by value;
    the same values in a wider type differ in type only.
    """
    out = []
    if asked.shape != there.shape:
        return [f"its layers are {there.shape}, not {asked.shape}"]
    if plain_part(asked.part) != plain_part(there.part):
        out.append(f"its part is {there.part}, not {asked.part}")
    if abs(asked.clock_ns - there.clock_ns) > 1e-6:
        out.append(f"its clock is {there.clock_ns:g} ns, not {asked.clock_ns:g} ns")
    if asked.io_type != there.io_type:
        out.append(f"it is {there.io_type}, not {asked.io_type}")
    for number, (wanted, found) in enumerate(zip(asked.layers, there.layers, strict=True)):
        out += [f"layer {number}: {text}" for text in _layer(wanted, found)]
    return out


def _layer(wanted: LayerQuery, found: LayerQuery) -> list[str]:
    out = []
    if _strategy(wanted) != _strategy(found):
        out.append(f"strategy {found.strategy}, not {wanted.strategy}")
    elif _factor(wanted) != _factor(found):
        out.append(f"reuse factor {_factor(found)}, not {_factor(wanted)}")
    if wanted.activation != found.activation or wanted.normalisation != found.normalisation:
        out.append(f"activation {found.activation}, not {wanted.activation}")
    names = ["input", "result"]
    if wanted.activation != "linear":
        names.append("dense_out")  # without an activation, this is the result
    if _strategy(wanted) != "distributed_arithmetic":
        names += ["weight", "accum"]  # an adder graph has neither
    for name in names:
        asked_type, built = getattr(wanted, name), getattr(found, name)
        if asked_type is not None and built is not None and asked_type != built:
            out.append(f"{name} type {built}, not {asked_type}")
    if _cast(wanted) != _cast(found):
        out.append("other types of single features")
    if not _equal(wanted.weights, wanted.weight, found.weights, found.weight):
        out.append("different weights" if found.weights is not None else "no weights to compare")
    if not _equal_biases(wanted, found):
        out.append("other biases")
    return out


def _cast(layer: LayerQuery) -> FeatureTypes:
    """The types of the features; the type of an unused feature does not matter."""
    if not layer.features or layer.weights is None:
        return layer.features
    read = (layer.weights != 0).any(axis=1)
    return tuple(kind if one else None for kind, one in zip(layer.features, read, strict=True))


def _strategy(layer: LayerQuery) -> str:
    name = layer.strategy.lower().replace("_", "")
    return {"distributedarithmetic": "distributed_arithmetic", "da": "distributed_arithmetic"}.get(name, name)


def _factor(layer: LayerQuery) -> int:
    if _strategy(layer) == "resource":
        return nearest_legal(layer.n_in, layer.n_out, "Resource", layer.reuse_factor)
    return layer.reuse_factor


def _equal(
    wanted: NDArray[np.int64] | None, grid: FixedType, found: NDArray[np.int64] | None, other: FixedType
) -> bool:
    """Whether the real values are equal; always true if the design has no weights."""
    import numpy as np

    if wanted is None:
        return True
    if found is None or found.shape != wanted.shape:
        return False
    left = wanted.astype(object) * 2 ** max(0, other.fraction - grid.fraction)
    right = found.astype(object) * 2 ** max(0, grid.fraction - other.fraction)
    return bool(np.array_equal(left, right))


def _equal_biases(wanted: LayerQuery, found: LayerQuery) -> bool:
    import numpy as np

    zeros = np.zeros(wanted.n_out, np.int64)
    grid = FixedType(1, 1)
    if wanted.biases is None and wanted.bias is not None:
        return True
    return _equal(
        zeros if wanted.biases is None else wanted.biases,
        wanted.bias or grid,
        zeros if found.biases is None else found.biases,
        found.bias or grid,
    )
