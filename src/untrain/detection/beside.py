"""What a detection notices beside wrong labels: near-duplicates, outliers, and classes that could not be judged."""

import numpy as np
import numpy.typing as npt

from untrain.data import Examples
from untrain.data.duplicates import near_threshold
from untrain.detection.base import Evidence

NEAR_DUPLICATES, OUTLIERS, LEFT_ALONE, BY_EXAMPLE, BESIDE = (
    "near_duplicates", "outliers", "left_alone", "by_example", "beside",
)  # fmt: skip
"""Keys of the evidence: positions of examples, class numbers, whether noise depends on the example, and sentences."""

_FAR = 6.0
"""Deviations of the logarithm of a distance, as estimated from the median, from which an example is an outlier."""

_SHOWN = 3


def notice(distances: npt.NDArray[np.floating]) -> Evidence:
    """Positions of near-duplicates and outliers, from the distances `[n, k]` to the nearest neighbors among features.

    A near-duplicate is as close to another example as a near copy may be, by the rule of `untrain.data.duplicates`. An
    outlier is farther from its neighbors than all but very few would be, if logarithms of distances were normal.
    """
    nearest, mean = distances[:, 0], distances.mean(1)
    log_mean = np.log(np.maximum(mean, np.finfo(np.float64).tiny))
    deviation = 1.4826 * float(np.median(np.abs(log_mean - np.median(log_mean))))
    far = log_mean > np.median(log_mean) + _FAR * max(deviation, 0.05)
    return {
        NEAR_DUPLICATES: np.flatnonzero(nearest <= (near_threshold(nearest) or 0.0)).tolist(),
        OUTLIERS: np.flatnonzero(far).tolist(),
    }


def sentences(evidence: Evidence, examples: Examples) -> list[str]:
    """A sentence for each kind of finding, with the first few ids or names."""
    lines = []
    if evidence.get(BY_EXAMPLE):
        lines.append(
            "Neighbors disagree more often than confusion of classes explains, so labels that most of the ten nearest "
            "examples contradict are flagged; where classes overlap, correct ones are among them."
        )
    if alone := [examples.classes[label] for label in evidence.get(LEFT_ALONE, [])]:
        what = "class was" if len(alone) == 1 else "classes were"
        lines.append(
            f"{len(alone)} {what} left alone, since labels are recovered no better than by chance (too few examples, "
            f"or not distinct from another class): {_first(alone)}."
        )
    for key, words in ((NEAR_DUPLICATES, "near-duplicates of another example"), (OUTLIERS, "outliers among features")):
        if names := [str(examples.ids[position]) for position in evidence.get(key, [])]:
            lines.append(f"{len(names)} examples are {words}: {_first(names)}.")
    return lines


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
