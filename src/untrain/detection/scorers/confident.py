"""Confident learning on held-out probabilities from a population of five folds.

Source: Northcutt, Jiang, Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels". The preset
`cleanlab` chooses as the authors' library does when nothing is said.
"""

import numpy as np

from untrain.detection.base import Finding, Scorer, Subject
from untrain.detection.confident_learning import Prune, confident_finding
from untrain.detection.cross_validation import cross_validate


class Confident(Scorer, frozen=True, tag="confident"):
    """Rank by held-out probability of the label.

    Attributes:
        prune: which labels are taken for wrong; see `untrain.detection.confident_learning.pruned`.
    """

    title = "confident learning"
    presets = {"cleanlab": {"prune": "by-noise-rate"}}
    trains = True

    prune: Prune = "both"

    def score(self, subject: Subject) -> Finding:
        """Cost: four trainings, shared with other presets."""
        recipe = subject.trainable("confident")
        log_p = subject.once("confident", lambda: cross_validate(subject, recipe, "confident")).log_p[-1]
        return confident_finding(np.exp(log_p), subject.labels, self.prune)
