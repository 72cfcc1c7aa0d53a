"""Training of graphs: bit for bit what the emulator computes, and the gradients that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from refusal import expect_mentioned

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import INPUT, Architecture, Conv2D, Dense, Layer, Merge, Pool2D
from hwnas_hls.network.emulator import emulate, input_integers, output_fraction
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType
from hwnas_hls.protocols.estimator import Context, Keep, keep_all
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates
from hwnas_hls_plugins.estimators.training import TrainingConfig, TrainingEstimator, train
from hwnas_hls_plugins.estimators.training.routing import planned, refusal

torch = pytest.importorskip("torch")

PART = Target("p", "xc-p", "ultrascale+", 9, 9, 9, 9, 9, 1, "DSP48E2", (27, 18), 5.0, ("made up",))
HEIGHT, WIDTH, CHANNELS = 4, 6, 2
Draw = Callable[[], FixedType | None]


def toy(n_in: int, rows: int = 160, kind: str = "classification") -> Dataset:
    rng = np.random.default_rng(5)
    splits = []
    for _ in range(3):
        x = rng.normal(3.0, 2.0, (rows, n_in))
        y = (x[:, :3] * x[:, 1:4]).argmax(axis=1)
        splits.append(Split(x, y if kind == "classification" else x[:, :3] * 2 + x[:, 1:2] ** 2 / 9))
    labels = tuple("abc") if kind == "classification" else ()
    metric = "accuracy" if kind == "classification" else "r2"
    return Dataset(*splits, kind, labels, tuple(f"f{k}" for k in range(n_in)), "toy", metric)


def types(rng: np.random.Generator, plain: bool) -> FixedType:
    rounding = str(rng.choice(["TRN", "RND"] if plain else ROUNDINGS))
    overflow = "SAT" if plain else str(rng.choice(OVERFLOWS))
    return FixedType(int(rng.integers(3, 10)), int(rng.integers(0, 4)), True, rounding, overflow)


class Sketch:
    """A graph under construction: what is there, and of which width."""

    def __init__(self, rng: np.random.Generator, plain: bool) -> None:
        self.rng, self.plain = rng, plain
        self.layers: list[Layer] = []

    def add(self, layer: Layer) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def settings(self, *, always: bool = False) -> dict[str, Any]:
        """Types and settings of a layer with weights, every mode unless ``plain``."""
        rng = self.rng
        accum = None
        if not self.plain and rng.random() < 0.3:
            accum = FixedType(
                int(rng.integers(8, 20)),
                int(rng.integers(3, 8)),
                True,
                str(rng.choice(ROUNDINGS)),
                str(rng.choice(OVERFLOWS)),
            )
        bias = FixedType(8, 3) if rng.random() < 0.7 else None
        return {
            "activation": str(rng.choice(["relu", "leaky_relu", "linear"])),
            "weight": FixedType(int(rng.integers(2, 7)), int(rng.integers(0, 3))),
            "bias": bias,
            "accum": accum,
            "result": types(rng, self.plain) if always or rng.random() < 0.8 else None,
            "normalisation": "batch" if bias is not None and rng.random() < 0.4 else "none",
            "sparsity": float(rng.choice([0.0, 0.5])),
        }

    def dense(self, source: int, n_in: int, n_out: int, **more: Any) -> int:
        return self.add(Dense(n_in, n_out, inputs=(source,), **{**self.settings(), **more}))

    def merge(self, kind: str, sources: tuple[int, int], widths: tuple[int, int], **more: Any) -> int:
        result = types(self.rng, self.plain) if self.rng.random() < 0.5 else None
        activation = str(self.rng.choice(["relu", "leaky_relu", "linear"]))
        return self.add(Merge(kind, widths, sources, activation, result, **more))


def vector_graph(rng: np.random.Generator, plain: bool) -> Architecture:
    sketch = Sketch(rng, plain)
    wide = int(rng.integers(2, 7))
    first = sketch.dense(INPUT, 6, wide, **sketch.settings(always=True))
    second = sketch.dense(first, wide, wide)
    both = sketch.merge("add", (first, second), (wide, wide))
    third = sketch.dense(both, wide, 5)
    joined = sketch.merge("concatenate", (third, INPUT), (5, 6))
    sketch.dense(joined, 11, 3, activation="linear", result=None, accum=None)
    return Architecture(FixedType(6, 3), tuple(sketch.layers))


def image_graph(rng: np.random.Generator, plain: bool) -> Architecture:
    sketch = Sketch(rng, plain)
    image = {"in_height": HEIGHT, "in_width": WIDTH}
    first = sketch.add(
        Conv2D(
            **image,
            in_channels=CHANNELS,
            filters=3,
            kernel_height=3,
            kernel_width=3,
            inputs=(INPUT,),
            **sketch.settings(always=True),
        )
    )
    own = sketch.add(
        Conv2D(
            **image,
            in_channels=3,
            filters=3,
            kernel_height=3,
            kernel_width=5,
            depthwise=True,
            inputs=(first,),
            **sketch.settings(),
        )
    )
    flat = HEIGHT * WIDTH * 3
    both = sketch.merge("add", (first, own), (flat, flat))
    joined = sketch.merge(
        "concatenate", (both, INPUT), (flat, HEIGHT * WIDTH * CHANNELS), channels=(3, CHANNELS)
    )
    pooling = str(rng.choice(["max", "average"]))
    result = types(rng, plain) if rng.random() < 0.5 else None
    small = sketch.add(Pool2D(HEIGHT, WIDTH, 3 + CHANNELS, 2, 2, pooling, result, inputs=(joined,)))
    narrow = sketch.add(
        Conv2D(
            in_height=2,
            in_width=3,
            in_channels=3 + CHANNELS,
            filters=2,
            kernel_height=2,
            kernel_width=2,
            padding="valid",
            inputs=(small,),
            **sketch.settings(always=True),
        )
    )
    sketch.dense(narrow, 4, 3, activation="linear", result=None, accum=None)
    return Architecture(FixedType(5, 3), tuple(sketch.layers))


def pooled_input(rng: np.random.Generator, plain: bool) -> Architecture:
    """Poolings that take the network's input, which wants no gradient."""
    sketch = Sketch(rng, plain)
    image = (HEIGHT, WIDTH, CHANNELS, 2, 2)
    largest = sketch.add(Pool2D(*image, "max", inputs=(INPUT,)))
    mean = sketch.add(Pool2D(*image, "average", inputs=(INPUT,)))
    both = sketch.merge("concatenate", (largest, mean), (12, 12), channels=(CHANNELS, CHANNELS))
    sketch.dense(both, 24, 3, activation="linear", result=None, accum=None)
    return Architecture(FixedType(5, 3), tuple(sketch.layers))


