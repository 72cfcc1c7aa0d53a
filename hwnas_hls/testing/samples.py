"""Small examples for the contract tests: spaces, a data set, a target, records, a front."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from hwnas_hls.errors import UserError
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.exporter import Front, Member
from hwnas_hls.protocols.space import Knob, KnobSpace, Space
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.values.candidate import Candidate, digest
from hwnas_hls.values.check import PASSED
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.objective import MODES, Goal, Limit, Objective
from hwnas_hls.values.record import Record, RecordState
from hwnas_hls.values.run_facts import RunFacts

_INPUT = FixedType(8, 3)
_HIDDEN = FixedType(6, 2, False, "RND", "SAT")
_LUT_LIMIT = 20_000.0


class TinySpace(KnobSpace):
    """Twelve networks with one hidden layer; all knobs are unordered."""

    name = "tiny"

    def __init__(self, n_in: int = 6, n_out: int = 3) -> None:
        self.n_in, self.n_out = n_in, n_out
        self.knobs = (
            Knob("shape", ("narrow", "middle", "wide"), ordered=False, doc="width of the hidden layer"),
            Knob("use_bias", (True, False), ordered=False, doc="whether layers have biases"),
            Knob("strategy", ("Latency", "Resource"), ordered=False, doc="hls4ml strategy"),
        )

    def architecture(self, candidate: Candidate) -> Architecture:
        values = candidate.values
        width = {"narrow": 4, "middle": 8, "wide": 12}[str(values["shape"])]
        bias = _INPUT if values["use_bias"] else None
        strategy = str(values["strategy"])
        hidden = Dense(self.n_in, width, "relu", _INPUT, bias, result=_HIDDEN, strategy=strategy)
        return Architecture(
            _INPUT, (hidden, Dense(width, self.n_out, "linear", _INPUT, bias, strategy=strategy))
        )


class MixedSpace(KnobSpace):
    """A space with integer, real (one logarithmic), categorical and conditional knobs."""

    name = "mixed"

    def __init__(self, n_in: int = 6, n_out: int = 3) -> None:
        self.n_in, self.n_out = n_in, n_out
        self.knobs = (
            Knob.integer("depth", 1, 2, doc="number of hidden layers"),
            Knob.integer("width_1", 4, 32, 4, doc="neurons of a hidden layer"),
            Knob.integer("width_2", 4, 32, 4, active_if=("depth", (2,)), doc="neurons of a hidden layer"),
            Knob("weight_bits", (2, 3, 4, 6, 8), doc="width of the weights"),
            Knob("strategy", ("Latency", "Resource"), ordered=False, doc="hls4ml strategy"),
            Knob("sparsity", low=0.0, high=0.9, active_if=("strategy", ("Latency",)), doc="share of zeros"),
            Knob("dropout", low=0.001, high=0.5, log=True, doc="share dropped in training"),
        )

    def architecture(self, candidate: Candidate) -> Architecture:
        values = candidate.values
        widths = [self.n_in, *(int(values[f"width_{n}"] or 0) for n in (1, 2) if f"width_{n}" in values)]
        weight = FixedType(int(values["weight_bits"] or 0), 1)
        settings = {
            "strategy": str(values["strategy"]),
            "sparsity": float(values.get("sparsity") or 0.0),
        }
        layers = [
            Dense(n_in, n_out, "relu", weight, None, result=_HIDDEN, **settings)  # type: ignore[arg-type]
            for n_in, n_out in itertools.pairwise(widths)
        ]
        layers.append(Dense(widths[-1], self.n_out, "linear", weight, None, **settings))  # type: ignore[arg-type]
        return Architecture(_INPUT, tuple(layers))


def sample_dataset(n_in: int = 6, n_out: int = 3, rows: int = 240, seed: int = 0) -> Dataset:
    """A classification of overlapping clusters, split 60:20:20; a row can also be read as a time series."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % n_out
    centres = rng.standard_normal((n_out, n_in)) * 2
    x = centres[y] + rng.standard_normal((rows, n_in))
    first, second = int(rows * 0.6), int(rows * 0.8)
    return Dataset(
        Split(x[:first], y[:first]),
        Split(x[first:second], y[first:second]),
        Split(x[second:], y[second:]),
        kind=CLASSIFICATION,
        labels=tuple(f"class {number}" for number in range(n_out)),
        features=tuple(f"feature {number}" for number in range(n_in)),
        source="synthetic clusters of the contract tests",
        input_shape=(1, n_in, 1),
    )


def sample_target() -> Target:
    """A fictitious part with round numbers."""
    return Target(
        "sample",
        "xcsample-a1-1",
        "ultrascale+",
        lut=100_000,
        ff=200_000,
        dsp=500,
        bram_18k=300,
        uram=0,
        slr=1,
        dsp_type="DSP48E2",
        dsp_widths=(27, 18),
        clock_ns=5.0,
        sources=("made up for contract tests",),
    )


