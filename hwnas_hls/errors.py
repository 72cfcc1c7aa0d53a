"""The errors that a user sees, each with the information needed to fix the problem."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USER = 2
EXIT_NOT_PROVEN = 3
EXIT_INTERRUPTED = 130


class HwnasError(Exception):
    """A failure that is not caused by invalid input; the command exits with 1."""

    exit_code = EXIT_FAILED


class UserError(HwnasError):
    """Invalid input; the command exits with 2.

    Args:
        what: the problem, in one sentence.
        where: file, table, key, flag or row with the problem.
        found: the invalid value.
        choices: valid values; those spelt like ``found`` come first.
        remedy: what to do, if a list of choices does not answer that.
        cause: the underlying problem, if known (a plugin that failed to load).
    """

    exit_code = EXIT_USER

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        found: object = None,
        choices: Iterable[object] | None = None,
        remedy: str | None = None,
        cause: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.found = found
        self.choices = None if choices is None else [str(choice) for choice in choices]
        self.remedy = remedy
        self.cause = cause
        super().__init__(self._message())

    def _message(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.found is not None:
            lines.append(f"  found: {self.found!s}")
        if self.choices is not None:
            near = difflib.get_close_matches(str(self.found), self.choices, n=1)
            if near:
                lines.append(f"  did you mean: {near[0]}")
            lines.append(f"  choices: {', '.join(self.choices) or '(none)'}")
        if self.cause is not None:
            lines.append(f"  cause: {self.cause}")
        if self.remedy is not None:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class Unsupported(HwnasError):
    """A component does not support a candidate or design; the text gives the reason.

    An estimator raises it (or puts it into its :class:`~hwnas_hls.protocols.estimator.Estimates`)
    and the candidate becomes a failed record with this reason.
    """


class ToolMissing(HwnasError):
    """A required program or package is not installed on this machine."""


class ReportError(HwnasError):
    """A tool's report cannot be read; the text names the file and what is missing."""
