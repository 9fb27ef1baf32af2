"""Label propagation equals slow loops; no example is its own neighbor."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from tests.detection.toys import noisy, subject
from untrain.detection import Finding
from untrain.detection.confident_learning import confident_joint, off_diagonal_share, pruned
from untrain.detection.linear import nearest
from untrain.detection.scorers.neighbors import Neighbors


def slow_nearest(features: npt.NDArray[np.float64], count: int) -> list[list[int]]:
    """By the cosine of the angle, one pair after another."""

    def cosine(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
        return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))

    found = []
    for row, own in enumerate(features):
        others = [other for other in range(len(features)) if other != row]
        found.append(sorted(others, key=lambda other: -cosine(own, features[other]))[:count])
    return found


def slow_propagation(
    near: list[list[int]], labels: list[int], classes: int, rounds: int, sharpness: float
) -> list[list[float]]:
    said = [[float(label == each) for each in range(classes)] for label in labels]
    counted = [max(1, labels.count(label) // 2) for label in labels]  # half of the example's class
    near = [others[:most] for others, most in zip(near, counted, strict=True)]
    for _ in range(rounds):
        heard = [[sum(said[other][c] for other in others) / len(others) for c in range(classes)] for others in near]
        said = [[share**sharpness / sum(each**sharpness for each in row) for share in row] for row in heard]
    return said


@pytest.mark.parametrize((("count", "neighbors")), [(40, 20), (40, 7), (12, 20), (3, 20)])
def test_the_nearest_equal_slow_loops(count: int, neighbors: int) -> None:
    features = np.random.default_rng(count).normal(size=(count, 3))
    found = nearest(features, neighbors)
    assert found.shape == (count, min(neighbors, count - 1))
    assert [sorted(row) for row in found.tolist()] == [sorted(row) for row in slow_nearest(features, neighbors)]


def test_direction_counts_and_length_does_not() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(30, 4))
    stretched = features * generator.uniform(0.01, 100, size=(30, 1))
    assert np.sort(nearest(features, 5)).tolist() == np.sort(nearest(stretched, 5)).tolist()


@pytest.mark.parametrize("value", [1.0, 0.0])
def test_no_example_is_its_own_neighbor_even_among_duplicates(value: float) -> None:
    features = np.random.default_rng(0).normal(size=(30, 3))
    features[:25] = value  # and zero has no direction at all
    found = nearest(features, 10)
    for row, others in enumerate(found.tolist()):
        assert row not in others
        assert len(set(others)) == 10


@pytest.mark.parametrize("settings", [Neighbors(), Neighbors(neighbors=4, rounds=2, sharpness=1.5)])
@pytest.mark.parametrize("count", [50, 9])
def test_propagation_equals_slow_loops(settings: Neighbors, count: int) -> None:
    generator = np.random.default_rng(1)
    features, labels = generator.normal(size=(count, 3)), generator.integers(3, size=count)
    near = slow_nearest(features, settings.neighbors)
    expected = slow_propagation(near, labels.tolist(), 3, settings.rounds, settings.sharpness)
    np.testing.assert_allclose(settings.propagate(features, labels, 3), expected, atol=1e-12)


def test_ones_own_label_is_not_asked() -> None:
    generator = np.random.default_rng(2)
    # Classes are large, since their sizes, the label's own among them, decide how many neighbors count.
    features, labels = generator.normal(size=(120, 3)), generator.integers(2, size=120)
    once = Neighbors(rounds=1)
    before = once.propagate(features, labels, 2)
    labels[7] = 1 - labels[7]
    after = once.propagate(features, labels, 2)
    np.testing.assert_array_equal(before[7], after[7])
    assert not np.array_equal(before, after)


def test_the_scorer_puts_features_propagation_and_confident_learning_together() -> None:
    asked = subject(noisy().examples)
    found: Finding = Neighbors().score(asked)
    # Every hidden feature of the only hidden layer, by hand.
    module = asked.model.module()
    weight, bias = (value.detach().double().numpy() for value in (module[1].weight, module[1].bias))  # type: ignore[index]
    features = np.maximum(asked.examples.inputs @ weight.T + bias, 0)
    near = slow_nearest(features, 20)
    said = np.array(slow_propagation(near, asked.labels.tolist(), 3, 5, 2.0))
    np.testing.assert_allclose(found.scores, 1 - said[np.arange(300), asked.labels], atol=1e-5)
    assert found.suggested is not None
    assert found.suggested.tolist() == said.argmax(1).tolist()
    joint = confident_joint(said, asked.labels)
    assert found.noise_ratio == off_diagonal_share(joint)
    assert found.evidence == {"confident_joint": joint.tolist()}
    wrong = pruned(said, asked.labels, joint)
    assert found.wrong is not None
    assert found.wrong.tolist() == wrong.tolist()
    missed = [said[row].argmax() != asked.labels[row] for row in range(300) if not wrong[row]]
    assert found.model_error == pytest.approx(sum(missed) / len(missed))
