"""Supernets, one per trade-off, trained in parallel. This module imports torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from hwnas_hls_plugins.strategies.differentiable.relaxation import Relaxation

#: The gradient of a choice of types uses only one of this many neurons (of weights) or rows (of values),
#: with a changing offset, because it needs one rounding per type.
_STRIDE = 4
#: A layer is skipped if no net uses it with more than this probability.
FORGOTTEN = 0.05
#: Share of the gradient that passes through saturated values.
_LEAK = 0.1


class Supernet:
    """Networks as large as the space allows, with a distribution over the options of every site.

    Each forward pass selects one option per site, so the trained network is one of the space, including
    its rounding. The gradient of the distribution is of first order: the change of the loss for each
    other option, at the gradient of the selected one. This gives gradients of masks (widths, depth,
    zeros) and of rounding without mixing options, which would average out the rounding.

    Args:
        relaxation: the relaxed space.
        count: number of independent supernets.
        generator: for the initial weights and all later draws.
    """

    def __init__(self, relaxation: Relaxation, count: int, generator: torch.Generator) -> None:
        self.relaxation, self.count, self.generator = relaxation, count, generator
        self.depth = relaxation.max_depth
        self.tags = [*(str(number) for number in range(1, self.depth + 1)), "out"]
        sites = relaxation.sites
        self.numbers = {name: torch.tensor(site.numbers) for name, site in sites.items()}
        # All sites in one padded tensor: one call then handles all of them.
        self.sizes = {name: len(site.options) for name, site in sites.items()}
        self.logits = torch.zeros(count, len(sites), max(self.sizes.values()), requires_grad=True)
        self.absent = torch.stack(
            [torch.arange(self.logits.shape[2]) >= size for size in self.sizes.values()]
        )
        self.grids = {
            name: Grid(self.numbers[name], self._signed(name)) for name in sites if self._typed(name)
        }
        widths = [int(max(number for (number,) in sites[f"width_{tag}"].numbers)) for tag in self.tags[:-1]]
        # The same width for all hidden layers, so a layer beyond the depth can pass its input through.
        self.width = max(widths)
        sizes = [relaxation.n_in, *[self.width] * self.depth, relaxation.n_out]
        self.weights, self.biases = [], []
        for n_in, n_out in itertools.pairwise(sizes):
            start = torch.randn(count, n_out, n_in, generator=generator) * math.sqrt(2.0 / n_in)
            self.weights.append(start.requires_grad_())
            self.biases.append(torch.zeros(count, n_out, 1, requires_grad=True))
        self.scale = torch.zeros(count, 1, 1, requires_grad=True)
        neurons = torch.arange(self.width)
        self.reach = {
            f"width_{tag}": (neurons < self.numbers[f"width_{tag}"]).float() for tag in self.tags[:-1]
        }
        self.reach["depth"] = (torch.arange(1, self.depth + 1) <= self.numbers["depth"]).float()
        self.thresholds: list[Tensor] = []
        self.rank_weights()
        self.passes = 0

    @staticmethod
    def _typed(name: str) -> bool:
        return name == "input" or name.startswith(("weight_", "activation_"))

    def _signed(self, name: str) -> bool:
        return self.relaxation.signed if name.startswith("activation_") else True

    @property
    def parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases, self.scale]

    def rank_weights(self) -> None:
        """Update the magnitude from which weights are kept, for every sparsity."""
        self.thresholds = []
        for tag, weights in zip(self.tags, self.weights, strict=True):
            sizes = weights.detach().abs().flatten(1)
            shares = self.numbers[f"sparsity_{tag}"][:, 0]
            found = torch.quantile(sizes, shares, dim=1).t()
            self.thresholds.append(torch.where(shares > 0, found, torch.full_like(found, -1.0)))

    def alive(self) -> list[bool]:
        """Per hidden layer, whether any net still uses it with a relevant probability."""
        with torch.no_grad():
            chances = self.chances()["depth"] @ self.reach["depth"]
        return [bool(chance > FORGOTTEN) for chance in chances.amax(0)]

    def chances(self) -> dict[str, Tensor]:
        """site -> (nets, options)."""
        return self._by_site(self._softmax(self.logits))

    def draw(self, temperature: float, *, even: bool = False) -> dict[str, Tensor]:
        """One option per site and net, as (nets, options) of zeros and ones with the gradient of a
        relaxed draw (straight-through Gumbel-softmax: Jang et al., ICLR 2017).

        Args:
            even: draw uniformly, without a gradient.
        """
        uniform = torch.rand(self.logits.shape, generator=self.generator).clamp_(1e-9, 1 - 1e-7)
        noise = -torch.log(-torch.log(uniform))
        soft = self._softmax((noise if even else self.logits + noise) / temperature)
        hard = functional.one_hot(soft.argmax(2), soft.shape[2]).float()
        return self._by_site(hard if even else hard + soft - soft.detach())

    def _softmax(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits.masked_fill(self.absent, -math.inf), 2)

    def _by_site(self, padded: Tensor) -> dict[str, Tensor]:
        return {name: padded[:, place, :size] for place, (name, size) in enumerate(self.sizes.items())}

    def outputs(self, rows: Tensor, chosen: Mapping[str, Tensor]) -> Tensor:
        """The logits of every net, (nets, n_out, rows).

        Args:
            rows: standardised features, (n_in, rows).
            chosen: site -> (nets, options), see :meth:`draw`.
        """
        self.passes += 1

        def rounded(name: str, values: Tensor, dimension: int) -> Tensor:
            probe = (dimension, self.passes // 2)
            found: Tensor = Rounded.apply(values, chosen[name], self.grids[name], probe)  # type: ignore[no-untyped-call]
            return found

        values = rounded("input", rows.expand(self.count, -1, -1), 2)
        gates = chosen["depth"] @ self.reach["depth"]
        alive = self.alive()
        for number, tag in enumerate(self.tags):
            if tag != "out" and not alive[number] and not bool((gates[:, number] > 0).any()):
                continue
            weights = rounded(f"weight_{tag}", self.weights[number], 1)
            weights = Pruned.apply(  # type: ignore[no-untyped-call]
                weights,
                chosen[f"sparsity_{tag}"],
                self.weights[number].detach().abs(),
                self.thresholds[number],
            )
            sums = torch.baddbmm(self.biases[number], weights, values)
            if tag == "out":
                return sums * torch.exp(self.scale)
            if self.relaxation.rectified and self.relaxation.signed:
                sums = functional.relu(sums)  # an unsigned grid has no negative numbers
            results = rounded(f"activation_{tag}", sums, 2)
            results = results * (chosen[f"width_{tag}"] @ self.reach[f"width_{tag}"])[:, :, None]
            if number == 0:
                values = results
            else:
                gate = gates[:, number, None, None]
                values = gate * results + (1 - gate) * values
        raise AssertionError("the last tag is the output layer")


class Grid:
    """The fixed-point types of one site as rounding steps and ranges.

    Args:
        numbers: (options, 2), W and I.
        signed: whether they are signed.
    """

    def __init__(self, numbers: Tensor, signed: bool) -> None:
        width, integer = numbers[:, 0], numbers[:, 1]
        self.step = torch.exp2(integer - width)
        self.high = torch.exp2(width - float(signed)) - 1
        self.low = -torch.exp2(width - 1) if signed else torch.zeros_like(width)


class Rounded(torch.autograd.Function):
    """Values on the grid of the chosen option; straight through to the values, first order to the choice."""

    @staticmethod
    def forward(ctx, values, chosen, grid, probe):  # type: ignore[no-untyped-def]
        place = chosen.argmax(1)
        step, low, high = (ends[place][:, None, None] for ends in (grid.step, grid.low, grid.high))
        counted = values / step
        inside = (counted >= low) & (counted <= high)
        ctx.save_for_backward(values, inside)
        ctx.grid, ctx.probe = grid, probe
        return torch.round(counted).clamp_(low, high).mul_(step)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        values, inside = ctx.saved_tensors
        to_values = torch.where(inside, gradient, _LEAK * gradient) if ctx.needs_input_grad[0] else None
        to_choice = None
        if ctx.needs_input_grad[1]:
            dimension, turn = ctx.probe
            size = values.shape[dimension]
            stride = min(_STRIDE, size)
            probed = torch.arange(turn % stride, size, stride)
            share = size / len(probed)
            values, gradient = (
                values.index_select(dimension, probed),
                gradient.index_select(dimension, probed),
            )
            step, low, high = (
                ends[:, None, None, None] for ends in (ctx.grid.step, ctx.grid.low, ctx.grid.high)
            )
            each = torch.round(values / step).clamp_(low, high).mul_(step)
            to_choice = torch.einsum("nkij,kij->kn", each, gradient) * share
        return to_values, to_choice, None, None


class Pruned(torch.autograd.Function):
    """Weights with the smallest set to zero, by the chosen share; first order to the choice."""

    @staticmethod
    def forward(ctx, weights, chosen, sizes, thresholds):  # type: ignore[no-untyped-def]
        kept = sizes >= thresholds.gather(1, chosen.argmax(1)[:, None])[:, :, None]
        ctx.save_for_backward(weights, kept, sizes, thresholds)
        return weights * kept

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        weights, kept, sizes, thresholds = ctx.saved_tensors
        to_choice = None
        if ctx.needs_input_grad[1]:
            gain = gradient * weights
            to_choice = torch.stack(
                [(gain * (sizes >= level[:, None, None])).sum((1, 2)) for level in thresholds.t()], 1
            )
        return gradient * kept, to_choice, None, None
