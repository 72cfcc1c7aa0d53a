"""The space of multilayer perceptrons as hls4ml builds them: shape, precision and HLS settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.limits import UNROLL_LIMIT
from hwnas_hls.network.precision import shared_type
from hwnas_hls.protocols.knob import Knob
from hwnas_hls.protocols.space import KnobSpace
from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.values.candidate import Candidate, Value
from hwnas_hls_plugins.spaces.layer_graph import End, LayerGraph, summand
from hwnas_hls_plugins.spaces.layer_knobs import OUTPUT, DenseProperties
from hwnas_hls_plugins.spaces.layer_settings import HARD_TANH, default_strategies
from hwnas_hls_plugins.spaces.mlp_config import MlpConfig
from hwnas_hls_plugins.spaces.mlp_table import MlpTable

if TYPE_CHECKING:
    import numpy as np

    from hwnas_hls.protocols.task import Dataset

#: Networks from which adders are removed begin with generous shapes: widths of the hidden layers, then bits
#: and integer bits of the inputs, the weights and the hidden layers' results. A removal finds the small
#: network within a large one, so most of these are larger than what is left of them.
_STARTS = (
    ((64, 64), (8, 3), (4, 1), (6, 2)),
    ((128, 64), (8, 4), (6, 1), (6, 2)),
    ((32, 16), (8, 4), (6, 1), (6, 2)),
    ((64, 64), (12, 4), (8, 1), (8, 3)),
    ((64, 32, 32), (8, 4), (6, 1), (6, 2)),
    ((16, 16, 8), (8, 4), (6, 1), (6, 2)),
    ((32, 32), (6, 3), (5, 1), (5, 2)),
    ((16,), (6, 3), (5, 1), (5, 2)),
    ((48, 24), (6, 3), (5, 1), (4, 2)),
    ((24, 12, 6), (8, 4), (5, 1), (5, 2)),
)

#: Maximum number of weights per training row of a network from which adders are removed, unless the search
#: finds it as a variant of another one. Larger networks would take most of the time on small tables (on 1,079
#: rows, a quarter of all samples has two thirds of the weights) without better designs.
_WEIGHTS_PER_ROW = 2
#: Maximum number of weights of such a network, whatever the number of rows: a minute of training on one core.
_MOST_WEIGHTS = 16384
#: Maximum number of further draws where a sample exceeds these numbers.
_DRAWS = 32


def nearest_choice(knob: Knob, wanted: Value) -> Value:
    """The choice of a knob nearest to a value; the first where none is near."""
    if wanted in knob.choices:
        return wanted
    if not knob.ordered or not isinstance(wanted, int | float):
        return knob.choices[0]
    numbers = [choice for choice in knob.choices if isinstance(choice, int | float)]
    return min(numbers, key=lambda choice: abs(choice - wanted), default=knob.choices[0])


class _Common(NamedTuple):
    """The settings that all layers of a network have in common; the last two are of hidden layers."""

    kept_adders: float
    use_bias: bool
    normalisation: str
    dropout: float


class MlpSpace(KnobSpace):
    """Multilayer perceptrons: depth, widths, activation, bias, normalisation, dropout, input precision
    and clock; and for each layer its kind, precision, HLS strategy, reuse factor and sparsity.

    Args:
        config: settings.
        task: determines the number of inputs and outputs.
        synthesizer: of the run; determines the HLS strategies unless the config sets them.

    Raises:
        UserError: a layer is too large to unroll for all widths, and ``Resource`` is not among the
            strategies.
    """

    name = "mlp"
    Config = MlpConfig
    config: MlpConfig

    def __init__(self, config: MlpConfig, task: Dataset, synthesizer: Synthesizer | None = None) -> None:
        self.config = config
        self.n_in, self.n_out, self._task = task.n_in, task.n_out, task
        self.strategies = config.strategies or default_strategies(synthesizer)
        self._table = MlpTable(config, self.strategies)
        self._narrowest = min(config.layer_widths(self.strategies))
        self._knobs = self._table.knobs
        self._of = self._table.value
        self.knobs: Sequence[Knob] = tuple(self._knobs.values())
        self.ladder = "kept_adders" if "kept_adders" in self._knobs else ""
        self._refuse_unbuildable()

    def sample(self, rng: np.random.Generator) -> Candidate:
        """In a share of the networks (``uniform_samples``), all layers have the same settings.

        With independent layers only, hardly any network would be fully unrolled or have low precision
        in all layers, and these networks are the ones with latencies below 1 us. Where adders are removed,
        no network has more than two weights per training row, or 16,384 in all, if the space has smaller
        ones.
        """
        candidate = self._drawn(rng)
        for _ in range(_DRAWS if self.ladder else 0):
            if not self._is_large(candidate):
                break
            candidate = self._drawn(rng)
        return candidate

    def _drawn(self, rng: np.random.Generator) -> Candidate:
        values = {knob.name: knob.draw(rng) for knob in self.knobs}
        if rng.random() < self.config.uniform_samples:
            shared: dict[str, Value] = {}
            for name in values:
                family, _, tag = name.rpartition("_")
                if tag.isdigit() or tag == OUTPUT:
                    values[name] = shared.setdefault(family, values[name])
        return self.candidate(values)

    def starts(self) -> list[Candidate]:
        """Generous networks, if adders are removed from them; else none.

        None has more than two weights per training row, or 16,384 in all.
        """
        if not self.ladder:
            return []
        found = dict.fromkeys(self._uniform(*start) for start in _STARTS)
        return [candidate for candidate in found if candidate is not None and not self._is_large(candidate)]

    def _is_large(self, candidate: Candidate) -> bool:
        weights = sum(n_in * n_out for _, n_in, n_out in self._shapes(candidate.values))
        return weights > min(_MOST_WEIGHTS, _WEIGHTS_PER_ROW * len(self._task.train))

    def _uniform(self, widths: Sequence[int], *bits: tuple[int, int]) -> Candidate | None:
        """The candidate nearest to a network whose layers have the same types, if it has such a depth."""
        if "depth" in self._knobs and len(widths) not in self._knobs["depth"].choices:
            return None
        inputs, *layers = bits
        wanted: dict[str, Value] = dict(zip(("input_bits", "input_integer"), inputs, strict=True))
        wanted["depth"] = len(widths)
        for number, width in enumerate((*widths, None), 1):
            tag = OUTPUT if width is None else str(number)
            wanted[f"width_{tag}"] = width
            for family, (total, integer) in zip(("weight", "activation"), layers, strict=True):
                wanted |= {f"{family}_bits_{tag}": total, f"{family}_integer_{tag}": integer}
        chosen = {
            knob.name: nearest_choice(knob, wanted[knob.name]) if knob.name in wanted else knob.choices[0]
            for knob in self.knobs
        }
        return self.candidate({**chosen, self.ladder: max(self.config.ladder(self.strategies))})

    def architecture(self, candidate: Candidate) -> Architecture:
        values = candidate.values
        inputs = shared_type(self._of(values, "input_bits"), self._of(values, "input_integer"))
        graph = LayerGraph(inputs, self.n_in)
        end, common = graph.input, self._common(values)
        for tag, _, n_out in self._shapes(values):
            end = self._append(graph, values, common, tag, end, n_out)
        # If the clock is not searched, it is that of the run and not part of the candidate.
        clock_ns = float(self._of(values, "clock_ns")) if self.config.clock_periods_ns else None
        return graph.architecture(clock_ns, common.kept_adders, bool(self._of(values, "narrow_features")))

    def nearest(self, architecture: Architecture) -> Candidate | None:
        """The candidate with the same depth and, in each knob, the nearest choice; no adders removed."""
        depths = self._knobs["depth"].choices if "depth" in self._knobs else (self._depth({}),)
        if not architecture.is_chain or len(architecture.chain) - 1 not in depths:
            return None
        layers, given = architecture.chain, architecture.input
        wanted: dict[str, Value] = {
            "depth": len(layers) - 1,
            "activation": layers[0].activation,
            "normalisation": "none",
            "use_bias": layers[0].bias is not None,
            "dropout": 0.0,
            "kept_adders": 1.0,
            "input_bits": given.width,
            "input_integer": given.integer,
        }
        for number, layer in enumerate(layers, 1):
            tag = OUTPUT if number == len(layers) else str(number)
            result = layer.result or layer.weight
            wanted |= {
                f"layer_{tag}": "dense",
                f"width_{tag}": layer.n_out,
                f"activation_{tag}": layer.activation,
                f"weight_bits_{tag}": layer.weight.width,
                f"weight_integer_{tag}": layer.weight.integer,
                f"activation_bits_{tag}": result.width,
                f"activation_integer_{tag}": result.integer - result.signed,
                f"strategy_{tag}": layer.strategy,
                f"reuse_factor_{tag}": layer.reuse_factor,
                f"sparsity_{tag}": 0.0,
            }
        return self.candidate({knob.name: nearest_choice(knob, wanted.get(knob.name)) for knob in self.knobs})

    def repair(self, values: dict[str, Value]) -> dict[str, Value]:
        """Avoid negative fractional bits, keep unrolled layers small enough, and give reuse factors that
        hls4ml builds in the same way the same value."""
        table = self._table
        table.shorten(values, "input_integer", self._of(values, "input_bits"))
        self._limit_unrolling(values)
        for tag, n_in, n_out in self._shapes(values):
            if self._kind(values, tag) == "residual":
                table.first(values, "width", tag)
            activation = None if tag == OUTPUT else self._activation(values, tag)
            table.repair_layer(values, tag, [(n_in, n_out)], activation)
        return values

    def _refuse_unbuildable(self) -> None:
        if set(self.strategies) - {"Latency"}:
            return
        narrow = self._narrowest
        ends = [(self.n_in, self.n_out)] if self.config.min_depth == 0 else []
        if self.config.max_depth > 0:
            ends += [(self.n_in, narrow), (narrow, self.n_out)]
        if self.config.max_depth > 1:
            ends.append((narrow, narrow))
        for n_in, n_out in ends:
            if n_in * n_out >= UNROLL_LIMIT:
                raise UserError(
                    f"a layer of {n_in} x {n_out} is too large to unroll "
                    f"(hls4ml requires fewer than {UNROLL_LIMIT} products)",
                    where="space mlp: strategies",
                    found=", ".join(self.strategies),
                    remedy="add Resource to the strategies, allow narrower widths, or use fewer inputs",
                    kind=ErrorKind.TOO_LARGE,
                )

    # Reading and repairing values

    def _depth(self, values: Mapping[str, Value]) -> int:
        return int(self._of(values, "depth"))

    def _activation(self, values: Mapping[str, Value], tag: str) -> str:
        return str(self._of(values, "activation", tag if self.config.activation_per_layer else ""))

    def _kind(self, values: Mapping[str, Value], tag: str) -> str:
        return "dense" if tag == OUTPUT else str(self._of(values, "layer", tag))

    def _shapes(self, values: Mapping[str, Value]) -> Iterator[tuple[str, int, int]]:
        """(tag, n_in, n_out) of each layer with weights."""
        n_in = self.n_in
        for number in range(1, self._depth(values) + 1):
            tag = str(number)
            kind = self._kind(values, tag)
            n_out = n_in if kind == "residual" else int(self._of(values, "width", tag))
            yield tag, n_in, n_out
            n_in = n_out + n_in if kind == "concatenate" else n_out
        yield OUTPUT, n_in, self.n_out

    def _limit_unrolling(self, values: dict[str, Value]) -> None:
        """Build large layers by a strategy other than ``Latency``; if there is none, reduce widths step by
        step. Distributed arithmetic has no arrays of products that hls4ml would have to partition."""
        others = [
            strategy for strategy in ("Resource", "distributed_arithmetic") if strategy in self.strategies
        ]
        while True:
            large = [
                (tag, n_in, n_out)
                for tag, n_in, n_out in self._shapes(values)
                if n_in * n_out >= UNROLL_LIMIT and self._of(values, "strategy", tag) == "Latency"
            ]
            if not large:
                return
            if others:
                for tag, _, _ in large:
                    values[f"strategy_{tag}"] = others[0]
                return
            tag, n_in, n_out = large[0]
            depth = self._depth(values)
            wide = [
                name
                for name in (f"layer_{number}" for number in range(depth, 0, -1))
                if name in values and values[name] != "dense"
            ]
            if wide:
                values[wide[0]] = "dense"
                continue
            number = depth + 1 if tag == OUTPUT else int(tag)
            neighbours = [(n_in, f"width_{number - 1}"), (n_out, f"width_{number}")]
            # Reduce the larger of the two widths, if it is hidden and can still shrink.
            width, name = max(
                (width, name) for width, name in neighbours if name in values and width > self._narrowest
            )
            choices = self._knobs[name].choices
            values[name] = choices[choices.index(width) - 1]

    # Layers

    def _common(self, values: Mapping[str, Value]) -> _Common:
        hidden = self._depth(values) > 0
        return _Common(
            float(self._of(values, "kept_adders")),
            bool(self._of(values, "use_bias")),
            self._of(values, "normalisation") if hidden else "none",
            self._of(values, "dropout") if hidden else 0.0,
        )

    def _append(
        self, graph: LayerGraph, values: Mapping[str, Value], common: _Common, tag: str, end: End, n_out: int
    ) -> End:
        """Append the layer ``tag`` with its merge."""
        table, use_bias = self._table, common.use_bias
        # Estimators without access to weights use the expected share of zeros instead of adders.
        sparsity = 1 - common.kept_adders if common.kept_adders < 1 else None
        if tag == OUTPUT:
            last = DenseProperties(end.width, n_out, end.kind, "linear", None, use_bias, sparsity=sparsity)
            return graph.add(table.dense(values, tag, last), (end,))
        kind, activation = self._kind(values, tag), self._activation(values, tag)
        result = table.result_type(values, tag, activation)
        dense = table.dense(
            values,
            tag,
            DenseProperties(
                end.width,
                n_out,
                end.kind,
                "linear" if kind == "residual" else activation,
                summand(result) if kind == "residual" else result,
                use_bias,
                common.normalisation,
                common.dropout,
                sparsity,
            ),
        )
        inner = graph.add(dense, (end,))
        if kind == "residual":
            return graph.merge("add", inner, end, "linear" if activation == HARD_TANH else activation, result)
        return graph.merge("concatenate", inner, end) if kind == "concatenate" else inner
