"""The certificate against slow counts, known epsilons and the error rates of its own attack on fresh models.

The slow test repeats the validity with 300 draws at four numbers of models:
`python -m pytest tests/auditing/test_certificate.py -m slow`.
"""

import functools
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import binom, norm
from scipy.stats import t as student

from tests.auditing.draws import KINDS, Truth
from untrain.auditing import certificate
from untrain.auditing.certificate import (
    _ERRING,
    _Attack,
    _choose,
    _epsilon,
    _error_rates,
    _limit,
    _scores_when_left_out,
    _shrink,
)
from untrain.errors import InputError

Array = npt.NDArray[np.float64]

DELTA, ERROR = 1e-5, 0.025


def gaussian_epsilon(shift: float) -> float:
    """Epsilon at delta 1e-5 of two normal distributions of unit width."""

    def excess(epsilon: float) -> float:
        tail = norm.cdf(shift / 2 - epsilon / shift) - math.exp(epsilon) * norm.cdf(-shift / 2 - epsilon / shift)
        return float(tail) - DELTA

    return float(brentq(excess, 0, 40))


def own_epsilon(truth: Truth, u: Array, r: Array, generator: np.random.Generator) -> float:
    """What the attack that a certificate is made with truly achieves, on 1,000 fresh models."""
    attack = _Attack.fit(u[1::2], r[1::2])
    threshold = _choose(*_scores_when_left_out(u[1::2], r[1::2]), DELTA, ERROR)
    fresh_u, fresh_r = (attack.scores(arm(generator, 1000)) for arm in (truth.unlearned, truth.retrained))
    rates = _error_rates(fresh_u, fresh_r, np.asarray([threshold]))
    negative, positive = (np.clip(errors.mean(axis=0), 1e-9, 1) for errors in rates)
    return float(_epsilon(negative, positive, DELTA)[0])


def same_sample(u: Array, r: Array) -> float:
    """Broken on purpose: the models that chose the attack and its threshold also count its errors."""
    attack = _Attack.fit(u, r)
    scores = attack.scores(u), attack.scores(r)
    threshold = _choose(*scores, DELTA, ERROR)
    negative, positive = (_limit(errors, ERROR, _ERRING) for errors in _error_rates(*scores, np.asarray([threshold])))
    return float(_epsilon(negative, positive, DELTA)[0])


def test_known_epsilons_of_normal_distributions() -> None:
    for shift, epsilon in ((0.25, 0.926342), (0.5, 1.993091), (1, 4.377178), (2, 9.997256)):
        assert gaussian_epsilon(shift) == pytest.approx(epsilon, abs=1e-6)


@pytest.mark.parametrize(("shift", "least"), [(0.5, 0.4), (1.0, 1.2), (2.0, 2.5)])
def test_normal_quantiles_are_certified_below_their_epsilon(shift: float, least: float) -> None:
    """Each example has the same quantiles in another order, so nothing is left to chance but the order."""
    generator = np.random.default_rng(0)
    quantiles = np.tile(ndtri((np.arange(64) + 0.5) / 64)[:, None], (1, 100))
    u, r = (generator.permuted(quantiles, axis=0) for _ in range(2))
    found = certificate(u + shift, r)
    assert least < found.epsilon < gaussian_epsilon(shift)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("models", [16, 32])
def test_certifies_nothing_if_there_is_nothing(kind: str, models: int) -> None:
    truth, generator = Truth.draw(kind, 40, size=0), np.random.default_rng(0)
    found = [
        certificate(truth.retrained(generator, models), truth.retrained(generator, models)).epsilon for _ in range(150)
    ]
    assert np.mean(np.array(found) > 0) <= 0.05


@functools.cache
def validity(kind: str, models: int, draws: int, size: float = 1.0) -> tuple[float, float, float]:
    """Share of bounds below what the attack truly achieves, of the certificate and of the broken one; its mean."""
    truth, generator = Truth.draw(kind, 50, size), np.random.default_rng(1)
    held, broken, bounds = [], [], []
    for _ in range(draws):
        u, r = truth.unlearned(generator, models), truth.retrained(generator, models)
        own, bound = own_epsilon(truth, u, r, generator), certificate(u, r).epsilon
        held.append(bound <= own)
        broken.append(same_sample(u, r) <= own)
        bounds.append(bound)
    return float(np.mean(held)), float(np.mean(broken)), float(np.mean(bounds))


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold_for_the_attacks_own_error_rates(kind: str) -> None:
    held, _, mean = validity(kind, models=32, draws=100)
    assert held >= 0.95
    assert mean > 0.1


def test_counting_errors_on_the_models_that_chose_the_attack_fails_the_same_tests() -> None:
    _, broken, _ = validity("normal", models=32, draws=100)
    assert broken < 0.8
    generator = np.random.default_rng(0)
    assert np.mean([same_sample(*generator.normal(size=(2, 32, 40))) > 0 for _ in range(40)]) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("models", [16, 32, 64, 128])
@pytest.mark.parametrize("size", [1.0, 3.0])
def test_bounds_hold_at_any_number_of_models(kind: str, models: int, size: float) -> None:
    held, broken, mean = validity(kind, models, draws=300, size=size)
    print(kind, models, size, held, broken, mean)  # noqa: T201
    assert held >= 0.95


