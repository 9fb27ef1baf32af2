"""Auto: the default detector. It needs neither the noise ratio nor clean data.

1. Five-fold cross-validation for half the recipe. Early in a training, a network learns what most labels agree on. The
   mean out-of-fold prediction over the epochs, and label propagation among early features, give a first transition
   matrix and a first set of trusted labels, by confident learning.
2. Two rounds of five-fold cross-validation on the trusted labels alone, each for three eighths of the recipe, with
   out-of-fold predictions for all examples. After each round a noise transition matrix, fitted by maximum likelihood
   (`untrain.detection.noise_transition`), and Bayes' rule choose the trusted labels again. No kind of noise is assumed.
3. The predictions of both rounds, and a vote of each example's neighbors among the last features, give the probability
   that a label is wrong. That is the score. Examples above one half are flagged; the mean is the noise ratio.

The cost is `2 + 3 (1 - r)` trainings at a noise ratio r, up to the rounding of epochs: 5.2 for clean labels and a
recipe of twenty epochs, 4 for 40 % of noise. A recipe of fewer than four epochs cannot be divided so. Without a factory
or a recipe, `neighbours` is used instead, with a note.

If out-of-fold predictions agree with the labels no better than with permuted labels, the labels cannot be told right
from wrong, and `auto` refuses. On hard data, the model's own errors look like label noise, and the noise ratio is an
upper estimate; the model's error is reported beside it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from untrain.core.text import percent
from untrain.data.examples import Labels
from untrain.detection.base import Finding, Mask, Scorer, Scores, Subject, model_error
from untrain.detection.confident_learning import confident_joint, pruned
from untrain.detection.cross_validation import FOLDS, cross_validate
from untrain.detection.noise_transition import fit_posterior
from untrain.detection.scorers.neighbors import Neighbors, nearest
from untrain.errors import UndecidableError
from untrain.population import Population

_FIRST, _LATER = 0.5, 0.375
"""Shares of the recipe for the first and for each later cross-validation."""

_NEIGHBORS = Neighbors()
"""Settings of the neighbors in every step."""

_CHANCE = 4.0
"""Standard deviations by which out-of-fold agreement must exceed that with permuted labels."""


class Auto(Scorer, frozen=True, tag="auto"):
    """Find mislabeled examples at any noise ratio and for any kind of noise."""

    title = "cross-validated self-training, transition fitted"
    trains = True

    def score(self, subject: Subject) -> Finding:
        """Cost: about five trainings at most, see above, and ten searches for neighbors.

        Raises:
            UndecidableError: out-of-fold predictions agree with the labels no better than with permuted labels.
        """
        if not subject.can_train:
            finding = _NEIGHBORS.score(subject)
            note = "auto fell back to neighbours, since training new models needs a factory and a recipe"
            return replace(finding, evidence={**finding.evidence, "note": note})
        labels = subject.labels
        start, trusted = self._first_estimate(subject)
        recipe = subject.training_recipe("auto").compressed(_LATER)
        log_p: Scores = np.zeros((len(labels), len(subject.examples.classes)))
        ratios = [float(1 - trusted.mean())]
        for number in (1, 2):
            folds = cross_validate(subject, recipe, f"round {number}", trusted)
            mean_log_p = folds.log_p.mean(0)
            posterior = fit_posterior(mean_log_p, labels, start)
            errors = posterior.error_probability(labels)
            trusted = _with_small_classes(errors <= 0.5, labels)
            ratios.append(float(errors.mean()))
            log_p += mean_log_p / 2
        votes = [
            posterior.classes[nearest(features, _NEIGHBORS.neighbors)].mean(1)
            for features in _features(folds.last, subject)
        ]
        posterior = fit_posterior(log_p + _log(np.mean(votes, axis=0)), labels, start)
        scores = posterior.error_probability(labels)
        return Finding(
            scores=scores,
            wrong=scores > 0.5,
            noise_ratio=float(scores.mean()),
            model_error=model_error(log_p, labels, scores <= 0.5),
            suggested=posterior.classes.argmax(1),
            evidence={
                "transition": np.round(posterior.transition, 4).tolist(),
                "temperature": posterior.temperature,
                "noise_ratio_of_each_round": ratios,
            },
        )

    def _first_estimate(self, subject: Subject) -> tuple[Scores, Mask]:
        """A first transition matrix, and which labels to trust at first."""
        labels, classes = subject.labels, len(subject.examples.classes)
        recipe = subject.training_recipe("auto").compressed(_FIRST)
        folds = cross_validate(subject, recipe, "first look")
        # Averaged over all epochs, since the best of many epochs would beat chance by chance.
        _check_above_chance(folds.log_p.mean(0).argmax(1), labels)
        votes = [_NEIGHBORS.propagate(features, labels, classes) for features in _features(folds.early, subject)]
        probabilities = (np.exp(folds.log_p).mean(0) + np.mean(votes, axis=0)) / 2
        joint = confident_joint(probabilities, labels)
        trusted = _with_small_classes(~pruned(probabilities, labels, joint), labels)
        return (joint / np.maximum(joint.sum(0), 1)).T, trusted


def _check_above_chance(predicted: Labels, labels: Labels) -> None:
    agreement = float((predicted == labels).mean())
    chance, deviation = permuted_agreement(predicted, labels)
    if agreement <= chance + _CHANCE * deviation:
        raise UndecidableError(
            f"the labels cannot be told right from wrong: held-out models agree with {percent(agreement, 1)} of them, "
            f"no better than chance ({percent(chance, 1)}); there is too much label noise, there are too few examples, "
            "or the network cannot learn the task"
        )


def permuted_agreement(predicted: Labels, labels: Labels) -> tuple[float, float]:
    """Mean and standard deviation, over all permutations of the labels, of the share that equals the prediction.

    Both are exact: the variance of a sum of one entry from each row and column of a matrix (Hoeffding, 1951), here of
    the matrix that tells which predictions equal which labels. Shares of the classes may differ in any way.
    """
    classes = int(max(predicted.max(), labels.max())) + 1
    p, q = (np.bincount(values, minlength=classes) / len(labels) for values in (predicted, labels))
    mean = float(p @ q)
    variance = float(mean - p @ q**2 - p**2 @ q + mean**2) / (len(labels) - 1)
    return mean, math.sqrt(max(variance, 0.0))


def _with_small_classes(trusted: Mask, labels: Labels) -> Mask:
    """Trust all labels of a class that would have too few trusted ones to train on."""
    few = np.bincount(labels[trusted], minlength=labels.max() + 1) < 2 * FOLDS
    return trusted | few[labels]


def _features(models: Population, subject: Subject) -> Iterator[Scores]:
    """Penultimate features `[n, d]` of each model in turn."""
    for position in range(len(models)):
        yield models.select([position]).features(subject.examples)[0].double().cpu().numpy()


def _log(votes: Scores) -> Scores:
    """Logarithm of votes, each at least one thousandth."""
    return np.log(votes + 1e-3)
