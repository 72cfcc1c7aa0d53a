"""The layers of a configuration without firmware, from its torch model or the Keras model next to it.

Only text is read: class names, widths and activations. Nothing is imported or unpickled.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.hls4ml.folder.config import split_config, text_of
from hwnas_hls.hls4ml.folder.files import inside, source

MAX_JSON_BYTES = 4 * 1024 * 1024
_TORCH = re.compile(r"(\s+)'?([\w.]+)'?: !!python/object:([\w.]+)\.(\w+)\s*")
_TORCH_FIELD = re.compile(r"(\s+)(in_features|out_features|num_features): (\d{1,7})\s*")
#: Classes without hardware.
_NOTHING = frozenset({"Dropout", "Flatten", "Identity", "InputLayer", "AlphaDropout", "GaussianNoise"})
_CONTAINERS = frozenset({"Sequential", "ModuleList"})
_ACTIVATIONS = {
    "ReLU": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One layer: ``kind`` is ``Dense``, ``Activation`` or ``BatchNormalization``, as hls4ml names it.

    Args:
        name: its possible name in ``HLSConfig``.
        n_in, n_out: of a dense layer; ``n_in`` is ``None`` if it follows from the previous layer.
        activation: of an activation, in lower case.
    """

    name: str
    kind: str
    n_in: int | None = None
    n_out: int | None = None
    activation: str = ""


def read_shapes(path: Path, config: dict[str, Any]) -> list[Shape]:
    """The layers of the model of the configuration at ``path``; empty if unknown.

    Raises:
        Unsupported: a layer is not supported.
        ReportError: the model exists but cannot be read.
    """
    _, blocks = split_config(path)
    if "in_features" in blocks.get("PytorchModel", ""):
        return list(_torch(blocks["PytorchModel"]))
    folder = path.parent
    tagged = blocks.get("KerasModel", "").split("\n", 1)[0].partition("!keras_model")[2].strip()
    for named in (text_of(config, "KerasJson"), tagged, "keras_model.keras"):
        # only by its name in the same folder; paths in the file are not followed
        model = folder / Path(named.strip("'\"")).name
        if named and model.is_file() and inside(folder, model):
            data = _keras_data(folder, model)
            if data is not None:
                return list(_keras(data, str(model)))
    return []


def has_certain_order(path: Path) -> bool:
    """Whether the file at ``path`` determines the order of its layers (a torch model: if numbered).

    The modules of a torch model are sorted by name, and ``forward`` is not in the file.
    """
    _, blocks = split_config(path)
    block = blocks.get("PytorchModel", "")
    return "in_features" not in block or _numbered(_modules(block))


def _torch(block: str) -> Iterator[Shape]:
    """The modules in the order of their numbers if all have one (``nn.Sequential``), else as written."""
    modules = _modules(block)
    if _numbered(modules):
        modules.sort(key=lambda module: int(module[0][-1]))
    for path, kind, sizes in modules:
        name = "_".join(path)
        yield from _torch_layer("_" + name if name[:1].isdigit() else name, kind, sizes)


_Module = tuple[tuple[str, ...], str, dict[str, int]]


def _modules(block: str) -> list[_Module]:
    """(names from the outside in, class, sizes) of each module without submodules."""
    found: list[tuple[tuple[str, ...], str, dict[str, int]]] = []
    path: list[tuple[int, str]] = []
    for line in block.splitlines()[1:]:
        value = _TORCH_FIELD.fullmatch(line[:200])
        if value is not None and found:
            found[-1][2][value[2]] = int(value[3])
        module = _TORCH.fullmatch(line[:300])
        if module is not None:
            indent = len(module[1])
            path = [*((at, name) for at, name in path if at < indent), (indent, module[2])]
            found.append((tuple(name for _, name in path), module[4], {}))
    return [module for module in found if module[1] not in _CONTAINERS]


