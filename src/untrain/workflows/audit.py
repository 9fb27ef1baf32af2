"""`audit`: many models that a method unlearned, compared with as many that never saw the forgotten examples."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
from torch import nn

from untrain.auditing import certificate, final_score, forget_quality, memory_of_method, rank_energy
from untrain.auditing.certificate import FEWEST_MODELS as FEWEST_FOR_CERTIFICATE
from untrain.auditing.rank_energy import GROUPS, varies
from untrain.core.ambient import ordinary
from untrain.core.arguments import checked
from untrain.core.deprecation import renamed
from untrain.core.files import check_writable
from untrain.core.levels import FEWEST_MODELS
from untrain.core.progress import plan
from untrain.core.text import percent
from untrain.errors import InputError
from untrain.models import Factory
from untrain.population import Population, Recipe
from untrain.records import Audit, MethodMemoryLeft
from untrain.workflows.case import Case, check_request
from untrain.workflows.choose import Situation, candidates, nothing_fits, resolve_method
from untrain.workflows.forget import Forgotten, read_history
from untrain.workflows.retrained import RETRAINED, Arm, AuditModels

FEWEST = GROUPS
"""Smallest number of models of each kind from which an interval can be computed."""


@renamed(forget="ids", keep="checkpoint_dir")
@ordinary
@checked
def audit(
    model: nn.Module | Population,
    examples: object,
    ids: Iterable[str] = (),
    *,
    subjects: Iterable[str] | None = None,
    with_copies: bool = False,
    method: str = "auto",
    validation: object | None = None,
    factory: Factory | None = None,
    pretrained: str | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    models: int = 32,
    checkpoint_dir: str | Path | None = None,
    previous: Forgotten | str | Path | None = None,
    key: bytes | None = None,
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Compare a method with retraining on one's own model and data.

    Args:
        model: the original, not changed; see `untrain.forget` for this and the other arguments.
        examples: everything that the model was trained on.
        ids: ids of the examples to be forgotten.
        subjects: persons or things whose examples are to be forgotten.
        with_copies: whether their copies and near copies are to be forgotten as well.
        method: `name` or `name:preset`; `auto` audits the method that `auto` would try first.
        validation: examples outside the training set, to compare accuracy on.
        factory: builds a new model; required, unless the model is a population that has one.
        pretrained: where weights come from that the factory does not draw at random, as you declare.
        recipe: how the model was trained; required likewise.
        seed: root of all random draws.
        models: number of models of each kind, at least 8; a certificate takes 16.
        checkpoint_dir: directory for the figures of finished models, eight at a time. The same call then continues
            where it was stopped, and another method is compared with the same retrained models. Weights, layers, data
            and settings are recognized, the code of network and factory is not: use another directory when it changes.
        previous: the previous request, saved, or its directory.
        key: of the chain of requests.
        progress: called with a few words before each step.

    Raises:
        InputError: see `untrain.forget`; or there are fewer than 8 models.
        ConfigError: `checkpoint_dir` is a file, cannot be written to, or holds links.
        NotSupportedError: factory or recipe are not known, or the method does not fit.
        InterruptedRunError: the audit was stopped, and its finished models are stored.

    Cost: `models` times the method and twice `models` trainings, half of them for the score of retrained models among
    themselves.
    """
    say = progress or (lambda _: None)
    if models < FEWEST:
        raise InputError(f"An audit of a method needs at least {FEWEST} models of each kind, got {models}.")
    if checkpoint_dir is not None:
        check_writable(Path(checkpoint_dir))
    history = read_history(previous, key)
    case = check_request(
        model, examples, ids, validation, history,
        factory=factory, recipe=recipe, seed=seed, subjects=subjects, with_copies=with_copies, pretrained=pretrained,
        methods=["retrain", *([method] if method != "auto" else [])],
    )  # fmt: skip
    spec = _first_choice(case) if method == "auto" else method
    unlearning = resolve_method(spec, case.missing, case.recipe)
    work = AuditModels(case, models, None if checkpoint_dir is None else Path(checkpoint_dir), say)
    plan(work.work(unlearning) + 2 * work.work(work.retraining))
    with work.interruptible():
        unlearned, retrained = work.arm(f"forgetting by {spec}", unlearning), work.retrained()
        again = work.retrained(f"{RETRAINED}, once more")
    say("comparing")
    return _compare(case, spec, unlearned, retrained, again)


