"""The outputs of an exported design on all test rows, as a file from which scores can be computed again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.evidence.files import EVIDENCE_FOLDER
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.system.files import write_bytes

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design

#: Name of the file in the evidence folder of a design.
PREDICTIONS = "test_predictions.npz"


def save_predictions(folder: Path, design: Design, dataset: Dataset) -> Path:
    """Write ``evidence/test_predictions.npz`` in the folder of a design.

    Its arrays: ``outputs``, integers (rows, n_out) in units of ``unit``, as the circuit computes them;
    ``y``, class numbers (rows,) or targets (rows, n_out); ``labels``, the class names; and if the
    training standardised the targets, ``target_scale`` and ``target_mean``: ``outputs * unit * target_scale
    + target_mean`` is in the unit of the targets. The rows are the test rows in their order.
    """
    import numpy as np

    from hwnas_hls.network import emulator

    outputs = emulator.emulate(design, emulator.input_integers(design, dataset.test.x))
    arrays = {
        "outputs": outputs.astype(np.min_scalar_type(-int(np.abs(outputs).max(initial=1)) - 1)),
        "unit": np.array(2.0 ** -emulator.output_fraction(design)),
        "y": dataset.test.y,
    }
    if dataset.kind == CLASSIFICATION:
        arrays["labels"] = np.array(dataset.labels, np.str_)
    arrays |= {
        name: np.array(design.meta[name]) for name in ("target_scale", "target_mean") if name in design.meta
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict[str, Any](arrays))
    return write_bytes(folder / EVIDENCE_FOLDER / PREDICTIONS, buffer.getvalue())
