"""The scaling of raw words as the first layer of a network."""

from __future__ import annotations

import numpy as np
import pytest
from feature_types import featured
from raw_words import WORDS, raw_design, raw_rows, scaling, standardised_design
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.hls4ml.query import query_of
from hwnas_hls.network.architecture import Architecture, Dense, Merge
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import input_integers, outputs
from hwnas_hls.network.input_words import InputScaling, chosen_scaling
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.scaling import scaled, unscaled, unscaled_design


@pytest.mark.parametrize("strategy", ["", "Latency"])
@pytest.mark.parametrize("unread", [False, True])
def test_raw_words_give_outputs_of_standardised_features(strategy: str, unread: bool) -> None:
    design, alone = raw_design(unread=unread, strategy=strategy), standardised_design(unread=unread)
    rows = raw_rows(2000, seed=11)
    assert np.array_equal(outputs(design, rows), outputs(alone, rows))
    # Saturation and both directions of rounding occur in these rows.
    scaled_rows = (rows - scaling().standardisation[0]) / scaling().standardisation[1] * 8
    assert (scaled_rows > 31).any()
    assert (scaled_rows != np.floor(scaled_rows)).any()
    assert np.array_equal(outputs(unscaled_design(design), rows), outputs(alone, rows))


def test_host_passes_words_unchanged() -> None:
    design, rows = raw_design(), raw_rows()
    step = 2.0**-design.architecture.input.fraction
    assert np.array_equal(input_integers(design, rows) * step, rows)
    assert design.preprocessing is not None
    assert design.preprocessing.changes_nothing
    assert design.preprocessing.names == tuple("abcdefg")
    assert design.architecture.shape == standardised_design().architecture.shape


def test_feature_types_follow_words_and_unread_features_have_none() -> None:
    assert raw_design().features == WORDS
    assert raw_design(unread=True).features == (*WORDS[:2], None, *WORDS[3:])
    # All inputs of a Latency layer have one type, which holds every word.
    kind = raw_design(strategy="Latency").architecture.input
    assert raw_design(strategy="Latency").features == ()
    assert kind == FixedType.parse("fixed<20,17>")


def test_a_scaled_design_is_stored_and_read() -> None:
    design = raw_design()
    again = Design.from_bytes(design.to_bytes())
    assert again.architecture == design.architecture
    assert again.architecture.scaling == scaling()
    assert again.digest() == design.digest()


def test_the_scaling_follows_the_training_rows() -> None:
    found = chosen_scaling(WORDS[:1], np.array([[1000.0], [1010.0], [1020.0], [1031.0]]))
    assert (found.offsets, found.shifts) == ((1015,), (4,))  # mean 1015.25, deviation 11.5
    both = chosen_scaling(WORDS[:2], np.array([[7.0, 100.0], [7.0, 300.0]]))
    assert (both.offsets, both.shifts) == ((7, 200), (7, 7))


def test_scales_too_far_apart_are_refused() -> None:
    words = (FixedType(30, 30, False), FixedType(1, 1, False))
    with refused(ErrorKind.TOO_LARGE, mentions=["2^25", "2^-1"]):
        InputScaling(words, (0, 0), (25, -1))


def test_the_cost_knows_the_constants_before_training() -> None:
    architecture = standardised_design().architecture
    query = query_of(scaled(architecture, scaling()), "xcvu9p-flga2104-2L-e")
    first, second = query.layers[0], query.layers[1]
    assert first.weights is not None
    assert np.count_nonzero(first.weights) == len(WORDS)
    assert first.features == WORDS
    assert second.weights is None
    assert second.input.plain == architecture.input
    assert len(query.layers) == len(architecture.layers) + 1


def test_it_is_added_once_and_taken_away_again() -> None:
    architecture = standardised_design().architecture
    with_scaling = scaled(architecture, scaling())
    assert scaled(with_scaling, scaling()) == with_scaling
    assert unscaled(with_scaling) == architecture
    assert scaled(architecture, None) == architecture
    assert Architecture.from_json(with_scaling.to_json()) == with_scaling


def test_other_networks_are_refused() -> None:
    kind = FixedType(6, 2)
    with refused(ErrorKind.MISMATCH, Unsupported, mentions=[7, 5]):
        scaled(featured(shape=(5, 3)).architecture, scaling())
    graph = Architecture(
        kind,
        (
            Dense(7, 7, "relu", kind, kind),
            Merge("add", inputs=(-1, 0), input_widths=(7, 7)),
            Dense(7, 2, "linear", kind, None),
        ),
    )
    with pytest.raises(Unsupported, match="chains"):
        scaled(graph, scaling())
