"""Twenty deterministic networks of varied shape, width and sparsity, with random or trained weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType


@dataclass(frozen=True, slots=True)
class Network:
    """One row of the table.

    Args:
        shape: layer widths.
        weight_bits, activation_bits: total widths; inputs have the activation's.
        sparsity: share of weights set to zero, the smallest first.
        trained: weights of scikit-learn's MLPClassifier (digits for 64 inputs, else a synthetic
            task), rounded to the grid; otherwise normal random ones.
        modes: of the hidden layers' results.
    """

    shape: tuple[int, ...]
    weight_bits: int
    activation_bits: int
    sparsity: float
    trained: bool
    modes: str = "RND,SAT"
    bias: bool = True

    @property
    def name(self) -> str:
        text = "-".join(str(width) for width in self.shape)
        return f"{text} w{self.weight_bits}a{self.activation_bits} {self.sparsity:.0%}"


JETS, DIGITS, QUBIT = (16, 64, 32, 32, 5), (64, 32, 32, 10), (28, 8, 2)
NETWORKS = (
    Network(QUBIT, 2, 4, 0.0, False),
    Network(QUBIT, 4, 6, 0.5, True),
    Network(QUBIT, 6, 8, 0.0, True),
    Network(QUBIT, 8, 8, 0.0, False),
    Network(QUBIT, 8, 8, 0.8, True),
    Network(QUBIT, 6, 6, 0.3, True, "TRN,WRAP"),
    Network(QUBIT, 3, 8, 0.0, False, bias=False),
    Network(JETS, 2, 3, 0.0, False),
    Network(JETS, 3, 4, 0.5, True),
    Network(JETS, 4, 4, 0.8, True),
    Network(JETS, 4, 6, 0.6, False, "TRN,SAT"),
    Network(JETS, 5, 6, 0.7, True),
    Network(JETS, 6, 6, 0.8, True),
    Network(JETS, 8, 8, 0.8, True),
    Network(JETS, 6, 6, 0.5, False),
    Network(DIGITS, 2, 4, 0.3, True),
    Network(DIGITS, 3, 3, 0.8, True),
    Network(DIGITS, 4, 5, 0.7, True),
    Network(DIGITS, 6, 6, 0.8, True),
    Network(DIGITS, 4, 4, 0.4, False, bias=False),
)


def design_of(network: Network) -> Design:
    """Post-training quantisation of the network's real weights; strategy distributed arithmetic."""
    weights, biases, inputs = _trained(network) if network.trained else _random(network)
    source = FixedType(network.activation_bits, 3)
    layers, integers, offsets = [], [], []
    values = inputs
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        last = number == len(weights) - 1
        weight = np.where(np.abs(weight) >= np.quantile(np.abs(weight), network.sparsity), weight, 0.0)
        kind = FixedType(network.weight_bits, _integer_bits(np.abs(weight)) + 1, True, "RND", "SAT")
        wide = FixedType(network.weight_bits + 3, kind.integer + 1, True, "RND", "SAT")
        values = values @ weight + bias
        result = None
        if not last:
            values = np.maximum(values, 0)
            text = f"ufixed<{network.activation_bits},{_integer_bits(values)},{network.modes}>"
            result = FixedType.parse(text)
        layers.append(
            Dense(
                *weight.shape,
                "linear" if last else "relu",
                kind,
                wide if network.bias else None,
                None,
                result,
                strategy="distributed_arithmetic",
                sparsity=network.sparsity,
            )
        )
        integers.append(kind.integers(weight))
        offsets.append(wide.integers(bias) if network.bias else None)
    return Design(Architecture(source, tuple(layers), 5.0), tuple(integers), tuple(offsets))


def _integer_bits(values: NDArray[np.float64]) -> int:
    """Integer bits (no sign) that hold all but the largest thousandth."""
    return math.ceil(math.log2(max(float(np.quantile(values, 0.999)), 1e-3)))


def _random(
    network: Network,
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], NDArray[np.float64]]:
    rng = np.random.default_rng([network.weight_bits, *network.shape])
    pairs = list(zip(network.shape, network.shape[1:], strict=False))
    weights = [rng.normal(0, math.sqrt(2 / n_in), (n_in, n_out)) for n_in, n_out in pairs]
    return (
        weights,
        [rng.normal(0, 0.1, n_out) for _, n_out in pairs],
        rng.normal(size=(2000, network.shape[0])),
    )


def _trained(
    network: Network,
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], NDArray[np.float64]]:
    import warnings

    from sklearn.datasets import load_digits, make_classification
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import scale

    n_in, *hidden, n_out = network.shape
    if network.shape == DIGITS:
        features, labels = load_digits(return_X_y=True)
    else:
        features, labels = make_classification(
            2000, n_in, n_informative=n_in // 2, n_classes=n_out, random_state=network.weight_bits
        )
    features = scale(features)
    model = MLPClassifier(hidden, max_iter=40, random_state=network.weight_bits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    weights, biases = list(model.coefs_), list(model.intercepts_)
    if n_out == 2:  # one logit: give the second class its mirror
        weights[-1], biases[-1] = np.hstack([-weights[-1], weights[-1]]), np.hstack([-biases[-1], biases[-1]])
    return weights, biases, features
