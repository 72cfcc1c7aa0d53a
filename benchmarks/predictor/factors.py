"""Scale factors of the shipped calibration, fitted to real reports, families of designs weighted equally."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import Query
from hwnas_hls_plugins.estimators.hls_model.keys import FactorKey, Flow, Group, groups
from hwnas_hls_plugins.estimators.hls_model.silicon import part_class, tool_of

FloatArray = NDArray[np.float64]

#: Families that the group above counts as: at four levels a lone family keeps 94 % of its FF residual and
#: 59 % of its LUT residual. The LUT law holds across tools; registers are placed by each in its own way.
SHRINKAGE = {"lut": 4.0, "ff": 1.0}
#: What C synthesis overstates, before any data: logarithms over C synthesis (LUTs under Latency over the
#: laws of logic synthesis, which hold it already), and how many families the figures count as. They stand on
#: reports that are not among the rows, and the two families that are pull apart; the finer groups of
#: implemented designs are held as closely.
STAGE_PRIOR: dict[Group, dict[str, float]] = {
    Group(Flow.IMPLEMENTED, "latency"): {"lut": 0.0, "ff": 0.0},
    Group(Flow.IMPLEMENTED, "resource-one"): {"lut": math.log(0.75), "ff": math.log(0.85)},
    Group(Flow.IMPLEMENTED, "resource-several"): {"lut": math.log(0.75), "ff": math.log(0.85)},
    Group(Flow.CSYNTH, "distributed"): {"lut": math.log(1.5), "ff": math.log(1.5)},
    Group(Flow.IMPLEMENTED, "distributed"): {"lut": math.log(1.05), "ff": math.log(0.8)},
}
PRIOR_FAMILIES = {"lut": 10.0, "ff": 3.0}


def fit_factors(
    queries: Sequence[Query],
    families: Sequence[str],
    groups_of: Sequence[str],
    residuals: Mapping[str, FloatArray],
    usable: NDArray[np.bool_],
    shrinkage: Mapping[str, float] = SHRINKAGE,
) -> dict[FactorKey, dict[str, float]]:
    """Shrunken log factors by group, coarse groups first.

    Args:
        groups_of: factor group of each design (:func:`prediction.factor_group`).
        residuals: ``lut`` and ``ff`` -> log residual of the laws without any factor, NaN where unknown.
        usable: designs that may be used (in domain, not held out).
        shrinkage: metric -> families that the group above counts as.
    """
    keys = [
        groups(
            query.stage,
            group_of,
            tool_of(query.tool).family,
            part_class(query.part),
            tool_of(query.tool).version,
        )
        for query, group_of in zip(queries, groups_of, strict=True)
    ]
    factors: dict[FactorKey, dict[str, float]] = {key: dict(values) for key, values in STAGE_PRIOR.items()}
    for metric, values in residuals.items():
        left = values.copy()
        for number, key in enumerate(keys):
            left[number] -= factors.get(key[0], {}).get(metric, 0.0) if key[0] in STAGE_PRIOR else 0.0
        for depth in range(4):
            by_group: dict[Group, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for row in np.flatnonzero(usable & np.isfinite(left)).tolist():
                by_group[keys[row][depth]][families[row]].append(float(left[row]))
            found: dict[Group, float] = {}
            for group, members in by_group.items():
                # The median of a family: one odd design does not move it.
                centres = [float(np.median(values)) for values in members.values()]
                known = (depth == 0 and group in STAGE_PRIOR) or group.flow is Flow.IMPLEMENTED
                prior = PRIOR_FAMILIES[metric] if known else shrinkage[metric]
                found[group] = float(np.sum(centres)) / (len(centres) + prior)
            for number, key in enumerate(keys):
                left[number] -= found.get(key[depth], 0.0)
            for group, value in found.items():
                entry = factors.setdefault(group, {})
                entry[metric] = entry.get(metric, 0.0) + value
    return factors
