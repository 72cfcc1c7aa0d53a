"""Candidates of the mlp space as columns of layers, without an object for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.architecture import ACTIVATIONS, STRATEGIES
from hwnas_hls.network.precision import MAX_WIDTH
from hwnas_hls.protocols.layer_columns import LayerColumns, TypeColumns, each_kind
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.spaces.layer_knobs import BIAS_EXTRA_BITS, OUTPUT, OUTPUT_BIAS_INTEGER, built_factor
from hwnas_hls_plugins.spaces.layer_settings import HARD_TANH
from hwnas_hls_plugins.spaces.mlp_table import MlpTable

Integers = NDArray[np.int64]
_ACTIVATION_CODES = {name: code for code, name in enumerate(ACTIVATIONS)} | {HARD_TANH: len(ACTIVATIONS)}
_STRATEGY_CODES = {name: code for code, name in enumerate(STRATEGIES)}
_NORMALISED = {"none": 0, "batch": 1}
_RELU, _LINEAR = ACTIVATIONS.index("relu"), ACTIVATIONS.index("linear")
_RESOURCE = STRATEGIES.index("Resource")


def mlp_columns(
    table: MlpTable, candidates: Sequence[Candidate], n_in: int, n_out: int
) -> LayerColumns | None:
    """The layers of candidates of dense layers alone; ``None`` where a type is too wide to be one.

    Args:
        table: the space's knobs.
        n_in, n_out: of the task.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: a candidate lacks a knob, or has a value
            that is none.
    """
    read = _Reader(table, candidates)
    config = table.config
    hidden = read("depth")
    if hidden.min(initial=0) < 0:
        raise ValueError("depth: below 0")
    depth = hidden + 1
    starts = np.cumsum(depth) - depth
    size, count = int(depth.sum()), len(candidates)
    columns = {name: np.empty(size, np.int64) for name in _COLUMNS}
    sparsity = np.empty(size)

    biased = read("use_bias").astype(bool)
    normalised = np.zeros(count, bool)
    some = np.flatnonzero(hidden)
    normalised[some] = read("normalisation", some, _NORMALISED) > 0
    width = np.full(count, n_in)
    source = read("input_bits")
    source_integer = read("input_integer")
    source_modes = np.zeros(count, np.int64)
    modes = (config.result_rounding != "TRN", config.result_overflow != "WRAP")
    for number in range(1, int(depth.max(initial=1)) + 1):
        for last in (False, True):
            rows = np.flatnonzero(depth == number if last else depth > number)
            if not rows.size:
                continue
            tag = OUTPUT if last else str(number)
            layer = read.layer(rows, tag)
            inputs, outputs = width[rows], np.full(rows.size, n_out) if last else read("width", rows, tag=tag)
            bits, integer = source[rows], source_integer[rows]
            has_bias = biased[rows] if last else biased[rows] | normalised[rows]
            growth = np.frexp(inputs - 1)[1].astype(np.int64)
            weight_fraction = layer["weight_bits"] - layer["weight_integer"]
            fraction = bits - integer + weight_fraction
            total = integer + layer["weight_integer"] + growth
            if last:
                activation = np.full(rows.size, _LINEAR)
                reach = np.full(rows.size, OUTPUT_BIAS_INTEGER)
            else:
                activation = read(
                    "activation", rows, _ACTIVATION_CODES, tag if config.activation_per_layer else ""
                )
                clipped, signed = activation == len(ACTIVATIONS), activation != _RELU
                result = read("activation_bits", rows, tag=tag)
                result_integer = np.where(clipped, 1, read("activation_integer", rows, tag=tag) + signed)
                reach = result_integer + ~signed + 1
                activation = np.where(clipped, _LINEAR, activation)
            # The bias type of layer_knobs.bias_type, the sum of layer_fields.exact_sum.
            bias_fraction = np.minimum(fraction, weight_fraction + BIAS_EXTRA_BITS)
            bias_integer = np.maximum(1, np.minimum(total, reach))
            bias_width = np.maximum(bias_integer + bias_fraction, 2)
            accum_fraction = np.where(has_bias, np.maximum(fraction, bias_width - bias_integer), fraction)
            accum_integer = np.where(has_bias, np.maximum(total, bias_integer) + 1, total)
            accum = accum_integer + accum_fraction
            if last:
                result, result_integer, result_modes = accum, accum_integer, np.zeros(rows.size, np.int64)
            else:
                result_modes = np.where(clipped, modes[0] + 1, modes[0] + modes[1])
            widths = np.concatenate([bits, layer["weight_bits"], bias_width, accum, result])
            if widths.min() < 1 or widths.max() > MAX_WIDTH:
                return None
            shared = layer["strategy"] == _RESOURCE
            reuse = np.ones(rows.size, np.int64)
            if shared.any():
                wanted = read("reuse_factor", rows[shared], tag=tag)
                reuse[shared] = each_kind(built_factor, inputs[shared], outputs[shared], wanted)
            at = starts[rows] + number - 1
            sparsity[at] = 0.0
            if not shared.all():
                sparsity[at[~shared]] = read.real("sparsity", rows[~shared], tag)
            found = (
                *(inputs, outputs, bits, bits - integer, source_modes[rows]),
                *(layer["weight_bits"], weight_fraction, accum, accum_fraction),
                *(result, result - result_integer, result_modes),
                *(has_bias, activation, layer["strategy"], reuse),
            )
            for name, values in zip(_COLUMNS, found, strict=True):
                columns[name][at] = values
            width[rows], source[rows], source_integer[rows] = outputs, result, result_integer
            source_modes[rows] = result_modes
    c = columns
    none = np.zeros(size, np.int64)
    return LayerColumns(
        depth,
        read.real("clock_ns") if config.clock_periods_ns else np.full(count, np.nan),
        c["n_in"],
        c["n_out"],
        TypeColumns(c["input_width"], c["input_fraction"], c["input_modes"]),
        TypeColumns(c["weight_width"], c["weight_fraction"], none),
        TypeColumns(c["accum_width"], c["accum_fraction"], none),
        TypeColumns(c["result_width"], c["result_fraction"], c["result_modes"]),
        c["has_bias"].astype(bool),
        c["activation"],
        c["strategy"],
        c["reuse_factor"],
        sparsity,
    )


_COLUMNS = (
    *("n_in", "n_out", "input_width", "input_fraction", "input_modes"),
    *("weight_width", "weight_fraction", "accum_width", "accum_fraction"),
    *("result_width", "result_fraction", "result_modes"),
    *("has_bias", "activation", "strategy", "reuse_factor"),
)


class _Reader:
    """Values of knobs of many candidates."""

    def __init__(self, table: MlpTable, candidates: Sequence[Candidate]) -> None:
        self.table = table
        self.places = {name: place for place, name in enumerate(table.knobs)}
        # Candidate by candidate, since their dictionaries lie far apart in memory.
        found = [list(map(candidate.values.get, self.places)) for candidate in candidates]
        self.grid = np.array(found, object).reshape(len(found), len(self.places)).T.copy()

    def __call__(
        self,
        family: str,
        rows: Integers | None = None,
        codes: Mapping[str, int] | None = None,
        tag: str = "",
    ) -> Integers:
        """Values as integers, of some candidates; texts by their code."""
        found: list[Any] = self._found(family, rows, tag).tolist()
        numbers = np.array([codes[each] for each in found] if codes else found)
        if found and numbers.dtype.kind not in "bi":
            raise TypeError(f"{family}: not all are whole numbers that 64 bits hold")
        return numbers.astype(np.int64)

    def real(self, family: str, rows: Integers | None = None, tag: str = "") -> NDArray[np.float64]:
        return self._found(family, rows, tag).astype(np.float64)

    def layer(self, rows: Integers, tag: str) -> dict[str, Integers]:
        """What every layer has."""
        numbers = {family: self(family, rows, tag=tag) for family in ("weight_bits", "weight_integer")}
        return numbers | {"strategy": self("strategy", rows, _STRATEGY_CODES, tag)}

    def _found(self, family: str, rows: Integers | None, tag: str) -> NDArray[Any]:
        place = self.places.get(f"{family}_{tag}" if tag else family)
        if place is None:
            size = self.grid.shape[1] if rows is None else rows.size
            return np.full(size, self.table.fixed[family], object)
        found: NDArray[Any] = self.grid[place] if rows is None else self.grid[place, rows]
        return found
