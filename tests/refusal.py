"""Errors in tests: by their kind and their values, not by their sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hwnas_hls.errors import ErrorKind, HwnasError, UserError


def expect_refusal(
    error: BaseException | None,
    kind: ErrorKind,
    error_class: type[HwnasError] = UserError,
    *,
    mentions: Iterable[object] = (),
    **values: Any,
) -> None:
    """Fails unless an error (of a command, say) is of this kind and has these values.

    Args:
        error: what was raised.
        kind: what it has to be about.
        error_class: its class.
        mentions: values that the message has to show: names, numbers, paths; no sentences.
        values: attributes of the error: ``near``, ``found``, ``where``, ``choices``.
    """
    assert isinstance(error, error_class), repr(error)
    assert error.kind is kind, f"{error.kind}, not {kind}: {error}"
    for name, value in values.items():
        assert getattr(error, name) == value, f"{name} of: {error}"
    expect_mentioned(error, mentions)


def expect_mentioned(message: object, values: Iterable[object]) -> None:
    """Fails unless a message shows every value: a name, a number, a path."""
    text = str(message)
    for value in values:
        assert str(value) in text, f"{value} in: {text}"


@contextmanager
def refused(
    kind: ErrorKind, error: type[HwnasError] = UserError, *, mentions: Iterable[object] = (), **values: Any
) -> Iterator[pytest.ExceptionInfo[HwnasError]]:
    """The body raises an error of this kind; see :func:`expect_refusal`."""
    with pytest.raises(error) as caught:
        yield caught
    expect_refusal(caught.value, kind, error, mentions=mentions, **values)


@contextmanager
def raises_naming(*names: object, error: type[BaseException] = ValueError) -> Iterator[None]:
    """The body raises a plain exception whose message shows these values, a refused setting's name first."""
    with pytest.raises(error) as caught:
        yield
    expect_mentioned(caught.value, names)
