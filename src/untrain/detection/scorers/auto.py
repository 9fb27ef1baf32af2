"""Auto: the detector to use when nothing is known of the noise, and none of the data is known to be clean.

1. Five folds are trained for half the recipe. Early on, a network learns what most labels agree on; what the held-out
   models say on average over the epochs, and label propagation among their early features, choose by confident learning
   which labels to trust for now.
2. Twice, five folds are trained on the trusted labels alone, for three eighths of the recipe, and judge every example
   held out. Which labels are trusted is chosen anew after each round, by Bayes' rule with a noise transition that is
   fitted by maximum likelihood (`untrain.detection.noise_transition`), so that any class may be taken for any other.
3. Both rounds together, and a vote of each example's neighbours among the last features, give the probability that
   a label is wrong. That is the score; above one half a label is flagged; the mean is the noise ratio.

It costs `2 + 3 (1 - r)` trainings when a share r is wrong, up to the rounding of epochs: 5.2 where a recipe of twenty
epochs meets clean labels, 4 where 40 % of them are wrong. A recipe of fewer than four epochs cannot be divided so.
Without a factory or a recipe it falls back to `neighbours` and says so.

Where the models themselves cannot tell right from wrong, nothing can be known: if held-out models agree with the
labels no better than the largest class does, it refuses. What the models get wrong on hard data looks like noise, so
the noise ratio is an upper estimate there; the model's own error stands beside it.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from untrain.detection.base import Finding, Scorer, Scores, Subject, model_error
from untrain.detection.confident_learning import confident_joint, pruned
from untrain.detection.cross_validation import FOLDS, cross_validate
from untrain.detection.noise_transition import fit_posterior
from untrain.detection.scorers.neighbors import Neighbors, nearest
from untrain.errors import UndecidableError
from untrain.population import Population

_FIRST, _LATER = 0.5, 0.375
"""Shares of the recipe for the first and each later round."""

_ASKED = Neighbors()
"""How neighbours are asked in every step."""

_CHANCE = 4.0
"""Standard errors by which held-out agreement must exceed the share of the largest class."""


class Auto(Scorer, frozen=True, tag="auto"):
    """Find wrong labels whatever their number and kind."""

    title = "cross-validated self-training, transition fitted"
    trains = True

    def score(self, subject: Subject) -> Finding:
        """Cost: about five trainings at most, see above, and ten searches for neighbours.

        Raises:
            UndecidableError: held-out models agree with the labels no better than the largest class does.
        """
        if not subject.can_train:
            finding = _ASKED.score(subject)
            note = "auto fell back to neighbours, since no factory and recipe are known to train models with"
            return replace(finding, evidence={**finding.evidence, "note": note})
        labels = subject.labels
        start, trusted = self._first_look(subject)
        recipe = subject.trainable("auto").compressed(_LATER)
        log_p: Scores = np.zeros((len(labels), len(subject.examples.classes)))
        ratios = [float(1 - trusted.mean())]
        for number in (1, 2):
            folds = cross_validate(subject, recipe, f"round {number}", trusted)
            found = folds.log_p.mean(0)
            posterior = fit_posterior(found, labels, start)
            trusted = _spared(posterior.wrongness(labels) <= 0.5, labels)
            ratios.append(float(posterior.wrongness(labels).mean()))
            log_p += found / 2
        votes = [
            posterior.classes[nearest(features, _ASKED.neighbours)].mean(1)
            for features in _features(folds.last, subject)
        ]
        posterior = fit_posterior(log_p + _log(np.mean(votes, axis=0)), labels, start)
        scores = posterior.wrongness(labels)
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

    def _first_look(self, subject: Subject) -> tuple[Scores, npt.NDArray[np.bool_]]:
        """A first transition matrix, and which labels to trust for now."""
        labels, classes = subject.labels, len(subject.examples.classes)
        recipe = subject.trainable("auto").compressed(_FIRST)
        folds = cross_validate(subject, recipe, "first look")
        # Of all epochs together, since the best of many would beat chance by chance.
        _refuse_chance(float((folds.log_p.mean(0).argmax(1) == labels).mean()), labels)
        said = [_ASKED.propagated(features, labels, classes) for features in _features(folds.early, subject)]
        probabilities = (np.exp(folds.log_p).mean(0) + np.mean(said, axis=0)) / 2
        joint = confident_joint(probabilities, labels)
        return (joint / np.maximum(joint.sum(0), 1)).T, _spared(~pruned(probabilities, labels, joint), labels)


def _refuse_chance(agreement: float, labels: npt.NDArray[np.int64]) -> None:
    largest = float(np.bincount(labels).max() / len(labels))
    error = np.sqrt(largest * (1 - largest) / len(labels))
    if agreement <= largest + _CHANCE * error:
        raise UndecidableError(
            f"nothing can be known of these labels: held-out models agree with {100 * agreement:.1f} % of them, "
            f"no better than always choosing the largest class ({100 * largest:.1f} %); "
            "the noise is too heavy, or the network cannot learn the task"
        )


def _spared(trusted: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Trust all labels of a class of which next to nothing would be left to learn from."""
    few = np.bincount(labels[trusted], minlength=labels.max() + 1) < 2 * FOLDS
    return trusted | few[labels]


def _features(models: Population, subject: Subject) -> Iterator[Scores]:
    """Penultimate features `[n, d]` of each model in turn."""
    for position in range(len(models)):
        yield models.select([position]).features(subject.examples)[0].double().cpu().numpy()


def _log(votes: Scores) -> Scores:
    """Logarithm of votes; a thousandth is the least that counts."""
    return np.log(votes + 1e-3)
