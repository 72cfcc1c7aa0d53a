"""What every worker is given once, also one that joins late. Loaded only with dask, hence it at the top."""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin

from hwnas_hls.cluster import tasks


class Delivery(WorkerPlugin):  # type: ignore[misc]
    """Bytes that the scheduler keeps and hands to each worker as it joins.

    Scattered data would be gone with the last worker that holds it; this is not.

    Args:
        key: hash of ``data`` and mark of the run.
        data: see :mod:`hwnas_hls.cluster.tasks`.
    """

    idempotent = True

    def __init__(self, key: str, data: bytes) -> None:
        self.name = f"hwnas-hls-{key}"
        self.key = key
        self.data = data

    def setup(self, worker: Any) -> None:
        tasks.receive(self.key, self.data)

    def teardown(self, worker: Any) -> None:
        tasks.forget(self.key)
