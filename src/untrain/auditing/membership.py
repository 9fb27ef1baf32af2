"""Is the forget set still recognized? A check of one model without retraining, and no substitute for an audit.

A model is more confident in what it was trained on. So take a forget example and a held-out one of the same class,
and ask which has the higher confidence: the chance that it is the forget example is the AUC of the simplest
membership attack, 1/2 if forget examples look like any others to the model. Classes differ in how confident a model
is, so pairs are made within a class, and classes are averaged with their shares of the forget set: what share a class
has of the held-out data does not matter.

The interval is DeLong's on the scale of the log-odds, with Student's t. The variance that comes from the held-out
examples is added class by class; that from the forget examples is taken over all of them, since a forget set may have
one example of a class. Three rules keep it honest where most of the forget set is in a class with few held-out
examples:

- A class with fewer than five held-out examples is left out.
- The degrees of freedom are Satterthwaite's over the parts of the variance: n - 1 for n forget examples and m - 1 for
  the m held-out examples of each class.
- Each part's variance is estimated as if one more example had shown the largest possible, AUC (1 - AUC). A few
  confidences that happen to agree, as they often do near an AUC of 1, would otherwise pass for certainty.

Simulated in 240 cells by `python -m benchmarks.membership` (five laws, AUCs of 0.5, 0.76, 0.9 and 0.97, twelve sizes
from 10 to 300 forget examples, 1,000 draws a cell), nominal 95 % intervals hold the truth in 93 to 100 % of the draws,
and examples that look like any others are called recognized in at most 2.9 % (nominal 2.5 %). The exceptions are two
cells with an AUC of 0.97 and 40 forget examples that spread more than the held-out ones: 84 and 90 %. The price of the
third rule is that a class with few held-out examples shows only what is plain.

Read it as a guard, not as an audit; `LIMITS` says why. An audit compares with retrained models.

Sources: Yeom, Giacomelli, Fredrikson, Jha (2018), "Privacy risk in machine learning: analyzing the connection to
overfitting"; Mann and Whitney (1947), "On a test of whether one of two random variables is stochastically larger than
the other"; DeLong, DeLong, Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver
operating characteristic curves"; Satterthwaite (1946), "An approximate distribution of estimates of variance
components"; Welch (1947), "The generalization of 'Student's' problem when several different population variances are
involved"; Kish (1965), "Survey sampling" (effective number); Qin and Hotilovac (2008), "Comparison of non-parametric
confidence intervals for the area under the ROC curve of a continuous-scale diagnostic test" (log-odds); Golatkar,
Achille, Soatto (2020), "Eternal sunshine of the spotless net" (over-forgetting, their Streisand effect).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, stdtrit

from untrain.auditing.arms import Array, check_level
from untrain.auditing.proportion import exact_interval
from untrain.core.estimate import Estimate
from untrain.errors import InputError

FEWEST_EXAMPLES = 10
"""Forget examples, and held-out examples of their classes, below which nothing is said."""

FEWEST_HELD_OUT = 5
"""Held-out examples of a class below which the class is not compared."""

LIMITS = (
    "This is one attack on one model, without retrained models to compare with: others may see more. Forget examples "
    "that are easier or harder than held-out ones of their class shift it up or down, whether or not they were "
    "forgotten. An AUC clearly below 1/2 also reveals the forget set: the model does worse on it than on data it "
    "never saw."
)

_NO_SPREAD = 1e-9

Verdict = Literal["recognized", "not recognized", "cannot say"]


@dataclass(frozen=True)
class MembershipAttack:
    """How well one model's confidences tell the forget set from held-out data.

    Attributes:
        auc: chance that a forget example has a higher confidence than a held-out one of its class, ties half, with its
            interval; None if the verdict is "cannot say".
        verdict: "recognized" if the interval lies above 1/2, "not recognized" if it reaches 1/2 or lies below, "cannot
            say" if there are too few examples to compare.
        unusual: the interval lies below 1/2: forgetting went too far, or the forget examples are harder ones.
        forget: number of forget examples that were compared.
        held_out: number of held-out examples that they were compared with.
        left_out: classes of the forget set with fewer than five held-out examples, which were not compared.
        limits: what the check cannot see, in a few sentences.
    """

    auc: Estimate | None
    verdict: Verdict
    unusual: bool
    forget: int
    held_out: int
    left_out: tuple[int, ...]
    limits: str = LIMITS


@dataclass(frozen=True)
class MembershipChange:
    """The check of the original model beside that of the unlearned one.

    Attributes:
        before: under the original.
        after: under the unlearned model.
        change: AUC after less AUC before, with the interval of a paired comparison, since both see the same examples;
            None where nothing could be said.
    """

    before: MembershipAttack
    after: MembershipAttack
    change: Estimate | None


def membership(
    forget: npt.ArrayLike,
    held_out: npt.ArrayLike,
    forget_labels: npt.ArrayLike,
    held_out_labels: npt.ArrayLike,
    level: float = 0.95,
) -> MembershipAttack:
    """Whether a model still recognizes its forget set more than held-out data.

    Nothing changes under a strictly increasing map of all confidences of a class.

    Args:
        forget: `[n]` confidences of the forget examples in their labels, under one model.
        held_out: `[m]` confidences of examples that it was not trained on, nor chosen by.
        forget_labels: `[n]` class numbers.
        held_out_labels: `[m]` class numbers.
        level: confidence level of the interval.

    Returns:
        A `MembershipAttack`.

    Raises:
        InputError: the shapes do not fit, a label is no whole number, a confidence is not finite, or the level is not
            between 0 and 1.

    Cost: O((n + m) log m); milliseconds for 10,000 examples.

    >>> generator = np.random.default_rng(0)
    >>> labels = np.arange(200) % 5
    >>> attack = membership(generator.normal(1, 1, 200), generator.normal(0, 1, 200), labels, labels)
    >>> attack.verdict, attack.unusual, round(attack.auc.value, 2)
    ('recognized', False, 0.79)
    """
    check_level(level, "for the membership check")
    return _judge(_compare(forget, held_out, forget_labels, held_out_labels), level)


def membership_change(
    before: tuple[npt.ArrayLike, npt.ArrayLike],
    after: tuple[npt.ArrayLike, npt.ArrayLike],
    forget_labels: npt.ArrayLike,
    held_out_labels: npt.ArrayLike,
    level: float = 0.95,
) -> MembershipChange:
    """The membership check before and after forgetting, on the same examples.

    Args:
        before: confidences of the forget set `[n]` and of the held-out examples `[m]` under the original.
        after: likewise, under the unlearned model.
        forget_labels: `[n]` class numbers.
        held_out_labels: `[m]` class numbers.
        level: confidence level of the intervals.

    Returns:
        A `MembershipChange`.

    Raises:
        InputError: as `membership`.

    Cost: that of three calls of `membership`.

    >>> generator = np.random.default_rng(0)
    >>> labels, held_out = np.arange(200) % 5, generator.normal(0, 1, 200)
    >>> forget = generator.normal(0, 1, 200)
    >>> attacks = membership_change((forget + 1, held_out), (forget, held_out), labels, labels)
    >>> attacks.before.verdict, attacks.after.verdict, attacks.change.high < 0
    ('recognized', 'not recognized', True)
    """
    check_level(level, "for the membership check")
    first, second = (_compare(*confidences, forget_labels, held_out_labels) for confidences in (before, after))
    change = None
    if first.enough:
        difference = second.less(first)
        half = difference.margin(level)
        change = Estimate(difference.auc, difference.auc - half, difference.auc + half)
    return MembershipChange(_judge(first, level), _judge(second, level), change)


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Every example's share of comparisons within its class that the forget example wins, ties half.

    Attributes:
        forget: for each class the shares `[n]` of its forget examples.
        held_out: for each class the shares `[m]` of its held-out examples.
        left_out: classes that were not compared.
    """

    forget: tuple[Array, ...]
    held_out: tuple[Array, ...]
    left_out: tuple[int, ...]

    @property
    def forget_count(self) -> int:
        return sum(map(len, self.forget))

    @property
    def held_out_count(self) -> int:
        return sum(map(len, self.held_out))

    @property
    def enough(self) -> bool:
        return min(self.forget_count, self.held_out_count) >= FEWEST_EXAMPLES

    @property
    def auc(self) -> float:
        return float(np.concatenate(self.forget).mean())

    def margin(self, level: float, prior: float | None = None) -> float:
        """Half the width of the t interval of the AUC; a prior variance counts as one more example of each sample."""
        variances, degrees = self._variances(prior)
        total = variances.sum()
        if total < _NO_SPREAD**2:
            return 0.0
        satterthwaite = total**2 / (variances**2 / degrees).sum()
        return float(stdtrit(satterthwaite, (1 + level) / 2) * total**0.5)

    def _variances(self, prior: float | None) -> tuple[Array, Array]:
        """What the forget examples and each class's held-out ones add to the AUC's variance; degrees of freedom."""
        samples = (np.concatenate(self.forget), *self.held_out)
        weights = np.array([1.0, *(len(forget) / self.forget_count for forget in self.forget)])
        counts = np.array([len(shares) for shares in samples], dtype=np.float64)
        variances = np.array([shares.var(ddof=1) for shares in samples])
        if prior is not None:
            variances = (variances * (counts - 1) + prior) / counts
        return weights**2 * variances / counts, counts - 1

    def less(self, other: "_Comparison") -> "_Comparison":
        """The same examples' shares less those of another model."""
        return _Comparison(
            tuple(own - others for own, others in zip(self.forget, other.forget, strict=True)),
            tuple(own - others for own, others in zip(self.held_out, other.held_out, strict=True)),
            self.left_out,
        )


