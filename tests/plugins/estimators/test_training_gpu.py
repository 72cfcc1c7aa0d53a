"""The GPU's part of training, without a GPU: devices by fake tensors, CUDA graphs by a recording of calls."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_graph_training as graphs
import test_training_kernels as chains
from places import TESTS
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture
from hwnas_hls_plugins.estimators.training import TrainingConfig

torch = pytest.importorskip("torch")

from torch.utils import _pytree as pytree  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

KINDS = ("chains", "odd chains", "vectors", "odd images")


@pytest.fixture(scope="module")
def on_fake_device() -> dict[str, Any]:
    """What the training of each kind of networks did on a device made in Python."""
    pytest.importorskip("torch._C._acc", reason="this torch knows no device made in Python")
    script = TESTS / "fake_gpu.py"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, str(script), *KINDS],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_of_a_step_is_on_the_device_and_nothing_is_read_back(
    kind: str, on_fake_device: dict[str, Any]
) -> None:
    found = on_fake_device[kind]
    assert "error" not in found, found["error"][-3000:]
    assert found["groups"] >= 2
    # What is dropped is sent beforehand; what is saved, pruned and read is outside of steps.
    at = {name.split(":")[0] for name in found["crossings"]}
    assert at == {"start", "draw", "save", "between"}


class Recording(TorchDispatchMode):
    """Notes every call, then puts everything back as it was: a capture computes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.made: set[int] = set()
        self.before: dict[int, tuple[Any, Any]] = {}
        self.kept: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [item for item in pytree.tree_leaves((args, kwargs)) if isinstance(item, torch.Tensor)]
        storages = [tensor.untyped_storage() for tensor in given]
        if func._schema.is_mutable:
            for storage in storages:
                place = storage.data_ptr()
                if place not in self.made and place not in self.before:
                    self.before[place] = storage, storage.clone()
        out = func(*args, **kwargs)
        places = {storage.data_ptr() for storage in storages}
        results = [item for item in pytree.tree_leaves(out) if isinstance(item, torch.Tensor)]
        fresh = [tensor for tensor in results if tensor.untyped_storage().data_ptr() not in places]
        self.made |= {tensor.untyped_storage().data_ptr() for tensor in fresh}
        self.kept += results
        if func._schema.is_mutable or fresh:  # all others are views
            self.calls.append((func, args, kwargs, fresh))
        return out

    def undo(self) -> None:
        for storage, held in self.before.values():
            storage.copy_(held)


class Graph:
    """What ``torch.cuda.CUDAGraph`` is, on a CPU."""

    def __init__(self) -> None:
        self.recording = Recording()
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, fresh in self.recording.calls:
            out = func(*args, **kwargs)
            if fresh:  # nothing that is made is made beside something that was there
                for held, found in zip(fresh, pytree.tree_leaves(out), strict=True):
                    held.copy_(found)


class WrongGraph(Graph):
    """Forgets the last call."""

    def replay(self) -> None:
        whole, self.recording.calls = self.recording.calls, self.recording.calls[:-1]
        super().replay()
        self.recording.calls = whole


class Stream:
    def __init__(self, device: Any = None) -> None:
        self.waited = 0

    def wait_stream(self, other: Stream) -> None:
        self.waited += 1


class Cuda:
    """The names of ``torch.cuda`` that capturing uses.

    Args:
        graph: what is captured into.
        error: what capturing ends with.
    """

    def __init__(self, graph: type[Graph] = Graph, error: str = "") -> None:
        self.CUDAGraph, self.Stream, self.error = graph, Stream, error
        self.main = Stream()
        self.log: list[str] = []

    def current_stream(self, device: Any = None) -> Stream:
        return self.main

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        assert stream is not self.main
        assert stream.waited > self.main.waited
        self.log.append("warm")
        yield

    @contextlib.contextmanager
    def graph(self, graph: Graph, stream: Stream | None = None) -> Iterator[None]:
        self.log.append("capture")
        with graph.recording:
            yield
        graph.recording.undo()
        if self.error:
            raise RuntimeError(self.error)

    def synchronize(self, device: Any = None) -> None:
        self.log.append("synchronize")


def group(kind: str) -> tuple[Any, int]:
    """A started group on torch's operations, and how many inputs it has."""
    from hwnas_hls_plugins.estimators.training.graphs.member import GraphMember
    from hwnas_hls_plugins.estimators.training.graphs.network import GraphNetwork
    from hwnas_hls_plugins.estimators.training.member import ChainMember
    from hwnas_hls_plugins.estimators.training.network import Network
    from hwnas_hls_plugins.estimators.training.plan import plan
    from hwnas_hls_plugins.estimators.training.routing import planned

    device = torch.device("cpu")
    if kind == "graphs":
        rng = np.random.default_rng(2)
        drawn = [graphs.image_graph(rng, True) for _ in range(2)]
        members: list[Any] = [
            GraphMember(planned(item, str(place), 0), place, 0)  # type: ignore[arg-type]
            for place, item in enumerate(drawn)
        ]
        for member in members:
            member.start(torch.float32)
        found: Any = GraphNetwork(members, 16, 3, torch.float32, device)
        n_in = drawn[0].n_in
    else:
        crowd: list[Architecture] = chains.crowd("batch", 0.3)[:4]
        plans = [plan(item, str(place), 0) for place, item in enumerate(crowd)]
        members = [ChainMember(item, place, 0) for place, item in enumerate(plans) if item.normalised]
        for member in members:
            member.start(torch.float32)
        found, n_in = Network(members, 16, 3, torch.float32, device, "torch"), 11
    found.number_sources({0: 0})
    return found, n_in


