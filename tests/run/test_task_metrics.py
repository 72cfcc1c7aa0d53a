"""The task's metric, further metrics as objectives and limits, and scores of plugins on the test rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusal import refused
from sklearn.metrics import roc_auc_score, roc_curve

from hwnas_hls import hookimpl
from hwnas_hls.errors import ErrorKind
from hwnas_hls.evidence.scoring import real_outputs
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.resolution import resolve
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates, Metric, measured

MakeSpec = Callable[..., Spec]


class Distance(Estimator):
    """The mean difference of the outputs on the validation rows that it is given."""

    name = "distance"
    version = "1"
    cost = 2.0
    uses_weights = True
    provides = (Metric("distance", "max", "distance"),)

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        return [self._one(candidate, context) for candidate in candidates]

    def _one(self, candidate: Candidate, context: Context) -> Estimates:
        design, split = context.designs.get(candidate.key), context.dataset.validation
        if design is None:
            return Estimates()
        value = distance(real_outputs(design, split.x))
        return Estimates({"distance": measured("distance", value, "emulated", f"{len(split)} rows")})


def distance(outputs: Any) -> float:
    return float((outputs[:, 1] - outputs[:, 0]).mean())


class DistancePlugin:
    @staticmethod
    @hookimpl
    def hwnas_register_estimators() -> list[type]:
        return [Distance]


def test_exported_designs_are_scored_on_the_test_rows(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    registry.register(DistancePlugin(), "distance")
    spec = toy_spec(
        run={"estimators": ["toy-cost", "toy-training", "distance"]},
        task={"metric": "auc", "false_positive_rate": 0.2},
        limits={"min": {"efficiency_at_fpr": 0.05}},
    )
    outcome = runs.start(spec, registry, tmp_path / "run", runs.Observer())
    data = outcome.front.dataset
    assert (data.metric, data.further_metrics) == ("auc", ("efficiency_at_fpr",))
    assert outcome.front.goal.objectives[0].metric == "auc"
    assert outcome.front.members
    for member in outcome.front.members:
        file = tmp_path / "run" / "designs" / member.key / "evidence" / "test_predictions.npz"
        with np.load(file, allow_pickle=False) as saved:
            outputs, truth, unit = saved["outputs"].astype(np.int64), saved["y"] == 1, float(saved["unit"])
        score = outputs[:, 1] - outputs[:, 0]
        assert member.estimates["auc"].value == pytest.approx(roc_auc_score(truth, score))
        wrong, right, _ = roc_curve(truth, score, drop_intermediate=False)
        found = member.estimates["efficiency_at_fpr"].value
        assert found == pytest.approx(right[wrong <= 0.2].max())
        # The plugin saw the validation rows in the search; for a member, it measures the test rows.
        again = member.estimates["distance"]
        assert again.value == pytest.approx(distance(outputs * unit))
        assert str(len(data.test)) in again.evidence
        before = member.record.estimates["distance"]
        assert before.value == pytest.approx(distance(real_outputs(member.design, data.validation.x)))
        stated = json.loads((file.parent.parent / "design.json").read_text())["meta"]["operating_point"]
        validation = real_outputs(member.design, data.validation.x)
        accepted = validation[:, 1] - validation[:, 0] >= stated["threshold"]
        share = accepted[data.validation.y == 0].mean()
        assert share == stated["validation_false_positive_rate"] <= 0.2
        kept = score >= stated["threshold_integer"]
        assert stated["test_efficiency"]["share"] == kept[truth].mean()
        assert stated["test_false_positive_rate"]["share"] == kept[~truth].mean()


def test_the_false_positive_rate_is_a_share_or_a_rate_of_a_rate(
    registry: Registry, toy_spec: MakeSpec
) -> None:
    problem = resolve(toy_spec(task={"false_positive_rate": "100kHz of 40MHz"}), registry)
    assert problem.dataset.false_positive_rate == pytest.approx(0.0025)
    assert problem.spec.task.config["false_positive_rate"] == "100kHz of 40MHz"
    with refused(ErrorKind.INVALID, where="test.toml: [task].false_positive_rate", found="100kHz"):
        resolve(toy_spec(task={"false_positive_rate": "100kHz"}), registry)


def test_the_metric_follows_the_objectives(registry: Registry, toy_spec: MakeSpec) -> None:
    def data_of(**tables: Any) -> Any:
        return resolve(toy_spec(**tables), registry)

    problem = data_of(objectives={"metrics": ["f1", "lut"]})
    assert problem.dataset.metric == "f1"
    problem = data_of(task={"metric": "auc"}, objectives={"metrics": ["accuracy", "auc", "lut"]})
    # Both are named, so the accuracy is meant.
    assert [o.metric for o in problem.goal.objectives] == ["accuracy", "auc", "lut"]
    assert problem.dataset.further_metrics == ("accuracy",)
    label = problem.dataset.labels[0]
    problem = data_of(task={"signal": label}, limits={"min": {f"accuracy_of_{label}": 0.1}})
    assert problem.dataset.signal == 0
    assert problem.dataset.metric == "accuracy"


def test_a_metric_that_does_not_exist_is_refused(registry: Registry, toy_spec: MakeSpec) -> None:
    with refused(ErrorKind.UNKNOWN_NAME) as error:
        resolve(toy_spec(task={"metric": "rmse"}), registry)
    assert "auc" in error.value.choices
    with refused(ErrorKind.UNKNOWN_NAME):
        resolve(toy_spec(task={"signal": "nobody"}), registry)
    with refused(ErrorKind.INVALID):
        resolve(toy_spec(task={"false_positive_rate": 1.5}), registry)
