"""Settings of the training estimator."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls.errors import UserError

TRAIN_ON = ("train", "train+validation")
KERNELS = ("auto", "native", "torch")
GRAPHS = ("auto", "off")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Settings of training, the same for all candidates.

    Args:
        epochs: passes over the training rows.
        batch_size: rows a step; 0 takes 64 to 256, growing with the rows of an epoch.
        learning_rate: peak of Adam's rate; see :attr:`warmup`. Weights are trained in units of
            their initial spread, so one rate serves layers of every width and precision.
        beta1, beta2: Adam's averaging of the gradient and of its square.
        smoothing: share of each class label that is spread evenly over all classes.
        decay: share of a weight lost a step, relative to the learning rate (AdamW).
        warmup: share of the steps over which the rate rises before it falls as a cosine.
        rungs: shares of the training after which ``context.keep`` may stop candidates.
        pruned_by: share of the training by which sparse layers have all their zeros; from
            there on the zeros stay where they are.
        leak: share of the gradient that passes through saturated and negative sums at the start;
            it falls to nothing by the middle of the training.
        descent_step: share of its adders that a round leaves of a network whose adders are taken.
        descent_epochs: passes over the training rows after each such round.
        descent_rate: rate from which each round falls to nothing.
        descent_features: whether removal and refinement also remove bits of single input features, and
            whole features, in chains of distributed arithmetic. Smaller circuits for wide, skewed tables;
            larger ones for some others.
        max_rows: at most so many training rows an epoch, drawn anew for each; 0 takes all.
        max_validation_rows: at most so many validation rows are scored; 0 takes all.
        group_elements: candidates are trained together up to so many numbers (activations of
            one step); 0 takes what suits the processor's caches, or half of a GPU's free memory.
        group_candidates: at most so many candidates in one group.
        train_on: ``train``, or ``train+validation`` where nothing is chosen by the result any more.
        threads: of torch, on a CPU. More than one is slower for networks this small.
        kernels: what computes a step: ``native`` (compiled once by the machine's C compiler; CPU,
            single precision), ``torch`` (anywhere), or ``auto``, native where that can be.
        graphs: on a GPU, ``auto`` replays steps from CUDA graphs, the first replay checked against the
            step computed; ``off`` computes every step. Never run on a real GPU by the authors.
    """

    epochs: int = 30
    batch_size: int = 0
    learning_rate: float = 0.06
    beta1: float = 0.9
    beta2: float = 0.99
    smoothing: float = 0.05
    decay: float = 0.04
    warmup: float = 0.05
    rungs: tuple[float, ...] = (0.25, 0.5)
    pruned_by: float = 0.4
    leak: float = 0.1
    descent_step: float = 0.93
    descent_epochs: int = 4
    descent_rate: float = 0.06
    descent_features: bool = False
    max_rows: int = 32768
    max_validation_rows: int = 20000
    group_elements: int = 0
    group_candidates: int = 256
    train_on: str = "train"
    threads: int = 1
    kernels: str = "auto"
    graphs: str = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "descent_epochs", "group_candidates", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} of the training is at least 1", found=getattr(self, name))
        for name in ("batch_size", "group_elements", "max_rows", "max_validation_rows"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} of the training is 0 or more", found=getattr(self, name))
        if self.train_on not in TRAIN_ON:
            raise UserError("training takes the rows of one of these", found=self.train_on, choices=TRAIN_ON)
        if self.kernels not in KERNELS:
            raise UserError(
                "a training step is computed by one of these", found=self.kernels, choices=KERNELS
            )
        if self.graphs not in GRAPHS:
            raise UserError("CUDA graphs are one of these", found=self.graphs, choices=GRAPHS)
        for name in ("learning_rate", "descent_rate"):
            if not getattr(self, name) > 0:
                raise UserError(f"the {name} is above 0", found=getattr(self, name))
        if not 0 < self.descent_step < 1:
            raise UserError("descent_step of the training lies between 0 and 1", found=self.descent_step)
        for name in ("beta1", "beta2", "smoothing", "decay", "warmup", "leak"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} of the training lies in [0, 1)", found=getattr(self, name))
        if not 0 < self.pruned_by <= 1:
            raise UserError("pruned_by of the training lies in (0, 1]", found=self.pruned_by)
        if any(not 0 < rung < 1 for rung in self.rungs):
            raise UserError("every rung lies between 0 and 1", found=self.rungs)
