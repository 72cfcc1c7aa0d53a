"""What the estimator's version, a part of every cache key, follows."""

from __future__ import annotations

import json
import os
from pathlib import Path

from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls_plugins.estimators.hls_model import Calibration, HlsModelEstimator, read_calibration
from hwnas_hls_plugins.estimators.hls_model.estimator import HlsModelConfig
from hwnas_hls_plugins.estimators.hls_model.keys import Flow, Group


def _written(path: Path, lut_factor: float) -> Path:
    shipped = read_calibration()
    other = Calibration(
        shipped.name,
        shipped.laws,
        {**shipped.factors, Group(Flow.CSYNTH, "latency"): {"lut": lut_factor}},
        shipped.bands,
        shipped.seen,
        shipped.provenance,
    )
    path.write_text(json.dumps(other.to_json()))
    return path


def _version(path: Path | str) -> str:
    return HlsModelEstimator(HlsModelConfig(calibration=str(path))).version


def test_the_version_names_the_calibration_that_ships() -> None:
    assert read_calibration().hash in HlsModelEstimator().version
    assert HlsModelEstimator().version == HlsModelEstimator().version


def test_the_version_follows_a_calibration_of_the_users(tmp_path: Path) -> None:
    one, two = _written(tmp_path / "one.json", 0.1), _written(tmp_path / "two.json", 0.2)
    same = _written(tmp_path / "same.json", 0.1)
    assert len({HlsModelEstimator().version, _version(one), _version(two)}) == 3
    assert _version(same) == _version(one), "the name of a file decides no number"


def test_a_rewritten_calibration_is_read_again(tmp_path: Path) -> None:
    path = _written(tmp_path / "own.json", 0.1)
    before = _version(path)
    _written(path, 0.2)
    os.utime(path, ns=(1, 1))
    assert _version(path) != before
    path.unlink()
    with refused(ErrorKind.NOT_ACCESSIBLE, where=str(path)):
        _version(path)
