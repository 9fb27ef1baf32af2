"""The share of wrong labels among the suspects that are left: its interval covers, also where scores mislead."""

import numpy as np
import pytest

from untrain.review.remaining import coordinates, share_left

RUNS = 150


def coverage(count: int, decided: int, a: float, b: float, ranks: bool = False) -> float:
    """How often the interval holds the true share, where P(wrong) is sigmoid(a + b log-odds of the score)."""
    draw, hits = np.random.default_rng(0), 0
    for _ in range(RUNS):
        p = 0.5 + 0.5 * np.sort(draw.beta(2, 1, count))[::-1]
        odds = np.log(p / (1 - p))
        wrong = draw.random(count) < 1 / (1 + np.exp(-a - b * odds))
        estimate = share_left(coordinates(3 * odds + 7 if ranks else p), np.arange(decided), wrong[:decided])
        assert estimate is not None
        hits += estimate.low <= wrong[decided:].mean() <= estimate.high
    return hits / RUNS


@pytest.mark.parametrize("count", [40, 300])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize(("a", "b"), [(0, 1), (-1, 1), (1, 1), (-1, 0.5), (-2, 1.5)])
def test_the_interval_covers_where_scores_mislead(count: int, share: float, a: float, b: float) -> None:
    assert coverage(count, int(share * count), a, b) >= 0.9


@pytest.mark.parametrize(("a", "b"), [(0, 1), (-1, 1), (-1, 0.5), (-2, 1.5)])
def test_it_covers_almost_as_well_where_scores_only_rank(a: float, b: float) -> None:
    assert coverage(300, 150, a, b, ranks=True) >= 0.85


def test_nothing_left_is_no_share() -> None:
    assert share_left(np.zeros(2), np.arange(2), np.array([True, False])) is None


def test_decisions_narrow_it() -> None:
    x = np.linspace(3, -3, 400)
    few = share_left(x, np.arange(20), np.ones(20, dtype=bool))
    many = share_left(x, np.arange(0, 400, 2), x[::2] > 0)
    assert few is not None
    assert many is not None
    assert many.high - many.low < few.high - few.low
    assert many.low <= 0.5 <= many.high
