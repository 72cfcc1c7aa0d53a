"""Training in parts: the state of a network between two parts, as bytes.

This module imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from hwnas_hls.plugin import transfer
from hwnas_hls_plugins.estimators.training.digits import UNLIMITED
from hwnas_hls_plugins.estimators.training.threads import threads

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.loop import Training, TrainingResult
    from hwnas_hls_plugins.estimators.training.member import AnyMember

#: The attributes of a member that training changes, each a list of tensors.
_PIECES = ("latent", "mean", "square", "kept", "digits", "running")


def to_bytes(member: AnyMember, epochs: int) -> bytes:
    """The state of ``member`` after ``epochs``."""
    tensors = [(name, tensor) for name in _PIECES for tensor in getattr(member, name)]
    numbers = torch.cat([tensor.reshape(-1) for _, tensor in tensors]).cpu()
    data = {
        "epochs": epochs,
        "kernels": member.kernels,
        "dtype": str(numbers.numpy().dtype),
        "pieces": [[name, list(tensor.shape)] for name, tensor in tensors],
    }
    generator = member.generator.get_state().numpy().tobytes() if member.plan.dropped else b""
    return transfer.pack(data, {"numbers": numbers.numpy().tobytes(), "generator": generator})


def from_bytes(member: AnyMember, state: bytes) -> int:
    """Restore ``member``; returns the number of epochs done."""
    data, parts = transfer.unpack(state)
    numbers = torch.from_numpy(np.frombuffer(parts["numbers"], data["dtype"]).copy())
    held: dict[str, list[torch.Tensor]] = {name: [] for name in _PIECES}
    at = 0
    for name, shape in data["pieces"]:
        size = int(np.prod(shape))
        held[name].append(numbers[at : at + size].view(shape).clone())
        at += size
    for name, tensors in held.items():
        setattr(member, name, tensors)
    member.limited = any(bool((block < UNLIMITED).any()) for block in held["digits"])
    if parts["generator"]:
        member.generator.set_state(torch.from_numpy(np.frombuffer(parts["generator"], np.uint8).copy()))
    # States of earlier versions lack this entry.
    member.kernels = list(data.get("kernels", ()))
    return int(data["epochs"])


def advance(training: Training, states: Sequence[bytes | None], end: int) -> list[tuple[bytes, float]]:
    """Train every member from its state to epoch ``end``; returns its new state and its interim metric."""
    found: dict[int, tuple[bytes, float]] = {}
    with threads(training.config.threads), torch.inference_mode():
        for begin, members in _by_epoch(training, states):
            for network in training.stretch(members, begin, end):
                scores = training.scores(network)
                network.save_members()
                for member in network.members:
                    found[member.index] = to_bytes(member, end), scores[member.index]
    return [found[number] for number in range(len(states))]


def conclude(training: Training, states: Sequence[bytes]) -> list[TrainingResult]:
    """The designs of members that stop here."""
    found: dict[int, TrainingResult] = {}
    with threads(training.config.threads), torch.inference_mode():
        for epochs, members in _by_epoch(training, states):
            descending = [member for member in members if training.descends(member)]
            if epochs < training.config.epochs:
                descending = []
            found |= training.descents(descending)
            rest = [member for member in members if member.index not in found]
            found |= training.designs(rest, epochs / training.config.epochs)
    return [found[number] for number in range(len(states))]


def _by_epoch(training: Training, states: Sequence[bytes | None]) -> Iterable[tuple[int, list[AnyMember]]]:
    """The restored or initialised members, by the number of epochs they have done."""
    found: dict[int, list[AnyMember]] = {}
    for member, state in zip(training.members, states, strict=True):
        if state is None:
            member.start(training.dtype)
        found.setdefault(0 if state is None else from_bytes(member, state), []).append(member)
    return sorted(found.items())
