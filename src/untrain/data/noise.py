"""Label noise: wrong labels put into clean data, with the true ones kept for scoring.

Synthetic noise is a transition matrix: `symmetric_noise` and `pair_noise` build one; any other can be given. Noise may
also depend on the example (`instance_noise`). Wrong labels that people gave come with the data (`human_noise`).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from untrain.core.arguments import checked
from untrain.core.randomness import Streams
from untrain.core.text import percent
from untrain.data.examples import Examples, Labels
from untrain.errors import InputError

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Noisy:
    """Examples with wrong labels among the given ones, and the true labels.

    Attributes:
        examples: with labels as they are given.
        true_labels: `[n]` class numbers.
    """

    examples: Examples
    true_labels: Labels

    @property
    def mislabelled(self) -> npt.NDArray[np.bool_]:
        """`[n]`, which labels are wrong."""
        return np.asarray(self.examples.labels != self.true_labels)

    @property
    def ratio(self) -> float:
        """Share of wrong labels."""
        return float(self.mislabelled.mean())

    def __repr__(self) -> str:
        share = f"{int(self.mislabelled.sum()):,} of {len(self.examples):,} labels are wrong ({percent(self.ratio)})"
        return f"Noisy: {share}\n{self.examples!r}"


def symmetric_noise(classes: int, ratio: float) -> Matrix:
    """Each label becomes one of the others, all equally likely, with probability `ratio`.

    Returns:
        `[C, C]`, rows are true classes, columns given labels.

    Raises:
        InputError: fewer than two classes, or a ratio that is not in 0..1.

    >>> symmetric_noise(3, 0.2).tolist()
    [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    """
    _check(classes, ratio)
    matrix = np.full((classes, classes), ratio / (classes - 1))
    np.fill_diagonal(matrix, 1 - ratio)
    return matrix


def pair_noise(classes: int, ratio: float) -> Matrix:
    """Each label becomes the next class with probability `ratio`, the last one the first.

    >>> pair_noise(3, 0.25).tolist()
    [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25], [0.25, 0.0, 0.75]]
    """
    _check(classes, ratio)
    return (1 - ratio) * np.eye(classes) + ratio * np.roll(np.eye(classes), 1, axis=1)


def _check(classes: int, ratio: float) -> None:
    if classes < 2 or not 0 <= ratio <= 1:
        raise InputError(f"There must be at least two classes and a noise ratio in 0..1, got {classes} and {ratio}.")


@checked
def mislabel(examples: Examples, transition: npt.ArrayLike, *, exact: bool = False, seed: int = 0) -> Noisy:
    """Change labels at random by a transition matrix.

    Args:
        examples: with true labels.
        transition: `[C, C]`, the probability of each given label (column) for a true class (row).
        exact: whether exactly the expected number of labels changes, `round(n r)` over all classes, instead of each
            label by its probability.
        seed: seed of the draws.

    Raises:
        InputError: the matrix has another shape, is negative, or has a row that does not sum to 1.
    """
    matrix, classes = np.array(transition, dtype=np.float64), len(examples.classes)
    if matrix.shape != (classes, classes) or not (matrix >= 0).all() or not np.allclose(matrix.sum(1), 1):
        raise InputError(
            f"The transition matrix must have shape {(classes, classes)} and rows of probabilities that sum to 1, "
            f"got shape {matrix.shape} and row sums {np.round(matrix.sum(-1), 6).tolist()}."
        )
    matrix /= matrix.sum(1, keepdims=True)  # else a row that is short by rounding would ask for a label that is nowhere
    generator = Streams(seed).child("noise").generator("labels")
    true = examples.labels
    flips = generator.random(len(true)) < 1 - np.diag(matrix)[true]
    if exact:
        counts = _largest_remainder(np.bincount(true, minlength=classes) * (1 - np.diag(matrix)))
        flips = np.zeros(len(true), dtype=np.bool_)
        for label, count in enumerate(counts):
            flips[generator.permutation(np.flatnonzero(true == label))[:count]] = True
    labels = true.copy()
    for label in range(classes):
        chosen = np.flatnonzero(flips & (true == label))
        others = matrix[label] * (np.arange(classes) != label)
        if len(chosen):
            labels[chosen] = generator.choice(classes, size=len(chosen), p=others / others.sum())
    return Noisy(replace(examples, labels=labels), true)


def _largest_remainder(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Whole numbers near the shares that add up to their rounded sum, by largest remainder."""
    whole = np.floor(shares).astype(np.intp)
    left = round(float(shares.sum())) - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:left]] += 1
    return whole


def instance_noise(examples: Examples, probabilities: npt.ArrayLike, ratio: float) -> Noisy:
    """Noise that depends on the example: labels of what a model finds ambiguous become the class it confuses it with.

    The share `ratio` of examples with the smallest margin between the probability of their true class and that of the
    most probable other class get that other class.

    Args:
        examples: with true labels.
        probabilities: `[n, C]` of a weak model, such as a logistic regression on few examples.
        ratio: share of wrong labels, in 0..1.

    Raises:
        InputError: the shape of the probabilities, or the ratio, does not fit; or a probability is not finite.

    Source: Chen, Ye, Chen, Zhao, Heng (2021), "Beyond Class-Conditional Assumption: A Primary Attempt to Combat
    Instance-Dependent Label Noise".
    """
    _check(len(examples.classes), ratio)
    others = np.array(probabilities, dtype=np.float64)
    if others.shape != (len(examples), len(examples.classes)):
        raise InputError(
            f"The probabilities must have shape {(len(examples), len(examples.classes))}, got {others.shape}."
        )
    if not np.isfinite(others).all():
        raise InputError("A probability is NaN or infinite: check whether the model that gave them diverged.")
    rows = np.arange(len(examples))
    given = others[rows, examples.labels]
    others[rows, examples.labels] = -np.inf
    chosen = np.argsort(given - others.max(1), kind="stable")[: round(ratio * len(examples))]
    labels = examples.labels.copy()
    labels[chosen] = others[chosen].argmax(1)
    return Noisy(replace(examples, labels=labels), examples.labels)


def human_noise(true: Examples, given: Examples) -> Noisy:
    """Noise that comes with the data: the same examples with true and with given labels.

    A parquet table with both is read twice, `load(path, label="clean_label")` and
    `load(path, label="crowd_label")`.

    Args:
        true: with true labels.
        given: with the labels that people gave; the same ids in the same order, and only classes that `true` has.

    Raises:
        InputError: ids or classes do not match.
    """
    if not np.array_equal(true.ids, given.ids):
        raise InputError("True and given labels must be of the same ids in the same order, got different ones.")
    number_of = {name: number for number, name in enumerate(true.classes)}
    for name in given.classes:
        if name not in number_of:
            raise InputError(f"Given labels must be among {', '.join(true.classes)}, got {name!r}.")
    renumbered = np.asarray([number_of[name] for name in given.classes], dtype=np.int64)
    return Noisy(replace(true, labels=renumbered[given.labels]), true.labels)
