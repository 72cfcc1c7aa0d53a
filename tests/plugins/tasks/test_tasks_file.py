"""The task ``file``: what users bring as CSV, NPZ and Parquet, and what it says where it cannot be used."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusal import refused

from hwnas_hls.cli.main import invoke
from hwnas_hls.errors import EXIT_USER, ErrorKind, UserError
from hwnas_hls.evidence.data_warnings import data_warnings
from hwnas_hls.protocols.task import Dataset
from hwnas_hls.spec.configuration import from_table
from hwnas_hls_plugins.tasks.file_task import SUFFIXES, FileConfig, FileTask, csv_table, table

NINE = np.ones((9, 2))
Write = Callable[[pd.DataFrame, Path], Path]


def load(path: Path | str, **more: Any) -> Dataset:
    return FileTask(from_table(FileConfig, {"path": str(path), **more}, "task")).load()


def frame(n_rows: int = 60, n_features: int = 3, classes: int = 3, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        rng.standard_normal((n_rows, n_features)), columns=[f"f{n}" for n in range(n_features)]
    )
    data["label"] = np.arange(n_rows) % classes
    return data


def write_csv(data: pd.DataFrame, folder: Path) -> Path:
    data.to_csv(folder / "data.csv", index=False)
    return folder / "data.csv"


def write_parquet(data: pd.DataFrame, folder: Path) -> Path:
    data.to_parquet(folder / "data.parquet")
    return folder / "data.parquet"


def write_npz(data: pd.DataFrame, folder: Path) -> Path:
    label = data["label"].to_numpy()
    if label.dtype == object or label.dtype.kind not in "biuf":
        label = label.astype(np.str_)
    features = data.drop(columns="label")
    np.savez(folder / "data.npz", X=features.to_numpy(), y=label, feature_names=np.array(list(features)))
    return folder / "data.npz"


def write_gz(data: pd.DataFrame, folder: Path) -> Path:
    data.to_csv(folder / "data.csv.gz", index=False)
    return folder / "data.csv.gz"


def write_feather(data: pd.DataFrame, folder: Path) -> Path:
    data.to_feather(folder / "data.feather")
    return folder / "data.feather"


def write_npy(data: pd.DataFrame, folder: Path) -> Path:
    np.save(folder / "data.npy", data.to_records(index=False))
    return folder / "data.npy"


def write_h5(data: pd.DataFrame, folder: Path) -> Path:
    with h5py.File(folder / "data.h5", "w") as file:
        for name in data:
            file[f"events/{name}"] = data[name].to_numpy()
    return folder / "data.h5"


def write_compound(data: pd.DataFrame, folder: Path) -> Path:
    with h5py.File(folder / "data.hdf5", "w") as file:
        file["table"] = data.to_records(index=False)
    return folder / "data.hdf5"


def write_pairs(data: pd.DataFrame, folder: Path) -> Path:
    with h5py.File(folder / "pairs.h5", "w") as file:
        features = data.drop(columns="label")
        file["X"], file["y"] = features.to_numpy(), data["label"].to_numpy()
        file["feature_names"] = list(features)
    return folder / "pairs.h5"


def write_root(data: pd.DataFrame, folder: Path) -> Path:
    with uproot.recreate(folder / "data.root") as file:
        file["events"] = {name: data[name].to_numpy() for name in data}
    return folder / "data.root"


def rows_of(data: Dataset) -> list[tuple[Any, ...]]:
    """Every row with its class name, sorted."""
    splits = (data.train, data.validation, data.test)
    return sorted(
        (*x.tolist(), data.labels[y]) for split in splits for x, y in zip(split.x, split.y, strict=True)
    )


# -- round trips -----------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    write=st.sampled_from([write_csv, write_parquet, write_npz]),
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8),
        min_size=2,
        max_size=26,
        unique=True,
    ),
    magnitude=st.integers(-300, 300),
    n_features=st.integers(2, 20),
    seed=st.integers(0, 99),
)
def test_text_labels_and_features_round_trip(
    write: Write, names: list[str], magnitude: int, n_features: int, seed: int
) -> None:
    data = frame(4 * len(names), n_features, len(names), seed)
    data[data.columns[:-1]] *= 10.0**magnitude
    data["f0"] = 7.5
    # A prefix keeps texts such as "1" or "NA" from being numbers or missing values.
    data["label"] = [f"c:{names[number]}" for number in data["label"]]
    with tempfile.TemporaryDirectory() as folder:
        found = load(write(data, Path(folder)))
    assert found.labels == tuple(sorted(set(data["label"])))
    assert found.features == tuple(data.columns[:-1])
    assert rows_of(found) == sorted(map(tuple, data.to_numpy().tolist()))
    mean, scale = found.standardisation
    assert np.isfinite((found.train.x - mean) / scale).all()
    for split in (found.train, found.validation, found.test):
        assert set(split.y) == set(range(len(names)))


ALL_FORMATS = [write_csv, write_parquet, write_npz, write_gz, write_feather, write_npy]
ALL_FORMATS += [write_h5, write_compound, write_pairs, write_root]


@pytest.mark.parametrize("write", ALL_FORMATS)
def test_all_formats_give_the_same_data(write: Write, tmp_path: Path) -> None:
    data, reference = load(write(frame(), tmp_path)), load(write_csv(frame(), tmp_path))
    assert data.fingerprint == reference.fingerprint
    assert np.array_equal(data.test.x, reference.test.x)
    assert (data.labels, data.features, data.kind) == (reference.labels, reference.features, reference.kind)
    assert load(write(frame(), tmp_path), split_seed=1).fingerprint != reference.fingerprint


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_npz])
@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([3, 5, 9], ("3", "5", "9")),
        ([-1, 1], ("-1", "1")),
        ([2, 10, 100], ("2", "10", "100")),
        ([0.0, 1.0, 2.0], ("0", "1", "2")),
        ([True, False], ("False", "True")),
        (["no", "yes"], ("no", "yes")),
        (["b", "a", "A", "NA"], ("A", "NA", "a", "b")),
        (["Ä ö", "日本", "x, y"], ("x, y", "Ä ö", "日本")),
        ([chr(65 + n) for n in range(26)], tuple(chr(65 + n) for n in range(26))),
        (list(range(26)), tuple(str(n) for n in range(26))),
    ],
)
def test_labels_of_every_kind(
    write: Write, values: list[Any], labels: tuple[str, ...], tmp_path: Path
) -> None:
    data = frame(6 * len(values))
    data["label"] = [values[n % len(values)] for n in range(len(data))]
    found = load(write(data, tmp_path))
    assert (found.kind, found.labels, found.n_out) == ("classification", labels, len(labels))
    by_x = {tuple(row[:-1]): str(row[-1]) for row in data.itertuples(index=False)}
    for x, y in zip(found.test.x, found.test.y, strict=True):
        assert found.labels[y] == by_x[tuple(x)].removesuffix(".0")


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_npz])
def test_numbers_that_are_no_classes_are_targets(write: Write, tmp_path: Path) -> None:
    data = frame(100)
    data["label"] = np.linspace(-5.5, 9.25, 100)
    found = load(write(data, tmp_path))
    assert (found.kind, found.metric, found.direction) == ("regression", "r2", "max")
    assert (found.labels, found.n_out, found.train.y.shape) == ((), 1, (60, 1))
    by_x = {tuple(row[:-1]): row[-1] for row in data.itertuples(index=False)}
    assert all(by_x[tuple(x)] == y[0] for x, y in zip(found.test.x, found.test.y, strict=True))
    data["label"] = np.arange(100)
    assert load(write(data, tmp_path)).kind == "regression"
    data["label"] = np.arange(100) % 7
    assert load(write(data, tmp_path), kind="regression").kind == "regression"


@pytest.mark.parametrize("unit", [1e-140, 1e140])
def test_targets_of_any_range_that_can_be_squared(unit: float, tmp_path: Path) -> None:
    data = frame().assign(label=np.linspace(1.0, 2.5, 60) * unit)
    found = load(write_csv(data, tmp_path))
    mean, scale = found.target_standardisation
    assert ((found.train.y - mean) / scale).std() == pytest.approx(1.0)
    assert np.isfinite(((found.test.y - found.test.y.mean()) ** 2).sum())
    data["label"] *= unit
    with refused(ErrorKind.INVALID, mentions=["'label'", "2.5e+280" if unit > 1 else "2.5e-280"]):
        load(write_csv(data, tmp_path))


def test_several_targets(tmp_path: Path) -> None:
    data = frame().assign(second=np.arange(60) * 0.5)
    found = load(write_csv(data, tmp_path), label=["second", "label"])
    assert (found.kind, found.n_out, found.features) == ("regression", 2, ("f0", "f1", "f2"))
    assert set(
        np.diff(np.sort(np.concatenate([s.y[:, 0] for s in (found.train, found.validation, found.test)])))
    ) == {0.5}
    np.savez(tmp_path / "two.npz", X=data[["f0", "f1"]], y=data[["second", "label"]])
    assert load(tmp_path / "two.npz").n_out == 2


def test_one_hot_labels_are_classes(tmp_path: Path) -> None:
    data = frame()
    np.savez(tmp_path / "hot.npz", X=data[["f0", "f1"]], y=np.eye(3)[data["label"]])
    found = load(tmp_path / "hot.npz")
    assert (found.kind, found.labels) == ("classification", ("y0", "y1", "y2"))
    hot = pd.concat(
        [data.drop(columns="label"), pd.get_dummies(data["label"].map(list("abc").__getitem__))], axis=1
    )
    found = load(write_csv(hot.astype(float), tmp_path), label=["a", "b", "c"])
    assert (found.kind, found.labels) == ("classification", ("a", "b", "c"))
    found = load(
        write_csv(hot.astype(float)[:59], tmp_path), label=["a", "b"], kind="regression", split_seed=1
    )
    assert (found.kind, found.n_out, found.features[-1]) == ("regression", 2, "c")


# -- CSV dialects ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dialect",
    [
        {"sep": ","},
        {"sep": ";"},
        {"sep": "\t"},
        {"sep": "|"},
        {"sep": " "},
        {"sep": ";", "quoting": 1},
        {"lineterminator": "\r\n"},
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
        {"header": False},
        {"header": False, "sep": ";"},
        {"index": True},
    ],
    ids=str,
)
def test_csv_dialects_need_no_settings(dialect: dict[str, Any], tmp_path: Path) -> None:
    data = frame()
    data.to_csv(tmp_path / "data.csv", **{"index": False, **dialect})
    found = load(tmp_path / "data.csv")
    expected = [f"column_{n}" for n in range(3)] if "header" in dialect else ["f0", "f1", "f2"]
    assert list(found.features) == expected
    assert rows_of(found) == rows_of(load(write_parquet(data, tmp_path)))
    assert ("row index" in found.source) == ("index" in dialect)


def test_csv_settings(tmp_path: Path) -> None:
    data = frame()
    reference = rows_of(load(write_csv(data, tmp_path)))
    data.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",")
    detected = load(tmp_path / "comma.csv")
    assert rows_of(detected) == rows_of(load(tmp_path / "comma.csv", decimal=",")) == reference
    assert "numbers with a decimal comma" in detected.source
    with refused(ErrorKind.INVALID, mentions=["decimal = ','"]):
        load(tmp_path / "comma.csv", decimal=".")
    data.rename(columns={"f0": "größe"}).to_csv(tmp_path / "latin.csv", index=False, encoding="latin-1")
    with refused(ErrorKind.WRONG_FORMAT, mentions=["utf-8", "encoding = 'latin-1'"]):
        load(tmp_path / "latin.csv")
    assert load(tmp_path / "latin.csv", encoding="latin-1").features[0] == "größe"
    data.to_csv(tmp_path / "tilde.csv", index=False, sep="~")
    with refused(ErrorKind.TOO_FEW, where=str(tmp_path / "tilde.csv")):
        load(tmp_path / "tilde.csv")
    assert rows_of(load(tmp_path / "tilde.csv", delimiter="~")) == reference


def test_a_header_of_numbers_is_a_header_and_a_row_of_numbers_is_not(tmp_path: Path) -> None:
    data = frame()
    data.columns = pd.Index(["0", "1", "2", "target"])
    assert load(write_csv(data, tmp_path)).features == ("0", "1", "2")
    (tmp_path / "plain.csv").write_text("1,2,3,0\n4,5,6,1\n" * 10)
    found = load(tmp_path / "plain.csv")
    assert len(found.train) + len(found.validation) + len(found.test) == 20
    found = load(tmp_path / "plain.csv", header="yes", label="0")
    assert len(found.train) + len(found.validation) + len(found.test) == 19


# -- which column is what ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["label", "Target", "CLASS", "y", "labels"])
def test_a_label_column_of_a_usual_name_is_found_anywhere(name: str, tmp_path: Path) -> None:
    data = frame().rename(columns={"label": name})[[name, "f1", "f0"]]
    found = load(write_csv(data, tmp_path))
    assert found.features == ("f1", "f0")
    assert f"label column {name!r}" in found.source


def test_the_only_text_column_is_the_label(tmp_path: Path) -> None:
    data = frame().rename(columns={"label": "species"})[["f0", "species", "f1"]]
    with refused(ErrorKind.AMBIGUOUS, mentions=["'f0', 'species', 'f1'"]):
        load(write_csv(data, tmp_path))
    data["species"] = data["species"].map(list("abc").__getitem__)
    assert load(write_csv(data, tmp_path)).labels == ("a", "b", "c")


def test_two_usual_names_leave_a_doubt_but_y_may_be_a_coordinate(tmp_path: Path) -> None:
    data = frame().assign(target=1.5)
    with refused(ErrorKind.AMBIGUOUS, found="'label', 'target'"):
        load(write_csv(data, tmp_path))
    assert load(write_csv(data, tmp_path), label="label").n_in == 4
    assert load(write_csv(data, tmp_path), label="label", ignore=["target"]).n_in == 3
    assert load(write_csv(frame().rename(columns={"f0": "x", "f1": "y"}), tmp_path)).features == (
        "x",
        "y",
        "f2",
    )


def test_a_table_without_header_and_with_whole_numbers_last(tmp_path: Path) -> None:
    data = frame()
    data.to_csv(tmp_path / "bare.csv", index=False, header=False)
    assert "label column 'column_3'" in load(tmp_path / "bare.csv").source
    data["label"] += 0.5
    data.to_csv(tmp_path / "bare.csv", index=False, header=False)
    with refused(ErrorKind.AMBIGUOUS, mentions=["'column_3'"]):
        load(tmp_path / "bare.csv")
    assert load(tmp_path / "bare.csv", label="column_3").kind == "regression"


# -- splits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_csv, write_parquet])
@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("Train", "val", "TEST"), ("training", "valid", "test")]
)
def test_a_split_column_is_kept(write: Write, names: tuple[str, str, str], tmp_path: Path) -> None:
    data = frame().assign(part=[names[0]] * 30 + [names[1]] * 12 + [names[2]] * 18)
    found = load(write(data, tmp_path), split_column="part")
    for split, rows in ((found.train, data[:30]), (found.validation, data[30:42]), (found.test, data[42:])):
        assert split.x.tolist() == rows[["f0", "f1", "f2"]].to_numpy().tolist()
        assert split.y.tolist() == rows["label"].tolist()
    assert found.features == ("f0", "f1", "f2")
    # A column called split that holds nothing but splits needs no setting.
    renamed = write(data.rename(columns={"part": "split"}), tmp_path)
    assert load(renamed).fingerprint == found.fingerprint


def test_validation_is_drawn_from_training_where_it_is_not_given(tmp_path: Path) -> None:
    data = frame(100, classes=4).assign(split=["train"] * 80 + ["test"] * 20)
    found = load(write_csv(data, tmp_path))
    assert [len(found.train), len(found.validation), len(found.test)] == [60, 20, 20]
    assert found.test.x.tolist() == data[80:][["f0", "f1", "f2"]].to_numpy().tolist()
    assert "for validation" in found.source


def test_a_test_file(tmp_path: Path) -> None:
    data = frame(100, classes=4)
    write_csv(data[:80], tmp_path)
    # Other order of columns, other format: names decide.
    data[80:][["label", "f2", "f0", "f1"]].to_parquet(tmp_path / "test.parquet")
    found = load(tmp_path / "data.csv", test_path=str(tmp_path / "test.parquet"))
    assert [len(found.train), len(found.validation), len(found.test)] == [60, 20, 20]
    assert found.test.x.tolist() == data[80:][["f0", "f1", "f2"]].to_numpy().tolist()
    assert found.test.y.tolist() == data[80:]["label"].tolist()
    assert "test.parquet" in found.source


@pytest.mark.parametrize(
    ("test_columns", "data_columns", "kind", "named"),
    [
        ({"f1": None}, {}, ErrorKind.UNKNOWN_NAME, "f1"),
        ({"label": 9}, {}, ErrorKind.MISMATCH, "'9'"),
        ({"label": "a"}, {}, ErrorKind.MISMATCH, "'label'"),
        ({"f1": np.nan}, {}, ErrorKind.INVALID, "'f1'"),
        ({}, {"split": ["train", "test"] * 40}, ErrorKind.CONFLICT, "test.csv"),
    ],
    ids=str,
)
def test_test_files_that_do_not_fit(
    test_columns: dict[str, Any], data_columns: dict[str, Any], kind: ErrorKind, named: str, tmp_path: Path
) -> None:
    data = frame(100, classes=4)
    write_csv(data[:80].assign(**data_columns), tmp_path)
    test = data[80:].assign(**test_columns)
    if None in test_columns.values():
        test = test.drop(columns=list(test_columns))
    test.to_csv(tmp_path / "test.csv", index=False)
    with refused(kind, mentions=[named]):
        load(tmp_path / "data.csv", test_path=str(tmp_path / "test.csv"))


def test_split_arrays_of_an_archive(tmp_path: Path) -> None:
    data = frame()
    x, y = data[["f0", "f1", "f2"]].to_numpy(), data["label"].to_numpy()
    np.savez(
        tmp_path / "parts.npz",
        **{
            "X_train": x[:30],
            "y_train": y[:30],
            "x_val": x[30:40],
            "y_val": y[30:40],
            "x_test": x[40:],
            "Y_test": y[40:],
        },
    )
    found = load(tmp_path / "parts.npz")
    assert np.array_equal(found.train.x, x[:30])
    assert np.array_equal(found.validation.y, y[30:40])
    assert np.array_equal(found.test.x, x[40:])
    np.savez(tmp_path / "images.npz", x=x.reshape(60, 3, 1), y=y.reshape(60, 1))
    assert load(tmp_path / "images.npz").n_in == 3


# -- what cannot be used ------------------------------------------------------------------------------


def spoilt(**columns: Any) -> pd.DataFrame:
    data = frame()
    for name, values in columns.items():
        data[name] = values
    return data


def with_value(name: str, row: int, value: Any) -> pd.DataFrame:
    data = frame()
    data[name] = data[name].astype(object if isinstance(value, str) else float)
    data.loc[[row, row + 5], name] = value
    return data


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_npz])
@pytest.mark.parametrize(
    ("data", "kind", "named"),
    [
        (with_value("f1", 6, np.nan), ErrorKind.INVALID, ["'f1'", "2 missing", "60 rows", "row 7"]),
        (with_value("f1", 6, np.inf), ErrorKind.INVALID, ["'f1'", "2 infinite", "60 rows", "row 7"]),
        (with_value("f2", 3, -np.inf), ErrorKind.INVALID, ["'f2'", "2 infinite", "row 4"]),
        (with_value("f0", 3, 1e308), ErrorKind.INVALID, ["'f0'", "1e+307"]),
        (with_value("label", 8, np.nan), ErrorKind.INVALID, ["2 of 60 rows", "row 9"]),
        (spoilt(label=4), ErrorKind.TOO_FEW, ["4"]),
        (spoilt(label=1.5), ErrorKind.TOO_FEW, ["1.5"]),
        (spoilt(f0=7, f1=0.5, f2=-1), ErrorKind.INVALID, ["f0", "f1", "f2"]),
        (spoilt(label=[0] * 58 + [1] * 2), ErrorKind.TOO_FEW, ["3 rows", "'1' (2)", "kind = 'regression'"]),
        (spoilt(label=[f"row {n}" for n in range(60)]), ErrorKind.TOO_LARGE, ["60 different values"]),
        (frame(2, classes=2), ErrorKind.TOO_FEW, ["3 rows"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_unusable_values_are_named(
    write: Write, data: pd.DataFrame, kind: ErrorKind, named: list[str], tmp_path: Path
) -> None:
    path = write(data, tmp_path)
    with refused(kind, mentions=[path, *named]):
        load(path)


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_npz])
@pytest.mark.parametrize("text", ["NaN", "nan", "N/A", "#N/A", "null", " NULL "])
def test_text_for_a_missing_label_is_not_a_class(write: Write, text: str, tmp_path: Path) -> None:
    data = frame()
    data["label"] = np.array(["electron", "muon", "jet"] * 20, dtype=object)
    data.loc[[8, 20, 31], "label"] = text
    with refused(ErrorKind.INVALID, mentions=["3 of 60 rows", "data row 9", repr(text.strip())]):
        load(write(data, tmp_path))


@pytest.mark.parametrize("write", [write_csv, write_parquet])
@pytest.mark.parametrize("text", ["red", "?", "1.2.3"])
def test_a_feature_of_text_is_named(write: Write, text: str, tmp_path: Path) -> None:
    data = frame()
    data["f1"] = data["f1"].astype(str)
    data.loc[4, "f1"] = text
    data["label"] = data["label"].map(list("abc").__getitem__)
    with refused(ErrorKind.INVALID, mentions=["'f1'", repr(text), "data row 5"]):
        load(write(data, tmp_path))
    assert load(write(data, tmp_path), ignore="f1").features == ("f0", "f2")


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ("", ErrorKind.MISSING, []),
        (" \n\n", ErrorKind.MISSING, []),
        ("a,b,label\n", ErrorKind.MISSING, []),
        ("label\n1\n2\n1\n", ErrorKind.TOO_FEW, ["'label'"]),
        ("label,split\n" + "a,train\nb,train\na,test\nb,test\n" * 9, ErrorKind.MISSING, ["label, split"]),
        ("a,a,label\n" + "1,2,x\n2,3,y\n" * 9, ErrorKind.AMBIGUOUS, ["'a'"]),
        ("a,b,label\n" + "1,2,x\n2,3,y\n" * 9 + "1,2\n", ErrorKind.WRONG_FORMAT, ["#20", "3", "2"]),
        ("a,b,label\n" + "1,2,x\n2,3,y\n" * 99 + "1,2,3,4\n", ErrorKind.WRONG_FORMAT, ["#200", "3", "4"]),
        ("a,split,label\n" + "1,train,x\n2,train,y\n" * 9, ErrorKind.MISSING, ["'test'"]),
        ("a,b\n" + "1,2\n2,3\n" * 9, ErrorKind.AMBIGUOUS, ["'a', 'b'"]),
    ],
)
def test_unusable_csv_files_are_explained(
    text: str, kind: ErrorKind, named: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text)
    with refused(kind, mentions=[path, *named]):
        load(path)


@pytest.mark.parametrize(
    ("more", "kind", "values"),
    [
        ({"label": "labl"}, ErrorKind.UNKNOWN_NAME, {"near": "label"}),
        ({"label": ["label", "nope"]}, ErrorKind.UNKNOWN_NAME, {"found": "nope"}),
        ({"split_column": "nope"}, ErrorKind.UNKNOWN_NAME, {"found": "nope"}),
        ({"split_column": "f0"}, ErrorKind.UNKNOWN_NAME, {"mentions": ["'f0'", "train", "test"]}),
        ({"ignore": ["f0", "f1", "f2"]}, ErrorKind.MISSING, {"found": "label"}),
        ({"ignore": "label"}, ErrorKind.AMBIGUOUS, {"mentions": ["'f0', 'f1', 'f2'"]}),
        ({"kind": "clustering"}, ErrorKind.UNKNOWN_NAME, {"found": "'clustering'"}),
        ({"delimiter": ",,"}, ErrorKind.INVALID, {"where": "task.delimiter", "found": "',,'"}),
        ({"delimiter": ",", "decimal": ","}, ErrorKind.CONFLICT, {"found": ","}),
        ({"encoding": "klingon"}, ErrorKind.UNKNOWN_NAME, {"found": "klingon"}),
        ({"split_seed": -1}, ErrorKind.INVALID, {"found": -1}),
        ({"test_path": "nowhere.csv"}, ErrorKind.MISSING, {"where": "nowhere.csv"}),
        ({"path": ""}, ErrorKind.MISSING, {"where": "task.path"}),
        ({"labels": "label"}, ErrorKind.UNKNOWN_NAME, {"near": "label"}),
    ],
    ids=str,
)
def test_wrong_settings_are_explained(
    more: dict[str, Any], kind: ErrorKind, values: dict[str, Any], tmp_path: Path
) -> None:
    path = write_csv(frame(), tmp_path)
    with refused(kind, **values):
        load(**{"path": path, **more})


def test_text_targets_are_refused(tmp_path: Path) -> None:
    data = frame().assign(label=["a", "b"] * 30)
    with refused(ErrorKind.INVALID, mentions=["'a'", "kind = 'classification'"]):
        load(write_csv(data, tmp_path), kind="regression")
    with refused(ErrorKind.INVALID, found="f0, f1", mentions=["kind = 'regression'"]):
        load(write_csv(frame(), tmp_path), label=["f0", "f1"], kind="classification")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".xlsx", ""])
def test_paths_without_data_file_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{suffix}"
    with refused(ErrorKind.MISSING, where=str(path)):
        load(path)
    path.mkdir()
    with refused(ErrorKind.NOT_ACCESSIBLE, where=str(path)):
        load(path)
    path.rmdir()
    path.touch()
    with refused(ErrorKind.MISSING, where=str(path)):
        load(path)
    os.mkfifo(tmp_path / f"pipe{suffix}")
    with refused(ErrorKind.NOT_ACCESSIBLE, where=str(tmp_path / f"pipe{suffix}")):
        load(tmp_path / f"pipe{suffix}")
    path.write_text("hello")
    with pytest.raises(UserError):
        load(path)


def test_an_unknown_suffix_names_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "data.xlsx").write_bytes(b"PK")
    with refused(ErrorKind.UNKNOWN_NAME, found=".xlsx", choices=[*SUFFIXES]):
        load(tmp_path / "data.xlsx")


@settings(max_examples=40, deadline=None)
@given(
    raw=st.binary(min_size=1, max_size=400),
    start=st.sampled_from([b"", b"PK\x03\x04", b"PAR1", b"a,b,label\n1,2,x\n", b"\x93NUMPY", b"\xff\xfe"]),
    suffix=st.sampled_from([".csv", ".csv.gz", ".npz", ".npy", ".parquet", ".feather", ".h5", ".root"]),
)
def test_arbitrary_bytes_give_error_message(raw: bytes, start: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data{suffix}"
        path.write_bytes(start + raw)
        with pytest.raises(UserError):
            load(path)


@pytest.mark.parametrize("write", [write_npz, write_parquet])
@pytest.mark.parametrize("cut", [10, 200, -30])
def test_truncated_or_altered_file_is_refused(write: Write, cut: int, tmp_path: Path) -> None:
    path = write(frame(), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        load(path)


@pytest.mark.parametrize(
    ("arrays", "kind", "named"),
    [
        ({"X": np.ones((9, 2))}, ErrorKind.MISSING, ["X"]),
        ({"y": np.ones(9)}, ErrorKind.MISSING, ["y"]),
        ({"a": np.ones(9)}, ErrorKind.MISSING, ["a"]),
        ({"X": np.ones((9, 2)), "y": np.ones(8)}, ErrorKind.MISMATCH, ["9", "8"]),
        ({"X": np.ones((9, 2)), "y": np.ones((9, 2, 2))}, ErrorKind.INVALID, ["(9, 2, 2)"]),
        ({"X": np.ones((9, 2), complex), "y": np.arange(9)}, ErrorKind.INVALID, ["complex128"]),
        ({"X": np.array([["a"] * 2] * 9), "y": np.arange(9)}, ErrorKind.INVALID, ["<U1"]),
        ({"X": np.ones((0, 2)), "y": np.ones(0)}, ErrorKind.MISSING, []),
        ({"X": np.ones((9, 2)), "y": np.array([None] * 9)}, ErrorKind.WRONG_FORMAT, ["allow_pickle"]),
        ({"X": NINE, "y": np.arange(9), "x_test": NINE, "y_test": np.ones(9)},
         ErrorKind.CONFLICT, ["x_test"]),
        ({"x_train": NINE, "y_train": np.ones(9), "x_test": np.eye(9), "y_test": np.ones(9)},
         ErrorKind.MISMATCH, ["2", "9"]),
        ({"x_train": np.ones((9, 2)), "y_train": np.arange(9) % 2}, ErrorKind.MISSING, ["'test'"]),
        ({"X": np.ones((9, 2)), "y": np.arange(9), "feature_names": np.array(["a"])},
         ErrorKind.MISMATCH, ["feature_names", "1", "2"]),
    ],
    ids=str,
)  # fmt: skip
def test_unusable_archives_are_explained(
    arrays: dict[str, Any], kind: ErrorKind, named: list[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with refused(kind, mentions=[tmp_path / "data.npz", *named]):
        load(tmp_path / "data.npz")


@pytest.mark.parametrize("name", ["data.csv", "data.tsv", "data.npy", "data.npz", "data.parquet"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n", "git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n", "web page"),
    ],
    ids=["pointer", "web page"],
)
def test_failed_downloads_are_named(name: str, content: bytes, named: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with refused(ErrorKind.WRONG_FORMAT, where=str(tmp_path / name), mentions=[named]):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "kind", "named"),
    [
        ("data.npy", b"x", ErrorKind.WRONG_FORMAT, "b'x'"),
        ("data.npy", b"\x80\x04}\x94.", ErrorKind.WRONG_FORMAT, "not a NumPy array"),
        ("data.tsv", b"x", ErrorKind.TOO_FEW, "only one column"),
        ("data.tsv", b"a,b,label\n1,2,0\n", ErrorKind.TOO_FEW, "only one column"),
        ("data.csv.gz", gzip.compress(os.urandom(9000))[:4000], ErrorKind.DAMAGED, "incomplete"),
        ("data.csv.gz", b"a,b,label\n1,2,0\n", ErrorKind.WRONG_FORMAT, "not a gzip file"),
    ],
)
def test_the_cause_is_that_of_the_file(
    name: str, content: bytes, kind: ErrorKind, named: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with refused(kind, mentions=[named]) as raised:
        load(tmp_path / name)
    assert "allow_pickle" not in str(raised.value)


@pytest.mark.parametrize("name", ["rows.arff", "rows.csv.bz2", "rows.mat"])
def test_an_existing_file_of_another_type_is_no_unknown_task(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"a,b,label\n1,2,0\n")
    monkeypatch.chdir(tmp_path)
    for task in (name, str(tmp_path / name)):
        assert invoke(["run", "--target", "xcvu9p", "--task", task, "--trials", "1"]) == EXIT_USER
        message = capsys.readouterr().err
        assert ".parquet" in message  # the types that can be read
        assert Path(name).suffix in message


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    np.savez(tmp_path / "data.npz", X=np.ones((9, 2)), y=np.array([Trap()] * 9, dtype=object))
    with pytest.raises(UserError):
        load(tmp_path / "data.npz")
    assert not (tmp_path / "sprung").exists()


def test_parquet_columns_of_other_kinds(tmp_path: Path) -> None:
    data = frame()
    data["label"] = pd.Categorical(data["label"].map(list("abc").__getitem__))
    data["f0"] = data["f0"] > 0
    data["f1"] = np.arange(60, dtype=np.uint8)
    found = load(write_parquet(data.set_index(pd.Index(np.arange(60) ** 2, name="number")), tmp_path))
    assert found.labels == ("a", "b", "c")
    assert set(found.train.x[:, 0]) == {0.0, 1.0}
    assert found.features == ("f0", "f1", "f2")
    assert "'number' left out" in found.source
    with refused(ErrorKind.INVALID, mentions=["'f2'", "list<"]):
        load(write_parquet(data.assign(f2=[[1, 2]] * 60), tmp_path))
    with pytest.raises(UserError):
        load(write_parquet(data.assign(f2=pd.Timestamp("2020-01-01")), tmp_path))


def test_more_than_memory_is_bounded_to_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(frame(), tmp_path) for write in (write_csv, write_parquet, write_npz)]
    for path in paths:
        load(path)
    monkeypatch.setattr(table, "MAX_VALUES", 150)
    for path in paths:
        with refused(ErrorKind.TOO_LARGE, mentions=[150]):
            load(path)
    monkeypatch.setattr(table, "MAX_FILE_BYTES", 1000)
    for path in paths:
        with refused(ErrorKind.TOO_LARGE, where=str(path)):
            load(path)


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, X=np.zeros((200_000, 1)), y=np.arange(200_000) % 2)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr("hwnas_hls_plugins.tasks.file_task.npz_table.MAX_VALUES", 200_000)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("unpacked"))
    with refused(ErrorKind.TOO_LARGE, where=str(path)):
        load(path)


def test_an_unreadable_line_far_into_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    text = b"a,b,label\n" + b"1,2,x\n2,3,y\n" * 30_000
    assert len(text) > csv_table._SAMPLE_BYTES
    path.write_bytes(text + "1,2,\xe4\n".encode("latin-1"))
    with refused(ErrorKind.WRONG_FORMAT, mentions=["'label'", "encoding = 'latin-1'"]):
        load(path)
    path.write_bytes(text)
    assert load(path).labels == ("x", "y")


def test_a_column_of_weights_is_no_feature(tmp_path: Path) -> None:
    lines = ["a,b,w,label", *(f"{n},{n % 7},{n % 3},{'no' if n % 2 else 'yes'}" for n in range(60))]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    data = FileTask(FileConfig(path=str(path), weight="w")).load()
    assert data.features == ("a", "b")
    for split in (data.train, data.validation, data.test):
        assert split.weight is not None
        assert (split.weight == split.x[:, 0] % 3).all()
    assert data.fingerprint != FileTask(FileConfig(path=str(path), ignore="w")).load().fingerprint
    path.write_text("\n".join([*lines, "1,2,-1,no"]) + "\n")
    with refused(ErrorKind.INVALID, mentions=["'w'", "-1"]):
        FileTask(FileConfig(path=str(path), weight="w")).load()


def test_one_tree_or_group_of_several_is_named(tmp_path: Path) -> None:
    data = frame()
    columns = {name: data[name].to_numpy() for name in data}
    with uproot.recreate(tmp_path / "two.root") as file:
        file["signal"] = columns
        file["runs"] = {"number": np.arange(3)}
    with refused(ErrorKind.AMBIGUOUS, found="runs, signal", mentions=["task.table"]):
        load(tmp_path / "two.root")
    assert rows_of(load(tmp_path / "two.root", table="signal")) == rows_of(load(write_csv(data, tmp_path)))
    with refused(ErrorKind.UNKNOWN_NAME, found="sgnal", near="signal"):
        load(tmp_path / "two.root", table="sgnal")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        for name, values in columns.items():
            file[f"signal/{name}"] = values
        file["runs/number"] = np.arange(3)
    with refused(ErrorKind.WRONG_FORMAT, mentions=["runs/number (3,)", "set table"]):
        load(tmp_path / "two.h5")
    assert rows_of(load(tmp_path / "two.h5", table="signal")) == rows_of(load(write_csv(data, tmp_path)))


def test_branches_of_vectors_are_left_out_with_a_remark(tmp_path: Path) -> None:
    data = frame(20)
    with uproot.recreate(tmp_path / "jagged.root") as file:
        vectors = {"tracks": np.ones((20, 4))}
        file["events"] = {name: data[name].to_numpy() for name in data} | vectors
    found = load(tmp_path / "jagged.root")
    assert found.features == ("f0", "f1", "f2")
    assert "1 branches of vectors or objects left out: tracks" in found.source


def test_an_array_of_rows_has_its_label_last(tmp_path: Path) -> None:
    data = frame(60)
    np.save(tmp_path / "rows.npy", data.to_numpy())
    found = load(tmp_path / "rows.npy")
    assert (found.features, found.labels) == (("column_0", "column_1", "column_2"), ("0", "1", "2"))
    np.save(tmp_path / "cube.npy", np.ones((3, 3, 3)))
    with refused(ErrorKind.WRONG_FORMAT, mentions=["(3, 3, 3)"]):
        load(tmp_path / "cube.npy")


@pytest.mark.parametrize("sign", [",", " ", "\t"])
def test_a_header_in_a_comment(sign: str, tmp_path: Path) -> None:
    data = frame()
    header = f"made by savetxt\n{sign.join(data)}"
    np.savetxt(tmp_path / "data.txt", data.to_numpy(), delimiter=sign, header=header)
    found = load(tmp_path / "data.txt")
    assert found.features == ("f0", "f1", "f2")
    assert "header from a line of comment (#)" in found.source
    assert len(found.train) + len(found.validation) + len(found.test) == len(data)
    (tmp_path / "plain.csv").write_text("# a note of any length, with a comma\n" + data.to_csv(index=False))
    assert load(tmp_path / "plain.csv").features == ("f0", "f1", "f2")


def test_values_that_stand_for_missing_ones_are_warned_of(tmp_path: Path) -> None:
    data = frame()
    assert load(write_csv(data, tmp_path)).warnings == ()
    data.loc[3:7, "f1"] = -999
    data["f2"] = np.arange(len(data)) * 20 - 999  # -999 is one of many values
    (words,) = load(write_csv(data, tmp_path)).warnings
    assert "f1 (-999 in 5 rows)" in words
    assert "f2" not in words
    assert words in data_warnings(load(write_csv(data, tmp_path)))


def test_a_file_that_unpacks_to_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gz(frame(500), tmp_path)
    monkeypatch.setattr(csv_table, "MAX_FILE_BYTES", 10_000)
    with refused(ErrorKind.TOO_LARGE, where=str(path)):
        load(path)
