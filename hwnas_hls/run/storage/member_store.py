"""Exported designs in the store; a finished export is read back instead of repeated."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas_hls.errors import UserError
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.exporter import Member
from hwnas_hls.values.check import CheckResult
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.record import Record

log = logging.getLogger(__name__)


def held_members(
    facts: Mapping[str, Any], records: Mapping[str, Record], folder: Path
) -> list[Member] | None:
    """The members of a finished export; ``None`` if one of their designs is damaged or incomplete."""
    members = []
    for item in facts["members"]:
        place = folder / "designs" / item["key"]
        try:
            members.append(member_from_json(item, records, folder))
        except UserError as error:
            log.warning("%s is exported again: %s", item["key"], error)
            return None
        reason = "" if (place / "hls4ml").is_dir() else "its hls4ml project is missing"
        csim = members[-1].checks.get("csim")
        if csim is None or csim.failed or (csim.not_run and csim.wanted):
            # The cause, such as a full disk or a missing g++, may be fixed by now.
            reason = f"C simulation {'was not reached' if csim is None else csim}"
        if reason:
            log.info("%s is exported again: %s", item["key"], reason)
            return None
    return members


def stored_members(facts: Mapping[str, Any], records: Sequence[Record], folder: Path) -> list[Member]:
    """The members of the last export, finished or not.

    Raises:
        UserError: the design of one is damaged or missing.
    """
    by_key = {record.key: record for record in records}
    return [member_from_json(item, by_key, folder) for item in facts.get("members", [])]


def exported_member(facts: Mapping[str, Any], record: Record, folder: Path) -> Member | None:
    """The exported design of a record; ``None`` if there is none, or its files are damaged or missing."""
    items = [item for item in facts.get("members", []) if item["key"] == record.key]
    try:
        return member_from_json(items[0], {record.key: record}, folder) if items else None
    except UserError as error:
        log.warning("%s is exported again: %s", record.key, error)
        return None


def member_to_json(member: Member) -> dict[str, Any]:
    """The stored form of a member; the design itself is in its folder."""
    return {
        "key": member.key,
        "estimates": {name: estimate.to_json() for name, estimate in member.estimates.items()},
        "checks": {name: result.to_json() for name, result in member.checks.items()},
        "warnings": list(member.warnings),
        "layers": [{n: e.to_json() for n, e in layer.items()} for layer in member.layer_estimates],
    }


def member_from_json(data: dict[str, Any], records: Mapping[str, Record], folder: Path) -> Member:
    """The inverse of :func:`member_to_json`.

    Raises:
        UserError: the design in its folder is damaged or missing.
    """
    record = records[data["key"]]
    return Member(
        data["key"],
        record.candidate,
        record,
        Design.load(folder / "designs" / data["key"]),
        {name: Estimate.from_json(name, item) for name, item in data["estimates"].items()},
        {name: CheckResult.from_json(item) for name, item in data["checks"].items()},
        tuple(data["warnings"]),
        [
            {name: Estimate.from_json(name, item) for name, item in layer.items()}
            for layer in data.get("layers", ())
        ],
    )