def _compare(
    forget: npt.ArrayLike, held_out: npt.ArrayLike, forget_labels: npt.ArrayLike, held_out_labels: npt.ArrayLike
) -> _Comparison:
    f, f_labels = _labeled(forget, forget_labels, "forget set")
    h, h_labels = _labeled(held_out, held_out_labels, "held-out data")
    classes = [(c, f[f_labels == c], h[h_labels == c]) for c in np.unique(f_labels).tolist()]
    compared = [(forgotten, others) for _, forgotten, others in classes if len(others) >= FEWEST_HELD_OUT]
    return _Comparison(
        tuple(_share_below(forgotten, others) for forgotten, others in compared),
        tuple(1 - _share_below(others, forgotten) for forgotten, others in compared),
        tuple(c for c, _, others in classes if len(others) < FEWEST_HELD_OUT),
    )


def _labeled(confidences: npt.ArrayLike, labels: npt.ArrayLike, name: str) -> tuple[Array, npt.NDArray[np.integer]]:
    values, numbers = np.asarray(confidences, dtype=np.float64), np.asarray(labels)
    if values.ndim != 1 or numbers.shape != values.shape:
        raise InputError(
            f"The {name} needs one confidence and one label for each example, got shapes {values.shape} and "
            f"{numbers.shape}."
        )
    if not np.isfinite(values).all():
        raise InputError(f"A confidence of the {name} is NaN or infinite: check whether a training diverged.")
    if numbers.size and numbers.dtype.kind not in "iu":
        raise InputError(
            f"The labels of the {name} must be class numbers, got {numbers.dtype}: convert them to integers."
        )
    return values, numbers


