"""Checks of an exported design: passed, failed, or not run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CheckState(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check of a design; as text ``ok``, ``not run...`` or the failure.

    Args:
        state: passed, failed or not run.
        reason: what failed, or why the check was not run; empty if it passed.
        wanted: false if the spec disables the check.
    """

    state: CheckState
    reason: str = ""
    wanted: bool = True

    def __str__(self) -> str:
        if self.state is CheckState.OK:
            return "ok"
        if self.state is CheckState.FAILED:
            return self.reason
        return f"not run: {self.reason}" if self.wanted else f"not run ({self.reason})"

    @property
    def ok(self) -> bool:
        return self.state is CheckState.OK

    @property
    def failed(self) -> bool:
        return self.state is CheckState.FAILED

    @property
    def not_run(self) -> bool:
        return self.state is CheckState.NOT_RUN

    def to_json(self) -> dict[str, Any]:
        return {"state": self.state.value, "reason": self.reason, "wanted": self.wanted}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckResult:
        return cls(CheckState(data["state"]), data["reason"], data["wanted"])


#: A check that passed.
PASSED = CheckResult(CheckState.OK)


def failure(reason: str) -> CheckResult:
    """A check that failed."""
    return CheckResult(CheckState.FAILED, reason)


def not_run(reason: str, *, wanted: bool = True) -> CheckResult:
    """A check that was not run."""
    return CheckResult(CheckState.NOT_RUN, reason, wanted)
