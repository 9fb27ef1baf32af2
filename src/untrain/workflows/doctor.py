"""`doctor`: whether a request to forget can be carried out, by which methods, and what each will cost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import nn

from untrain.core.ambient import ordinary
from untrain.core.arguments import check_arguments
from untrain.core.deprecation import renamed
from untrain.core.progress import advance, part, plan
from untrain.core.text import percent
from untrain.data import Examples, as_examples, find_copies, forget_ids, ids_of_subjects
from untrain.errors import UntrainError, first_line
from untrain.methods import METHODS
from untrain.models import Factory
from untrain.population import Population, Recipe, as_population, settled
from untrain.records import Copies
from untrain.workflows.case import Case, check_model, check_request, describe_copies
from untrain.workflows.choose import Option, Situation, audit_cost, candidates, check_time_budget, options
from untrain.workflows.compare import check_validation
from untrain.workflows.forget import Forgotten, read_history

T = TypeVar("T")

_STEPS = 4
"""Steps of `doctor` before each method is tried."""

_TINY = 5
"""A class with fewer retained examples than this can hardly be learned."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `doctor` found; `print` shows it.

    Attributes:
        facts: about the data, in sentences.
        problems: reasons for which `forget` would refuse; empty if it would not.
        warnings: what `forget` would accept, and a person should know.
        choice: the method that `auto` would try first, or None.
        options: every installed method; empty if there are problems.
        pass_seconds: seconds of one forward and backward pass over the retain set; None if there are problems.
    """

    facts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    choice: Option | None = None
    options: tuple[Option, ...] = ()
    pass_seconds: float | None = None

    @property
    def ok(self) -> bool:
        """Whether `forget` can begin."""
        return not self.problems

    def __repr__(self) -> str:
        """Facts, problems, notes, what `auto` chooses, and the methods that fit."""
        lines = [
            *self.facts,
            *(f"problem: {problem}" for problem in self.problems),
            *(f"note: {warning}" for warning in self.warnings),
        ]
        if not self.ok:
            return "\n".join([*lines, "forget would refuse this request."])
        if self.choice is not None:
            lines.append(f"auto chooses {self.choice.method} ({self.choice.cost}): {self.choice.why}.")
        fitting = [option.method for option in self.options if option.fits]
        return "\n".join([*lines, f"{len(fitting)} of {len(self.options)} methods fit: {', '.join(fitting)}."])


@renamed(["validation"], forget="ids", seconds="time_budget")
@ordinary
def doctor(
    model: nn.Module | Population,
    examples: object,
    ids: Iterable[str] = (),
    *,
    subjects: Iterable[str] | None = None,
    with_copies: bool = False,
    validation: object | None = None,
    factory: Factory | None = None,
    pretrained: str | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    time_budget: float | None = None,
    previous: Forgotten | str | Path | None = None,
    key: bytes | None = None,
    progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Check a model, its data and a request to forget. Nothing is changed.

    What is wrong with the data, the model or the request is reported, not raised.

    Args:
        model: not changed; see `untrain.forget` for this and the other arguments.
        examples: everything that the model was trained on.
        ids: ids of the examples to be forgotten.
        subjects: persons or things whose examples are to be forgotten.
        with_copies: whether their copies and near copies are to be forgotten as well.
        validation: examples outside the training set, or None.
        factory: builds a new model.
        pretrained: where weights come from that the factory does not draw at random, as you declare.
        recipe: how the model was trained.
        seed: root of all random draws.
        time_budget: of forgetting, in seconds.
        previous: the previous request, saved, or its directory.
        key: of the chain of requests.
        progress: called with a few words before each step.

    Cost: each method is tried on sixteen examples, with as many steps as it has epochs.
    """
    given = locals()
    problems = _Problems()
    problems.attempt(lambda: check_arguments(doctor, given))
    if not problems.sentences:
        problems.attempt(lambda: check_time_budget(time_budget))
    if problems.sentences:
        return Diagnosis(problems=problems.sentences)
    say = progress or (lambda _: None)
    ids = list(ids)
    subjects = None if subjects is None else tuple(subjects)
    plan(_STEPS + len(METHODS.names()))
    say("checking the data")
    train = problems.attempt(lambda: as_examples(examples))
    if train is None:
        return Diagnosis(problems=problems.sentences)
    held_out = None
    if validation is not None:
        held_out = problems.attempt(lambda: as_examples(validation, classes=train.classes, prefix="validation/"))
    wanted = ids
    if subjects is not None:
        named = problems.attempt(lambda: ids_of_subjects(train, subjects))
        wanted = list(dict.fromkeys([*ids, *(named or ())]))
    for check in _checks(train, wanted, held_out):
        problems.attempt(check)
    facts, warnings = tuple(_facts(train, held_out)), tuple(_data_warnings(train, held_out))
    if problems.sentences:
        problems.attempt(lambda: check_model(settled(as_population(model)), train))
        return Diagnosis(facts, problems.sentences, warnings)
    advance(1)
    say("checking the request")
    case = problems.attempt(
        lambda: check_request(
            model,
            train,
            wanted,
            held_out,
            read_history(previous, key),
            factory=factory,
            recipe=recipe,
            seed=seed,
            with_copies=with_copies,
            pretrained=pretrained,
        )
    )
    if case is None:
        return Diagnosis(facts, problems.sentences, warnings)
    advance(1)
    say("looking for copies")
    warnings = (*warnings, *_request_warnings(case))
    advance(1)
    say("trying the methods")
    situation = Situation(case.original, case.request, case.can_retrain, time_budget)
    with part(1):
        if problems.attempt(lambda: situation.pass_seconds) is None:
            return Diagnosis(facts, problems.sentences, warnings)
        choice = next(candidates(situation), None)
    if choice is None:
        warnings = (*warnings, "No method that auto knows fits.")
    facts = (*_accuracies(case), *facts, *_copies_taken(case.copies), audit_cost(situation))
    return Diagnosis(facts, (), warnings, choice, tuple(options(situation)), situation.pass_seconds)


