"""A cache of finished syntheses by content: one folder each, written atomically."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, HwnasError

log = logging.getLogger(__name__)

_RESULT = "result.json"
#: Attempts to store a result beside processes that remove a damaged one.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ResultCache:
    """A folder of results; several processes may use it at once.

    Args:
        root: the folder; created at the first write.
    """

    root: Path

    @classmethod
    def of_user(cls) -> ResultCache:
        """In the user's cache folder."""
        import platformdirs

        return cls(Path(platformdirs.user_cache_dir("hwnas-hls")) / "open_synthesis")

    def folder(self, key: str) -> Path:
        return self.root / key

    def read(self, key: str) -> dict[str, Any] | None:
        """The result for ``key``; ``None`` if it is missing or damaged."""
        try:
            data = json.loads((self.folder(key) / _RESULT).read_text())
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            return None
        return data if isinstance(data, dict) else None

    def work_folder(self) -> Path:
        """A new folder on the same file system; pass it to :meth:`keep` or remove it.

        Raises:
            HwnasError: the cache folder cannot be written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="work-", dir=self.root))
        except OSError as error:
            raise HwnasError(
                f"cannot write to the cache folder {self.root}: {error}", kind=ErrorKind.NOT_ACCESSIBLE
            ) from error

    def keep(self, key: str, work: Path, result: Mapping[str, Any]) -> Path:
        """Store ``work`` as the result for ``key``, unless another process was faster."""
        (work / _RESULT).write_text(json.dumps(result, indent=1, sort_keys=True, allow_nan=False) + "\n")
        target = self.folder(key)
        for _ in range(_ATTEMPTS):
            try:
                os.rename(work, target)  # noqa: PTH104 (Path.rename says the same; this names the system call)
            except OSError as error:
                # A rename never replaces a folder with files in it: the first writer stays.
                failure = error
            else:
                return target
            if self.read(key) is not None:
                shutil.rmtree(work, ignore_errors=True)
                return target
            self._discard_damaged(key)
        shutil.rmtree(work, ignore_errors=True)
        raise failure

    def _discard_damaged(self, key: str) -> None:
        """Remove a damaged entry. If another process has replaced it meanwhile, that one goes back."""
        aside = self.work_folder()
        moved = aside / key
        try:
            self.folder(key).rename(moved)
            if ResultCache(aside).read(key) is not None:
                moved.rename(self.folder(key))
        except OSError:
            # Another process was faster: there is nothing to move, or a newer entry is in its place.
            log.debug("%s: another process replaced this entry", key)
        shutil.rmtree(aside, ignore_errors=True)
