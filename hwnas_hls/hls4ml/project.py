"""Writes designs as hls4ml projects, reads them back and compares them with the design."""

from __future__ import annotations

import glob
import io
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError, ToolMissing, Unsupported
from hwnas_hls.hls4ml.bit_exactness import Verification, verify
from hwnas_hls.hls4ml.config import hls_config
from hwnas_hls.hls4ml.conversion import converting
from hwnas_hls.hls4ml.csim import simulate
from hwnas_hls.hls4ml.graph import NodeGraph, graph_of
from hwnas_hls.hls4ml.module import torch_module
from hwnas_hls.hls4ml.settings_check import check_project
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.target import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Verification", "hls_config", "simulate", "verify", "write_project"]

Amend = Callable[[dict[str, str]], None]

#: Backends whose projects are read back and compared.
BACKENDS = ("Vitis", "Vivado")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def write_project(
    design: Design,
    target: Target,
    folder: Path,
    *,
    clock_ns: float,
    name: str = "hwnas",
    backend: str = "Vitis",
    amend: Amend | None = None,
    test_inputs: NDArray[np.int64] | None = None,
) -> Path:
    """Write the hls4ml project of ``design`` to ``folder`` and check it.

    The write is atomic and replaces an existing project. The project contains no paths of this machine.
    Thread-safe (conversions run one at a time).

    Args:
        clock_ns: clock period in ns.
        name: of the project and its top function.
        backend: ``Vitis`` or ``Vivado``.
        amend: called with ``{path in the project: content}``; may change it in place.
        test_inputs: int64 (rows, n_in) on the input grid; written with the emulator's outputs to
            ``tb_data``, for the vendor's C simulation and co-simulation.

    Returns:
        ``folder``.

    Raises:
        Unsupported: the design cannot be built bit for bit (see :func:`graph_of`).
        ToolMissing: distributed arithmetic without the package da4ml.
        HwnasError: hls4ml failed, or its project differs from the design; a file of ``amend`` is outside
            the project; ``folder`` exists but is not a project.
    """
    if not _NAME.fullmatch(name) or name == "main":
        raise HwnasError(f"not a valid name for a C++ function: {name}", kind=ErrorKind.INVALID)
    if backend not in BACKENDS:
        raise Unsupported(f"projects can be written for {', '.join(BACKENDS)}, not for {backend}")
    if clock_ns <= 0:
        raise HwnasError(f"the clock period must be above zero, not {clock_ns} ns", kind=ErrorKind.INVALID)
    graph = graph_of(design)
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / "project.tcl").exists():
            raise HwnasError(
                f"{folder} exists, but is not an hls4ml project; it was not changed",
                kind=ErrorKind.TAKEN,
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = f".{folder.name}-unfinished-"
        for stale in list(folder.parent.glob(f"{glob.escape(unfinished)}*")):  # left by a killed process
            shutil.rmtree(stale)
        with tempfile.TemporaryDirectory(prefix=unfinished, dir=folder.parent) as scratch:
            place = Path(scratch) / "project"
            place.mkdir()
            _convert(graph, target, place, clock_ns, name, backend)
            check_project(graph, target, place, clock_ns, backend, "hls4ml's project differs from the design")
            if test_inputs is not None:
                _write_vectors(design, place / "tb_data", test_inputs)
            if amend is not None:
                _amend(place, amend)
                check_project(
                    graph, target, place, clock_ns, backend, "a plugin's amendment changed the design"
                )
            if folder.exists():
                shutil.rmtree(folder)
            place.rename(folder)
    except OSError as error:
        raise HwnasError(
            f"the hls4ml project cannot be written to {folder}: {error}", kind=ErrorKind.NOT_ACCESSIBLE
        ) from error
    return folder


def _convert(graph: NodeGraph, target: Target, place: Path, clock_ns: float, name: str, backend: str) -> None:
    """Convert with hls4ml to ``place``; its output goes to ``hls4ml.log`` there."""
    config, design = hls_config(graph), graph.design
    architecture = design.architecture
    if any(layer.strategy == "distributed_arithmetic" for _, layer, _, _ in design.weighted()):
        _need_da4ml()
    printed = io.StringIO()
    with converting(printed):
        try:
            import hls4ml

            model = hls4ml.converters.convert_from_pytorch_model(
                torch_module(graph),
                hls_config=config,
                output_dir=str(place),
                project_name=name,
                backend=backend,
                io_type=architecture.io_type,
                part=target.part,
                clock_period=int(clock_ns) if float(clock_ns).is_integer() else float(clock_ns),
            )
            model.write()
        except ImportError as error:
            raise ToolMissing(f"hls4ml cannot be imported: {error}") from error
        except Exception as error:  # hls4ml raises Exception, AssertionError and others
            raise HwnasError(
                f"hls4ml could not convert the design: {type(error).__name__}: {error}\n{printed.getvalue()}",
                kind=ErrorKind.TOOL_FAILED,
            ) from error
    (place / "hls4ml.log").write_text(printed.getvalue())
    stamp = design.digest()[:8]
    script = place / "build_lib.sh"
    # hls4ml uses a random stamp for each library; the design's digest makes projects reproducible.
    script.write_text(re.sub(r"^LIB_STAMP=.*$", f"LIB_STAMP={stamp}", script.read_text(), flags=re.MULTILINE))
    (place / "hls4ml_config.yml").write_text(_config_text(model.config.config, config, design))


def _config_text(written: dict[str, Any], config: dict[str, Any], design: Design) -> str:
    """``hls4ml_config.yml`` without pickled torch objects and paths of this machine.

    ``AdderLevels`` is read by ``predict``; hls4ml does not know it.
    """
    import yaml

    kept = ("Backend", "ClockPeriod", "ClockUncertainty", "IOType", "Part", "ProjectName", "Version")
    data = {key: written[key] for key in kept if key in written}
    data |= {"HLSConfig": {"Model": config["Model"], "LayerName": config["LayerName"]}}
    data |= {"InputShape": list(config["InputShape"]), "OutputDir": ".", "Stamp": design.digest()[:8]}
    if design.adder_levels is not None:
        data["AdderLevels"] = design.adder_levels
    if "WriterConfig" in written:
        data["WriterConfig"] = dict(written["WriterConfig"])
    return str(yaml.safe_dump(data, sort_keys=True))


def _need_da4ml() -> None:
    try:
        import da4ml  # noqa: F401
    except ImportError as error:
        raise ToolMissing(
            "distributed_arithmetic needs the package da4ml: pip install 'hwnas-hls[open]' (da4ml==0.6.0)"
        ) from error


def _write_vectors(design: Design, folder: Path, inputs: NDArray[np.int64]) -> None:
    from hwnas_hls.network.emulator import emulate, output_fraction

    folder.mkdir(exist_ok=True)
    for file, values, fraction in (
        ("tb_input_features.dat", inputs, design.architecture.input.fraction),
        ("tb_output_predictions.dat", emulate(design, inputs), output_fraction(design)),
    ):
        rows = (" ".join(repr(float(value)) for value in row) for row in values * 2.0**-fraction)
        (folder / file).write_text("".join(f"{row}\n" for row in rows))


def _amend(place: Path, amend: Amend) -> None:
    before = {
        path.relative_to(place).as_posix(): path.read_text()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }
    files = dict(before)
    amend(files)
    for path, text in files.items():
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.parts:
            raise HwnasError(
                f"a plugin's amendment leaves the project folder: {path!r}", kind=ErrorKind.PLUGIN_FAULT
            )
        if not isinstance(text, str):
            raise HwnasError(
                f"a plugin's amendment of {path} is not text but {type(text).__name__}",
                kind=ErrorKind.PLUGIN_FAULT,
            )
        if before.get(path) != text:
            (place / pure).parent.mkdir(parents=True, exist_ok=True)
            (place / pure).write_text(text)
    for path in before.keys() - files.keys():
        (place / path).unlink()
