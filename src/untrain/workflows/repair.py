"""`repair`: find mislabeled examples, make the model forget them, and keep the better model."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from untrain.core.ambient import ordinary
from untrain.core.arguments import checked
from untrain.core.progress import advance, part, plan
from untrain.core.randomness import Streams
from untrain.core.text import percent
from untrain.data import Examples, as_examples, find_copies
from untrain.data.examples import Positions
from untrain.detection import Scorer, Subject, Suspects, as_subject, check_question, inspect, read_review
from untrain.detection.detect import work_of
from untrain.errors import InputError
from untrain.methods import Method, Request
from untrain.models import Factory
from untrain.population import Population, Recipe, recipe_for
from untrain.population.factories import check_builds_anew
from untrain.workflows.choose import missing_of, resolve_method
from untrain.workflows.compare import Comparison, check_validation, correct, logits_of
from untrain.workflows.fit import check_fit

_FIFTH = 5
_WORST_CONDITION = 20.0
"""Condition number of a transition matrix above which its inverse is not used."""


@dataclass(frozen=True, eq=False, repr=False)
class Repaired:
    """The result of a repair; `print` shows the verdict.

    Attributes:
        model: of the given class: the repaired model, in evaluation mode, if it was accepted, else the given model.
        suspects: the flagged labels, and the n examples that the model was trained on, without those that `repair` held
            out itself.
        forgotten: positions of the forgotten examples among the n.
        method: unlearning method, `name` or `name:preset`.
        before: accuracy of the original, in 0..1.
        after: accuracy after forgetting, in 0..1, also of a model that was refused.
        measured_on: examples that both were measured on, in words.
        accepted: whether `model` is the repaired one.
        verdict: the outcome in a sentence or two.
    """

    model: nn.Module
    suspects: Suspects
    forgotten: Positions
    method: str
    before: float
    after: float
    measured_on: str
    accepted: bool
    verdict: str

    def __repr__(self) -> str:
        """The verdict."""
        return self.verdict

    @property
    def held_out(self) -> str:
        """Former name of `measured_on`."""
        warnings.warn("Repaired.held_out is now Repaired.measured_on", DeprecationWarning, stacklevel=2)
        return self.measured_on


@dataclass(frozen=True, eq=False)
class _Case:
    """What there is to repair.

    Attributes:
        examples: the model's training examples.
        validation: examples to compare accuracy on, or None until some are held out.
        measured_on: what `validation` is, in words.
        confirmed: positions that a person confirmed as mislabeled, or None without a review.
        same_noise: whether the labels of `validation` are as noisy as those of `examples`, since they were held out.
    """

    examples: Examples
    validation: Examples | None
    measured_on: str
    confirmed: Positions | None
    same_noise: bool = False


@ordinary
@checked
def repair(
    model: nn.Module | Population | None,
    examples: object,
    *,
    method: str | None = None,
    validation: object | None = None,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    scorer: str | Scorer = "auto",
    noise_ratio: float | None = None,
    review: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Repaired:
    """Find mislabeled examples, make the model forget them, and keep the result unless it is worse.

    Accuracy before and after is compared on the same examples. If it drops by more than one standard error of the
    paired difference (the square root of the number of examples that only one of the two models classifies correctly),
    the original is returned.

    Without validation examples, a part is held out, models are compared on all classes of it, and accuracies are
    corrected for wrong labels in it by the transition matrix that the scorer fitted, where it did. A model of yours was
    trained on that part; so if the method trains anew, it is compared with a network that is trained the same way with
    the flagged labels.

    Args:
        model: a module trained on the examples, or a population of one, whose factory and recipe are used. It is not
            changed. None: a network is trained first; `factory` and `recipe` default to ones that suit the examples.
        examples: with labels as they are given, at least two of each class, in any form that `as_examples` takes.
        method: `name` or `name:preset`; default `retrain` if factory and recipe are known, else `ssse`, which takes
            neither. A plain `finetune` continues the training by the recipe, if that is known: its own single epoch at
            1e-3 is meant for comparisons.
        validation: other examples to compare accuracy on, in any form that `as_examples` takes. They may be mislabeled,
            too: errors that are independent of those in training favor neither model. Default a random fifth of each
            class, held out before detection, from detection, training and repair; see below.
        factory: builds a new model, for `retrain` and for scorers that train some; default the population's.
        recipe: how the model was trained, for the same; default the population's.
        seed: root of all random draws.
        scorer: see `detect`.
        noise_ratio: see `detect`.
        review: a file of `write_review` that a person has filled in. Only what is confirmed there is forgotten, and no
            scorer is used. Its ids are those of `examples`; confirmed examples are never held out.
        progress: called with a few words before each step.

    Raises:
        InputError: see `detect`; or the model does not fit its examples, see `check_fit`; or the factory builds trained
            networks, and the method new ones; or the review file cannot be read, there are no validation examples, they
            are among the training examples or have other classes or shapes, or a whole class would be forgotten.
        UndecidableError: the labels do not tell which of them are wrong.
        NotSupportedError: the scorer or the method needs a factory and a recipe, or another kind of network.
        ConfigError: there is no such scorer or method.

    Cost: that of detection and method, and two passes over the examples that accuracy is compared on; with None, or
    without validation examples for a method that trains anew, also one training.
    """
    say = progress or (lambda _: None)
    examples = as_examples(examples)
    if validation is not None:
        validation = as_examples(validation, classes=examples.classes, prefix="validation/")
    check_question(examples, scorer, noise_ratio)
    if model is None:
        recipe = recipe or recipe_for(examples)
    elif isinstance(model, Population):
        factory, recipe = factory or model.factory, recipe or model.recipe
    missing = () if model is None else missing_of(factory, recipe)
    spec = method or ("ssse" if missing else "retrain")
    unlearning = resolve_method(spec, missing, recipe)
    case = _case(examples, validation, None if review is None else read_review(review, examples))
    if validation is None:
        case = _held_out(case, seed)
    network, scoring = work_of(model, case.examples, factory, recipe, scorer)
    with_reference = case.same_noise and model is not None and unlearning.exact and not missing
    plan(network + scoring + sum(_work(unlearning, recipe or recipe_for(case.examples), case, with_reference)))
    if model is None:
        say("training a network")
    with part(network):
        subject = as_subject(model, case.examples, seed, factory, recipe, case.validation)
    if model is not None:
        check_fit(subject.model, subject.logits, case.examples)
        if unlearning.needs_factory:
            check_builds_anew(subject.model, case.examples)
    if case.confirmed is None:
        say("looking for wrong labels")
        with part(scoring):
            suspects = inspect(subject, scorer, noise_ratio)
    else:
        advance(scoring)
        suspects = _reviewed(case.examples, case.confirmed, str(review))
    repaired = _repair(subject, case, suspects, spec, unlearning, say, trained_here=model is None)
    # A person's own module comes back itself, not a copy of it.
    return replace(repaired, model=model) if isinstance(model, nn.Module) and not repaired.accepted else repaired


def _work(method: Method, recipe: Recipe, case: _Case, with_reference: bool) -> tuple[float, float]:
    """The work of training the network to compare with, where there is one, and of a method."""
    passes = method.passes(recipe)
    reference = recipe.epochs if with_reference else 0.0
    return reference * len(case.examples), (1.0 if passes is None else passes) * len(case.examples)


def _case(examples: Examples, validation: Examples | None, confirmed: Positions | None) -> _Case:
    if validation is None:
        return _Case(examples, None, "", confirmed)
    check_validation(examples, validation)
    copies = int(find_copies(examples, validation).sum())
    known = f", {copies} of them with exactly the inputs of a training example," if copies else ","
    return _Case(examples, validation, f"the {len(validation)} validation examples{known} labels as given", confirmed)


def _held_out(case: _Case, seed: int) -> _Case:
    """Hold out a random fifth of each class, but nothing that a person confirmed as mislabeled."""
    examples = case.examples
    generator = Streams(seed).child("repair").generator("held out")
    chosen = np.zeros(len(examples), dtype=np.bool_)
    for label in range(len(examples.classes)):
        positions = np.flatnonzero(examples.labels == label)
        free = positions if case.confirmed is None else np.setdiff1d(positions, case.confirmed)
        chosen[generator.permutation(free)[: round(len(positions) / _FIFTH)]] = True
    if not chosen.any():
        raise InputError(
            f"A fifth of each class cannot be held out of {len(examples)} examples in {len(examples.classes)} classes; "
            "pass validation=."
        )
    kept, held_out = np.flatnonzero(~chosen), examples.select(np.flatnonzero(chosen))
    # Positions among those that are kept: how many are kept before each.
    confirmed = None if case.confirmed is None else np.searchsorted(kept, case.confirmed)
    words = f"{len(held_out)} randomly held-out examples, labels as given"
    return _Case(examples.select(kept), held_out, words, confirmed, same_noise=True)


def _reviewed(examples: Examples, confirmed: Positions, path: str) -> Suspects:
    """The result of a review in the form of a detection."""
    scores = np.zeros(len(examples))
    scores[confirmed] = 1
    ratio = len(confirmed) / len(examples)
    note = f"confirmed by a person in {path}; no scorer was used"
    return Suspects(examples, "review", scores, confirmed, ratio, (ratio, ratio), None, None, {"note": note})


def _repair(
    subject: Subject,
    case: _Case,
    suspects: Suspects,
    spec: str,
    method: Method,
    say: Callable[[str], None],
    *,
    trained_here: bool,
) -> Repaired:
    flagged, examples, evaluation_set, measured_on = suspects.flagged, case.examples, case.validation, case.measured_on
    assert evaluation_set is not None  # noqa: S101 (some were held out)
    if not len(flagged):
        before = float(correct(subject.model, evaluation_set).mean())
        nothing = "No label was flagged" if case.confirmed is None else "The review confirms no label as wrong"
        verdict = f"{nothing}. The model is unchanged; its accuracy is {percent(before)} on {measured_on}."
        return Repaired(subject.model.module(), suspects, flagged, spec, before, before, measured_on, False, verdict)
    retain = examples.select(np.setdiff1d(np.arange(len(examples)), flagged))
    gone = np.setdiff1d(examples.labels, retain.labels)
    if len(gone):
        name = examples.classes[gone[0]]
        raise InputError(f"All examples of class {name!r} would be forgotten; keep some of every class.")
    recipe = subject.recipe or recipe_for(examples)  # methods that need the real one were refused
    reference, words = subject.model, ""
    with_reference = case.same_noise and not trained_here and method.exact and subject.can_train
    training, forgetting = _work(method, recipe, case, with_reference)
    if with_reference:
        say("training the same network with the flagged labels, to compare with")
        with part(training):
            reference = subject.new_models(1, subject.streams.child("reference")).train(
                examples, recipe, validation=evaluation_set
            )
        words = " Both are networks trained without the held-out examples, one with the flagged labels and one without."
    elif case.same_noise and not trained_here:
        words = " The original was trained on the held-out examples, too, which favors it."
    step = f"forgetting {len(flagged)} example{'' if len(flagged) == 1 else 's'}"
    say(step)
    request = Request(examples.select(flagged), retain, recipe, evaluation_set)
    with part(forgetting):
        unlearned = method.forget(subject.model.clone(), request)
    comparison = Comparison.of(correct(reference, evaluation_set), correct(unlearned, evaluation_set))
    accepted, verdict = _judge(comparison, f"{step} by {spec}", measured_on)
    if case.same_noise and (correction := _corrected(reference, unlearned, evaluation_set, suspects)):
        accepted, verdict = _judge_corrected(correction, comparison, f"{step} by {spec}", measured_on)
    shares = [percent(float(correct(models, request.forget).mean()), 0) for models in (subject.model, unlearned)]
    verdict += f"{words} The original predicts {shares[0]} of the forgotten labels, the new model {shares[1]}."
    return Repaired(
        (unlearned if accepted else subject.model).module(),
        suspects, flagged, spec, comparison.before, comparison.after, measured_on, accepted, verdict,
    )  # fmt: skip


@dataclass(frozen=True)
class Corrected:
    """Accuracies on noisy labels, corrected for the noise.

    Attributes:
        before: of the first model.
        after: of the second model.
        standard_error: of their paired difference.
    """

    before: float
    after: float
    standard_error: float


def corrected_accuracies(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    transition: npt.ArrayLike,
) -> Corrected | None:
    """The accuracies on true labels of two models, from noisy labels and the transition matrix.

    A prediction k of an example labeled y counts `inverse(T)[y, k]`. The mean of that over the labels that a true class
    c can get is 1 if k = c and else 0, so the estimate is unbiased if T is right.

    Args:
        first: `[n]` predictions of the first model.
        second: `[n]` predictions of the second model.
        labels: `[n]`, given.
        transition: `[C, C]`, probability of each given label (column) for a true class (row).

    Returns:
        None if the matrix cannot be inverted well, so that the correction would be mostly noise.

    Source: Natarajan, Dhillon, Ravikumar, Tewari (2013), "Learning with Noisy Labels".
    """
    matrix = np.asarray(transition, dtype=np.float64)
    if np.linalg.cond(matrix) > _WORST_CONDITION:
        return None
    inverse = np.linalg.inv(matrix)
    before, after = inverse[labels, first], inverse[labels, second]
    error = float(np.std(after - before) / np.sqrt(len(labels)))
    return Corrected(float(before.mean()), float(after.mean()), error)


def _corrected(first: Population, second: Population, examples: Examples, suspects: Suspects) -> Corrected | None:
    transition = suspects.evidence.get("transition")
    if transition is None:
        return None
    predictions = [logits_of(models, examples).argmax(1) for models in (first, second)]
    return corrected_accuracies(predictions[0], predictions[1], examples.labels, transition)


def _judge_corrected(corrected: Corrected, comparison: Comparison, step: str, measured_on: str) -> tuple[bool, str]:
    """As `_judge`, by accuracies corrected for wrong labels among the held-out examples."""
    drop = corrected.before - corrected.after
    accepted = drop <= corrected.standard_error
    change = (
        f"{step} changes accuracy from {percent(comparison.before)} to {percent(comparison.after)} on {measured_on}; "
        f"corrected for wrong labels among these by the fitted transition, from {percent(corrected.before)} to "
        f"{percent(corrected.after)}"
    )
    error = f"one standard error of the difference ({100 * corrected.standard_error:.2f} points)"
    if not accepted:
        return False, f"Refused: {change}. The drop exceeds {error}, so the original is kept."
    return True, f"Accepted: {change}." + (f" The drop is within {error}." if drop > 0 else "")


def _judge(comparison: Comparison, step: str, measured_on: str) -> tuple[bool, str]:
    """Whether the second model is accepted, and the verdict."""
    change = f"changes accuracy from {percent(comparison.before)} to {percent(comparison.after)} on {measured_on}"
    error = f"one standard error of the difference ({100 * comparison.standard_error:.2f} points)"
    if comparison.drop > comparison.standard_error:
        return False, f"Refused: {step} {change}. The drop exceeds {error}, so the original is kept."
    if comparison.drop > 0:
        return True, f"Accepted: {step} {change}. The drop is within {error}."
    return True, f"Accepted: {step} {change}."
