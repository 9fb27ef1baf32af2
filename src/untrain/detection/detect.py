"""`detect`: from a trained model and its data to the labels that are probably wrong."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from untrain.data import Examples, as_examples
from untrain.data.examples import Labels, Positions
from untrain.detection.base import Finding, Scorer, Scores, Subject, check_classes
from untrain.detection.registry import build_scorer
from untrain.detection.scorers.neighbors import Neighbors
from untrain.errors import InputError, NotSupportedError
from untrain.models import Factory
from untrain.population import Population, Recipe, as_population, train_suited

_CONFIDENT = 1.96
"""Standard errors on each side of an interval that covers 95 %."""


@dataclass(frozen=True, eq=False)
class Suspects:
    """What a detection found.

    Attributes:
        examples: the n that were looked at.
        scorer: that looked, as `name` or `name:preset`.
        scores: `[n]`, higher is more suspicious; for `auto` the probability that the label is wrong.
        flagged: positions of the labels that are taken for wrong, the most suspicious first.
        noise_ratio: share of wrong labels, as given or as estimated.
        interval: around an estimate, 95 %: to both sides by sampling error, below by the model's own error as well:
            what a model gets wrong by itself looks like a wrong label.
        model_error: share of the labels taken for right that predictions made without them miss, of held-out models or,
            for `neighbours`, of the neighbours; or None.
        suggested: `[n]` the most probable true class, or None where the scorer has no opinion.
        evidence: what else the scorer knows, as plain values by name; a `note` says what a person must know.
    """

    examples: Examples
    scorer: str
    scores: Scores
    flagged: Positions
    noise_ratio: float
    interval: tuple[float, float]
    model_error: float | None
    suggested: Labels | None
    evidence: dict[str, Any]


def detect(
    model: nn.Module | Population | None,
    examples: object,
    scorer: str | Scorer = "auto",
    noise_ratio: float | None = None,
    seed: int = 0,
    *,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    progress: Callable[[str], None] | None = None,
) -> Suspects:
    """Find the training labels that are probably wrong.

    Args:
        model: trained on the examples: a module, or a population of one, whose factory is used. It is not changed.
            None: a network is trained on them first, which suits them unless `factory` and `recipe` say otherwise.
        examples: with labels as they are given, at least two of each class, in any form that `as_examples` takes.
        scorer: `name` or `name:preset`: `auto`, `neighbours`, `confident`, `margin`, `loss`, `self-influence`,
            `train-influence`, `leave-one-out-influence`, one of one's own, or a `Scorer`.
        noise_ratio: share of wrong labels, if it is known; then so many with the highest scores are flagged.
        seed: of all random draws.
        factory: builds a new model for scorers that train some.
        recipe: how the model was trained, for the same.
        progress: told in a few words what is done next.

    Raises:
        InputError: see `as_examples`; also too few classes, labels or logits that cannot be used, a noise ratio outside
            0..1, or scores that are not finite.
        UndecidableError: the labels cannot be told right from wrong.
        NotSupportedError: the scorer needs a factory and recipe, or a network that ends in a linear layer.
        ConfigError: there is no such scorer.

    Cost: that of the scorer; without a noise ratio, a scorer that only ranks also asks `neighbours` for one.
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
    """Refuse, before anything is trained, what `detect` cannot answer.

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
    """What scorers look at, from what a person has; a model that is None is trained, see `train_suited`."""
    if model is None:
        models, recipe = train_suited(examples, seed=seed, factory=factory, recipe=recipe, validation=validation)
    else:
        models = as_population(model, seed=seed, factory=factory)
    return Subject(models, examples, recipe, seed)


def inspect(subject: Subject, scorer: str | Scorer, noise_ratio: float | None = None) -> Suspects:
    """Apply a scorer to a subject; several scorers of one subject share what they train."""
    name = scorer if isinstance(scorer, str) else str(type(scorer).__struct_config__.tag or type(scorer).__name__)
    finding = (build_scorer(scorer) if isinstance(scorer, str) else scorer).score(subject)
    scores, count = np.asarray(finding.scores, dtype=np.float64), len(subject.labels)
    if scores.shape != (count,):
        raise InputError(f"expected {count} scores from {name}, got shape {scores.shape}")
    for position in np.flatnonzero(~np.isfinite(scores))[:1]:
        raise InputError(f"expected finite scores from {name}, got {scores[position]} for example {position}")
    if finding.wrong is not None and (finding.wrong.shape != (count,) or finding.wrong.dtype != np.bool_):
        raise InputError(
            f"expected {count} booleans from {name} for which labels are wrong, got {finding.wrong.dtype} of shape "
            f"{finding.wrong.shape}"
        )
    order = np.argsort(-scores, kind="stable")
    evidence = dict(finding.evidence)
    if noise_ratio is not None:
        chosen, ratio, interval = order[: round(noise_ratio * count)], noise_ratio, (noise_ratio, noise_ratio)
    else:
        if finding.noise_ratio is None and finding.wrong is None:
            finding = _with_ratio_of_neighbours(finding, subject, name, evidence)
        wrong = finding.wrong
        ratio = float(wrong.mean()) if finding.noise_ratio is None and wrong is not None else finding.noise_ratio or 0.0
        if not 0 <= ratio <= 1:
            raise InputError(f"expected a noise ratio in 0..1 from {name}, got {ratio}")
        chosen = order[: round(ratio * count)] if wrong is None else order[wrong[order]]
        interval = _interval(ratio, count, finding.model_error or 0.0)
    return Suspects(
        subject.examples, name, scores, chosen, ratio, interval, finding.model_error, finding.suggested, evidence
    )


def _with_ratio_of_neighbours(finding: Finding, subject: Subject, name: str, evidence: dict[str, Any]) -> Finding:
    """The same scores, with a noise ratio that somebody else estimates."""
    try:
        other = Neighbors().score(subject)
    except NotSupportedError as error:
        raise NotSupportedError(f"{name} only ranks, and nobody can estimate the noise ratio: {error}") from error
    evidence["note"] = f"{name} only ranks; the noise ratio is that of neighbours"
    return Finding(finding.scores, None, other.noise_ratio, other.model_error, finding.suggested)


def _interval(ratio: float, count: int, model_error: float) -> tuple[float, float]:
    """Wilson's interval of a share, with the lower end lowered by the model's own error."""
    square = _CONFIDENT**2
    middle = (ratio + square / (2 * count)) / (1 + square / count)
    half = _CONFIDENT * math.sqrt(ratio * (1 - ratio) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half - model_error), min(1.0, middle + half)
