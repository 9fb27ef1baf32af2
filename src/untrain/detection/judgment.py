"""From views of the same examples to a finding: which labels are wrong, in which order, and how many. No torch.

A view is a matrix of log-probabilities of the classes that has not seen the label: held-out predictions, or votes of
neighbors. Their sum, a transition matrix fitted by maximum likelihood, and Bayes' rule give the probability that a
label is wrong; labels above one half are flagged. For the ranking, the transition is smoothed: a class that the fit
never saw mistaken for another can still be, as happens where label noise depends on the example.

A class whose labels the views recover no better than by chance is left alone, and named.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from scipy.stats import binom, random_table

from untrain.core.text import percent
from untrain.data.examples import Labels
from untrain.detection.base import Finding, Mask, Scores, model_error
from untrain.detection.beside import LEFT_ALONE, notice
from untrain.detection.confident_learning import confident_joint, pruned
from untrain.detection.linear import (
    FOLDS,
    assign_folds,
    held_out_log_p,
    nearest_components,
    neighbor_votes,
    principal_components,
    well_conditioned,
)
from untrain.detection.noise_transition import Posterior, fit_posterior
from untrain.errors import UndecidableError

NEIGHBORS = 20
_ROUNDS = 2
_SMOOTHING = 0.01
"""Added to each entry of the transition before examples are ranked."""

_STANDARD_ERRORS = 1.96
_PERMUTATIONS, _ALLOWED = 999, 9
"""Permutations that are drawn, and how many of them may agree as well as the predictions."""

_UNSEEN = 1.5
"""Wrong labels for each disagreement that the transition does not explain; chosen on digits, MNIST and
breast cancer, so that `benchmarks/noise_interval.py` is no independent test of it."""

_CHANCE = 0.01
"""Probability by chance above which a class is left alone."""


@dataclass(frozen=True, eq=False)
class Start:
    """A first estimate.

    Attributes:
        transition: `[C, C]`.
        trusted: `[n]`, labels that are trusted at first.
    """

    transition: Scores
    trusted: Mask


def first_estimate(probabilities: Scores, labels: Labels) -> Start:
    """A first transition matrix and the labels to trust, by confident learning on `[n, C]`."""
    joint = confident_joint(probabilities, labels)
    trusted = with_small_classes(~pruned(probabilities, labels, joint), labels)
    return Start((joint / np.maximum(joint.sum(0), 1)).T, trusted)


def with_small_classes(trusted: Mask, labels: Labels) -> Mask:
    """Trust all labels of a class that would have too few trusted ones to train on."""
    few = np.bincount(labels[trusted], minlength=labels.max() + 1) < 2 * FOLDS
    return np.asarray(trusted | few[labels])


def judge_features(
    features: npt.NDArray[np.floating], labels: Labels, classes: int, generator: np.random.Generator
) -> Finding:
    """The fast path: judge labels by features alone.

    Linear heads and votes of neighbors give a first estimate. Twice, heads are trained on the trusted labels alone, and
    neighbors vote with the posterior of the round before.

    Args:
        features: `[n, ...]`.
        labels: `[n]`.
        classes: number of classes C.
        generator: draws the folds.

    Raises:
        InputError: there are too few examples, or the features are not finite or constant.
        UndecidableError: held-out predictions agree with the labels no better than with permuted labels.

    Cost: fifteen linear heads and one search for neighbors; memory of some ten matrices `[n, C]`.
    """
    folds = assign_folds(labels, classes, generator)
    components = principal_components(features)
    neighbors, distances = nearest_components(components, NEIGHBORS)
    components = well_conditioned(components)
    log_p = held_out_log_p(components, labels, classes, folds)
    given = neighbor_votes(np.eye(classes)[labels], neighbors, labels)
    first = (np.exp(log_p) + given) / 2
    check_above_chance(first.argmax(1), labels)
    start = first_estimate(first, labels)
    trusted = start.trusted
    votes = np.eye(classes)[labels] * trusted[:, None]
    for _ in range(_ROUNDS):
        log_p = held_out_log_p(components, labels, classes, folds, with_small_classes(trusted, labels))
        total = log_p + log_votes(neighbor_votes(votes, neighbors, labels))
        posterior = fit_posterior(total, labels, start.transition)
        votes, trusted = posterior.classes, posterior.error_probability(labels) <= 0.5
    total = log_p + log_votes(neighbor_votes(votes, neighbors, labels))
    finding = judge(total, labels, start.transition, views=[log_votes(given)])
    return replace(finding, evidence={**finding.evidence, **notice(distances)})


def judge_predictions(probabilities: Scores, labels: Labels) -> Finding:
    """Judge labels by out-of-fold probabilities `[n, C]` of any origin.

    Raises:
        UndecidableError: they agree with the labels no better than with permuted labels.
    """
    check_above_chance(probabilities.argmax(1), labels)
    return judge(np.log(probabilities + 1e-6), labels, first_estimate(probabilities, labels).transition)


def log_votes(votes: Scores) -> Scores:
    """Logarithm of votes, normalized, each at least one thousandth."""
    return np.asarray(np.log((votes + 1e-6) / (votes + 1e-6).sum(1, keepdims=True) + 1e-3))


def judge(log_p: Scores, labels: Labels, start: Scores, *, views: Sequence[Scores] = ()) -> Finding:
    """The finding of a sum of views.

    Args:
        log_p: `[n, C]`, the sum of the views' log-probabilities.
        labels: `[n]`.
        start: `[C, C]`, a first transition matrix.
        views: further log-probabilities `[n, C]`, which count for the ranking, but flag nothing.
    """
    posterior = fit_posterior(log_p, labels, start)
    errors = posterior.error_probability(labels)
    predicted = log_p.argmax(1)
    alone = classes_left_alone(predicted, labels)
    judged = ~np.isin(labels, alone)
    wrong = (errors > 0.5) & judged
    ratio = float(errors[judged].sum() / len(labels))
    missed = model_error(log_p, labels, ~wrong)
    disagreement = float((predicted != labels).mean())
    return Finding(
        scores=_log_odds(np.sum([log_p, *views], axis=0), labels, posterior),
        wrong=wrong,
        noise_ratio=ratio,
        interval=interval(ratio, missed, disagreement, len(labels)),
        model_error=missed,
        suggested=posterior.classes.argmax(1),
        evidence={
            "transition": np.round(posterior.transition, 4).tolist(),
            "temperature": posterior.temperature,
            "disagreement": disagreement,
            LEFT_ALONE: alone.tolist(),
        },
    )


def interval(ratio: float, missed: float, disagreement: float, count: int) -> tuple[float, float]:
    """An interval of the noise ratio; `benchmarks/noise_interval.py` counts how often it covers.

    Its upper end exceeds the estimate by one and a half times the further labels that the views disagree with. These
    are the views' own errors, or wrong labels that the transition cannot see, as they depend on the example; and where
    that is so, the views share some of these errors. Its lower end is the estimate, less the labels that are not
    flagged although views disagree, since these show how often the views err. Both ends are moved outwards by the
    sampling error.
    """
    low = max(ratio - missed, 0.0)
    high = min(ratio + _UNSEEN * max(disagreement - ratio, 0.0), 1.0)
    return _wilson(low, count)[0], _wilson(high, count)[1]


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    square = _STANDARD_ERRORS**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _STANDARD_ERRORS * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _log_odds(log_p: Scores, labels: Labels, posterior: Posterior) -> Scores:
    """Log-odds that each label is wrong, by a smoothed transition, `[n]`; practically without ties."""
    smooth = posterior.transition + _SMOOTHING
    smooth /= smooth.sum(1, keepdims=True)
    evidence = log_p / posterior.temperature + np.log(smooth)[:, labels].T
    rows = np.arange(len(labels))
    given = evidence[rows, labels]
    evidence[rows, labels] = -np.inf
    return np.asarray(logsumexp(evidence, axis=1) - given)


def classes_left_alone(predicted: Labels, labels: Labels) -> Labels:
    """Classes whose labels are recovered no better than by chance, so that nothing can be said about them.

    Of m labels of a class, h are predicted. If the class is predicted for a share q of the other examples, the chance
    of at least h is that of a binomial distribution.
    """
    classes = np.unique(labels)
    counts = np.bincount(labels)[classes]
    recovered = np.array([(predicted[labels == label] == label).sum() for label in classes])
    elsewhere = np.array([(predicted[labels != label] == label).sum() for label in classes])
    chance = binom.sf(recovered - 1, counts, (elsewhere + 1) / (len(labels) - counts + 1))
    return np.asarray(classes[chance > _CHANCE], dtype=np.int64)


def check_above_chance(predicted: Labels, labels: Labels) -> None:
    """Check that predictions agree with the labels better than with permuted labels, each class weighing the same.

    The agreement of 999 permutations is drawn exactly, as tables with the same margins.

    Raises:
        UndecidableError: more than nine permutations agree as well.

    Source: Phipson, Smyth (2010), "Permutation P-values Should Never Be Zero".
    """
    classes, given = np.unique(labels, return_inverse=True)
    table = np.zeros((max(int(predicted.max()), int(classes.max())) + 1, len(classes)), dtype=np.int64)
    np.add.at(table, (predicted, given), 1)
    counts = table.sum(0)
    agreement = balanced_agreement(table, classes, counts)
    generator = np.random.default_rng(0)
    permuted = random_table(table.sum(1), counts)
    permutations = sorted(
        balanced_agreement(permuted.rvs(1, random_state=generator)[0].astype(np.int64), classes, counts)
        for _ in range(_PERMUTATIONS)
    )
    chance = permutations[-_ALLOWED - 1]
    if agreement <= chance:
        raise UndecidableError(
            f"The labels cannot be told right from wrong: held-out predictions agree with {percent(agreement, 1)} of "
            f"them (mean over the classes), no better than chance ({percent(chance, 1)} in one of a hundred "
            "permutations of the labels); there is too much label noise, there are too few examples, "
            "or the network cannot learn the task."
        )


def balanced_agreement(table: npt.NDArray[np.int64], classes: Labels, counts: npt.NDArray[np.int64]) -> float:
    """Mean over the classes of the share of their labels that is predicted; rows of the table are predictions."""
    return float((table[classes, np.arange(len(classes))] / counts).mean())
