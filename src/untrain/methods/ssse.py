"""Single-step sample erasure: one Newton step, with the curvature over what is kept.

`theta + 1/(n - m) H^-1 g`, with g the sum of the gradients of the m forget examples and H the mean curvature over the
n - m of the retain set, is exact where the loss is quadratic. Curvature is that of Gauss-Newton.

Source: Peste, Alistarh, Lampert (2021), "SSSE: Efficiently Erasing Samples from Trained Machine Learning Models"; the
settings of the study of mislabeled examples by Sugiura, Okamura, Yamashita and Yanai are the preset `study`: the last
layer's weight, a pseudo-inverse, one full step, nothing chosen.

Departures: the authors estimate the curvature by the empirical Fisher matrix; here it is Gauss-Newton's, which does not
depend on the labels. By default damping and length of the step are chosen by the losses; see
`untrain.methods.newton`. Weight decay of the original's recipe does not enter. On small networks fine-tuning is cheaper
and better.
"""

from untrain.data import Examples
from untrain.methods.base import Request
from untrain.methods.newton import STUDY, NewtonStep


class SSSE(NewtonStep, frozen=True, tag="ssse"):
    """Step away from the forget set, by the curvature over the retain set."""

    title = "SSSE"
    presets = {"study": STUDY}

    def curved(self, request: Request) -> Examples:
        return request.retain
