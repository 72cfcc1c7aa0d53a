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

from hwnas_hls.errors import ErrorKind, ReportError, Unsupported, UserError
from hwnas_hls.hls4ml.folder.config import split_config, text_of
from hwnas_hls.hls4ml.folder.files import inside, source

MAX_JSON_BYTES = 4 * 1024 * 1024
_MAX_NESTING = 12
_TORCH = re.compile(r"(\s+)'?([\w.]+)'?: (?:&(\w+) )?!!python/object:[\w.]+\.(\w+)\s*")
#: A module that stands in several places is written once, with an anchor; elsewhere stands its alias.
_TORCH_AGAIN = re.compile(r"(\s+)'?([\w.]+)'?: \*(\w+)\s*")
#: The class of the model itself; a class of the user's has a ``forward`` that is not in the file.
_TORCH_MODEL = re.compile(r"\w+: !!python/object:torch\.nn\.modules\.container\.Sequential\s*")
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
        UserError: the file does not determine the order of the layers.
        Unsupported: a layer is not supported.
        ReportError: the model exists but cannot be read.
    """
    _, blocks = split_config(path)
    if "in_features" in blocks.get("PytorchModel", ""):
        return list(_torch(blocks["PytorchModel"], str(path)))
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


def _torch(block: str, where: str) -> Iterator[Shape]:
    """The modules of an ``nn.Sequential`` in the order of their numbers.

    PyYAML sorts the modules by name, and what ``forward`` of another class does with them (their order,
    whether one is used twice or not at all, sums) is not in the file.
    """
    modules = _modules(block)
    first = block.split("\n", 1)[0]
    if not _TORCH_MODEL.fullmatch(first) or not all(
        len(path) == 1 and path[0].isdigit() for path, _, _ in modules
    ):
        named = ", ".join(".".join(path) for path, _, _ in modules)[:200]
        raise _only_in_folder("order", where, f"modules sorted by name: {named}")
    modules.sort(key=lambda module: int(module[0][-1]))
    for path, kind, sizes in modules:
        yield from _torch_layer(f"_{path[0]}", kind, sizes)


def _only_in_folder(what: str, where: str, found: str) -> UserError:
    """The error for a property of the layers that a configuration does not contain."""
    return UserError(
        f"the configuration does not contain the {what} of its layers",
        where=where,
        found=found,
        remedy="give the project folder (with firmware/), which does",
        kind=ErrorKind.MISSING,
    )


_Module = tuple[tuple[str, ...], str, dict[str, int]]


def _modules(block: str) -> list[_Module]:
    """(names from the outside in, class, sizes) of each module without submodules."""
    found: list[_Module] = []
    anchors: dict[str, _Module] = {}
    path: list[tuple[int, str]] = []
    for line in block.splitlines()[1:]:
        value = _TORCH_FIELD.fullmatch(line[:200])
        if value is not None and found:
            found[-1][2][value[2]] = int(value[3])
        module, again = _TORCH.fullmatch(line[:300]), _TORCH_AGAIN.fullmatch(line[:300])
        if module is None and (again is None or again[3] not in anchors):
            continue
        indent, name = len((module or again)[1]), (module or again)[2]  # type: ignore[index]
        path = [*((at, outer) for at, outer in path if at < indent), (indent, name)]
        names = tuple(each for _, each in path)
        if module is not None:
            found.append((names, module[4], {}))
            if module[3]:
                anchors[module[3]] = found[-1]
        else:
            _, kind, sizes = anchors[again[3]]  # type: ignore[index]
            found.append((names, kind, sizes))
    return [module for module in found if module[1] not in _CONTAINERS]


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
    before = ""
    for layer in layers[:1000]:
        inner = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(inner, dict):
            raise ReportError(f"{where}: a layer without a configuration")
        kind, name = str(layer.get("class_name"))[:80], str(inner.get("name"))[:120]
        if str(layer.get("module")).partition(".")[0] == "hgq":
            # hls4ml writes auto as their type; the quantisers have them as trained variables
            found = f"layer {name!r} is a {kind} of HGQ, whose quantisers decide them"
            raise _only_in_folder("types", where, found)
        _check_chain(name, before, layer.get("inbound_nodes"))
        before = name
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


def _check_chain(name: str, before: str, nodes: Any) -> None:
    """Refuse a layer of a functional model that is called twice or reads other than the layer before it."""
    if not isinstance(nodes, list) or not nodes:
        return  # a sequential model, or an input
    found = _sources(nodes)
    if len(nodes) != 1 or found != [before]:
        read = ", ".join(found)[:100] or "nothing"
        raise Unsupported(
            f"layer {name!r} reads {read}, not only {before or 'an input'}: "
            "only chains of layers are supported"
        )


def _sources(node: Any, depth: int = 0) -> list[str]:
    """The layers that calls read: ``["fc1", 0, 0]``, in lists and mappings that differ between versions."""
    if depth > _MAX_NESTING:
        return []
    if isinstance(node, dict):
        return [name for value in node.values() for name in _sources(value, depth + 1)]
    if not isinstance(node, list):
        return []
    if len(node) >= 3 and isinstance(node[0], str) and all(isinstance(place, int) for place in node[1:3]):
        return [node[0][:120]]
    return [name for value in node for name in _sources(value, depth + 1)]


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
