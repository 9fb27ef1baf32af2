import numpy as np
import pytest

from untrain.auditing import memorization
from untrain.errors import InputError


def test_against_means_taken_one_example_at_a_time() -> None:
    generator = np.random.default_rng(0)
    outcomes, included = generator.normal(size=(12, 7)), generator.random((12, 7)) < 0.5
    expected = []
    for example in range(7):
        inside = [outcomes[model, example] for model in range(12) if included[model, example]]
        outside = [outcomes[model, example] for model in range(12) if not included[model, example]]
        expected.append(sum(inside) / len(inside) - sum(outside) / len(outside))
    assert memorization(outcomes, included) == pytest.approx(expected)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        memorization(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"Example 1 must be .* in 2 of 2"):
        memorization(np.zeros((2, 2)), [[True, True], [False, True]])
