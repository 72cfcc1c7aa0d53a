"""Fronts of any size for the tests of reports: real designs, a known course of the search."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from parts import XCVU9P

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.exporter import Front, Member
from hwnas_hls.protocols.space import Knob, KnobSpace
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.check import PASSED, failure
from hwnas_hls.values.estimate import Estimate, measured
from hwnas_hls.values.objective import Goal, Limit, Objective
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls.values.run_facts import RunFacts

TARGET = dataclasses.replace(
    XCVU9P, sources=("vendor table", "an-address-without-a-break.example/" + "of_one_hundred_letters_" * 4)
)
HOSTILE = "<script>alert(1)</script>"


class SyntheticSpace(KnobSpace):
    name = "synthetic"
    knobs = (
        Knob("depth", (1, 2, 3), doc="hidden layers"),
        Knob("width1", tuple(range(4, 68, 4))),
        Knob("width2", tuple(range(4, 68, 4)), active_if=("depth", (2, 3))),
        Knob("width3", tuple(range(4, 68, 4)), active_if=("depth", (3,))),
        Knob("weight1", ("ap_fixed<4,1>", "ap_fixed<6,2>", "ap_fixed<8,2>"), ordered=False),
        Knob("activation", ("relu", "linear"), ordered=False),
        Knob("strategy", ("Latency", "Resource", "distributed_arithmetic"), ordered=False),
        Knob("clock_ns", (2.5, 5.0, 10.0)),
        Knob("learning_rate", low=1e-4, high=1e-1, log=True),
    )

    def architecture(self, candidate: Candidate) -> Architecture:
        values: Mapping[str, Any] = candidate.values
        eight, source = FixedType(8, 3), 16
        layers = []
        for number in range(1, values["depth"] + 1):
            width = values[f"width{number}"]
            weight = FixedType.parse(values["weight1"])
            layers.append(Dense(source, width, values["activation"], weight, weight, None, eight))
            source = width
        layers.append(Dense(source, 5, "linear", eight, eight))
        return Architecture(eight, tuple(layers), clock_ns=values["clock_ns"])


def make_dataset(metric: str = "accuracy", labels: tuple[str, ...] = ("a", "b", "c", "d", "e")) -> Dataset:
    rng = np.random.default_rng(3)

    def split(rows: int) -> Split:
        return Split(rng.normal(size=(rows, 16)), np.arange(rows) % 5)

    features = (*(f"f{number}" for number in range(15)), HOSTILE)
    kind, direction = ("classification", "max") if metric == "accuracy" else ("regression", "min")
    if kind == "regression":
        labels = ()
    dataset = Dataset(
        split(40), split(20), split(30), kind, labels, features, "synthetic rows", metric, direction
    )
    if kind == "regression":
        for part in (dataset.train, dataset.validation, dataset.test):
            object.__setattr__(part, "y", rng.normal(size=(len(part.x), 5)))
    return dataset


def make_design(architecture: Architecture, seed: int, features: tuple[str, ...]) -> Design:
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for layer in architecture.layers:
        low, high = layer.weight.lowest, layer.weight.highest
        weights.append(rng.integers(low, high + 1, size=(layer.n_in, layer.n_out)))
        biases.append(rng.integers(low, high + 1, size=layer.n_out) if layer.bias else None)
    preprocessing = Preprocessing(np.zeros(16), np.ones(16), features)
    return Design(architecture, tuple(weights), tuple(biases), preprocessing, ("a", "b", "c", "d", "e"))


def predictions(rng: np.random.Generator, metric: str, score: float, lut: float) -> dict[str, Estimate]:
    """Numbers as the search finds them: hardware predicted, the task's metric trained."""

    def predicted(name: str, value: float, spread: float, **more: Any) -> Estimate:
        low, high = value * (1 - spread), value * (1 + spread)
        return Estimate(name, value, low, high, "predicted", "laws fitted to 812 reports", 0.9, **more)

    cycles = float(rng.integers(3, 40))
    return {
        metric: Estimate(metric, score, score - 0.02, score + 0.02, "trained", "validation split, 20 rows"),
        "latency_cycles": predicted("latency_cycles", cycles, 0.1),
        "latency_ns": predicted("latency_ns", 5 * cycles, 0.1),
        "ii_cycles": measured("ii_cycles", 1, "predicted", "by construction"),
        "lut": predicted("lut", lut, 0.35, in_domain=False),
        "ff": Estimate("ff", lut / 2, 0, float("inf"), "predicted", "no calibration"),
        "dsp": predicted("dsp", float(rng.integers(0, 3)), 0.2),
        "energy_pj": measured("energy_pj", 1e12 * score, "predicted", "energies per operation"),
    }


