"""The calibration rows as queries, at every level of knowledge the data allow."""

from __future__ import annotations

import csv
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas_hls.hls4ml.query import Query
from hwnas_hls_plugins.estimators.hls_model.foreign_rows import own_row
from hwnas_hls_plugins.estimators.hls_model.rows import query_of_row

TRUTH = {
    "latency_cycles": "latency_cycles_max",
    "ii_cycles": "ii_min",
    "lut": "lut",
    "ff": "ff",
    "dsp": "dsp",
    "bram_18k": "bram18",
}


def data_folder() -> Path:
    """First argument, or HWNAS_CALIBRATION_DIR; holds ``designs.csv`` and ``weights/``."""
    text = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("HWNAS_CALIBRATION_DIR", "")
    folder = Path(text) if text else Path("missing")
    if not (folder / "designs.csv").is_file():
        sys.exit("give the folder of designs.csv as the first argument or in HWNAS_CALIBRATION_DIR")
    return folder


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One design as the report's author knew it."""

    query: Query
    family: str
    shape: str
    raw: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Designs with their reports.

    Args:
        queries: the designs.
        families: source of each.
        truth: metric -> array, NaN where the report does not say.
    """

    queries: Sequence[Query]
    families: Sequence[str]
    truth: Mapping[str, np.ndarray]


def read_rows(folder: Path) -> list[Row]:
    """All rows with the best knowledge there is."""
    with (folder / "designs.csv").open(newline="") as file:
        raw = list(csv.DictReader(file))
    return [
        Row(query_of_row(own_row(row), folder / "weights"), row["family"], row["layers"], row) for row in raw
    ]


def strip(query: Query, knowledge: int) -> Query | None:
    """The query with no more than ``knowledge`` (0, 1 non-zeros, 2 weights); ``None`` if it has less."""
    layers = query.layers
    if knowledge == 2:
        return query if all(layer.weights is not None for layer in layers) else None
    if knowledge == 1:
        counts = [
            int(np.count_nonzero(layer.weights)) if layer.weights is not None else layer.n_nonzeros
            for layer in layers
        ]
        if any(count is None for count in counts):
            return None
        kept = [
            dataclasses.replace(layer, weights=None, biases=None, n_nonzeros=count)
            for layer, count in zip(layers, counts, strict=True)
        ]
    else:
        kept = [dataclasses.replace(layer, weights=None, biases=None, n_nonzeros=None) for layer in layers]
    return dataclasses.replace(query, layers=tuple(kept))


def measured(rows: list[Row], knowledge: int) -> tuple[Measured, list[int]]:
    """Rows at one level of knowledge, and their places in ``rows``."""
    places, queries = [], []
    for place, row in enumerate(rows):
        query = strip(row.query, knowledge)
        if query is not None and not query.blockers:
            places.append(place)
            queries.append(query)
    truth = {
        metric: np.array([_number(rows[place].raw.get(column, "")) for place in places])
        for metric, column in TRUTH.items()
    }
    return Measured(queries, [rows[place].family for place in places], truth), places


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
