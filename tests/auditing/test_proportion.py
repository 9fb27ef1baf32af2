"""The exact interval of a proportion, against scipy's test."""

import pytest
from scipy.stats import binomtest

from untrain.auditing.proportion import exact_interval


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("cases", "count"), [(0, 10), (1, 7), (3, 10), (19, 20), (8, 8)])
def test_equals_the_interval_of_the_binomial_test(cases: int, count: int, level: float) -> None:
    expected = binomtest(cases, count).proportion_ci(level, method="exact")
    assert exact_interval(cases, count - cases, level) == pytest.approx(tuple(expected), abs=1e-12)
