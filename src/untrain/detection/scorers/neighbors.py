"""Neighbors: label propagation among the nearest penultimate features of the trained model.

Each example starts with its given label and repeatedly takes the sharpened mean of what its nearest neighbours
say, itself left out. Needs the trained model alone. Where that has learned the wrong labels by heart, the
neighbours are no longer independent witnesses, and the noise ratio comes out too low.

Source: label propagation after Zhu, Ghahramani (2002), "Learning from Labeled and Unlabeled Data with Label
Propagation", on features as in Iscen, Tolias, Avrithis, Chum (2019), "Label Propagation for Deep Semi-supervised
Learning"; which labels are wrong is chosen by confident learning.

Departures: no labels are held fixed, since any may be wrong, and neighbours all have the same weight.
"""

from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from untrain.data.examples import Labels
from untrain.detection.base import Finding, Scorer, Scores, Subject
from untrain.detection.confident_learning import confident_finding
from untrain.population.recipe import Count


class Neighbors(Scorer, frozen=True, tag="neighbours"):
    """Ask the nearest neighbours.

    Attributes:
        neighbours: how many.
        rounds: of propagation.
        sharpness: power to which the mean is taken before it is normalised.
    """

    title = "label propagation among neighbours"

    neighbours: Count = 20
    rounds: Count = 5
    sharpness: Annotated[float, msgspec.Meta(ge=1)] = 2.0

    def score(self, subject: Subject) -> Finding:
        """Cost: one forward pass, and `n^2 d` operations for the neighbours."""
        features = subject.model.features(subject.examples)[0].double().cpu().numpy()
        said = self.propagated(features, subject.labels, len(subject.examples.classes))
        return confident_finding(said, subject.labels)

    def propagated(self, features: npt.NDArray[np.float64], labels: Labels, classes: int) -> Scores:
        """What the neighbours say of each example in the end, `[n, C]`."""
        near = nearest(features, self.neighbours)
        said = np.eye(classes)[labels]
        for _ in range(self.rounds):
            said = said[near].mean(1) ** self.sharpness
            said /= said.sum(1, keepdims=True)
        return said


def nearest(features: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """The `count` other examples whose features `[n, d]` point in the most similar direction, `[n, count]`."""
    from sklearn.neighbors import NearestNeighbors

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.maximum(lengths, np.finfo(np.float64).tiny)
    index = NearestNeighbors(n_neighbors=min(count, len(features) - 1), algorithm="brute").fit(directions)
    found: npt.NDArray[np.intp] = index.kneighbors(return_distance=False)
    return found
