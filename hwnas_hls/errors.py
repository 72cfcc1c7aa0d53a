"""The errors that reach a user, each with what is needed to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USER = 2
EXIT_NOT_PROVEN = 3
EXIT_INTERRUPTED = 130


class HwnasError(Exception):
    """Something failed that is not the user's mistake; the command exits with 1."""

    exit_code = EXIT_FAILED


class UserError(HwnasError):
    """The user's mistake; the command exits with 2.

    Args:
        what: one sentence, what is wrong.
        where: file, table, key, flag or row in which it was found.
        found: what was there.
        choices: what would do; near spellings of ``found`` are put first.
        remedy: what to do, where a list of choices is not the answer.
        cause: what lies behind it, where that is known (a plugin that failed to load).
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
    """A part of the tool refuses what it cannot judge or build; the text says why.

    An estimator raises it (or puts it into its :class:`~hwnas_hls.protocols.estimator.Estimates`)
    so that the candidate becomes a failed record with this reason.
    """


class ToolMissing(HwnasError):
    """A program or package that the asked work needs is not on this machine."""


class ReportError(HwnasError):
    """A tool's report cannot be read; the text names the file and what is missing."""
