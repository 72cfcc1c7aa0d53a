"""The supernet in torch. This module imports torch."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls_plugins.estimators.training.adam import averages, step_size
from hwnas_hls_plugins.estimators.training.threads import threads
from hwnas_hls_plugins.estimators.weight_sharing.layout import Layout, Paths, Slices

_SMALLEST = 1e-6


class Supernet:
    """Weights that all networks of a layout share: a network takes the first neurons of each layer.

    Hidden layers are shared by networks of all depths; each depth has its own output layer. Weights are
    latents in units of the initial spread of a network's own training, so the same latent works for
    layers of all widths and precisions. Each network rounds the latents to its types, with
    straight-through gradients, and prunes its slice by magnitude.

    There are two differences from a network's own training: normalisation of each neuron's weights
    replaces batch normalisation, and wrapping results saturate.

    Args:
        layout: size of the supernet.
        seed: seed of the initial weights.
    """

    def __init__(self, layout: Layout, seed: int) -> None:
        self.layout = layout
        rng = np.random.default_rng([seed, 0x5EED])
        wide = (layout.n_in, *layout.widths)
        self.parameters: dict[str, Tensor] = {}
        for number, (n_in, n_out) in enumerate(itertools.pairwise(wide)):
            self._add(f"hidden_{number}", rng.standard_normal((n_out, n_in)).clip(-2.5, 2.5))
            self._add(f"bias_{number}", np.zeros(n_out))
            self._add(f"gain_{number}", np.zeros(n_out))
        for depth, n_in in enumerate(wide):
            self._add(f"head_{depth}", rng.standard_normal((layout.n_out, n_in)).clip(-2.5, 2.5))
            self._add(f"head_bias_{depth}", np.zeros(layout.n_out))
            self._add(f"temperature_{depth}", np.zeros(1))

    def _add(self, name: str, values: NDArray[np.float64]) -> None:
        self.parameters[name] = torch.tensor(values, dtype=torch.float32, requires_grad=True)

    def to_bytes(self) -> bytes:
        data = io.BytesIO()
        arrays = {name: tensor.detach().numpy() for name, tensor in self.parameters.items()}
        np.savez(data, allow_pickle=False, **arrays)
        return data.getvalue()

    @classmethod
    def from_bytes(cls, layout: Layout, data: bytes) -> Supernet:
        net = cls(layout, 0)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            for name, tensor in net.parameters.items():
                with torch.no_grad():
                    tensor.copy_(torch.from_numpy(arrays[name]))
        return net

    def logits(self, group: Group, rows: Tensor) -> Tensor:
        """Outputs of several networks, scaled for the loss.

        Args:
            group: the networks.
            rows: standardised features, (n_in, rows).

        Returns:
            (networks, n_out, rows), in the order of the group.
        """
        steps, least, most = group.inputs
        values = torch.floor(rows[None] * steps + 0.5)
        values = torch.minimum(torch.maximum(values, least), most) / steps
        ends = {0: values}
        for number, cut in enumerate(group.layers):
            gain = self.parameters[f"gain_{number}"]
            values = self._layer(f"hidden_{number}", f"bias_{number}", cut, values[: cut.count], gain)
            ends[number + 1] = values
        found = []
        for depth, here, cut, temperature in group.heads:
            out = self._layer(f"head_{depth}", f"head_bias_{depth}", cut, ends[depth][here], None)
            found.append(out * (temperature * self.parameters[f"temperature_{depth}"].exp()))
        return torch.cat(found)

    def _layer(self, weight: str, bias: str, cut: Cut, values: Tensor, gain: Tensor | None) -> Tensor:
        """One layer of several networks: (networks, n_in, rows) -> (networks, n_out, rows).

        Outputs beyond a network's own width are meaningless; the next layer does not read them.
        """
        latent = self.parameters[weight]
        counted = latent[None] * cut.unit
        if gain is not None and cut.normalised is not None:
            # Clipped before the square root, whose slope at 0 is infinite.
            size = (cut.share @ (latent * latent).t()).clamp_min(_SMALLEST).sqrt()
            factor = torch.where(cut.normalised, gain.exp()[None] / size, torch.ones_like(size))
            counted = counted * factor[:, :, None]
        if cut.pruned:
            counted = counted * cut.kept(latent.detach())
        grid = _on_grid(counted, cut.low, cut.high, 0.5) * cut.bit
        bias_counted = self.parameters[bias][None, :, None] * cut.bias_unit
        biases = _on_grid(bias_counted, cut.bias_low, cut.bias_high, 0.5) * cut.bias_bit
        sums = torch.baddbmm(biases, grid, values)
        return _on_grid(sums * cut.steps, cut.least, cut.most, cut.half) / cut.steps


class Group:
    """Several networks as tensors; see :class:`Paths`."""

    def __init__(self, paths: Paths, layout: Layout) -> None:
        self.order = paths.order
        self.inputs = tuple(
            _column(values) for values in (paths.input_steps, paths.input_least, paths.input_most)
        )
        wide = (layout.n_in, *layout.widths)
        self.layers = [Cut(slices, wide[number]) for number, slices in enumerate(paths.layers)]
        self.heads: list[tuple[int, slice, Cut, Tensor]] = []
        for depth in sorted(set(paths.depths.tolist()), reverse=True):
            places = np.flatnonzero(paths.depths == depth)
            here = slice(int(places[0]), int(places[-1]) + 1)
            some = Slices(**{f.name: getattr(paths.heads, f.name)[here] for f in fields(Slices)})
            self.heads.append((depth, here, Cut(some, wide[depth]), _column(paths.temperature[here])))


class Cut:
    """One layer of several networks as tensors that broadcast over (networks, n_out, n_in or rows)."""

    def __init__(self, slices: Slices, width: int) -> None:
        self.count = len(slices.n_in)
        inside = np.arange(width)[None] < slices.n_in[:, None]
        self.unit = torch.as_tensor(inside * slices.unit[:, None], dtype=torch.float32)[:, None, :]
        # (networks, n_in): one over the number of inputs, for a mean over those inside
        self.share = torch.as_tensor(inside / slices.n_in[:, None], dtype=torch.float32)
        self.normalised = None
        if slices.normalised.any():
            self.normalised = torch.as_tensor(slices.normalised > 0)[:, None]
        self.low, self.high, self.bit = (_column(v) for v in (slices.low, slices.high, slices.bit))
        self.bias_unit, self.bias_bit = _column(slices.bias_unit), _column(slices.bias_bit)
        self.bias_low, self.bias_high = _column(slices.bias_low), _column(slices.bias_high)
        self.steps, self.half = _column(slices.steps), _column(slices.half)
        self.least, self.most = _column(slices.least), _column(slices.most)
        self.pruned = [
            (int(place), int(slices.n_out[place]), int(slices.n_in[place]), float(slices.zeros[place]))
            for place in np.flatnonzero(slices.zeros > 0)
        ]

    def kept(self, latent: Tensor) -> Tensor:
        """1 for weights, 0 for the smallest of each network's own: (networks, n_out, n_in)."""
        mask = torch.ones((self.count, *latent.shape), dtype=latent.dtype)
        sizes = latent.abs()
        for place, n_out, n_in, share in self.pruned:
            own = sizes[:n_out, :n_in]
            zeros = int(share * own.numel())
            if zeros:
                least = torch.kthvalue(own.reshape(-1), zeros).values
                mask[place] = sizes > least
        return mask


