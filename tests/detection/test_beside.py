"""Near-duplicates and outliers beside wrong labels: against a slow search, and by the rule that copies are found by."""

import numpy as np

from untrain.data import Examples
from untrain.data.duplicates import NEAR, Nearness, find_copies, near_threshold
from untrain.detection.beside import notice
from untrain.detection.linear import nearest_components, principal_components


def test_exact_and_near_copies_and_far_points_are_noticed() -> None:
    features = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    features[7] = features[3]
    features[9] = features[5] + 1e-3
    features[11] = 40.0
    _, distances = nearest_components(features, 20)
    seen = notice(distances)
    assert seen["near_duplicates"] == [3, 5, 7, 9]
    assert seen["outliers"] == [11]


def test_the_rule_is_that_of_copies() -> None:
    features = np.random.default_rng(1).normal(size=(150, 4)).astype(np.float32)
    features[1] = features[0] + 1e-3
    components = principal_components(features)
    _, distances = nearest_components(components, 5)
    slow = np.linalg.norm(components[:, None] - components, axis=2) + np.diag(np.full(150, np.inf))
    assert near_threshold(distances[:, 0]) == NEAR * np.median(distances[:, 0])
    np.testing.assert_array_equal(
        notice(distances)["near_duplicates"], np.flatnonzero(slow.min(1) <= NEAR * np.median(slow.min(1)))
    )
    examples = Examples.of(features, np.arange(150) % 2)
    near = Nearness(examples).find(examples.select(np.arange(1)), examples.select(np.arange(1, 150)))
    assert near[0]
    assert not find_copies(examples.select(np.arange(1)), examples.select(np.arange(1, 150)))[0]


def test_only_copies_leave_no_threshold() -> None:
    assert near_threshold(np.zeros(4)) is None
    assert notice(np.zeros((4, 3)))["near_duplicates"] == [0, 1, 2, 3]
