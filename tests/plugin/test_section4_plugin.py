"""A package written from the protocols alone: no table of knobs, constructor arguments by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from installed_package import install
from short_runs import SHORT_TRAINING

CODE = '''
from dataclasses import dataclass
import numpy as np
from hwnas_hls import hookimpl
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.protocols.space import Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimate, Estimates

class Narrow(Space):
    """Widths 4, 8 and 16, as a stranger writes it."""
    name = "narrow"
    @dataclass(frozen=True)
    class Config:
        widths: tuple[int, ...] = (4, 8, 16)
    def __init__(self, config, task):
        self.config, self.task = config, task
        self.knobs = {"width": config.widths}
    def sample(self, rng):
        return Candidate(self.name, {"width": int(rng.choice(self.config.widths))})
    def mutate(self, candidate, rng):
        return self.sample(rng)
    def crossover(self, a, b, rng):
        return a if rng.random() < 0.5 else b
    def encode(self, candidate):
        return np.array([float(candidate.values["width"])])
    def decode(self, vector):
        return Candidate(self.name, {"width": int(vector[0])})
    def architecture(self, candidate):
        width = candidate.values["width"]
        layer = {"kind": "dense", "weight": "ap_fixed<6,2>", "bias": "ap_fixed<10,4>"}
        return [
            {**layer, "n_in": self.task.n_in, "n_out": width, "activation": "relu",
             "result": "ap_ufixed<6,2,AP_RND,AP_SAT>"},
            {**layer, "n_in": width, "n_out": self.task.n_out, "activation": "linear"},
        ]

class Turns(Strategy):
    """Asks for what the space draws."""
    name = "turns"
    @dataclass(frozen=True)
    class Config:
        pass
    def __init__(self, config, space, seed):
        self.space, self.rng, self.received = space, np.random.default_rng(seed), 0
    def ask(self, n):
        return [self.space.sample(self.rng) for _ in range(n)]
    def tell(self, records):
        self.received += len(records)
    def state(self):
        return {"rng": self.rng.bit_generator.state, "received": self.received}
    def restore(self, state):
        self.rng.bit_generator.state, self.received = state["rng"], state["received"]

class Wires(Estimator):
    """Counts neurons."""
    name = "wires"
    provides = ("wires",)
    version = "1"
    cost = 0.0
    @dataclass(frozen=True)
    class Config:
        pass
    def __init__(self, config):
        pass
    def estimate(self, candidates, context):
        out = []
        for candidate in candidates:
            n = float(sum(layer.n_out for layer in context.architecture(candidate).layers))
            out.append(Estimates({"wires": Estimate("wires", n, n, n, "predicted", "counted")}))
        return out

@hookimpl
def hwnas_register_spaces(): return [Narrow]
@hookimpl
def hwnas_register_strategies(): return [Turns]
@hookimpl
def hwnas_register_estimators(): return [Wires]
'''


def go(folder: Path, run: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hwnas_hls", "run", "--target", "xcvu9p", "--trials", "6", "--plain"]
    command += ["--output", run, "--space", "narrow", "--max", "wires=20", *more]
    command += ["--set", "run.estimators=['static', 'hls-model', 'training', 'wires']"]
    command += SHORT_TRAINING
    command += ["--set", "export.members=1", "--set", "export.restarts=1", "--set", "export.csim=false"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_its_space_strategy_and_estimator_are_used(tmp_path: Path) -> None:
    install(tmp_path, "section_four", CODE, "section-four")
    done = go(tmp_path, "a", "--strategy", "turns")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "a" / "front.json").read_text()
    assert '"wires"' in text
    # 16 + 10 neurons are over the limit that only its own estimator knows of.
    assert "infeasible" in done.stderr


def test_a_space_without_our_knobs_runs_with_the_default_strategy(tmp_path: Path) -> None:
    install(tmp_path, "section_four", CODE, "section-four")
    done = go(tmp_path, "b", "--synthesizer", "none")  # the test above synthesises its design
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evolution" in done.stderr
    assert 'name = "evolution"' in (tmp_path / "b" / "spec.toml").read_text()
