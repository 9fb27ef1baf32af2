"""`repair`: find the wrong labels, make the model forget them, and compare before with after."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from untrain.core.randomness import Streams
from untrain.core.text import percent
from untrain.data import Examples, as_examples
from untrain.data.examples import Positions
from untrain.detection import Scorer, Subject, Suspects, as_subject, check_question, inspect, read_review
from untrain.errors import InputError
from untrain.methods import Method, Request
from untrain.models import Factory
from untrain.population import Population, Recipe, suited
from untrain.workflows.choose import named
from untrain.workflows.compare import Comparison, check_validation, right

_FIFTH = 5


@dataclass(frozen=True, eq=False)
class Repaired:
    """What a repair came to.

    Attributes:
        model: of the class that came in: the repaired one, in evaluation mode, if it was accepted, else the original as
            it came.
        suspects: the labels that are taken for wrong, and the n examples that the model was trained on; without the
            examples that `repair` held out itself.
        forgotten: positions among the n of what was to be forgotten.
        method: by which, as `name` or `name:preset`.
        before: accuracy of the original, in 0..1.
        after: accuracy once the method had forgotten, in 0..1, of a model that was refused, too.
        held_out: on what both were measured, in words.
        accepted: whether `model` is the repaired one.
        verdict: the outcome in a sentence or two.
    """

    model: nn.Module
    suspects: Suspects
    forgotten: Positions
    method: str
    before: float
    after: float
    held_out: str
    accepted: bool
    verdict: str


@dataclass(frozen=True, eq=False)
class _Case:
    """What is there to repair.

    Attributes:
        examples: that the model was trained on, or is to be.
        validation: to compare on, or None.
        held_out: what `validation` is, in words.
        confirmed: positions that a person confirmed as wrong, or None if nobody was asked.
    """

    examples: Examples
    validation: Examples | None
    held_out: str
    confirmed: Positions | None


def repair(
    model: nn.Module | Population | None,
    examples: object,
    *,
    validation: object | None = None,
    scorer: str | Scorer = "auto",
    noise_ratio: float | None = None,
    method: str | None = None,
    review: str | Path | None = None,
    seed: int = 0,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    progress: Callable[[str], None] | None = None,
) -> Repaired:
    """Find the wrong labels, make the model forget them, and keep the result unless it is worse.

    The accuracies before and after are compared on the same examples. If it falls by more than one standard error of
    the paired difference, the square root of the number of examples that just one of the two models gets right, the
    original comes back.

    Args:
        model: trained on the examples: a module, or a population of one, whose factory is used. It is not changed.
            None: a network is trained first, which suits the examples unless `factory` and `recipe` say otherwise.
        examples: with labels as they are given, at least two of each class, in any form that `as_examples` takes.
        validation: other examples to compare on, in any such form. Their labels may be wrong, too: errors that do not
            depend on those of the training labels favour neither model. Default the examples that are kept; if `model`
            is None, a fifth of each class, drawn at random and held out from training and detection.
        scorer: see `detect`.
        noise_ratio: see `detect`.
        method: `name` or `name:preset`; default `retrain` where factory and recipe are known, else `ssse`, which needs
            neither. A plain `finetune` continues the training by the recipe, where that is known, since its own single
            epoch at 1e-3 is made for comparisons.
        review: a file of `write_review` that a person has filled in. Just what is confirmed there is forgotten, and no
            scorer looks. Its ids are those of `examples`; what is confirmed is never held out.
        seed: of all random draws.
        factory: builds a new model, for `retrain` and for scorers that train some.
        recipe: how the model was trained, for the same.
        progress: told in a few words what is done next.

    Raises:
        InputError: see `detect`; also a review file that cannot be read, validation examples that are none, are among
            the training examples or have other classes or shapes, or a forget set of everything.
        UndecidableError: the labels cannot be told right from wrong.
        NotSupportedError: the scorer or the method needs a factory and recipe, or another kind of network.
        ConfigError: there is no such scorer or method.

    Cost: that of the detection and of the method, and two passes over what is compared on; with None, a training more.
    """
    say = progress or (lambda _: None)
    examples = as_examples(examples)
    if validation is not None:
        validation = as_examples(validation, classes=examples.classes, prefix="validation/")
    check_question(examples, scorer, noise_ratio)
    if model is None:
        recipe = recipe or suited(examples)[1]
    own = model.factory if isinstance(model, Population) else None
    known = model is None or (recipe is not None and (factory or own) is not None)
    method = method or ("retrain" if known else "ssse")
    way = named(method, known, recipe)
    case = _case(examples, validation, None if review is None else read_review(review, examples))
    if model is None:
        case = _held_out(case, seed) if validation is None else case
        say("training a network")
    subject = as_subject(model, case.examples, seed, factory, recipe, case.validation)
    if case.confirmed is None:
        say("looking for wrong labels")
        suspects = inspect(subject, scorer, noise_ratio)
    else:
        suspects = _reviewed(case.examples, case.confirmed, str(review))
    done = _repaired(subject, case, suspects, method, way, say)
    # A person's own module comes back itself, not a copy of it.
    return replace(done, model=model) if isinstance(model, nn.Module) and not done.accepted else done


def _case(examples: Examples, validation: Examples | None, confirmed: Positions | None) -> _Case:
    if validation is None:
        return _Case(examples, None, "", confirmed)
    check_validation(examples, validation)
    return _Case(examples, validation, f"the {len(validation)} validation examples, labels as given", confirmed)


def _held_out(case: _Case, seed: int) -> _Case:
    """Set aside a fifth of each class at random, but nothing that a person confirmed as wrong."""
    examples = case.examples
    generator = Streams(seed).child("repair").generator("held out")
    chosen = np.zeros(len(examples), dtype=np.bool_)
    for label in range(len(examples.classes)):
        those = np.flatnonzero(examples.labels == label)
        free = those if case.confirmed is None else np.setdiff1d(those, case.confirmed)
        chosen[generator.permutation(free)[: round(len(those) / _FIFTH)]] = True
    if not chosen.any():
        raise InputError(
            f"expected examples of which a fifth can be held out to compare on, got {len(examples)} in "
            f"{len(examples.classes)} classes: pass validation="
        )
    kept, set_aside = np.flatnonzero(~chosen), examples.select(np.flatnonzero(chosen))
    # Positions among those that are kept: how many are kept before each.
    confirmed = None if case.confirmed is None else np.searchsorted(kept, case.confirmed)
    words = f"{len(set_aside)} examples held out at random, labels as given"
    return _Case(examples.select(kept), set_aside, words, confirmed)


def _reviewed(examples: Examples, confirmed: Positions, path: str) -> Suspects:
    """What a person found, in the same form."""
    scores = np.zeros(len(examples))
    scores[confirmed] = 1
    ratio = len(confirmed) / len(examples)
    note = f"confirmed by a person in {path}; no scorer has looked"
    return Suspects(examples, "review", scores, confirmed, ratio, (ratio, ratio), None, None, {"note": note})


def _repaired(
    subject: Subject, case: _Case, suspects: Suspects, method: str, way: Method, say: Callable[[str], None]
) -> Repaired:
    flagged = suspects.flagged
    forgotten = np.zeros(len(suspects.examples), dtype=np.bool_)
    forgotten[flagged] = True
    kept = suspects.examples.select(np.flatnonzero(~forgotten))
    on, held_out = case.validation, case.held_out
    if on is None:
        on, held_out = kept, f"the {len(kept)} training examples that are kept, since nothing was held out"
    if not len(flagged):
        before = float(right(subject.model, on).mean())
        nothing = "No label was flagged" if case.confirmed is None else "The review confirms no label as wrong"
        verdict = f"{nothing}: the model stays as it is, with an accuracy of {percent(before)} on {held_out}."
        return Repaired(subject.model.module(), suspects, flagged, method, before, before, held_out, False, verdict)
    what = f"forgetting {len(flagged)} example{'' if len(flagged) == 1 else 's'}"
    for label in np.setdiff1d(suspects.examples.labels, kept.labels)[:1]:
        raise InputError(
            f"expected examples of every class to be kept, got none of class {kept.classes[label]!r}, all of which "
            "would be forgotten"
        )
    say(what)
    recipe = subject.recipe or suited(suspects.examples)[1]  # methods that need the real one were refused
    request = Request(suspects.examples.select(flagged), kept, recipe, case.validation)
    unlearned = way.forget(subject.model.clone(), request)
    compared = Comparison.of(right(subject.model, on), right(unlearned, on))
    accepted, verdict = _judged(compared, f"{what} by {method}", held_out)
    return Repaired(
        (unlearned if accepted else subject.model).module(),
        suspects, flagged, method, compared.before, compared.after, held_out, accepted, verdict,
    )  # fmt: skip


def _judged(compared: Comparison, what: str, held_out: str) -> tuple[bool, str]:
    """Whether the second model passes, and a verdict."""
    numbers = f"from {percent(compared.before)} to {percent(compared.after)} on {held_out}"
    points = f"one standard error of the difference, {100 * compared.error:.2f} points"
    if compared.fall > compared.error:
        return False, (
            f"Refused: {what} takes accuracy {numbers}, a fall of more than {points}. The original model stays."
        )
    if compared.fall > 0:
        return True, f"Accepted, though lower: {what} takes accuracy {numbers}, a fall within {points}."
    return True, f"Accepted: {what} takes accuracy {numbers}."
