"""Which settings of a run may change between its sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.run.problem import Problem
from hwnas_hls.spec.spec import read_tables

#: (table, key) of a spec that may change: budget, machine and export, but not the search itself.
FREE = frozenset(
    [
        ("run", "trials"),
        ("run", "minutes"),
        ("run", "device"),
        ("run", "exporters"),
        ("synthesis", "budget"),
        ("synthesis", "workers"),
        ("export", ""),
        ("exporters", ""),
        ("cluster", ""),
    ]
)


def check_unchanged(problem: Problem, facts: Mapping[str, Any], folder: Path) -> None:
    """Check that the spec and the data are those of the records in the folder.

    Args:
        facts: facts in the run's store; empty for a new run.

    Raises:
        UserError: a setting that the records depend on was edited, or the task's data have changed.
    """
    if "spec" in facts:
        # Compare the written tables, not the resolved ones: a newer version may have more keys.
        changed = list(_changes(facts["spec"], read_tables(folder / "spec.toml")))
        # A target file given by its path belongs to the user, who may have edited it.
        if problem.spec.target.endswith(".toml") and facts.get("target") != problem.target.to_json():
            changed.append(f"the target file {problem.spec.target} has changed")
        if changed:
            raise UserError(
                "the spec has changed since this run began; old and new records are not comparable",
                kind=ErrorKind.CHANGED,
                where=str(folder / "spec.toml"),
                found="; ".join(changed),
                remedy=f"undo the change, or start a new run: hwnas-hls run {folder / 'spec.toml'}",
            )
    before = facts.get("run", {}).get("data_fingerprint")
    if before is not None and before != problem.dataset.fingerprint:
        raise UserError(
            "the data of the task have changed since this run began; old and new records are not comparable",
            kind=ErrorKind.CHANGED,
            where=problem.dataset.source,
            found=f"fingerprint {problem.dataset.fingerprint}, not {before}",
            remedy=f"restore the data, or start a new run: hwnas-hls run {folder / 'spec.toml'}",
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
