import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auditing import slow_scorer
from untrain.auditing import final_score, forget_quality, mean_epsilon, rank_energy
from untrain.errors import InputError


def test_golden_outputs_of_the_competitions_scorer() -> None:
    """Six cases that the competition's own program scored, on the CPU and with its assertion mended."""
    golden = np.load(Path(__file__).parent / "competition_metric.npz")
    cases = json.loads(str(golden["meta_json"]))["cases"]
    for number, case in enumerate(cases):
        unlearned, retrained = (golden[f"case{number:02d}_{arm}"] for arm in ("unlearned", "retrained"))
        expected = golden[f"case{number:02d}_eps"]
        if np.isnan(expected).any():
            with pytest.warns(RuntimeWarning, match="no epsilon"):
                found = forget_quality(unlearned, retrained)
        else:
            found = forget_quality(unlearned, retrained)
        np.testing.assert_array_equal(found.epsilon.astype(np.float32), expected.astype(np.float32))
        assert found.score == pytest.approx(float(golden[f"case{number:02d}_score"]), abs=1e-12)
        assert found.buckets == case["n_buckets"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    models=st.sampled_from([2, 3, 8, 16, 33]),
    shift=st.sampled_from([0.0, 0.3, 1.0, 30.0]),
    scale=st.sampled_from([0.005, 0.05, 0.5, 1.0, 3.0]),
    ties=st.booleans(),
    unit=st.sampled_from([0.05, 1.0, 6.0]),
)
def test_equals_the_slow_scorer(seed: int, models: int, shift: float, scale: float, ties: bool, unit: float) -> None:
    generator = np.random.default_rng(seed)
    unlearned = unit * (shift + scale * generator.standard_t(4, size=models))
    retrained = unit * generator.normal(size=models)
    if ties:
        unlearned, retrained = np.round(unlearned, 1), np.round(retrained, 1)
    expected = slow_scorer.epsilon(unlearned, retrained)
    if math.isnan(expected):
        with pytest.warns(RuntimeWarning):
            found = forget_quality(unlearned[:, None], retrained[:, None])
    else:
        found = forget_quality(unlearned[:, None], retrained[:, None])
    np.testing.assert_array_equal(np.float32(found.epsilon[0]), np.float32(expected))


def test_perfect_forgetting_scores_a_fifth_and_not_one() -> None:
    generator = np.random.default_rng(0)
    found = forget_quality(generator.normal(size=(128, 60)), generator.normal(size=(128, 60)))
    assert 0.15 < found.score < 0.25  # 0.20 in an independent simulation of the published code


def test_identical_sets_score_one_and_separated_ones_nothing() -> None:
    confidences = np.random.default_rng(0).normal(size=(64, 5))
    assert forget_quality(confidences, confidences[::-1]).score == 1.0
    apart = forget_quality(confidences, confidences + 100)
    assert (apart.score, apart.capped) == (0.0, 5)


def test_order_of_models_and_examples_does_not_matter() -> None:
    generator = np.random.default_rng(1)
    unlearned, retrained = generator.normal(size=(2, 32, 6))
    found = forget_quality(unlearned, retrained)
    shuffled = forget_quality(generator.permutation(unlearned), generator.permutation(retrained))
    np.testing.assert_array_equal(found.epsilon, shuffled.epsilon)
    np.testing.assert_array_equal(forget_quality(unlearned[:, ::-1], retrained[:, ::-1]).epsilon, found.epsilon[::-1])


def test_points_are_those_of_the_competitions_loop() -> None:
    generator = np.random.default_rng(5)
    shifts = np.concatenate([np.zeros(6), np.linspace(0, 3, 14)])
    unlearned, retrained = generator.normal(size=(32, 20)) + shifts, generator.normal(size=(32, 20))
    unlearned[:, 0] = retrained[:, 0]
    found = forget_quality(unlearned, retrained)
    total, seen = 0.0, set()
    for example in range(20):
        epsilon = slow_scorer.epsilon(unlearned[:, example], retrained[:, example])
        points, end = 1.0, 0.5
        while end <= math.ceil(math.log(31)):
            if epsilon < end:
                total += points
                seen.add(points)
                break
            points, end = points / 2, end + 0.5
    assert found.score == pytest.approx(total / 20, abs=1e-12)
    assert len(seen) >= 4


def test_constant_equal_arms_have_no_epsilon_and_are_left_out() -> None:
    generator = np.random.default_rng(0)
    unlearned, retrained = generator.normal(size=(2, 16, 3))
    whole = forget_quality(unlearned[:, [0, 2]], retrained[:, [0, 2]])
    unlearned[:, 1] = retrained[:, 1] = 2.0
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        found = forget_quality(unlearned, retrained)
    assert math.isnan(found.epsilon[1])
    assert found.score == whole.score


@pytest.mark.parametrize(
    ("unlearned", "retrained"),
    [
        (np.zeros((1, 2)), np.zeros((1, 2))),
        (np.zeros((4, 2)), np.zeros((5, 2))),
        (np.zeros((4, 0)), np.zeros((4, 0))),
        (np.full((4, 2), np.nan), np.zeros((4, 2))),
    ],
)
def test_wrong_input_is_refused(unlearned: np.ndarray, retrained: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"must be two arrays .* 2 models|NaN or infinite"):
        forget_quality(unlearned, retrained)


def test_delta_is_a_probability() -> None:
    with pytest.raises(InputError, match="delta"):
        forget_quality(np.zeros((4, 1)), np.zeros((4, 1)), delta=1.5)


def test_final_score_and_mean_epsilon_by_hand() -> None:
    assert final_score(0.1, [90, 100], [100, 100], [80, 80], [100, 60]) == pytest.approx(0.1 * 0.95 * 1.0)
    assert mean_epsilon([1, 2, 6]) == 3
    with pytest.raises(InputError, match="above 0"):
        final_score(0.1, 1, 0, 1, 1)


@pytest.mark.slow
def test_one_example_at_512_models_takes_25_milliseconds() -> None:
    generator = np.random.default_rng(0)
    unlearned, retrained = generator.normal(size=(2, 512, 20))
    start = time.process_time()
    forget_quality(unlearned, retrained)
    assert (time.process_time() - start) / 20 < 0.025


def test_a_result_is_shown_without_its_arrays() -> None:
    arms = np.random.default_rng(0).normal(size=(2, 16, 300))
    assert "array" not in repr(forget_quality(*arms)) + repr(rank_energy(*arms))
