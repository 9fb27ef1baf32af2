"""The exact interval of a share, against scipy's test."""

import pytest
from scipy.stats import binomtest

from untrain.auditing.share import exact_share


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("cases", "count"), [(0, 10), (1, 7), (3, 10), (19, 20), (8, 8)])
def test_equals_the_interval_of_the_binomial_test(cases: int, count: int, level: float) -> None:
    share = exact_share(cases / count, count, level)
    assert share.value == cases / count
    assert (share.low, share.high) == pytest.approx(
        tuple(binomtest(cases, count).proportion_ci(level, method="exact")), abs=1e-12
    )
