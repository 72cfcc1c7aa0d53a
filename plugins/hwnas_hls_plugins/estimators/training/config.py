"""Settings of the training estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hwnas_hls.errors import ErrorKind, UserError

TRAIN_ON = ("train", "train+validation")
KERNELS = ("auto", "native", "torch")
CLASS_WEIGHTS = ("auto", "none", "balanced")
GRAPHS = ("auto", "off")
#: Names of settings, which values are allowed, and these in words.
_RANGES: tuple[tuple[Sequence[str], Callable[[float], bool], str], ...] = (
    (
        ("epochs", "descent_coarse", "descent_epochs", "descent_rows", "group_candidates", "threads"),
        lambda value: value >= 1,
        "at least 1",
    ),
    (
        (
            *("batch_size", "cores", "dense_rows", "descent_price", "descent_rows_per_output"),
            *("group_elements", "max_rows", "max_validation_rows"),
        ),
        lambda value: value >= 0,
        "0 or more",
    ),
    (("learning_rate", "descent_rate"), lambda value: value > 0, "above 0"),
    (("descent_step", "descent_fine"), lambda value: 0 < value < 1, "between 0 and 1"),
    (
        ("beta1", "beta2", "smoothing", "decay", "warmup", "leak", "descent_floor", "descent_regrown"),
        lambda value: 0 <= value < 1,
        "in [0, 1)",
    ),
)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Settings of training, the same for all candidates.

    Args:
        epochs: passes over the training rows.
        batch_size: rows per step; 0 means 64 to 256, depending on the rows of an epoch.
        learning_rate: peak of Adam's rate; see :attr:`warmup`. Weights are trained in units of
            their initial spread, so the same rate works for layers of all widths and precisions.
        beta1, beta2: Adam's decay rates of the averages of the gradient and of its square.
        smoothing: share of each class label that is spread evenly over all classes.
        class_weights: weights of the classes in the loss: ``none``, ``balanced`` (every class counts the
            same in total), a table of class names and weights, in which others count 1, or ``auto``:
            balanced if the task's metric is ``auc``, ``balanced_accuracy`` or ``efficiency_at_fpr``.
        balanced_batches: draw the same number of rows of each class for every step, those of rare classes
            repeatedly, instead of weighting the classes.
        decay: share of a weight lost per step, relative to the learning rate (AdamW).
        warmup: share of the steps over which the rate rises, before its cosine decay.
        rungs: fractions of the training at which ``context.keep`` may stop candidates.
        pruned_by: fraction of the training at which sparse layers have all their zeros, which then
            stay in place.
        leak: share of the gradient that passes through saturated and negative sums at the start;
            it decreases to zero by the middle of the training.
        dense_rows: number of training rows, after the ``epochs``, of a network with all its adders before
            their removal begins.
        descent_step: share of the adders that remain after each round of removal.
        descent_coarse: rounds of removal in one, while more than ``descent_fine`` of the adders are left.
        descent_fine: share of the adders from which on each round removes no more than ``descent_step``.
        descent_epochs: passes over the training rows after each such round, fewer if ``descent_rows`` is
            reached.
        descent_rows: number of training rows after which a round ends with its epoch.
        descent_rows_per_output: as ``descent_rows``, per class or output; the larger number counts.
        descent_floor: share of the way from chance to the best score so far. Designs below it are of no
            use, and a network ends its removal after three of them in a row.
        descent_regrown: share of the adders that each round takes in addition and spends on weights that
            earlier rounds have removed, where less than half of the adders are left; 0 means none.
        descent_rate: learning rate at the start of each round (and of ``dense_rows``), with decay to zero.
        descent_price: the weights of each design of a removal are refined at this loss (in nats, or half
            a squared unit) divided by its LUTs, per LUT, for example 0.1; 0 refines in the export only.
        max_rows: maximum number of training rows per epoch, drawn anew for each; 0 means all.
        max_validation_rows: maximum number of validation rows for the score; 0 means all.
        group_elements: maximum number of activations per step of candidates that train together; 0
            means what fits the processor's caches, or half of a GPU's free memory.
        group_candidates: maximum number of candidates per group.
        train_on: ``train``, or ``train+validation`` if the result no longer affects a selection.
        threads: number of torch threads on a CPU. More than one is slower for networks this small.
        cores: number of processes that remove adders, each from its own networks; 0 means the available
            cores, at most eight, and at most ``OMP_NUM_THREADS`` if that is set. The result does not
            depend on it.
        kernels: implementation of a step: ``native`` (compiled once by the machine's C compiler; CPU,
            single precision), ``torch`` (any device), or ``auto``: native if possible.
        graphs: on a GPU, ``auto`` replays steps from CUDA graphs, with the first replay compared with
            a computed step; ``off`` computes every step. Not tested on a GPU.
    """

    epochs: int = 30
    batch_size: int = 0
    learning_rate: float = 0.06
    beta1: float = 0.9
    beta2: float = 0.99
    smoothing: float = 0.05
    class_weights: str | Mapping[str, float] = "auto"
    balanced_batches: bool = False
    decay: float = 0.04
    warmup: float = 0.05
    rungs: tuple[float, ...] = (0.25, 0.5)
    pruned_by: float = 0.4
    leak: float = 0.1
    dense_rows: int = 262144
    descent_step: float = 0.975
    descent_coarse: int = 4
    descent_fine: float = 0.25
    descent_epochs: int = 12
    descent_rows: int = 32768
    descent_rows_per_output: int = 4096
    descent_floor: float = 0.5
    descent_regrown: float = 0.02
    descent_rate: float = 0.03
    descent_price: float = 0.0
    max_rows: int = 32768
    max_validation_rows: int = 20000
    group_elements: int = 0
    group_candidates: int = 256
    train_on: str = "train"
    threads: int = 1
    cores: int = 0
    kernels: str = "auto"
    graphs: str = "auto"

    def __post_init__(self) -> None:
        for names, holds, range_ in _RANGES:
            for name in names:
                if not holds(getattr(self, name)):
                    raise UserError(f"{name} of the training must be {range_}", found=getattr(self, name))
        if self.train_on not in TRAIN_ON:
            raise UserError("unknown choice of training rows", found=self.train_on, choices=TRAIN_ON)
        if self.kernels not in KERNELS:
            raise UserError("unknown kernels", found=self.kernels, choices=KERNELS)
        if self.graphs not in GRAPHS:
            raise UserError("unknown setting of CUDA graphs", found=self.graphs, choices=GRAPHS)
        if not 0 < self.pruned_by <= 1:
            raise UserError("pruned_by of the training must be in (0, 1]", found=self.pruned_by)
        self._check_weights()
        if any(not 0 < rung < 1 for rung in self.rungs):
            raise UserError("every rung must be between 0 and 1", found=self.rungs)

    def _check_weights(self) -> None:
        if isinstance(self.class_weights, str):
            if self.class_weights not in CLASS_WEIGHTS:
                raise UserError("unknown class weights", found=self.class_weights, choices=CLASS_WEIGHTS)
        elif any(weight < 0 for weight in self.class_weights.values()):
            raise UserError("a class weight must be 0 or more", found=dict(self.class_weights))
        if self.balanced_batches and self.class_weights not in ("auto", "none"):
            raise UserError(
                "balanced_batches and class_weights exclude each other",
                kind=ErrorKind.CONFLICT,
                found=self.class_weights,
            )
