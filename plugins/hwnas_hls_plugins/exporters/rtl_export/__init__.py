"""The exporters ``verilog`` and ``vhdl``: the circuit proven by open synthesis, as sources for a build.

``package`` writes the folder of a design, ``description`` prepares the values of its templates, and
``rows`` the rows of its testbench.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError, ToolMissing, Unsupported, UserError
from hwnas_hls.network.layers import Weighted
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.protocols.task import CLASSIFICATION
from hwnas_hls_plugins.exporters.rtl_export.package import Options, write_package
from hwnas_hls_plugins.synthesizers.open_synthesis import Ecp5Synthesizer, OpenConfig, OpenSynthesizer

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.exporter import Front
    from hwnas_hls.protocols.task import Dataset

log = logging.getLogger(__name__)
#: The HLS strategy whose circuits are written.
_BUILT = "distributed_arithmetic"


@dataclass(frozen=True, slots=True)
class VerilogConfig:
    """Settings of the exporter ``verilog``.

    Args:
        rows: test rows of the testbench, beside 256 random ones; 0 takes all of the task.
        axi_stream: also write an AXI4-Stream wrapper with its testbench.
        argmax: also write a top module that outputs the class, with its testbench (classification only).
        accept: also write a top module that outputs one bit, the decision of the operating point, with its
            testbench (a task with a signal class only).
    """

    rows: int = 256
    axi_stream: bool = False
    argmax: bool = False
    accept: bool = False

    def __post_init__(self) -> None:
        _check_rows(self.rows)


@dataclass(frozen=True, slots=True)
class VhdlConfig:
    """Settings of the exporter ``vhdl``.

    Args:
        rows: test rows of the testbench, beside 256 random ones; 0 takes all of the task.
    """

    rows: int = 256

    def __post_init__(self) -> None:
        _check_rows(self.rows)


def _check_suits(config: VerilogConfig, task: Dataset) -> None:
    """Raise UserError if a top module is requested that no design of the task can have."""
    if config.argmax and task.kind != CLASSIFICATION:
        raise UserError(
            "only a classifier has a class", kind=ErrorKind.CONFLICT, where="argmax", found=task.kind
        )
    if config.accept and len(task.scoring.positives) != 1:
        raise UserError(
            "a decision needs one signal class",
            kind=ErrorKind.CONFLICT,
            where="accept",
            found=f"{len(task.labels)} classes" if task.labels else task.kind,
            remedy="name the signal class in [task]: signal",
        )


class VerilogExporter(Exporter):
    """Writes ``designs/KEY/rtl`` for each distributed-arithmetic design: Verilog, testbench, scripts, README.

    The circuit is byte-identical to the one that the synthesizers ``open`` and ``ecp5`` measure. Designs with
    other layers have only their hls4ml project, and so have all designs if the package that writes the RTL is
    missing.
    """

    name = "verilog"
    takes_design = True
    Config = VerilogConfig
    config: VerilogConfig

    def __init__(self, config: VerilogConfig | None = None, task: Dataset | None = None) -> None:
        self.config = config or VerilogConfig()
        if task is not None:
            _check_suits(self.config, task)

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write the folders of all members whose circuit can be built.

        Raises:
            ToolMissing: nothing can be written here, since the package that writes RTL is missing.
            Unsupported: there are designs, and of none can RTL be written.
        """
        return _export(front, folder, self._options(), "verilog")

    def _options(self) -> Options:
        return Options(self.config.rows, self.config.axi_stream, self.config.argmax, self.config.accept)


class VhdlExporter(Exporter):
    """Writes ``designs/KEY/rtl`` as ``verilog`` does, with the same pipeline in VHDL and its testbench."""

    name = "vhdl"
    takes_design = True
    Config = VhdlConfig
    config: VhdlConfig

    def __init__(self, config: VhdlConfig | None = None) -> None:
        self.config = config or VhdlConfig()

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write the folders of all members whose circuit can be built.

        Raises:
            ToolMissing: nothing can be written here, since the package that writes RTL is missing.
            Unsupported: there are designs, and of none can RTL be written.
        """
        return _export(front, folder, Options(self.config.rows), "vhdl")


def _export(front: Front, folder: Path, options: Options, language: str) -> list[Path]:
    synthesizer = OpenSynthesizer(_synthesis(front.spec))
    written: list[Path] = []
    reasons = []
    for member in front.members:
        design = member.design
        if not _distributed(design):
            reasons.append(f"{member.key}: its layers are {_strategies(design)}, not distributed arithmetic")
            continue
        try:
            circuit = synthesizer.circuit(design, front.target)
            place = folder / "designs" / member.key
            written += write_package(member, circuit, front, place, options, language)
        except (UserError, ToolMissing):
            raise
        except HwnasError as error:
            # One design that the generator cannot build does not keep the others from being written.
            reasons.append(f"{member.key}: {error}")
    for reason in reasons:
        log.info("no RTL of %s", reason)
    if reasons and not written:
        raise Unsupported(
            f"no RTL of {reasons[0]}",
            remedy="use the hls4ml project in the folder of the design, or search designs of distributed "
            f"arithmetic (`hwnas-hls run --hls-strategy {_BUILT}`)",
        )
    return written


def _distributed(design: Design) -> bool:
    layers = [layer for layer in design.architecture.layers if isinstance(layer, Weighted)]
    return all(layer.strategy == _BUILT and layer.reuse_factor == 1 for layer in layers)


def _strategies(design: Design) -> str:
    """The HLS strategies of a design's layers, with their reuse factors."""
    layers = [layer for layer in design.architecture.layers if isinstance(layer, Weighted)]
    return ", ".join(
        dict.fromkeys(f"{layer.strategy} with reuse factor {layer.reuse_factor}" for layer in layers)
    )


def _synthesis(spec: str) -> OpenConfig:
    """The run's settings of the synthesizer ``open`` or ``ecp5``; the defaults where it used another."""
    table: Mapping[str, Any] = tomllib.loads(spec).get("synthesis", {})
    name = str(table.get("synthesizer", "")).removeprefix("builtin:")
    if name not in (OpenSynthesizer.name, Ecp5Synthesizer.name):
        return OpenConfig()
    shared = OpenConfig.__dataclass_fields__
    return OpenConfig(**{key: value for key, value in table.get("config", {}).items() if key in shared})


def _check_rows(rows: int) -> None:
    if rows < 0:
        raise ValueError(f"rows is a number of test rows, or 0 for all, not {rows}")
