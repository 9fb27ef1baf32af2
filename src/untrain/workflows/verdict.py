"""Whether a model has forgotten: guards, checks and the sentences of the verdict, all in one place."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from untrain.auditing import MembershipChange, membership_change
from untrain.core.text import percent
from untrain.methods import Method
from untrain.models.weights import arrays_of
from untrain.population import Population
from untrain.records import Outcome, Verdict, state_digest
from untrain.workflows.case import Case
from untrain.workflows.compare import Comparison, correct, logits_of


@dataclass(frozen=True, eq=False)
class Judgment:
    """What is known of a model that a method has unlearned.

    Attributes:
        verdict: outcome and sentences.
        comparison: accuracy before and after.
        membership: whether the forgotten examples are recognized, before and after; None without held-out examples, and
            where the original is kept.
    """

    verdict: Verdict
    comparison: Comparison
    membership: MembershipChange | None


def judge(case: Case, spec: str, method: Method, unlearned: Population, max_accuracy_drop: float) -> Judgment:
    """Judge what a method made of the original.

    Args:
        case: the request.
        spec: the method, `name` or `name:preset`.
        method: the same.
        unlearned: what it made of the original.
        max_accuracy_drop: largest accepted drop, in 0..1, beside one standard error.
    """
    comparison = Comparison.of(case.correct, correct(unlearned, case.evaluation_set))
    reason = next(_reasons_to_keep(case, spec, unlearned, comparison, max_accuracy_drop), None)
    if reason is not None:
        sentences = (f"The original is kept: {reason}.", "It still knows the examples; try another method.")
        return Judgment(Verdict(outcome=Outcome.KEPT_ORIGINAL, sentences=sentences), comparison, None)
    membership = _check_membership(case, unlearned)
    doubt = _doubt(spec, method, membership)
    outcome = Outcome.FORGOTTEN if doubt is None else Outcome.DOUBTFUL
    reasons = _grounds(spec, method, membership) if doubt is None else [doubt]
    verdict = Verdict(outcome=outcome, sentences=(*reasons, _accuracy_sentence(comparison, case.measured_on)))
    return Judgment(verdict, comparison, membership)


def _reasons_to_keep(
    case: Case, spec: str, unlearned: Population, comparison: Comparison, max_accuracy_drop: float
) -> Iterator[str]:
    """Why the original is kept."""
    for examples in (case.evaluation_set, case.request.forget):
        if not np.isfinite(logits_of(unlearned, examples)).all():
            yield f"{spec} leaves logits that are not finite"
    if state_digest(arrays_of(unlearned.module())) == case.digest:
        yield f"{spec} changed no weight, so nothing was forgotten"
    if comparison.drop - comparison.standard_error > max_accuracy_drop:
        yield (
            f"{spec} lowers accuracy from {percent(comparison.before)} to {percent(comparison.after)} on "
            f"{case.measured_on}, by more than {percent(max_accuracy_drop)} and one standard error of the difference"
        )


def _check_membership(case: Case, unlearned: Population) -> MembershipChange | None:
    """Whether forgotten examples are told from held-out ones of their classes; None without held-out examples."""
    forget, validation = case.request.forget, case.request.validation
    if validation is None:
        return None
    held_out = validation.select(np.flatnonzero(~case.validation_copies))
    before, after = (
        (models.confidences(forget)[0], models.confidences(held_out)[0]) for models in (case.original, unlearned)
    )
    return membership_change(before, after, forget.labels, held_out.labels)


def _doubt(spec: str, method: Method, membership: MembershipChange | None) -> str | None:
    """Why the model may not have forgotten, or None."""
    if membership is None or membership.after.verdict == "cannot say":
        if method.exact:
            return None
        return (
            f"Nothing shows that {spec}, which starts from the original, has made it forget: there are too few "
            "held-out examples of the same classes to compare with."
        )
    if membership.after.verdict == "recognised":
        reason = "copies of them may be retained." if method.exact else f"{spec} has not made the model forget them."
        return f"The examples are still recognized more often than held-out ones, AUC {membership.after.auc}: {reason}"
    if membership.after.unusual and not membership.before.unusual and not method.exact:
        return (
            f"The model now does worse on the examples than on held-out ones, AUC {membership.after.auc}, which "
            f"reveals them as well: {spec} goes too far."
        )
    return None


def _grounds(spec: str, method: Method, membership: MembershipChange | None) -> Iterator[str]:
    """What the outcome `forgotten` rests on."""
    if method.exact:
        yield f"{spec} makes a new model, which never saw the forgotten examples."
    if membership is None or membership.after.auc is None:
        return
    yield (
        "The forgotten examples are not recognized more often than held-out ones: AUC "
        f"{membership.after.auc}, and {membership.before.auc} before."
    )
    if membership.before.verdict != "recognised" and not method.exact:
        yield "The original did not single them out either, so this is weak evidence."


def _accuracy_sentence(comparison: Comparison, measured_on: str) -> str:
    low, high = comparison.interval()
    return (
        f"Accuracy goes from {percent(comparison.before)} to {percent(comparison.after)} on {measured_on} (95 % "
        f"confidence interval of the difference: {100 * low:+.2f} to {100 * high:+.2f} points)."
    )
