"""The metrics of predictions: their names, and the settings that a task gives them. Free of numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSIFICATION = "classification"
REGRESSION = "regression"
#: Metrics by the kind of task; one per class is added by :func:`names_of`.
BY_KIND = {
    CLASSIFICATION: ("accuracy", "auc", "balanced_accuracy", "f1", "efficiency_at_fpr"),
    REGRESSION: ("r2", "rmse"),
}
#: Followed by the name of a class: the share of its rows that are classified correctly.
OF_CLASS = "accuracy_of_"
#: The metric whose threshold a false positive rate sets.
RATE_METRIC = "efficiency_at_fpr"
DEFAULT_FALSE_POSITIVE_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Scoring:
    """The settings of the metrics of one task.

    Args:
        kind: ``classification`` or ``regression``.
        labels: class names in output order; empty for regression.
        signal: number of the signal class; ``None`` means the second of two classes and, of more classes,
            the average over each one against the rest.
        false_positive_rate: share of the rows of other classes that ``efficiency_at_fpr`` accepts.
    """

    kind: str
    labels: tuple[str, ...] = ()
    signal: int | None = None
    false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE

    @property
    def names(self) -> tuple[str, ...]:
        """All metrics of this task."""
        return (*BY_KIND[self.kind], *(f"{OF_CLASS}{label}" for label in self.labels))

    @property
    def positives(self) -> tuple[int, ...]:
        """The classes whose metrics are averaged."""
        if self.signal is not None:
            return (self.signal,)
        return (1,) if len(self.labels) == 2 else tuple(range(len(self.labels)))

    def check(self, metric: str, where: str) -> None:
        """Check that a metric exists for this task.

        Raises:
            UserError: it does not.
        """
        if metric not in self.names:
            raise UserError(f"not a metric of a {self.kind}", where=where, found=metric, choices=self.names)

    def check_rows(self, metric: str, y: NDArray[Any], where: str) -> None:
        """Check that a metric is defined on rows with these labels.

        Raises:
            UserError: a class has no rows, or no other class has.
        """
        if self.kind != CLASSIFICATION or metric == "accuracy":
            return
        present = set(y.tolist())
        wanted = set(self.positives)
        if metric.startswith(OF_CLASS):
            wanted = {self.labels.index(metric.removeprefix(OF_CLASS))}
        missing = sorted(wanted - present)
        if missing or (metric in ("auc", "efficiency_at_fpr") and len(present) < 2):
            raise UserError(
                f"{metric} needs rows of every class that it compares",
                kind=ErrorKind.TOO_FEW,
                where=where,
                found=f"no rows of {', '.join(repr(self.labels[number]) for number in missing)}"
                if missing
                else "rows of one class only",
            )
