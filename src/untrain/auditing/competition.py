"""The score of the NeurIPS 2023 unlearning competition: the same numbers, 500 times as fast.

For each forget example the competition compares its confidence under N unlearned and N retrained models by
many simple attacks: one threshold, or an interval. An attack that tells the two apart with false positive
rate FPR and false negative rate FNR shows that no smaller epsilon than

    max(log(1 - delta - FPR) - log FNR, log(1 - delta - FNR) - log FPR)

can hold; the largest over all attacks is the example's epsilon. It earns 1 point below 0.5, half a point
below 1, a quarter below 1.5 and so on, and none from `ceil(log(N - 1))` on. The mean of the points is the
forgetting quality F.

The competition's scorer tries 160,000 intervals on arrays `[N, 160000]`. Intervals only matter through how
many of the 2 N confidences they hold, so here the confidences are sorted, all ends are looked up in them, and
each pair of counts is evaluated once: the same grid and the same float32 arithmetic, hence the same numbers.

Sources: Triantafillou, Kairouz, Pedregosa, Hayes, Kurmanji, Zhao et al. (2024), "Are we making progress in
unlearning? Findings from the first NeurIPS unlearning competition"; Kairouz, Oh, Viswanath (2015), "The
composition theorem for differential privacy".
"""

import math
import warnings
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from untrain.auditing.arms import check_delta, two_arms
from untrain.core.estimate import Estimate
from untrain.errors import InputError

CAP = 50.0
"""Largest epsilon; examples that an attack separates perfectly have it."""

_PER_UNIT = 100
_BUFFER = 2.0
_BUCKET = 0.5

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ForgetQuality:
    """Forgetting quality and what is needed to read it.

    Attributes:
        score: the mean of the examples' points F, 0 to 1. Finite samples keep even a perfect method near 0.2,
            and scores at different numbers of models cannot be compared.
        epsilon: `[S]`, per example, in nats; NaN where the scorer has no answer.
        buckets: number of point values above 0 at this number of models.
        models: N, the number of models in each arm.
        capped: number of examples at the cap of 50: some attack tells all models apart.
    """

    score: float
    epsilon: Array = field(repr=False)
    buckets: int
    models: int
    capped: int


def bucket_count(models: int) -> int:
    """Number of buckets of width 0.5 at N models: `2 ceil(log(N - 1))`.

    >>> [bucket_count(n) for n in (32, 64, 512, 1024)]
    [8, 10, 14, 14]
    """
    return int(math.ceil(math.log(models - 1)) / _BUCKET)


def forget_quality(unlearned: npt.ArrayLike, retrained: npt.ArrayLike, delta: float = 1e-5) -> ForgetQuality:
    """The competition's forgetting quality of unlearned against retrained models.

    Args:
        unlearned: `[N, S]` confidences of S forget examples under N unlearned models.
        retrained: `[N, S]`, under N models that never saw them.
        delta: of the (epsilon, delta) guarantee.

    Returns:
        A `ForgetQuality`. An example on which no attack gives an answer, which crashes the competition's
        scorer, has epsilon NaN and is left out of the mean.

    Raises:
        InputError: the shapes differ, N is below 2, S is 0, a confidence is not finite, or delta is not from 0 to
            below 1.

    Warns:
        RuntimeWarning: some examples have no answer.

    Cost: below 25 ms an example at N = 512 on one core; memory for some arrays of 160,000 numbers, plus the
    input.

    >>> same = np.random.default_rng(0).normal(size=(64, 3))
    >>> forget_quality(same, same).score
    1.0
    """
    u, r = two_arms(unlearned, retrained, 2, "for a forgetting quality")
    check_delta(delta, "a forgetting quality")
    epsilon = np.asarray([_epsilon(u[:, s], r[:, s], delta) for s in range(u.shape[1])])
    if missing := int(np.isnan(epsilon).sum()):
        warnings.warn(
            f"{missing} of {len(epsilon)} examples have no epsilon and are left out",
            RuntimeWarning,
            stacklevel=2,
        )
    buckets = bucket_count(len(u))
    known = epsilon[~np.isnan(epsilon)]
    return ForgetQuality(
        score=float(_points(known, buckets).sum() / len(known)) if len(known) else math.nan,
        epsilon=epsilon,
        buckets=buckets,
        models=len(u),
        capped=int((known == CAP).sum()),
    )