def _share_below(values: Array, others: Array) -> Array:
    ordered = np.sort(others)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    share: Array = (below + upto) / (2 * len(ordered))
    return share


def _judge(comparison: _Comparison, level: float) -> MembershipAttack:
    auc = _interval(comparison, level) if comparison.enough else None
    verdict: Verdict = "cannot say"
    if auc is not None:
        verdict = "recognized" if auc.low > 0.5 else "not recognized"
    return MembershipAttack(
        auc=auc,
        verdict=verdict,
        unusual=auc is not None and auc.high < 0.5,
        forget=comparison.forget_count,
        held_out=comparison.held_out_count,
        left_out=comparison.left_out,
    )


def _interval(comparison: _Comparison, level: float) -> Estimate:
    auc = comparison.auc
    if comparison.margin(level) == 0:
        return _interval_without_spread(comparison, level)
    largest_variance = auc * (1 - auc)
    middle, half = logit(auc), comparison.margin(level, prior=largest_variance) / largest_variance
    return Estimate(auc, float(expit(middle - half)), float(expit(middle + half)))


def _interval_without_spread(comparison: _Comparison, level: float) -> Estimate:
    """Clopper and Pearson's, since separation leaves no variance to estimate.

    It counts disjoint pairs within classes, and classes with their weights: Kish's effective number.
    """
    sizes = [(len(f), len(h)) for f, h in zip(comparison.forget, comparison.held_out, strict=True)]
    pairs = comparison.forget_count**2 / sum(forget**2 / min(forget, held_out) for forget, held_out in sizes)
    auc = comparison.auc
    return Estimate(auc, *exact_interval(pairs * auc, pairs * (1 - auc), level))
