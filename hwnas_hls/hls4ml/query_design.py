"""A query with weights as a design, whose outputs are then exact."""

from __future__ import annotations

import dataclasses

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.query import LayerQuery, Query
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design, Preprocessing

#: Activations without a lookup table whose definition is complete.
_EXACT = ("relu", "linear")


def design_of_query(
    query: Query, *, preprocessing: Preprocessing | None = None, labels: tuple[str, ...] = ()
) -> Design:
    """The design of a chain of dense layers with weights.

    A softmax at the end is left out: the largest output stays the largest. A result type equal to that of
    the sums is left out, too.

    Raises:
        Unsupported: weights are unknown, an activation uses a lookup table, or a layer of its own
            normalises; the layer is named.
    """
    # The host casts the inputs to their type; whether an assumption is right, the score will show.
    harmless = (NoteKind.INPUT_CAST, NoteKind.ASSUMED)
    reasons = [note.text for note in query.reasons if note.kind not in harmless]
    if reasons:
        raise Unsupported(f"{query.name or 'the model'}: {reasons[0]}")
    layers, weights, biases = [], [], []
    for number, layer in enumerate(query.layers):
        last = number == len(query.layers) - 1
        layers.append(_dense(number, layer, last=last, own=not last and bool(query.neurons[number])))
        weights.append(layer.weights)
        biases.append(layer.biases)
    architecture = Architecture(query.layers[0].input.plain, tuple(layers), io_type=query.io_type)
    return Design(
        architecture,
        tuple(weights),
        tuple(biases),
        preprocessing,
        labels,
        features=query.layers[0].features,
        neurons=query.neurons,
    )


def _dense(number: int, layer: LayerQuery, *, last: bool, own: bool) -> Dense:
    """A layer of the design.

    Args:
        own: whether its results have types of their own, which lie in the layer's.
    """
    activation = layer.activation
    if last and activation == "softmax":
        # Its table changes the values, not the order.
        layer = dataclasses.replace(layer, activation="linear", result=layer.dense_out)
        activation = "linear"
    if layer.weights is None:
        raise Unsupported(f"layer {number}: its weights are unknown", kind=ErrorKind.MISSING)
    if activation not in _EXACT:
        raise Unsupported(
            f"layer {number}: {activation} is not among the activations that are emulated exactly "
            f"({', '.join(_EXACT)}, and softmax at the end)"
        )
    if layer.normalisation != "none":
        raise Unsupported(f"layer {number}: a batch normalisation after the activation is not supported")
    exact = Dense(layer.n_in, layer.n_out, "linear", layer.weight, layer.bias).exact_accum(layer.input)
    accum = None if layer.accum is None or layer.accum.holds(exact) else layer.accum
    sums = layer.accum or exact
    between = layer.dense_out or sums
    result = layer.result or between
    if (activation == "relu" or result != between) and not between.holds(sums):
        raise Unsupported(
            f"layer {number}: the sums are cast from {sums} to {between} first", kind=ErrorKind.INEXACT
        )
    return Dense(
        layer.n_in,
        layer.n_out,
        activation,
        layer.weight.plain,
        None if layer.bias is None else layer.bias.plain,
        accum=accum,
        result=None if result.holds(sums) and not own else result,
        reuse_factor=layer.reuse_factor,
        strategy=layer.strategy,
    )