class _Problems:
    """Collects the errors of several checks."""

    def __init__(self) -> None:
        self.sentences: tuple[str, ...] = ()

    def attempt(self, check: Callable[[], T]) -> T | None:
        """The result of a check, or None if it fails, which is noted."""
        try:
            return check()
        except UntrainError as error:
            self.sentences = (*self.sentences, str(error))
        except Exception as error:  # noqa: BLE001 (a person's own code may fail in any way)
            self.sentences = (*self.sentences, f"Checking the request failed: {first_line(error)}")
        return None


def _checks(train: Examples, ids: Sequence[str], validation: Examples | None) -> Iterator[Callable[[], object]]:
    """What is checked one by one, so that everything that is wrong is seen at once."""
    yield lambda: forget_ids(train, ids)
    if validation is not None:
        yield lambda: check_validation(train, validation)


def _accuracies(case: Case) -> Iterator[str]:
    """Accuracy on the training examples and, where there are any, on validation examples."""
    yield f"The model's accuracy is {percent(case.fitted)} on the training examples."
    if case.request.validation is not None:
        yield f"Its accuracy is {percent(float(case.correct.mean()))} on {case.measured_on}."


def _facts(train: Examples, validation: Examples | None) -> Iterator[str]:
    shapes = [
        f"{name} {'x'.join(map(str, array.shape[1:])) or 'single numbers'}, {array.dtype}".lstrip()
        for name, array in train.arrays.items()
    ]
    yield f"{len(train)} training examples of {len(train.classes)} classes; inputs of shape {'; '.join(shapes)}."
    if validation is not None:
        yield f"{len(validation)} validation examples."


def _data_warnings(train: Examples, validation: Examples | None) -> Iterator[str]:
    """What is odd in the data, whatever is to be forgotten."""
    rows = train.input_bytes()
    distinct = len(set(rows))
    if repeated := len(rows) - distinct:
        mixed = len(set(zip(rows, train.labels.tolist(), strict=True))) - distinct
        yield f"{repeated} training examples have exactly the inputs of another; {mixed} of them have another label."
    if validation is None:
        yield (
            "No validation examples: accuracy will be compared on training examples, and nothing can check whether "
            "the forgotten examples are still recognized."
        )
    elif count := int(find_copies(train, validation).sum()):
        yield f"{count} validation examples have exactly the inputs of a training example, so they say little."


def _copies_taken(copies: Copies) -> Iterator[str]:
    """How many copies are forgotten although nobody named them."""
    if copies.exact_taken or copies.near_taken:
        near = "" if copies.threshold is None else f" ({copies.measure}: at most {copies.threshold:.3g})"
        yield (
            f"{copies.exact_taken} exact and {copies.near_taken} near copies of the examples that were named are "
            f"forgotten as well{near}."
        )


def _request_warnings(case: Case) -> Iterator[str]:
    """What follows from what is to be forgotten."""
    forget, retain = case.request.forget, case.request.retain
    retained = np.bincount(retain.labels, minlength=len(retain.classes))
    forgotten = np.bincount(forget.labels, minlength=len(retain.classes))
    for label in np.flatnonzero((retained == 0) & (forgotten > 0)):
        yield (
            f"Nothing of class {retain.classes[label]!r} is retained: the model keeps an output for it, and accuracy "
            "leaves it out."
        )
    for label in np.flatnonzero((retained > 0) & (retained < _TINY)):
        yield f"Few examples of class {retain.classes[label]!r} are retained: {retained[label]}."
    yield from describe_copies(case.copies)
    if len(forget) > len(retain):
        yield f"More examples are forgotten than retained: {len(forget)} of {len(forget) + len(retain)}."
    if not case.can_retrain:
        yield "The factory or the recipe is not known, so the model cannot be retrained, the surest way to forget."
