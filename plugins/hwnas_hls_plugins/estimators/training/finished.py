"""Converts a trained network to a design. Requires torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.architecture import Architecture, Pool2D
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.features import FeatureTypes
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset
from hwnas_hls_plugins.estimators.training.vector import TrainedVector


def as_emulated(architecture: Architecture) -> Architecture:
    """The architecture without a final softmax, which changes no class and is computed from a table."""
    last = architecture.layers[-1]
    if isinstance(last, Pool2D) or last.activation != "softmax":
        return architecture
    return replace(architecture, layers=(*architecture.layers[:-1], replace(last, activation="linear")))


def finished(layout: TrainedVector[Any], j: int, dataset: Dataset, seed: int, epochs: int) -> Design:
    """The design of member ``j``, with the integers of its last products.

    Args:
        dataset: the data it was trained on.
        seed: seed of the run.
        epochs: number of epochs it was trained.
    """
    member = layout.members[j]
    architecture = as_emulated(member.plan.architecture)
    weights, biases = layout.exported(j)
    mean, scale = dataset.standardisation
    meta: dict[str, object] = {"task": dataset.source, "seed": seed, "epochs": epochs}
    meta["kernels"] = " and ".join(member.kernels)
    if dataset.kind != CLASSIFICATION:
        target_mean, target_scale = dataset.target_standardisation
        unit = member.plan.temperature * 2.0 ** member.plan.layers[-1].out_fraction
        meta["target_mean"] = [float(value) for value in target_mean]
        meta["target_scale"] = [float(value) for value in target_scale * unit]
    return Design(
        architecture,
        tuple(weights),
        tuple(
            bias if getattr(layer, "bias", None) is not None else None
            for layer, bias in zip(architecture.layers, biases, strict=True)
        ),
        Preprocessing(mean, scale, tuple(dataset.features)),
        tuple(dataset.labels),
        meta,
        read_features(member.features, weights[0]),
    )


def read_features(features: FeatureTypes, weight: NDArray[np.int64] | None) -> FeatureTypes:
    """Types of features, with no bits for those that no neuron reads.

    Args:
        weight: (n_in, n_out) of the first layer; none where that has no weights.
    """
    if weight is None:
        return features
    return tuple(
        kind if read else None for kind, read in zip(features, (weight != 0).any(axis=1), strict=False)
    )
