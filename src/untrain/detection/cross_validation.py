"""Cross-validation as a population: one model a fold, trained together, each without the examples it will judge."""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from untrain.data.examples import Labels
from untrain.detection.base import Subject
from untrain.errors import InputError
from untrain.population import Population, Recipe
from untrain.population.fitting import rule_of_thumb

FOLDS = 5


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Models of K folds, and what they say of examples that they have not learned from.

    Attributes:
        log_p: `[epochs, n, C]` held-out log-probabilities after each epoch.
        agreement: `[epochs]` share of held-out examples whose given label is the most probable class.
        early: the K models as they were at the epoch after which agreement rose by less than its standard error.
        last: the K models after the last epoch.
    """

    log_p: npt.NDArray[np.float64]
    agreement: npt.NDArray[np.float64]
    early: Population
    last: Population


def folds_of(subject: Subject) -> Labels:
    """The fold of each example, `[n]`, each class spread evenly; the same for all scorers.

    Raises:
        InputError: there are fewer than two examples for each fold.
    """
    return subject.once("folds", lambda: _assigned(subject))  # type: ignore[no-any-return]


def _assigned(subject: Subject) -> Labels:
    labels = subject.labels
    if len(labels) < 2 * FOLDS:
        raise InputError(f"expected at least {2 * FOLDS} examples for {FOLDS} folds, got {len(labels)}")
    generator = subject.streams.generator("folds")
    folds = np.empty(len(labels), dtype=np.int64)
    start = 0
    for label in range(len(subject.examples.classes)):
        members = generator.permutation(np.flatnonzero(labels == label))
        # Each class begins at the fold where the last one ended, so that folds are of one size.
        folds[members] = (start + np.arange(len(members))) % FOLDS
        start += len(members)
    return folds


def cross_validate(
    subject: Subject, recipe: Recipe, name: str, keep: npt.NDArray[np.bool_] | None = None
) -> CrossValidation:
    """Train one model for each fold on what is kept of the other folds.

    Args:
        subject: with a factory.
        recipe: how; the last state counts, since there is nothing to choose a best one by.
        name: of the random streams.
        keep: `[n]`, examples that may be learned from; default all.

    Cost: four trainings by this recipe on what is kept, and a forward pass of five models an epoch.
    """
    streams, folds = subject.streams.child(name), folds_of(subject)
    recipe = msgspec.structs.replace(recipe, keep_best_from_epoch=None)
    rows = [np.flatnonzero((folds != fold) & (True if keep is None else keep)) for fold in range(FOLDS)]
    # Models of one population learn from equally many examples; which ones are too many is drawn.
    size = min(len(row) for row in rows)
    subsets = np.stack([streams.generator("odd", fold).permutation(row)[:size] for fold, row in enumerate(rows)])
    models = subject.untrained(FOLDS, streams)
    models.engine = subject.once("engine", lambda: rule_of_thumb(models, subject.examples))
    training = models.training(recipe)
    log_p: list[npt.NDArray[np.float64]] = []
    agreement: list[float] = []
    early, reached = models, -1.0
    for epoch in range(int(np.ceil(recipe.epochs))):
        training.run(subject.examples, epochs=1, subsets=subsets)
        every = models.logits(subject.examples).double().log_softmax(-1).cpu().numpy()
        if not np.isfinite(every).all():
            raise InputError(
                f"expected finite logits from the models of the folds, got NaN or infinity in epoch {len(log_p) + 1}: "
                "has the training diverged? scale the inputs, or lower the learning rate of the recipe"
            )
        log_p.append(every[folds, np.arange(len(folds))])
        agreement.append(float((log_p[-1].argmax(1) == subject.labels).mean()))
        error = np.sqrt(agreement[-1] * (1 - agreement[-1]) / len(folds))
        # After one epoch features say little, so the second is the earliest that counts.
        if epoch <= 1 or agreement[-1] > reached + error:
            early, reached = models.clone(), agreement[-1]
    return CrossValidation(np.stack(log_p), np.asarray(agreement), early, models)
