"""The zero-cost proxies: functions of an untrained network and a few training rows.

Sources: synflow, H. Tanaka et al., NeurIPS 2020; snip, N. Lee et al., ICLR 2019; gradient norm and
the use of all three for whole networks, M. S. Abdelfattah et al., ICLR 2021; Jacobian covariance,
J. Mellor et al., ICML 2021 (first version); condition of the neural tangent kernel, W. Chen et al.,
ICLR 2021; linear regions along a line, B. Hanin and D. Rolnick, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.values.estimate import Metric
from hwnas_hls_plugins.estimators.zero_cost.probe import Matrix, Pass, Probe

_SMALLEST = 1e-12
#: Points per line between two rows, and number of lines; regions shorter than a step are missed.
_POINTS = 32
_WAYS = 16
#: Offset that prevents almost constant directions from dominating the Jacobian covariance.
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class Question:
    """The inputs of the proxies.

    Args:
        probe: the network.
        rows: standardised features, (rows, n_in).
        targets: (rows, n_out): one-hot classes, or standardised values.
        classes: whether the targets are classes.
        done: what the network computes of the rows.
    """

    probe: Probe
    rows: Matrix
    targets: Matrix
    classes: bool
    done: Pass

    @cached_property
    def loss_gradients(self) -> list[Matrix]:
        """Gradient of the mean loss (cross entropy or half the squares) by each weight matrix."""
        logits = self.done.logits
        if self.classes:
            grown = np.exp(logits - logits.max(axis=1, keepdims=True))
            error = grown / grown.sum(axis=1, keepdims=True) - self.targets
        else:
            error = logits - self.targets
        at_sums = self.probe.backward(self.done, error / len(logits))[:-1]
        return [x.T @ delta for x, delta in zip(self.done.inputs, at_sums, strict=True)]


def synflow(question: Question) -> float:
    """Logarithm of the flow through the network: the product of its absolute weight matrices."""
    flow = np.ones(question.rows.shape[1])
    logarithm = 0.0
    for raw in question.probe.weights:
        flow = flow @ np.abs(raw)
        total = float(flow.sum())
        if total <= 0:
            return float(np.log(_SMALLEST))
        # Deep products would overflow, so the scale is kept separately.
        logarithm += float(np.log(total))
        flow = flow / total
    # The sum of weight times gradient of every layer is the same flow.
    return logarithm + float(np.log(len(question.probe.weights)))


def snip(question: Question) -> float:
    """Logarithm of the sum of |weight x gradient of the loss|."""
    pairs = zip(question.probe.weights, question.loss_gradients, strict=True)
    return _logarithm(sum(float(np.abs(weight * gradient).sum()) for weight, gradient in pairs))


def grad_norm(question: Question) -> float:
    """Logarithm of the summed norms of the layers' gradients of the loss."""
    return _logarithm(sum(float(np.linalg.norm(gradient)) for gradient in question.loss_gradients))


def jacob_cov(question: Question) -> float:
    """How differently the network responds to changes of each row: minus the mean of
    log(v + k) + 1 / (v + k) over the eigenvalues v of the correlation matrix of the rows' Jacobians, for
    as many eigenvalues as the inputs allow."""
    jacobian = question.probe.backward(question.done, np.ones_like(question.done.logits))[-1]
    centred = jacobian - jacobian.mean(axis=1, keepdims=True)
    size = np.linalg.norm(centred, axis=1, keepdims=True)
    if np.any(size < _SMALLEST):
        centred = np.where(size < _SMALLEST, 1.0, centred)
        size = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / size
    possible = max(1, min(unit.shape[0], unit.shape[1] - 1))
    eigenvalues = np.maximum(np.linalg.eigvalsh(unit @ unit.T)[-possible:], 0.0) + _RIDGE
    return -float(np.mean(np.log(eigenvalues) + 1.0 / eigenvalues))


def ntk_condition(question: Question) -> float:
    """Logarithm of the largest by the smallest eigenvalue of the neural tangent kernel of the rows."""
    logits = question.done.logits
    kernel = np.zeros((len(logits), len(logits)))
    similar = [x @ x.T + 1.0 for x in question.done.inputs]
    for output in range(logits.shape[1]):
        only = np.zeros_like(logits)
        only[:, output] = 1.0
        deltas = question.probe.backward(question.done, only)[:-1]
        kernel += sum(d @ d.T * s for d, s in zip(deltas, similar, strict=True))
    eigenvalues = np.linalg.eigvalsh(kernel)
    largest = max(float(eigenvalues[-1]), _SMALLEST)
    return float(np.log(largest / max(float(eigenvalues[0]), 1e-9 * largest)))


def linear_regions(question: Question) -> float:
    """Logarithm of the mean number of linear regions on the line between two rows."""
    begins, ends = question.rows[:-1][:_WAYS], question.rows[1:][:_WAYS]
    share = np.linspace(0.0, 1.0, _POINTS)[None, :, None]
    way = begins[:, None, :] * (1.0 - share) + ends[:, None, :] * share
    states = question.probe.forward(way.reshape(-1, way.shape[2])).states
    crossings = 0.0
    for state in states[:-1]:
        along: NDArray[np.int8] = state.reshape(len(begins), _POINTS, -1)
        crossings += float(np.mean(np.sum(along[:, 1:] != along[:, :-1], axis=(1, 2))))
    return float(np.log1p(crossings))


def _logarithm(value: float) -> float:
    return float(np.log(max(value, _SMALLEST)))


SCORES: dict[str, Callable[[Question], float]] = {
    score.__name__: score for score in (synflow, snip, grad_norm, jacob_cov, ntk_condition, linear_regions)
}
#: The scales cover networks of a few to some thousand neurons.
METRICS = {
    metric.name: metric
    for metric in (
        Metric("synflow", "max", "synflow (logarithm)", "", 25.0, 0.0),
        Metric("snip", "max", "snip (logarithm)", "", 5.0, -5.0),
        Metric("grad_norm", "max", "gradient norm (logarithm)", "", 5.0, -5.0),
        Metric("jacob_cov", "max", "Jacobian covariance", "", 0.0, -200.0),
        Metric("ntk_condition", "min", "condition of the NTK (logarithm)", "", 0.0, 21.0),
        Metric("linear_regions", "max", "linear regions on a line (logarithm)", "", 10.0, 0.0),
    )
}
