"""Whether a model fits its own training examples, or knows no more of them than chance."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrc

from untrain.core.levels import ALPHA
from untrain.core.text import percent
from untrain.data import Examples
from untrain.errors import InputError
from untrain.models.modules import described_output
from untrain.population import Population, guarded

_CLEARLY = 0.001
"""Level at which an accuracy is below chance, however few the examples are."""

_GAIN = 1 / 3
"""Share of the way from chance to perfect; unless the test sees such a model in 95 % of all cases, it says nothing."""

_FEWEST_CLASSES, _ENUMERATED, _DRAWN = 5, 6, 999
"""Classes from which orders are compared, classes up to which all orders are, and orders that are drawn otherwise."""

_RENUMBERED = 0.8
"""Accuracy after renumbering that tells another order of the classes."""

Counts = npt.NDArray[np.int64]


def check_fit(models: Population, logits: npt.NDArray[np.floating], examples: Examples) -> None:
    """Refuse a model that `misfit` finds no better than chance.

    Args:
        models: a population of one.
        logits: `[n, C]`, its own, finite.
        examples: the n training examples.

    Raises:
        InputError: the model does not fit; the message names the likely cause.
    """
    sentences = misfit(logits, examples)
    if sentences is not None:
        output = guarded("The model fails", lambda: _output(models, examples))
        raise InputError(f"{sentences}{output}")


def _output(models: Population, examples: Examples) -> str:
    """What the model returns, in a sentence, where it is no tensor: the logits may be looked for in a wrong place."""
    inputs, _ = models.resident(examples.select(range(min(2, len(examples)))))
    described = described_output(models.module(), inputs)
    return "" if described is None else f" It returns {described}."


def misfit(logits: npt.NDArray[np.floating], examples: Examples) -> str | None:
    """Why a model does not fit its examples, in sentences that name the likely cause; None if it does.

    It does not fit if its classes stand in another order, or if its accuracy does not differ from chance.

    Chance is to name the most frequent class always. The accuracy must exceed it by an exact binomial test at 5 %, and
    with five classes or more, it must be among the highest 5 % over all orders of the classes: an untrained network
    sorts examples as well, but into classes at random. A model that was trained with weights on its classes may be less
    accurate than that; it passes if its mean recall over the classes is halfway from chance to perfect. Where there are
    too few examples to see even a model a third of the way, only one that is clearly below chance is refused.

    Args:
        logits: `[n, C]`, finite.
        examples: the n training examples; nothing is said of a single class.

    Cost: at most 999 sums over a `[C, C]` table.
    """
    table = _table(logits, examples)
    totals = table.sum(1)
    present = np.flatnonzero(totals)
    if len(present) < 2:
        return None
    count, hits, chance = len(examples), int(np.trace(table)), float(totals.max() / len(examples))
    accuracy = f"The model does not fit its training examples: its accuracy on them is {percent(hits / count)}"
    if (moved := _moved(table)) is not None:
        return (
            f"{accuracy}, since its classes stand in another order: it predicts output {moved[1]} for class "
            f"{examples.classes[moved[0]]!r}. Name the classes in the order of the model's outputs: "
            "as_examples(data, classes=[...]), or --classes."
        )
    above = float(bdtrc(hits - 1, count, chance)) <= ALPHA
    if above and _order_level(table[np.ix_(present, present)]) <= ALPHA:
        return None
    if float((np.diag(table)[present] / totals[present]).mean()) >= (1 + 1 / len(present)) / 2:
        return None
    below = float(bdtr(hits, count, chance)) <= _CLEARLY
    if not below and not _sees_gain(count, chance):
        return None
    also = "; with its classes in another order, it is often as good" if above else ""
    return (
        f"{accuracy}, {'below' if below else 'no better than'} chance (always naming the most frequent class gives "
        f"{percent(chance)}{also}). {_advice(table, logits, examples)}"
    )


def _table(logits: npt.NDArray[np.floating], examples: Examples) -> Counts:
    """Number of examples by label and prediction, `[C, C]`."""
    table = np.zeros((logits.shape[1], logits.shape[1]), np.int64)
    np.add.at(table, (examples.labels, logits.argmax(1)), 1)
    return table


def _sees_gain(count: int, chance: float) -> bool:
    """Whether the test would hardly ever miss a model a third of the way from chance to perfect."""
    fewer = int((bdtrc(np.arange(count + 1), count, chance) > ALPHA).sum())  # hits up to which none are significant
    return float(bdtrc(fewer, count, chance + _GAIN * (1 - chance))) >= 1 - ALPHA


def _order_level(table: Counts) -> float:
    """Share of the orders of the classes, the given one among them, in which as many examples or more are correct.

    Exact as a test: the model of the hypothesis sorts examples into classes whose names it does not know, so every
    order is equally likely. All orders are compared where there are few, else the given one and 999 random ones.
    """
    classes = len(table)
    if classes < _FEWEST_CLASSES:
        return 0.0
    rows, hits = np.arange(classes), int(np.trace(table))
    as_good = [int(table[rows, order].sum()) >= hits for order in _orders(classes)]
    return sum(as_good) / len(as_good)


def _orders(classes: int) -> Iterator[npt.NDArray[np.intp]]:
    """All orders, or the given one and some at random."""
    if classes <= _ENUMERATED:
        yield from map(np.array, itertools.permutations(range(classes)))
        return
    yield np.arange(classes)
    generator = np.random.default_rng(0)  # the same draws for the same model
    for _ in range(_DRAWN):
        yield generator.permutation(classes)


def _moved(table: Counts) -> tuple[int, int] | None:
    """A class and the output that stands for it instead of its own, if another order of the classes fits; else None.

    It fits if it makes most predictions correct, among them the majority in each class that it moves.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    moved = np.flatnonzero((rows != columns) & (table.sum(1) > 0))
    hits = table[rows, columns]
    if not len(moved) or hits.sum() <= _RENUMBERED * table.sum() or (2 * hits <= table.sum(1))[moved].any():
        return None
    return int(moved[0]), int(columns[moved[0]])


def _advice(table: Counts, logits: npt.NDArray[np.floating], examples: Examples) -> str:
    """What to look at, where a model knows nothing of its examples."""
    if logits.shape[1] == 2 and not logits[:, 0].any() and logits[:, 1].min() >= 0 and logits[:, 1].max() <= 1:
        return "Its single output lies in 0..1, as a probability does; return the logit, without the sigmoid."
    largest = max(float(np.abs(array).max()) for array in examples.arrays.values())
    constant = " It predicts one class for all of them." if (table.sum(0) > 0).sum() == 1 else ""
    return (
        f"Check that the inputs are scaled as in its training (the largest is {largest:g}; pictures are read as 0..1), "
        f"and that its trained weights were loaded.{constant}"
    )
