"""Trained designs: an architecture with integer weights and the standardisation of its inputs."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.features import (
    FeatureTypes,
    check_features,
    ends,
    features_from_json,
    features_to_json,
)
from hwnas_hls.network.fields import HlsStrategy
from hwnas_hls.network.layers import Conv2D, Dense, Weighted
from hwnas_hls.network.precision import FixedType
from hwnas_hls.system.files import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DESIGN_SCHEMA = 1
#: Maximum file size: 30 million 64-bit weights, far more than fits any part.
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessing:
    """The standardisation of raw features: ``(x - mean) / scale``.

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

    @property
    def changes_nothing(self) -> bool:
        """Whether every feature stays as it is."""
        return not self.mean.any() and bool((self.scale == 1.0).all())


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A network with integer weights on the grids of their types.

    Args:
        architecture: types, shapes and HLS settings.
        weights: per layer, an int64 array of ``layer.weight_shape`` in units of the weight's least
            significant bit, with batch normalisation folded in; ``None`` for a layer without weights
            (pooling, merge).
        biases: per layer, an int64 array (outputs or filters,) on the bias type's grid, or ``None``.
        preprocessing: fitted standardisation; ``None`` if the inputs are already on the grid.
        labels: class names in output order; empty for regression.
        meta: where it comes from (task, seed, epochs), JSON-able.
        features: type of each input feature, within the architecture's input type; ``None`` for a
            feature that is not read. Empty where all of them have the input type itself.
    """

    architecture: Architecture
    weights: tuple[NDArray[np.int64] | None, ...]
    biases: tuple[NDArray[np.int64] | None, ...]
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    features: FeatureTypes = ()

    def __post_init__(self) -> None:
        architecture, layers = self.architecture, self.architecture.layers
        check_features(self.features, architecture.input, architecture.n_in)
        if self.features and not reads_features(architecture):
            raise UserError(
                "types of single features want a chain of layers of distributed_arithmetic, io_parallel",
                kind=ErrorKind.CONFLICT,
            )
        if all(own == architecture.input.plain for own in self.features):
            # Nothing of its own: as a design that never had any.
            object.__setattr__(self, "features", ())
        for number, (layer, weight, bias) in enumerate(zip(layers, self.weights, self.biases, strict=True)):
            shape = None if weight is None else weight.shape
            if shape != layer.weight_shape:
                raise UserError(
                    f"layer {number} needs weights of shape {layer.weight_shape}",
                    found=shape,
                    kind=ErrorKind.MISMATCH,
                )
            kind = layer.bias if isinstance(layer, Weighted) else None
            if (bias is None) != (kind is None):
                raise UserError(
                    f"layer {number} needs both biases and a bias type, or neither", kind=ErrorKind.MISMATCH
                )
            if weight is not None and isinstance(layer, Weighted):
                _on_grid(f"weights of layer {number}", weight, layer.weight)
            if weight is not None and bias is not None and kind is not None:
                if bias.shape != weight.shape[-1:]:
                    raise UserError(
                        f"layer {number} needs biases of shape {weight.shape[-1:]}",
                        found=bias.shape,
                        kind=ErrorKind.MISMATCH,
                    )
                _on_grid(f"biases of layer {number}", bias, kind)

    @property
    def chain_weights(self) -> tuple[NDArray[np.int64], ...]:
        """The weights of a chain, each of shape (n_in, n_out).

        Raises:
            Unsupported: the architecture is not a chain.
        """
        number_of_layers = len(self.architecture.chain)  # raises if it is not a chain
        return tuple(weight for weight in self.weights[:number_of_layers] if weight is not None)

    def weighted(self) -> Iterator[tuple[int, Dense | Conv2D, NDArray[np.int64], NDArray[np.int64] | None]]:
        """(number, layer, weights, biases) of every layer with weights, in order."""
        layers = self.architecture.layers
        for number, (layer, weight, bias) in enumerate(zip(layers, self.weights, self.biases, strict=True)):
            if weight is not None and isinstance(layer, Weighted):
                yield number, layer, weight, bias

    def layer_types(self) -> tuple[tuple[FixedType, FixedType, FixedType], ...]:
        """(input, accumulator, output) type of each layer.

        For a merge, the input is the first one (:meth:`Architecture.sources` gives the other), and the
        accumulator is the input of the activation. For a pooling, it is the type of the window's sum.
        """
        out: list[tuple[FixedType, FixedType, FixedType]] = []
        architecture = self.architecture
        for number, layer in enumerate(architecture.layers):
            given = [
                architecture.input if source == INPUT else out[source][2]
                for source in architecture.sources(number)
            ]
            weight = self.weights[number]
            if weight is not None and isinstance(layer, Weighted):
                own = self.features if architecture.sources(number) == (INPUT,) else ()
                accum = layer.accum or _exact_accum(layer, given[0], weight, self.biases[number], own)
                result = layer.result or accum
            else:
                accum, result = layer.exact_accum(*given), layer.output_type(*given)
            out.append((given[0], accum, result))
        return tuple(out)

    def outputs(self, features: Any) -> NDArray[np.float64]:
        """The outputs of the hardware, exact.

        Args:
            features: raw features (rows, n_in), an array or a DataFrame; of a DataFrame, the columns
                named like the features are taken.

        Returns:
            float64 (rows, n_out): a score for each class, or in a regression the targets in their unit.

        Raises:
            UserError: not that number of columns, or a column is missing.
            Unsupported: an activation uses a lookup table.
        """
        import numpy as np

        from hwnas_hls.network import emulator

        found = emulator.outputs(self, self._rows(features))
        if "target_scale" not in self.meta:
            return found
        in_units: NDArray[np.float64] = found * np.asarray(self.meta["target_scale"])
        in_units += np.asarray(self.meta["target_mean"])
        return in_units

    def predict(self, features: Any) -> NDArray[Any]:
        """What the hardware decides for raw features, exact.

        Args:
            features: as for :meth:`outputs`.

        Returns:
            Classification: the index of the largest output, int64 (rows,); its name is
            ``labels[index]``. Regression: as :meth:`outputs`.
        """
        found = self.outputs(features)
        return found.argmax(axis=1) if self.labels else found

    def accepts(self, features: Any) -> NDArray[np.bool_]:
        """Whether the operating point of the design accepts raw features, exact.

        A row is accepted if the output of the signal class exceeds every other output by at least the
        threshold.

        Args:
            features: as for :meth:`outputs`.

        Returns:
            bool (rows,).

        Raises:
            UserError: the design has no operating point; otherwise as :meth:`outputs`.
        """
        import numpy as np

        from hwnas_hls.network import emulator

        point = self.meta.get("operating_point")
        if not isinstance(point, Mapping):
            raise UserError(
                "this design has no operating point",
                remedy="name the signal class in [task] of the run: signal",
                kind=ErrorKind.MISSING,
            )
        rows = self._rows(features)
        if point["threshold_integer"] is None:
            return np.zeros(len(rows), bool)  # no threshold keeps the wanted rate
        signal = self.labels.index(point["signal"])
        integers = emulator.emulate(self, emulator.input_integers(self, rows))
        accepted: NDArray[np.bool_] = emulator.margins(integers, signal) >= point["threshold_integer"]
        return accepted

    def to_torch(self) -> Any:
        """The design as a ``torch.nn.Sequential`` in float64, from raw features to outputs.

        In evaluation its outputs are those of the hardware, bit for bit; gradients pass the rounding
        (straight-through), so that it can be trained further. In a regression, its outputs are
        standardised targets (``meta`` has ``target_mean`` and ``target_scale``).

        Raises:
            Unsupported: it is not a chain of dense layers, an accumulator is narrower than the exact
                sums, or an activation uses a lookup table.
        """
        from hwnas_hls.network.torch_form import torch_form

        return torch_form(self)

    def _rows(self, features: Any) -> NDArray[np.float64]:
        import numpy as np

        names = self.preprocessing.names if self.preprocessing is not None else ()
        if names and hasattr(features, "columns"):
            missing = [name for name in names if name not in features.columns]
            if missing:
                raise UserError(
                    "the table lacks features of this design",
                    found=", ".join(map(str, features.columns[:20])),
                    remedy=f"it needs {', '.join(missing[:10])}",
                    kind=ErrorKind.MISSING,
                )
            features = features[list(names)]
        rows = np.asarray(features, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.architecture.n_in:
            raise UserError(
                f"this design takes rows of {self.architecture.n_in} features",
                found=f"shape {rows.shape}",
                remedy="for one row, give features[None, :]" if rows.ndim == 1 else None,
                kind=ErrorKind.MISMATCH,
            )
        return rows

    def digest(self) -> str:
        """A hash of the numbers and types, without ``meta``."""
        state = hashlib.sha256(json.dumps(self.architecture.to_json(), sort_keys=True).encode())
        for array in (*self.weights, *self.biases):
            # The architecture determines the shapes; a missing array differs from an empty one.
            state.update(b"none" if array is None else array.astype("<i8").tobytes())
        if self.features:
            state.update(json.dumps(features_to_json(self.features)).encode())
        return state.hexdigest()[:16]

    @property
    def hardware_name(self) -> str:
        """``nn_`` and the first eight digits of the digest: a name for modules and top functions.

        A report that names it is of these weights and types.
        """
        return f"nn_{self.digest()[:8]}"

    def _description(self) -> dict[str, Any]:
        return {
            "schema": DESIGN_SCHEMA,
            "digest": self.digest(),
            "architecture": self.architecture.to_json(),
            "features": list(self.preprocessing.names) if self.preprocessing else [],
            "labels": list(self.labels),
            "meta": dict(self.meta),
            # Left out where it says nothing.
            **({"feature_types": features_to_json(self.features)} if self.features else {}),
        }

    def _arrays(self) -> dict[str, Any]:
        arrays: dict[str, Any] = {}
        for name, parts in (("weight", self.weights), ("bias", self.biases)):
            arrays |= {f"{name}{number}": part for number, part in enumerate(parts) if part is not None}
        if self.preprocessing is not None:
            arrays |= {"mean": self.preprocessing.mean, "scale": self.preprocessing.scale}
        return arrays

    def save(self, folder: Path) -> None:
        """Write ``design.json`` and ``weights.npz`` into ``folder``."""
        import numpy as np

        text = json.dumps(self._description(), indent=2, allow_nan=False) + "\n"
        arrays = io.BytesIO()
        np.savez(arrays, **self._arrays())
        # Atomic writes: a killed run leaves no partial file.
        for name, data in (("weights.npz", arrays.getvalue()), ("design.json", text.encode())):
            write_bytes(folder / name, data)

    def to_bytes(self) -> bytes:
        """The design as an npz archive; its entry ``description`` is the JSON text."""
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
            UserError: a file is missing, unreadable, modified, or has another schema.
        """
        path = folder / "design.json"
        try:
            data = json.loads(_limited(path).decode())
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                "not a readable design", where=str(path), found=error, kind=ErrorKind.WRONG_FORMAT
            ) from error
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        if found != DESIGN_SCHEMA:
            raise UserError(
                "unsupported schema of the design",
                where=str(path),
                found=found,
                choices=[DESIGN_SCHEMA],
                kind=ErrorKind.NEWER_VERSION,
            )
        held = _read_arrays(folder / "weights.npz")
        try:
            return cls._assembled(data, held, str(folder))
        except UserError:
            raise
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise UserError(
                "not a design written by this tool",
                where=str(path),
                found=f"{type(error).__name__}: {error}",
                kind=ErrorKind.WRONG_FORMAT,
            ) from error

    @classmethod
    def _assembled(cls, data: Mapping[str, Any], held: Mapping[str, NDArray[Any]], where: str) -> Design:
        import numpy as np

        architecture = Architecture.from_json(data["architecture"])

        def integers(what: str) -> tuple[NDArray[np.int64] | None, ...]:
            names = [f"{what}{number}" for number in range(len(architecture.layers))]
            return tuple(held[name].astype(np.int64) if name in held else None for name in names)

        preprocessing = None
        if "mean" in held:
            preprocessing = Preprocessing(held["mean"], held["scale"], tuple(data["features"]))
        design = cls(
            architecture,
            integers("weight"),
            integers("bias"),
            preprocessing,
            tuple(data["labels"]),
            data["meta"],
            features_from_json(data.get("feature_types", ())),
        )
        if design.digest() != data["digest"]:
            raise UserError(
                "the design was modified after it was written", where=where, kind=ErrorKind.DAMAGED
            )
        return design


