"""Confident learning: from out-of-fold probabilities to the number of mislabeled examples, and which they are.

Source: Northcutt, Jiang, Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels". The results
equal those of the authors' library cleanlab, against which they are tested.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from untrain.data.examples import Labels
from untrain.detection.base import Finding, Mask, Scores, model_error

Prune = Literal["both", "by-noise-rate", "by-class"]
Counts = npt.NDArray[np.intp]


def confident_joint(probabilities: Scores, labels: Labels) -> Counts:
    """Estimated number of examples of each given label (row) and true class (column), `[C, C]`, summing to n.

    A class is confident for an example if its probability is at least its mean over the examples with that label. An
    example counts for its most probable confident class. Rows are then scaled to the number of labels.

    Args:
        probabilities: `[n, C]`, predicted without having seen the example.
        labels: `[n]`, at least one of each class.
    """
    classes = probabilities.shape[1]
    rows = np.arange(classes)
    thresholds = np.array([probabilities[labels == label, label].mean() for label in rows])
    confident = probabilities >= np.maximum(thresholds, 2e-6) - 1e-6
    several = confident.sum(1) > 1
    guess = np.where(several, probabilities.argmax(1), confident.argmax(1))
    joint = np.zeros((classes, classes), order="F")
    chosen = confident.any(1)
    np.add.at(joint, (labels[chosen], guess[chosen]), 1)
    joint[rows, rows] = np.maximum(joint[rows, rows], 1)
    # The order of the operations and the memory layout decide how ties are rounded; both are cleanlab's.
    joint = (joint.T / joint.sum(1) * np.bincount(labels, minlength=classes)).T
    return np.stack([_round_to_sum(row) for row in joint / joint.sum() * len(labels)])


def _round_to_sum(shares: Scores) -> Counts:
    """Whole numbers near the shares with the same sum, changed where the rounding error is largest."""
    counts = shares.round()
    while missing := round(float(shares.sum() - counts.sum())):
        sign = 1 if missing > 0 else -1
        counts[np.argsort(shares - counts)[::-sign][: abs(missing)]] += sign
    return counts.astype(np.intp)


def off_diagonal_share(joint: Counts) -> float:
    """Share of examples off the diagonal of a joint: the noise ratio."""
    return float(1 - joint.trace() / joint.sum())


def pruned(probabilities: Scores, labels: Labels, joint: Counts, prune: Prune = "both") -> Mask:
    """Which examples are taken for mislabeled; how many follows from the joint.

    Args:
        probabilities: `[n, C]`.
        labels: `[n]`.
        joint: the result of `confident_joint`.
        prune: `by-class`, the examples of each class with the lowest probability of it; `by-noise-rate`, for each other
            class, the examples with the largest margin for it; `both`, the intersection. An example whose label is the
            most probable class is never pruned.

    Returns:
        `[n]`. At least one example of each class stays, the most probable one; cleanlab differs only where the diagonal
        of the joint is zero.
    """
    by_class, by_rate = np.zeros(len(labels), np.bool_), np.zeros(len(labels), np.bool_)
    for label in range(len(joint)):
        members = np.flatnonzero(labels == label)
        given = probabilities[members, label]
        by_class[members[np.argsort(given)[: min(joint[label].sum() - joint[label, label], len(members) - 1)]]] = True
        for other in np.flatnonzero(joint[label] > 0):
            if other != label:
                margin = probabilities[members, other] - given
                by_rate[members[np.argsort(-margin)[: joint[label, other]]]] = True
        by_rate[members[given.argmax()]] &= not by_rate[members].all()
    mislabeled = {"both": by_class & by_rate, "by-class": by_class, "by-noise-rate": by_rate}[prune]
    return np.asarray(mislabeled & (probabilities.argmax(1) != labels))


def confident_finding(probabilities: Scores, labels: Labels, prune: Prune = "both") -> Finding:
    """Finding of confident learning on probabilities `[n, C]`; a score is one minus the probability of the label."""
    joint = confident_joint(probabilities, labels)
    wrong = pruned(probabilities, labels, joint, prune)
    return Finding(
        scores=1 - probabilities[np.arange(len(labels)), labels],
        wrong=wrong,
        noise_ratio=off_diagonal_share(joint),
        model_error=model_error(probabilities, labels, ~wrong),
        suggested=probabilities.argmax(1),
        evidence={"confident_joint": joint.tolist()},
    )
