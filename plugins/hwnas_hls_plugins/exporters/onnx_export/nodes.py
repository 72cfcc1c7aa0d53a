"""A builder of ONNX models from nodes and constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwnas_hls import __version__

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

#: Opset 13 is the first in which all used operators support float64, and old enough for all readers.
_OPSET = 13
_IR_VERSION = 8
#: The domain of QONNX's operators.
QONNX_DOMAIN = "qonnx.custom_op.general"


class Sheet:
    """Nodes in the order of computation; every method returns the name of its output.

    Args:
        dtype: of all values, ``float64`` or ``float32``.
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """A named constant of the sheet's type (or another); written only once."""
        array = np.asarray(value, dtype or self.dtype)
        self._constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def number(self, value: float) -> str:
        """A scalar constant."""
        return self.constant(f"number_{float(value)!r}", float(value))

    def node(self, kind: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """Append an operator with one output."""
        output = name or f"{kind.lower()}_{len(self._nodes)}"
        made = helper.make_node(
            kind, list(inputs), [output], name=f"node_{output}", domain=domain, **attributes
        )
        self._nodes.append(made)
        return output

    def name_last(self, output: str) -> str:
        """Rename the output of the last node."""
        last = self._nodes[-1]
        last.output[0], last.name = output, f"node_{output}"
        return output

    def model(self, source: str, n_in: int, result: str, n_out: int, about: str, *, checked: bool) -> Any:
        """The finished ``ModelProto``, with a variable number of rows.

        Args:
            checked: run ONNX's checker and shape inference (for standard operators only).
        """
        kind = TensorProto.DOUBLE if self.dtype == np.float64 else TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            "hwnas_hls",
            [helper.make_tensor_value_info(source, kind, ["rows", n_in])],
            [helper.make_tensor_value_info(result, kind, ["rows", n_out])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        if any(node.domain for node in self._nodes):
            opsets.append(helper.make_opsetid(QONNX_DOMAIN, 1))
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=_IR_VERSION,
            producer_name="hwnas-hls",
            producer_version=__version__,
            doc_string=about,
        )
        if checked:
            onnx.checker.check_model(model, full_check=True)
        return model
