"""The goal of a spec: metrics resolved, scales and limits completed, contradictions rejected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.evidence.scoring import wilson
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.target import RESOURCES, Target
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls.run.task_metrics import ACCURACY, objective_name, score_direction
from hwnas_hls.spec.notation import percent
from hwnas_hls.spec.spec import Spec
from hwnas_hls.values.estimate import METRICS, Metric
from hwnas_hls.values.objective import Goal, Limit, Objective, direction_of

#: metric -> (best, worst) of its scale, unless a limit or the part sets an end.
_SCALES = {
    "latency_cycles": (1.0, 1000.0),
    "latency_ns": (1.0, 10_000.0),
    "ii_cycles": (1.0, 1000.0),
    "lut": (10.0, 1e6),
    "ff": (10.0, 1e6),
    "dsp": (1.0, 1e4),
    "lut_csynth": (10.0, 1e6),
    "ff_csynth": (10.0, 1e6),
    "dsp_csynth": (1.0, 1e4),
    "bram_18k": (1.0, 1e4),
    "uram": (1.0, 1e3),
    "energy_pj": (1.0, 1e6),
    "model_size_bytes": (1.0, 1e6),
    "parameters": (1.0, 1e6),
    "macs": (1.0, 1e6),
    "bit_operations": (1.0, 1e9),
}


def metrics_of(estimator: Estimator) -> dict[str, Metric | None]:
    """The metrics of an estimator: name -> metric, ``None`` for a name without a description."""
    found: dict[str, Metric | None] = {}
    for item in estimator.provides:
        if isinstance(item, Metric):
            found[item.name] = item
        else:
            found[str(item)] = METRICS.get(str(item))
    return found


def goal_of(
    spec: Spec, dataset: Dataset, target: Target, clock_ns: float, estimators: Sequence[Estimator]
) -> Goal:
    """The goal of a spec.

    Args:
        estimators: provide the metrics for objectives and limits.

    Raises:
        UserError: no estimator provides a metric, its direction or scale is unknown, or the ends of a
            scale are in the wrong order.
    """
    provided: dict[str, str] = {}
    scales: dict[str, tuple[float, float]] = {}
    for estimator in estimators:
        for name, metric in metrics_of(estimator).items():
            provided[name] = metric.direction if metric else ""
            if metric and metric.best is not None and metric.worst is not None:
                scales[name] = (metric.best, metric.worst)
    if dataset.kind != CLASSIFICATION:
        provided.pop("accuracy", None)
    if any(estimator.trains for estimator in estimators):
        provided |= {name: score_direction(name) for name in dataset.scoring.names}
        provided[dataset.metric] = dataset.direction
    known = {name: direction for name, direction in provided.items() if direction}

    named = [text.partition(":")[0] for text in spec.objectives.metrics]

    def metric_of(text: str, where: str, *, limit: bool = False) -> tuple[str, str]:
        name, _, stated = text.partition(":")
        if not limit:
            name = objective_name(name, dataset.metric, named)
        elif name == ACCURACY and dataset.kind != CLASSIFICATION:
            name = dataset.metric
        if name not in provided:
            raise UserError(
                "no estimator of this run provides this metric",
                where=where,
                found=name,
                choices=sorted(provided),
                remedy="if an estimator of a plugin provides it, add that estimator to run.estimators",
            )
        if stated in ("max", "min"):
            return name, stated
        if stated:
            raise UserError("the direction of a metric must be max or min", where=where, found=text)
        if limit:  # the direction is not needed: the limit states its side
            return name, provided[name]
        if not provided[name]:
            raise UserError(
                f"the direction of {name} is unknown",
                kind=ErrorKind.MISSING,
                where=where,
                found=name,
                remedy=f"write {name}:max or :min",
            )
        return name, direction_of(name, known)

    limits = _limits(spec, dataset, target, provided, metric_of)
    where = spec.where("objectives")
    upper = {limit.metric: limit.bound for limit in limits if limit.kind == "max"}
    objectives = []
    for text in spec.objectives.metrics:
        name, direction = metric_of(text, f"{where}.metrics")
        scale = scales.get(name)
        objectives.append(_objective(spec, text, name, direction, dataset, upper, clock_ns, scale, where))
    return Goal(tuple(objectives), tuple(limits), spec.objectives.mode)


def checked_limit(limit: Limit, where: str) -> Limit:
    """Return ``limit`` unless no design can meet it.

    Raises:
        UserError: a negative maximum of a metric that cannot be negative, or a minimum of r2 above 1.
    """
    if limit.kind == "min" and limit.metric == "r2" and limit.bound > 1:
        raise UserError("r2 cannot be above 1", where=where, found=str(limit), remedy="give a bound below 1")
    if limit.kind == "max" and limit.bound < 0 and limit.metric in METRICS:
        raise UserError(
            "this metric cannot be below zero",
            where=where,
            found=str(limit),
            remedy="give a bound of 0 or more",
        )
    return limit


def _limits(
    spec: Spec,
    dataset: Dataset,
    target: Target,
    provided: Mapping[str, str],
    metric_of: Callable[..., tuple[str, str]],
) -> list[Limit]:
    """The user's limits, then the resources of the part and the default latency limit of 1 us."""
    limits = []
    shares = {name: share * getattr(target, name) for name, share in spec.limits.max_share.items()}
    for kind, bounds in (("max", {**spec.limits.max, **shares}), ("min", spec.limits.min)):
        for text, bound in bounds.items():
            where = f"{spec.where('limits')}.{kind}"
            limit = checked_limit(Limit(metric_of(text, where, limit=True)[0], kind, bound), where)
            _check_attainable(limit, dataset, target if spec.limits.fit_part else None, where)
            limits.append(limit)
    held = {limit.metric: limit.bound for limit in limits if limit.kind == "max"}
    if (
        spec.limits.sub_microsecond
        and "latency_ns" in provided
        and not held.keys() & {"latency_ns", "latency_cycles"}
    ):
        limits.append(Limit("latency_ns", "max", 1000.0))
    if spec.limits.fit_part:
        limits.extend(
            Limit(name, "max", float(getattr(target, name)))
            for name in RESOURCES
            if name in provided and held.get(name, math.inf) > getattr(target, name)
        )
    return limits


