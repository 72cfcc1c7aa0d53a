"""Steps replayed from CUDA graphs. This module imports torch.

With networks this small, a GPU mostly waits for kernel launches; a graph launches all kernels of a step at
once. The method is that of torch's documentation of ``torch.cuda.CUDAGraph``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.schedule import Pace
from hwnas_hls_plugins.estimators.training.step import Step

log = logging.getLogger("hwnas_hls.training")

#: Number of warm-up steps on a separate stream before a capture: libraries create their handles and
#: workspaces in them, which must not happen during the capture.
WARM = 3
#: With fewer steps, capturing costs more than it saves.
WORTHWHILE = 64

#: The settings that are fixed in a graph: momentum, and whether any gradient leaks.
_Kind = tuple[float, bool]


class CapturedStep:
    """The steps of one group: the first ones are computed, the others replayed.

    A graph repeats the launches of one step with the same addresses. Batches are therefore copied into
    persistent buffers, and values that change from step to step are read from the device's memory. A group
    that has shrunk is a new group with new graphs. All batches have the same number of rows.

    The first replay is checked: the same step is computed again from the same state. If one number
    differs, or a graph cannot be captured, all further steps are computed without graphs, with a warning.

    Args:
        step: the step to capture.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._device = step.network.layout.device
        self.graphs: dict[_Kind, torch.cuda.CUDAGraph] = {}
        self.given_up = False
        self._seen: dict[_Kind, int] = {}
        self._paces: Sequence[Pace] = ()
        self._inputs: list[Tensor] = []
        self._targets = torch.empty(0, device=self._device)
        # Leak, decay factor and step size: for all steps of the epoch, and for the current step.
        self._table = torch.empty((0, 3), dtype=torch.float64, device=self._device)
        self._now = torch.zeros(3, dtype=torch.float64, device=self._device)
        self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def begin(self, paces: Sequence[Pace]) -> None:
        """See :class:`~hwnas_hls_plugins.estimators.training.step.AnyStep`."""
        self._step.begin(paces)
        self._paces = paces
        table = [[float(pace.leak), float(pace.left), float(pace.size)] for pace in paces]
        self._table = torch.as_tensor(table, dtype=torch.float64, device=self._device)

    def take(self, number: int, inputs: Sequence[Tensor], targets: Tensor) -> None:
        """See :class:`~hwnas_hls_plugins.estimators.training.step.AnyStep`."""
        if self.given_up:
            self._step.take(number, inputs, targets)
            return
        self._step.network.draw()
        self._load(number, inputs, targets)
        pace = self._paces[number]
        kind = (pace.momentum if self._step.network.normalised else 0.0, float(pace.leak) > 0)
        graph = self.graphs.get(kind)
        if graph is not None:
            graph.replay()
        elif self._seen.setdefault(kind, 0) < WARM:
            self._seen[kind] += 1
            self._warm(kind)
        else:
            self._first(kind)

    def _load(self, number: int, inputs: Sequence[Tensor], targets: Tensor) -> None:
        if not self._inputs:
            self._inputs = [torch.empty_like(copy, memory_format=torch.contiguous_format) for copy in inputs]
            self._targets = torch.empty_like(targets, memory_format=torch.contiguous_format)
        for held, copy in zip(self._inputs, inputs, strict=True):
            held.copy_(copy)
        self._targets.copy_(targets)
        self._now.copy_(self._table[number])

    def _compute(self, kind: _Kind) -> None:
        momentum, leaks = kind
        leak, left, size = self._now.unbind()
        self._step.compute(self._inputs, self._targets, Pace(momentum, leak if leaks else 0.0, left, size))

    def _warm(self, kind: _Kind) -> None:
        stream, current = self._stream, torch.cuda.current_stream(self._device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self._compute(kind)
        current.wait_stream(stream)

    def _first(self, kind: _Kind) -> None:
        """Take one step both ways, and use graphs only if the results are equal."""
        state = self._step.network.state()
        before = [tensor.clone() for tensor in state]
        replayed: list[Tensor] | None = None
        graph, cause = torch.cuda.CUDAGraph(), "the step that it replayed was not the one computed"
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._compute(kind)
            graph.replay()
            replayed = [tensor.clone() for tensor in state]
            # Launches report errors asynchronously.
            torch.cuda.synchronize(self._device)
        except RuntimeError as error:
            replayed, cause = None, str(error)
        for tensor, held in zip(state, before, strict=True):
            tensor.copy_(held)
        self._compute(kind)
        if replayed is not None and all(map(_alike, state, replayed)):
            self.graphs[kind] = graph
            return
        log.warning("training continues without CUDA graphs, with the same results but slower: %s", cause)
        self.given_up = True
        self.graphs.clear()


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether the numbers are equal; NaN equals NaN, because a diverged network is no fault of the graph."""
    return bool(((a == b) | (a.isnan() & b.isnan())).all())
