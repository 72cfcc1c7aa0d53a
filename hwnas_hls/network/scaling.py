"""The input scaling of a network as its first layer: one constant subtraction and one shift per feature.

The layer's matrix is diagonal, its weights are powers of two and its result has the input type of the
network behind it, rounded half up and saturated like standardised features from a host. Emulator, hls4ml,
RTL, cost model and exporters build and count it like any other layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.features import FeatureTypes
from hwnas_hls.network.fields import HlsStrategy
from hwnas_hls.network.input_words import InputScaling
from hwnas_hls.network.layers import Dense
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def scaled(architecture: Architecture, scaling: InputScaling | None) -> Architecture:
    """The architecture with the scaling of raw words in front; unchanged if it has one or needs none.

    Single features keep all bits of their words: ``narrow_features`` is switched off.

    Raises:
        Unsupported: it is not a chain of dense layers, or has another number of inputs.
    """
    if scaling is None or architecture.scaling is not None:
        return architecture
    chain = architecture.chain
    if len(scaling.words) != architecture.n_in:
        raise Unsupported(
            f"a scaling of {len(scaling.words)} features before a network of {architecture.n_in} inputs",
            kind=ErrorKind.MISMATCH,
        )
    layers = (_layer(scaling, architecture.input, chain[0]), *(replace(layer, inputs=()) for layer in chain))
    return replace(architecture, input=scaling.kind, layers=layers, scaling=scaling, narrow_features=False)


def unscaled(architecture: Architecture) -> Architecture:
    """The network behind the scaling; unchanged without one."""
    if architecture.scaling is None:
        return architecture
    stage = architecture.chain[0]
    if stage.result is None:
        raise ValueError("a scaling has a result type")
    return replace(architecture, input=stage.result.plain, layers=architecture.layers[1:], scaling=None)


def scaled_design(design: Design, scaling: InputScaling | None) -> Design:
    """The design with the scaling of raw words in front; unchanged if it has one or needs none.

    Its outputs for words are those of ``design`` for the same features, bit for bit. Features that no neuron
    reads have no bits.

    Raises:
        Unsupported: it is not a chain of dense layers, or features have narrower types of their own.
    """
    architecture = scaled(design.architecture, scaling)
    if scaling is None or architecture is design.architecture:
        return design
    if any(own is not None and own != design.architecture.input.plain for own in design.features):
        raise Unsupported("a scaling in front of features with types of their own")
    first = design.chain_weights[0]
    read = (first != 0).any(axis=1)
    weight, bias = _constants(architecture, read)
    features: FeatureTypes = ()
    if architecture.allows_feature_types:
        features = tuple(
            word.plain if one else None for word, one in zip(scaling.words, read.tolist(), strict=True)
        )
    return replace(
        design,
        architecture=architecture,
        weights=(weight, *design.weights),
        biases=(bias, *design.biases),
        preprocessing=_words_as_they_are(design.preprocessing, architecture.n_in),
        features=features,
        neurons=((), *design.neurons) if design.neurons else (),
    )


def unscaled_design(design: Design) -> Design:
    """The design behind the scaling, from standardised features; unchanged without one."""
    scaling = design.architecture.scaling
    if scaling is None:
        return design
    names = design.preprocessing.names if design.preprocessing is not None else ()
    return replace(
        design,
        architecture=unscaled(design.architecture),
        weights=design.weights[1:],
        biases=design.biases[1:],
        preprocessing=Preprocessing(*scaling.standardisation, names),
        features=(),
        neurons=design.neurons[1:],
    )


def scaling_alone(architecture: Architecture) -> Design:
    """The scaling of an architecture as a design of one layer, with its constants.

    Raises:
        ValueError: the architecture has none.
    """
    import numpy as np

    scaling = architecture.scaling
    if scaling is None:
        raise ValueError("an architecture without a scaling")
    weight, bias = _constants(architecture, np.ones(architecture.n_in, bool))
    alone = replace(architecture, layers=architecture.layers[:1], kept_adders=1.0)
    features = tuple(word.plain for word in scaling.words) if architecture.allows_feature_types else ()
    return Design(alone, (weight,), (bias,), features=features)


def _layer(scaling: InputScaling, source: FixedType, first: Dense) -> Dense:
    """The layer of a scaling, whose result is of type ``source``."""
    shifts, n_in = scaling.shifts, len(scaling.words)
    weight_bits = max(shifts) - min(shifts) + 2
    distributed = first.strategy == HlsStrategy.DISTRIBUTED_ARITHMETIC
    biases, fraction = _biases(scaling, source)
    bias_bits = max(max(bias, ~bias).bit_length() for bias in biases) + 1
    return Dense(
        n_in,
        n_in,
        "linear",
        FixedType(weight_bits, weight_bits - max(shifts)),
        FixedType(bias_bits, bias_bits - fraction),
        # The half of rounding half up is in the bias.
        result=replace(source.plain, rounding="TRN", overflow="SAT"),
        strategy=HlsStrategy.DISTRIBUTED_ARITHMETIC if distributed else HlsStrategy.LATENCY,
        sparsity=1.0 - 1.0 / n_in,
    )


def _biases(scaling: InputScaling, source: FixedType) -> tuple[list[int], int]:
    """Negative offsets, with half a step of ``source`` where bits are dropped; and their fraction."""
    grids = [word.fraction + shift for word, shift in zip(scaling.words, scaling.shifts, strict=True)]
    fraction = max(grids)
    halves = [1 << (fraction - source.fraction - 1) if grid > source.fraction else 0 for grid in grids]
    offsets = [-offset << (fraction - grid) for offset, grid in zip(scaling.offsets, grids, strict=True)]
    return [offset + half for offset, half in zip(offsets, halves, strict=True)], fraction


def _constants(
    architecture: Architecture, read: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Weights and biases of the scaling of an architecture; 0 for features that are not read."""
    import numpy as np

    scaling = architecture.scaling
    if scaling is None:
        raise ValueError("an architecture without a scaling")
    biases, _ = _biases(scaling, unscaled(architecture).input)
    top = max(scaling.shifts)
    powers = np.array([1 << (top - shift) for shift in scaling.shifts], np.int64)
    return np.diag(powers * read), np.array(biases, np.int64) * read


def _words_as_they_are(given: Preprocessing | None, n_in: int) -> Preprocessing:
    """The preprocessing that changes nothing, with the names of the features."""
    import numpy as np

    return Preprocessing(np.zeros(n_in), np.ones(n_in), given.names if given is not None else ())
