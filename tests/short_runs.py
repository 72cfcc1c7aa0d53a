"""Settings that make the trainings of a run short."""

from __future__ import annotations

#: Flags of ``hwnas-hls run``.
SHORT_TRAINING = (
    *("--set", "estimators.training.epochs=2", "--set", "export.training.epochs=2"),
    *("--set", "estimators.training.descent_epochs=1", "--set", "estimators.training.descent_step=0.5"),
    *("--set", "estimators.training.dense_rows=0"),
)
