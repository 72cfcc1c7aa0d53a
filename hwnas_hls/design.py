"""A trained design: an architecture with its integers and the way inputs reach its grid."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.architecture import Architecture
from hwnas_hls.errors import UserError
from hwnas_hls.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DESIGN_SCHEMA = 1


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessing:
    """How raw features become network inputs: ``(x - mean) / scale``.

    Args:
        mean, scale: float64 of shape (n_in,), fitted on the training split only.
        names: feature names, in order.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    names: tuple[str, ...] = ()

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Raw features (rows, n_in) -> standardised float64 of the same shape."""
        return (features - self.mean) / self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A network whose every weight is an integer on its layer's grid.

    Args:
        architecture: types, shapes and HLS settings.
        weights: one int64 array (n_in, n_out) a layer, counted in units of the weight's
            least significant bit; batch normalisation is already folded in.
        biases: one int64 array (n_out,) a layer on the bias type's grid, or ``None``.
        preprocessing: fitted standardisation; ``None`` where inputs arrive on the grid.
        labels: class names in output order; empty for regression.
        meta: where it comes from (task, seed, epochs), JSON-able.
    """

    architecture: Architecture
    weights: tuple[NDArray[np.int64], ...]
    biases: tuple[NDArray[np.int64] | None, ...]
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, (layer, weight) in enumerate(zip(self.architecture.chain, self.weights, strict=True)):
            if weight.shape != (layer.n_in, layer.n_out):
                raise UserError(
                    f"layer {number} wants weights of shape ({layer.n_in}, {layer.n_out})", found=weight.shape
                )
            _on_grid(f"weights of layer {number}", weight, layer.weight)
        for number, (layer, bias) in enumerate(zip(self.architecture.chain, self.biases, strict=True)):
            if (bias is None) != (layer.bias is None):
                raise UserError(f"layer {number}: biases and their type come together")
            if bias is not None and layer.bias is not None:
                _on_grid(f"biases of layer {number}", bias, layer.bias)

    def accumulators(self) -> tuple[FixedType, ...]:
        """The accumulator of each layer: as given, or the narrowest exact one for these weights.

        Interval analysis: the largest and smallest partial sum *in any order*, bias included,
        over every input the layer's input type can hold.
        """
        return tuple(accum for _, accum, _ in self.layer_types())

    def layer_types(self) -> tuple[tuple[FixedType, FixedType, FixedType], ...]:
        """(input, accumulator, output) type of each layer."""
        out = []
        source = self.architecture.input
        for number, layer in enumerate(self.architecture.chain):
            accum = layer.accum or self._exact_accum(number, source)
            result = layer.result or accum
            out.append((source, accum, result))
            source = result
        return tuple(out)

    def _exact_accum(self, number: int, source: FixedType) -> FixedType:
        import numpy as np

        layer = self.architecture.chain[number]
        weight, bias = self.weights[number], self.biases[number]
        fraction = source.fraction + layer.weight.fraction
        at_high, at_low = weight * source.highest, weight * source.lowest
        up = np.maximum(np.maximum(at_high, at_low), 0).sum(axis=0)
        down = np.minimum(np.minimum(at_high, at_low), 0).sum(axis=0)
        if bias is not None and layer.bias is not None:
            common = max(fraction, layer.bias.fraction)
            shifted = bias << (common - layer.bias.fraction)
            up = (up << (common - fraction)) + np.maximum(shifted, 0)
            down = (down << (common - fraction)) + np.minimum(shifted, 0)
            fraction = common
        width = max(int(up.max()), -int(down.min()) - 1, 0).bit_length() + 1
        return FixedType(width, width - fraction)

    def digest(self) -> str:
        """Content address of the numbers and types (not of ``meta``)."""
        state = hashlib.sha256(json.dumps(self.architecture.to_json(), sort_keys=True).encode())
        for array in (*self.weights, *self.biases):
            # Shapes follow from the architecture; a missing bias is told apart from an empty one.
            state.update(b"none" if array is None else array.astype("<i8").tobytes())
        return state.hexdigest()[:16]

    def _description(self) -> dict[str, Any]:
        return {
            "schema": DESIGN_SCHEMA,
            "digest": self.digest(),
            "architecture": self.architecture.to_json(),
            "features": list(self.preprocessing.names) if self.preprocessing else [],
            "labels": list(self.labels),
            "meta": dict(self.meta),
        }

    def _arrays(self) -> dict[str, Any]:
        arrays: dict[str, Any] = {f"weight{number}": weight for number, weight in enumerate(self.weights)}
        arrays |= {f"bias{number}": bias for number, bias in enumerate(self.biases) if bias is not None}
        if self.preprocessing is not None:
            arrays |= {"mean": self.preprocessing.mean, "scale": self.preprocessing.scale}
        return arrays

    def save(self, folder: Path) -> None:
        """Write ``design.json`` and ``weights.npz`` into ``folder``."""
        import numpy as np

        text = json.dumps(self._description(), indent=2, allow_nan=False) + "\n"
        arrays = io.BytesIO()
        np.savez(arrays, **self._arrays())
        folder.mkdir(parents=True, exist_ok=True)
        # Each appears whole or not at all: a killed run leaves no half of a file behind.
        for name, data in (("weights.npz", arrays.getvalue()), ("design.json", text.encode())):
            unfinished = folder / f".{name}.tmp"
            unfinished.write_bytes(data)
            unfinished.replace(folder / name)

    def to_bytes(self) -> bytes:
        """The whole design in one piece: an npz whose entry ``description`` is the JSON text."""
        import numpy as np

        text = json.dumps(self._description(), allow_nan=False).encode()
        arrays = {
            name: array.astype(np.min_scalar_type(-int(np.abs(array).max(initial=0)) - 1))
            if np.issubdtype(array.dtype, np.integer)
            else array
            for name, array in self._arrays().items()
        }
        buffer = io.BytesIO()
        np.savez(buffer, description=np.frombuffer(text, np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Design:
        """The inverse of :meth:`to_bytes`."""
        import numpy as np

        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        return cls._assembled(json.loads(held.pop("description").tobytes()), held, "the store")

    @classmethod
    def load(cls, folder: Path) -> Design:
        """Read a folder written by :meth:`save`.

        Raises:
            UserError: a file is missing, not readable, of another schema, or altered.
        """
        import numpy as np

        path = folder / "design.json"
        try:
            data = json.loads(path.read_text())
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError("not a readable design", where=str(path), found=error) from error
        if data.get("schema") != DESIGN_SCHEMA:
            raise UserError(
                "a design of another schema",
                where=str(path),
                found=data.get("schema"),
                choices=[DESIGN_SCHEMA],
            )
        try:
            with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
                held = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError) as error:
            raise UserError("no readable weights", where=str(folder / "weights.npz"), found=error) from error
        return cls._assembled(data, held, str(folder))

    @classmethod
    def _assembled(cls, data: Mapping[str, Any], held: Mapping[str, NDArray[Any]], where: str) -> Design:
        import numpy as np

        architecture = Architecture.from_json(data["architecture"])
        count = len(architecture.chain)
        preprocessing = None
        if "mean" in held:
            preprocessing = Preprocessing(held["mean"], held["scale"], tuple(data["features"]))
        design = cls(
            architecture,
            tuple(held[f"weight{number}"].astype(np.int64) for number in range(count)),
            tuple(
                held[f"bias{number}"].astype(np.int64) if f"bias{number}" in held else None
                for number in range(count)
            ),
            preprocessing,
            tuple(data["labels"]),
            data["meta"],
        )
        if design.digest() != data["digest"]:
            raise UserError("the design was altered after it was written", where=where)
        return design


def _on_grid(what: str, values: NDArray[np.int64], grid: FixedType) -> None:
    if values.size and (values.min() < grid.lowest or values.max() > grid.highest):
        raise UserError(f"{what} leave their type {grid}", found=f"{values.min()} .. {values.max()}")