def _points(epsilon: Array, buckets: int) -> Array:
    """Points of each example: 1, 1/2, 1/4 and so on by its bucket, 0 beyond the last."""
    bucket = np.floor(epsilon / _BUCKET)
    points: Array = np.where(bucket < buckets, 0.5**bucket, 0.0)
    return points


def quality_interval(epsilon: npt.ArrayLike, buckets: int) -> Estimate:
    """Forgetting quality with a 95 % interval over the examples: Student's t of the mean of their points.

    Args:
        epsilon: `[S]` of each forget example; NaN is left out.
        buckets: number of buckets at the number of models.

    Returns:
        An interval for other examples like these, which takes them as independent: models that move all examples
        alike vary more.

    Raises:
        InputError: fewer than two examples have an epsilon.

    >>> str(quality_interval([0.1, 0.1, 0.6, 0.6], 8))
    '0.750 (0.291 to 1.209)'
    """
    values = np.asarray(epsilon, dtype=np.float64)
    points = _points(values[~np.isnan(values)], buckets)
    if len(points) < 2:
        raise InputError(f"An interval over examples needs at least 2 with an epsilon, got {len(points)}.")
    half = float(stdtrit(len(points) - 1, 0.975) * points.std(ddof=1) / len(points) ** 0.5)
    mean = float(points.mean())
    return Estimate(mean, mean - half, mean + half)


def mean_epsilon(epsilon: npt.ArrayLike) -> float:
    """Mean of the examples' epsilons in nats, those without an answer left out.

    Source: formula (3) of Shibata, Murakami, Yamauchi, "An experimental study to compare the performance of
    machine unlearning methods with multiple datasets". It is not what the competition scores: that is the
    mean of the points.

    >>> mean_epsilon([1.0, 3.0, float("nan")])
    2.0
    """
    values = np.asarray(epsilon, dtype=np.float64)
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def final_score(
    quality: float,
    unlearned_retain_accuracy: npt.ArrayLike,
    retrained_retain_accuracy: npt.ArrayLike,
    unlearned_test_accuracy: npt.ArrayLike,
    retrained_test_accuracy: npt.ArrayLike,
) -> float:
    """The competition's final score `F (RA_U / RA_R) (TA_U / TA_R)`; no ratio is clipped at 1.

    Args:
        quality: forgetting quality F.
        unlearned_retain_accuracy: `[N]` or its mean, in any unit that the next argument shares.
        retrained_retain_accuracy: likewise, of the retrained models.
        unlearned_test_accuracy: likewise, on the test set.
        retrained_test_accuracy: likewise.

    Raises:
        InputError: the retrained models have accuracy 0.

    >>> final_score(0.1, 99.0, 99.0, 90.0, 100.0)
    0.09000000000000001
    """
    retain = _mean(retrained_retain_accuracy)
    test = _mean(retrained_test_accuracy)
    if not retain > 0 or not test > 0:
        raise InputError(
            f"A final score needs retrained models of accuracy above 0, and theirs is {retain:g} on the retain set and "
            f"{test:g} on the test set: check whether their training diverged."
        )
    ratio = _mean(unlearned_retain_accuracy) / retain * (_mean(unlearned_test_accuracy) / test)
    return quality * ratio


def _mean(values: npt.ArrayLike) -> float:
    return float(np.asarray(values, dtype=np.float64).mean())


def _epsilon(unlearned: Array, retrained: Array, delta: float) -> float:
    """Epsilon of one example from its `[N]` confidences under each kind of model."""
    unlearned, retrained = np.sort(unlearned), np.sort(retrained)
    positive, negative = (
        (retrained, unlearned) if np.median(retrained) > np.median(unlearned) else (unlearned, retrained)
    )
    ranges = sorted((np.ptp(positive), np.ptp(negative)))
    if ranges[1] > 0 and ranges[0] / ranges[1] < 0.01:
        return CAP
    errors = _Errors(len(positive))
    errors.add(*_interval_errors(positive, negative))
    errors.add(*_threshold_errors(positive, negative))
    return errors.epsilon(delta)


