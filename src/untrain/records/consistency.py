"""Whether a record can be true: an outcome must follow from the figures beside it."""

from collections.abc import Callable

from untrain.core.levels import ALPHA, FEWEST_MODELS, MEMORY_LIMIT, RETAIN_MARGIN
from untrain.records.record import Audit, Ground, MemoryLeft, Outcome, Record


def contradiction(record: Record) -> str | None:
    """Why a record cannot be true, or None."""
    checks: tuple[Callable[[Record], str | None], ...] = (_request, _model)
    if record.schema == 1:
        checks = (*checks, _schema_1, _schema_2)
    elif record.schema == 2:
        checks = (*checks, _ground, _audit, _other_evidence, _schema_2)
    else:
        checks = (*checks, _ground, _audit, _other_evidence, _schema_3)
    return next((reason for check in checks if (reason := check(record))), None)


def _request(record: Record) -> str | None:
    return None if record.requested.forgotten else "it names no example to forget"


def _model(record: Record) -> str | None:
    outcome, same_model = record.verdict.outcome, record.model.before == record.model.after
    if same_model != (outcome is Outcome.KEPT_ORIGINAL):
        return f"its outcome is {outcome}, and the model {'did not change' if same_model else 'changed'}"
    return None


def _schema_1(record: Record) -> str | None:
    memory = None if record.audit is None else record.audit.memory
    if record.verdict.ground is not None or record.unchanged is not None or memory is not None:
        return "schema 1 has no ground and no memory left"
    return None


def _schema_2(record: Record) -> str | None:
    """Nothing of a later schema is in an earlier one."""
    requested = record.requested
    later = (requested.contents, requested.subjects, requested.basis, record.copies, record.reply, record.descendants)
    figures = (record.retraining_due, record.applied.seed_commitment, record.utility.since_first)
    declared = (record.preparation, record.pretrained)
    if any(later) or any(value is not None for value in (*figures, *declared)):
        return f"schema {record.schema} has no contents, copies or reply"
    return None if record.applied.seed is not None else "its seed is missing"


def _schema_3(record: Record) -> str | None:
    if record.applied.seed is not None:
        return "it shows its seed"
    if record.applied.seed_commitment is None or record.copies is None or record.utility.since_first is None:
        return "the commitment to its seed, the copies or the accuracy since the first original are missing"
    if record.verdict.outcome is Outcome.FORGOTTEN and record.copies.exact_retained:
        return f"it is said to be forgotten, and {record.copies.exact_retained} exact copies are retained"
    kept = record.verdict.outcome is Outcome.KEPT_ORIGINAL
    if not kept and -record.utility.since_first.low > record.utility.bound:
        return "accuracy may have fallen by more than its bound, and the original was not kept"
    return None


def _ground(record: Record) -> str | None:
    outcome, ground = record.verdict.outcome, record.verdict.ground
    if outcome is Outcome.DOUBTFUL:
        return "the outcome doubtful belongs to schema 1"
    if (ground is not None) != (outcome is Outcome.FORGOTTEN):
        return f"its outcome is {outcome}, and its ground {ground}"
    return None


def _audit(record: Record) -> str | None:
    """The ground by audit, and the outcome different."""
    audit = record.audit
    if audit is not None and audit.memory is not None:
        return _by_audit(audit, audit.memory) if record.verdict.ground is Ground.BY_AUDIT else None
    if record.verdict.ground is Ground.BY_AUDIT:
        return "it is said to be forgotten by audit, and holds no audit"
    if record.verdict.outcome is Outcome.DIFFERENT:
        return "it is said to be different, and holds no audit"
    return None


def _by_audit(audit: Audit, memory: MemoryLeft) -> str | None:
    if audit.models < FEWEST_MODELS or memory.p_value <= ALPHA or memory.different_p_value <= ALPHA:
        return "it is said to be forgotten by audit, and the audit tells the model apart"
    if memory.retain_accuracy < memory.lowest_retrained - RETAIN_MARGIN:
        return "it is said to be forgotten by audit, and its retain accuracy is below that of every retrained model"
    trace = max(memory.original_p_value, memory.trace_p_value) <= ALPHA
    if memory.left.high >= min(memory.limit, MEMORY_LIMIT) or not trace:
        return "it is said to be forgotten by audit, and the audit does not show it"
    return None


def _other_evidence(record: Record) -> str | None:
    """What audit and membership attack say, against the outcomes forgotten and remembered."""
    outcome, memory = record.verdict.outcome, None if record.audit is None else record.audit.memory
    remembers = memory is not None and memory.p_value <= ALPHA
    recognized = record.membership is not None and record.membership.after.low > 0.5
    if outcome is Outcome.REMEMBERED and not (remembers or recognized):
        return "it is said to be remembered, and neither audit nor membership attack says so"
    if outcome is Outcome.FORGOTTEN and memory is not None and remembers and memory.left.value >= MEMORY_LIMIT:
        return "it is said to be forgotten, and the audit finds memory of the examples"
    if outcome is Outcome.FORGOTTEN and recognized:
        return "it is said to be forgotten, and the membership attack recognizes the examples"
    return None
