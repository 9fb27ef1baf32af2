"""`detect`: find the training examples that are probably mislabeled."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from untrain.core.ambient import ordinary
from untrain.core.arguments import checked
from untrain.core.deprecation import renamed
from untrain.core.progress import part, plan
from untrain.data import Examples, as_examples
from untrain.data.arrays import scalars, to_array
from untrain.data.examples import Positions
from untrain.detection.base import Finding, Scorer, Scores, Subject, check_classes
from untrain.detection.beside import BESIDE, sentences
from untrain.detection.judgment import judge_predictions
from untrain.detection.registry import build_scorer
from untrain.detection.scorers.linear import Linear
from untrain.detection.suspects import Suspects
from untrain.errors import InputError, NotSupportedError

if TYPE_CHECKING:
    from torch import nn

    from untrain.models import Factory
    from untrain.population import Population, Recipe


@renamed(["scorer", "noise_ratio", "seed"])
@ordinary
@checked
def detect(
    model: "nn.Module | Population | None" = None,
    examples: object | None = None,
    *,
    labels: npt.ArrayLike | None = None,
    features: npt.ArrayLike | None = None,
    pred_probs: npt.ArrayLike | None = None,
    scorer: str | Scorer = "auto",
    noise_ratio: float | None = None,
    factory: "Factory | None" = None,
    recipe: "Recipe | None" = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Suspects:
    """Find the training examples that are probably mislabeled.

    Three questions: `detect(model, examples)` for a trained model, `detect(features=..., labels=...)` for features such
    as embeddings, and `detect(pred_probs=..., labels=...)` for out-of-fold probabilities of any origin. The last two
    need no torch.

    Args:
        model: trained model: a module, or a population of one, whose factory and recipe are used. It is not changed.
            None: a network is trained first, by `factory` and `recipe` or by defaults that suit the examples.
        examples: training data with the given labels, at least two examples of each class, in any form that
            `as_examples` takes. None: `labels` are given with features or probabilities.
        labels: `[n]` given labels, class numbers or names, where there are no examples.
        features: `[n, d]` features of the examples, in the same order; `auto` then trains no networks.
        pred_probs: `[n, C]` probabilities of the classes, each row by a model that has not seen the example; columns
            in the order of the class numbers, or of the names alphabetically. Without examples.
        scorer: `name` or `name:preset`: `auto`, `linear`, `neighbours`, `confident`, `margin`, `loss`,
            `self-influence`, `train-influence`, `leave-one-out-influence`, one from a plug-in, or a `Scorer`.
        noise_ratio: share of mislabeled examples, if it is known; that share, of the highest scores, is flagged.
        factory: builds a new model, for scorers that train models; default the population's.
        recipe: how the model was trained, for the same scorers; default the population's.
        seed: root of all random draws.
        progress: called with a few words before each step.

    Raises:
        InputError: see `as_examples`; also too few classes, labels or logits that cannot be used, a noise ratio outside
            0..1, scores that are not finite, or arrays that do not match.
        UndecidableError: the labels cannot be told right from wrong.
        NotSupportedError: the scorer needs a factory and a recipe, or a network that ends in a linear layer.
        ConfigError: there is no such scorer.

    Cost: that of the scorer. Without a noise ratio, a scorer that only ranks also runs `linear` to estimate one.
    """
    say = progress or (lambda _: None)
    if examples is None:
        say("looking for wrong labels")
        return _detect_in_arrays(labels, features, pred_probs, scorer, noise_ratio, seed)
    if labels is not None or pred_probs is not None:
        raise InputError("Examples bring their own labels; pass labels= and pred_probs= without examples.")
    examples = as_examples(examples)
    given = None if features is None else _rows("features", features, len(examples))
    if given is not None and model is None and _is_fast(scorer):
        say("looking for wrong labels")
        return _inspect_features(examples, given, scorer, noise_ratio, seed)
    check_question(examples, scorer, noise_ratio)
    network, scoring = work_of(model, examples, factory, recipe, scorer)
    plan(network + scoring)
    if model is None:
        say("training a network")
    with part(network):
        subject = as_subject(model, examples, seed, factory, recipe)
    subject.given_features = given
    say("looking for wrong labels")
    with part(scoring):
        return inspect(subject, scorer, noise_ratio)


def _detect_in_arrays(
    labels: npt.ArrayLike | None,
    features: npt.ArrayLike | None,
    pred_probs: npt.ArrayLike | None,
    scorer: str | Scorer,
    noise_ratio: float | None,
    seed: int,
) -> Suspects:
    """The answer for labels with features or with probabilities."""
    if labels is None or (features is None) == (pred_probs is None):
        raise InputError("Pass a model and its examples, or labels= with either features= or pred_probs=.")
    given = scalars(labels, "labels")
    if pred_probs is not None:
        if scorer != "auto":
            raise InputError("With pred_probs= there is one way to judge labels; leave out scorer=.")
        probabilities = _rows("pred_probs", pred_probs, len(given))
        examples = as_examples((probabilities, given))
        check_noise_ratio(noise_ratio)
        check_classes(examples)
        _check_probabilities(probabilities, examples)
        subject = Subject(None, examples, None, seed, probabilities)
        return conclude(
            judge_predictions(probabilities.astype(np.float64), examples.labels), subject, "pred_probs", noise_ratio
        )
    array = _rows("features", features, len(given))
    return _inspect_features(as_examples((array, given)), array, scorer, noise_ratio, seed)


def _inspect_features(
    examples: Examples,
    features: npt.NDArray[np.floating],
    scorer: str | Scorer,
    noise_ratio: float | None,
    seed: int,
) -> Suspects:
    """The answer for features without a model."""
    scorer = Linear() if _is_fast(scorer) else scorer
    check_question(examples, scorer, noise_ratio)
    return inspect(Subject(None, examples, None, seed, features), scorer, noise_ratio)


def _is_fast(scorer: str | Scorer) -> bool:
    """Whether a scorer judges features alone where there is no model."""
    return scorer in ("auto", "linear") or isinstance(scorer, Linear)


def _rows(name: str, values: npt.ArrayLike | None, count: int) -> npt.NDArray[np.floating]:
    """An array of numbers with a row for each of `count` examples."""
    array = to_array(values, name)
    if array.ndim < 2 or len(array) != count:
        raise InputError(f"{name} must have one row for each of the {count} labels; their shape is {array.shape}.")
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _check_probabilities(probabilities: npt.NDArray[np.floating], examples: Examples) -> None:
    count = len(examples.classes)
    if probabilities.ndim != 2 or probabilities.shape[1] != count:
        raise InputError(
            f"pred_probs must have one column for each of the {count} classes among the labels; their shape is "
            f"{probabilities.shape}."
        )
    off = (probabilities < 0).any(1) | (np.abs(probabilities.sum(1) - 1) > 1e-2)
    if off.any():
        row = int(off.argmax())
        raise InputError(
            f"Each row of pred_probs must be probabilities that sum to 1; row {row} sums to "
            f"{probabilities[row].sum():.3g}."
        )


def check_noise_ratio(noise_ratio: float | None) -> None:
    """Check a given noise ratio.

    Raises:
        InputError: it is outside 0..1.
    """
    if noise_ratio is not None and not 0 <= noise_ratio <= 1:
        raise InputError(f"The noise ratio must be in 0..1, got {noise_ratio}.")


def check_question(examples: Examples, scorer: str | Scorer, noise_ratio: float | None) -> None:
    """Check the arguments of `detect` before anything is trained.

    Raises:
        InputError: the examples have too few classes; a noise ratio outside 0..1.
        ConfigError: there is no such scorer.
    """
    if not isinstance(scorer, str | Scorer):
        raise InputError(f"scorer must be the name of a scorer or a Scorer, got {type(scorer).__name__}.")
    check_noise_ratio(noise_ratio)
    check_classes(examples)
    if isinstance(scorer, str):
        build_scorer(scorer)


def as_subject(
    model: "nn.Module | Population | None",
    examples: Examples,
    seed: int,
    factory: "Factory | None",
    recipe: "Recipe | None",
    validation: Examples | None = None,
) -> Subject:
    """The subject of a detection; a model that is None is trained first, see `train_suited`."""
    from untrain.population import as_population, train_suited

    if model is None:
        models, recipe = train_suited(examples, seed=seed, factory=factory, recipe=recipe, validation=validation)
    else:
        models = as_population(model, seed=seed, factory=factory)
    return Subject(models, examples, recipe or models.recipe, seed)


def work_of(
    model: "nn.Module | Population | None",
    examples: Examples,
    factory: "Factory | None",
    recipe: "Recipe | None",
    scorer: str | Scorer,
) -> tuple[float, float]:
    """The work of training a network, where there is no model, and of a scorer; see `untrain.core.progress`."""
    from untrain.population import Population, Recipe, recipe_for

    if not isinstance(recipe, Recipe | None):
        raise InputError(f"detect(recipe=...) takes a Recipe or None, got {type(recipe).__name__}.")
    if isinstance(model, Population):
        factory, recipe = factory or model.factory, recipe or model.recipe
    if model is None:
        recipe = recipe or recipe_for(examples)
    network = recipe.epochs if model is None and recipe is not None else 0.0
    scorer = build_scorer(scorer) if isinstance(scorer, str) else scorer
    trains = recipe is not None and (model is None or factory is not None)
    passes = scorer.passes(recipe) if trains and recipe is not None else 0.0
    return network * len(examples), (1 + passes) * len(examples)


@ordinary
def inspect(subject: Subject, scorer: str | Scorer, noise_ratio: float | None = None) -> Suspects:
    """Apply a scorer to a subject; scorers of the same subject share the models that they train."""
    name = scorer if isinstance(scorer, str) else str(type(scorer).__struct_config__.tag or type(scorer).__name__)
    finding = (build_scorer(scorer) if isinstance(scorer, str) else scorer).score(subject)
    return conclude(finding, subject, name, noise_ratio)


def conclude(finding: Finding, subject: Subject, name: str, noise_ratio: float | None) -> Suspects:
    """What a finding means: the flagged examples, the noise ratio, and what a person must know."""
    count = len(subject.labels)
    scores = np.asarray(finding.scores, dtype=np.float64)
    _check_finding(finding, scores, count, name)
    order = np.argsort(-scores, kind="stable")
    interval: tuple[float, float] | None
    if noise_ratio is not None:
        flagged, ratio, interval = order[: round(noise_ratio * count)], noise_ratio, (noise_ratio, noise_ratio)
    else:
        finding = _with_noise_ratio(finding, subject, name)
        flagged, ratio = _flagged(finding, order, name)
        interval = finding.interval
    return Suspects(
        subject.examples, name, scores, flagged, ratio, interval, finding.model_error, finding.suggested,
        {**finding.evidence, BESIDE: sentences(finding.evidence, subject.examples)},
        None if subject.trained is None else softmax(subject.logits, axis=1),
    )  # fmt: skip


def _check_finding(finding: Finding, scores: Scores, count: int, scorer: str) -> None:
    """Check shapes and values, since a scorer may come from a plug-in."""
    if scores.shape != (count,):
        raise InputError(f"{scorer} must give {count} scores, got shape {scores.shape}.")
    finite = np.isfinite(scores)
    if not finite.all():
        position = int(finite.argmin())
        raise InputError(f"The scores of {scorer} must be finite, got {scores[position]} for example {position}.")
    if finding.wrong is not None and (finding.wrong.shape != (count,) or finding.wrong.dtype != np.bool_):
        raise InputError(
            f"{scorer} must give {count} booleans as `wrong`, got {finding.wrong.dtype} of shape {finding.wrong.shape}."
        )


def _with_noise_ratio(finding: Finding, subject: Subject, scorer: str) -> Finding:
    """The finding with a noise ratio: that of `linear` for a scorer that only ranks."""
    if finding.noise_ratio is not None:
        return finding
    if finding.wrong is not None:
        return replace(finding, noise_ratio=float(finding.wrong.mean()))
    try:
        other = Linear().score(subject)
    except NotSupportedError as error:
        raise NotSupportedError(
            f"{scorer} only ranks examples, and linear cannot estimate the noise ratio: {error} Pass noise_ratio=."
        ) from error
    note = f"{scorer} only ranks examples; the noise ratio is estimated by linear"
    evidence = {**finding.evidence, "note": note}
    return replace(
        finding,
        noise_ratio=other.noise_ratio,
        interval=other.interval,
        model_error=other.model_error,
        evidence=evidence,
    )


def _flagged(finding: Finding, order: Positions, scorer: str) -> tuple[Positions, float]:
    """Positions of the flagged examples among all in this order, and the noise ratio."""
    ratio = finding.noise_ratio or 0.0
    if not 0 <= ratio <= 1:
        raise InputError(f"The noise ratio of {scorer} must be in 0..1, got {ratio}.")
    return order[: round(ratio * len(order))] if finding.wrong is None else order[finding.wrong[order]], ratio
