"""Disagreement: how sure the trained model is of another class than the given label."""

import numpy as np

from untrain.detection import Finding, Scorer, Subject


class Disagreement(Scorer, frozen=True, tag="disagreement"):
    """Rank by the logit of the strongest other class minus that of the label."""

    title = "example: strongest other class"

    def score(self, subject: Subject) -> Finding:
        """One score for each example, `[n]`, higher is more suspicious."""
        rows = np.arange(len(subject.labels))
        given = subject.logits[rows, subject.labels]
        others = subject.logits.copy()
        others[rows, subject.labels] = -np.inf
        return Finding(scores=others.max(axis=1) - given, suggested=others.argmax(axis=1))
