"""Candidates outside the space of a run: their architecture is in the candidate itself."""

from __future__ import annotations

import json

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.values.candidate import GIVEN, Candidate


def given_candidate(architecture: Architecture, name: str = "", weights: str = "") -> Candidate:
    """A candidate for an architecture that the space of the run does not have.

    Args:
        name: of the user, if any.
        weights: digest of the design, if the weights are given too.
    """
    values = {"architecture": json.dumps(architecture.to_json(), sort_keys=True)}
    values |= {key: text for key, text in (("name", name), ("weights", weights)) if text}
    return Candidate(GIVEN, values)


def given_architecture(candidate: Candidate) -> Architecture | None:
    """The architecture of a candidate outside the space; ``None`` for a candidate of the space."""
    if candidate.space != GIVEN:
        return None
    return Architecture.from_json(json.loads(str(candidate.values["architecture"])))
