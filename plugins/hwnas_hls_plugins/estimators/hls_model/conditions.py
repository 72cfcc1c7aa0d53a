"""The conditions of a build: part, clock, tool and stage, which the designs of a search share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import STAGES
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


FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Conditions:
    """The fields of a :class:`~hwnas_hls.hls4ml.query.Query` that do not describe its network.

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
    pipeline_ii: int | None = None


def conditions_of(queries: Sequence[Query]) -> tuple[tuple[Conditions, ...], NDArray[np.int64]]:
    """The conditions of designs, each once, and the place of each design's own, (designs,)."""
    known: dict[tuple[Any, ...], int] = {}
    # Tuples, because many queries share few conditions.
    places = [known.setdefault(values, len(known)) for values in map(_FIELDS, queries)]
    return tuple(itertools.starmap(Conditions, known)), np.array(places, np.int64)


_FIELDS = attrgetter(*Conditions.__dataclass_fields__)


@dataclass(frozen=True, slots=True, eq=False)
class DesignArrays:
    """The inputs of the laws per design: float64 arrays of shape (designs,).

    Attributes:
        clock_ns: clock period; ``usable_ns``: the period less the compiler's uncertainty.
        slower: delays of the speed grade divided by those of grade 2.
        vitis: 1 for Vitis HLS, 0 for Vivado HLS; ``version`` as a number, 0 where unknown.
        part_class: place in ``PART_CLASSES``.
        stage: 0 C synthesis, 1 logic synthesis, 2 after routing.
        stream: 1 for ``io_stream``; ``wrapped`` 1 where an AXI wrapper is counted.
        pipeline_ii: initiation interval that a pragma requests for the whole design, 1 without one.
        n_layers: number of dense layers.
    """

    clock_ns: FloatArray
    usable_ns: FloatArray
    slower: FloatArray
    vitis: FloatArray
    version: FloatArray
    part_class: FloatArray
    stage: FloatArray
    stream: FloatArray
    wrapped: FloatArray
    pipeline_ii: FloatArray
    n_layers: FloatArray


def design_arrays(
    conditions: Sequence[Conditions], condition: NDArray[np.int64], n_layers: NDArray[np.int64]
) -> DesignArrays:
    """The arrays of designs, from their conditions.

    Args:
        conditions: each once.
        condition: (designs,) index of each design's conditions.
        n_layers: (designs,).
    """
    rows = []
    for each in conditions:
        tool, spare = tool_of(each.tool), each.clock_uncertainty
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
                STAGES.index(each.stage),
                each.io_type == "io_stream",
                "axi" in each.scope.lower(),
                each.pipeline_ii or 1,
            )
        )
    values = np.array(rows, np.float64).reshape(len(rows), 10)[condition]
    names = [name for name in DesignArrays.__dataclass_fields__ if name != "n_layers"]
    arrays = {name: values[:, place].copy() for place, name in enumerate(names)}
    return DesignArrays(**arrays, n_layers=n_layers.astype(np.float64))
