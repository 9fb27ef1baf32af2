"""`Record`: what was requested, found, done and measured when a model was made to forget.

The file that holds it is described in `untrain.records.serialization`; `untrain.records.consistency` says which records
contradict themselves.
"""

import enum
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from untrain.core.estimate import Estimate
from untrain.core.text import percent

SCHEMA = 3
"""Version of the record format."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Date = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Plain = dict[str, Any]
"""A JSON object."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of a record."""


class Preparation(_Part, frozen=True, kw_only=True):
    """How inputs were prepared when they were read; see `untrain.data.Prepare`.

    Attributes:
        size: height and width that pictures were resized to, or None.
        mean: what was subtracted, one number or one for each channel.
        std: what was divided by, likewise.
    """

    size: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Models(_Part, frozen=True, kw_only=True):
    """The model before and after the request.

    Attributes:
        architecture: name of the model's class.
        before: `state_digest` of the original model.
        after: `state_digest` of the resulting model.
    """

    architecture: str
    before: Sha256
    after: Sha256


class Requested(_Part, frozen=True, kw_only=True):
    """The request in numbers; `untrain.records.commit` makes it.

    Attributes:
        forgotten: number of examples to forget.
        retained: number of training examples that stay.
        validation: number of validation examples.
        classes: number of classes.
        key_check: fingerprint of the key, which tells whether a key belongs to the record.
        tags: sorted tags of the ids, one for each example to forget. They reveal nothing without the key.
        contents: sorted distinct tags of the inputs of these examples; empty in records of schema 1 and 2.
        subjects: sorted tags of the persons or things that the request names, if it names any.
        basis: why the examples are to be forgotten, in words such as "erasure, GDPR Art. 17(1)(b)", or None.
        commitment: SHA-256 of all tags.
    """

    forgotten: Count
    retained: Count
    validation: Count
    classes: Count
    key_check: Sha256
    tags: tuple[Sha256, ...]
    contents: tuple[Sha256, ...] = ()
    subjects: tuple[Sha256, ...] = ()
    basis: str | None = None
    commitment: Sha256


class Copies(_Part, frozen=True, kw_only=True):
    """Copies of the examples to be forgotten, found among the others.

    Attributes:
        exact_taken: examples with exactly the same inputs that are forgotten as well.
        near_taken: near copies that are forgotten as well.
        exact_retained: examples with exactly the same inputs that stay in the training set.
        near_retained: near copies that stay in the training set.
        exact_held_out: validation examples with exactly the same inputs.
        near_held_out: validation examples that are near copies.
        measure: what the distance between two examples is, or why near copies were not looked for.
        threshold: largest distance of a near copy; None if near copies were not looked for.
    """

    exact_taken: Count
    near_taken: Count
    exact_retained: Count
    near_retained: Count
    exact_held_out: Count
    near_held_out: Count
    measure: str
    threshold: float | None


class Applied(_Part, frozen=True, kw_only=True):
    """The method that was applied.

    Attributes:
        method: `name` or `name:preset`.
        settings: all hyperparameters.
        origin: distribution and class of the method.
        reason: why this method was chosen.
        seed: root of all random numbers, in records of schema 1 and 2. With the training data, it would let anybody
            find the forgotten ids by trial, so later records commit to it.
        seed_commitment: keyed tag of the seed; None in records of schema 1 and 2.
        seconds: running time.
    """

    method: str
    settings: Plain
    origin: str
    reason: str
    seed: int | None = None
    seed_commitment: Sha256 | None = None
    seconds: float


class Utility(_Part, frozen=True, kw_only=True):
    """Accuracy before and after.

    Attributes:
        on: description of the examples it was measured on.
        examples: number of these examples.
        before: accuracy of the original model, in 0..1.
        after: accuracy of the model that forgot.
        change: `after - before`, with its 95 % interval.
        since_first: the same since the first original of the chain; None in records of schema 1 and 2.
        bound: largest accepted accuracy drop. The lower end of `since_first` must not be below `-bound`.
    """

    on: str
    examples: Count
    before: float
    after: float
    change: Estimate
    since_first: Estimate | None = None
    bound: float


