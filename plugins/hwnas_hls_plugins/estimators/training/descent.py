"""Networks that lose hardware while they train: the least salient signed digits, a few a round.

Loaded only to train, hence torch at the top.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.digits import UNLIMITED, count_digits, keep_digits
from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What could be taken from one layer: one digit of each weight, or a bias.

    Args:
        fewer: digits that each would have left.
        saved: adder bits that this saves; 0 where there is nothing to take.
        harm: rise of the loss, up to a factor of the network.
    """

    fewer: Tensor
    saved: Tensor
    harm: Tensor


def adder_bits(plan: Plan) -> list[float]:
    """Width of the adder that a digit of each layer's weights takes, in bits (about one LUT each)."""
    return [source.width + 1.0 for source, _ in plan.architecture.layer_inputs()]


def take(layout: Layout, j: int, target: float, *, cap: bool = True) -> float:
    """Take the least salient digits of member ``j`` until ``target`` adder bits are left; returns them.

    Saliency is Adam's average of the squared gradient times the squared change of the weight: the
    diagonal of the empirical Fisher matrix (as in optimal brain damage, LeCun et al., 1990).
    """
    member = layout.members[j]
    blocks = [_block(layout, j, k) for k in range(len(member.levels))]
    live = [_alive(layout, j, k, blocks) for k in range(len(member.levels))]
    choices, total, prices = [], 0.0, adder_bits(member.plan)[::-1]
    for k, plan in enumerate(member.levels):
        choice, bits = _choice(layout, j, k, prices[k], blocks[k])
        # A neuron that nothing reads computes nothing.
        choice.harm.masked_fill_(~live[k][:, None], 0.0)
        choices.append(choice)
        total += bits
    saved = torch.cat([choice.saved.reshape(-1) for choice in choices])
    harm = torch.cat([choice.harm.reshape(-1) for choice in choices])
    fewer = torch.cat([choice.fewer.reshape(-1) for choice in choices])
    rate = torch.where(saved > 0, harm / saved.clamp_min(1e-9), torch.inf)
    order = torch.sort(rate, stable=True).indices
    gone = torch.cumsum(saved[order], 0)
    taken = torch.zeros_like(saved, dtype=torch.bool)
    if total > target:
        taken[order[: int((gone < total - target).sum()) + 1]] = True
    taken &= saved > 0
    at = 0
    for k, plan in enumerate(member.levels):
        shape = member.digits[k][: plan.layer.n_out].shape
        here = taken[at : at + shape.numel()].view(shape)
        own = member.digits[k][: plan.layer.n_out]
        if cap:
            left = fewer[at : at + shape.numel()].view(shape) + 1
            left[:, :-1] = torch.where(blocks[k][:, :-1] == 0, 0.0, left[:, :-1])
            left[:, -1] = torch.where(blocks[k][:, -1] == 0, 0.0, UNLIMITED)
            torch.minimum(own, left, out=own)
        own.copy_(torch.where(here, fewer[at : at + shape.numel()].view(shape), own))
        at += shape.numel()
    return total - float(saved[taken].sum())


def _block(layout: Layout, j: int, k: int) -> Tensor:
    """Whole numbers of one layer as its products take them, biases last, (n_out, n_in + 1)."""
    member, plan = layout.members[j], layout.members[j].levels[k]
    whole = layout.integers[slice(*layout.places[j, k])].view(plan.rows, plan.cols).cpu()
    return (whole * member.kept[k])[: plan.layer.n_out]


def _alive(layout: Layout, j: int, k: int, blocks: list[Tensor]) -> Tensor:
    """Which neurons of a level are read by the next layer."""
    if k == 0:
        return torch.ones(blocks[0].shape[0], dtype=torch.bool)
    return (blocks[k - 1][:, :-1] != 0).any(0)


def _choice(layout: Layout, j: int, k: int, price: float, block: Tensor) -> tuple[Choice, float]:
    plan, place = layout.members[j].levels[k], slice(*layout.places[j, k])
    square = layout.square[place].view(plan.rows, plan.cols)[: plan.layer.n_out].cpu()
    factor = layout.kept_factor[place].view(plan.rows, plan.cols)[: plan.layer.n_out].cpu()
    digits = count_digits(block).to(block.dtype)
    digits[:, -1] = (block[:, -1] != 0).to(block.dtype)
    fewer = (digits - 1).clamp_min(0.0)
    left = block.clone()
    keep_digits(left, fewer, int(fewer.max()))
    after = count_digits(left).to(block.dtype)
    after[:, -1] = 0.0
    saved = (digits - after) * price
    harm = square * ((block - left) * factor) ** 2
    return Choice(fewer, saved, harm), float(digits.sum()) * price