def compare(architectures: Sequence[Architecture], dataset: Dataset, dtype: Any) -> int:
    """Train a little, then compare every output of every network; returns how many were not constant."""
    from hwnas_hls_plugins.estimators.training.loop import Training
    from hwnas_hls_plugins.estimators.training.threads import threads

    plans = [planned(item, str(number), 1) for number, item in enumerate(architectures)]
    training = Training(plans, dataset, TrainingConfig(epochs=2, batch_size=32), 1, "cpu", dtype=dtype)
    lively = 0
    with threads(1), torch.inference_mode():
        for member in training.members:
            member.start(training.dtype)
        for members in training.groups(training.members):
            network = training.network(members)
            training._train(network, 0, 2)
            chunks = [chunk.numpy().copy() for _, chunk in training.answers(network, training.validation)]
            answers = np.concatenate(chunks, axis=2)
            for j, member in enumerate(network.members):
                design = training._design(network, j, 1.0)
                integers = emulate(design, input_integers(design, dataset.validation.x))
                assert member.plan.layers[-1].out_fraction == output_fraction(design)
                np.testing.assert_array_equal(answers[j].T, integers, err_msg=str(design.architecture))
                lively += len(np.unique(integers)) > 3
    return lively


@pytest.mark.parametrize("plain", [True, False])
def test_outputs_of_vector_graphs_are_those_of_the_emulator(plain: bool) -> None:
    rng = np.random.default_rng(1)
    graphs = [vector_graph(rng, plain) for _ in range(40)]
    assert compare(graphs, toy(6), torch.float64) > 30


@pytest.mark.parametrize("plain", [True, False])
def test_outputs_of_image_graphs_are_those_of_the_emulator(plain: bool) -> None:
    rng = np.random.default_rng(2)
    graphs = [image_graph(rng, plain) for _ in range(24)] + [pooled_input(rng, plain) for _ in range(4)]
    assert compare(graphs, toy(HEIGHT * WIDTH * CHANNELS), torch.float64) > 16


