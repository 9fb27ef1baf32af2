"""Contradictions among neighbors: against slow loops, the size of the bound, and noise that depends on the example."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from untrain.data import instance_noise, load, mislabel, pair_noise, symmetric_noise
from untrain.detection import detect
from untrain.detection.linear import nearest_components, principal_components
from untrain.detection.neighborhoods import contradictions


def test_contradictions_equal_slow_loops() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=90)
    neighbors = np.array([generator.choice(np.delete(np.arange(90), row), 20, replace=False) for row in range(90)])
    smoothed, contradicted = np.zeros(90, dtype=int), np.zeros(90, dtype=bool)
    for row in range(90):
        counted = min(10, int((labels == labels[row]).sum()) // 2)
        votes = [int((labels[neighbors[row][:counted]] == label).sum()) for label in range(3)]
        smoothed[row], contradicted[row] = int(np.argmax(votes)), max(votes) > votes[labels[row]]
    closest = neighbors[:, 0]
    excess = [(labels[c] != labels[i]) / 2 - (smoothed[c] != smoothed[i]) / 2 for i, c in enumerate(closest)]
    found = contradictions(neighbors, labels, 3)
    np.testing.assert_array_equal(found.contradicted, contradicted)
    assert found.excess == pytest.approx(np.mean(excess))
    assert found.lower == pytest.approx(np.mean(excess) - 1.96 * np.sqrt(2) * np.std(excess) / np.sqrt(90))


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3])
def test_the_bound_stays_below_the_truth(ratio: float) -> None:
    digits = load("digits")
    neighbors = nearest_components(principal_components(digits.inputs), 20)[0]
    above = 0
    for seed in range(60):
        noise = mislabel(digits, symmetric_noise(10, ratio), seed=seed)
        found = contradictions(neighbors, noise.examples.labels, 10)
        above += found.lower > noise.ratio
        if ratio:
            assert found.excess > 0.6 * ratio  # and is worth something
    assert above <= 3


def test_noise_that_depends_on_the_example_is_flagged() -> None:
    digits = load("digits")
    inputs = digits.inputs.reshape(len(digits), -1)
    chosen = np.random.default_rng(0).permutation(len(digits))[:200]
    weak = LogisticRegression(max_iter=200).fit(inputs[chosen], digits.labels[chosen])
    noise = instance_noise(digits, weak.predict_proba(inputs), 0.2)
    found = detect(features=digits.inputs, labels=noise.examples.labels)
    flagged = np.isin(np.arange(len(digits)), found.flagged)
    hits = int((flagged & noise.mislabelled).sum())
    assert 2 * hits / (flagged.sum() + noise.mislabelled.sum()) > 0.7
    assert found.evidence["by_example"]
    assert any("ten nearest" in line for line in found.evidence["beside"])


@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_noise_of_classes_is_left_to_the_transition(ratio: float) -> None:
    noise = mislabel(load("digits"), pair_noise(10, ratio), seed=0)
    found = detect(features=noise.examples.inputs, labels=noise.examples.labels)
    assert not found.evidence["by_example"]
    assert found.noise_ratio == pytest.approx(noise.ratio, abs=0.02)
