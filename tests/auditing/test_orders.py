"""The order of methods and its change, beside scipy and cases whose answer is known."""

import numpy as np
import pytest
from scipy.stats import kendalltau, norm, rankdata

from untrain.auditing import Estimate, agreement, ranks
from untrain.auditing.orders import _tau
from untrain.errors import InputError


def sure(*values: float) -> list[Estimate]:
    return [Estimate(value, value, value) for value in values]


def unsure(half: float, *values: float) -> list[Estimate]:
    return [Estimate(value, value - half, value + half) for value in values]


def identity(values: np.ndarray) -> np.ndarray:
    return values


def test_tau_is_that_of_scipy() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 20, 7))
    expected = [kendalltau(one, two).statistic for one, two in zip(first, second, strict=True)]
    np.testing.assert_allclose(_tau(first, second), expected)


def test_ranks_without_noise_are_those_of_scipy() -> None:
    values = np.random.default_rng(1).normal(size=9)
    for cost in (identity, np.abs, np.negative):
        found = ranks(sure(*values), cost)
        assert [rank.value for rank in found] == rankdata(cost(values)).tolist()
        assert all(rank.low == rank.value == rank.high for rank in found)


def test_orders_without_noise() -> None:
    assert agreement(sure(1, 2, 3), sure(10, 20, 30), identity) == Estimate(1, 1, 1)
    assert agreement(sure(1, 2, 3), sure(3, 2, 1), identity) == Estimate(-1, -1, -1)
    assert agreement(sure(1, -2, 3), sure(1, 2, -3), np.abs) == Estimate(1, 1, 1)


def test_the_interval_of_a_rank_is_the_chance_to_change_places() -> None:
    """Two methods whose difference has a standard deviation of sqrt(2): they change places with a known chance."""
    half = norm.ppf(0.975)
    for gap, changes in ((2.6, True), (2.9, False)):  # chances of 3.3 and 2.0 %, beside the 2.5 % that are left out
        first, second = ranks(unsure(half, 0.0, gap), identity)
        assert (first.value, second.value) == (1, 2)
        assert (first.high == 2, second.low == 1) == (changes, changes)


def test_chance_pulls_the_agreement_of_a_setting_with_itself_down() -> None:
    close, far = unsure(1.0, *range(6)), unsure(1.0, *range(0, 60, 10))
    assert agreement(far, far, identity) == Estimate(1, 1, 1)
    with_itself = agreement(close, close, identity)
    assert with_itself.low < with_itself.value < 1
    nothing = agreement(unsure(1.0, *[0.0] * 6), unsure(1.0, *[0.0] * 6), identity)
    assert nothing.low < 0 < nothing.high


def test_orders_of_other_methods_are_refused() -> None:
    with pytest.raises(InputError, match="same methods, at least two, got 2 and 3"):
        agreement(sure(1, 2), sure(1, 2, 3), identity)
    with pytest.raises(InputError, match="at least two, got 1 and 1"):
        agreement(sure(1), sure(1), identity)