class Membership(_Part, frozen=True, kw_only=True):
    """How well a membership attack separates forgotten from held-out examples; an AUC of 0.5 is chance.

    Attributes:
        before: AUC with the original model.
        after: AUC with the model that forgot.
        forgotten: number of forgotten examples.
        held_out: number of held-out examples.
        limits: what this check cannot detect.
    """

    before: Estimate
    after: Estimate
    forgotten: Count
    held_out: Count
    limits: str


class Unchanged(_Part, frozen=True, kw_only=True):
    """The plainest evidence: what the model that forgot still predicts for the forgotten examples.

    Attributes:
        same_prediction: share on which it predicts what the original predicted.
        same_label: share on which it predicts the label that was to be forgotten.
    """

    same_prediction: float
    same_label: float


class MemoryLeft(_Part, frozen=True, kw_only=True):
    """How much of the forgotten examples is left in the delivered model; see `untrain.auditing.memory`.

    Attributes:
        left: memory left, 0 for a retrained model and 1 for the original, with its interval.
        level: of the interval.
        p_value: chance that a retrained model has as much memory left, or more.
        different_p_value: chance that a retrained model differs as much from the others, or more.
        original_p_value: `p_value` of the unchanged original.
        trace_p_value: chance that a model that never saw the examples is as confident in them as the original.
        limit: the interval must end below this for the outcome `forgotten`.
        retain_accuracy: of the delivered model on the retain set, a share.
        lowest_retrained: the lowest retain accuracy of the retrained models.
    """

    left: Estimate
    level: float
    p_value: float
    different_p_value: float
    original_p_value: float
    trace_p_value: float
    limit: float
    retain_accuracy: float
    lowest_retrained: float


class MethodMemoryLeft(_Part, frozen=True, kw_only=True):
    """Memory left in many models that a method made; see `untrain.auditing.memory_of_method`.

    Attributes:
        left: mean, with a 95 % interval.
        told_apart: share of the models that are told from retrained ones at 5 %; None with fewer than 19 models.
        told_different: share of the models that differ otherwise, likewise.
    """

    left: Estimate
    told_apart: Estimate | None = None
    told_different: Estimate | None = None


class Audit(_Part, frozen=True, kw_only=True):
    """A comparison with models that were trained without the forgotten examples.

    Attributes:
        models: number of retrained models.
        memory: what is left in the delivered model; None where a method was audited, not a model.
        method_memory: what is left in the models that a method made, or None.
        rank_energy: distance between the models of a method and the retrained ones; None if its models do not vary.
        before: in records of schema 1, energy distance between the original model and the retrained ones.
        after: in records of schema 1, energy distance between the model that forgot and the retrained ones.
        certificate: figures of the certificate by name; empty if it was not computed.
        score: competition score, or None.
        ceiling: score of retrained models against each other, or None.
        words: the result in a sentence.
    """

    models: Count
    memory: MemoryLeft | None = None
    method_memory: MethodMemoryLeft | None = None
    rank_energy: Estimate | None = None
    before: Estimate | None = None
    after: Estimate | None = None
    certificate: Plain = {}
    score: float | None = None
    ceiling: float | None = None
    words: str

    def __repr__(self) -> str:
        """What the figures mean."""
        return self.words


class Outcome(enum.StrEnum):
    """Outcome of a request, best first.

    Attributes:
        FORGOTTEN: shown, on the ground that the verdict names.
        DIFFERENT: not told from retrained models by its memory, but otherwise.
        NOT_SHOWN: nothing shows that the model has forgotten, or that it has not.
        DOUBTFUL: only in records of schema 1.
        REMEMBERED: the examples are still recognized.
        KEPT_ORIGINAL: the method was refused, so nothing was forgotten.
    """

    FORGOTTEN = "forgotten"
    DIFFERENT = "different"
    NOT_SHOWN = "not shown"
    DOUBTFUL = "doubtful"
    REMEMBERED = "remembered"
    KEPT_ORIGINAL = "kept original"


