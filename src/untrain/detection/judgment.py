"""From views of the same examples to a finding: which labels are wrong, in which order, and how many. No torch.

A view is a matrix of log-probabilities of the classes that has not seen the label: held-out predictions, or votes of
neighbors. Their sum, a transition matrix fitted by maximum likelihood, and Bayes' rule give the probability that a
label is wrong; labels above one half are flagged. For the ranking, the transition is smoothed: a class that the fit
never saw mistaken for another can still be, as happens where label noise depends on the example. Where neighbors show
that more labels are wrong than the transition explains, those that they contradict are flagged
(`untrain.detection.neighborhoods`).

A class whose labels the views recover no better than by chance is left alone, and named.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc, logsumexp

from untrain.core.text import percent
from untrain.data.examples import Labels
from untrain.detection.base import Finding, Mask, Scores, model_error
from untrain.detection.beside import BY_EXAMPLE, LEFT_ALONE, notice
from untrain.detection.confident_learning import confident_joint, pruned
from untrain.detection.linear import (
    FOLDS,
    Neighborhood,
    assign_folds,
    held_out_log_p,
    nearest_components,
    neighbor_votes,
    principal_components,
    well_conditioned,
)
from untrain.detection.neighborhoods import find_refutation
from untrain.detection.noise_transition import Posterior, fit_posterior
from untrain.errors import UndecidableError

NEIGHBORS = 20
_ROUNDS = 2
_SMOOTHING = 0.01
"""Added to each entry of the transition before examples are ranked."""

_STANDARD_ERRORS = 1.96
_PERMUTATIONS = 999
_ABOVE_CHANCE = 2.33 * 1.5
"""Standard deviations of permuted labels by which agreement must exceed chance: the 99 % quantile, times how much more
held-out agreement varies where models were trained on the labels (Nadeau and Bengio's correction for five folds)."""

_WIDE = 100
"""Neighbors that vote where other predictions are in doubt: many, so that half wrong labels average out."""

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
    principal = principal_components(features)
    neighbors, distances = nearest_components(principal, NEIGHBORS)
    components = well_conditioned(principal)
    log_p = held_out_log_p(components, labels, classes, folds)
    given = neighbor_votes(np.eye(classes)[labels], neighbors, labels)
    first = (np.exp(log_p) + given) / 2

    def looks() -> Iterator[Scores]:
        yield first
        yield neighbor_votes(np.eye(classes)[labels], nearest_components(principal, _WIDE)[0], labels)

    check_above_chance(looks(), labels)
    start = first_estimate(first, labels)
    trusted = start.trusted
    votes = np.eye(classes)[labels] * trusted[:, None]
    for _ in range(_ROUNDS):
        log_p = held_out_log_p(components, labels, classes, folds, with_small_classes(trusted, labels))
        total = log_p + log_votes(neighbor_votes(votes, neighbors, labels))
        posterior = fit_posterior(total, labels, start.transition)
        votes, trusted = posterior.classes, posterior.error_probability(labels) <= 0.5
    total = log_p + log_votes(neighbor_votes(votes, neighbors, labels))
    finding = judge(total, labels, start.transition, views=[log_votes(given)], neighbors=neighbors)
    return replace(finding, evidence={**finding.evidence, **notice(distances)})


def judge_predictions(probabilities: Scores, labels: Labels) -> Finding:
    """Judge labels by out-of-fold probabilities `[n, C]` of any origin.

    Raises:
        UndecidableError: they agree with the labels no better than with permuted labels.
    """
    check_above_chance([probabilities], labels)
    return judge(np.log(probabilities + 1e-6), labels, first_estimate(probabilities, labels).transition)


def log_votes(votes: Scores) -> Scores:
    """Logarithm of votes, normalized, each at least one thousandth."""
    return np.asarray(np.log((votes + 1e-6) / (votes + 1e-6).sum(1, keepdims=True) + 1e-3))


def judge(
    log_p: Scores,
    labels: Labels,
    start: Scores,
    *,
    views: Sequence[Scores] = (),
    neighbors: Neighborhood | None = None,
) -> Finding:
    """The finding of a sum of views.

    Args:
        log_p: `[n, C]`, the sum of the views' log-probabilities.
        labels: `[n]`.
        start: `[C, C]`, a first transition matrix.
        views: further log-probabilities `[n, C]`, which count for the ranking, but flag nothing.
        neighbors: `[n, k]`, the nearest first, among features that have not learned the labels. Where they refute the
            fitted share of wrong labels, the labels that they contradict are flagged.
    """
    posterior = fit_posterior(log_p, labels, start)
    errors = posterior.error_probability(labels)
    predicted = log_p.argmax(1)
    alone = classes_left_alone(predicted, labels)
    judged = ~np.isin(labels, alone)
    wrong, suggested = (errors > 0.5) & judged, posterior.classes.argmax(1)
    ratio = fitted = float(errors[judged].sum() / len(labels))
    missed, disagree = model_error(log_p, labels, ~wrong), predicted != labels
    refutation = None if neighbors is None else find_refutation(neighbors, labels, log_p.shape[1], fitted)
    if refutation is not None:
        wrong, suggested = (
            refutation.contradicted & judged,
            np.where(refutation.contradicted, refutation.votes, suggested),
        )
        ratio, disagree = float(wrong.mean()), disagree | refutation.contradicted
    disagreement = float(disagree.mean())
    return Finding(
        scores=_log_odds(np.sum([log_p, *views], axis=0), labels, posterior),
        wrong=wrong,
        noise_ratio=ratio,
        interval=interval(fitted, missed, disagreement, len(labels)),
        model_error=model_error(log_p, labels, ~wrong),
        suggested=suggested,
        evidence={
            "transition": np.round(posterior.transition, 4).tolist(),
            "temperature": posterior.temperature,
            "disagreement": disagreement,
            BY_EXAMPLE: refutation is not None,
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
    return _wilson_low(low, count), 1 - _wilson_low(1 - high, count)


def _wilson_low(share: float, count: int) -> float:
    """The lower end of Wilson's 95 % interval of a share: exactly 0 for 0. The upper end is that of the complement."""
    square = _STANDARD_ERRORS**2
    half = math.sqrt(square * square + 4 * count * square * share * (1 - share))
    return max(0.0, 2 * count * share + square - half) / (2 * (count + square))


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
    chance = bdtrc(recovered - 1, counts, (elsewhere + 1) / (len(labels) - counts + 1))
    return np.asarray(classes[chance > _CHANCE], dtype=np.int64)


def check_above_chance(views: Iterable[Scores], labels: Labels) -> None:
    """Check that held-out predictions agree with the labels better than by chance, each class weighing the same.

    A class is predicted where its probability, divided by its share of the labels, is the largest. Chance is the
    agreement with permuted labels, 999 of which are drawn exactly, as tables with the same margins. Its standard
    deviation is multiplied by 1.5, since models of different folds share their training labels: where these lean to
    one side by chance, all models and the held-out labels do.

    Args:
        views: held-out probabilities `[n, C]`; it is enough that one of them is better than chance.
        labels: `[n]`.

    Raises:
        UndecidableError: no view is better than chance.

    Source: Nadeau, Bengio (2003), "Inference for the Generalization Error", for the variance of cross-validation.
    """
    from scipy.stats import random_table  # takes long to import

    classes, given = np.unique(labels, return_inverse=True)
    agreements: list[tuple[float, float]] = []
    for view in views:
        predicted = (view[:, classes] * (len(labels) / np.bincount(given))).argmax(1)
        table = np.zeros((len(classes), len(classes)), dtype=np.int64)
        np.add.at(table, (predicted, given), 1)
        permuted = random_table(table.sum(1), table.sum(0)).rvs(_PERMUTATIONS, random_state=np.random.default_rng(0))
        by_chance = balanced_agreement(permuted)
        agreements.append((float(balanced_agreement(table)), float(by_chance.mean() + _ABOVE_CHANCE * by_chance.std())))
        if agreements[-1][0] > agreements[-1][1]:
            return
    agreement, chance = agreements[0]
    raise UndecidableError(
        f"The labels cannot be told right from wrong: held-out predictions agree with {percent(agreement, 1)} of "
        f"them (mean over the classes), no better than chance, which reaches {percent(chance, 1)}; there is too much "
        "label noise, there are too few examples, or the network cannot learn the task."
    )


def balanced_agreement(tables: npt.NDArray[np.number]) -> Scores:
    """Mean over the classes of the share of their labels that is predicted, `[...]`.

    Args:
        tables: `[..., C, C]`, how often each class is predicted (row) for each given class (column).
    """
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    return np.asarray((hits / tables.sum(-2)).mean(-1), dtype=np.float64)