def test_examples_that_repeat_one_another_prove_no_more_than_one() -> None:
    generator, one, many = np.random.default_rng(2), [], []
    for _ in range(40):
        u, r = generator.normal(2, 1, (64, 1)), generator.normal(size=(64, 1))
        one.append(certificate(u, r).epsilon)
        many.append(certificate(np.repeat(u, 50, axis=1), np.repeat(r, 50, axis=1)).epsilon)
    assert np.mean(many) == pytest.approx(np.mean(one), abs=0.1)


def test_more_models_certify_more() -> None:
    truth, generator = Truth.draw("normal", 100), np.random.default_rng(0)
    found = [
        np.mean([certificate(truth.unlearned(generator, n), truth.retrained(generator, n)).epsilon for _ in range(10)])
        for n in (16, 64, 256)
    ]
    assert sorted(found) == found
    assert found[1] > 1.3


def test_separation_of_one_example_is_limited_by_the_number_of_models() -> None:
    u, r = np.random.default_rng(0).normal(size=(2, 64, 1))
    found = certificate(u + 100, r)
    limit = 1 - ERROR ** (1 / 32)
    for rate in (found.false_positive, found.false_negative):
        assert (rate.value, rate.low) == (0, 0)
        assert rate.high == pytest.approx(limit)
    assert found.epsilon == pytest.approx(math.log((1 - DELTA - limit) / limit))
    assert (found.models, found.held_out, found.level, found.delta) == (64, 32, 0.95, DELTA)


def test_constant_confidences_are_judged() -> None:
    assert certificate(np.zeros((16, 3)), np.zeros((16, 3))).epsilon == 0
    assert certificate(np.zeros((64, 3)), np.ones((64, 3))).epsilon > 2


def test_unit_and_order_of_examples_do_not_matter() -> None:
    truth, generator = Truth.draw("normal", 30), np.random.default_rng(0)
    u, r = truth.unlearned(generator, 32), truth.retrained(generator, 32)
    expected, order = certificate(u, r), generator.permutation(30)
    for found in (certificate(u[:, order], r[:, order]), certificate(7 * u - 3, 7 * r - 3)):
        assert found.epsilon == pytest.approx(expected.epsilon, abs=1e-9)


def test_scores_are_log_likelihood_ratios() -> None:
    generator = np.random.default_rng(0)
    u, r = generator.normal(1, 2, (40, 1)), generator.normal(size=(40, 1))
    attack, at = _Attack.fit(u, r), np.linspace(-3, 3, 7)[:, None]
    width, ratio = math.sqrt((u.var(ddof=1) + r.var(ddof=1)) / 2), math.sqrt(u.std(ddof=1) / r.std(ddof=1))
    expected = norm.logpdf(at, u.mean(), width * ratio) - norm.logpdf(at, r.mean(), width / ratio)
    np.testing.assert_allclose(attack.scores(at), expected, rtol=1e-4)


def test_shrinking_leaves_the_share_of_the_variance_that_is_signal() -> None:
    values = np.array([0.0, 2.0, 4.0])
    np.testing.assert_allclose(_shrink(values, 1.0), [0.5, 2.0, 3.5])
    np.testing.assert_allclose(_shrink(values, 9.0), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(_shrink(values[1:2], 9.0), [2.0])


def test_error_rates_equal_a_double_loop_over_models_and_examples() -> None:
    generator = np.random.default_rng(0)
    u, r = generator.normal(size=(2, 5, 6)).round(1)
    thresholds = np.array([-0.5, 0.1, 9.0])
    missed, alarms = _error_rates(u, r, thresholds)
    for model in range(5):
        for k, threshold in enumerate(thresholds):
            assert missed[model, k] == sum(not score > threshold for score in u[model]) / 6
            assert alarms[model, k] == sum(score > threshold for score in r[model]) / 6


def test_limits_are_johnsons_and_where_errors_are_few_clopper_and_pearsons() -> None:
    errors = np.random.default_rng(0).exponential(0.1, (12, 1)).clip(0, 1)
    mean, deviation = float(errors.mean()), float(errors.std(ddof=1))
    skewness = float(((errors - mean) ** 3).mean()) / deviation**3
    t = student.ppf(1 - ERROR, 11)
    expected = mean + deviation / math.sqrt(12) * (t + skewness * (1 + 2 * t**2) / (6 * math.sqrt(12)))
    assert _limit(errors, ERROR, 0.5) == pytest.approx([expected])
    for erring in range(6):
        few = np.zeros((12, 1))
        few[:erring] = 0.01
        exact = brentq(lambda p, count=erring: binom.cdf(count, 12, p) - ERROR, 0, 1)
        assert _limit(few, ERROR, 0.5) == pytest.approx([exact])
    assert _limit(np.ones((12, 1)), ERROR, 0.5) == [1.0]


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        (15, {}, r"for a certificate .* at least 16 models .*got \(15, 2\) and \(15, 2\)"),
        (16, {"level": 1.0}, r"level for a certificate must be between 0 and 1, such as 0\.95; got 1\.0"),
        (16, {"delta": 1.0}, r"delta of a certificate must be from 0 to below 1, .*got 1\.0"),
    ],
)
def test_wrong_input_is_refused(models: int, options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        certificate(np.zeros((models, 2)), np.zeros((models, 2)), **options)


def test_confidences_must_be_finite() -> None:
    with pytest.raises(InputError, match="for a certificate is NaN or infinite"):
        certificate(np.full((16, 1), np.inf), np.zeros((16, 1)))
