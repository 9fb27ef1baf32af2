"""The verdict on a model that a method has unlearned: what is said of it, and on what ground.

Evidence comes in kinds. The strongest is construction: a method whose models do not depend on the forgotten examples.
The next is an audit: the delivered model cannot be told from models trained without the examples, by an exact test. A
membership attack and what the model still predicts are weak. They can lower an outcome, never raise it. Where nothing
was shown, the outcome is `not shown`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from untrain.auditing import MembershipChange, Memory, membership_change
from untrain.core.estimate import Estimate
from untrain.core.levels import ALPHA, MEMORY_LIMIT, RETAIN_MARGIN
from untrain.core.text import percent
from untrain.methods import Method
from untrain.models.weights import arrays_of
from untrain.population import Population
from untrain.records import Ground, Outcome, Unchanged, Verdict, state_digest
from untrain.workflows.case import Case
from untrain.workflows.choose import Situation, audit_cost
from untrain.workflows.compare import Comparison, added_up, correct, logits_of


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an audit of one model found.

    Attributes:
        memory: how much of the forgotten examples is left.
        retain_accuracy: of the model on the retain set, a share.
        lowest_retrained: the lowest retain accuracy of the retrained models.
    """

    memory: Memory
    retain_accuracy: float
    lowest_retrained: float

    @property
    def different(self) -> bool:
        """Whether the model is told from retrained ones by anything but its memory."""
        return self.memory.different_p_value <= ALPHA or self.retain_accuracy < self.lowest_retrained - RETAIN_MARGIN


@dataclass(frozen=True, eq=False)
class Judgment:
    """What is known of a model that a method has unlearned.

    Attributes:
        verdict: outcome, ground and sentences.
        comparison: accuracy before and after.
        since_first: change of accuracy since the first original of the chain.
        unchanged: what is still predicted for the forgotten examples.
        membership: whether a membership attack recognizes them, before and after; None without held-out examples, and
            where the original is kept.
        evidence: of an audit, or None; None where the original is kept.
    """

    verdict: Verdict
    comparison: Comparison
    since_first: Estimate
    unchanged: Unchanged
    membership: MembershipChange | None = None
    evidence: Evidence | None = None


def judge(
    case: Case,
    spec: str,
    method: Method,
    unlearned: Population,
    max_accuracy_drop: float,
    audit: Callable[[Population], Evidence | None],
) -> Judgment:
    """Judge what a method made of the original.

    Args:
        case: the request.
        spec: the method, `name` or `name:preset`.
        method: the same.
        unlearned: what it made of the original.
        max_accuracy_drop: largest accepted drop since the first original, in 0..1. The drop may reach it with its
            upper confidence limit, not only with its estimate.
        audit: gives the evidence of an audit, or None; not called where the original is kept.
    """
    comparison = Comparison.of(case.correct, correct(unlearned, case.evaluation_set))
    since_first = added_up(comparison.change, case.history.changes)
    unchanged = _unchanged(case, unlearned)
    refusal = next(_reasons_to_keep(case, spec, unlearned, comparison, since_first, max_accuracy_drop), None)
    if refusal is not None:
        refused = (f"The original is kept: {refusal}.", "The model is unchanged; try another method.")
        return Judgment(Verdict(outcome=Outcome.KEPT_ORIGINAL, sentences=refused), comparison, since_first, unchanged)
    membership, evidence = _check_membership(case, unlearned), audit(unlearned)
    if method.exact:
        finding = _by_construction(case, spec, _construction(case, method), membership, evidence)
    else:
        finding = _by_evidence(case, spec, membership, evidence)
    described = [*_audit_sentences(evidence), *_membership_sentences(membership)]
    if not method.exact:
        described.append(_unchanged_sentence(unchanged))
        if evidence is None:
            described.append(audit_cost(Situation(case.original, case.request, case.can_retrain)))
    sentences = (finding.reason, *described, _accuracy_sentence(comparison, case.measured_on))
    verdict = Verdict(outcome=finding.outcome, ground=finding.ground, sentences=sentences)
    return Judgment(verdict, comparison, since_first, unchanged, membership, evidence)


