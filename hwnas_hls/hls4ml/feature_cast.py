"""The cast of every value that a layer reads to its own type, as hls4ml builds it.

The project's input keeps one type, and a layer whose results have their own hands on its exact sums. hls4ml's
layer for the quantisers of HGQ2 takes a type an element; where a layer of distributed arithmetic reads it,
hls4ml writes the casts into that layer's code, whose adders are then as narrow as the values. They are no
stage of their own. It gets here as a module of hls4ml's extension interface for torch.
"""

from __future__ import annotations

import functools
from typing import Any

from hwnas_hls.network.features import FeatureTypes
from hwnas_hls.network.precision import FixedType


def cast_name(number: int) -> str:
    """The name of the cast before layer ``number`` in torch's module and in hls4ml's configuration."""
    return f"cast{number}"


def feature_cast(features: FeatureTypes, kind: FixedType) -> Any:
    """A torch module that hls4ml converts into the cast, with the modes of ``kind``."""
    made = _module_class()()
    kinds = [(0, 0, 0) if own is None else (int(own.signed), own.width, own.integer) for own in features]
    made.sign_width_integer = tuple(zip(*kinds, strict=True))
    made.modes = kind.rounding, kind.overflow
    return made


@functools.cache
def _module_class() -> Any:
    """The class, known to hls4ml from then on."""
    from hls4ml.converters import register_pytorch_layer_handler
    from hls4ml.utils.torch import HLS4MLModule

    class FeatureCast(HLS4MLModule):  # type: ignore[misc]
        """Stands for the cast; hls4ml never calls it."""

        def forward(self, x: Any) -> Any:
            return x

    register_pytorch_layer_handler("FeatureCast", _converted)
    return FeatureCast


def _converted(
    operation: str,
    layer_name: str,
    input_names: list[str],
    input_shapes: list[list[int]],
    node: Any,
    module: Any,
    reader: Any,
    config: Any,
) -> tuple[dict[str, Any], list[int]]:
    """The layer as hls4ml's front ends hand it on, and its shape."""
    import numpy as np

    layer = {
        "class_name": "FixedPointQuantizer",
        "name": layer_name,
        "inputs": input_names,
        # Sign, width and integer bits of each element, with an axis for the batch in front.
        "mask_kbi": tuple(np.array([part], np.int16) for part in module.sign_width_integer),
        "RND": module.modes[0],
        "SAT": module.modes[1],
        "fusible": False,
        "overrides": {},
    }
    return layer, list(input_shapes[0])