class _Errors:
    """Which error counts the attacks reach: for each number of false negatives, the fewest false positives above 0.

    That is enough, since fewer false positives at the same false negatives give a larger epsilon.
    """

    def __init__(self, models: int) -> None:
        self.models = models
        self.perfect = False
        self.fewest = np.full(models + 1, models + 1, dtype=np.intp)

    def add(self, false_negatives: Counts, false_positives: Counts) -> None:
        self.perfect |= bool(((false_negatives == 0) & (false_positives == 0)).any())
        counted = false_positives > 0
        np.minimum.at(self.fewest, false_negatives[counted], false_positives[counted])

    def epsilon(self, delta: float) -> float:
        """The largest epsilon over the counts, in the float32 arithmetic of the original; NaN if none has one."""
        if self.perfect:
            return CAP
        negatives = 1 + np.flatnonzero(self.fewest[1:] <= self.models)
        fnr, fpr = (
            counts.astype(np.float32) / np.float32(self.models) for counts in (negatives, self.fewest[negatives])
        )
        with np.errstate(invalid="ignore"):  # log of 1 - delta - 1 is not a number, and no evidence
            bounds = np.concatenate([np.log(1 - delta - fpr) - np.log(fnr), np.log(1 - delta - fnr) - np.log(fpr)])
        bounds = bounds[~np.isnan(bounds)]
        return float(np.clip(bounds.max(), 0, CAP)) if len(bounds) else math.nan


def _interval_errors(positive: Array, negative: Array) -> tuple[Counts, Counts]:
    """Errors of "between left and right is the peakier one" over the scorer's grid of intervals.

    Args:
        positive: `[N]` sorted.
        negative: `[N]` sorted.
    """
    width = min(np.ptp(positive), np.ptp(negative))
    peaky, other = (negative, positive) if np.ptp(positive) >= np.ptp(negative) else (positive, negative)
    first, last = peaky[0] + width - _BUFFER, peaky[-1] + _BUFFER
    right = np.linspace(first, last, math.ceil((last - first) * _PER_UNIT))
    middle = right - width
    left = np.linspace(middle - _BUFFER, middle + _BUFFER, math.ceil(2 * _BUFFER * _PER_UNIT), axis=1)
    inside_peaky, inside_other = (_count_inside(arm, left, right) for arm in (peaky, other))
    return (len(peaky) - inside_peaky).ravel(), inside_other.ravel()


def _count_inside(sorted_arm: Array, left: Array, right: Array) -> Counts:
    """How many of the arm lie in [left, right], for left `[R, L]` and right `[R]`."""
    below = np.searchsorted(sorted_arm, left, side="left")
    upto = np.searchsorted(sorted_arm, right, side="right")
    inside: Counts = np.maximum(upto[:, None] - below, 0)
    return inside


def _threshold_errors(positive: Array, negative: Array) -> tuple[Counts, Counts]:
    """Errors of "from the threshold on it is the positive one" over the scorer's grid of thresholds."""
    lowest, highest = min(positive[0], negative[0]), max(positive[-1], negative[-1])
    thresholds = _linspace32(lowest, highest, math.ceil((highest - lowest) * _PER_UNIT)).astype(np.float64)
    below_positive = np.searchsorted(positive, thresholds, side="left")
    below_negative = np.searchsorted(negative, thresholds, side="left")
    return below_positive, len(negative) - below_negative


def _linspace32(first: float, last: float, count: int) -> npt.NDArray[np.float32]:
    """`torch.linspace` in float32, which counts up to the middle and down from the end; the scorer uses it."""
    start, end = np.float32(first), np.float32(last)
    if count < 2:
        return np.full(count, start, dtype=np.float32)
    step = (end - start) / np.float32(count - 1)
    index = np.arange(count)
    up = start + step * index.astype(np.float32)
    down = end - step * (count - 1 - index).astype(np.float32)
    return np.where(index < count // 2, up, down)
