"""The state of a network between two parts of its training.

This module imports torch.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from hwnas_hls.values.candidate import digest
from hwnas_hls_plugins.estimators.training.rungs import from_bytes, to_bytes

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.config import TrainingConfig
    from hwnas_hls_plugins.estimators.training.member import AnyMember
    from hwnas_hls_plugins.estimators.training.plan import AnyPlan

#: Settings that affect only the speed of a training, or which networks it stops.
_FREE = (
    *("rungs", "group_elements", "group_candidates", "threads", "graphs"),
    *("schedule_epochs", "max_validation_rows"),
)


def checkpoint_name(plan: AnyPlan, config: TrainingConfig, fingerprint: str, version: str) -> str:
    """The cache key of a network's state: everything that its numbers depend on, except the epochs done.

    Args:
        config: of the whole schedule.
        fingerprint: of the data.
        version: of the training.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in _FREE}
    content = [plan.seed, plan.architecture.to_json(), settings, fingerprint, version]
    return f"training state {digest(content)}"


def save(member: AnyMember, epochs: int, cache: MutableMapping[str, bytes], name: str) -> None:
    """Keep the state of ``member`` after ``epochs``."""
    cache[name] = to_bytes(member, epochs)


def restore(member: AnyMember, cache: MutableMapping[str, bytes], name: str) -> int:
    """Restore ``member``; returns the number of epochs done, 0 without a stored state."""
    state = cache.get(name)
    return 0 if state is None else from_bytes(member, state)
