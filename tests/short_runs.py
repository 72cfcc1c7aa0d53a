"""Settings that make the trainings of a run short."""

from __future__ import annotations

from typing import Any

#: Flags of ``hwnas-hls run``.
SHORT_TRAINING = (
    *("--set", "estimators.training.epochs=2", "--set", "export.training.epochs=2"),
    *("--set", "estimators.training.descent_epochs=1", "--set", "estimators.training.descent_step=0.5"),
    *("--set", "estimators.training.dense_rows=0"),
)

#: Tables of a run on ``digits16`` with trainings that remove adders.
SHORT: dict[str, Any] = {
    "target": {"name": "xcvu9p"},
    "run": {"trials": 8, "batch": 8, "exporters": [], "estimators": ["static", "hls-model", "training"]},
    "export": {"members": 3, "restarts": 2, "csim": False, "training": {"epochs": 10}},
    "estimators": {"training": {"epochs": 10, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}},
    "synthesis": {"synthesizer": "none"},
    "space": {"widths": [4, 8], "max_depth": 1},
}