def _score_scale(name: str, dataset: Dataset) -> tuple[float, float, bool]:
    """Best, worst and whether the scale is logarithmic, of a metric of predictions."""
    if name == "rmse":
        # Of the mean of the training targets.
        return 0.0, float(dataset.target_standardisation[1].mean()), False
    if name == "accuracy":
        # Half way from chance to perfect; classifiers below it do not count in the hypervolume.
        return 1.0, (1.0 + 1.0 / max(dataset.n_out, 1)) / 2, True
    chance = {"auc": 0.5, "balanced_accuracy": 1.0 / max(dataset.n_out, 1)}
    return 1.0, chance.get(name, 0.0), True


def _check_attainable(limit: Limit, dataset: Dataset, part: Target | None, where: str) -> None:
    """Raise UserError if no design can meet a minimum.

    Args:
        part: must hold the design; ``None`` if it need not.
    """
    if limit.kind != "min":
        return
    rows = len(dataset.validation)
    if limit.metric == "accuracy" and limit.bound > (most := wilson(rows, rows)[0]):
        raise UserError(
            f"no design can show this accuracy on {rows} validation rows: limits are checked at the lower "
            f"end of the interval, which is {percent(most, 2)} even if every row is right",
            where=where,
            found=str(limit),
            remedy=f"give a bound of at most {math.floor(1e4 * most) / 1e4:g}, or more rows",
        )
    if part is not None and limit.metric in RESOURCES and limit.bound > getattr(part, limit.metric):
        raise UserError(
            f"the part has only {getattr(part, limit.metric):,} {limit.metric}", where=where, found=str(limit)
        )


def _objective(
    spec: Spec,
    text: str,
    name: str,
    direction: str,
    dataset: Dataset,
    upper: Mapping[str, float],
    clock_ns: float,
    scale: tuple[float, float] | None,
    where: str,
) -> Objective:
    table = spec.objectives
    if name in dataset.scoring.names:
        best, worst, log = _score_scale(name, dataset)
    elif name in _SCALES:
        best, worst = _SCALES[name]
        log = True
        if name == "latency_ns":
            best = clock_ns
        if upper.get(name, 0.0) > best:
            worst = upper[name]
    elif name == "fmax_mhz":
        best, worst, log = 1000.0, 1.0, False
    elif scale is not None:
        best, worst, log = *scale, False
    else:
        missing = [end for end in ("best", "worst") if text not in getattr(table, end)]
        if missing:
            raise UserError(
                f"the scale of {name} is not known",
                kind=ErrorKind.MISSING,
                where=where,
                remedy=f"set {' and '.join(f'objectives.{end}.{text}' for end in missing)}",
            )
        best, worst, log = 0.0, 0.0, False
    best, worst = table.best.get(text, best), table.worst.get(text, worst)
    positive = direction == "max" or min(best, worst) > 0
    if best == worst or (direction == "min") != (best < worst) or (log and not positive):
        raise UserError(
            f"best and worst of {name} are inconsistent with its direction {direction}",
            where=where,
            found=f"best {best:g}, worst {worst:g}",
        )
    return Objective(name, direction, best, worst, table.weights.get(text, 1.0), log)
