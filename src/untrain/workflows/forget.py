"""`forget`: make one's own model forget some examples, look whether it did, and record it."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from torch import nn

from untrain.auditing import MembershipChange, membership_change
from untrain.core.environment import machine, versions
from untrain.core.estimate import Estimate
from untrain.core.text import percent
from untrain.errors import InputError
from untrain.methods import METHODS, Method
from untrain.models import Factory
from untrain.models.weights import arrays_of
from untrain.population import Population, Recipe
from untrain.records import (
    Applied,
    Audit,
    Chain,
    Membership,
    Models,
    Record,
    Utility,
    Verdict,
    commit,
    now,
    state_digest,
    write_record,
)
from untrain.records.record import Outcome
from untrain.report.record import EVIDENCE
from untrain.workflows.case import Case, History, ask
from untrain.workflows.choose import Situation, candidates, named, nothing_fits
from untrain.workflows.compare import Comparison, copies, logits_of, right

BOUND = 0.02
"""Largest fall of accuracy that is accepted, a share, where nothing else is said."""

NO_AUDIT = "No audit was made: nothing was compared with models that were trained without the forgotten examples."


@dataclass(eq=False)
class Forgotten:
    """What came of a request to forget.

    Attributes:
        model: of the class that came in, in evaluation mode: the one that forgot, or the original itself if that was
            kept.
        record: what was asked, done and measured, without the ids.
        key: 32 bytes with which the record's tags can be compared with ids; as confidential as the ids.
        chain: the records of the requests before, or None.
        directory: where it was saved, or None.
    """

    model: nn.Module
    record: Record
    key: bytes
    chain: Chain | None = None
    directory: Path | None = None

    @property
    def verdict(self) -> Verdict:
        """What came of it, and why."""
        return self.record.verdict

    def audited(self, audit: Audit) -> "Forgotten":
        """The same with the figures of an audit in the record."""
        limits = tuple(limit for limit in self.record.limits if limit != NO_AUDIT)
        return dataclasses.replace(self, record=msgspec.structs.replace(self.record, audit=audit, limits=limits))

    def save(self, directory: str | Path) -> Path:
        """Write model, record, page and key; the record comes last, so that where it is, all is.

        Args:
            directory: it is made, or must hold no record.

        Raises:
            ConfigError: the directory holds a record.
            InputError: the file system refused.
        """
        state = arrays_of(self.model)
        self.record = write_record(directory, self.record, state, self.key, self.chain)
        self.directory = Path(directory).absolute()
        return self.directory

    def saved(self) -> Path:
        """Where it was saved.

        Raises:
            InputError: it was not.
        """
        if self.directory is None:
            raise InputError("expected a request that was saved, got one that was not: call its save() first")
        return self.directory


def forget(
    model: nn.Module | Population,
    examples: object,
    forget: Iterable[str],
    method: str = "auto",
    validation: object | None = None,
    seed: int = 0,
    *,
    factory: Factory | None = None,
    recipe: Recipe | None = None,
    seconds: float | None = None,
    bound: float = BOUND,
    previous: "Forgotten | str | Path | None" = None,
    key: bytes | None = None,
    progress: Callable[[str], None] | None = None,
) -> Forgotten:
    """Make a model forget some of its training examples.

    The original is kept if the method leaves logits that are not finite, moves no weight, or costs more accuracy than
    `bound` and one standard error of the paired difference. The verdict is `doubtful` if a simple check still
    recognises the forgotten examples, or if nothing but the method's name speaks for forgetting. With `auto`, methods
    are tried in turn until one has forgotten.

    Args:
        model: trained on the examples: a module, or a population of one, whose factory is used. It is not changed.
        examples: all that the model was trained on, in any form that `as_examples` takes, with what earlier requests
            had forgotten or without.
        forget: ids of the examples to be forgotten.
        method: `name` or `name:preset`, or `auto`, which chooses and says why.
        validation: examples outside the training set, in any such form. Accuracy is compared on them, and the forgotten
            examples with them; without, accuracy is compared on what is retained, and nothing checks the forgetting.
        seed: of all random draws.
        factory: builds a new model, for methods that train one.
        recipe: how the model was trained, for the same.
        seconds: that `auto` may take; default training anew if it takes at most a minute.
        bound: largest fall of accuracy that is accepted, a share, beside a standard error.
        previous: the saved request before, or its directory; `model` must be the one that it left. What was forgotten
            then is never trained on again.
        key: of the chain of requests, 32 bytes; default the one in the directory of `previous`, or a new one.
        progress: told in a few words what is done next.

    Raises:
        InputError: see `as_examples`; also ids that are unknown, occur twice, are among the validation examples or were
            forgotten before; a model that does not fit the examples, or is not the one of `previous`; no key.
        IntegrityError: a record of `previous` is not what was written.
        NotSupportedError: the method needs a factory and a recipe, or another kind of network.
        ConfigError: there is no such method.

    Cost: that of the methods, and a few passes over what is compared on. Nothing is written.
    """
    say = progress or (lambda _: None)
    if not 0 <= bound <= 1:
        raise InputError(f"expected a bound on the fall of accuracy in 0..1, got {bound}")
    if isinstance(previous, Forgotten):
        previous = previous.saved()
    history = History.read(previous, key)
    case = ask(model, examples, forget, validation, history, factory=factory, recipe=recipe, seed=seed)
    judge = _Judge(case, bound, say)
    if method == "auto":
        done = _chosen(judge, Situation(case.original, case.request, case.known, seconds))
    else:
        done = judge.attempt(method, named(method, case.known, recipe), "it was asked for")
    kept = done.verdict.outcome == Outcome.KEPT_ORIGINAL
    left = (model if isinstance(model, nn.Module) else case.original.module()) if kept else done.unlearned.module()
    return Forgotten(left, _record(case, done, left, bound), history.key, history.chain)


@dataclass(frozen=True, eq=False)
class _Attempt:
    """What one method came to."""

    unlearned: Population
    spec: str
    way: Method
    reason: str
    seconds: float
    compared: Comparison
    membership: MembershipChange | None
    verdict: Verdict


def _chosen(judge: "_Judge", situation: Situation) -> _Attempt:
    """The first candidate that has forgotten; else the first that is doubtful; else the first."""
    judge.say("choosing a method")
    started, attempts = time.perf_counter(), list[_Attempt]()
    for option in candidates(situation):
        late = situation.seconds is not None and time.perf_counter() - started > situation.seconds
        if attempts and late:
            break
        way = named(option.method, situation.known, situation.request.recipe if situation.known else None)
        attempts.append(judge.attempt(option.method, way, f"auto: {option.why}"))
        if attempts[-1].verdict.outcome == Outcome.FORGOTTEN:
            break
    if not attempts:
        raise nothing_fits(situation)
    order = tuple(Outcome)
    best = min(attempts, key=lambda attempt: order.index(attempt.verdict.outcome))
    others = [f"{each.spec} was tried: {each.verdict.sentences[0][:-1]}" for each in attempts if each is not best]
    return dataclasses.replace(best, reason="; ".join([best.reason, *others]))


@dataclass(frozen=True, eq=False)
class _Judge:
    """Applies methods to a request and says what came of each."""

    case: Case
    bound: float
    say: Callable[[str], None]

    def attempt(self, spec: str, way: Method, reason: str) -> _Attempt:
        """Forget by one method, and look."""
        case = self.case
        self.say(f"forgetting by {spec}")
        start = time.perf_counter()
        unlearned = way.forget(case.original.clone(), case.request)
        seconds = time.perf_counter() - start
        self.say("looking at what is left")
        compared = Comparison.of(case.right, right(unlearned, case.on))
        membership, verdict = None, self._refused(spec, unlearned, compared)
        if verdict is None:
            membership = _membership(case, unlearned)
            verdict = self._verdict(spec, way, compared, membership)
        return _Attempt(unlearned, spec, way, reason, seconds, compared, membership, verdict)

    def _refused(self, spec: str, unlearned: Population, compared: Comparison) -> Verdict | None:
        """Why the original is kept, or None."""
        case = self.case
        for part in (case.on, case.request.forget):
            if not np.isfinite(logits_of(unlearned, part)).all():
                return _kept(f"{spec} leaves logits that are not finite")
        if state_digest(arrays_of(unlearned.module())) == case.digest:
            return _kept(f"{spec} moved no weight, so that nothing was forgotten")
        if compared.fall - compared.error > self.bound:
            return _kept(
                f"{spec} takes accuracy from {percent(compared.before)} to {percent(compared.after)} on {case.where}, "
                f"a fall of more than {percent(self.bound)} and one standard error of the difference"
            )
        return None

    def _verdict(self, spec: str, way: Method, compared: Comparison, membership: MembershipChange | None) -> Verdict:
        low, high = compared.interval()
        cost = (
            f"Accuracy goes from {percent(compared.before)} to {percent(compared.after)} on {self.case.where} (95 % "
            f"interval of the difference {100 * low:+.2f} to {100 * high:+.2f} points)."
        )
        doubt = _doubt(spec, way, membership)
        if doubt is not None:
            return Verdict(outcome=Outcome.DOUBTFUL, sentences=(doubt, cost))
        grounds = []
        if way.exact:
            grounds.append(f"{spec} makes a new model, which never saw the forgotten examples.")
        if membership is not None and membership.after.auc is not None:
            little = membership.before.verdict != "recognized" and not way.exact
            grounds.append(
                "The forgotten examples are not recognised more than held-out ones, AUC "
                f"{membership.after.auc}, and {membership.before.auc} before"
                + (": since the original did not betray them either, this shows little." if little else ".")
            )
        return Verdict(outcome=Outcome.FORGOTTEN, sentences=(*grounds, cost))


def _doubt(spec: str, way: Method, found: MembershipChange | None) -> str | None:
    """Why the model may not have forgotten, or None."""
    if found is None or found.after.verdict == "cannot say":
        if way.exact:
            return None
        return (
            f"Nothing shows that {spec}, which starts from the original, has made it forget: there were too few "
            "held-out examples of the same classes to compare with."
        )
    if found.after.verdict == "recognized":
        why = "are copies of them retained?" if way.exact else f"{spec} has not made it forget them."
        return f"The examples are still recognised more than held-out ones, AUC {found.after.auc}: {why}"
    if found.after.unusual and not found.before.unusual and not way.exact:
        return (
            f"The model now does worse on the examples than on held-out ones, AUC {found.after.auc}, which "
            f"betrays them as well: {spec} goes too far."
        )
    return None


def _kept(why: str) -> Verdict:
    return Verdict(
        outcome=Outcome.KEPT_ORIGINAL,
        sentences=(f"The original is kept: {why}.", "It still knows what was to be forgotten: take another method."),
    )


def _membership(case: Case, unlearned: Population) -> MembershipChange | None:
    """How well forgotten examples are told from held-out ones of their classes; None without held-out ones."""
    forget, held_out = case.request.forget, case.request.validation
    if held_out is None:
        return None
    held_out = held_out.select(np.flatnonzero(~case.known_copies))
    before, after = (
        (models.confidences(forget)[0], models.confidences(held_out)[0]) for models in (case.original, unlearned)
    )
    return membership_change(before, after, forget.labels, held_out.labels)


def _noted(found: MembershipChange | None) -> Membership | None:
    """The check as it stands in the record; None where it says nothing."""
    if found is None or found.before.auc is None or found.after.auc is None:
        return None
    left_out = len(found.after.left_out)
    limits = found.after.limits + (
        f" {left_out} of the forgotten classes have too few held-out examples, and were not compared." * bool(left_out)
    )
    return Membership(
        before=found.before.auc,
        after=found.after.auc,
        forgotten=found.after.forget,
        held_out=found.after.held_out,
        limits=limits,
    )


def _record(case: Case, done: _Attempt, left: nn.Module, bound: float) -> Record:
    request, chain, low_high = case.request, case.history.chain, done.compared.interval()
    compared = done.compared
    return Record(
        created=now(),
        versions=versions(),
        machine=machine(str(case.original.device)),
        model=Models(
            architecture=type(left).__name__,
            before=case.digest,
            after=state_digest(arrays_of(left)),
        ),
        requested=commit(
            request.forget.ids,
            case.history.key,
            retained=len(request.retain),
            validation=0 if request.validation is None else len(request.validation),
            classes=len(request.retain.classes),
        ),
        applied=Applied(
            method=done.spec,
            settings=_settings(done.way, case),
            origin=METHODS.origin(done.spec.partition(":")[0]),
            reason=done.reason,
            seed=case.seed,
            seconds=done.seconds,
        ),
        utility=Utility(
            on=case.where,
            examples=compared.examples,
            before=compared.before,
            after=compared.after,
            change=Estimate(value=compared.after - compared.before, low=low_high[0], high=low_high[1]),
            bound=bound,
        ),
        membership=_noted(done.membership),
        verdict=done.verdict,
        limits=tuple(_limits(case, done)),
        previous=None if chain is None else chain.link(),
    )


def _settings(way: Method, case: Case) -> dict[str, Any]:
    """Hyper-parameters of the method, and the recipe of the original where it is followed."""
    settings: dict[str, Any] = msgspec.to_builtins(way)
    return {**settings, "recipe of the original": msgspec.to_builtins(case.request.recipe)} if case.known else settings


def _limits(case: Case, done: _Attempt) -> Iterator[str]:
    """What the record does not show."""
    request = case.request
    yield EVIDENCE
    yield NO_AUDIT
    if not done.way.exact:
        yield f"{done.spec} starts from the original, so that a stronger attack may find traces of what was forgotten."
    if request.validation is None:
        yield (
            "Accuracy was measured on examples that the model is trained on, which says little about others, and "
            "nothing was checked for whether the forgotten examples are still recognised: no held-out ones were given."
        )
    if count := int(case.known_copies.sum()):
        yield f"{count} validation examples have exactly the inputs of a training example, so that they tell little."
    gone = np.setdiff1d(request.forget.labels, request.retain.labels)
    if len(gone):
        yield (
            f"Nothing is retained of {len(gone)} of {len(request.retain.classes)} classes: the model keeps an output "
            "for each, and accuracy leaves them out."
        )
    for what, part in (("retained", request.retain), ("validation", request.validation)):
        if part is not None and (count := int(copies(request.forget, part).sum())):
            yield f"{count} {what} examples have exactly the inputs of a forgotten one, which are not forgotten."