def _reasons_to_keep(
    case: Case,
    spec: str,
    unlearned: Population,
    comparison: Comparison,
    since_first: Estimate,
    max_accuracy_drop: float,
) -> Iterator[str]:
    """Why the original is kept."""
    for examples in (case.evaluation_set, case.request.forget):
        if not np.isfinite(logits_of(unlearned, examples)).all():
            yield f"{spec} leaves logits that are not finite"
    if state_digest(arrays_of(unlearned.module())) == case.digest:
        yield f"{spec} changed no weight, so nothing was forgotten"
    if -since_first.low > max_accuracy_drop:
        hint = "; more held-out examples narrow this" if -since_first.value <= max_accuracy_drop else ""
        earlier = f", since the first of {len(case.history.changes) + 1} requests" if case.history.changes else ""
        yield (
            f"{spec} changes accuracy from {percent(comparison.before)} to {percent(comparison.after)} on "
            f"{case.measured_on}. With 95 % confidence, the fall is up to {-100 * since_first.low:.2f} points"
            f"{earlier}, and at most {100 * max_accuracy_drop:.2f} are accepted{hint}"
        )


def _construction(case: Case, method: Method) -> str:
    """Why models of an exact method have forgotten by construction, with what was declared."""
    if case.pretrained is None or not method.needs_factory:
        return method.construction
    return f"{method.construction}, from weights that, as declared, never saw the forgotten ones ({case.pretrained})"


class _Finding(NamedTuple):
    """An outcome and its first sentence."""

    outcome: Outcome
    reason: str
    ground: Ground | None = None


def _by_construction(
    case: Case, spec: str, construction: str, membership: MembershipChange | None, evidence: Evidence | None
) -> _Finding:
    """The outcome of a method whose models do not depend on the forgotten examples, by its own account."""
    if evidence is not None and evidence.memory.p_value <= ALPHA and evidence.memory.left.value >= MEMORY_LIMIT:
        reason = f"{spec} says that it {construction}, but {_against(evidence.memory)} finds memory."
        return _Finding(Outcome.REMEMBERED, reason)
    if copies := int(case.retained_copies.sum()):
        return _Finding(Outcome.NOT_SHOWN, _copies_sentence(copies))
    if case.chooses and (copies := int(case.held_out_copies.sum())):
        reason = (
            f"{copies} validation examples have exactly the inputs of a forgotten one, and the recipe keeps the state "
            "that does best on them; leave them out of the validation examples."
        )
        return _Finding(Outcome.NOT_SHOWN, reason)
    if _recognized(membership):
        reason = f"{spec} {construction}, and the forgotten ones are still recognized: look for near copies."
        return _Finding(Outcome.NOT_SHOWN, reason)
    reason = f"{spec} {construction}, so nothing comes from the forgotten ones."
    return _Finding(Outcome.FORGOTTEN, reason, Ground.BY_CONSTRUCTION)


def _by_evidence(case: Case, spec: str, membership: MembershipChange | None, evidence: Evidence | None) -> _Finding:
    """The outcome of a method that starts from the original."""
    if evidence is not None and evidence.memory.p_value <= ALPHA:
        reason = f"{_sentence(evidence.memory)} tells the model apart: too much memory of the examples is left."
        return _Finding(Outcome.REMEMBERED, reason)
    if _recognized(membership):
        reason = f"The forgotten examples are still recognized more often than held-out ones, after {spec} as well."
        return _Finding(Outcome.REMEMBERED, reason)
    if copies := int(case.retained_copies.sum()):
        return _Finding(Outcome.NOT_SHOWN, _copies_sentence(copies))
    if evidence is None:
        reason = f"Nothing shows that {spec}, which starts from the original, has made the model forget."
        return _Finding(Outcome.NOT_SHOWN, reason)
    return _by_audit(evidence)


