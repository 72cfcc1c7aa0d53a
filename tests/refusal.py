"""Errors in tests: by their kind and their values, not by their sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hwnas_hls.errors import ErrorKind, HwnasError, UserError


@contextmanager
def refused(
    kind: ErrorKind, error: type[HwnasError] = UserError, **values: Any
) -> Iterator[pytest.ExceptionInfo[HwnasError]]:
    """The body raises an error of this kind.

    Args:
        kind: what the error is about.
        error: its class.
        values: attributes of the error: ``near``, ``found``, ``where``, ``choices``.
    """
    with pytest.raises(error) as caught:
        yield caught
    assert caught.value.kind is kind, caught.value
    for name, value in values.items():
        assert getattr(caught.value, name) == value, f"{name} of: {caught.value}"
