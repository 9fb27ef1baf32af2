"""Linear: the fast path. Cross-validated linear heads and votes of neighbors among features that are at hand.

The features are given, or the penultimate ones of the trained model, which may be frozen or pretrained. They say little
about wrong labels that the model has memorized: where it fits nearly all labels, a note says so.

Source and steps: `untrain.detection.judgment`.
"""

from dataclasses import replace

from untrain.core.text import percent
from untrain.detection.base import Finding, Scorer, Subject
from untrain.detection.judgment import judge_features

_MEMORIZED = 0.99


class Linear(Scorer, frozen=True, tag="linear"):
    """Rank by held-out linear heads and neighbors among features."""

    title = "linear heads and neighbors among features"

    def score(self, subject: Subject) -> Finding:
        """Cost: one forward pass where no features are given, and that of `judge_features`; no network is trained.

        Raises:
            UndecidableError: held-out predictions agree with the labels no better than with permuted labels.
        """
        finding = judge_features(
            subject.features, subject.labels, len(subject.examples.classes), subject.streams.generator("folds")
        )
        if subject.given_features is not None or subject.trained is None:
            return finding
        fitted = float((subject.logits.argmax(1) == subject.labels).mean())
        if fitted < _MEMORIZED:
            return finding
        note = (
            f"the model fits {percent(fitted, 1)} of the labels, so its features may hide wrong labels that it has "
            "memorized; with factory= and recipe=, or pretrained features=, auto does not depend on them"
        )
        return replace(finding, evidence={**finding.evidence, "note": note})
