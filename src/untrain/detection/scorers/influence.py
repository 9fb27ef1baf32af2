"""Influence: how much each example moved the trained model, by influence functions.

(4.4) of the study of mislabelled data by Sugiura, Okamura, Yamashita and Yanai, after Koh and Liang (2017),
"Understanding Black-box Predictions via Influence Functions": `g(z_test)^T H^-1 g(z)` with z_test the example itself,
all of D, or D without it; signed, H the mean curvature over D.

The defaults are what the study's code does: the weight of the last layer and a pseudo-inverse. With the preset `full`,
the Gauss-Newton matrix of all parameters, `train-influence` becomes about as good as the loss.

Departure: double precision.
"""

from typing import Any

import msgspec
import numpy as np

from untrain.detection.base import Finding, Scorer, Scores, Subject
from untrain.influence import Curvature, Influence

FULL: dict[str, Any] = {"curvature": {"parameters": "all", "damping": 1e-3}}


class _Influences(Scorer, frozen=True):
    """What the three have in common.

    Attributes:
        curvature: of what, over which parameters, with which damping.
    """

    curvature: Curvature = Curvature(parameters="last-weight", damping=0)

    def read(self, influence: Influence) -> Scores:
        """The scores, from a fitted curvature."""
        raise NotImplementedError

    def score(self, subject: Subject) -> Finding:
        """Cost: one forward pass and one factorisation, which the three share."""
        name = f"influence {msgspec.json.encode(self.curvature).decode()}"
        influence: Influence = subject.once(name, lambda: self.curvature.fit(subject.model, subject.examples))
        diagnosis = subject.once(f"diagnosis {name}", influence.diagnose)
        return Finding(np.asarray(self.read(influence)), evidence={"solve": vars(diagnosis)})


class SelfInfluence(_Influences, frozen=True, tag="self-influence"):
    """Rank by the influence of an example on its own loss."""

    title = "influence on itself"
    presets = {"full": FULL}

    def read(self, influence: Influence) -> Scores:
        """I(z, z)."""
        return influence.self_influence()


class TrainInfluence(_Influences, frozen=True, tag="train-influence"):
    """Rank by the influence of an example on the loss of all."""

    title = "influence on the training set"
    presets = {"full": FULL}

    def read(self, influence: Influence) -> Scores:
        """I(D, z)."""
        return influence.train_influence()


class LeaveOneOutInfluence(_Influences, frozen=True, tag="leave-one-out-influence"):
    """Rank by the influence of an example on the loss of all others."""

    title = "influence on the others"
    presets = {"full": FULL}

    def read(self, influence: Influence) -> Scores:
        """I(D without z, z)."""
        return influence.leave_one_out()
