"""Make trained classifiers forget, and measure that they did.

The main things, in the order in which they are needed:

* `forget`, `Forgotten`: make one's own model forget, check whether it did, and record it; `doctor`, `Diagnosis`:
whether and how that can be done; `audit`: compare with retrained models; `verify`: whether a record still holds.
* `as_examples`: data in any of the usual forms.
* `load`, `Examples`, `split`, `forget_ratio`, `forget_groups`, `forget_ids`, `forget_class`, `forget_subjects`,
`forget_ranked`: data, and what is to be forgotten.
* `CNN`, `MLP`, `ResNet18`, `factory`, `Population`, `Recipe`: networks, and how they are trained.
* `detect`, `build_scorer`, `Suspects`: which training labels are wrong; `mislabel`, `symmetric_noise`, `pair_noise`,
`human_noise`: data with wrong labels to try it on.
* `repair`, `Repaired`: detect, forget, and compare before with after; `write_review`, `read_review`: let a person look
through what was found.
* `influence`: curvature of the loss, and influence of training examples.
* `build_method`, `Method`, `Request`: unlearning methods by name, and new ones.
* `confidence`, `forget_quality`, `final_score`, `mean_epsilon`: the competition's score.
* `read_experiment`, `run_experiment`, `write_report`: whole comparisons.

Names are imported when they are first used, so that what needs no torch does not wait for it.
"""

import lazy_loader

from untrain.core.deprecation import renamed_attributes
from untrain.core.version import __version__ as __version__

_current, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_former = renamed_attributes(__name__, PerEpoch="EpochFactors")


def __getattr__(name: str) -> object:
    return _current(name) if name in __all__ else _former(name)
