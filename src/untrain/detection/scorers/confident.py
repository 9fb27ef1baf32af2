"""Confident learning on out-of-fold probabilities of a five-fold cross-validation.

Source: Northcutt, Jiang, Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels". The preset
`cleanlab` has the defaults of the authors' library.
"""

import numpy as np

from untrain.detection.base import Finding, Scorer, Subject
from untrain.detection.confident_learning import Prune, confident_finding
from untrain.detection.cross_validation import TRAININGS, cross_validate
from untrain.population import Recipe


class Confident(Scorer, frozen=True, tag="confident"):
    """Rank by the out-of-fold probability of the label.

    Attributes:
        prune: which examples are taken for mislabeled; see `untrain.detection.confident_learning.pruned`.
    """

    title = "confident learning"
    presets = {"cleanlab": {"prune": "by-noise-rate"}}
    trains = True

    prune: Prune = "both"

    def score(self, subject: Subject) -> Finding:
        """Cost: four trainings, shared by all presets."""
        recipe = subject.training_recipe("confident")
        log_p = subject.cached("confident", lambda: cross_validate(subject, recipe, "confident")).log_p
        return confident_finding(np.exp(log_p), subject.labels, self.prune)

    def passes(self, recipe: Recipe) -> float:
        """Those of a cross-validation."""
        return TRAININGS * recipe.epochs
