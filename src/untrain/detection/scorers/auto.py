"""Auto: the default detector. It needs neither the noise ratio nor clean data.

1. Five-fold cross-validation for half the recipe. Early in a training, a network learns what most labels agree on. The
   mean out-of-fold prediction over the epochs, and votes among early features, give a first transition matrix and a
   first set of trusted labels, by confident learning.
2. Two rounds of five-fold cross-validation on the trusted labels alone, each for three eighths of the recipe, with
   out-of-fold predictions for all examples. After each round a noise transition matrix, fitted by maximum likelihood
   (`untrain.detection.noise_transition`), and Bayes' rule choose the trusted labels again.
3. Three views are judged together (`untrain.detection.judgment`): the predictions of both rounds, votes of neighbors
   among the last features, and votes of neighbors among the inputs, which memorize nothing. Labels are flagged by the
   fitted transition, and ranked by a smoothed one, so that noise that depends on the example is ranked, too. Where
   neighbors among the inputs show more wrong labels than the transition explains, those that they contradict are
   flagged (`untrain.detection.neighborhoods`).

The cost is `2 + 3 (1 - r)` trainings at a noise ratio r, up to the rounding of epochs: 5.2 for clean labels and a
recipe of twenty epochs, 4 for 40 % of noise. A recipe of fewer than four epochs cannot be divided so. Without a factory
or a recipe, or where features are given, `linear` is used instead, with a note.

If out-of-fold predictions agree with the labels no better than with permuted labels, each class weighing the same, the
labels cannot be told right from wrong, and `auto` refuses.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from untrain.detection.base import Finding, Scorer, Scores, Subject
from untrain.detection.cross_validation import TRAININGS, cross_validate
from untrain.detection.judgment import (
    NEIGHBORS,
    check_above_chance,
    first_estimate,
    judge,
    log_votes,
    with_small_classes,
)
from untrain.detection.linear import Neighborhood, nearest_components, neighbor_votes, principal_components
from untrain.detection.noise_transition import fit_posterior
from untrain.detection.scorers.linear import Linear
from untrain.population import Population, Recipe

_FIRST, _LATER = 0.5, 0.375
"""Shares of the recipe for the first and for each later cross-validation."""


class Auto(Scorer, frozen=True, tag="auto"):
    """Find mislabeled examples at any noise ratio and for any kind of noise."""

    title = "cross-validated self-training, transition fitted"
    trains = True

    def score(self, subject: Subject) -> Finding:
        """Cost: about five trainings at most, see above, and three searches for neighbors.

        Raises:
            UndecidableError: out-of-fold predictions agree with the labels no better than with permuted labels.
        """
        if subject.given_features is not None or not subject.can_train:
            finding = Linear().score(subject)
            why = (
                "features are given" if subject.given_features is not None else "factory and recipe are not both known"
            )
            notes = [f"auto used linear on features and trained no networks, since {why}"]
            if "note" in finding.evidence:
                notes.append(str(finding.evidence["note"]))
            return replace(finding, evidence={**finding.evidence, "note": "; ".join(notes)})
        labels, recipe = subject.labels, subject.training_recipe("auto")
        given = np.eye(len(subject.examples.classes))[labels]
        folds = cross_validate(subject, recipe.compressed(_FIRST), "first look")
        # Averaged over all epochs, since the best of many epochs would beat chance by chance.
        check_above_chance([np.exp(folds.mean_log_p)], labels)
        start = first_estimate((folds.mean_p + _votes(_features(folds.early, subject), given, labels)) / 2, labels)
        trusted, rounds, log_p = start.trusted, [float(1 - start.trusted.mean())], np.zeros_like(given)
        for number in (1, 2):
            folds = cross_validate(subject, recipe.compressed(_LATER), f"round {number}", trusted)
            posterior = fit_posterior(folds.mean_log_p, labels, start.transition)
            errors = posterior.error_probability(labels)
            trusted = with_small_classes(errors <= 0.5, labels)
            rounds.append(float(errors.mean()))
            log_p += folds.mean_log_p / 2
        inputs = subject.examples.inputs
        # Named inputs, such as token ids, are no points in a space.
        neighbors = None if isinstance(inputs, Mapping) else _neighbors(inputs)
        views = [] if neighbors is None else [log_votes(neighbor_votes(given, neighbors, labels))]
        last = _votes(_features(folds.last, subject), posterior.classes, labels)
        finding = judge(log_p + log_votes(last), labels, start.transition, views=views, neighbors=neighbors)
        return replace(finding, evidence={**finding.evidence, "noise_ratio_of_each_round": rounds})

    def passes(self, recipe: Recipe) -> float:
        """Of all rounds, on all labels."""
        return TRAININGS * sum(recipe.compressed(share).epochs for share in (_FIRST, _LATER, _LATER))


def _votes(features: npt.NDArray[np.floating], votes: Scores, labels: npt.NDArray[np.int64]) -> Scores:
    """Votes of the neighbors among features `[n, ...]`."""
    return neighbor_votes(votes, _neighbors(features), labels)


def _neighbors(features: npt.NDArray[np.floating]) -> Neighborhood:
    """Positions of the neighbors among features `[n, ...]`, the nearest first."""
    return nearest_components(principal_components(features), NEIGHBORS)[0]


def _features(models: Population, subject: Subject) -> npt.NDArray[np.float32]:
    """Penultimate features of all models, side by side, `[n, K d]`."""
    return np.hstack(list(models.features(subject.examples).float().cpu().numpy()))