def make_front(
    candidates: int = 60,
    members: int = 4,
    metric: str = "accuracy",
    feasible: bool = True,
    synthesised: bool = False,
    run: Mapping[str, Any] | None = None,
) -> Front:
    """A front whose candidates are one half complete, the rest infeasible, stopped and failed."""
    rng = np.random.default_rng(7)
    space, dataset = SyntheticSpace(), make_dataset(metric)
    records = []
    for number in range(candidates):
        candidate = space.sample(rng)
        size = sum(float(candidate.values.get(f"width{k}") or 0) for k in (1, 2, 3))
        lut = size * float(rng.lognormal(3, 0.7))
        score = 1 - 0.4 / (1 + size / 8) - 0.05 * float(rng.random())
        found = predictions(rng, metric, score, lut)
        state = (
            RecordState.COMPLETE,
            RecordState.COMPLETE,
            RecordState.INFEASIBLE,
            RecordState.COMPLETE,
            RecordState.STOPPED,
            RecordState.INFEASIBLE,
            RecordState.FAILED,
            RecordState.COMPLETE,
        )[number % 8]
        if not feasible and state in (RecordState.COMPLETE, RecordState.STOPPED):
            state = RecordState.INFEASIBLE
        reason, violations, losses = "", {}, None
        if state == RecordState.INFEASIBLE:
            del found[metric]
            violations = {"lut <= 20000": 0.1 + 0.01 * (number % 50), "latency_ns <= 100": 0.5}
            if number % 3:
                del violations["latency_ns <= 100"]
            reason = "over a hard limit: lut <= 20000"
        elif state == RecordState.FAILED:
            found = {}
            reason = f"training diverged in epoch {number % 9}" if number % 16 == 6 else f"{HOSTILE} & co"
        elif state == RecordState.STOPPED:
            reason = f"dominated after {10 * (number % 3)} % of the training"
        else:
            losses = (1 - score, lut / 1e5)
        records.append(Record(number, number // 50, candidate, state, found, losses, violations, reason))
    complete = sorted((r for r in records if r.state == RecordState.COMPLETE), key=lambda r: r.losses or ())
    return Front(
        run=dataclasses.replace(
            RunFacts(
                name=f"night <run> {HOSTILE}",
                seed=11,
                trials=candidates,
                strategy="nsga2",
                task="digits16",
                seconds=211.3,
                versions={"hwnas-hls": "0.1", "torch": "2.13"},
            ),
            **(run or {}),
        ),
        spec=f"[run]\nseed = 11\n# {HOSTILE}\n",
        target=TARGET,
        goal=Goal(
            (
                Objective(metric, dataset.direction, 1.0, 0.0),
                Objective("latency_ns", "min", 10, 1000, log=True),
                Objective("lut", "min", 100, 100000, log=True),
            ),
            (Limit("lut", "max", 20000), Limit("latency_ns", "max", 100)),
        ),
        space=space,
        dataset=dataset,
        members=[make_member(r, space, dataset, synthesised) for r in complete[:members]],
        records=records,
        trace=[(50 * (k + 1), 3.5 * (k + 1), 1 - 1 / (k + 2)) for k in range(max(1, candidates // 50))],
        hypervolume=0.8125,
        least_infeasible=() if complete else records[2:5],
    )


def make_member(record: Record, space: SyntheticSpace, dataset: Dataset, synthesised: bool) -> Member:
    design = make_design(space.architecture(record.candidate), record.number, dataset.features)
    name = dataset.metric
    value = record.estimates[name].value
    final = dict(record.estimates)
    final[name] = Estimate(
        name, value, value - 0.01, value + 0.01, "csim", "C simulation on 30 test rows", 0.9
    )
    if synthesised and record.number % 2 == 0:
        for metric in ("lut", "latency_ns"):
            evidence = "vitis_hls 2023.2, csynth.xml"
            final[metric] = measured(metric, round(record.estimates[metric].value * 1.2), "csynth", evidence)
    bad = record.number % 5 == 0
    checks = {"project": PASSED, "csim": failure(f"3 of 30 rows differ {HOSTILE}") if bad else PASSED}
    warnings = ("layer 1: 4,096 products or more",) if bad else ()
    return Member(record.key, record.candidate, record, design, final, checks, warnings)


def enlarged(front: Front, candidates: int) -> Front:
    """The same front with its records repeated, their numbers shifted a little: large runs, made fast."""
    base = list(front.records)
    records = []
    for number in range(candidates):
        record = base[number % len(base)]
        factor = 1 + 0.1 * (number // len(base)) / (1 + candidates // len(base))
        estimates = dict(record.estimates)
        for name in ("accuracy", "lut"):
            if name in estimates:
                x = estimates[name]
                estimates[name] = Estimate(name, x.value / factor, x.low, x.high, x.source, x.evidence)
        records.append(dataclasses.replace(record, number=number, estimates=estimates))
    return dataclasses.replace(front, records=records)
