"""Heads and components against scikit-learn, votes against slow loops."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression

from untrain.detection.linear import (
    _fit_head,
    _narrowed,
    held_out_log_p,
    neighbor_votes,
    principal_components,
)
from untrain.errors import InputError


def test_a_head_is_the_logistic_regression_with_the_same_penalty() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=300)
    inputs = (np.eye(3, 5)[labels] + generator.normal(size=(300, 5))).astype(np.float32)
    head = _fit_head(inputs, labels, 3)
    # C weighs the sum of the losses, the ridge their mean.
    other = LogisticRegression(C=1 / (300 * 1e-2), max_iter=1000, tol=1e-8).fit(inputs, labels)
    expected = other.predict_log_proba(inputs)
    logits = inputs @ head[:-1] + head[-1]
    got = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(got, expected, atol=0.03)


def test_an_example_is_judged_without_its_own_label() -> None:
    generator = np.random.default_rng(1)
    components = generator.normal(size=(60, 4)).astype(np.float32)
    labels, folds = generator.integers(3, size=60), np.arange(60) % 5
    before = held_out_log_p(components, labels, 3, folds)
    labels[7] = (labels[7] + 1) % 3
    after = held_out_log_p(components, labels, 3, folds)
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert not np.array_equal(before, after)


def test_components_of_columns_do_not_depend_on_their_scale() -> None:
    features = np.random.default_rng(2).normal(size=(50, 4))
    scaled = np.hstack(
        [features * [1, 1e4, 1e-25, 1e30] + [0, 1e4, 0, 3], np.full((50, 1), 5.0)]
    )  # and one never varies
    np.testing.assert_allclose(np.abs(principal_components(features)), np.abs(principal_components(scaled)), atol=1e-2)


def test_many_features_keep_their_distances() -> None:
    features = np.random.default_rng(3).normal(size=(40, 4000)).astype(np.float32)
    ratios = pdist(_narrowed(features)) / pdist(features)
    assert np.ptp(ratios) < 0.2 * ratios.mean()
    few = features[:, :100]
    assert _narrowed(few) is few


def test_votes_equal_slow_loops() -> None:
    generator = np.random.default_rng(4)
    labels = np.repeat([0, 1, 2], [30, 6, 3])
    votes, near = generator.random((39, 3)), np.array([generator.permutation(39)[:8] for _ in range(39)])
    got = neighbor_votes(votes, near, labels)
    for row in range(39):
        most = min(8, max(1, int((labels == labels[row]).sum()) // 2))
        np.testing.assert_allclose(got[row], np.mean([votes[other] for other in near[row][:most]], axis=0))


@pytest.mark.parametrize(
    ("features", "message"),
    [(np.ones((9, 2)), "constant"), (np.where(np.arange(18).reshape(9, 2) == 7, np.nan, 1.0), "example 3 are not")],
)
def test_features_that_tell_nothing_are_refused(features: npt.NDArray[np.float64], message: str) -> None:
    with pytest.raises(InputError, match=message):
        principal_components(features)
