"""The exporter ``optuna``: the search as an Optuna study, for Optuna's dashboard and importances."""

from __future__ import annotations

import bisect
import contextlib
import datetime
import itertools
import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.protocols.exporter import Exporter
from hwnas_hls.protocols.space import knobs_of
from hwnas_hls.system.files import replacing
from hwnas_hls.values.candidate import Value
from hwnas_hls.values.objective import Mode
from hwnas_hls.values.record import RecordState
from hwnas_hls_plugins.strategies.optuna_study import quiet

if TYPE_CHECKING:
    from hwnas_hls.protocols.exporter import Front
    from hwnas_hls.protocols.space import Knob
    from hwnas_hls.values.record import Record, RecordState

_FILE = "optuna.sqlite3"
_LARGEST = 1e300
#: Revision of Optuna's tables (since Optuna 3.2) that :func:`_insert` writes; for another revision, Optuna
#: writes the trials itself.
_KNOWN_TABLES = "v3.2.0.a"
_INSERTS = {
    "trials": "trial_id, number, study_id, state, datetime_start, datetime_complete",
    "trial_params": "trial_id, param_name, param_value, distribution_json",
    "trial_values": "trial_id, objective, value, value_type",
    "trial_user_attributes": "trial_id, key, value_json",
    "trial_system_attributes": "trial_id, key, value_json",
}


class OptunaExporter(Exporter):
    """Writes ``optuna.sqlite3``, a study of every candidate: ``optuna-dashboard sqlite:///RUN/optuna.sqlite3``.

    The parameters of a trial are the active knobs with their values. Its values are the objectives in
    their units and directions (in the scalar modes, the loss). Complete candidates are COMPLETE.
    Candidates over a limit are COMPLETE if all objectives have a number, and PRUNED if they were not
    trained; stopped ones are PRUNED, failed ones FAIL. The constraint of each limit is ``pessimistic end
    - bound`` (positive: violated), in the order of the study's attribute ``limits``. The user attributes
    of a trial contain the key, the state, the reason, and every metric with interval and source.
    """

    name = "optuna"

    def export(self, front: Front, folder: Path) -> Sequence[Path]:
        """Write ``folder/optuna.sqlite3`` atomically.

        Raises:
            HwnasError: the folder cannot be written.
        """
        path = folder / _FILE
        with replacing(path) as unfinished:
            _write(front, unfinished)
        return [path]


def _write(front: Front, path: Path) -> None:
    import optuna
    from sqlalchemy.engine import URL

    with quiet():
        storage = optuna.storages.RDBStorage(
            URL.create("sqlite", database=str(path)).render_as_string(),
        )
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=front.run.name or "hwnas-hls",
                directions=_directions(front),
            )
            study.set_metric_names(_metric_names(front))
            facts = front.run.to_json()
            for name in ("strategy", "space", "task", "seed", "started"):
                study.set_user_attr(name, facts[name])
            study.set_user_attr("target", front.target.name)
            study.set_user_attr("limits", [str(limit) for limit in front.goal.limits])
            trials = _trials(front)
            if storage.get_head_version() != _KNOWN_TABLES:
                study.add_trials(trials)
                trials = []
            study_id = study._study_id
        finally:
            storage.remove_session()
            storage.engine.dispose()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        _insert(database, study_id, trials)


def _insert(database: sqlite3.Connection, study_id: int, trials: Sequence[Any]) -> None:
    """Fill Optuna's tables in one transaction.

    Optuna's ``add_trials`` commits every trial: 0.05 s each, 40 minutes for 50,000 trials.
    """
    from optuna.distributions import distribution_to_json

    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERTS}
    texts: dict[str, str] = {}
    for number, trial in enumerate(trials):
        place = number + 1
        times = [
            time.isoformat(" ", "microseconds") for time in (trial.datetime_start, trial.datetime_complete)
        ]
        rows["trials"].append((place, number, study_id, trial.state.name, *times))
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            if name not in texts:
                texts[name] = distribution_to_json(distribution)
            rows["trial_params"].append((place, name, distribution.to_internal_repr(value), texts[name]))
        for objective, value in enumerate(trial.values or ()):
            rows["trial_values"].append((place, objective, value, "FINITE"))
        for kind in ("user", "system"):
            attributes = getattr(trial, f"{kind}_attrs")
            rows[f"trial_{kind}_attributes"] += [
                (place, key, json.dumps(value)) for key, value in attributes.items()
            ]
    for table, columns in _INSERTS.items():
        marks = ", ".join("?" * len(columns.split(",")))
        database.executemany(f"insert into {table} ({columns}) values ({marks})", rows[table])  # noqa: S608


