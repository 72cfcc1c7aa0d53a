"""The errors that a user sees, each with the information needed to fix the problem."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USER = 2
EXIT_NOT_PROVEN = 3
EXIT_INTERRUPTED = 130
#: The reader of the output closed the pipe, as ``head`` does; as 128 + SIGPIPE in a shell.
EXIT_PIPE = 141


#: Choices that a message lists; a run has hundreds of candidates.
_MAX_CHOICES = 40


class ReaderEndedError(BaseException):
    """The reader of the output or of the progress has closed its pipe.

    As with Ctrl-C, nobody is at fault: handlers of plugin faults must not catch it.
    """


class ErrorKind(StrEnum):
    """The kind of an error, for programs; they must not parse its text."""

    #: Unspecified; only the message is available.
    FAILED = "failed"
    #: An invalid value.
    INVALID = "invalid"
    #: An unknown name; ``choices`` are the known ones.
    UNKNOWN_NAME = "unknown name"
    #: An ambiguous name; ``choices`` are the unambiguous ones.
    AMBIGUOUS = "ambiguous"
    #: A name or folder that is already in use, possibly by another process.
    TAKEN = "taken"
    #: A required argument or file is missing.
    MISSING = "missing"
    #: No candidate or design meets the conditions.
    NOTHING_FITS = "nothing fits"
    #: Fewer rows, designs or values than are needed.
    TOO_FEW = "too few"
    #: More than this tool reads, holds or builds.
    TOO_LARGE = "too large"
    #: Settings or data that exclude each other.
    CONFLICT = "conflict"
    #: Two things that should agree and do not: shapes, columns, a project and the design it is of.
    MISMATCH = "mismatch"
    #: What would not be exact to the bit.
    INEXACT = "inexact"
    #: The spec or the data have changed since the run began.
    CHANGED = "changed"
    #: A file or folder that is not of the format it should have.
    WRONG_FORMAT = "wrong format"
    #: A damaged file.
    DAMAGED = "damaged"
    #: A file written by a newer version of the tool.
    NEWER_VERSION = "newer version"
    #: A file or folder that cannot be opened or written.
    NOT_ACCESSIBLE = "not accessible"
    #: A plugin raised an exception or broke its protocol.
    PLUGIN_FAULT = "plugin fault"
    #: A call exceeded its time limit.
    TIME_LIMIT = "time limit"
    #: A process ended unexpectedly.
    CRASHED = "crashed"
    #: A candidate, design or request that a component does not support.
    UNSUPPORTED = "unsupported"
    #: A program or package is not installed.
    TOOL_MISSING = "tool missing"
    #: A program that ended with an error.
    TOOL_FAILED = "tool failed"
    #: A program that found no licence.
    NO_LICENCE = "no licence"
    #: A tool's report cannot be read.
    UNREADABLE_REPORT = "unreadable report"


class HwnasError(Exception):
    """A failure that is not caused by invalid input; the command exits with 1.

    Args:
        message: what failed, as text.
        kind: the kind of the error; default: that of the class.
    """

    exit_code = EXIT_FAILED
    kind: ErrorKind = ErrorKind.FAILED

    def __init__(self, message: str = "", *, kind: ErrorKind | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind


class UserError(HwnasError):
    """Invalid input; the command exits with 2.

    Args:
        what: the problem, in one sentence.
        where: file, table, key, flag or row with the problem.
        found: the invalid value.
        choices: valid values; those spelt like ``found`` come first.
        remedy: what to do, if a list of choices does not answer that.
        cause: the underlying problem, if known (a plugin that failed to load).
        kind: the kind of the error; default: an unknown name if there are ``choices``, else an invalid
            value.

    Attributes:
        near: the choice that ``found`` resembles most; empty if none.
    """

    exit_code = EXIT_USER
    kind = ErrorKind.INVALID

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        found: object = None,
        choices: Iterable[object] | None = None,
        remedy: str | None = None,
        cause: str | None = None,
        kind: ErrorKind | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.found = found
        self.choices = None if choices is None else [str(choice) for choice in choices]
        self.remedy = remedy
        self.cause = cause
        near = difflib.get_close_matches(str(found), self.choices or (), n=1) if found is not None else ()
        self.near = near[0] if near else ""
        if kind is None and choices is not None:
            kind = ErrorKind.UNKNOWN_NAME
        super().__init__(self._message(), kind=kind)

    def _message(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.found is not None:
            lines.append(f"  found: {self.found!s}")
        if self.choices is not None:
            if self.near:
                lines.append(f"  did you mean: {self.near}")
            lines.append(f"  choices: {', '.join(self.choices[:_MAX_CHOICES]) or '(none)'}")
            if len(self.choices) > _MAX_CHOICES:
                lines[-1] += f", ... ({len(self.choices)} in all)"
        if self.cause is not None:
            lines.append(f"  cause: {self.cause}")
        if self.remedy is not None:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class Unsupported(HwnasError):
    """A component does not support a candidate or design; the text gives the reason.

    An estimator raises it (or puts it into its :class:`~hwnas_hls.protocols.estimator.Estimates`)
    and the candidate becomes a failed record with this reason.

    Args:
        remedy: what would do instead, for a user who asked for exactly this; empty if unknown.
    """

    kind = ErrorKind.UNSUPPORTED

    def __init__(self, message: str = "", *, kind: ErrorKind | None = None, remedy: str = "") -> None:
        super().__init__(message, kind=kind)
        self.remedy = remedy


class ToolMissing(HwnasError):
    """A required program or package is not installed on this machine."""

    kind = ErrorKind.TOOL_MISSING


class ReportError(HwnasError):
    """A tool's report cannot be read; the text names the file and what is missing."""

    kind = ErrorKind.UNREADABLE_REPORT
