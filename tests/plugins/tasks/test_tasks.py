"""The built-in tasks: their data, their splits, standardisation over the range of float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import raises_naming, refused
from sklearn.datasets import load_digits

from hwnas_hls.errors import ErrorKind
from hwnas_hls.protocols.task import CLASSIFICATION, REGRESSION, Dataset, Split, Task
from hwnas_hls.spec.configuration import from_table
from hwnas_hls_plugins import hwnas_register_tasks
from hwnas_hls_plugins.tasks.digits import Digits16Task, DigitsConfig, DigitsTask
from hwnas_hls_plugins.tasks.jets import JetsConfig, JetsTask
from hwnas_hls_plugins.tasks.split import shuffled, stratified


def dataset(x: Any, y: Any = None, kind: str = CLASSIFICATION) -> Dataset:
    x = np.asarray(x, np.float64)
    y = np.zeros(len(x), np.int64) if y is None else np.asarray(y)
    split = Split(x, y)
    labels = ("a", "b") if kind == CLASSIFICATION else ()
    return Dataset(split, split, split, kind, labels, tuple(map(str, range(x.shape[1]))), "made up")


def test_tasks_follow_the_protocol() -> None:
    tasks = {cls.name: cls for cls in hwnas_register_tasks()}  # type: ignore[attr-defined]
    assert set(tasks) == {"digits16", "digits", "jets", "file"}
    for name, table in {"digits16": {}, "digits": {}, "jets": {}, "file": {"path": "x.csv"}}.items():
        assert isinstance(tasks[name](from_table(tasks[name].Config, table, "task")), Task)
        with refused(ErrorKind.UNKNOWN_NAME, found="nonsense"):
            from_table(tasks[name].Config, {"nonsense": 1}, "task")


def test_digits16_is_the_mean_of_two_by_two_pixels() -> None:
    data = Digits16Task(DigitsConfig()).load()
    images = load_digits().images
    pooled = np.array(
        [
            [image[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for r in range(4) for c in range(4)]
            for image in images
        ]
    )
    ours = np.concatenate([data.train.x, data.validation.x, data.test.x])
    assert ours.shape == (1797, 16)
    assert sorted(map(tuple, ours)) == sorted(map(tuple, pooled))
    # Rows and labels still belong together.
    of_row = {tuple(row): set() for row in pooled}
    for row, digit in zip(pooled, load_digits().target, strict=True):
        of_row[tuple(row)].add(int(digit))
    assert all(int(y) in of_row[tuple(x)] for x, y in zip(data.test.x, data.test.y, strict=True))


@pytest.mark.parametrize("cls", [Digits16Task, DigitsTask])
def test_digits_are_split_by_class_and_the_same_every_time(cls: type[DigitsTask]) -> None:
    data, again = cls(DigitsConfig()).load(), cls(DigitsConfig()).load()
    assert data.n_in == {"digits16": 16, "digits": 64}[cls.name]
    assert (data.n_out, data.kind, data.metric) == (10, CLASSIFICATION, "accuracy")
    assert data.fingerprint == again.fingerprint
    assert np.array_equal(data.test.x, again.test.x)
    assert data.fingerprint != cls(DigitsConfig(split_seed=1)).load().fingerprint
    sizes = [len(data.train), len(data.validation), len(data.test)]
    assert sum(sizes) == 1797
    assert [round(size / 1797, 2) for size in sizes] == [0.6, 0.2, 0.2]
    for split in (data.validation, data.test):
        shares = np.bincount(split.y) / len(split.y)
        whole = np.bincount(load_digits().target) / 1797
        assert np.abs(shares - whole).max() < 0.004
    assert "60/20/20" in data.source


def test_the_split_is_pinned() -> None:
    """A changed split would silently change every published number, so it is held here."""
    assert [part[:5].tolist() for part in stratified(np.arange(50) % 3, "abc", 0, "here")] == [
        [7, 14, 29, 30, 32],
        [28, 11, 10, 41, 2],
        [38, 22, 4, 35, 26],
    ]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=26),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stratified_split_is_a_partition_with_every_class_everywhere(counts: list[int], seed: int) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(seed).shuffle(y)
    parts = stratified(y, [str(n) for n in range(len(counts))], seed, "here")
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(y)))
    for part in parts:
        assert set(y[part]) == set(range(len(counts)))
    for number, count in enumerate(counts):
        held = [(y[part] == number).sum() for part in parts[1:]]
        assert all(abs(n - 0.2 * count) <= 1 for n in held)


def test_a_split_of_too_few_rows_is_refused() -> None:
    with refused(ErrorKind.TOO_FEW, where="here", mentions=["'b' (2)"]):
        stratified(np.array([0, 0, 0, 1, 1]), ("a", "b"), 0, "here")
    with refused(ErrorKind.TOO_FEW, where="here", found="2 rows"):
        shuffled(2, 0, "here")
    with refused(ErrorKind.INVALID, found=-1, mentions=["split_seed"]):
        DigitsConfig(split_seed=-1)


@settings(max_examples=60, deadline=None)
@given(
    magnitudes=st.lists(st.integers(-320, 306), min_size=1, max_size=6),
    offset=st.floats(-9, 9),
    seed=st.integers(0, 1000),
)
def test_standardisation_is_finite_for_every_range(magnitudes: list[int], offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((40, len(magnitudes))).clip(-4, 4) + offset) * 10.0 ** np.array(
        magnitudes, float
    )
    data = dataset(x)
    mean, scale = data.standardisation
    assert (scale > 0).all()
    z = (x - mean) / scale
    assert np.isfinite(z).all()
    for column, magnitude in zip(z.T, magnitudes, strict=True):
        if magnitude > -280:
            assert column.std() == pytest.approx(1.0, rel=1e-6)
            assert abs(column.mean()) < 1e-6


def test_standardisation_of_constant_and_nearly_constant_columns() -> None:
    noise = 1e300 * (1 + 1e-15 * np.arange(-3, 3))
    x = np.stack([np.full(6, 0.1), np.zeros(6), np.full(6, 1e300), noise, np.arange(6.0)], axis=1)
    data = dataset(x)
    mean, scale = data.standardisation
    assert scale[:3].tolist() == [1.0, 1.0, 1.0]
    z = (x - mean) / scale
    assert (z[:, :3] == 0.0).all()
    assert np.abs(z[:, 3]).max() < 1e-12
    assert z[:, 4].std() == pytest.approx(1.0)


def test_standardisation_looks_at_the_training_split_only() -> None:
    inner = Split(np.array([[0.0], [2.0]]), np.array([0, 1]))
    outer = Split(np.array([[1000.0], [2000.0]]), np.array([0, 1]))
    data = Dataset(inner, outer, outer, CLASSIFICATION, ("a", "b"), ("f",), "made up")
    assert [float(v[0]) for v in data.standardisation] == [1.0, 1.0]


def test_targets_of_a_regression_are_standardised_alike() -> None:
    data = dataset(np.zeros((3, 1)), np.array([[1e305, 1.0], [3e305, 1.0], [5e305, 1.0]]), REGRESSION)
    mean, scale = data.target_standardisation
    assert mean.tolist() == [pytest.approx(3e305), 1.0]
    assert scale[1] == 1.0
    assert ((data.train.y - mean) / scale)[:, 0].std() == pytest.approx(1.0)
    assert data.n_out == 2
    with raises_naming("regression"):
        _ = dataset(np.zeros((3, 1))).target_standardisation


# -- jets: what can be tested without the network ------------------------------------------


def jets_frame(n_rows: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((n_rows, 16)), columns=[f"feature_{n}" for n in range(16)])
    frame["class"] = np.array(list("gqtwz"))[np.arange(n_rows) % 5]
    return frame


def test_jets_are_not_fetched_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *_, **__: pytest.fail("fetched"))
    with refused(ErrorKind.MISSING, mentions=["download = true", "path"]):
        JetsTask(JetsConfig()).load()


@pytest.mark.parametrize(
    "error", [OSError("no route"), ValueError("no such data set"), ConnectionError("reset")]
)
def test_jets_without_network_name_remedy(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fail)
    with refused(ErrorKind.NOT_ACCESSIBLE, where="OpenML 42468", mentions=[error, "path"]):
        JetsTask(JetsConfig(download=True)).load()


def test_jets_as_openml_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.utils import Bunch

    frame = jets_frame()
    asked: dict[str, object] = {}

    def fetch(**arguments: object) -> Bunch:
        asked.update(arguments)
        return Bunch(data=frame.drop(columns="class"), target=frame["class"].astype("category"))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    data = JetsTask(JetsConfig(download=True)).load()
    assert asked["data_id"] == 42468
    assert (data.n_in, data.labels) == (16, ("g", "q", "t", "w", "z"))
    assert [len(data.train), len(data.validation), len(data.test)] == [300, 100, 100]
    where = {tuple(row[:-1]): row[-1] for row in frame.itertuples(index=False)}
    assert all(where[tuple(x)] == data.labels[y] for x, y in zip(data.test.x, data.test.y, strict=True))


def test_jets_from_a_file(tmp_path: Path) -> None:
    jets_frame().to_parquet(tmp_path / "jets.parquet")
    data = JetsTask(JetsConfig(path=str(tmp_path / "jets.parquet"))).load()
    assert (data.n_in, data.n_out, len(data.train)) == (16, 5, 300)
    few = JetsTask(JetsConfig(path=str(tmp_path / "jets.parquet"), rows=100)).load()
    assert [len(few.train), len(few.validation), len(few.test)] == [60, 20, 20]
    assert np.array_equal(few.train.x, data.train.x[:60])
    with refused(ErrorKind.TOO_FEW, where="task.rows", found=2):
        JetsTask(JetsConfig(path=str(tmp_path / "jets.parquet"), rows=2)).load()
    jets_frame().drop(columns="feature_3").to_csv(tmp_path / "other.csv", index=False)
    with refused(ErrorKind.MISMATCH, mentions=["15 features", "5 classes"]):
        JetsTask(JetsConfig(path=str(tmp_path / "other.csv"))).load()
    with refused(ErrorKind.CONFLICT, where="task"):
        JetsConfig(download=True, path="x.csv")


def test_importing_tasks_loads_no_heavy_package() -> None:
    program = (
        "import sys, hwnas_hls_plugins as p; p.hwnas_register_tasks()\n"
        "import hwnas_hls_plugins.estimators.static_cost\n"
        "print([m for m in ('torch','hls4ml','sklearn','pandas','pyarrow','optuna') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
