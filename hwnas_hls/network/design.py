"""Trained designs: an architecture with integer weights and the standardisation of its inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network import stored_design
from hwnas_hls.network.architecture import Architecture, LayerTypes
from hwnas_hls.network.features import FeatureTypes, check_features, ends, features_to_json
from hwnas_hls.network.layers import Conv2D, Dense, Weighted
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


#: Entry of ``meta``: the adder levels per pipeline stage that a synthesizer found with the clock.
ADDER_LEVELS = "adder_levels"


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
        neurons: for each layer but the last, the type of each neuron's result, within the layer's result
            type and with its modes; ``None`` for a result that is 0. Empty for a layer, or altogether, where
            results have the layer's type itself.
    """

    architecture: Architecture
    weights: tuple[NDArray[np.int64] | None, ...]
    biases: tuple[NDArray[np.int64] | None, ...]
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    features: FeatureTypes = ()
    neurons: tuple[FeatureTypes, ...] = ()
    #: Types of the layers once computed; weights and types of a design never change.
    _types: list[LayerTypes] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        layers = self.architecture.layers
        self._check_own_types()
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

    def _check_own_types(self) -> None:
        architecture = self.architecture
        check_features(self.features, architecture.input, architecture.n_in)
        if (self.features or any(self.neurons)) and not architecture.allows_feature_types:
            raise UserError(
                "types of single features and neurons need a chain of distributed_arithmetic layers with "
                "io_parallel",
                kind=ErrorKind.CONFLICT,
            )
        if all(own == architecture.input.plain for own in self.features):
            # All features have the input type: equal to a design without types of features.
            object.__setattr__(self, "features", ())
        if not any(self.neurons):
            object.__setattr__(self, "neurons", ())
            return
        hidden, found = architecture.chain[:-1], []
        if len(self.neurons) != len(hidden):
            raise UserError(
                f"types of neurons are given for each of the {len(hidden)} hidden layers",
                found=len(self.neurons),
                kind=ErrorKind.MISMATCH,
            )
        for number, (layer, own) in enumerate(zip(hidden, self.neurons, strict=True)):
            if own and layer.result is None:
                raise UserError(
                    f"layer {number} has no result type that its neurons' types lie in",
                    kind=ErrorKind.CONFLICT,
                )
            kind = layer.result or architecture.input
            check_features(own, kind, layer.n_out, f"layer {number} neuron")
            found.append(() if all(one == kind.plain for one in own) else own)
        object.__setattr__(self, "neurons", tuple(found) if any(found) else ())

    def own_results(self, number: int) -> FeatureTypes:
        """The types of single results of layer ``number``; empty where all have the layer's type."""
        return self.neurons[number] if number < len(self.neurons) else ()

    def own_inputs(self, number: int) -> FeatureTypes:
        """The types of single values that layer ``number`` reads; empty where all have one type."""
        return self.own_results(number - 1) if number else self.features

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

    def layer_types(self) -> Sequence[LayerTypes]:
        """As of :meth:`Architecture.layer_types`; accumulators hold the sums of the design's weights."""
        if not self._types:
            # One assignment: several threads may ask at once, and find the same.
            self._types[:] = self.architecture.layer_types(self._exact_accum)
        return self._types

    def _exact_accum(self, number: int, layer: Dense | Conv2D, source: FixedType) -> FixedType:
        """The narrowest type of the sums of a layer whose input has the type ``source``."""
        import numpy as np

        weight, bias = self.weights[number], self.biases[number]
        if weight is None:  # refused when the design was made
            raise TypeError(f"layer {number} has no weights")
        fraction = source.fraction + layer.weight.fraction
        at_high, at_low = weight * source.highest, weight * source.lowest
        if own := self.own_inputs(number):  # empty in graphs
            low, high = ends(own, source, len(weight))
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
        if self.neurons:
            state.update(json.dumps(list(map(features_to_json, self.neurons))).encode())
        return state.hexdigest()[:16]

    @property
    def adder_levels(self) -> int | None:
        """Adder levels per pipeline stage, if a synthesizer found them with the clock."""
        return int(str(self.meta.get(ADDER_LEVELS, 0))) or None

    @property
    def hardware_name(self) -> str:
        """``nn_`` and the first eight digits of the digest: a name for modules and top functions.

        A report that names it is of these weights and types.
        """
        return f"nn_{self.digest()[:8]}"

    def save(self, folder: Path) -> None:
        """Write ``design.json`` and ``weights.npz`` into ``folder``."""
        stored_design.save(self, folder)

    def to_bytes(self) -> bytes:
        """The design as an npz archive; its entry ``description`` is the JSON text."""
        return stored_design.packed(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Design:
        """The inverse of :meth:`to_bytes`."""
        return cls._assembled(stored_design.unpacked(data), "the store")

    @classmethod
    def load(cls, folder: Path) -> Design:
        """Read a folder written by :meth:`save`.

        Raises:
            UserError: a file is missing, unreadable, modified, or has another schema.
        """
        content = stored_design.read(folder)
        with stored_design.written_by_this_tool(folder / "design.json"):
            return cls._assembled(content, str(folder))

    @classmethod
    def _assembled(cls, content: stored_design.Content, where: str) -> Design:
        arrays = content.arrays
        preprocessing = None
        if "mean" in arrays:
            preprocessing = Preprocessing(arrays["mean"], arrays["scale"], content.feature_names)
        design = cls(
            content.architecture,
            content.integers("weight"),
            content.integers("bias"),
            preprocessing,
            content.labels,
            content.meta,
            content.feature_types,
            content.neuron_types,
        )
        if design.digest() != content.digest:
            raise UserError(
                "the design was modified after it was written", where=where, kind=ErrorKind.DAMAGED
            )
        return design


def _on_grid(what: str, values: NDArray[np.int64], grid: FixedType) -> None:
    if values.size and (values.min() < grid.lowest or values.max() > grid.highest):
        raise UserError(f"{what} exceed their type {grid}", found=f"{values.min()} .. {values.max()}")
