"""The compiled training kernels do what torch's operations do, and torch serves where they cannot."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, ToolMissing
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls_plugins.estimators.training import TrainingConfig, train
from hwnas_hls_plugins.estimators.training.plan import plan

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def crowd(normalisation: str, dropout: float = 0.0) -> list[Architecture]:
    """Networks of all depths, sides that fill no tile of the kernels, bounded and free outputs."""
    rng = np.random.default_rng(5)
    found = []
    for number in range(10):
        widths = [int(width) for width in rng.integers(1, 40, number % 5)]
        sides = [11, *widths, 3]
        bits = int(rng.integers(2, 9))
        layers = []
        for place, (n_in, n_out) in enumerate(itertools.pairwise(sides)):
            last = place == len(sides) - 2
            result = FixedType(bits + 2, 2, last, "TRN" if number % 2 else "RND", "SAT")
            layers.append(
                Dense(
                    n_in,
                    n_out,
                    "linear" if last or number % 3 == 0 else "relu",
                    FixedType(bits, 1),
                    FixedType(bits + 4, 3) if number % 4 else None,
                    result=None if last and number % 2 else result,
                    normalisation="none" if last or number % 4 == 0 else normalisation,
                    dropout=0.0 if last else dropout,
                )
            )
        found.append(Architecture(FixedType(8, 3), tuple(layers)))
    return found


def networks(normalisation: str, rows: int, dropout: float = 0.0) -> list[object]:
    """The same group, once by each arithmetic."""
    from hwnas_hls_plugins.estimators.training.member import ChainMember
    from hwnas_hls_plugins.estimators.training.native import NativeArithmetic
    from hwnas_hls_plugins.estimators.training.network import Network

    found = []
    for kernels in ("torch", "native"):
        plans = [
            plan(architecture, str(place), 0)
            for place, architecture in enumerate(crowd(normalisation, dropout))
        ]
        # A group is alike in this.
        plans = [item for item in plans if item.normalised == (normalisation == "batch")]
        members = [ChainMember(item, number, number % 2) for number, item in enumerate(plans)]
        for member in members:
            member.start(torch.float32)
        network = Network(members, rows, 3, torch.float32, torch.device("cpu"), kernels)
        network.number_sources({0: 0, 1: 1})
        assert isinstance(network.arithmetic, NativeArithmetic) == (kernels == "native")
        found.append(network)
    return found


def near(a: object, b: object, share: float = 2e-4) -> None:
    """Equal but for the last bits, relative to the largest number there is."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    np.testing.assert_allclose(a, b, rtol=share, atol=share * np.abs(a).max(initial=1e-9))


@pytest.mark.parametrize("normalisation", ["none", "batch"])
@pytest.mark.parametrize(("rows", "weighted"), [(8, False), (72, False), (72, True), (640, False)])
def test_one_step_is_torchs(normalisation: str, rows: int, weighted: bool) -> None:
    from hwnas_hls_plugins.estimators.training.adam import step_size

    by_torch, native = networks(normalisation, rows)
    rng = np.random.default_rng(0)
    # Slices of wider matrices, as the loop hands them over.
    whole = torch.as_tensor(np.floor(rng.normal(0, 30, (2, 12, 3 * rows))), dtype=torch.float32)
    whole[:, -1] = 1.0
    batch = [copy[:, rows : 2 * rows] for copy in whole]
    classes = torch.as_tensor(np.eye(3)[rng.integers(3, size=rows)].T.copy(), dtype=torch.float32)
    if weighted:
        # Weights of rows stand below the targets.
        weights = torch.as_tensor(rng.uniform(0, 5, (1, rows)), dtype=torch.float32)
        classes = torch.cat([classes, weights])
    for network in (by_torch, native):
        if network.normalised:
            network.calibrate(batch)
        network.forward(batch, training=True, momentum=0.3)
    assert np.array_equal(by_torch.layout.integers, native.layout.integers)
    for a, b in zip(by_torch.levels, native.levels, strict=True):
        assert np.array_equal(a.values, b.values)
        if a.norm is not None:
            near(a.norm.running, b.norm.running)
    for network in (by_torch, native):
        network.lose(classes, classes=True)
        network.backward(batch, leak=0.1)
    for place in range(len(by_torch.levels)):
        for layer, a, b in zip(
            by_torch.levels[place].layers, *gradients(by_torch, native, place), strict=True
        ):
            body = (slice(layer.layer.n_out), slice(layer.layer.n_in))
            near(a[body], b[body])
            if not layer.normalised:  # else normalisation computes the biases
                near(a[: layer.layer.n_out, -1], b[: layer.layer.n_out, -1])
    near(by_torch.outputs.gradient, native.outputs.gradient)
    near(by_torch.outputs.log_temperature_gradient, native.outputs.log_temperature_gradient)
    for level, other in zip(by_torch.levels, native.levels, strict=True):
        if level.norm is not None:
            near(level.norm.gain_gradient, other.norm.gain_gradient)
            near(level.norm.shift_gradient, other.norm.shift_gradient)
    # From the same gradient, the same step.
    native.layout.gradient.copy_(by_torch.layout.gradient)
    for network in (by_torch, native):
        network.update(0.9, 0.99, 1 - 0.05 * 0.04, step_size(0.05, 0.9, 0.99, 1))
    near(by_torch.layout.latent, native.layout.latent)
    near(by_torch.layout.mean, native.layout.mean)
    near(by_torch.layout.square, native.layout.square)
    moved = np.asarray(by_torch.layout.integers != native.layout.integers)
    assert moved.mean() < 0.01  # a last bit may take a weight across a rounding boundary


