"""The metrics of predictions of a run: the task's metric, and those that objectives and limits name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.evidence.scoring import method, real_outputs, scores
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.run.task_words import with_words
from hwnas_hls.spec.configuration import from_table
from hwnas_hls.spec.quantities import parse_share
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.estimate import Estimate, Source
from hwnas_hls.values.objective import direction_of
from hwnas_hls.values.score_metrics import OF_CLASS

#: In objectives, the task's metric, whatever its name.
ACCURACY = "accuracy"
#: Maximum number of validation rows for further metrics in the search, as for the score of the training.
_MOST_ROWS = 20_000


@dataclasses.dataclass(frozen=True, slots=True)
class TaskMetrics:
    """Keys of ``[task]`` that every task has.

    Args:
        metric: of the search and the front; empty: the first metric of predictions among the objectives,
            or the task's own.
        signal: name of the signal class.
        false_positive_rate: share of the rows of other classes that ``efficiency_at_fpr`` accepts: ``0.01``,
            ``"1%"``, or the rate after the trigger of the rate before it, ``"100kHz of 40MHz"``.
        input_words: type of the features as raw words, which the circuit scales: ``integers`` (the narrowest
            that hold all rows), a type such as ``ap_uint<12>``, or a table of them by the feature's name
            (``others`` for those not named); empty: the host standardises the features.
    """

    metric: str = ""
    signal: str = ""
    false_positive_rate: float | str = 0.0
    input_words: str | Mapping[str, str] = ""

    def __post_init__(self) -> None:
        rate = self.false_positive_rate
        if not isinstance(rate, str) and rate and not 0 < rate < 1:
            raise ValueError(f"false_positive_rate must be between 0 and 1, not {rate:g}; 1 % is 0.01")


TASK_KEYS = tuple(TaskMetrics.__dataclass_fields__)


def split_table(config: Mapping[str, Any], own: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of a ``[task]`` table for its plugin, and those of :class:`TaskMetrics`.

    Args:
        own: keys of the plugin, which come first.
    """
    common = {key: value for key, value in config.items() if key in TASK_KEYS and key not in own}
    return {key: value for key, value in config.items() if key not in common}, common


def with_metrics(dataset: Dataset, spec: Spec, settings: Mapping[str, Any]) -> Dataset:
    """The data with the metrics that a spec names.

    Args:
        settings: the keys of ``[task]`` from :func:`split_table`.

    Raises:
        UserError: a metric or class is unknown, or a metric is undefined on the validation or test rows.
    """
    where = spec.where("task")
    keys = from_table(TaskMetrics, settings, where)
    if keys.signal:
        if keys.signal not in dataset.labels:
            raise UserError(
                "no such class", where=f"{where}.signal", found=keys.signal, choices=dataset.labels
            )
        dataset = dataclasses.replace(dataset, signal=dataset.labels.index(keys.signal))
    if rate := keys.false_positive_rate:
        if isinstance(rate, str):
            rate = parse_share(rate, f"{where}.false_positive_rate")
        dataset = dataclasses.replace(dataset, false_positive_rate=rate)
    dataset = with_words(dataset, keys.input_words, f"{where}.input_words")
    scoring = dataset.scoring
    named = [text.partition(":")[0] for text in spec.objectives.metrics]
    asked = [name for name in named if name in scoring.names]
    metric = keys.metric or dataset.metric
    if not keys.metric and asked and metric not in asked and ACCURACY not in named:
        metric = asked[0]
    scoring.check(metric, f"{where}.metric")
    limits = [name.partition(":")[0] for bounds in (spec.limits.max, spec.limits.min) for name in bounds]
    objectives = [objective_name(name, metric, named) for name in named]
    further = [name for name in (*objectives, *limits) if name in scoring.names and name != metric]
    for name in (metric, *further):
        for split in ("validation", "test"):
            scoring.check_rows(name, getattr(dataset, split).y, f"{where}: {split} rows")
    return dataclasses.replace(
        dataset,
        metric=metric,
        direction=score_direction(metric),
        further_metrics=tuple(dict.fromkeys(further)),
    )


def objective_name(name: str, metric: str, named: Sequence[str]) -> str:
    """The metric of an objective: ``accuracy`` means the task's, unless that is named, too.

    Args:
        metric: the task's.
        named: all objectives.
    """
    return metric if name == ACCURACY and metric not in named else name


def score_direction(metric: str) -> str:
    """The direction of a metric of predictions."""
    return "max" if metric.startswith(OF_CLASS) else direction_of(metric)


def reported(dataset: Dataset) -> tuple[str, ...]:
    """The metrics of an exported design: those of the run, then the usual ones that its test rows allow."""
    usual = (
        ["accuracy", "balanced_accuracy", "auc", "f1"] if dataset.kind == CLASSIFICATION else ["r2", "rmse"]
    )
    if dataset.kind == CLASSIFICATION and len(dataset.scoring.positives) == 1:
        usual.append("efficiency_at_fpr")
    names = [*dataset.metrics]
    for name in usual:
        try:
            dataset.scoring.check_rows(name, dataset.test.y, "test rows")
        except UserError:
            continue
        names.append(name)
    return tuple(dict.fromkeys(names))


def missing_scores(
    dataset: Dataset, seed: int, design: Design, known: Mapping[str, Estimate]
) -> dict[str, Estimate]:
    """The metrics of a run that the trainer of a design has not measured, on the validation rows.

    Args:
        seed: of the run; draws the rows if there are many.
        known: the numbers of the trainer; its scores give the source and the evidence of the new numbers.
    """
    missing = [name for name in dataset.metrics if name not in known]
    if not missing:
        return {}
    split = dataset.validation.drawn(_MOST_ROWS, seed)
    source: str = Source.EMULATED
    evidence = f"integer emulation on {len(split)} validation rows"
    for name in (dataset.metric, *dataset.scoring.names):
        if name in known:
            source, evidence = known[name].source, known[name].evidence.removesuffix(method(known[name]))
            break
    outputs = real_outputs(design, split.x)
    return scores(dataset, split, outputs, missing, source=source, evidence=evidence)
