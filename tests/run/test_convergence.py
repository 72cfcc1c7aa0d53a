"""Whether a search had levelled off, said at its end."""

from __future__ import annotations

from refusal import expect_mentioned

from hwnas_hls.run.convergence import growth_words


def test_growth_is_that_of_the_last_quarter() -> None:
    trace = [(25 * n, float(n), volume) for n, volume in ((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4))]
    expect_mentioned(growth_words(trace), ["25.0 %", "still climbing"])
    flat = [*trace[:3], (100, 4.0, 0.303)]
    expect_mentioned(growth_words(flat), ["1.0 %", "levelled off"])


def test_a_short_search_or_one_without_a_front_says_nothing() -> None:
    assert growth_words([]) == ""
    assert growth_words([(20, 1.0, 0.1), (39, 2.0, 0.2)]) == ""
    assert growth_words([(50, 1.0, 0.0), (100, 2.0, 0.0)]) == ""
    assert growth_words([(100, 1.0, 0.5)]) == ""