#: Of one of two epochs: every kind of steps is warm and captured, and replayed at least twice.
STEPS = 28
#: The same, if the first capture is the last one.
FEW = 6


@pytest.fixture(scope="module")
def computed() -> dict[str, list[Any]]:
    """What all steps leave where none is replayed."""
    with pytest.MonkeyPatch.context() as patch:
        return {kind: steps(None, kind, patch)[1] for kind in ("chains", "graphs")}


@pytest.fixture(scope="module")
def computed_few() -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        return steps(None, "chains", patch, FEW)[1]


def steps(
    cuda: Cuda | None, kind: str, monkeypatch: pytest.MonkeyPatch, count: int = STEPS
) -> tuple[Any, list[Any], Any]:
    """Two epochs of steps: what they leave, and the step; ``None`` computes them all."""
    from hwnas_hls_plugins.estimators.training import captured
    from hwnas_hls_plugins.estimators.training.schedule import Schedule
    from hwnas_hls_plugins.estimators.training.step import Step

    config = TrainingConfig(epochs=2, batch_size=16, leak=0.1)
    schedule = Schedule(config, count, 64, 3)
    rng = np.random.default_rng(3)
    network, n_in = group(kind)
    with torch.inference_mode():
        step: Any = Step(network, config, classes=True)
        if cuda is not None:
            monkeypatch.setattr(captured, "torch", FakeTorch(cuda))
            step = captured.CapturedStep(step)
        for epoch in range(2):
            network.prune(0.5 + 0.5 * epoch)
            whole = torch.as_tensor(np.floor(rng.normal(0, 30, (n_in + 1, count * 16))), dtype=torch.float32)
            whole[-1] = 1.0
            classes = np.eye(3)[rng.integers(3, size=count * 16)].T.copy()
            targets = torch.as_tensor(classes, dtype=torch.float32)
            step.begin(schedule.paces(epoch))
            for number in range(count):
                rows = slice(number * 16, (number + 1) * 16)
                step.take(number, [whole[:, rows]], targets[:, rows])
    return network, network.state(), step


