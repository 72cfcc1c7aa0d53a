"""Data that every worker receives once, also one that joins late. This module requires dask at import."""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin

from hwnas_hls.cluster import tasks


class Delivery(WorkerPlugin):  # type: ignore[misc]
    """Bytes that the scheduler keeps and sends to each worker when it joins.

    Unlike scattered data, they are not lost with the last worker that holds them.

    Args:
        key: hash of ``data`` and id of the run.
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
