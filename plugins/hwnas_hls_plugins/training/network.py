"""Many small networks as one: shared buffers, few calls, a backward pass written by hand.

Activations of one depth (counted from the output) of all networks stand one below the other in
one matrix, features x rows, with nothing between them: there is no padding. Every elementwise
operation covers them all in one call; matrix products are one call for each run of neighbours
of equal shape. Buffers are made once and every call writes into them.

A network's numbers depend on nothing but itself: the same products in the same order, whatever
stands beside it. Loaded only when something is trained, hence torch at the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls_plugins.training.level import Inner, Level, Run
from hwnas_hls_plugins.training.member import Member
from hwnas_hls_plugins.training.normalisation import REACH, Normalisation
from hwnas_hls_plugins.training.plan import LayerPlan
from hwnas_hls_plugins.training.quantiser import limited, lossy_sum, on_grid, rounded

_CONSTANTS = ("unit", "low", "high", "factor", "offset", "floor", "ceiling")
#: How hard sums beyond a type that wraps are pushed back, relative to the mean gradient.
_PUSH = 4.0
#: Batch normalisation at the start: weights are rounded, so their statistics take a few rounds.
_CALIBRATIONS = 4
#: A gradient's average below this is zero.
_NOTHING = 1e-30


class Network:
    """A group of networks in training.

    Args:
        members: started or resumed; kept in the order of ``Plan.order``.
        rows: batch rows.
        n_out: outputs, the same for all.
        dtype, device: of every tensor.
    """

    def __init__(
        self, members: Sequence[Member], rows: int, n_out: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.members = sorted(members, key=lambda member: member.plan.order)
        self.rows, self.n_out, self.dtype, self.device = rows, n_out, dtype, device
        plans = [member.plan for member in self.members]
        self.fast = all(plan.fast for plan in plans)
        self.normalised = any(plan.normalised for plan in plans)
        self.depth = len(plans[0].layers)
        #: how many members reach each level; they are the first ones, for the deepest come first
        self.reach = [sum(len(plan.layers) > k for plan in plans) for k in range(self.depth)]
        self.latent: Tensor
        self.mean: Tensor
        self.square: Tensor
        self._lay_out()
        self._make_levels()
        self.temperature = self._tensor([plan.temperature for plan in plans]).reshape(-1, 1, 1)
        self.answers = torch.empty_like(self.logits)
        self.inputs: Mapping[int, int] = {}
        self.quantise()

    # Layout of the trained numbers

    def _tensor(self, data: object) -> Tensor:
        return torch.as_tensor(data, dtype=self.dtype, device=self.device)

    def _zeros(self, shape: tuple[int, int]) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def _lay_out(self) -> None:
        """Pieces of all members in one vector: weights by level, then what is not a weight."""
        pieces: list[tuple[int, int]] = []  # (member, piece)
        for k in range(self.depth):
            pieces += [(j, k) for j in range(self.reach[k])]
        if self.normalised:
            for k in range(self.depth):
                depths = [len(member.levels) for member in self.members[: self.reach[k]]]
                pieces += [(j, depth + 2 * k) for j, depth in enumerate(depths)]
                pieces += [(j, depth + 2 * k + 1) for j, depth in enumerate(depths)]
        pieces += [(j, len(member.latent) - 1) for j, member in enumerate(self.members)]
        self.places: dict[tuple[int, int], tuple[int, int]] = {}
        at = 0
        for j, piece in pieces:
            size = self.members[j].latent[piece].numel()
            self.places[j, piece] = (at, at + size)
            at += size
        for name in ("latent", "mean", "square"):
            parts = [getattr(self.members[j], name)[piece] for j, piece in pieces]
            setattr(self, name, torch.cat(parts).to(self.device))
        self.gradient, self.scratch = torch.zeros_like(self.latent), torch.empty_like(self.latent)
        blocks = [
            self.members[j].levels[k].block(np.zeros((layer.rows, layer.cols)), fast=self.fast)
            for k in range(self.depth)
            for j in range(self.reach[k])
            for layer in [self.members[j].levels[k]]
        ]
        flat = {
            name: self._tensor(np.concatenate([block[name].reshape(-1) for block in blocks]))
            for name in _CONSTANTS
        }
        self.unit, self.low, self.high = flat["unit"], flat["low"], flat["high"]
        self.factor, self.offset = flat["factor"], flat["offset"]
        self.n_weights = self.unit.numel()
        extra = self.latent.numel() - self.n_weights
        self.floor = torch.cat([flat["floor"], self._tensor(np.full(extra, -np.inf))])
        self.ceiling = torch.cat([flat["ceiling"], self._tensor(np.full(extra, np.inf))])
        self.integers, self.weights = torch.empty_like(self.unit), torch.empty_like(self.unit)
        self.kept_factor = torch.empty_like(self.factor)
        self.refresh_kept()

    def refresh_kept(self) -> None:
        """Take up the members' pruning masks."""
        kept = [self.members[j].kept[k].reshape(-1) for k in range(self.depth) for j in range(self.reach[k])]
        torch.mul(self.factor, torch.cat(kept).to(self.device), out=self.kept_factor)

    def save_members(self) -> list[Member]:
        """Write what was trained back into the members and return them."""
        for j, member in enumerate(self.members):
            for piece in range(len(member.latent)):
                place = slice(*self.places[j, piece])
                for name in ("latent", "mean", "square"):
                    getattr(member, name)[piece] = getattr(self, name)[place].cpu().clone()
            for k, _ in enumerate(member.running):
                level = self.levels[k]
                if level.norm is not None:
                    member.running[k] = level.norm.running[level.slice(j)].cpu().clone()
        return self.members

    # Levels

    def _make_levels(self) -> None:
        self.levels: list[Level] = []
        heights = [
            sum(member.levels[k].rows for member in self.members[: self.reach[k]]) for k in range(self.depth)
        ]
        self.gradients = self._zeros((sum(heights), self.rows))
        self.bias_gradients = self._tensor(np.zeros(sum(heights)))
        slabs = torch.split(self.gradients, heights)
        bias_places = []
        for k in range(self.depth):
            layers = [member.levels[k] for member in self.members[: self.reach[k]]]
            starts = np.cumsum([0, *(layer.rows for layer in layers)])
            shape = (int(starts[-1]), self.rows)
            limits = [layer.limits if self.fast else (-np.inf, np.inf) for layer in layers]
            rows = [layer.rows for layer in layers]
            first, last = self.places[0, k][0], self.places[self.reach[k] - 1, k][1]
            level = Level(
                layers,
                [int(start) for start in starts],
                sums=self._zeros(shape),
                values=self._zeros(shape),
                mask=self._zeros(shape),
                gradient=slabs[k],
                low=self._tensor(np.repeat([low for low, _ in limits], rows)[:, None]),
                high=self._tensor(np.repeat([high for _, high in limits], rows)[:, None]),
                bounded=not self.fast or any(np.isfinite(limit) for pair in limits for limit in pair),
                rectified=self._tensor(np.repeat([layer.rectified for layer in layers], rows)[:, None]),
                span=(first, last),
            )
            if not level.bounded:
                level.values = level.sums
            for j, layer in enumerate(layers):
                if not layer.last and self.fast:
                    # The constant 1 for the next layer's biases passes every type.
                    level.low[level.starts[j] + layer.rows - 1] = 1.0
                    level.high[level.starts[j] + layer.rows - 1] = 1.0
            if any(layer.layer.dropout > 0 for layer in layers):
                level.dropout = torch.ones(shape, dtype=self.dtype, device=self.device)
            if any(
                layer.layer.result is not None and layer.layer.result.overflow == "WRAP" for layer in layers
            ):
                level.push = None if self.fast else self._zeros(shape)
            if any(layer.normalised for layer in layers):
                level.norm = self._norm(k, level, shape)
            elif self.fast:
                level.mask = level.sums
            self.levels.append(level)
            bias_places.append(self._bias_places(k, layers))
        self.bias_places = torch.as_tensor(np.concatenate(bias_places), device=self.device)
        for k in range(self.depth):
            self._make_runs(k)
        self.logits = self.levels[0].values.view(len(self.members), self.n_out, self.rows)
        self.logit_gradient = self.levels[0].gradient.view(len(self.members), self.n_out, self.rows)
        self.log_temperature = self.latent[-len(self.members) :]
        self.log_temperature_gradient = self.gradient[-len(self.members) :]

    def _norm(self, k: int, level: Level, shape: tuple[int, int]) -> Normalisation:
        layers = level.layers
        rows = [layer.rows for layer in layers]
        features = [level.starts[j] + np.arange(layer.layer.n_out) for j, layer in enumerate(layers)]
        active = np.zeros(shape[0], bool)
        for j, layer in enumerate(layers):
            if layer.normalised:
                active[features[j]] = True
        bias_fraction = [0 if layer.layer.bias is None else layer.layer.bias.fraction for layer in layers]
        start = level.span[0]
        row_of = [
            np.repeat(level.starts[j] + np.arange(layer.rows), layer.cols) for j, layer in enumerate(layers)
        ]
        bias_at = self._bias_places(k, layers) - start
        depths = [len(member.levels) for member in self.members]
        final = self.reach[k] - 1

        def piece(vector: Tensor, which: int) -> Tensor:
            begin = self.places[0, depths[0] + 2 * k + which][0]
            end = self.places[final, depths[final] + 2 * k + which][1]
            return vector[begin:end][:, None]

        def column(values: list[float]) -> Tensor:
            return self._tensor(np.repeat(values, rows)[:, None])

        running = torch.cat([member.running[k] for member in self.members[: self.reach[k]]])
        # A gain that crosses zero would turn its weights over.
        piece(self.floor, 0).fill_(0.05)
        return Normalisation(
            active=self._tensor(active[:, None]),
            scratch=self._zeros(shape),
            scale=column([layer.scale for layer in layers]),
            unit=column([layer.scale * 2.0**layer.out_fraction for layer in layers]),
            bias_unit=column([2.0**fraction for fraction in bias_fraction]),
            bias_at=torch.as_tensor(bias_at, device=self.device)[torch.as_tensor(active, device=self.device)],
            row_of=torch.as_tensor(np.concatenate(row_of), device=self.device),
            reach=column(
                [REACH * max(layer.layer.weight.highest, 1) * layer.layer.n_in**0.5 for layer in layers]
            ),
            running=running.to(self.device),
            gain=piece(self.latent, 0),
            shift=piece(self.latent, 1),
            gain_gradient=piece(self.gradient, 0),
            shift_gradient=piece(self.gradient, 1),
        )

    def _bias_places(self, k: int, layers: list[LayerPlan]) -> NDArray[np.int64]:
        """Where the biases of a level stand among the trained numbers, one a feature."""
        return np.concatenate(
            [
                self.places[j, k][0] + np.arange(layer.rows) * layer.cols + layer.cols - 1
                for j, layer in enumerate(layers)
            ]
        )

    def _make_runs(self, k: int) -> None:
        level = self.levels[k]
        start = 0
        while start < self.reach[k]:
            stop = start + 1
            while stop < self.reach[k] and self._alike(k, start, stop):
                stop += 1
            level.runs.append(self._run(k, start, stop))
            start = stop

    def _alike(self, k: int, a: int, b: int) -> bool:
        first, second = self.members[a], self.members[b]
        is_first = len(first.levels) == k + 1
        if is_first != (len(second.levels) == k + 1):
            return False
        if is_first:
            return first.source == second.source
        shape = [(member.levels[k].rows, member.levels[k].cols) for member in (first, second)]
        return shape[0] == shape[1]

    def _run(self, k: int, start: int, stop: int) -> Run:
        level = self.levels[k]
        member, layer = self.members[start], level.layers[start]
        place = slice(self.places[start, k][0], self.places[stop - 1, k][1])
        outputs = slice(level.starts[start], level.starts[stop])
        if len(member.levels) == k + 1:
            weights, weight_gradient = (
                vector[place].view(-1, layer.cols) for vector in (self.weights, self.gradient)
            )
            sums, gradient = level.sums[outputs], level.gradient[outputs]
            return Run(member.source, weights, weight_gradient[:, :-1], sums, gradient)
        count = stop - start
        before = self.levels[k + 1]
        inputs = slice(before.starts[start], before.starts[stop])
        weights, weight_gradient = (
            vector[place].view(count, layer.rows, layer.cols) for vector in (self.weights, self.gradient)
        )
        sums, gradient = (
            slab[outputs].view(count, layer.rows, self.rows) for slab in (level.sums, level.gradient)
        )
        values, values_gradient = (
            slab[inputs].view(count, layer.cols, self.rows) for slab in (before.values, before.gradient)
        )
        width = layer.layer.n_out
        return Run(
            member.source,
            weights,
            weight_gradient[:, :width, :-1],
            sums,
            gradient[:, :width],
            Inner(
                values,
                values[:, :-1].transpose(1, 2),
                weights.transpose(1, 2),
                gradient,
                values_gradient,
            ),
        )

    def number_sources(self, numbers: Mapping[int, int]) -> None:
        """Which of the input copies handed to forward and backward each network reads."""
        self.inputs = numbers
        for level in self.levels:
            for run in level.runs:
                run.input = numbers[run.source]

    # One step

    def quantise(self) -> None:
        """Latents -> integers on the weights' grids -> the numbers that forward multiplies with."""
        latent = self.latent[: self.n_weights]
        torch.mul(latent, self.unit, out=self.integers)
        if self.normalised:
            for level in self.levels:
                if level.norm is not None:
                    level.norm.fold(self.integers[slice(*level.span)])
        self.integers.add_(0.5).floor_()
        torch.maximum(self.integers, self.low, out=self.integers)
        torch.minimum(self.integers, self.high, out=self.integers)
        torch.addcmul(self.offset, self.integers, self.kept_factor, out=self.weights)

    def forward(self, inputs: Sequence[Tensor], *, training: bool = False, momentum: float = 0.0) -> None:
        """Run one batch: ``inputs`` holds one (n_in + 1, rows) matrix a quantised copy.

        Args:
            training: drop out what is to be dropped.
            momentum: share of this batch in the running statistics; 0 leaves them alone.
        """
        for k in range(self.depth - 1, -1, -1):
            level = self.levels[k]
            self._multiply(level, inputs)
            if momentum > 0 and level.norm is not None:
                level.norm.measure(level.sums, self._counted(level), momentum)
            self._activate(k, level, inputs)
            if training and level.dropout is not None:
                self._drop(level)

    def _activate(self, k: int, level: Level, inputs: Sequence[Tensor]) -> None:
        """Sums -> values of the level, and where the gradient passes."""
        if not self.fast:
            for j in range(self.reach[k]):
                self._activate_exactly(k, j, level, inputs)
        elif level.bounded:
            # Without bounds the values are the sums themselves.
            torch.minimum(level.sums, level.high, out=level.values)
            torch.maximum(level.values, level.low, out=level.values)
            torch.eq(level.sums, level.values, out=level.mask)
            level.values.floor_()

    def _activate_exactly(self, k: int, j: int, level: Level, inputs: Sequence[Tensor]) -> None:
        """One network's layer with any rounding, overflow and accumulator."""
        plan = level.layers[j]
        layer, here = plan.layer, level.slice(j)
        raw, values = level.sums[here][: layer.n_out], level.values[here][: layer.n_out]
        if layer.accum is not None:
            step = 2.0 ** (plan.out_fraction - layer.accum.fraction)
            weights, inner, bias = self._operands(k, j, inputs)
            cast = on_grid(bias / step, layer.accum) * step
            if layer.accum.fraction < plan.product_fraction:
                raw = lossy_sum(weights, inner, cast, step, layer.accum)
            elif bool((cast != bias).any()):
                raw = raw + (cast - bias)[:, None]
            raw = on_grid(raw / step, layer.accum) * step
        passed = torch.clamp_min(raw, 0.0) if plan.rectified else raw
        kind = layer.result
        if kind is None:
            values.copy_(passed)
        else:
            values.copy_(limited(rounded(passed, kind.rounding), kind))
            if kind.overflow == "WRAP" and level.push is not None:
                excess = passed - torch.clamp(passed, float(kind.lowest), kind.highest + 1.0)
                level.push[here][: layer.n_out] = excess / (kind.highest + 1.0)
        inside = torch.ones_like(raw)
        if kind is not None and kind.overflow != "WRAP":
            inside = ((passed >= kind.lowest - 0.5) & (passed <= kind.highest + 0.5)).to(self.dtype)
        if plan.rectified:
            inside = inside * (raw > 0)
        level.mask[here][: layer.n_out] = inside
        if not plan.last:
            level.values[here][-1] = 1.0

    def _operands(self, k: int, j: int, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, inputs and biases of one layer of one network."""
        member, plan = self.members[j], self.levels[k].layers[j]
        block = self.weights[slice(*self.places[j, k])].view(plan.rows, plan.cols)[: plan.layer.n_out]
        if len(member.levels) == k + 1:
            values = inputs[self.inputs[member.source]]
        else:
            before = self.levels[k + 1]
            values = before.values[before.slice(j)]
        return block[:, :-1], values[:-1], block[:, -1]

    def _drop(self, level: Level) -> None:
        if level.dropout is None:
            return
        for j, plan in enumerate(level.layers):
            share = plan.layer.dropout
            if share > 0:
                shape = (plan.layer.n_out, self.rows)
                draws = torch.rand(shape, generator=self.members[j].generator, dtype=self.dtype)
                mask = (draws >= share).to(self.dtype) / (1 - share)
                level.dropout[level.slice(j)][: plan.layer.n_out] = mask.to(self.device)
        level.values.mul_(level.dropout)

    def lose(self, targets: Tensor, *, classes: bool) -> None:
        """Gradient of the loss at the outputs, up to a factor a network (Adam sees none).

        Args:
            targets: (n_out, rows): one-hot classes (cross entropy) or standardised values (squares).
        """
        if classes:
            # Through double precision, as in Normalisation.measure: the same bits at any place.
            grown = self.log_temperature.double().exp().to(self.dtype)
            scale = self.temperature * grown[:, None, None]
            torch.mul(self.logits, scale, out=self.answers)
            torch.sub(torch.softmax(self.answers, 1), targets, out=self.logit_gradient)
            self.answers.mul_(self.logit_gradient)
            torch.sum(self.answers, (1, 2), out=self.log_temperature_gradient)
        else:
            torch.mul(self.logits, self.temperature, out=self.answers)
            torch.sub(self.answers, targets, out=self.logit_gradient)

    def backward(self, inputs: Sequence[Tensor], leak: float = 0.0) -> None:
        """Gradients of all trained numbers, straight through every rounding.

        ``leak`` is the share of the gradient that passes where a sum is out of bounds: without it
        a neuron that is never in them stays dead.
        """
        for level in self.levels:
            if level.dropout is not None:
                level.gradient.mul_(level.dropout)
            if level.bounded:
                if leak > 0:
                    level.mask.mul_(1 - leak).add_(leak)
                level.gradient.mul_(level.mask)
            if level.push is not None:
                self._push_back(level, level.push)
            if level.norm is not None:
                level.norm.backward(level.gradient, level.sums)
            for run in level.runs:
                if run.inner is None:
                    torch.mm(run.gradient, inputs[run.input][:-1].t(), out=run.weight_gradient)
                else:
                    torch.bmm(run.gradient, run.inner.turned_values, out=run.weight_gradient)
                    torch.bmm(run.inner.turned_weights, run.inner.all_gradient, out=run.inner.values_gradient)
        # Biases multiply a constant 1: their gradients are sums. (As a column of the product they would
        # make its sides odd, which costs the matrix library up to half as much again.)
        torch.sum(self.gradients, 1, out=self.bias_gradients)
        self.gradient.index_copy_(0, self.bias_places, self.bias_gradients)

    def _push_back(self, level: Level, push: Tensor) -> None:
        """Sums that wrapped around have no useful gradient; drive them back into their type."""
        for j in range(len(level.layers)):
            here = level.slice(j)
            size = level.gradient[here].abs().mean()
            level.gradient[here] += push[here] * (_PUSH * size)

    def calibrate(self, inputs: Sequence[Tensor]) -> None:
        """Start batch normalisation from the statistics of one batch, level by level."""
        for k in range(self.depth - 1, -1, -1):
            level = self.levels[k]
            if level.norm is not None:
                for _ in range(_CALIBRATIONS):
                    self._multiply(level, inputs)
                    level.norm.measure(level.sums, self._counted(level), 1.0)
                    self.quantise()
            self._multiply(level, inputs)
            self._activate(k, level, inputs)

    def _counted(self, level: Level) -> Tensor:
        """Weights of a level in their least significant bits, neither folded nor rounded."""
        span = slice(*level.span)
        return self.latent[span] * self.unit[span]

    def _multiply(self, level: Level, inputs: Sequence[Tensor]) -> None:
        for run in level.runs:
            if run.inner is None:
                torch.mm(run.weights, inputs[run.input], out=run.sums)
            else:
                torch.bmm(run.weights, run.inner.values, out=run.sums)

    def update(self, rate: float, beta1: float, beta2: float, decay: float, step: int) -> None:
        """One step of AdamW (Loshchilov and Hutter, 2019), then latents back inside their grids."""
        gradient = self.gradient
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        torch.sqrt(self.square, out=self.scratch)
        # Far below any gradient that matters: Adam's step must not depend on a gradient's unit.
        self.scratch.add_(1e-12)
        size = rate * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
        if decay > 0:
            self.latent[: self.n_weights].mul_(1 - rate * decay)
        self.latent.addcdiv_(self.mean, self.scratch, value=-size)
        torch.maximum(self.latent, self.floor, out=self.latent)
        torch.minimum(self.latent, self.ceiling, out=self.latent)
        self.quantise()

    def settle(self) -> None:
        """Averages of gradients that have long been zero fade into denormal numbers, which are slow."""
        for average in (self.mean, self.square):
            average.masked_fill_(average.abs() < _NOTHING, 0.0)

    # What comes out

    def exported(self, j: int) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """(weights, biases) of member ``j`` from input to output, int64, as forward used them."""
        weights, biases = [], []
        member = self.members[j]
        for k in range(len(member.levels) - 1, -1, -1):
            plan = member.levels[k]
            whole = self.integers[slice(*self.places[j, k])].view(plan.rows, plan.cols).cpu()
            block = (whole * member.kept[k])[: plan.layer.n_out].numpy().astype(np.int64)
            weights.append(np.ascontiguousarray(block[:, :-1].T))
            biases.append(block[:, -1].copy())
        return weights, biases