@pytest.mark.parametrize("left", [0.8, 0.3, 0.02])
@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_steps_without_removed_weights_are_torchs(normalisation: str, left: float) -> None:
    rng = np.random.default_rng(2)
    rows = 72
    whole = torch.as_tensor(np.floor(rng.normal(0, 30, (2, 12, rows))), dtype=torch.float32)
    whole[:, -1] = 1.0
    batch = list(whole)
    classes = torch.as_tensor(np.eye(3)[rng.integers(3, size=rows)].T.copy(), dtype=torch.float32)
    by_torch, native = networks(normalisation, rows)
    for network in (by_torch, native):
        removed = np.random.default_rng(3)
        for member in network.members:
            member.limited = True
            for digits in member.digits:
                gone = torch.as_tensor(removed.random(tuple(digits.shape)) > left)
                gone[:, -1] = False
                digits[gone] = 0.0
        network.layout.refresh_kept()
        network.quantise()
        if network.normalised:
            network.calibrate(batch)
        network.freeze_removed()
    for number in range(3):
        for network in (by_torch, native):
            network.forward(batch, training=True, momentum=0.3)
            network.lose(classes, classes=True)
            network.backward(batch, leak=0.1)
        for a, b in zip(by_torch.levels, native.levels, strict=True):
            assert number > 0 or np.array_equal(a.values, b.values)
        for network in (by_torch, native):
            network.update(0.9, 0.99, 0.999, 0.01)
    for network in (by_torch, native):
        network.thaw()
    stored = by_torch.layout.digits > 0
    assert 0.5 * left < float(stored.float().mean()) < 1
    for layout in (by_torch.layout, native.layout):
        assert not layout.weights[~stored].any()
        assert not layout.latent[: layout.n_weights][~stored].any()
        assert layout.latent[: layout.n_weights][stored].any()
    assert np.mean(np.asarray(by_torch.layout.integers != native.layout.integers)) < 0.01
    moved = np.abs(np.asarray(by_torch.layout.latent - native.layout.latent))
    assert np.quantile(moved, 0.95) < 1e-3  # of steps of 0.01; some gradients are rounding errors


def gradients(a: object, b: object, k: int) -> list[list[object]]:
    """Per network, the gradients of its weights and biases at level ``k``: (member, matrix) lists."""
    found = []
    for network in (a, b):
        layout = network.layout  # type: ignore[attr-defined]
        found.append(
            [
                layout.gradient[slice(*layout.places[j, k])].view(layer.rows, layer.cols)
                for j, layer in enumerate(network.levels[k].layers)  # type: ignore[attr-defined]
            ]
        )
    return found


def test_dropout_is_drawn_alike() -> None:
    # Twice or nothing: all sums stay whole.
    by_torch, native = networks("none", 64, dropout=0.5)
    batch = [torch.ones((12, 64)), torch.ones((12, 64))]
    for network in (by_torch, native):
        network.draw()
        network.forward(batch, training=True)
    for a, b in zip(by_torch.levels, native.levels, strict=True):
        assert np.array_equal(a.values, b.values)
    assert any(np.mean(np.asarray(level.values) == 0) > 0.4 for level in native.levels[1:])


