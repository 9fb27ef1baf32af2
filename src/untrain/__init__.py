"""Make trained classifiers forget, and measure that they did.

The main things, in the order in which they are needed:

* `forget`, `Forgotten`: make one's own model forget, look whether it did, and record it; `doctor`, `Diagnosis`: whether
and how that can be done; `audit`: compare with models trained anew; `verify`: whether a record still holds.
* `as_examples`: data in any of the usual forms.
* `load`, `Examples`, `split`, `forget_ratio`, `forget_groups`, `forget_ids`: data, and what is to be
forgotten.
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

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from untrain.auditing import ForgetQuality as ForgetQuality
    from untrain.auditing import confidence as confidence
    from untrain.auditing import final_score as final_score
    from untrain.auditing import forget_quality as forget_quality
    from untrain.auditing import mean_epsilon as mean_epsilon
    from untrain.data import Examples as Examples
    from untrain.data import ForgetSplit as ForgetSplit
    from untrain.data import Noisy as Noisy
    from untrain.data import Splits as Splits
    from untrain.data import as_examples as as_examples
    from untrain.data import forget_groups as forget_groups
    from untrain.data import forget_ids as forget_ids
    from untrain.data import forget_ratio as forget_ratio
    from untrain.data import human_noise as human_noise
    from untrain.data import load as load
    from untrain.data import mislabel as mislabel
    from untrain.data import pair_noise as pair_noise
    from untrain.data import split as split
    from untrain.data import symmetric_noise as symmetric_noise
    from untrain.detection import Suspects as Suspects
    from untrain.detection import build_scorer as build_scorer
    from untrain.detection import detect as detect
    from untrain.detection import read_review as read_review
    from untrain.detection import write_review as write_review
    from untrain.diagnosing import Diagnosis as Diagnosis
    from untrain.diagnosing import doctor as doctor
    from untrain.experiments import Experiment as Experiment
    from untrain.experiments import read_experiment as read_experiment
    from untrain.experiments import run_experiment as run_experiment
    from untrain.forgetting import Forgotten as Forgotten
    from untrain.forgetting import forget as forget
    from untrain.methods import Method as Method
    from untrain.methods import Request as Request
    from untrain.methods import build_method as build_method
    from untrain.methods import method_names as method_names
    from untrain.models import CNN as CNN
    from untrain.models import MLP as MLP
    from untrain.models import ResNet18 as ResNet18
    from untrain.models import factory as factory
    from untrain.models import import_factory as import_factory
    from untrain.population import SGD as SGD
    from untrain.population import Adam as Adam
    from untrain.population import AdamW as AdamW
    from untrain.population import Constant as Constant
    from untrain.population import Cosine as Cosine
    from untrain.population import PerEpoch as PerEpoch
    from untrain.population import Population as Population
    from untrain.population import Recipe as Recipe
    from untrain.proving import audit as audit
    from untrain.randomness import Streams as Streams
    from untrain.records import verify as verify
    from untrain.repairing import Repaired as Repaired
    from untrain.repairing import repair as repair
    from untrain.report import write_report as write_report

_HOMES = {
    "auditing": ("ForgetQuality", "confidence", "final_score", "forget_quality", "mean_epsilon"),
    "data": (
        "Examples",
        "ForgetSplit",
        "Noisy",
        "Splits",
        "as_examples",
        "forget_groups",
        "forget_ids",
        "forget_ratio",
        "human_noise",
        "load",
        "mislabel",
        "pair_noise",
        "split",
        "symmetric_noise",
    ),
    "detection": ("Suspects", "build_scorer", "detect", "read_review", "write_review"),
    "diagnosing": ("Diagnosis", "doctor"),
    "experiments": ("Experiment", "read_experiment", "run_experiment"),
    "forgetting": ("Forgotten", "forget"),
    "methods": ("Method", "Request", "build_method", "method_names"),
    "models": ("CNN", "MLP", "ResNet18", "factory", "import_factory"),
    "population": ("SGD", "Adam", "AdamW", "Constant", "Cosine", "PerEpoch", "Population", "Recipe"),
    "proving": ("audit",),
    "randomness": ("Streams",),
    "records": ("verify",),
    "repairing": ("Repaired", "repair"),
    "report": ("write_report",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any of the names above)
    if name == "influence":
        return importlib.import_module("untrain.influence")
    if name not in _HOME:
        raise AttributeError(f"module 'untrain' has no attribute {name!r}")
    return getattr(importlib.import_module(f"untrain.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
