"""What designs are built under: part, clock, tool and stage; the designs of a search share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.estimators.hls_model.silicon import (
    PART_CLASSES,
    SLOWER_BY_GRADE,
    default_uncertainty,
    part_class,
    speed_grade,
    tool_of,
)

if TYPE_CHECKING:
    from hwnas_hls.hls4ml.query import Query


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything of a :class:`~hwnas_hls.hls4ml.query.Query` that is not of its network.

    The fields are those of the query.
    """

    part: str
    clock_ns: float
    tool: str
    stage: str
    clock_uncertainty: float | None = None
    io_type: str = "io_parallel"
    scope: str = "core"
    clock_known: bool = True

    @classmethod
    def of(cls, query: Query) -> Conditions:
        return cls(
            query.part,
            query.clock_ns,
            query.tool,
            query.stage,
            query.clock_uncertainty,
            query.io_type,
            query.scope,
            query.clock_known,
        )


def condition_columns(conditions: Sequence[Conditions]) -> dict[str, NDArray[np.float64]]:
    """Column name -> array, one entry for each of ``conditions``."""
    rows = []
    for each in conditions:
        tool = tool_of(each.tool)
        spare = each.clock_uncertainty
        if spare is None:
            spare = default_uncertainty(tool)
        rows.append(
            (
                each.clock_ns,
                each.clock_ns * (1.0 - spare),
                SLOWER_BY_GRADE[speed_grade(each.part)],
                tool.family == "vitis",
                tool.version,
                PART_CLASSES.index(part_class(each.part)),
                ("csynth", "logic_synth", "post_route").index(each.stage),
                each.io_type == "io_stream",
                "axi" in each.scope.lower(),
            )
        )
    names = (
        "clock_ns",
        "usable_ns",
        "slower",
        "vitis",
        "version",
        "part_class",
        "stage",
        "stream",
        "wrapped",
    )
    values = np.array(rows, np.float64).reshape(len(rows), len(names))
    return {name: values[:, place].copy() for place, name in enumerate(names)}