def _numbered(modules: list[_Module]) -> bool:
    """Whether the model is one ``nn.Sequential``; other modules may combine their parts in any way."""
    return all(len(path) == 1 and path[0].isdigit() for path, _, _ in modules)


def _torch_layer(name: str, kind: str, sizes: dict[str, int]) -> Iterator[Shape]:
    if kind == "Linear" and {"in_features", "out_features"} <= sizes.keys():
        yield Shape(name, "Dense", sizes["in_features"], sizes["out_features"])
    elif kind in _ACTIVATIONS:
        yield Shape(name, "Activation", activation=_ACTIVATIONS[kind])
    elif kind.startswith("BatchNorm"):
        yield Shape(name, "BatchNormalization")
    elif kind not in _NOTHING:
        raise Unsupported(
            f"layer {name!r} is a {kind}: only linear layers, activations and batch norm are supported"
        )


def _keras_data(folder: Path, model: Path) -> Any:
    try:
        if model.suffix == ".keras":
            with zipfile.ZipFile(model) as archive:
                info = archive.getinfo("config.json")
                if info.file_size > MAX_JSON_BYTES:
                    raise ReportError(f"{model}: config.json in it is larger than {MAX_JSON_BYTES >> 20} MiB")
                with archive.open(info) as file:
                    return json.loads(file.read(MAX_JSON_BYTES + 1))
        if model.suffix == ".json":
            return json.loads(source(folder, model.name, MAX_JSON_BYTES))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, RecursionError, NotImplementedError) as error:
        raise ReportError(f"{model}: not a readable Keras model: {str(error)[:100]}") from error
    return None


def _keras(data: Any, where: str) -> Iterator[Shape]:
    config = data.get("config") if isinstance(data, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(layers, list):
        raise ReportError(f"{where}: has no list of layers")
    width: int | None = None
    for layer in layers[:1000]:
        inner = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(inner, dict):
            raise ReportError(f"{where}: a layer without a configuration")
        kind, name = str(layer.get("class_name"))[:80], str(inner.get("name"))[:120]
        width = _width(inner, width)
        if kind in ("Dense", "QDense"):
            units = inner.get("units")
            if not isinstance(units, int) or isinstance(units, bool) or not 1 <= units <= 1_000_000:
                raise ReportError(f"{where}: layer {name!r} has no plausible number of units")
            yield Shape(name, "Dense", width, units)
            width = units
            activation = _keras_activation(inner.get("activation"))
            if activation not in ("", "linear"):
                yield Shape(f"{name}_{activation}", "Activation", activation=activation)
        elif kind in ("Activation", "QActivation"):
            yield Shape(name, "Activation", activation=_keras_activation(inner.get("activation")))
        elif kind in _ACTIVATIONS:
            yield Shape(name, "Activation", activation=_ACTIVATIONS[kind])
        elif kind in ("BatchNormalization", "QBatchNormalization"):
            yield Shape(name, "BatchNormalization")
        elif kind not in _NOTHING:
            raise Unsupported(
                f"layer {name!r} is a {kind}: only dense layers, activations and batch norm are supported"
            )


def _width(inner: dict[str, Any], width: int | None) -> int | None:
    """The width of the input, if this layer gives it."""
    shape = inner.get("batch_input_shape") or inner.get("batch_shape")
    if (
        isinstance(shape, list)
        and len(shape) == 2
        and isinstance(shape[1], int)
        and 1 <= shape[1] <= 1_000_000
    ):
        return shape[1]
    return width


def _keras_activation(value: Any) -> str:
    """``relu``, ``quantized_relu(6,0)``, or a serialised object with a class name."""
    if isinstance(value, dict):
        value = value.get("class_name")
    text = str(value or "linear").lower()
    for name in ("softmax", "relu", "tanh", "sigmoid", "linear", "elu", "softplus", "softsign"):
        if name in text:
            return "linear" if name == "linear" else name
    return "linear" if "quantized_bits" in text else text[:40]