def small() -> Dataset:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(3, 11))
    splits = []
    for rows in (600, 300, 300):
        y = rng.integers(3, size=rows)
        splits.append(Split(centres[y] + 0.7 * rng.normal(size=(rows, 11)), y))
    return Dataset(*splits, "classification", ("a", "b", "c"), tuple("abcdefghijk"), "clusters")


def test_kernels_and_torch_learn_equally_well() -> None:
    found = {}
    for kernels in ("torch", "native"):
        results = train(crowd("batch"), small(), epochs=12, config=TrainingConfig(kernels=kernels))
        found[kernels] = [item.validation.value for item in results]
    assert np.abs(np.subtract(*found.values())).mean() < 0.03
    assert min(np.mean(values) for values in found.values()) > 0.8


def test_without_a_compiler_torch_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.estimators import c_library
    from hwnas_hls_plugins.estimators.training import kernels

    kernels.loaded.cache_clear()
    monkeypatch.setattr(c_library, "COMPILERS", ("no-such-compiler",))
    try:
        architectures = crowd("none")[:2]
        assert len(train(architectures, small(), epochs=1)) == 2
        with refused(ErrorKind.TOOL_MISSING, ToolMissing, mentions=["no-such-compiler"]):
            train(architectures, small(), epochs=1, config=TrainingConfig(kernels="native"))
    finally:
        kernels.loaded.cache_clear()


def test_failing_compiler_falls_back_to_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hwnas_hls_plugins.estimators import c_library
    from hwnas_hls_plugins.estimators.training import kernels

    compiler = tmp_path / "cc-that-fails"
    compiler.write_text("#!/bin/sh\necho no such instruction >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(c_library, "COMPILERS", (compiler.name,))
    with pytest.raises(subprocess.CalledProcessError):
        kernels.compiled(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_the_library_is_compiled_once(tmp_path: Path) -> None:
    from hwnas_hls_plugins.estimators.training import kernels

    first = kernels.compiled(tmp_path)
    made = first.stat().st_mtime_ns
    assert kernels.compiled(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert {path.name for path in tmp_path.iterdir()} == {first.name, first.with_suffix(".sha256").name}


@pytest.mark.parametrize("left", [0, 100, 4096])
def test_half_a_library_is_made_again(left: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that went down while it wrote; what is left is not kept for ever."""
    import platformdirs

    from hwnas_hls_plugins.estimators.training import kernels

    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path))
    path = kernels.compiled()
    path.write_bytes(path.read_bytes()[:left])
    # To load half of it would end this very process.
    assert kernels.compiled().stat().st_size > 4096
    kernels.loaded.cache_clear()
    try:
        library, cause = kernels.loaded()
    finally:
        kernels.loaded.cache_clear()
    assert library is not None
    assert cause == ""


def test_unsupported_types_train_in_torch() -> None:
    from hwnas_hls_plugins.estimators.training.layout import Layout
    from hwnas_hls_plugins.estimators.training.member import ChainMember
    from hwnas_hls_plugins.estimators.training.native import serves

    def layout(architecture: Architecture, dtype: object = torch.float32) -> Layout:
        member = ChainMember(plan(architecture, "k", 0), 0, 0)
        member.start(dtype)
        return Layout([member], dtype, torch.device("cpu"))

    usual = crowd("none")[1]
    wraps = replace(
        usual, layers=(replace(usual.chain[0], result=FixedType(4, 2, overflow="WRAP")), *usual.chain[1:])
    )
    assert serves(layout(usual), 64, "auto")
    assert not serves(layout(usual), 64, "torch")
    assert not serves(layout(usual), 5, "auto")
    assert not serves(layout(usual, torch.float64), 64, "auto")
    assert not serves(layout(wraps), 64, "auto")
    with refused(ErrorKind.UNKNOWN_NAME, found="fortran", mentions=["native"]):
        TrainingConfig(kernels="fortran")


def test_rows_are_read_alike() -> None:
    from hwnas_hls_plugins.estimators.training.rows import InputKind, Rows

    dataset = small()
    kinds = [InputKind(kind) for kind in (FixedType(8, 3), FixedType(4, 1), FixedType(6, 4, False))]
    order = torch.as_tensor(np.random.default_rng(0).permutation(600)[:100])
    found = [
        Rows(dataset.train, dataset, torch.float32, torch.device("cpu"), compiled=compiled).read(kinds, order)
        for compiled in (False, True)
    ]
    for a, b in zip(*(copies for copies, _ in found), strict=True):
        assert a.shape == (12, 100)
        assert torch.equal(a, b)
    assert torch.equal(found[0][1], found[1][1])
