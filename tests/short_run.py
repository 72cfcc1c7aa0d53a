"""The tables of a short run on real data, with long trainings that remove adders."""

from __future__ import annotations

from typing import Any

SHORT: dict[str, Any] = {
    "target": {"name": "xcvu9p"},
    "run": {"trials": 30, "batch": 15, "exporters": [], "estimators": ["static", "hls-model", "training"]},
    "export": {"members": 3, "restarts": 2, "csim": False, "training": {"epochs": 10}},
    "estimators": {"training": {"epochs": 10, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}},
    "synthesis": {"synthesizer": "none"},
    "space": {"widths": [8, 16], "max_depth": 1},
}
