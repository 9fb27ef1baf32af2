"""`detect`: find the training examples that are probably mislabeled."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import softmax
from torch import nn

from untrain.core.deprecation import renamed
from untrain.data import Examples, as_examples
from untrain.data.examples import Positions
from untrain.detection.base import Finding, Scorer, Scores, Subject, check_classes
from untrain.detection.registry import build_scorer
from untrain.detection.scorers.neighbors import Neighbors
from untrain.detection.suspects import Suspects
from untrain.errors import InputError, NotSupportedError
from untrain.models import Factory
from untrain.population import Population, Recipe, as_population, train_suited

_STANDARD_ERRORS = 1.96
"""On each side of a 95 % interval."""


@renamed(["scorer", "noise_ratio", "seed"])
def detect(
    model: nn.Module | Population | None,
    examples: object,
    *,
    scorer: str | Scorer = "auto",
    noise_ratio: float | None = None,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Suspects:
    """Find the training examples that are probably mislabeled.

    Args:
        model: trained model: a module, or a population of one, whose factory and recipe are used. It is not changed.
            None: a network is trained first, by `factory` and `recipe` or by defaults that suit the examples.
        examples: training data with the given labels, at least two examples of each class, in any form that
            `as_examples` takes.
        scorer: `name` or `name:preset`: `auto`, `neighbours`, `confident`, `margin`, `loss`, `self-influence`,
            `train-influence`, `leave-one-out-influence`, one from a plug-in, or a `Scorer`.
        noise_ratio: share of mislabeled examples, if it is known; that share, of the highest scores, is flagged.
        factory: builds a new model, for scorers that train models; default the population's.
        recipe: how the model was trained, for the same scorers; default the population's.
        seed: root of all random draws.
        progress: called with a few words before each step.

    Raises:
        InputError: see `as_examples`; also too few classes, labels or logits that cannot be used, a noise ratio outside
            0..1, or scores that are not finite.
        UndecidableError: the labels cannot be told right from wrong.
        NotSupportedError: the scorer needs a factory and a recipe, or a network that ends in a linear layer.
        ConfigError: there is no such scorer.

    Cost: that of the scorer. Without a noise ratio, a scorer that only ranks also runs `neighbours` to estimate one.
    """
    say = progress or (lambda _: None)
    examples = as_examples(examples)
    check_question(examples, scorer, noise_ratio)
    if model is None:
        say("training a network")
    subject = as_subject(model, examples, seed, factory, recipe)
    say("looking for wrong labels")
    return inspect(subject, scorer, noise_ratio)


def check_question(examples: Examples, scorer: str | Scorer, noise_ratio: float | None) -> None:
    """Check the arguments of `detect` before anything is trained.

    Raises:
        InputError: the examples have too few classes; a noise ratio outside 0..1.
        ConfigError: there is no such scorer.
    """
    if not isinstance(scorer, str | Scorer):
        raise InputError(f"expected the name of a scorer or a Scorer, got {type(scorer).__name__}")
    if noise_ratio is not None and not 0 <= noise_ratio <= 1:
        raise InputError(f"expected a noise ratio in 0..1, got {noise_ratio}")
    check_classes(examples)
    if isinstance(scorer, str):
        build_scorer(scorer)


def as_subject(
    model: nn.Module | Population | None,
    examples: Examples,
    seed: int,
    factory: Factory | None,
    recipe: Recipe | None,
    validation: Examples | None = None,
) -> Subject:
    """The subject of a detection; a model that is None is trained first, see `train_suited`."""
    if model is None:
        models, recipe = train_suited(examples, seed=seed, factory=factory, recipe=recipe, validation=validation)
    else:
        models = as_population(model, seed=seed, factory=factory)
    return Subject(models, examples, recipe or models.recipe, seed)


def inspect(subject: Subject, scorer: str | Scorer, noise_ratio: float | None = None) -> Suspects:
    """Apply a scorer to a subject; scorers of the same subject share the models that they train."""
    name = scorer if isinstance(scorer, str) else str(type(scorer).__struct_config__.tag or type(scorer).__name__)
    finding = (build_scorer(scorer) if isinstance(scorer, str) else scorer).score(subject)
    count = len(subject.labels)
    scores = np.asarray(finding.scores, dtype=np.float64)
    _check_finding(finding, scores, count, name)
    order = np.argsort(-scores, kind="stable")
    if noise_ratio is not None:
        flagged, ratio, interval = order[: round(noise_ratio * count)], noise_ratio, (noise_ratio, noise_ratio)
    else:
        finding = _with_noise_ratio(finding, subject, name)
        flagged, ratio = _flagged(finding, order, name)
        interval = _interval(ratio, count, finding.model_error or 0.0)
    return Suspects(
        subject.examples, name, scores, flagged, ratio, interval, finding.model_error, finding.suggested,
        dict(finding.evidence), softmax(subject.logits, axis=1),
    )  # fmt: skip


def _check_finding(finding: Finding, scores: Scores, count: int, scorer: str) -> None:
    """Check shapes and values, since a scorer may come from a plug-in."""
    if scores.shape != (count,):
        raise InputError(f"expected {count} scores from {scorer}, got shape {scores.shape}")
    finite = np.isfinite(scores)
    if not finite.all():
        position = int(finite.argmin())
        raise InputError(f"expected finite scores from {scorer}, got {scores[position]} for example {position}")
    if finding.wrong is not None and (finding.wrong.shape != (count,) or finding.wrong.dtype != np.bool_):
        raise InputError(
            f"expected {count} booleans as `wrong` from {scorer}, got {finding.wrong.dtype} of shape "
            f"{finding.wrong.shape}"
        )


def _with_noise_ratio(finding: Finding, subject: Subject, scorer: str) -> Finding:
    """The finding with a noise ratio: that of `neighbours` for a scorer that only ranks."""
    if finding.noise_ratio is not None:
        return finding
    if finding.wrong is not None:
        return replace(finding, noise_ratio=float(finding.wrong.mean()))
    try:
        other = Neighbors().score(subject)
    except NotSupportedError as error:
        raise NotSupportedError(
            f"{scorer} only ranks examples, and neighbours cannot estimate the noise ratio: {error}; pass noise_ratio="
        ) from error
    note = f"{scorer} only ranks examples; the noise ratio is estimated by neighbours"
    evidence = {**finding.evidence, "note": note}
    return replace(finding, noise_ratio=other.noise_ratio, model_error=other.model_error, evidence=evidence)


def _flagged(finding: Finding, order: Positions, scorer: str) -> tuple[Positions, float]:
    """Positions of the flagged examples among all in this order, and the noise ratio."""
    ratio = finding.noise_ratio or 0.0
    if not 0 <= ratio <= 1:
        raise InputError(f"expected a noise ratio in 0..1 from {scorer}, got {ratio}")
    return order[: round(ratio * len(order))] if finding.wrong is None else order[finding.wrong[order]], ratio


def _interval(ratio: float, count: int, model_error: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, with the lower end lowered by the model's own error."""
    square = _STANDARD_ERRORS**2
    middle = (ratio + square / (2 * count)) / (1 + square / count)
    half = _STANDARD_ERRORS * math.sqrt(ratio * (1 - ratio) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half - model_error), min(1.0, middle + half)
