"""Contract tests for plugins: inherit one class, override one method, run pytest.

Example, the complete test file of a plugin package::

    from hwnas_hls.testing import StrategyContract
    from my_plugin import Climb

    class TestClimb(StrategyContract):
        def strategy(self, space, goal, seed):
            return Climb(space, seed)

The contracts also run without pytest: :func:`check` runs one and returns its results. For pytest,
:mod:`hwnas_hls.pytest_plugin` adds the fixtures ``hwnas``, ``tiny_space``, ``tiny_task``,
``tiny_target``, ``fake_tools`` and ``fake_vendor``.
"""

from __future__ import annotations

from hwnas_hls.testing.contract import Contract, ContractResult, check
from hwnas_hls.testing.estimator import EstimatorContract
from hwnas_hls.testing.exporter import ExporterContract
from hwnas_hls.testing.samples import (
    MixedSpace,
    TinySpace,
    sample_context,
    sample_dataset,
    sample_design,
    sample_front,
    sample_target,
)
from hwnas_hls.testing.space import SpaceContract
from hwnas_hls.testing.strategy import StrategyContract
from hwnas_hls.testing.synthesizer import SynthesizerContract
from hwnas_hls.testing.task import TaskContract
from hwnas_hls.testing.tools import FakeTools

__all__ = [
    "Contract",
    "ContractResult",
    "EstimatorContract",
    "ExporterContract",
    "FakeTools",
    "MixedSpace",
    "SpaceContract",
    "StrategyContract",
    "SynthesizerContract",
    "TaskContract",
    "TinySpace",
    "check",
    "sample_context",
    "sample_dataset",
    "sample_design",
    "sample_front",
    "sample_target",
]