def _first_choice(case: Case) -> str:
    """The method that `auto` would try first."""
    situation = Situation(case.original, case.request, case.can_retrain)
    candidate = next(candidates(situation), None)
    if candidate is None:
        raise nothing_fits(situation)
    return candidate.method


def _compare(case: Case, spec: str, unlearned: Arm, retrained: Arm, retrained_again: Arm) -> Audit:
    """All figures of unlearned models and of twice as many retrained ones."""
    models = len(unlearned.confidences)
    left = memory_of_method(
        unlearned.confidences, retrained.confidences, case.original.confidences(case.request.forget)[0]
    )
    energy = None
    if varies(unlearned.confidences, retrained.confidences):
        energy = rank_energy(unlearned.confidences, retrained.confidences).total
    score, ceiling = (_score(arm, retrained) for arm in (unlearned, retrained_again))
    enough = models >= FEWEST_FOR_CERTIFICATE
    certified = dataclasses.asdict(certificate(unlearned.confidences, retrained.confidences)) if enough else {}
    figures = MethodMemoryLeft(left=left.left)
    if models >= FEWEST_MODELS:
        figures = MethodMemoryLeft(left=left.left, told_apart=left.told_apart, told_different=left.told_different)
    audit = Audit(
        models=models,
        method_memory=figures,
        rank_energy=energy,
        certificate=certified,
        score=score,
        ceiling=ceiling,
        words="",
    )
    sentences = _sentences(audit, spec, unlearned.accuracies, retrained.accuracies, case.measured_on)
    return msgspec.structs.replace(audit, words=" ".join(sentences))


def _sentences(
    audit: Audit, spec: str, unlearned: tuple[float, float], retrained: tuple[float, float], measured_on: str
) -> Iterator[str]:
    """What the figures mean; the pairs are accuracies on the retain set and on the evaluation set."""
    assert audit.method_memory is not None  # noqa: S101 (it was just computed)
    left = audit.method_memory
    yield (
        f"{audit.models} models unlearned by {spec} were compared with {audit.models} models trained without the "
        f"forgotten examples. Memory left: {left.left:.2f}, where 0 is a retrained model and 1 the original."
    )
    if left.told_apart is None or left.told_different is None:
        yield f"Single models can be told from retrained ones with {FEWEST_MODELS} models or more."
    else:
        yield (
            f"{percent(left.told_apart.value, 0)} of the unlearned models are told from retrained ones by what they "
            f"remember, {percent(left.told_different.value, 0)} by other differences; of retrained models, 5 % are."
        )
    if audit.rank_energy is not None:
        yield f"Rank energy, a distance between the two groups of models: {audit.rank_energy}; 0 means no difference."
    yield (
        f"Accuracy of unlearned and of retrained models: {percent(unlearned[0])} and {percent(retrained[0])} on the "
        f"retained examples, {percent(unlearned[1])} and {percent(retrained[1])} on {measured_on}."
    )
    if audit.score is not None and audit.ceiling is not None:
        yield f"The competition's score is {audit.score:.4f}; retrained models reach {audit.ceiling:.4f} themselves."
    if audit.certificate:
        level, epsilon = percent(audit.certificate["level"]), audit.certificate["epsilon"]
        yield (
            f"An attack shows, with {level} confidence, an epsilon of at least {epsilon:.2f}."
            if epsilon
            else "No epsilon above 0 could be certified, which does not prove that the examples are forgotten."
        )
    yield "All unlearned models start from this one original, so the figures hold for it alone."


def _score(arm: Arm, retrained: Arm) -> float | None:
    """The competition's final score of an arm, or None where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # examples without an answer are left out
        quality = forget_quality(arm.confidences, retrained.confidences).score
    (retain, other), (retain_retrained, other_retrained) = arm.accuracies, retrained.accuracies
    if not math.isfinite(quality) or min(retain_retrained, other_retrained) <= 0:
        return None
    return final_score(quality, retain, retain_retrained, other, other_retrained)
