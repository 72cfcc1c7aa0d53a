"""Where the data files of a run are, so that a run folder can be moved with its data.

``data.json`` in the run folder holds, for each data file of the task, its SHA-256 and its path relative to
the run folder. If the file is no longer at the path in ``spec.toml``, it is searched at that relative path,
in the run folder and next to it, and used if its hash is the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.spec.spec import Spec
from hwnas_hls.system.files import write_text

log = logging.getLogger(__name__)
NAME = "data.json"
#: Settings of a task that are paths of data files.
_KEYS = ("path", "test_path")


def note_data(spec: Spec, folder: Path) -> None:
    """Write ``data.json`` for the data files of the task; nothing for a task without files."""
    files = {key: _described(path, folder) for key, path in _files(spec) if path.is_file()}
    if files:
        write_text(folder / NAME, json.dumps({"schema": 1, "files": files}, indent=2) + "\n")


def with_found_data(spec: Spec, folder: Path) -> Spec:
    """The spec with the new paths of data files that have moved.

    Raises:
        UserError: a noted file is not found, or another one is in its place beside the run.
    """
    noted = _noted(folder)
    found: dict[str, str] = {}
    for key, path in _files(spec):
        held = noted.get(key)
        if held is None or path.is_file():
            continue
        relative = folder / held["relative"]
        for place in dict.fromkeys((relative, folder / path.name, folder.resolve().parent / path.name)):
            if place.is_file() and sha256(place) == held["sha256"]:
                found[key] = str(place.absolute().resolve())
                log.info("data file %s has moved to %s", path, place)
                break
        else:
            raise UserError(
                "the data file of this run has moved",
                where=str(folder / "spec.toml"),
                found=str(path),
                remedy="move it into the run folder, or name its new place: "
                f"`hwnas-hls resume {shlex.quote(str(folder))} --task PATH` (also `report`)",
                kind=ErrorKind.MISSING,
            )
    return _with(spec, found)


def moved_to(spec: Spec, folder: Path, place: Path) -> Spec:
    """The spec with its data file at ``place``, which is noted in ``data.json``.

    Raises:
        UserError: the task reads no file, or that file does not have the noted hash.
    """
    held = _noted(folder).get("path")
    if held is None:
        raise UserError(
            "the data of this run are not a file",
            where="--task",
            found=str(place),
            remedy="leave --task out",
            kind=ErrorKind.CONFLICT,
        )
    if not place.is_file():
        raise UserError("no such data file", where="--task", found=str(place), kind=ErrorKind.MISSING)
    if (found := sha256(place)) != held["sha256"]:
        raise UserError(
            "not the data of this run",
            where=f"--task {place}",
            found=f"SHA-256 {found}, not {held['sha256']}",
            remedy="give the file that the run began with, or start a new run",
            kind=ErrorKind.CHANGED,
        )
    moved = _with(spec, {"path": str(place.absolute())})
    note_data(moved, folder)
    return moved


def sha256(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(spec: Spec) -> Iterator[tuple[str, Path]]:
    for key in _KEYS:
        text = spec.task.config.get(key)
        if isinstance(text, str) and text:
            yield key, Path(text).expanduser()


def _described(path: Path, folder: Path) -> dict[str, Any]:
    return {
        "sha256": sha256(path),
        "relative": os.path.relpath(path.resolve(), folder.resolve()),
        "bytes": path.stat().st_size,
    }


def _noted(folder: Path) -> dict[str, dict[str, Any]]:
    """Setting of the task -> the entry of its file; empty without ``data.json``."""
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {
            key: {"sha256": str(item["sha256"]), "relative": str(item["relative"])}
            for key, item in files.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "not a list of data files",
            where=str(path),
            found=f"{type(error).__name__}: {error}",
            remedy="delete it if the data are still at the path in spec.toml",
            kind=ErrorKind.DAMAGED,
        ) from error


def _with(spec: Spec, places: dict[str, str]) -> Spec:
    if not places:
        return spec
    task = dataclasses.replace(spec.task, config={**spec.task.config, **places})
    return dataclasses.replace(spec, task=task)