def _by_audit(evidence: Evidence) -> _Finding:
    """The outcome of a model that is not told from retrained models by its memory."""
    memory = evidence.memory
    if evidence.different:
        reason = "does not tell the model's memory apart, but other differences: it lost more, or trained too little."
        return _Finding(Outcome.DIFFERENT, f"{_sentence(memory)} {reason}")
    if max(memory.original_p_value, memory.trace_p_value) > ALPHA:
        reason = "sees no trace of the examples in the original, so it cannot show that one is gone."
        return _Finding(Outcome.NOT_SHOWN, f"{_sentence(memory)} {reason}")
    if memory.left.high >= MEMORY_LIMIT:
        reason = f"does not tell the model apart, but up to {percent(memory.left.high, 0)} of the memory may be left."
        return _Finding(Outcome.NOT_SHOWN, f"{_sentence(memory)} {reason} More models narrow this.")
    return _Finding(Outcome.FORGOTTEN, f"{_sentence(memory)} does not tell the model apart.", Ground.BY_AUDIT)


def _against(memory: Memory) -> str:
    return f"a comparison with {memory.models} models trained without the examples"


def _sentence(memory: Memory) -> str:
    return f"A{_against(memory)[1:]}"


def _audit_sentences(evidence: Evidence | None) -> Iterator[str]:
    if evidence is None:
        return
    memory = evidence.memory
    yield (
        f"Memory left: {memory.left:.2f}, where 0 is a retrained model and 1 the original. A retrained model "
        f"would have as much or more with probability {memory.p_value:.2f}, and would differ as much from the others "
        f"with probability {memory.different_p_value:.2f}. Accuracy on the retained examples is "
        f"{percent(evidence.retain_accuracy)}, that of retrained models at least {percent(evidence.lowest_retrained)}."
    )


def _recognized(membership: MembershipChange | None) -> bool:
    return membership is not None and membership.after.verdict == "recognized"


def _membership_sentences(membership: MembershipChange | None) -> Iterator[str]:
    """What a membership attack sees, and what it saw in the original: its power."""
    if membership is None or membership.after.auc is None or membership.before.auc is None:
        return
    yield (
        f"A membership attack tells the forgotten examples from held-out ones with an AUC of {membership.after.auc}, "
        f"and {membership.before.auc} with the original, where 0.5 is chance."
    )
    if membership.before.verdict != "recognized":
        yield "It did not single them out in the original either, so this is weak evidence."
    if membership.after.unusual and not membership.before.unusual:
        yield "The model now does worse on them than on held-out ones, which can reveal them as well."


def _copies_sentence(copies: int) -> str:
    return (
        f"{copies} retained examples have exactly the inputs of a forgotten one, so the model saw what was to be "
        "forgotten; forget them as well (with_copies)."
    )


def _unchanged(case: Case, unlearned: Population) -> Unchanged:
    forget = case.request.forget
    before, after = (logits_of(models, forget).argmax(1) for models in (case.original, unlearned))
    return Unchanged(same_prediction=float((before == after).mean()), same_label=float((after == forget.labels).mean()))


def _unchanged_sentence(unchanged: Unchanged) -> str:
    return (
        f"On {percent(unchanged.same_prediction, 0)} of the forgotten examples the model still predicts what the "
        f"original predicted, and on {percent(unchanged.same_label, 0)} their given label."
    )


def _check_membership(case: Case, unlearned: Population) -> MembershipChange | None:
    """Whether forgotten examples are told from held-out ones of their classes; None without held-out examples."""
    forget, validation = case.request.forget, case.request.validation
    if validation is None:
        return None
    held_out = validation.select(np.flatnonzero(~case.validation_copies))
    if not len(held_out):
        return None
    before, after = (
        (models.confidences(forget)[0], models.confidences(held_out)[0]) for models in (case.original, unlearned)
    )
    return membership_change(before, after, forget.labels, held_out.labels)


def _accuracy_sentence(comparison: Comparison, measured_on: str) -> str:
    low, high = comparison.interval()
    return (
        f"Accuracy goes from {percent(comparison.before)} to {percent(comparison.after)} on {measured_on} (95 % "
        f"confidence interval of the difference: {100 * low:+.2f} to {100 * high:+.2f} points)."
    )
