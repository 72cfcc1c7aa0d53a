"""The knobs of cells: kind, source and skip of each operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hwnas_hls.protocols.knob import Knob
from hwnas_hls.values.candidate import Value
from hwnas_hls_plugins.spaces.cell_config import CellLayers
from hwnas_hls_plugins.spaces.knob_families import Condition
from hwnas_hls_plugins.spaces.layer_knobs import LayerTable

#: Families of knobs with the implementation of an operation.
HARDWARE = (
    "weight_bits",
    "weight_integer",
    "strategy",
    "reuse_factor",
    "sparsity",
    "activation_bits",
    "activation_integer",
)
_SHAPE = ("op", "back", "skip", "skip_back", "activation", "normalisation")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a cell.

    Args:
        tag: tag of its knobs.
        op: its kind.
        source: number of its source operation; 0 is the cell's input.
        skip: ``none``, ``add`` or ``concatenate``.
        other: number of the operation of the skip.
    """

    tag: str
    op: str
    source: int
    skip: str
    other: int


class CellTable(LayerTable):
    """Knobs of cells; those of operation 2 of the cell ``a`` are named ``FAMILY_a2``.

    Args:
        config: settings of the space.
        strategies: HLS strategies, at least one.
        operations: kinds of operations.
        weighted: the kinds with weights.
    """

    config: CellLayers

    def __init__(
        self,
        config: CellLayers,
        strategies: Sequence[str],
        operations: Sequence[str],
        weighted: Sequence[str],
    ) -> None:
        super().__init__(config, strategies)
        self.weighted = tuple(weighted)
        self._operations = tuple(operations)

    def inputs(self) -> Iterator[Knob]:
        """Knobs of the whole network."""
        config = self.config
        yield from self.knob("use_bias", config.use_bias, "whether layers have biases", ordered=False)
        yield from self.knob(
            "dropout", config.dropouts, "share of an operation's outputs dropped in training"
        )
        if config.clock_periods_ns:
            yield from self.knob("clock_ns", config.clock_periods_ns, "target clock period in ns")
        yield from self.knob("input_bits", config.input_bits, "width of the inputs' type")
        yield from self.knob(
            "input_integer", config.input_integer_bits, "integer bits of the inputs' type, including the sign"
        )

    def cell(self, kind: str = "") -> Iterator[Knob]:
        """Knobs of the cell ``kind``."""
        config, most = self.config, self.config.max_operations
        count = f"operations_{kind}" if kind else "operations"
        yield from self.knob("operations", range(1, most + 1), "number of operations in the cell", tag=kind)
        for number in range(1, most + 1):
            tag = f"{kind}{number}"
            exists: Condition = (count, tuple(range(number, most + 1))) if number > 1 else None
            backs = tuple(range(1, number + 1))
            yield from self.knob("op", self._operations, "kind of operation", exists, tag, ordered=False)
            yield from self.knob(
                "back",
                backs,
                "source operation, counted backwards; beyond the first, the cell's input",
                exists,
                tag,
            )
            yield from self.knob(
                "skip",
                config.skips,
                "how its output is combined with an earlier one",
                exists,
                tag,
                ordered=False,
            )
            joined = tuple(skip for skip in config.skips if skip != "none")
            if joined:
                yield from self.knob(
                    "skip_back",
                    backs,
                    "earlier operation of the skip, counted backwards",
                    (f"skip_{tag}", joined),
                    tag,
                )
            has_weights = exists
            if len(self._operations) > len(self.weighted):
                has_weights = (f"op_{tag}", self.weighted)
            yield from self.layer(tag, exists, has_weights)

    def layer(
        self,
        tag: str,
        exists: Condition,
        has_weights: Condition,
        what: str = "an operation",
        strategies: Sequence[str] | None = None,
    ) -> Iterator[Knob]:
        """Knobs of an operation or a layer outside the cells: activation, normalisation, precision and
        HLS settings.

        Args:
            strategies: HLS strategies; default: all of the table.
        """
        config = self.config
        yield from self.knob(
            "activation", config.activations, f"activation of {what}", exists, tag, ordered=False
        )
        yield from self.knob(
            "normalisation",
            config.normalisations,
            f"normalisation, folded into {what}",
            has_weights,
            tag,
            ordered=False,
        )
        yield from self.hardware(tag, has_weights, strategies)
        yield from self.results(tag, exists, what)

    # Reading

    def count(self, values: Mapping[str, Value], kind: str = "") -> int:
        return int(self.value(values, "operations", kind))

    def operations(self, values: Mapping[str, Value], kind: str = "") -> list[Operation]:
        """The operations of the cell ``kind``; the first has number 1."""
        found = []
        for number in range(1, self.count(values, kind) + 1):
            tag = f"{kind}{number}"
            skip = str(self.value(values, "skip", tag))
            other = number - int(self.value(values, "skip_back", tag)) if skip != "none" else 0
            source = number - int(self.value(values, "back", tag))
            found.append(Operation(tag, str(self.value(values, "op", tag)), source, skip, other))
        return found

    # Repairing

    def simplify(self, values: dict[str, Value], kind: str = "") -> None:
        """Normalise equal cells: remove operations without effect, and reset settings without effect.

        Identities without a skip and operations that do not reach the output are removed. An empty
        cell becomes one operation with weights.
        """
        operations = self.operations(values, kind)
        stands_for = [0]  # new number of each operation, without identities
        for operation in operations:
            source, other = stands_for[operation.source], stands_for[operation.other]
            alias = operation.op == "identity" and (operation.skip == "none" or source == other)
            stands_for.append(source if alias else len(stands_for))
        live: set[int] = set()
        waiting = [stands_for[-1]]
        while waiting:
            number = waiting.pop()
            if number == 0 or number in live:
                continue
            live.add(number)
            operation = operations[number - 1]
            waiting.append(stands_for[operation.source])
            if operation.skip != "none":
                waiting.append(stands_for[operation.other])
        if not live:
            self._make_plain(values, operations[0].tag)
            live, stands_for = {1}, [0, 1]
            operations = self.operations(values, kind)
        fresh = {0: 0} | {old: new for new, old in enumerate(sorted(live), start=1)}
        moved: dict[str, Value] = {}
        for old in sorted(live):
            operation, new = operations[old - 1], fresh[old]
            tag = f"{kind}{new}"
            for family in (*_SHAPE, *HARDWARE):
                if f"{family}_{operation.tag}" in values:
                    moved[f"{family}_{tag}"] = values[f"{family}_{operation.tag}"]
            moved[f"back_{tag}"] = new - fresh[stands_for[operation.source]]
            if operation.skip != "none":
                moved[f"skip_back_{tag}"] = new - fresh[stands_for[operation.other]]
        count = f"operations_{kind}" if kind else "operations"
        values[count] = len(live)
        values.update({name: value for name, value in moved.items() if name in self.knobs})
        for name in [*values]:
            if name not in self.knobs:
                del values[name]
        for operation in self.operations(values, kind):
            self._settle(values, operation)

    def _make_plain(self, values: dict[str, Value], tag: str) -> None:
        """Make the operation the first kind with weights, without a skip."""
        for name, value in ((f"op_{tag}", self.weighted[0]), (f"skip_{tag}", "none")):
            if name in self.knobs:
                values[name] = value
        for family in ("normalisation", *HARDWARE):
            if f"{family}_{tag}" not in values:
                self.first(values, family, tag)

    def _settle(self, values: dict[str, Value], operation: Operation) -> None:
        """Reset settings that do not affect an operation to their first value."""
        without_weights = operation.op not in self.weighted
        if without_weights and operation.skip != "add":
            for family in ("activation", "activation_bits", "activation_integer"):
                self.first(values, family, operation.tag)

    def separate(self, values: dict[str, Value], tag: str) -> None:
        """Remove the skip of the operation."""
        values[f"skip_{tag}"] = "none"
