"""Wrong labels as neighbors show them: a bound of their share that needs no model of the noise.

Labels of nearest neighbors differ for two reasons: neighbors belong to different classes, or one of the labels is
wrong. How often they belong to different classes is seen among smoothed labels, each the vote of ten neighbors. What
exceeds it comes from wrong labels, at most two differing pairs for each; so half of the excess is a lower bound of
their share. Wrong labels that lie together hide each other; so does noise that moves the boundary between classes.

A transition matrix cannot describe noise that depends on the example, and then the fit finds hardly any wrong labels.
The bound notices that. Where classes overlap by themselves, labels differ in the same way, and nothing tells the two
apart.

Source: the idea that nearest neighbors show label noise without training is that of Zhu, Dong, Liu (2022), "Detecting
Corrupted Labels Without Training a Model to Predict"; the error of one neighbor against that of many is that of Cover,
Hart (1967), "Nearest Neighbor Pattern Classification".
"""

from dataclasses import dataclass

import numpy as np

from untrain.data.examples import Labels
from untrain.detection.base import Mask
from untrain.detection.linear import Neighborhood, neighbor_votes

_NEAREST = 10
_DEVIATIONS = 1.96 * np.sqrt(2)
"""Standard errors below the estimate; root two, since most pairs of nearest neighbors are counted from both sides."""

_RIGHT = 0.2
"""Least share of the contradicted labels that the bound must show to be wrong; chosen on MNIST and digits."""


@dataclass(frozen=True, eq=False)
class Contradictions:
    """Labels against those of their neighbors.

    Attributes:
        votes: `[n]`, the most frequent class among the ten nearest.
        contradicted: `[n]`, whether it is more frequent than the label.
        excess: half of the excess of differing nearest neighbors: a lower bound of the share of wrong labels.
        lower: its lower confidence limit, 97.5 % one-sided.
    """

    votes: Labels
    contradicted: Mask
    excess: float
    lower: float


def contradictions(neighbors: Neighborhood, labels: Labels, classes: int, nearest: int = _NEAREST) -> Contradictions:
    """Compare the labels `[n]` with those of the `nearest` among their neighbors `[n, k]`, the nearest first."""
    votes = neighbor_votes(np.eye(classes)[labels], neighbors[:, :nearest], labels)
    smoothed, closest = votes.argmax(1), neighbors[:, 0]
    excess = ((labels[closest] != labels) - (smoothed[closest] != smoothed).astype(np.float64)) / 2
    mean, error = float(excess.mean()), float(excess.std() / np.sqrt(len(labels)))
    contradicted = votes.max(1) > votes[np.arange(len(labels)), labels]
    return Contradictions(smoothed, contradicted, mean, mean - float(_DEVIATIONS) * error)


def find_refutation(neighbors: Neighborhood, labels: Labels, classes: int, noise_ratio: float) -> Contradictions | None:
    """The contradictions, if they show that more labels are wrong than a fit says, and are worth a look; else None."""
    shown = contradictions(neighbors, labels, classes)
    worth = shown.excess >= _RIGHT * float(shown.contradicted.mean())
    return shown if worth and shown.lower > noise_ratio else None
