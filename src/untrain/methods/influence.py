"""Influence update: one Newton step, with the curvature over everything that was learned.

`theta + 1/n H^-1 g`, with g the sum of the forget set's gradients and H the mean curvature over all n training
examples, is to first order where training without the forget set would have ended. Curvature is that of Gauss-Newton.

Source: Koh, Liang (2017), "Understanding Black-box Predictions via Influence Functions"; as an unlearning method in the
study of mislabeled examples by Sugiura, Okamura, Yamashita and Yanai, whose settings are the preset `study`: the last
layer's weight, a pseudo-inverse, one full step, nothing chosen.

Departures: by default damping and length of the step are chosen by the losses; see `untrain.methods.newton`. Weight
decay of the original's recipe does not enter. On small networks fine-tuning is cheaper and better.
"""

from untrain.data import Examples
from untrain.methods.base import Request
from untrain.methods.newton import STUDY, NewtonStep


class InfluenceUpdate(NewtonStep, frozen=True, tag="influence"):
    """Step away from the forget set, by the curvature over all examples."""

    title = "influence update"
    presets = {"study": STUDY}

    def curved(self, request: Request) -> Examples:
        return Examples.concatenate([request.retain, request.forget])
