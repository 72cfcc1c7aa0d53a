"""The contract of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas_hls.protocols.plugin import Plugin
from hwnas_hls.protocols.task import CLASSIFICATION, REGRESSION, Dataset, Task
from hwnas_hls.testing.contract import Contract, expect, expect_equal, expect_type, untouched_random_state


class TaskContract(Contract):
    """Inherit and override :meth:`task`."""

    kind = Task

    def task(self) -> Task:
        raise NotImplementedError

    def plugins(self) -> Sequence[Plugin]:
        return [self.task()]

    def test_splits_are_consistent(self) -> None:
        data = self._load()
        for name, split in (("train", data.train), ("validation", data.validation), ("test", data.test)):
            for what, array in (("x", split.x), ("y", split.y)):
                expect_type(array, np.ndarray, f"load(): {what} of the split {name}")
            expect(len(split) > 0, f"the {name} split is empty")
            expect_equal(split.x.shape, (len(split), data.n_in), f"shape of the features of {name}")
            expect_equal(split.x.dtype, np.dtype(np.float64), f"type of the features of {name}")
            expect(bool(np.all(np.isfinite(split.x))), f"features of {name} are not finite")
        expect_equal(len(data.features), data.n_in, "feature names and columns differ in number")
        expect(bool(data.source), "the data set has no source")
        expect(data.direction in ("max", "min"), f"direction of the metric: {data.direction}")

    def test_targets_match_the_kind(self) -> None:
        data = self._load()
        expect(data.kind in (CLASSIFICATION, REGRESSION), f"unknown kind {data.kind}")
        for split in (data.train, data.validation, data.test):
            if data.kind == CLASSIFICATION:
                expect(np.issubdtype(split.y.dtype, np.integer), "class indices are not integers")
                expect(int(split.y.min()) >= 0 and int(split.y.max()) < data.n_out, "a class has no label")
            else:
                expect_equal(split.y.shape, (len(split), data.n_out), "shape of the targets")
                expect(bool(np.all(np.isfinite(split.y))), "targets are not finite")
        if data.kind == CLASSIFICATION:
            expect_equal(len(set(data.train.y.tolist())), data.n_out, "classes in the training split")

    def test_loads_the_same_split_every_time(self) -> None:
        first, second = self._load(), self._load()
        expect_equal(first.fingerprint, second.fingerprint, "training or validation rows differ")
        expect(bool(np.array_equal(first.test.x, second.test.x)), "test rows differ")

    def test_does_not_change_global_random_state(self) -> None:
        with untouched_random_state():
            self.task().load()

    def test_fresh_processes_load_the_same_split(self) -> None:
        expect_equal(self.fresh_transcript(), self.transcript(), "a new process loads different rows")

    def transcript(self) -> str:
        return self._load().fingerprint

    def _load(self) -> Dataset:
        data = self.task().load()
        expect_type(data, Dataset, "load()")
        return data