class FakeTorch:
    """Torch with another ``cuda``."""

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.mark.parametrize("kind", ["chains", "graphs"])
def test_replayed_steps_are_the_computed_ones_to_the_bit(
    kind: str, computed: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = Cuda()
    _, replayed, step = steps(cuda, kind, monkeypatch)
    for a, b in zip(computed[kind], replayed, strict=True):
        assert torch.equal(a, b)
    # Every step measures up to the 32nd, then every fourth, and gradients leak in the first epoch only.
    kinds = len(step.graphs)
    assert kinds == 4
    assert cuda.log.count("capture") == kinds
    assert not step.given_up
    # All that was neither warming up nor (the first) computed as well was replayed.
    replays = sum(graph.replays for graph in step.graphs.values())
    assert replays + cuda.log.count("warm") == 2 * STEPS
    assert cuda.log.count("warm") >= 3 * kinds
    assert cuda.log.index("capture") >= 3


@pytest.mark.parametrize(
    ("cuda", "cause"),
    [
        (lambda: Cuda(WrongGraph), "not the one computed"),
        (lambda: Cuda(error="operation not permitted when stream is capturing"), "not permitted"),
    ],
)
def test_wrong_or_uncapturable_cuda_graph_is_disabled(
    cuda: Callable[[], Cuda],
    cause: str,
    computed_few: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = cuda()
    _, found, step = steps(fake, "chains", monkeypatch, FEW)
    for a, b in zip(computed_few, found, strict=True):
        assert torch.equal(a, b)
    assert step.given_up
    assert not step.graphs
    assert fake.log.count("capture") == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert cause in caplog.text


def test_nan_network_keeps_cuda_graphs_of_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sound = group

    def spoilt(kind: str) -> tuple[Any, int]:
        network, n_in = sound(kind)
        network.layout.latent[:3] = torch.nan
        return network, n_in

    monkeypatch.setitem(globals(), "group", spoilt)
    _, state, step = steps(Cuda(), "chains", monkeypatch)
    assert any(tensor.isnan().any() for tensor in state)
    assert not step.given_up
    assert len(step.graphs) == 4
    assert not caplog.records


def test_numbers_on_the_device_are_those_of_python() -> None:
    """The step's settings round to the same bits as tensors and as Python's numbers."""
    from hwnas_hls_plugins.estimators.training import adam

    rng = np.random.default_rng(0)
    found = []
    for number in (float, lambda value: torch.tensor(value, dtype=torch.float64)):
        made = {name: torch.as_tensor(rng.normal(size=1001), dtype=torch.float32) for name in ("mean", "g")}
        rng = np.random.default_rng(0)
        trained = SimpleNamespace(
            latent=torch.linspace(-3, 3, 1001),
            mean=made["mean"],
            square=made["mean"].square(),
            gradient=made["g"],
            floor=torch.full((1001,), -2.5),
            ceiling=torch.full((1001,), 2.5),
            n_weights=900,
        )
        rng = np.random.default_rng(0)
        for step in range(1, 6):
            size = adam.step_size(0.0173, 0.9, 0.99, step)
            adam.update(trained, torch.empty(2002), 0.9, 0.99, number(1 - 0.0173 * 0.04), number(size))
        found.append(trained.latent)
        rng = np.random.default_rng(0)
    assert torch.equal(*found)


def test_one_step_of_adam_is_torchs_own() -> None:
    from hwnas_hls_plugins.estimators.training import adam

    start = torch.linspace(-1, 1, 333, dtype=torch.float64)
    gradient = 1.5 + torch.sin(37 * start)
    trained = SimpleNamespace(
        latent=start.clone(),
        mean=torch.zeros_like(start),
        square=torch.zeros_like(start),
        gradient=gradient,
        floor=torch.full_like(start, -9),
        ceiling=torch.full_like(start, 9),
        n_weights=333,
    )
    own = torch.nn.Parameter(start.clone())
    optimiser = torch.optim.AdamW([own], lr=0.02, betas=(0.9, 0.99), eps=1e-12, weight_decay=0.04)
    for step in range(1, 8):
        own.grad = gradient
        optimiser.step()
        size = adam.step_size(0.02, 0.9, 0.99, step)
        adam.update(trained, torch.empty_like(start).repeat(2), 0.9, 0.99, 1 - 0.02 * 0.04, size)
    assert torch.allclose(trained.latent, own.detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("idle", [False, True])
def test_totals_gathered_in_rows_are_those_added_up(idle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.estimators.training.totals import Totals

    rng = np.random.default_rng(4)
    owner = rng.integers(0, 9, 200)
    owner[owner == 5] = 8  # somebody owns nothing
    numbers = torch.as_tensor(rng.integers(-99, 99, 200), dtype=torch.float32)
    added = Totals(owner, 9, torch.device("cpu"))(numbers)
    # As on a GPU, whose indices are made there.
    real = torch.as_tensor
    monkeypatch.setattr(torch, "as_tensor", lambda data, device: real(data))
    gathered = Totals(owner, 9, torch.device("cuda"), idle=idle)(numbers)
    assert torch.equal(added[:8], gathered[:8])
    assert gathered[8] == (0 if idle else added[8])
    assert gathered[5] == 0


def test_groups_fill_half_of_a_gpus_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.estimators.training.grouping import automatic_group_elements, group

    found = {}
    for free in (2**30, 2**33):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2**36))
        found[free] = automatic_group_elements(torch.device("cuda"))
    assert found[2**33] == pytest.approx(8 * found[2**30], rel=1e-6)
    # Sums, values, masks, gradients, scratch and as much again: ten single numbers an activation.
    assert found[2**30] * 10 * 4 <= 2**30 / 2
    assert automatic_group_elements(torch.device("cpu")) == 400_000
    network, _ = chains_members()
    few, many = (group(network, elements, 256) for elements in (60, 10**6))
    assert len(few) > len(many)


def chains_members() -> tuple[list[Any], int]:
    from hwnas_hls_plugins.estimators.training.member import ChainMember
    from hwnas_hls_plugins.estimators.training.plan import plan

    return [ChainMember(plan(a, str(n), 0), n, 0) for n, a in enumerate(chains.crowd("none"))], 11


def test_graphs_are_for_a_gpu_and_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.estimators.training import loop
    from hwnas_hls_plugins.estimators.training.plan import plan
    from hwnas_hls_plugins.estimators.training.step import Step

    with refused(ErrorKind.UNKNOWN_NAME, found="on"):
        TrainingConfig(graphs="on")
    plans = [plan(item, "k", 0) for item in chains.crowd("none")[:1]]
    monkeypatch.setattr(loop, "CapturedStep", lambda step: "captured")
    config = TrainingConfig(kernels="torch")
    training = loop.Training(plans, chains.small(), config, 0, "cpu")
    network, _ = group("chains")
    assert isinstance(training._step(network, 1000), Step)
    training.device = torch.device("cuda")
    assert training._step(network, 1000) == "captured"
    assert isinstance(training._step(network, 63), Step)
    training.config = replace(config, graphs="off")
    assert isinstance(training._step(network, 1000), Step)
