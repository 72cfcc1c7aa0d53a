"""What a part holds, from the target files; ``None`` where no file names it."""

from __future__ import annotations

import functools

from hwnas_hls.errors import UserError
from hwnas_hls.protocols.target import Target, read_targets
from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.estimators.hls_model.silicon import device_of


@functools.cache
def _targets() -> dict[str, Target]:
    try:
        return read_targets([data_folder("hw_targets")])
    except (OSError, UserError):
        return {}


@functools.lru_cache(maxsize=4096)
def target_of(part: str) -> Target | None:
    """The target that ``part`` (full part, device or board) means, if a file names it."""
    wanted = part.strip().lower()
    device = device_of(part)
    for target in _targets().values():
        if wanted in (target.name, target.part.lower(), *(alias.lower() for alias in target.aliases)):
            return target
        if device == target.name or device == device_of(target.part):
            return target
    return None
