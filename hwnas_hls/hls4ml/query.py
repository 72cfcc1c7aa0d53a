"""Queries of the hardware model: a network as hls4ml builds it, with all known settings.

Readers (a CSV of rows, a project folder, an :class:`~hwnas_hls.network.architecture.Architecture`) make
:class:`Query` values, and :func:`hwnas_hls_plugins.estimators.hls_model.predict` predicts their costs::

    query = query_of(architecture, "xcvu9p-flga2104-2L-e", clock_ns=5.0)
    prediction = predict([query])[0]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.network.features import FeatureTypes, hull
from hwnas_hls.network.layers import Weighted
from hwnas_hls.network.precision import MAX_WIDTH, FixedType, exact_sum
from hwnas_hls.network.scaling import scaling_alone

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design

STAGES = ("csynth", "logic_synth", "post_route")
#: Default tool.
DEFAULT_TOOL = "vitis_hls 2023.2"
DEFAULT_PART = "xcvu9p-flga2104-2L-e"
DEFAULT_CLOCK_NS = 5.0
#: hls4ml's default type, assumed if a row does not give a type.
DEFAULT_TYPE = FixedType(16, 6)
#: Warning of a query of a graph.
NO_CHAIN = Note(NoteKind.NO_DATA, "networks other than chains of dense layers have not been measured")


@dataclass(frozen=True, slots=True, eq=False)
class LayerQuery:
    """One dense layer with its activation.

    Args:
        n_in, n_out: width of its input and output.
        input: type of its input.
        weight: type of its weights.
        bias: type of its biases; ``None`` for a layer without biases.
        accum: accumulator type; ``None`` means exact (as wide as necessary).
        dense_out: type of the sum before the activation; ``None`` means the accumulator's.
        result: type after the activation; ``None`` means ``dense_out``.
        activation: hls4ml's name in lower case (``relu``, ``softmax``, ``linear``, ...).
        reuse_factor: the requested one; the legal one is computed if the strategy needs it.
        strategy: hls4ml's spelling, any case (``Latency``, ``Resource``, ``distributed_arithmetic``, ...).
        n_nonzeros: number of weights that are not zero; ``None`` where unknown.
        unpruned: whether its training is known to remove no weights; then only rounding makes zeros.
        weights: integers on the weight type's grid, shape (n_in, n_out); ``None`` where unknown.
        biases: integers on the bias type's grid, shape (n_out,); ``None`` where unknown.
        normalisation: ``batch`` where a batch normalisation layer of its own follows the activation.
        features: types of the single values of its input, where each has one of its own, see
            :mod:`hwnas_hls.network.features`; empty otherwise. Behind another layer, ``input`` and the
            ``result`` of that layer are the narrowest type that represents all of them.
        multipliers: ``dsp`` or ``fabric`` where a BIND_OP or RESOURCE directive decides, else ``None``.
    """

    n_in: int
    n_out: int
    input: FixedType = DEFAULT_TYPE
    weight: FixedType = DEFAULT_TYPE
    bias: FixedType | None = DEFAULT_TYPE
    accum: FixedType | None = DEFAULT_TYPE
    dense_out: FixedType | None = None
    result: FixedType | None = None
    activation: str = "linear"
    reuse_factor: int = 1
    strategy: str = "Latency"
    n_nonzeros: int | None = None
    weights: NDArray[np.int64] | None = None
    biases: NDArray[np.int64] | None = None
    normalisation: str = "none"
    multipliers: str | None = None
    features: FeatureTypes = ()
    unpruned: bool = False

    @property
    def sum_type(self) -> FixedType:
        """The type of the sums: the accumulator, or the exact type (up to the maximum width)."""
        return self.accum or exact_sum(self.input, self.weight, self.bias, self.n_in, widest=MAX_WIDTH)


def normalised_type(source: FixedType, scale: FixedType) -> FixedType:
    """The type that hls4ml infers after a separate normalisation: input x scale + offset, lossless."""
    fraction = max(source.fraction + scale.fraction, scale.fraction)
    integer = max(source.integer + scale.integer, scale.integer) + 1
    return FixedType(integer + fraction, integer)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One design.

    Args:
        layers: from input to output, at least one.
        part: full part or device name, for example ``xcvu9p-flga2104-2L-e``.
        clock_ns: target clock period in ns.
        tool: name and version, for example ``vitis_hls 2023.2``, ``vivado_hls 2020.1``.
        stage: one of :data:`STAGES`.
        clock_uncertainty: share of the period reserved; ``None`` means the tool's default
            (12.5 % for Vivado HLS, 27 % for Vitis HLS).
        io_type: ``io_parallel`` or ``io_stream``.
        backend: hls4ml's backend (``Vitis``, ``Vivado``, ``VivadoAccelerator``, ...) or empty.
        scope: ``core``, or ``core+AXI wrapper`` if the report includes the wrapper.
        softmax: implementation (``stable``, ``latency``, ``argmax``, ...) or empty.
        name: name of the row or project, for messages.
        warnings: assumptions of the reader, and values that it could not read.
        reasons: why the design is outside the model's domain, as far as the reader knows.
        blockers: why there is no prediction; a query with blockers gets no numbers.
        pipeline_ii: initiation interval that a pragma sets for the design; ``None`` if the layers decide.
        adder_levels: adder levels per pipeline stage of distributed arithmetic, if they were found with the
            clock; ``None``: as many as the clock allows.
        clock_known: whether the clock was given; if not, the intervals of cycles and FFs are wider.
    """

    layers: tuple[LayerQuery, ...]
    part: str = DEFAULT_PART
    clock_ns: float = DEFAULT_CLOCK_NS
    tool: str = DEFAULT_TOOL
    stage: str = "csynth"
    clock_uncertainty: float | None = None
    io_type: str = "io_parallel"
    backend: str = ""
    scope: str = "core"
    softmax: str = ""
    name: str = ""
    warnings: tuple[Note, ...] = ()
    reasons: tuple[Note, ...] = ()
    blockers: tuple[Note, ...] = ()
    clock_known: bool = True
    pipeline_ii: int | None = None
    adder_levels: int | None = None

    @property
    def neurons(self) -> tuple[FeatureTypes, ...]:
        """The types of single results of each layer but the last."""
        return tuple(layer.features for layer in self.layers[1:])

    @property
    def shape(self) -> str:
        """The widths, for example ``16-64-32-32-5``; empty without layers."""
        if not self.layers:
            return ""
        return "-".join(str(n) for n in (self.layers[0].n_in, *(layer.n_out for layer in self.layers)))


