"""The cache of estimators on a worker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping

#: Size limit per run and worker: a thousand states of small trainings, or a few trained supernets.
CACHE_BYTES = 256 * 2**20


class BoundedCache(MutableMapping[str, bytes]):
    """Bytes by name; above the limit, the least recently used entries are removed.

    The most recently stored entry is kept regardless of its size.

    Args:
        limit_bytes: maximum total size of the values.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, name: str) -> bytes:
        data = self._held[name]
        self._held.move_to_end(name)
        return data

    def __setitem__(self, name: str, data: bytes) -> None:
        self._bytes += len(data) - len(self._held.get(name, b""))
        self._held[name] = data
        self._held.move_to_end(name)
        while self._bytes > self.limit_bytes and len(self._held) > 1:
            self._bytes -= len(self._held.popitem(last=False)[1])

    def __delitem__(self, name: str) -> None:
        self._bytes -= len(self._held.pop(name))

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)