def with_autograd(architecture: Architecture, x: Any, weights: list[Any], biases: list[Any]) -> Any:
    """The same network in real numbers, by torch's own layers: (rows, n_in) -> (rows, n_out)."""
    functional = torch.nn.functional
    held = {INPUT: x}

    def image(values: Any, layer: Any) -> Any:
        return values.view(-1, layer.in_height, layer.in_width, layer.in_channels).permute(0, 3, 1, 2)

    def flat(values: Any) -> Any:
        return values.permute(0, 2, 3, 1).flatten(1)

    for number, layer in enumerate(architecture.layers):
        given = [held[source] for source in architecture.sources(number)]
        if isinstance(layer, Dense):
            out = functional.linear(given[0], weights[number], biases[number])
        elif isinstance(layer, Conv2D):
            seen = layer.weight_shape[2]
            kernel = weights[number].view(layer.filters, layer.kernel_height, layer.kernel_width, seen)
            if layer.depthwise:
                kernel = weights[number].view(layer.filters, layer.kernel_height, layer.kernel_width, 1)
            out = flat(
                functional.conv2d(
                    image(given[0], layer),
                    kernel.permute(0, 3, 1, 2),
                    biases[number],
                    padding="same" if layer.padding == "same" else 0,
                    groups=layer.in_channels if layer.depthwise else 1,
                )
            )
        elif isinstance(layer, Pool2D):
            pool = functional.max_pool2d if layer.pooling == "max" else functional.avg_pool2d
            out = flat(pool(image(given[0], layer), (layer.pool_height, layer.pool_width)))
        elif layer.merge == "add":
            out = given[0] + given[1]
        elif layer.channels is None:
            out = torch.cat(given, 1)
        else:
            parts = [
                part.view(len(part), -1, width) for part, width in zip(given, layer.channels, strict=True)
            ]
            out = torch.cat(parts, 2).flatten(1)
        activation = getattr(layer, "activation", "linear")
        if activation == "relu":
            out = torch.relu(out)
        elif activation == "leaky_relu":
            out = functional.leaky_relu(out, 0.125)
        held[number] = out
    return out


@pytest.mark.parametrize("draw", [vector_graph, image_graph, pooled_input])
def test_gradients_are_those_of_automatic_differentiation(draw: Any) -> None:
    """With types so fine that rounding changes nothing."""
    from hwnas_hls_plugins.estimators.training.graphs.member import GraphMember
    from hwnas_hls_plugins.estimators.training.graphs.network import GraphNetwork

    fine = FixedType(32, 8, True, "RND", "SAT")
    rng = np.random.default_rng(3)
    for _ in range(6):
        drawn = draw(rng, True)
        layers = []
        for layer in drawn.layers:
            changed: dict[str, Any] = {"result": None if layer is drawn.layers[-1] else fine}
            if isinstance(layer, Dense | Conv2D):
                changed |= {"weight": fine, "bias": fine, "normalisation": "none", "sparsity": 0.0}
            layers.append(replace(layer, **changed))
        architecture = Architecture(FixedType(20, 6), tuple(layers))
        plan = planned(architecture, "key", 1)
        member = GraphMember(plan, 0, 0)
        member.start(torch.float64)
        for piece in member.latent[1:-1:2]:
            piece.copy_(torch.as_tensor(rng.normal(size=piece.shape)))  # biases that do something
        network = GraphNetwork([member], 8, 3, torch.float64, torch.device("cpu"))
        network.number_sources({0: 0})
        x = torch.as_tensor(rng.integers(-30000, 30000, (architecture.n_in, 8)), dtype=torch.float64)
        targets = torch.as_tensor(rng.dirichlet(np.ones(3), 8).T)
        with torch.inference_mode():
            batch = [torch.cat([x, torch.ones(1, 8, dtype=torch.float64)])]
            network.forward(batch)
            network.lose(targets, classes=True)
            network.backward(batch)
        weights, biases, found = [], [], []
        with torch.enable_grad():
            for number, layer in enumerate(plan.layers):
                if not layer.has_weights:
                    weights.append(None)
                    biases.append(None)
                    continue
                place = network.layout.places[0, number]
                unit = 2.0**-layer.weighted.weight.fraction
                bias_unit = 2.0**-fine.fraction
                weight = (network.layout.integers[place.weights].clone() * unit).view(layer.matrix)
                weights.append(weight.requires_grad_())
                biases.append((network.layout.integers[place.biases].clone() * bias_unit).requires_grad_())
                # Gradients there are by the numbers multiplied with, which are counted otherwise.
                found.append((number, place, layer))
            step = 2.0**-architecture.input.fraction
            out = with_autograd(architecture, (x * step).t(), weights, biases)
            last = plan.layers[-1].out_fraction
            scaled = out * 2.0**last * plan.temperature
            loss = -(torch.log_softmax(scaled, 1) * targets.t()).sum() / plan.temperature
            loss.backward()
        np.testing.assert_allclose(
            network.logits[0].t(), out.detach() * 2.0**last, rtol=1e-4, atol=1e-2 * 2.0**last
        )
        for number, place, layer in found:
            # What a layer multiplies with is counted on the grid of its outputs, and so is the gradient.
            own = network.layout.gradient[place.weights].view(layer.matrix) * 2.0 ** (
                layer.out_fraction - layer.given[0].fraction
            )
            own_bias = network.layout.gradient[place.biases] * 2.0**layer.out_fraction
            for mine, torchs in ((own, weights[number].grad), (own_bias, biases[number].grad)):
                size = float(torchs.abs().max())
                np.testing.assert_allclose(mine, torchs, rtol=1e-3, atol=1e-4 * size, err_msg=str(number))


