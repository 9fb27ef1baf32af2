"""Loss: the cross-entropy of each example's label under the trained model.

Source: (4.1) of the study of mislabeled data by Sugiura, Okamura, Yamashita and Yanai, "Improving the generalization
of trained models by unlearning mislabelled data". It works as long as the model has not memorized the wrong
labels.
"""

import numpy as np
from scipy.special import log_softmax

from untrain.detection.base import Finding, Scorer, Subject


class Loss(Scorer, frozen=True, tag="loss"):
    """Rank by loss."""

    title = "loss of the trained model"

    def score(self, subject: Subject) -> Finding:
        """Cost: one forward pass."""
        log_p = log_softmax(subject.logits, axis=1)
        return Finding(-log_p[np.arange(len(log_p)), subject.labels])
