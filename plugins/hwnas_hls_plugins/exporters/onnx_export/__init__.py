"""The exporter ``onnx``: exported designs for ONNX Runtime, and as QONNX for FINN, hls4ml and others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ToolMissing, Unsupported
from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.system.files import write_bytes

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.exporter import Front

log = logging.getLogger(__name__)


class OnnxExporter(Exporter):
    """Writes ``model.onnx`` and ``model.qonnx.onnx`` into each design's folder.

    ``model.onnx`` computes the exact outputs of the hardware from raw features, in float64 on
    fixed-point grids, with standard operators (for ONNX Runtime). ``model.qonnx.onnx`` takes inputs on
    their grid (standardised and rounded) and represents each type by a ``Quant`` node (QONNX), in
    float32. A design that QONNX cannot represent exactly gets no such file; the log gives the reason.
    """

    name = "onnx"

    @dataclass(frozen=True)
    class Config:
        """Settings of the exporter ``onnx``.

        Args:
            qonnx: also write ``model.qonnx.onnx``.
        """

        qonnx: bool = True

    config: Config

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write ``folder/designs/KEY/model.onnx`` and the QONNX file, each atomically.

        Raises:
            ToolMissing: the package onnx is not installed.
            HwnasError: the folder cannot be written.
        """
        try:
            import onnx  # noqa: F401
        except ImportError as error:
            raise ToolMissing(
                "the exporter onnx needs the package onnx: pip install 'hwnas-hls[onnx]'"
            ) from error
        from hwnas_hls_plugins.exporters.onnx_export.exact import exact_model
        from hwnas_hls_plugins.exporters.onnx_export.quantised import quantised_model

        written: list[Path] = []
        forms: list[tuple[str, Callable[[Design], Any]]] = [("model.onnx", exact_model)]
        if self.config.qonnx:
            forms.append(("model.qonnx.onnx", quantised_model))
        for member in front.members:
            place = folder / "designs" / member.key
            for name, build in forms:
                try:
                    model = build(member.design)
                except Unsupported as error:
                    log.warning("design %s: no %s: %s", member.key, name, error)
                    continue
                written.append(write_bytes(place / name, model.SerializeToString(deterministic=True)))
        return written
