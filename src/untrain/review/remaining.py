"""How many of the suspects that are left are wrong: an estimate from the scores and the decisions so far.

The chance that a suspect is wrong is modeled as a curve `P(wrong) = sigmoid(a + b x + c x^2)`, where x is the log-
odds of its score, or of its score's rank where scores are no probabilities. The prior believes probabilities (a
near 0, b near 1, c near 0) but not much; the decisions say the rest. The posterior is approximated by a normal
distribution around its mode (Laplace), the share among those that are left by the delta method on the scale of
log-odds, with the variance of the labels themselves added.

What it rests on: that the suspects that are left follow the same curve as those that are decided.
`tests/review/test_remaining.py` simulates the coverage, also where the curve is another.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from untrain.core.estimate import Estimate
from untrain.detection import Answer
from untrain.detection.review import UNSURE, YES
from untrain.report.suspects import Suspect

Numbers = npt.NDArray[np.float64]

_PRIOR_MEAN = np.array([0.0, 1.0, 0.0])
_PRIOR_DEVIATION = np.array([1.5, 0.75, 0.25])
_STANDARD_ERRORS = 1.96
_LARGEST = 6.0
"""Log-odds of a score are clipped here: a probability of .9999 is not to be believed so far."""
_STEPS = 30


def coordinates(scores: Numbers) -> Numbers:
    """What the curve is drawn over: log-odds of scores that are probabilities, else those of their ranks, `[n]`."""
    if scores.size and scores.min() >= 0 and scores.max() <= 1:
        shares = np.clip(scores, 1e-9, 1 - 1e-9)
    else:
        shares = (np.argsort(np.argsort(scores, kind="stable"), kind="stable") + 0.5) / max(len(scores), 1)
    return np.clip(np.log(shares / (1 - shares)), -_LARGEST, _LARGEST)


def share_left(x: Numbers, decided: npt.NDArray[np.intp], wrong: npt.NDArray[np.bool_]) -> Estimate | None:
    """Share of wrong labels among the suspects that are not decided, with a 95 % interval; None if none are left.

    Args:
        x: `coordinates` of all suspects, `[n]`.
        decided: positions of those decided as wrong or correct, `[m]`.
        wrong: which of these are wrong, `[m]`.
    """
    left = np.delete(x, decided)
    if not len(left):
        return None
    mode, covariance = _fitted(_design(x[decided]), wrong.astype(np.float64))
    design = _design(left)
    chances = _sigmoid(design @ mode)
    share = float(np.clip(chances.mean(), 1e-6, 1 - 1e-6))
    slopes = chances * (1 - chances)
    gradient = (design * slopes[:, None]).mean(axis=0)
    variance = float(gradient @ covariance @ gradient) + float(slopes.sum()) / len(left) ** 2
    half = _STANDARD_ERRORS * np.sqrt(variance) / (share * (1 - share))
    middle = np.log(share / (1 - share))
    # The share is a number of examples over their count: the ends are those of whole examples, outward.
    low, high = np.floor(_sigmoid(middle - half) * len(left)), np.ceil(_sigmoid(middle + half) * len(left))
    return Estimate(share, float(low / len(left)), float(high / len(left)))


def left_of(suspects: Sequence[Suspect], answers: Mapping[str, Answer]) -> Estimate | None:
    """Share of wrong labels among the suspects without an answer; those with the answer unsure do not count.

    Args:
        suspects: all of them.
        answers: by id.
    """
    given = [answers.get(suspect.id, Answer()).wrong for suspect in suspects]
    x = coordinates(np.asarray([suspect.score or 0.0 for suspect in suspects]))
    known = [place for place, wrong in enumerate(given) if wrong != UNSURE]
    decided = [place for place, number in enumerate(known) if given[number]]
    wrong = [given[known[place]] == YES for place in decided]
    return share_left(x[known], np.asarray(decided, dtype=np.intp), np.asarray(wrong, dtype=np.bool_))


def _design(x: Numbers) -> Numbers:
    return np.stack([np.ones_like(x), x, x**2], axis=1)


def _fitted(design: Numbers, wrong: Numbers) -> tuple[Numbers, Numbers]:
    """Mode and covariance of the posterior of the curve, by Newton's method."""
    precision = np.diag(_PRIOR_DEVIATION**-2.0)
    mode = _PRIOR_MEAN.copy()
    for _ in range(_STEPS):
        chances = _sigmoid(design @ mode)
        gradient = design.T @ (wrong - chances) - precision @ (mode - _PRIOR_MEAN)
        hessian = design.T @ (design * (chances * (1 - chances))[:, None]) + precision
        step = np.linalg.solve(hessian, gradient)
        mode = mode + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return mode, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def _sigmoid(values: npt.ArrayLike) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.asarray(values, dtype=np.float64))), dtype=np.float64)
