"""Removal of saturation that no row needs: wider result types are often cheaper than comparisons."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate
from hwnas_hls_plugins.estimators.da_law import lut_of, sums_of
from hwnas_hls_plugins.estimators.refinement.simplify import bounds_of_results

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Result types do not become wider than this.
_MOST_BITS = 16


def without_idle_saturation(design: Design, rows: NDArray[np.int64]) -> Design:
    """A design whose layers saturate only where this is needed or cheaper.

    With distributed arithmetic, saturation costs about 1.5 LUTs per bit of the result. A type that holds
    every possible sum needs none, but the next layer then adds wider numbers. A layer gets such a type if
    no output changes on ``rows`` and the closed form of the LUTs is smaller.

    Args:
        design: a trained design; only chains of dense layers with distributed arithmetic change.
        rows: int64 (rows, n_in) on the input grid; training rows.
    """
    if not _is_adders(design):
        return design
    lut, outputs = lut_of(sums_of(design)), None
    for number in range(len(design.architecture.layers) - 1):
        wider = _held(design, number)
        if wider is None or (fewer := lut_of(sums_of(wider))) >= lut:
            continue
        if outputs is None:
            outputs = emulate(design, rows)
        if np.array_equal(emulate(wider, rows), outputs):
            design, lut = wider, fewer
    return design


def _is_adders(design: Design) -> bool:
    architecture = design.architecture
    return architecture.is_chain and all(
        layer.strategy == "distributed_arithmetic" and layer.activation in ("relu", "linear")
        for layer in architecture.chain
    )


def _held(design: Design, number: int) -> Design | None:
    """The design with a result type of a layer that holds every possible sum, if that is a wider one."""
    layer = design.architecture.chain[number]
    bounds = bounds_of_results(design)
    if layer.result is None or layer.result.overflow != "SAT" or len(bounds) <= number:
        return None
    low, high = bounds[number]
    kind = layer.result
    if not kind.signed and low < 0:
        return None
    bits = max(high, -low - 1).bit_length() + kind.signed
    if not kind.width < bits <= _MOST_BITS:
        return None
    wide = dataclasses.replace(kind, width=bits, integer=bits - kind.fraction)
    layers = list(design.architecture.layers)
    layers[number] = dataclasses.replace(layer, result=wide)
    # Neurons with a type of their own keep their range, except those with that of the layer.
    grown = bits - kind.width
    neurons = list(design.neurons)
    if design.own_results(number):
        neurons[number] = tuple(
            dataclasses.replace(own, width=own.width + grown, integer=own.integer + grown)
            if own is not None and own.signed == kind.signed and own.integer == kind.integer
            else own
            for own in neurons[number]
        )
    architecture = dataclasses.replace(design.architecture, layers=tuple(layers))
    return dataclasses.replace(design, architecture=architecture, neurons=tuple(neurons))