def query_of(
    architecture: Architecture,
    part: str,
    clock_ns: float | None = None,
    *,
    tool: str = DEFAULT_TOOL,
    stage: str = "csynth",
    clock_uncertainty: float | None = None,
    design: Design | None = None,
    softmax: str = "",
    name: str = "",
) -> Query:
    """The query of an architecture as this package exports it, with weights if known.

    The query contains the layers with weights. ``graph_estimates`` adds the rest of a graph (merges,
    poolings, the positions of a convolution) to the prediction; the estimator ``hls-model`` does both.

    Args:
        architecture: layer list; its own clock takes precedence over ``clock_ns``.
        part: full part or device name.
        clock_ns: period in ns if the architecture has none; default :data:`DEFAULT_CLOCK_NS`.
        design: trained design of this architecture; gives weights, biases and exact accumulators.
    """
    return Query(
        layers=tuple(_layer_queries(architecture, design)),
        part=part,
        clock_ns=architecture.clock_ns or clock_ns or DEFAULT_CLOCK_NS,
        tool=tool,
        stage=stage,
        clock_uncertainty=clock_uncertainty,
        io_type=architecture.io_type,
        softmax=softmax,
        name=name,
        warnings=() if architecture.is_chain else (NO_CHAIN,),
        adder_levels=None if design is None else design.adder_levels,
    )


def _layer_queries(architecture: Architecture, design: Design | None) -> Iterator[LayerQuery]:
    """The layers with weights in order, each as the dense layer that hls4ml builds."""
    # A design fixes the types of its layers; without a design they are derived from each other.
    types = architecture.layer_types() if design is None else design.layer_types()
    for number, layer in enumerate(architecture.layers):
        if not isinstance(layer, Weighted):
            continue
        if number == 0 and design is None and architecture.scaling is not None:
            # Its constants are known before training.
            alone = scaling_alone(architecture)
            yield from _layer_queries(alone.architecture, alone)
            continue
        given, accum, result = types[number]
        rows, columns = layer.matrix_shape
        held = math.prod(layer.weight_shape)
        nonzeros = round(held * (1.0 - layer.sparsity)) if layer.sparsity or held < rows * columns else None
        weights: NDArray[np.int64] | None = None
        own: FeatureTypes = ()
        if design is not None:
            from hwnas_hls.hls4ml.graph import kernel

            own = design.own_inputs(number)
            given = hull(own, given) if number else given
            result = hull(design.own_results(number), result)
            weights = kernel(design, number).reshape(rows, columns)
            nonzeros = int((weights != 0).sum())
        yield LayerQuery(
            n_in=rows,
            n_out=columns,
            input=given,
            weight=layer.weight,
            bias=layer.bias,
            accum=accum,
            dense_out=accum,
            result=result,
            # A slope of 1/8 in a one-bit type needs only wires and a multiplexer, like relu.
            activation="relu" if layer.activation == "leaky_relu" else layer.activation,
            reuse_factor=layer.reuse_factor,
            strategy=layer.strategy,
            n_nonzeros=nonzeros,
            weights=weights,
            biases=None if design is None else design.biases[number],
            features=own,
            unpruned=nonzeros is None,
        )
