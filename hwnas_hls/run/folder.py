"""Run folders: create a new one, read the spec of an existing one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.run.data_place import moved_to, with_found_data
from hwnas_hls.run.problem import Problem
from hwnas_hls.spec.spec import Spec, read_tables, spec_from_tables


def run_spec(folder: Path, data: Path | None = None) -> Spec:
    """The resolved spec of a run folder; data files that have moved are at their new place.

    Args:
        data: where the data file of the run is now; ``None``: at the stored path, or where
            :func:`~hwnas_hls.run.data_place.with_found_data` finds it.

    Raises:
        UserError: the folder is not a run, or ``data`` is not its data.
    """
    path = folder / "spec.toml"
    if not path.is_file():
        raise UserError(
            "not a run folder: it has no spec.toml",
            kind=ErrorKind.MISSING,
            where=str(folder),
            remedy="give a folder created by `run`",
        )
    spec = spec_from_tables(read_tables(path), str(path))
    return with_found_data(spec, folder) if data is None else moved_to(spec, folder, data)


def new_folder(folder: Path | None, problem: Problem) -> Path:
    """Create the folder of a new run; see :func:`hwnas_hls.run.lifecycle.start`.

    Raises:
        UserError: it is not empty, or cannot be written.
    """
    try:
        if folder is not None:
            there = list(folder.iterdir()) if folder.is_dir() else []
            # Temporary files of a start that was killed while writing its spec are removed.
            unfinished = [path for path in there if path.match(".spec.toml.*.tmp")]
            for path in unfinished:
                path.unlink(missing_ok=True)
            if len(there) > len(unfinished):
                raise UserError(
                    "the output folder is in use",
                    kind=ErrorKind.TAKEN,
                    where=str(folder),
                    remedy="choose another --output"
                    + (
                        f", or continue with `hwnas-hls resume {folder}`"
                        if (folder / "spec.toml").exists()
                        else ""
                    ),
                )
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        task = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(problem.spec.task.name).stem)
        number = 1
        while True:
            place = Path("runs") / f"{task}-{problem.target.name}-{number:03d}"
            with contextlib.suppress(FileExistsError):
                place.mkdir(parents=True)
                return place
            number += 1
    except OSError as error:
        raise UserError(
            "the output folder cannot be written",
            kind=ErrorKind.NOT_ACCESSIBLE,
            where=str(folder or "runs"),
            found=error,
            remedy="choose another --output",
        ) from error
