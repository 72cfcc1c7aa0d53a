"""Refinement of single weights: of the network alone, behind the scaling of raw words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwnas_hls.network.design import Design
from hwnas_hls.network.scaling import scaled_design, unscaled_design
from hwnas_hls.protocols.estimator import Refinement, Refining
from hwnas_hls.protocols.task import Dataset, Split


def refined(
    trainer: Refining, designs: Sequence[Design], dataset: Dataset, split: Split, until: Sequence[float]
) -> list[list[Refinement]]:
    """:meth:`~hwnas_hls.protocols.estimator.Refining.refined`; a scaling in front of a network stays."""
    ladders = trainer.refined([unscaled_design(design) for design in designs], dataset, split, until)
    return [
        [replace(stop, design=scaled_design(stop.design, design.architecture.scaling)) for stop in ladder]
        for design, ladder in zip(designs, ladders, strict=True)
    ]


def marked(stop: Refinement) -> Design:
    """A refined design that states its price and the share of the LUTs kept."""
    meta = {**stop.design.meta, "refined": {"price": stop.price, "kept": stop.kept}}
    return replace(stop.design, meta=meta)