def sample_context(space: Space, dataset: Dataset | None = None, seed: int = 0) -> Context:
    """A context for candidates of ``space``, on the CPU."""
    return Context(
        space.architecture,
        dataset or sample_dataset(),
        sample_target(),
        clock_ns=5.0,
        seed=seed,
        device="cpu",
        space=space,
    )


def sample_goal(mode: str = "pareto") -> Goal:
    """Accuracy against LUTs under a LUT limit, in one of the three modes."""
    if mode not in MODES:
        raise UserError("unknown mode", found=mode, choices=MODES)
    objectives = (
        Objective("accuracy", "max", 1.0, 0.0, weight=2.0),
        Objective("lut", "min", 100.0, 100_000.0, log=True),
    )
    return Goal(objectives, (Limit("lut", "max", _LUT_LIMIT),), mode)


def judge(
    candidates: Sequence[Candidate],
    space: Space,
    goal: Goal,
    batch: int,
    first: int,
    states: Sequence[RecordState] = (
        RecordState.COMPLETE,
        RecordState.COMPLETE,
        RecordState.INFEASIBLE,
        RecordState.COMPLETE,
        RecordState.STOPPED,
        RecordState.COMPLETE,
        RecordState.FAILED,
        RecordState.COMPLETE,
    ),
) -> list[Record]:
    """Records of a synthetic, smooth evaluation; the candidate's key determines the state.

    Args:
        candidates: evaluated in order.
        space: its vectors determine the numbers.
        goal: see :func:`sample_goal`.
        batch, first: number of the batch and of its first record.
        states: states to assign.
    """
    return [
        _judged(candidate, space, goal, batch, first + place, states)
        for place, candidate in enumerate(candidates)
    ]


def _judged(
    candidate: Candidate, space: Space, goal: Goal, batch: int, number: int, states: Sequence[RecordState]
) -> Record:
    state = states[int(digest(["state", candidate.key]), 16) % len(states)]
    vector = np.asarray(space.encode(candidate), np.float64)
    # Rounded: the last bits of a sum may differ between machines.
    lut = round(200.0 * 10.0 ** (2.0 * float(np.mean(np.clip(vector, 0.0, 1.0)))), 3)
    accuracy = round(1.0 - float(np.mean((vector - 0.6) ** 2)) / 4.0, 9)
    if state == RecordState.INFEASIBLE:
        lut = 2.0 * _LUT_LIMIT + lut
    estimates = {"lut": Estimate("lut", lut, 0.8 * lut, 1.2 * lut, "predicted", "synthetic")}
    if state in (RecordState.COMPLETE, RecordState.STOPPED):
        value = accuracy if state == RecordState.COMPLETE else accuracy / 2.0
        estimates["accuracy"] = Estimate("accuracy", value, value, value, "trained", "synthetic")
    if state == RecordState.FAILED:
        estimates = {}
    return Record(
        number,
        batch,
        candidate,
        state,
        estimates,
        goal.losses(estimates) if state == RecordState.COMPLETE else None,
        goal.violations(estimates),
        "" if state == RecordState.COMPLETE else f"synthetic: {state}",
    )


def sample_design() -> Design:
    """Two layers with fixed weights, 6-8-3, on the grid of ``ap_fixed<4,1>``."""
    weight = FixedType(4, 1)
    hidden = Dense(6, 8, "relu", weight, None, result=_HIDDEN)
    architecture = Architecture(_INPUT, (hidden, Dense(8, 3, "linear", weight, None)), 5.0)
    rng = np.random.default_rng(0)
    weights = tuple(
        rng.integers(weight.lowest, weight.highest, (layer.n_in, layer.n_out), np.int64, endpoint=True)
        for layer in architecture.chain
    )
    return Design(architecture, weights, (None, None), labels=("class 0", "class 1", "class 2"))


def sample_front(members: int = 1) -> Front:
    """The front of a synthetic run on :class:`TinySpace`, with 0 or 1 members."""
    space, goal = TinySpace(), sample_goal()
    candidates = [space.sample(np.random.default_rng(number)) for number in range(8)]
    records = judge(candidates, space, goal, batch=0, first=0)
    done = next(record for record in records if record.state == RecordState.COMPLETE)
    member = Member(done.key, done.candidate, done, sample_design(), done.estimates, {"csim": PASSED})
    return Front(
        run=RunFacts(name="sample", seconds=1.0),
        spec="schema = 1\n",
        target=sample_target(),
        goal=goal,
        space=space,
        dataset=sample_dataset(),
        members=[member][:members],
        records=records,
        trace=[(len(records), 1.0, 0.5)],
        hypervolume=0.5,
    )