def test_groups_are_measured_by_what_convolutions_hold() -> None:
    from hwnas_hls_plugins.estimators.training.graphs.member import GraphMember
    from hwnas_hls_plugins.estimators.training.graphs.network import GraphNetwork
    from hwnas_hls_plugins.estimators.training.graphs.nodes import ConvNode

    rng = np.random.default_rng(0)
    depthwise = 0
    for _ in range(4):
        plan = planned(image_graph(rng, True), "key", 1)
        member = GraphMember(plan, 0, 0)
        member.start(torch.float32)
        network = GraphNetwork([member], 1, 3, torch.float32, torch.device("cpu"))
        nodes = [node for depth in network.depths for node in depth.nodes if isinstance(node, ConvNode)]
        depthwise += sum(node.layer.depthwise for node in nodes)
        windows = sum(node._windows.numel() + node._windows_gradient.numel() for node in nodes)
        assert plan.n_features == network.layout.n_features + windows
    assert depthwise


# The estimator


def dense(n_in: int, n_out: int, inputs: tuple[int, ...], activation: str = "relu", **more: Any) -> Dense:
    result = FixedType(8, 3, activation != "relu", "RND", "SAT")
    settings = {"weight": FixedType(6, 1), "bias": FixedType(10, 4), "result": result, **more}
    return Dense(n_in, n_out, activation, inputs=inputs, **settings)


def residual(width: int, **more: Any) -> Architecture:
    """16 inputs, a block of ``width`` neurons added to what it takes, 10 outputs."""
    sum_of_two = FixedType(8, 3, False, "RND", "SAT")
    layers: list[Layer] = [
        dense(16, width, (INPUT,), **more),
        dense(width, width, (0,), "leaky_relu", **more),
        Merge("add", (width, width), (1, 0), "relu", sum_of_two),
        dense(width, 10, (2,), "linear", result=None),
    ]
    return Architecture(FixedType(8, 3), tuple(layers))


def chain(width: int, **more: Any) -> Architecture:
    return Architecture(
        FixedType(8, 3), (dense(16, width, (), **more), dense(width, 10, (), "linear", result=None))
    )


@pytest.fixture(scope="module")
def digits() -> Dataset:
    from hwnas_hls_plugins.tasks.digits import Digits16Task, DigitsConfig

    return Digits16Task(DigitsConfig()).load()


def estimate(
    dataset: Dataset,
    architectures: Sequence[Architecture],
    numbers: Sequence[int],
    keep: Keep = keep_all,
    **config: Any,
) -> list[Estimates]:
    """Estimate the architectures of the given numbers; a candidate's key is its number's."""
    candidates = [Candidate("toy", {"number": number}) for number in numbers]

    def architecture(candidate: Candidate) -> Architecture:
        return architectures[int(candidate.values["number"] or 0)]

    context = Context(architecture, dataset, PART, 5.0, 7, "cpu", keep=keep)
    return TrainingEstimator(TrainingConfig(**{"epochs": 4, **config})).estimate(candidates, context)