class Ground(enum.StrEnum):
    """What the outcome `forgotten` rests on.

    Attributes:
        BY_CONSTRUCTION: the model depends on the forgotten examples in no way.
        BY_AUDIT: it cannot be told from models that were trained without them.
    """

    BY_CONSTRUCTION = "by construction"
    BY_AUDIT = "by audit"


class Verdict(_Part, frozen=True, kw_only=True):
    """The outcome and its reasons. With `kept original` nothing was forgotten.

    Attributes:
        outcome: in a word.
        ground: of the outcome `forgotten`; None for every other, and in records of schema 1.
        sentences: the reasons.
    """

    outcome: Outcome
    ground: Ground | None = None
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        """Outcome and ground."""
        return self.outcome if self.ground is None else f"{self.outcome} {self.ground}"


class Previous(_Part, frozen=True, kw_only=True):
    """The previous request; `Chain.link` makes it.

    Attributes:
        record: SHA-256 of its record file.
        forgotten: number of examples forgotten in all earlier requests.
    """

    record: Sha256
    forgotten: Count


class FileDigest(_Part, frozen=True, kw_only=True):
    """Digest and size of a file."""

    sha256: Sha256
    bytes: Count


class Record(_Part, frozen=True, kw_only=True):
    """What was requested, done and measured. A record never contains an id.

    Attributes:
        created: time in UTC, as `now` formats it.
        versions: versions of untrain, Python and the libraries.
        machine: device, processor, threads and platform.
        model: digests of the model.
        requested: the request.
        copies: copies of the examples to be forgotten; None in records of schema 1 and 2.
        preparation: how inputs were resized and normalized, or None if they were not or that is not known.
        pretrained: where the weights come from that new models start with, as was declared; None if they start from
            random ones.
        applied: the method.
        utility: accuracy before and after.
        membership: a membership attack, which needs no retraining, or None.
        unchanged: what is still predicted for the forgotten examples; None in records of schema 1.
        audit: the comparison with retrained models, or None.
        verdict: the outcome.
        limits: what this record does not show, in sentences.
        reply: an answer for the person who made the request, in sentences.
        retraining_due: when the next training from nothing is due, as YYYY-MM-DD, or None.
        descendants: files of models that were derived from the original before the request, by name. They are not
            changed by it.
        previous: the previous request, or None.
        files: the files next to the record, by name; `write_record` fills it.
        schema: version of the format.
    """

    created: str
    versions: dict[str, str]
    machine: dict[str, str | int]
    model: Models
    requested: Requested
    copies: Copies | None = None
    preparation: Preparation | None = None
    pretrained: str | None = None
    applied: Applied
    utility: Utility
    membership: Membership | None = None
    unchanged: Unchanged | None = None
    audit: Audit | None = None
    verdict: Verdict
    limits: tuple[str, ...]
    reply: tuple[str, ...] = ()
    retraining_due: Date | None = None
    descendants: dict[str, FileDigest] = {}
    previous: Previous | None = None
    files: dict[str, FileDigest] = {}
    schema: Annotated[int, msgspec.Meta(ge=1)] = SCHEMA

    @property
    def carried_out(self) -> bool:
        """Whether the model was changed; a request that kept the original forgot nothing."""
        return self.verdict.outcome is not Outcome.KEPT_ORIGINAL

    def __str__(self) -> str:
        """The record in three lines."""
        requested, applied = self.requested, self.applied
        return (
            f"Record of {self.created}: {self.verdict}\n"
            f"  {requested.forgotten} examples to forget, {requested.retained} retained, by {applied.method}\n"
            f"  accuracy {percent(self.utility.before)} before and {percent(self.utility.after)} after"
        )

    __repr__ = __str__


def now() -> str:
    """The current time in the format of records.

    >>> len(now()), now()[-1]
    (20, 'Z')
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
