"""On data drawn from the model itself, the fit finds what they were drawn with."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize

from untrain.detection import noise_transition as bayes
from untrain.detection.noise_transition import Posterior, fit_posterior

Array = npt.NDArray[np.float64]
SKEWED = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.0, 0.3, 0.7]])
TWO = np.array([[0.8, 0.2], [0.35, 0.65]])


@dataclass
class Drawn:
    """`log_p` are overconfident by `temperature` and known up to a constant in each row; `p` are the true ones."""

    log_p: Array
    p: Array
    true: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.labels != self.true)


def drawn(transition: Array, count: int = 4000, temperature: float = 1.3, seed: int = 0, sharp: float = 3.0) -> Drawn:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(count, len(transition))) * sharp
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    true = (p.cumsum(1) < generator.random((count, 1))).sum(1)
    labels = (transition[true].cumsum(1) < generator.random((count, 1))).sum(1)
    return Drawn(logits * temperature + generator.normal(size=(count, 1)), p, true, labels)


def near(classes: int, share: float = 0.8) -> Array:
    """A first guess that knows nothing but that most labels are right."""
    start: Array = np.full((classes, classes), (1 - share) / (classes - 1))
    np.fill_diagonal(start, share)
    return start


def objective(data: Drawn, transition: Array, temperature: float) -> float:
    """Log-likelihood of the labels by an explicit loop, and of what is believed before: one right label of each class,
    and a temperature about 1."""
    total = float(np.log(np.diag(transition)).sum()) - float((np.log(temperature) / bayes._TEMPERATURE_SPREAD) ** 2) / 2
    for row, label in zip(data.log_p / temperature, data.labels, strict=True):
        p = np.exp(row - row.max())
        total += float(np.log(p @ transition[:, label] / p.sum()))
    return total


def fitted(data: Drawn) -> Posterior:
    return fit_posterior(data.log_p, data.labels, near(data.log_p.shape[1]))


@pytest.mark.parametrize("transition", [SKEWED, TWO, near(4, 0.6)], ids=["skewed", "two", "symmetric"])
def test_finds_transition_and_temperature(transition: Array) -> None:
    found = [fitted(drawn(transition, seed=seed)) for seed in range(8)]
    matrices = np.stack([each.transition for each in found])
    # Within the error that the spread of eight draws tells; 0.004 is what one right label of each class besides can do.
    error = matrices.std(0, ddof=1) / np.sqrt(8)
    assert (np.abs(matrices.mean(0) - transition) <= 3.5 * error + 0.004).all()
    assert error.max() < 0.02
    assert np.mean([each.temperature for each in found]) == pytest.approx(1.3, rel=0.1)
    np.testing.assert_allclose(matrices.sum(2), 1)


def test_more_data_come_nearer() -> None:
    found = fitted(drawn(SKEWED, count=20_000, temperature=1.7))
    np.testing.assert_allclose(found.transition, SKEWED, atol=0.025)
    assert found.temperature == pytest.approx(1.7, rel=0.05)


def test_the_posterior_is_bayes_rule() -> None:
    data = drawn(SKEWED, count=500)
    found = fitted(data)
    errors = found.error_probability(data.labels)
    for row, label in enumerate(data.labels):
        p = np.exp(data.log_p[row] / found.temperature)
        joint = [p[c] / p.sum() * found.transition[c, label] for c in range(3)]
        np.testing.assert_allclose(found.classes[row], np.array(joint) / sum(joint), rtol=1e-9, atol=1e-12)
        assert errors[row] == pytest.approx(1 - joint[label] / sum(joint), abs=1e-12)


@pytest.mark.parametrize("transition", [SKEWED, TWO], ids=["skewed", "two"])
def test_no_round_makes_the_labels_less_likely(transition: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    data = drawn(transition, count=800)
    values = [objective(data, near(len(transition)), 1.0)]
    for rounds in range(1, 16):
        monkeypatch.setattr(bayes, "_ROUNDS", rounds)
        found = fitted(data)
        values.append(objective(data, found.transition, found.temperature))
    assert np.diff(values).min() >= -1e-6
    assert values[-1] > values[0] + 10


def test_equals_a_direct_optimizer() -> None:
    data = drawn(TWO, count=600)

    def matrix(x: Array) -> Array:
        a, b = 1 / (1 + np.exp(-x[:2]))
        return np.array([[1 - a, a], [b, 1 - b]])

    best = minimize(
        lambda x: -objective(data, matrix(x), float(np.exp(x[2]))), [-2, -2, 0], method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-6},
    )  # fmt: skip
    found = fitted(data)
    assert objective(data, found.transition, found.temperature) == pytest.approx(-best.fun, abs=0.01)
    np.testing.assert_allclose(found.transition, matrix(best.x), atol=0.01)
    assert found.temperature == pytest.approx(float(np.exp(best.x[2])), rel=0.05)


@pytest.mark.parametrize("transition", [SKEWED, TWO, near(4, 0.6)], ids=["skewed", "two", "symmetric"])
def test_error_probabilities_are_calibrated(transition: Array) -> None:
    data = drawn(transition, count=8000)
    errors = fitted(data).error_probability(data.labels)
    assert errors.mean() == pytest.approx(data.wrong.mean(), abs=0.015)
    edges = np.quantile(errors, np.linspace(0, 1, 11))
    for low, high in itertools.pairwise(edges):
        inside = (errors >= low) & (errors <= high)
        said, happened = errors[inside].mean(), data.wrong[inside].mean()
        assert abs(said - happened) <= 4 * np.sqrt(said * (1 - said) / inside.sum()) + 0.01


def test_clean_labels_stay_clean() -> None:
    data = drawn(np.eye(3))
    found = fitted(data)
    np.testing.assert_allclose(found.transition, np.eye(3), atol=0.01)
    assert found.error_probability(data.labels).mean() < 0.005


@pytest.mark.parametrize("start", [near(3), np.eye(3), np.diag([1.0, 1.0, 0.0])], ids=["near", "identity", "gone"])
def test_a_class_that_vanishes_leaves_numbers(start: Array) -> None:
    data = drawn(TWO, count=300)
    log_p = np.column_stack([data.log_p, np.full(300, -2000.0)])  # nobody is of the third class
    for labels in (data.labels, np.where(np.arange(300) < 2, 2, data.labels)):  # nor, but for two, labelled so
        found = fit_posterior(log_p, labels, start)
        for values in (found.classes, found.transition, found.error_probability(labels)):
            assert np.isfinite(values).all()
        np.testing.assert_allclose(found.classes.sum(1), 1)
        np.testing.assert_allclose(found.transition.sum(1), 1)


def test_where_the_data_say_nothing_the_temperature_is_one() -> None:
    labels = np.arange(400) % 3
    assert fit_posterior(np.zeros((400, 3)), labels, near(3)).temperature == pytest.approx(1, abs=1e-3)


def test_zeros_of_the_initial_matrix_stay_zero() -> None:
    data = drawn(SKEWED)
    start = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    assert fit_posterior(data.log_p, data.labels, start).transition[0, 2] == pytest.approx(0, abs=1e-12)
    assert fitted(data).transition[0, 2] > 0.05
