"""Influence: how much each example moved the trained model, by influence functions.

The score of an example z is `g(z_test)^T H^-1 g(z)`. Here H is the mean curvature over the training data D, and z_test
is z itself, all of D, or D without z. Scores are signed.

Source: (4.4) of the study of mislabeled data by Sugiura, Okamura, Yamashita and Yanai, after Koh and Liang (2017),
"Understanding Black-box Predictions via Influence Functions". The defaults are those of the study's code: the weight of
the last layer and a pseudo-inverse. With the preset `full`, the Gauss-Newton matrix of all parameters,
`train-influence` is about as good as the loss.

Departure: double precision.
"""

import msgspec
import numpy as np

from untrain.detection.base import Finding, Scorer, Scores, Subject
from untrain.influence import Curvature, Influence

FULL: dict[str, object] = {"curvature": {"parameters": "all", "damping": 1e-3}}


class _InfluenceScorer(Scorer, frozen=True):
    """A scorer that reads its scores from a fitted curvature.

    Attributes:
        curvature: kind of curvature, its parameters and its damping.
    """

    curvature: Curvature = Curvature(parameters="last-weight", damping=0)

    def read(self, influence: Influence) -> Scores:
        """The scores `[n]`."""
        raise NotImplementedError

    def score(self, subject: Subject) -> Finding:
        """Cost: one forward pass and one factorization, shared by the three influence scorers."""
        name = f"influence {msgspec.json.encode(self.curvature).decode()}"
        influence = subject.cached(name, lambda: self.curvature.fit(subject.model, subject.examples))
        diagnosis = subject.cached(f"diagnosis {name}", influence.diagnose)
        return Finding(np.asarray(self.read(influence)), evidence={"solve": vars(diagnosis)})


class SelfInfluence(_InfluenceScorer, frozen=True, tag="self-influence"):
    """Rank by the influence of an example on its own loss."""

    title = "influence on itself"
    presets = {"full": FULL}

    def read(self, influence: Influence) -> Scores:
        """I(z, z)."""
        return influence.self_influence()


class TrainInfluence(_InfluenceScorer, frozen=True, tag="train-influence"):
    """Rank by the influence of an example on the mean loss of the training set."""

    title = "influence on the training set"
    presets = {"full": FULL}

    def read(self, influence: Influence) -> Scores:
        """I(D, z)."""
        return influence.train_influence()


class LeaveOneOutInfluence(_InfluenceScorer, frozen=True, tag="leave-one-out-influence"):
    """Rank by the influence of an example on the mean loss of all others."""

    title = "influence on the others"
    presets = {"full": FULL}

    def read(self, influence: Influence) -> Scores:
        """I(D without z, z)."""
        return influence.leave_one_out()
