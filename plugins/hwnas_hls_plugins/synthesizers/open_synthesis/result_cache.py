"""A cache of finished syntheses by content: one folder each, written atomically."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, HwnasError

_RESULT = "result.json"


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
        if self.read(key) is None and target.exists():
            # A damaged entry cannot be in use. Two processes may remove it at the same time.
            shutil.rmtree(target, ignore_errors=True)
        try:
            os.rename(work, target)  # noqa: PTH104 (Path.rename says the same; this names the system call)
        except OSError:
            shutil.rmtree(work, ignore_errors=True)
            if self.read(key) is None:
                raise
        return target
