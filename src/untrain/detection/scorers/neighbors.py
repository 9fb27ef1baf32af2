"""Neighbors: label propagation among the nearest penultimate features of the trained model.

Each example starts with a vote for its given label. In each round its vote becomes the sharpened mean vote of its
nearest neighbors, without its own. Only the trained model is needed. If that has memorized the wrong labels, the
neighbors are no longer independent, and the estimated noise ratio is too low.

Source: label propagation after Zhu, Ghahramani (2002), "Learning from Labeled and Unlabeled Data with Label
Propagation", on features as in Iscen, Tolias, Avrithis, Chum (2019), "Label Propagation for Deep Semi-supervised
Learning"; confident learning chooses the mislabeled examples.

Departures: no label is held fixed, since any may be wrong; all neighbors have the same weight.
"""

from typing import Annotated

import msgspec
import numpy as np

from untrain.data.examples import Labels
from untrain.detection.base import Finding, Scorer, Scores, Subject
from untrain.detection.confident_learning import confident_finding
from untrain.detection.linear import nearest, neighbor_votes
from untrain.population.recipe import Count


class Neighbors(Scorer, frozen=True, tag="neighbours"):
    """Rank by the votes of the nearest neighbors.

    Attributes:
        neighbors: number of neighbors; at most half as many as the class of an example has.
        rounds: number of rounds of propagation.
        sharpness: power to which the mean vote is raised before it is normalized.
    """

    title = "label propagation among neighbors"

    neighbors: Count = 20
    rounds: Count = 5
    sharpness: Annotated[float, msgspec.Meta(ge=1)] = 2.0

    def score(self, subject: Subject) -> Finding:
        """Cost: one forward pass where no features are given, and `n^2 d` operations for the neighbors."""
        features = subject.features.reshape(len(subject.labels), -1).astype(np.float64)
        votes = self.propagate(features, subject.labels, len(subject.examples.classes))
        return confident_finding(votes, subject.labels)

    def propagate(self, features: Scores, labels: Labels, classes: int) -> Scores:
        """The votes for each example after the last round, `[n, C]`."""
        neighbors = nearest(features, self.neighbors)
        votes = np.eye(classes)[labels]
        for _ in range(self.rounds):
            votes = neighbor_votes(votes, neighbors, labels) ** self.sharpness
            votes /= votes.sum(1, keepdims=True)
        return votes
