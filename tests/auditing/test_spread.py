"""Standard deviations within and between originals."""

import numpy as np
import pytest

from untrain.auditing import Spread, spread
from untrain.errors import InputError


def test_it_is_the_textbooks_analysis_of_variance() -> None:
    """Unequal numbers of models, by the formulas of Searle, Casella and McCulloch, written out."""
    groups = [[1.0, 2.0, 4.0], [7.0, 9.0], [20.0]]
    values = [value for group in groups for value in group]
    origins = ["a"] * 3 + ["b"] * 2 + ["c"]
    grand = sum(values) / 6
    means = [sum(group) / len(group) for group in groups]
    within = sum((x - m) ** 2 for group, m in zip(groups, means, strict=True) for x in group) / (6 - 3)
    between = sum(len(group) * (m - grand) ** 2 for group, m in zip(groups, means, strict=True)) / (3 - 1)
    size = (6 - (9 + 4 + 1) / 6) / (3 - 1)
    result = spread(values, origins)
    assert result.within == pytest.approx(within**0.5)
    assert result.between == pytest.approx(((between - within) / size) ** 0.5)


def test_it_estimates_both_deviations() -> None:
    draw = np.random.default_rng(0)
    originals = np.repeat(np.arange(400), 6)
    values = draw.normal(scale=2.0, size=400)[originals] + draw.normal(scale=0.7, size=2400)
    result = spread(values, originals)
    assert result.within == pytest.approx(0.7, rel=0.05)
    assert result.between == pytest.approx(2.0, rel=0.1)
    alike = spread(draw.normal(size=2400), originals)
    assert alike.between is not None
    assert alike.between < 0.15


def test_what_cannot_be_known_is_left_open() -> None:
    assert spread([1.0, 3.0], [0, 1]) == Spread(within=None, between=2**0.5)
    assert spread([1.0, 3.0], [0, 0]).between is None
    assert spread([1.0], [0]) == Spread(within=None, between=None)
    with pytest.raises(InputError, match=r"one origin for each.*\(1,\) and \(2,\)"):
        spread([1.0, 2.0], [0])
