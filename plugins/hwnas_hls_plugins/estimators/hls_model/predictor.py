"""The hardware model as a function from queries to predictions with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hwnas_hls.hls4ml.query import Query
from hwnas_hls.protocols.target import Targets
from hwnas_hls_plugins.estimators.hls_model.batch import predict_batch
from hwnas_hls_plugins.estimators.hls_model.calibration import Calibration, read_calibration
from hwnas_hls_plugins.estimators.hls_model.da_refinement import refined
from hwnas_hls_plugins.estimators.hls_model.prediction import Prediction, prediction_of


def predict(
    queries: Sequence[Query],
    calibration: Calibration | None = None,
    *,
    solve: bool = False,
    targets: Targets | None = None,
) -> list[Prediction]:
    """Predict designs: one :class:`Prediction` per query, in order.

    Args:
        queries: any number; they are evaluated together.
        calibration: ``None`` takes the one that ships.
        solve: ask da4ml, where it is installed, for implemented designs all of distributed arithmetic
            whose weights are known (about a second); the others take no longer. ``False`` keeps to the
            closed form.
        targets: what parts hold; ``None`` takes the shipped target files.
    """
    calibration = calibration or read_calibration()
    if not queries:
        return []
    batch = predict_batch(queries, calibration, targets)
    out = [prediction_of(batch, number, calibration.name) for number in range(len(queries))]
    if solve:
        out = refined(out)
    return out


def predict_beside_reports(
    queries: Sequence[Query], calibration: Calibration | None = None, targets: Targets | None = None
) -> list[Prediction]:
    """Predict single designs as a search does: resources after logic synthesis, beside those of C synthesis.

    A query of C synthesis gives its figures only, under their own names. The arguments are those of
    :func:`predict`, which asks da4ml here.
    """
    found = predict(queries, calibration, solve=True, targets=targets)
    asked = [dataclasses.replace(query, stage="csynth") for query in queries]
    return [
        one.as_report() if one.query.stage == "csynth" else one.beside_report(report)
        for one, report in zip(found, predict(asked, calibration, targets=targets), strict=True)
    ]
