"""Cross-validation as a population: one model for each fold, trained together, and its out-of-fold predictions."""

from dataclasses import dataclass

import msgspec
import numpy as np

from untrain.data.examples import Labels
from untrain.detection.base import Mask, Scores, Subject
from untrain.errors import InputError
from untrain.population import Population, Recipe
from untrain.population.fitting import rule_of_thumb

FOLDS = 5


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The models of K folds and their out-of-fold predictions.

    Attributes:
        log_p: `[epochs, n, C]`, out-of-fold log-probabilities after each epoch.
        agreement: `[epochs]`, share of examples whose given label is the most probable class.
        early: the K models of the last epoch at which agreement rose by more than its standard error.
        last: the K models after the last epoch.
    """

    log_p: Scores
    agreement: Scores
    early: Population
    last: Population


def folds_of(subject: Subject) -> Labels:
    """The fold of each example, `[n]`, stratified by class; the same for all scorers.

    Raises:
        InputError: there are fewer than two examples for each fold.
    """
    return subject.cached("folds", lambda: _assign_folds(subject))


def _assign_folds(subject: Subject) -> Labels:
    labels = subject.labels
    if len(labels) < 2 * FOLDS:
        raise InputError(f"expected at least {2 * FOLDS} examples for {FOLDS} folds, got {len(labels)}")
    generator = subject.streams.generator("folds")
    folds = np.empty(len(labels), dtype=np.int64)
    start = 0
    for label in range(len(subject.examples.classes)):
        members = generator.permutation(np.flatnonzero(labels == label))
        # Each class starts at the fold where the previous one ended, so that all folds have the same size.
        folds[members] = (start + np.arange(len(members))) % FOLDS
        start += len(members)
    return folds


def cross_validate(subject: Subject, recipe: Recipe, name: str, keep: Mask | None = None) -> CrossValidation:
    """Train one model for each fold on the kept examples of the other folds.

    Args:
        subject: with a factory.
        recipe: of the trainings. The last state is used, since no validation data could choose a best one.
        name: of the random streams.
        keep: `[n]`, examples to train on; default all.

    Raises:
        InputError: there are too few examples, or the models diverge.

    Cost: four trainings by this recipe on the kept examples, and a forward pass of five models for each epoch.
    """
    streams, folds = subject.streams.child(name), folds_of(subject)
    recipe = msgspec.structs.replace(recipe, best_from=None)
    rows = [np.flatnonzero((folds != fold) & (True if keep is None else keep)) for fold in range(FOLDS)]
    # Models of one population train on equally many examples; the surplus is drawn at random.
    size = min(len(row) for row in rows)
    subsets = np.stack([streams.generator("odd", fold).permutation(row)[:size] for fold, row in enumerate(rows)])
    models = subject.new_models(FOLDS, streams)
    models.engine = subject.cached("engine", lambda: rule_of_thumb(models, subject.examples))
    training = models.training(recipe)
    log_p: list[Scores] = []
    agreement: list[float] = []
    early, best = models, -1.0
    for epoch in range(int(np.ceil(recipe.epochs))):
        training.run(subject.examples, epochs=1, subsets=subsets)
        all_log_p = models.logits(subject.examples).double().log_softmax(-1).cpu().numpy()
        if not np.isfinite(all_log_p).all():
            raise InputError(
                f"the models of the folds diverged: their logits are NaN or infinite after epoch {epoch + 1}; "
                "scale the inputs, or lower the learning rate of the recipe"
            )
        log_p.append(all_log_p[folds, np.arange(len(folds))])
        agreement.append(float((log_p[-1].argmax(1) == subject.labels).mean()))
        error = np.sqrt(agreement[-1] * (1 - agreement[-1]) / len(folds))
        # Features say little after one epoch, so the second is the earliest candidate.
        if epoch <= 1 or agreement[-1] > best + error:
            early, best = models.clone(), agreement[-1]
    return CrossValidation(np.stack(log_p), np.asarray(agreement), early, models)
