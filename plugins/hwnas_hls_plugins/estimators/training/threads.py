"""The number of torch threads during training. This module imports torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Use ``count`` torch threads, and restore the previous number afterwards.

    Networks this small are slower on several threads, and sums then depend on their number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
