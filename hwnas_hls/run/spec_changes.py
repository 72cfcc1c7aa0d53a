"""What of a run may change between its sessions, and what may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.run.problem import Problem
from hwnas_hls.spec.spec import read_tables

#: (table, key) of a spec that may change: how long and how a run goes on, not what it searches.
FREE = frozenset(
    [
        ("run", "trials"),
        ("run", "minutes"),
        ("run", "device"),
        ("run", "exporters"),
        ("synthesis", "budget"),
        ("synthesis", "workers"),
        ("handover", ""),
        ("cluster", ""),
    ]
)


def check_unchanged(problem: Problem, facts: Mapping[str, Any], folder: Path) -> None:
    """Refuse to mix records of two different searches in one folder.

    Args:
        facts: of the run's store; empty for a new run.

    Raises:
        UserError: the spec in the folder was edited where records depend on it, or the task's
            data are not those that the run began with.
    """
    if "spec" in facts:
        # As written, not as resolved: a later version may know keys that this run never had.
        changed = list(_changes(facts["spec"], read_tables(folder / "spec.toml")))
        # The authors maintain the built-in parts; a target file belongs to the user, who may edit it.
        if problem.spec.target.endswith(".toml") and facts.get("target") != problem.target.to_json():
            changed.append(f"the target file {problem.spec.target} reads otherwise")
        if changed:
            raise UserError(
                "the spec was changed since this run began, and its records would not belong together",
                kind=ErrorKind.CHANGED,
                where=str(folder / "spec.toml"),
                found="; ".join(changed),
                remedy=f"change it back, or begin a new run: hwnas-hls run {folder / 'spec.toml'}",
            )
    before = facts.get("run", {}).get("data_fingerprint")
    if before is not None and before != problem.dataset.fingerprint:
        raise UserError(
            "the data of the task changed since this run began, and its records would not belong together",
            kind=ErrorKind.CHANGED,
            where=problem.dataset.source,
            found=f"fingerprint {problem.dataset.fingerprint}, not {before}",
            remedy=f"restore the data, or begin a new run: hwnas-hls run {folder / 'spec.toml'}",
        )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for table in sorted({*old, *new} - {name for name, key in FREE if not key}):
        before, after = old.get(table, {}), new.get(table, {})
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            before, after = {"": before}, {"": after}
        for key in sorted({*before, *after}):
            if (table, key) in FREE or before.get(key) == after.get(key):
                continue
            yield f"[{table}] {key} = {after.get(key)!r}, not {before.get(key)!r}"
