"""Confident learning: from held-out probabilities to how many labels are wrong, and which.

Source: Northcutt, Jiang, Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels". Counts and
choices are those of the authors' library cleanlab, against which they are tested.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from untrain.data.examples import Labels
from untrain.detection.base import Finding, model_error

Prune = Literal["both", "by-noise-rate", "by-class"]
Counts = npt.NDArray[np.intp]


def confident_joint(probabilities: npt.NDArray[np.float64], labels: Labels) -> Counts:
    """Estimated number of examples of each given label (row) and true class (column), `[C, C]`, summing to n.

    An example counts for the most probable class of those that it is confident of: whose probability is at least the
    mean over the examples that are labelled so. Rows are then scaled to the number of labels.

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
    # In this order, and in this layout, on which it depends how ties are rounded.
    joint = (joint.T / joint.sum(1) * np.bincount(labels, minlength=classes)).T
    return np.stack([_rounded(row) for row in joint / joint.sum() * len(labels)])


def _rounded(shares: npt.NDArray[np.float64]) -> Counts:
    """Whole numbers near the shares with the same sum, changed where the rounding error is largest."""
    whole = shares.round()
    while missing := round(float(shares.sum() - whole.sum())):
        sign = 1 if missing > 0 else -1
        whole[np.argsort(shares - whole)[::-sign][: abs(missing)]] += sign
    return whole.astype(np.intp)


def share_wrong(joint: Counts) -> float:
    """Share of examples off the diagonal of a joint."""
    return float(1 - joint.trace() / joint.sum())


def pruned(
    probabilities: npt.NDArray[np.float64], labels: Labels, joint: Counts, prune: Prune = "both"
) -> npt.NDArray[np.bool_]:
    """Which labels are taken for wrong, as many as the joint says.

    Args:
        probabilities: `[n, C]`.
        labels: `[n]`.
        joint: as `confident_joint` gives it.
        prune: `by-class`, of each class those of the lowest probability; `by-noise-rate`, for each other class those
            that are most probably of it; `both`, what both take. A label that is the most probable class stays.

    Returns:
        `[n]`; of each class at least one label stays, the most probable one. Only where the joint has no right label of
        a class does cleanlab choose differently.
    """
    by_class, by_rate = np.zeros(len(labels), np.bool_), np.zeros(len(labels), np.bool_)
    for label in range(len(joint)):
        members = np.flatnonzero(labels == label)
        own = probabilities[members, label]
        by_class[members[np.argsort(own)[: min(joint[label].sum() - joint[label, label], len(members) - 1)]]] = True
        for other in np.flatnonzero(joint[label] > 0):
            if other != label:
                margin = probabilities[members, other] - own
                by_rate[members[np.argsort(-margin)[: joint[label, other]]]] = True
        by_rate[members[own.argmax()]] &= not by_rate[members].all()
    chosen = {"both": by_class & by_rate, "by-class": by_class, "by-noise-rate": by_rate}[prune]
    return np.asarray(chosen & (probabilities.argmax(1) != labels))


def confident_finding(probabilities: npt.NDArray[np.float64], labels: Labels, prune: Prune = "both") -> Finding:
    """What confident learning makes of probabilities `[n, C]`: each label's improbability, and what it prunes."""
    joint = confident_joint(probabilities, labels)
    wrong = pruned(probabilities, labels, joint, prune)
    return Finding(
        scores=1 - probabilities[np.arange(len(labels)), labels],
        wrong=wrong,
        noise_ratio=share_wrong(joint),
        model_error=model_error(probabilities, labels, ~wrong),
        suggested=probabilities.argmax(1),
        evidence={"confident_joint": joint.tolist()},
    )
