"""Cross-validation as a population: one model for each fold, trained together, and its out-of-fold predictions."""

from dataclasses import dataclass

import numpy as np

from untrain.data.examples import Labels
from untrain.detection.base import Mask, Scores, Subject
from untrain.detection.linear import FOLDS, assign_folds
from untrain.errors import InputError
from untrain.population import Population, Recipe
from untrain.population.fitting import rule_of_thumb


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The models of K folds and their out-of-fold predictions.

    Attributes:
        log_p: `[n, C]`, out-of-fold log-probabilities after the last epoch.
        mean_log_p: `[n, C]`, their mean over the epochs.
        mean_p: `[n, C]`, the mean of the probabilities over the epochs.
        agreement: `[epochs]`, share of examples whose given label is the most probable class.
        early: the K models of the last epoch at which agreement rose by more than its standard error.
        last: the K models after the last epoch.
    """

    log_p: Scores
    mean_log_p: Scores
    mean_p: Scores
    agreement: Scores
    early: Population
    last: Population


TRAININGS = FOLDS - 1
"""What a cross-validation costs, in trainings on all examples."""


def folds_of(subject: Subject) -> Labels:
    """The fold of each example, `[n]`, stratified by class; the same for all scorers.

    Raises:
        InputError: there are fewer than two examples for each fold.
    """
    return subject.cached(
        "folds",
        lambda: assign_folds(subject.labels, len(subject.examples.classes), subject.streams.generator("folds")),
    )


def cross_validate(subject: Subject, recipe: Recipe, name: str, keep: Mask | None = None) -> CrossValidation:
    """Train one model for each fold on the kept examples of the other folds.

    Args:
        subject: with a factory.
        recipe: of the trainings. All of its epochs are trained and the last state is used, since no validation examples
            could choose one.
        name: of the random streams.
        keep: `[n]`, examples to train on; default all.

    Raises:
        InputError: there are too few examples, or the models diverge.

    Cost: four trainings by this recipe on the kept examples, and a forward pass of five models for each epoch.
    """
    streams, folds = subject.streams.child(name), folds_of(subject)
    recipe = recipe.for_all_epochs()
    rows = [np.flatnonzero((folds != fold) & (True if keep is None else keep)) for fold in range(FOLDS)]
    # Models of one population train on equally many examples; the surplus is drawn at random.
    size = min(len(row) for row in rows)
    subsets = np.stack([streams.generator("odd", fold).permutation(row)[:size] for fold, row in enumerate(rows)])
    models = subject.new_models(FOLDS, streams)
    models.engine = subject.cached("engine", lambda: rule_of_thumb(models, subject.examples))
    training = models.training(recipe)
    epochs = int(np.ceil(recipe.epochs))
    mean_log_p, mean_p = np.zeros((2, len(folds), len(subject.examples.classes)))
    agreement: list[float] = []
    early, best = models, -1.0
    for epoch in range(epochs):
        training.run(subject.examples, epochs=1, subsets=subsets)
        all_log_p = models.logits(subject.examples).double().log_softmax(-1).cpu().numpy()
        if not np.isfinite(all_log_p).all():
            raise InputError(
                f"The models of the folds diverged: their logits are NaN or infinite after epoch {epoch + 1}; "
                "scale the inputs, or lower the learning rate of the recipe."
            )
        log_p = all_log_p[folds, np.arange(len(folds))]
        mean_log_p += log_p / epochs
        mean_p += np.exp(log_p) / epochs
        agreement.append(float((log_p.argmax(1) == subject.labels).mean()))
        error = np.sqrt(agreement[-1] * (1 - agreement[-1]) / len(folds))
        # Features say little after one epoch, so the second is the earliest candidate.
        if epoch <= 1 or agreement[-1] > best + error:
            early, best = models.clone(), agreement[-1]
    return CrossValidation(log_p, mean_log_p, mean_p, np.asarray(agreement), early, models)
