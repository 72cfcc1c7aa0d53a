"""The state of a network between two stretches of its training.

Loaded only to train, hence torch at the top.
"""

from __future__ import annotations

import io
from collections.abc import MutableMapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hwnas_hls.candidate import digest

if TYPE_CHECKING:
    from hwnas_hls_plugins.training.config import TrainingConfig
    from hwnas_hls_plugins.training.member import Member
    from hwnas_hls_plugins.training.plan import Plan

#: Everything of a member that training changes, each a list of tensors.
_PIECES = ("latent", "mean", "square", "kept", "running")
#: Settings that change only how fast a training is, or whom it stops.
_FREE = ("rungs", "group_elements", "group_candidates", "threads", "schedule_epochs", "max_validation_rows")


def checkpoint_name(plan: Plan, config: TrainingConfig, fingerprint: str, version: str) -> str:
    """Under which a network's state is kept: everything that its numbers depend on, but the epochs done.

    Args:
        config: of the whole schedule.
        fingerprint: of the data.
        version: of the training.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in _FREE}
    content = [plan.seed, plan.architecture.to_json(), settings, fingerprint, version]
    return f"training state {digest(content)}"


def save(member: Member, epochs: int, cache: MutableMapping[str, bytes], name: str) -> None:
    """Keep the state of ``member`` after ``epochs``."""
    arrays: dict[str, Any] = {"epochs": np.int64(epochs), "generator": member.generator.get_state().numpy()}
    for piece in _PIECES:
        for number, tensor in enumerate(getattr(member, piece)):
            arrays[f"{piece}_{number}"] = tensor.cpu().numpy()
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    cache[name] = data.getvalue()


def restore(member: Member, cache: MutableMapping[str, bytes], name: str) -> int:
    """Put ``member`` where it was left; the epochs it has behind it, 0 where nothing is kept."""
    data = cache.get(name)
    if data is None:
        return 0
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for piece in _PIECES:
            names = [key for key in arrays.files if key.rpartition("_")[0] == piece]
            tensors = [torch.from_numpy(arrays[f"{piece}_{number}"]) for number in range(len(names))]
            setattr(member, piece, tensors)
        member.generator.set_state(torch.from_numpy(arrays["generator"]))
        return int(arrays["epochs"])