def _directions(front: Front) -> list[str]:
    if front.goal.mode != Mode.PARETO:
        return ["minimize"]
    return [f"{objective.direction}imize" for objective in front.goal.objectives]


def _metric_names(front: Front) -> list[str]:
    if front.goal.mode != Mode.PARETO:
        return ["loss"]
    return [objective.metric for objective in front.goal.objectives]


def _trials(front: Front) -> list[Any]:
    began = _began(front)
    knobs = {knob.name: knob for knob in knobs_of(front.space)}
    judged = [count for count, _, _ in front.trace]
    members = {member.key for member in front.members}
    trials = []
    for record in front.records:
        place = bisect.bisect_right(judged, record.number)
        after = front.trace[place][1] if place < len(front.trace) else 0.0
        ended = began + datetime.timedelta(seconds=after)
        trials.append(_trial(record, front, knobs, ended, on_front=record.key in members))
    return trials


def _began(front: Front) -> datetime.datetime:
    """The start of the run in UTC without a time zone, as in Optuna; equal runs give equal files."""
    try:
        began = datetime.datetime.fromisoformat(front.run.started)
    except ValueError:
        return datetime.datetime(2000, 1, 1)
    return began.astimezone(datetime.UTC).replace(tzinfo=None)


def _trial(
    record: Record, front: Front, knobs: Mapping[str, Knob], ended: datetime.datetime, *, on_front: bool
) -> Any:
    from optuna.trial import TrialState, create_trial

    values = _values(record, front)
    state = TrialState.PRUNED
    if record.state == RecordState.FAILED:
        state, values = TrialState.FAIL, None
    elif record.state in (RecordState.COMPLETE, RecordState.INFEASIBLE) and values is not None:
        state = TrialState.COMPLETE
    params = {name: value for name, value in record.candidate.values.items() if name in knobs}
    trial = create_trial(
        state=state,
        values=values if state == TrialState.COMPLETE else None,
        params={name: _param(knobs[name], value) for name, value in params.items()},
        distributions={name: _distribution(knobs[name]) for name in params},
        user_attrs=_attributes(record, on_front=on_front),
        system_attrs={} if state == TrialState.FAIL else {"constraints": _constraints(record, front)},
    )
    trial.datetime_start = ended - datetime.timedelta(seconds=record.seconds)
    trial.datetime_complete = ended
    return trial


def _values(record: Record, front: Front) -> list[float] | None:
    """The values of the objectives; ``None`` if one is unknown or not finite."""
    if front.goal.mode != Mode.PARETO:
        losses = record.losses or front.goal.losses(record.estimates)
        return None if losses is None else [float(loss) for loss in losses]
    numbers = [record.estimates.get(objective.metric) for objective in front.goal.objectives]
    values = [float(number.value) for number in numbers if number is not None]
    return values if len(values) == len(numbers) and all(map(math.isfinite, values)) else None


def _constraints(record: Record, front: Front) -> list[float]:
    """One number per limit, in the order of the goal; 0 if the metric is unknown.

    Optuna and all versions of its dashboard read this form; the current dashboard does not show
    constraints stored by name.
    """
    out = []
    for limit in front.goal.limits:
        over = 0.0
        estimate = record.estimates.get(limit.metric)
        if estimate is not None:
            over = estimate.high - limit.bound if limit.kind == "max" else limit.bound - estimate.low
        out.append(min(max(float(over), -_LARGEST), _LARGEST))
    return out


def _param(knob: Knob, value: Value) -> Any:
    return float(value or 0.0) if knob.continuous else value


def _distribution(knob: Knob) -> Any:
    """A category per choice, so the dashboard shows the values; evenly spaced integers become an integer
    distribution."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if knob.continuous:
        return FloatDistribution(float(knob.low or 0.0), float(knob.high or 0.0), log=knob.log)
    numbers = [choice for choice in knob.choices if isinstance(choice, int) and not isinstance(choice, bool)]
    if knob.ordered and len(numbers) == len(knob.choices) > 1:
        steps = {after - before for before, after in itertools.pairwise(numbers)}
        if len(steps) == 1 and (step := steps.pop()) > 0:
            return IntDistribution(numbers[0], numbers[-1], step=step)
    return CategoricalDistribution(knob.choices)


def _attributes(record: Record, *, on_front: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "key": record.key,
        "state": record.state,
        "batch": record.batch,
        "on_front": on_front,
    }
    if record.reason:
        out["reason"] = record.reason
    if record.violations:
        out["excess"] = dict(record.violations)
    if record.warnings:
        out["warnings"] = list(record.warnings)
    for name, estimate in record.estimates.items():
        numbers = estimate.to_json()
        del numbers["evidence"]
        out[name] = numbers if math.isfinite(estimate.value) else {**numbers, "value": None}
    return out