def crowd() -> list[Architecture]:
    """Chains and graphs, with everything that training knows."""
    found = []
    for number in range(12):
        more = {
            "normalisation": "batch" if number % 2 else "none",
            "sparsity": 0.5 if number % 3 == 0 else 0.0,
            "dropout": 0.1 if number % 4 == 3 else 0.0,
        }
        found.append((chain if number % 3 == 2 else residual)(8 + number, **more))
    return found


def test_graphs_and_chains_train_in_one_batch_as_they_do_alone(digits: Dataset) -> None:
    architectures = crowd()
    together = estimate(digits, architectures, range(12))
    for number in (0, 1, 2, 3, 7):
        alone = estimate(digits, architectures, [number])[0]
        assert alone.values["accuracy"] == together[number].values["accuracy"], number
        assert alone.design is not None
        assert together[number].design is not None
        assert alone.design.digest() == together[number].design.digest()


def test_keep_is_called_for_graphs_and_chains_together(digits: Dataset) -> None:
    asked: list[tuple[list[int], float]] = []

    def keep(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
        asked.append((list(indices), progress))
        assert all(0 <= score <= 1 for score in scores)
        return [index % 2 == 0 for index in indices]

    found = estimate(digits, crowd(), range(12), keep, epochs=8, rungs=(0.25, 0.5))
    assert asked == [(list(range(12)), 0.25), (list(range(0, 12, 2)), 0.5)]
    assert [bool(one.stopped) for one in found] == [bool(number % 2) for number in range(12)]
    assert all(one.design is not None for one in found)


def test_a_graph_learns_as_well_as_a_chain(digits: Dataset) -> None:
    found = estimate(digits, [residual(24), chain(24)], [0, 1], epochs=30)
    graph, plain = (one.values["accuracy"].value for one in found)
    assert graph > 0.92
    assert graph > plain - 0.03


def test_pruning_leaves_as_many_zeros_as_asked(digits: Dataset) -> None:
    (found,) = estimate(digits, [residual(16, sparsity=0.75)], [0], epochs=10)
    assert found.design is not None
    for number, layer, weight, _ in found.design.weighted():
        if layer.sparsity:
            assert np.count_nonzero(weight) <= 0.25 * weight.size, number
        else:
            assert np.count_nonzero(weight) > 0.5 * weight.size, number


def test_a_chain_with_a_leaky_relu_is_trained_as_a_graph(digits: Dataset) -> None:
    leaky = Architecture(
        FixedType(8, 3), (dense(16, 16, (), "leaky_relu"), dense(16, 10, (), "linear", result=None))
    )
    assert leaky.is_chain
    assert not refusal(leaky)
    (found,) = train([leaky], digits, epochs=15, device="cpu")
    assert found.validation.value > 0.85
    assert found.validation.source == "emulated"


def test_a_softmax_at_the_end_is_left_out_and_a_tanh_refused(digits: Dataset) -> None:
    last = residual(8).layers[-1]
    soft = replace(residual(8), layers=(*residual(8).layers[:-1], replace(last, activation="softmax")))
    (found,) = estimate(digits, [soft], [0])
    assert found.warnings == ("the softmax at the end is omitted: it does not change the class",)
    assert found.design is not None
    assert found.design.architecture.layers[-1].activation == "linear"  # type: ignore[union-attr]
    curved = replace(
        residual(8), layers=(replace(residual(8).layers[0], activation="tanh"), *soft.layers[1:])
    )
    (refused,) = estimate(digits, [curved], [0])
    assert refused.failure_kind is ErrorKind.UNSUPPORTED
    expect_mentioned(refused.failure, ["layer 0", "tanh"])


def test_a_graph_fits_targets(digits: Dataset) -> None:
    data = toy(6, kind="regression")
    layers: list[Layer] = [dense(6, 16, (INPUT,))]
    layers += [
        dense(16, 16, (0,), "leaky_relu"),
        Merge("add", (16, 16), (0, 1)),
        dense(16, 3, (2,), "linear"),
    ]
    (found,) = train([Architecture(FixedType(10, 3), tuple(layers))], data, epochs=60, device="cpu")
    assert found.validation.metric == "r2"
    assert found.validation.value > 0.8