def _column(values: NDArray[np.float64]) -> Tensor:
    """(networks,) -> (networks, 1, 1)."""
    return torch.as_tensor(values, dtype=torch.float32)[:, None, None]


class _Grid(torch.autograd.Function):
    """Rounding and clipping; gradients pass through the rounding, but not from outside the bounds."""

    @staticmethod
    def forward(context: Any, counted: Tensor, low: Tensor, high: Tensor, half: Tensor | float) -> Tensor:
        whole = (counted + half).floor_()
        limited = torch.minimum(whole, high)
        torch.maximum(limited, low, out=limited)
        context.save_for_backward(whole.eq_(limited))
        return limited

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = context.saved_tensors
        return gradient * inside, None, None, None


def _on_grid(counted: Tensor, low: Tensor, high: Tensor, half: Tensor | float) -> Tensor:
    found: Tensor = _Grid.apply(counted, low, high, half)  # type: ignore[no-untyped-call]
    return found


def train(
    net: Supernet,
    pool: Sequence[Group],
    features: NDArray[np.float64],
    targets: NDArray[np.float64],
    *,
    classes: bool,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train a supernet in place; each step trains one group of networks on one minibatch.

    Args:
        pool: groups of networks; each step draws one.
        features: standardised, (rows, n_in).
        targets: (rows, n_out): one-hot classes, or standardised values.
        classes: whether targets are classes (cross entropy) or values (squares).
    """
    rng = np.random.default_rng([seed, 0x7EA1])
    rows = torch.as_tensor(np.ascontiguousarray(features.T), dtype=torch.float32)
    wanted = torch.as_tensor(np.ascontiguousarray(targets.T), dtype=torch.float32)
    optimiser = _Adam(list(net.parameters.values()))
    size = min(batch_size, len(features))
    order, at = rng.permutation(len(features)), 0
    with threads(1), torch.enable_grad():
        for step in range(steps):
            if at + size > len(order):
                order, at = rng.permutation(len(features)), 0
            chosen = torch.as_tensor(order[at : at + size])
            at += size
            group = pool[int(rng.integers(len(pool)))]
            answers = net.logits(group, rows[:, chosen])
            truth = wanted[:, chosen]
            if classes:
                loss = -(truth[None] * torch.log_softmax(answers, 1)).sum(1).mean()
            else:
                loss = ((answers - truth[None]) ** 2).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step(learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps)))


class _Adam:
    """Adam (Kingma and Ba, 2015); torch.optim takes seconds to import."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.means = [torch.zeros_like(parameter) for parameter in parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in parameters]
        self.steps = [0] * len(parameters)

    def step(self, rate: float, beta1: float = 0.9, beta2: float = 0.99) -> None:
        """Update all parameters with gradients, and clear the gradients."""
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters):
                gradient = parameter.grad
                if gradient is None:
                    continue
                self.steps[number] += 1
                done = self.steps[number]
                mean, square = self.means[number], self.squares[number]
                averages(mean, square, gradient, beta1, beta2)
                size = step_size(rate, beta1, beta2, done)
                parameter.addcdiv_(mean, square.sqrt().add_(1e-8), value=-size)
                parameter.grad = None


def answers(net: Supernet, paths: Paths, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outputs of the networks for standardised features (rows, n_in): (networks, rows, n_out), in
    the original order; for a regression, in units of the standardised targets."""
    rows = torch.as_tensor(np.ascontiguousarray(features.T), dtype=torch.float32)
    with threads(1), torch.no_grad():
        found = net.logits(Group(paths, net.layout), rows).transpose(1, 2).numpy().astype(np.float64)
    out = np.empty_like(found)
    out[paths.order] = found
    return out
