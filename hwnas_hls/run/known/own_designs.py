"""The user's own designs as known designs: widths as text, design folders, and models of other tools."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from hwnas_hls.errors import ErrorKind, Unsupported, UserError
from hwnas_hls.evidence.scoring import real_outputs, scores
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.scaling import scaled, scaled_design, unscaled
from hwnas_hls.plugin.faults import PLUGIN_FAULTS
from hwnas_hls.run.given import given_candidate
from hwnas_hls.run.known.designs import YOURS, KnownDesign
from hwnas_hls.run.problem import Problem
from hwnas_hls.spec.tables import SeedTable
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates, Source

_WIDTHS = re.compile(r"\d+(-\d+)+")


def known_of_seed(problem: Problem, seed: SeedTable) -> Iterator[KnownDesign]:
    """The design that a seed names, and the candidate of the space that is nearest to it, if any.

    Raises:
        UserError: the design does not exist, cannot be read, contains something that cannot be built, which
            is named, or does not fit the task.
    """
    name = seed.name or (seed.design if _WIDTHS.fullmatch(seed.design) else Path(seed.design).name)
    origin = f"{YOURS}: {name}"
    if _WIDTHS.fullmatch(seed.design):
        architecture = _of_widths(problem, seed)
        _check_shape(problem, seed, architecture)
        near = _nearest(problem, architecture)
        architecture = scaled(architecture, problem.dataset.scaling)
        if near is not None and _same(problem, near, architecture):
            yield KnownDesign(near, origin)
            return
        yield KnownDesign(given_candidate(architecture, name), origin)
    else:
        design = _design(problem, seed)
        architecture = design.architecture
        dataset = problem.dataset
        found = scores(
            dataset,
            dataset.validation,
            real_outputs(design, dataset.validation.x),
            dataset.metrics,
            source=Source.EMULATED,
            evidence=f"your weights; integer emulation on {len(dataset.validation)} validation rows",
        )
        candidate = given_candidate(architecture, name, design.digest())
        yield KnownDesign(candidate, origin, Estimates(found, design=design), design)
        near = _nearest(problem, unscaled(architecture))
    if near is not None:
        yield KnownDesign(near, f"near {name}")


def _of_widths(problem: Problem, seed: SeedTable) -> Architecture:
    """Dense layers with ReLU between them, all types as the seed states; results are rounded and saturate."""
    kind = FixedType.parse(seed.precision)
    plain = kind.plain
    result = kind if kind != plain else dataclasses.replace(plain, rounding="RND", overflow="SAT")
    widths = [int(width) for width in seed.design.split("-")]
    layers = tuple(
        Dense(
            n_in,
            n_out,
            "linear" if number == len(widths) - 2 else "relu",
            plain,
            plain,
            result=None if number == len(widths) - 2 else result,
            strategy=_strategy(problem, seed),
        )
        for number, (n_in, n_out) in enumerate(pairwise(widths))
    )
    return Architecture(plain, layers)


def _strategy(problem: Problem, seed: SeedTable) -> str:
    """The HLS strategy of a design that states none: the first that the run's synthesizer builds."""
    built = tuple(problem.synthesizer.hls_strategies) if problem.synthesizer is not None else ()
    return seed.strategy or (built or ("Latency",))[0]


def _design(problem: Problem, seed: SeedTable) -> Design:
    """The design of a folder or model, with the inputs and classes of the task."""
    path = Path(seed.design)
    dataset = problem.dataset
    if (path / "design.json").is_file():
        design = Design.load(path)
        if design.labels and design.labels != dataset.labels:
            raise UserError(
                "your design has other classes than the task",
                where=str(path),
                found=", ".join(design.labels[:10]),
                choices=dataset.labels,
                kind=ErrorKind.MISMATCH,
            )
        design = dataclasses.replace(design, labels=dataset.labels)
    else:
        from hwnas_hls.hls4ml.models import read_model
        from hwnas_hls.hls4ml.query_design import design_of_query

        query = read_model(path, precision=seed.precision, strategy=_strategy(problem, seed))
        preprocessing = None
        if seed.inputs == "standardised":
            preprocessing = Preprocessing(*dataset.standardisation, dataset.features)
        try:
            design = design_of_query(query, preprocessing=preprocessing, labels=dataset.labels)
        except Unsupported as error:
            raise UserError(
                "your design cannot be built exactly",
                where=str(path),
                found=error,
                remedy="give dense layers one after the other, with their weights, and relu or no activation "
                "between them (a softmax at the end is left out); `hwnas-hls predict` takes more",
                kind=error.kind,
            ) from error
        if seed.inputs == "standardised":
            design = scaled_design(design, dataset.scaling)
    _check_shape(problem, seed, design.architecture)
    return design


def _check_shape(problem: Problem, seed: SeedTable, architecture: Architecture) -> None:
    dataset = problem.dataset
    if (architecture.n_in, architecture.n_out) != (dataset.n_in, dataset.n_out):
        raise UserError(
            "your design does not fit the task",
            where=f"{problem.spec.where('[seeds]')}: {seed.design}",
            found=f"{architecture.n_in} inputs, {architecture.n_out} outputs; the task has "
            f"{dataset.n_in} and {dataset.n_out}",
            kind=ErrorKind.MISMATCH,
        )


def _nearest(problem: Problem, architecture: Architecture) -> Candidate | None:
    """The candidate of the space nearest to an architecture, from which the search continues."""
    try:
        return problem.space.nearest(architecture)
    except PLUGIN_FAULTS:
        return None


def _same(problem: Problem, candidate: Candidate, architecture: Architecture) -> bool:
    return dataclasses.replace(problem.architecture(candidate), clock_ns=None) == architecture