def reads_features(architecture: Architecture) -> bool:
    """Whether single features may have types of their own: a chain of adders alone, all inputs at once.

    What hls4ml and the writers of RTL then build is the same to the bit.
    """
    return (
        architecture.io_type == "io_parallel"
        and architecture.is_chain
        and all(layer.strategy == HlsStrategy.DISTRIBUTED_ARITHMETIC for layer in architecture.chain)
    )


def _limited(path: Path) -> bytes:
    """The content of a file, if its size is plausible for a design."""
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(f"{size:,} bytes; at most {_MAX_BYTES:,} are read")
    return path.read_bytes()


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    try:
        data = io.BytesIO(_limited(path))
        with zipfile.ZipFile(data) as archive:
            # Checked before unpacking: a small file must not fill the memory.
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _MAX_BYTES:
            raise ValueError(f"{unpacked:,} bytes unpacked; at most {_MAX_BYTES:,} are read")
        with np.load(data, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        MemoryError,
        OverflowError,
        RuntimeError,
        SyntaxError,  # from a header that is not a Python literal
        TypeError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
    ) as error:
        raise UserError(
            "the weights cannot be read", where=str(path), found=error, kind=ErrorKind.WRONG_FORMAT
        ) from error


def _exact_accum(
    layer: Dense | Conv2D,
    source: FixedType,
    weight: NDArray[np.int64],
    bias: NDArray[np.int64] | None,
    features: FeatureTypes,
) -> FixedType:
    import numpy as np

    fraction = source.fraction + layer.weight.fraction
    at_high, at_low = weight * source.highest, weight * source.lowest
    if features:
        low, high = ends(features, source, len(weight))
        at_high, at_low = weight * high[:, None], weight * low[:, None]
    # A window over the edge of an image has fewer products: sums of a part lie within these too.
    each = tuple(range(weight.ndim - 1))
    up = np.maximum(np.maximum(at_high, at_low), 0).sum(axis=each)
    down = np.minimum(np.minimum(at_high, at_low), 0).sum(axis=each)
    if bias is not None and layer.bias is not None:
        common = max(fraction, layer.bias.fraction)
        shifted = bias << (common - layer.bias.fraction)
        up = (up << (common - fraction)) + np.maximum(shifted, 0)
        down = (down << (common - fraction)) + np.minimum(shifted, 0)
        fraction = common
    width = max(int(up.max()), -int(down.min()) - 1, 0).bit_length() + 1
    return FixedType(width, width - fraction)


def _on_grid(what: str, values: NDArray[np.int64], grid: FixedType) -> None:
    if values.size and (values.min() < grid.lowest or values.max() > grid.highest):
        raise UserError(f"{what} exceed their type {grid}", found=f"{values.min()} .. {values.max()}")
