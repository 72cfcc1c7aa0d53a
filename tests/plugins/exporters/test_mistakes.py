"""The confusion matrix and the ROC curve of a card are those of the design's exact outputs."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from hwnas_hls.evidence.scoring import real_outputs
from hwnas_hls.testing import sample_dataset, sample_design
from hwnas_hls_plugins.exporters.html_report import mistakes as module
from hwnas_hls_plugins.exporters.html_report.mistakes import ROC_PX, mistakes


def test_confusion_and_roc_are_those_of_scikit_learn() -> None:
    data = sample_dataset()
    design = sample_design()
    assert data.n_out == design.architecture.layers[-1].n_out
    found = mistakes(design, data)
    assert found is not None
    outputs = real_outputs(design, data.test.x)
    matrix = [[cell.rows for cell in row] for row in found.matrix]
    labels = np.arange(data.n_out)
    assert matrix == confusion_matrix(data.test.y, outputs.argmax(1), labels=labels).tolist()
    assert found.n_rows == len(data.test)


@pytest.mark.parametrize("grid", [3, 50])
def test_the_area_below_the_curve_is_the_auc_also_with_ties(grid: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(150) < 0.3
    score = np.round(grid * (rng.random(150) + 0.4 * truth))
    points = re.findall(r"[ML]([-.e\d]+) ([-.e\d]+)", module._path(truth, score))
    x, y = (np.array([float(point[axis]) for point in points]) / ROC_PX for axis in (0, 1))
    assert np.trapezoid(1 - y, x) == pytest.approx(roc_auc_score(truth, score), abs=1e-3)


def test_regression_and_many_classes_have_no_confusion() -> None:
    data = sample_dataset()
    assert mistakes(sample_design(), dataclasses.replace(data, labels=tuple(map(str, range(13))))) is None
    kind = "regression"
    regression = dataclasses.replace(data, kind=kind, labels=(), metric="r2")
    assert mistakes(sample_design(), regression) is None
