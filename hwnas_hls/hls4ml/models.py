"""Reads models of other tools as queries: torch, ONNX and QONNX, Keras and QKeras, hls4ml projects.

No code of a file is run: torch files are read with ``weights_only``, and only classes of ``torch.nn`` are
accepted; Keras files are read in safe mode; of a project, only text is read.
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ReportError, ToolMissing, Unsupported, UserError
from hwnas_hls.hls4ml.conversion import converting
from hwnas_hls.hls4ml.folder import read_config, read_folder
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import Query

_CHAIN_ASSUMED = Note(
    NoteKind.ASSUMED,
    "a state_dict states neither branches nor activations; save the torch.nn.Sequential itself",
    "layers",
    "a chain in its order, with ReLU between the layers",
)
TORCH_FILES = (".pt", ".pth")
ONNX_FILES = (".onnx",)
KERAS_FILES = (".keras", ".h5", ".hdf5")
CONFIG_FILES = (".yml", ".yaml")
#: What can be read, for messages.
READ = (
    "an hls4ml project folder",
    "an hls4ml_config.yml",
    "a torch file (.pt, .pth)",
    "an ONNX or QONNX file (.onnx)",
    "a Keras or QKeras file (.keras, .h5)",
)
#: Operators that hls4ml's ONNX converter leaves out, beside those that it converts.
_SKIPPED_OPERATORS = ("Dropout", "Identity")
#: Classes of ``torch.nn`` that a torch file may contain.
_TORCH_CLASSES = (
    "Sequential",
    "Linear",
    "ReLU",
    "LeakyReLU",
    "Tanh",
    "Sigmoid",
    "Softmax",
    "ELU",
    "PReLU",
    "BatchNorm1d",
    "Dropout",
    "Flatten",
    "Identity",
)


def is_model(path: Path) -> bool:
    """Whether the suffix is that of a model file (not of a project)."""
    return path.suffix.lower() in (*TORCH_FILES, *ONNX_FILES, *KERAS_FILES)


def read_model(
    path: Path, *, precision: str | Mapping[str, str] = "ap_fixed<16,6>", strategy: str = "Latency"
) -> Query:
    """The query of a model.

    Args:
        path: a file or folder of one of the kinds in :data:`READ`.
        precision: type of what the model does not state; for torch, one type, or one per role as in
            :func:`hwnas_hls.hls4ml.torch_query.query_of_torch`.
        strategy: HLS strategy, likewise.

    Raises:
        UserError: the file does not exist, cannot be read, is of another kind, or contains something that
            cannot be judged, which is named.
        ToolMissing: a package for reading it is not installed.
    """
    if not path.exists():
        raise UserError("no such file or folder", found=str(path), kind=ErrorKind.MISSING)
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            return read_folder(path)
        if suffix in CONFIG_FILES:
            return read_config(path)
        if suffix in TORCH_FILES:
            from hwnas_hls.hls4ml.torch_query import query_of_torch

            found = _torch_file(path)
            module = _of_state_dict(found, path) if isinstance(found, Mapping) else found
            query = query_of_torch(module, precision=precision, strategy=strategy, name=path.stem)
            # Branches, the order of the layers and their activations are not in the file.
            unknown = (_CHAIN_ASSUMED,) if isinstance(found, Mapping) else ()
            return dataclasses.replace(query, reasons=(*query.reasons, *unknown))
        if suffix in ONNX_FILES:
            return _of_onnx(path, str(precision), strategy)
        if suffix in KERAS_FILES:
            return _of_keras(path, str(precision), strategy)
    except Unsupported as error:
        # what the user gave is at fault, not this program
        raise UserError(str(error), where=str(path), kind=ErrorKind.UNSUPPORTED) from error
    except ReportError as error:
        raise UserError(
            "not a project that can be read",
            where=str(path),
            found=error,
            remedy="convert the network again by hls4ml",
            kind=ErrorKind.WRONG_FORMAT,
        ) from error
    raise UserError(
        "cannot tell what this file is",
        found=str(path),
        remedy=f"give {', '.join(READ)}",
        kind=ErrorKind.WRONG_FORMAT,
    )


def _torch_file(path: Path) -> Any:
    """A saved ``torch.nn.Sequential``, or a ``state_dict``, without running code of the file."""
    import torch
    from torch import nn

    allowed = [getattr(nn, name) for name in _TORCH_CLASSES] + [set]
    try:
        with torch.serialization.safe_globals(allowed):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged or hostile file can make torch raise almost anything.
        reason = next(
            (line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line), ""
        )
        raise UserError(
            "this torch file cannot be read safely",
            where=str(path),
            found=(reason or str(error)).strip()[:200],
            remedy="save a torch.nn.Sequential of Linear, BatchNorm1d, Dropout and activations by "
            "torch.save, or the state_dict of one; TorchScript and classes of your own would run their code",
            kind=ErrorKind.WRONG_FORMAT,
        ) from error
    if isinstance(found, nn.Module):
        return found.eval()
    if isinstance(found, Mapping):
        return found
    raise UserError(
        "not a torch model", where=str(path), found=type(found).__name__, kind=ErrorKind.WRONG_FORMAT
    )


def _of_state_dict(state: Mapping[str, Any], path: Path) -> Any:
    """Linear layers in the order of a state dict, with ReLU between them: it does not state activations."""
    from torch import nn

    layers: OrderedDict[str, Any] = OrderedDict()
    for name, weight in state.items():
        if not name.endswith("weight") or weight.ndim != 2:
            if name.endswith("weight") or not name.endswith("bias"):
                raise Unsupported(
                    f"a state_dict with {name!r}: only Linear layers can be read from a state_dict; "
                    "save the torch.nn.Sequential itself"
                )
            continue
        bias = state.get(name.removesuffix("weight") + "bias")
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        linear.weight = nn.Parameter(weight)
        if bias is not None:
            linear.bias = nn.Parameter(bias)
        if layers:
            layers[f"relu{len(layers)}"] = nn.ReLU()
        layers[f"linear{len(layers)}"] = linear
    if not layers:
        raise UserError("no weights", where=str(path), found=", ".join(state) or "nothing")
    return nn.Sequential(layers).eval()


def _of_onnx(path: Path, precision: str, strategy: str) -> Query:
    try:
        import hls4ml
        import onnx  # noqa: F401
        import qonnx.util.cleanup  # noqa: F401
    except ImportError as error:
        raise ToolMissing(
            f"{path}: an ONNX file needs the packages onnx and qonnx: pip install 'hwnas-hls[onnx]' qonnx"
        ) from error
    return _converted(
        path,
        lambda: _readable(_cleaned(_onnx_file(path)), path),
        hls4ml.utils.config_from_onnx_model,
        hls4ml.converters.convert_from_onnx_model,
        precision,
        strategy,
    )


def _onnx_file(path: Path) -> Any:
    """The model in an ONNX file."""
    import onnx

    try:
        return onnx.load(str(path))
    except Exception as error:  # a damaged file can make the parser raise almost anything
        raise UserError(
            "not an ONNX file that can be read",
            where=str(path),
            found=" ".join(str(error).split())[:200],
            remedy="export the network again",
            kind=ErrorKind.WRONG_FORMAT,
        ) from error


def _readable(model: Any, path: Path) -> Any:
    """``model`` if hls4ml's converter knows all of its operators.

    Raises:
        UserError: it has others, which are named.
    """
    from hls4ml.converters.onnx_to_hls import get_supported_onnx_layers

    known = {*get_supported_onnx_layers(), *_SKIPPED_OPERATORS}
    foreign = dict.fromkeys(node.op_type for node in model.graph.node if node.op_type not in known)
    if not foreign:
        return model
    remedy = (
        "of the ONNX files of hwnas-hls, give model.qonnx.onnx or the design folder (model.onnx is for ONNX "
        "Runtime); of other tools, a file with the operators that hls4ml reads: "
        + ", ".join(sorted({*known, "Gemm"} - foreign.keys()))
    )
    raise UserError(
        "hls4ml's converter does not read all operators of this ONNX file",
        where=str(path),
        found=", ".join(foreign),
        remedy=remedy,
        kind=ErrorKind.UNSUPPORTED,
    )


def _cleaned(model: Any) -> Any:
    """A model as hls4ml needs it: one row, all shapes known, constants folded, no ``Gemm``.

    torch exports ``Linear`` as ``Gemm``, which hls4ml's converter does not know.
    """
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return cleanup_model(cleanup_model(ModelWrapper(model)).transform(GemmToMatMul()))


def _of_keras(path: Path, precision: str, strategy: str) -> Query:
    try:
        import hls4ml
        import keras
    except ImportError as error:
        raise ToolMissing(
            f"{path}: a Keras file needs keras with a backend (and qkeras, if it was made by QKeras) in this "
            "environment; or convert it there by hls4ml and give the project folder"
        ) from error
    return _converted(
        path,
        lambda: keras.models.load_model(path, compile=False, custom_objects=_qkeras_objects()),
        hls4ml.utils.config_from_keras_model,
        hls4ml.converters.convert_from_keras_model,
        precision,
        strategy,
    )


def _converted(
    path: Path,
    load: Callable[[], Any],
    config_from: Callable[..., dict[str, Any]],
    convert_from: Callable[..., Any],
    precision: str,
    strategy: str,
) -> Query:
    """The query of the graph that hls4ml converts from a model file.

    Args:
        load: reads the model.
        config_from, convert_from: hls4ml's functions for its kind of model.
    """
    from hwnas_hls.hls4ml.graph_query import query_of_graph

    with tempfile.TemporaryDirectory() as folder, converting(io.StringIO()):
        try:
            model, default = load(), precision.removeprefix("ap_")
            config = config_from(model, granularity="name", backend="Vitis", default_precision=default)
            config["Model"]["Strategy"] = strategy
            graph = convert_from(model, hls_config=config, backend="Vitis", output_dir=folder)
        except UserError:
            raise
        except Exception as error:  # hls4ml and the model's packages raise whatever their code runs into
            words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise Unsupported(f"hls4ml cannot convert this model: {words}") from error
        return dataclasses.replace(query_of_graph(graph), name=path.stem)


def _qkeras_objects() -> dict[str, Any]:
    """The layers of QKeras, if it is installed."""
    try:
        from qkeras.utils import _add_supported_quantized_objects
    except ImportError:
        return {}
    found: dict[str, Any] = {}
    _add_supported_quantized_objects(found)
    return found
