"""`doctor`: whether a request to forget can be carried out, by which methods, and what each will cost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import nn

from untrain.data import Examples, as_examples, forget_ids
from untrain.errors import UntrainError
from untrain.models import Factory
from untrain.population import Population, Recipe, as_population, check_fits, check_logits, settled
from untrain.workflows.case import Case, History, ask
from untrain.workflows.choose import Option, Situation, candidates, options
from untrain.workflows.compare import check_validation, copies, logits_of

T = TypeVar("T")

_TINY = 5
"""Fewer retained examples than this are too few to learn a class from."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        facts: what there is, in sentences.
        problems: why `forget` would refuse; empty if it would not.
        warnings: what it would accept, and a person should know.
        choice: what `auto` would take first, or None.
        options: every installed method; empty if there are problems.
        pass_seconds: of one pass over the retain set, forwards and backwards; None if there are problems.
    """

    facts: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    choice: Option | None
    options: tuple[Option, ...]
    pass_seconds: float | None

    @property
    def ok(self) -> bool:
        """Whether `forget` can begin."""
        return not self.problems


def doctor(
    model: nn.Module | Population,
    examples: object,
    forget: Iterable[str],
    validation: object | None = None,
    *,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    seconds: float | None = None,
    previous: str | Path | None = None,
    key: bytes | None = None,
    progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Look at a model, its data and a request to forget; nothing is changed and nothing is raised for what is wrong.

    Args:
        model: see `untrain.forget`, as for all that follows.
        examples: all that the model was trained on.
        forget: ids of the examples to be forgotten.
        validation: examples outside the training set, or None.
        factory: builds a new model.
        recipe: how the model was trained.
        seconds: that forgetting may take.
        previous: directory of the request before.
        key: of the chain of requests.
        progress: told in a few words what is done next.

    Cost: each method is tried on sixteen examples, with as many steps as it has epochs.
    """
    say = progress or (lambda _: None)
    ids = forget if isinstance(forget, str) else list(forget)
    problems: list[str] = []
    say("looking at the data")
    data = _kept(problems, lambda: as_examples(examples))
    if data is None:
        return Diagnosis((), tuple(problems), (), None, (), None)
    held_out = None
    if validation is not None:
        held_out = _kept(problems, lambda: as_examples(validation, classes=data.classes, prefix="validation/"))
    for check in _checks(model, data, ids, held_out):
        _kept(problems, check)
    facts, warnings = tuple(_facts(data, held_out)), tuple(_data_warnings(data, held_out))
    case = None
    if not problems:
        case = _kept(
            problems,
            lambda: ask(
                model, data, ids, held_out, History.read(previous, key), factory=factory, recipe=recipe, seed=0
            ),
        )
    if case is None:
        return Diagnosis(facts, tuple(problems), warnings, None, (), None)
    say("trying the methods")
    situation = Situation(case.original, case.request, case.known, seconds)
    if _kept(problems, lambda: situation.pass_seconds) is None:
        return Diagnosis(facts, tuple(problems), warnings, None, (), None)
    choice = next(candidates(situation), None)
    if choice is None:
        warnings = (*warnings, "No method that auto knows fits.")
    warnings = (*warnings, *_request_warnings(case))
    return Diagnosis(facts, (), warnings, choice, tuple(options(situation)), situation.pass_seconds)


def _kept(problems: list[str], made: Callable[[], T]) -> T | None:
    """What is made, or None if that is refused, which is noted."""
    try:
        return made()
    except UntrainError as error:
        problems.append(str(error))
        return None


def _checks(
    model: nn.Module | Population, data: Examples, ids: Sequence[str], held_out: Examples | None
) -> Iterator[Callable[[], object]]:
    """What is checked one by one, so that all that is wrong is seen at once."""
    yield lambda: forget_ids(data, ids)
    if held_out is not None:
        yield lambda: check_validation(data, held_out)
    yield lambda: _check_model(model, data)


def _check_model(model: nn.Module | Population, data: Examples) -> None:
    models = settled(as_population(model))
    check_fits(models, data)
    check_logits(logits_of(models, data), data)


def _facts(data: Examples, held_out: Examples | None) -> Iterator[str]:
    shape = "x".join(map(str, data.inputs.shape[1:])) or "single numbers"
    yield f"{len(data)} training examples of {len(data.classes)} classes; inputs of shape {shape}, {data.inputs.dtype}."
    if held_out is not None:
        yield f"{len(held_out)} validation examples."


def _data_warnings(data: Examples, held_out: Examples | None) -> Iterator[str]:
    """What is odd in the data, whatever is to be forgotten."""
    rows = [row.tobytes() for row in np.ascontiguousarray(data.inputs)]
    distinct = len(set(rows))
    if again := len(rows) - distinct:
        mixed = len(set(zip(rows, data.labels.tolist(), strict=True))) - distinct
        yield f"{again} training examples have exactly the inputs of another; {mixed} of them another label."
    if held_out is None:
        yield (
            "No validation examples: accuracy will be compared on what is trained on, and nothing can check whether "
            "the forgotten examples are still recognised."
        )
    elif count := int(copies(data, held_out).sum()):
        yield f"{count} validation examples have exactly the inputs of a training example, so that they tell less."


def _request_warnings(case: Case) -> Iterator[str]:
    """What follows from what is to be forgotten."""
    forget, retain = case.request.forget, case.request.retain
    left = np.bincount(retain.labels, minlength=len(retain.classes))
    asked = np.bincount(forget.labels, minlength=len(retain.classes))
    for name in (retain.classes[label] for label in np.flatnonzero((left == 0) & (asked > 0))):
        yield f"Nothing of class {name!r} is retained: the model keeps an output for it, and accuracy leaves it out."
    for label in np.flatnonzero((left > 0) & (left < _TINY)):
        yield f"Only {left[label]} examples of class {retain.classes[label]!r} are retained."
    if count := int(copies(forget, retain).sum()):
        yield f"{count} retained examples have exactly the inputs of a forgotten one, which are not forgotten."
    if len(forget) > len(retain):
        yield f"More is forgotten than retained, {len(forget)} of {len(forget) + len(retain)}."
    if not case.known:
        yield "Factory or recipe of the model are not known: it cannot be trained anew, the surest way to forget."
