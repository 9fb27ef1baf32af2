"""`Record`: what was requested, done and measured when a model was made to forget, and the file it is stored in.

The file is JSON in a canonical form: sorted keys, an indent of one space, ASCII, a final newline. Its field `sha256` is
the digest of the canonical form of all other fields. A reader serializes what it read and compares the bytes, so any
change is found, even of a space. This detects accidents. Someone who can write the file can also recompute the digest;
a signature protects against that.
"""

import enum
import hashlib
import json
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from untrain.core.estimate import Estimate
from untrain.core.files import Arrays, digest
from untrain.core.levels import ALPHA, FEWEST_MODELS, MEMORY_LIMIT, RETAIN_MARGIN
from untrain.core.text import percent
from untrain.errors import InputError, IntegrityError, NotSupportedError

SCHEMA = 2
"""Version of the record format."""
LARGEST = 64 * 2**20
"""Largest record in bytes, enough for about 900,000 forgotten examples."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Plain = dict[str, Any]
"""A JSON object."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of a record."""


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
        tags: sorted tags, one for each example to forget. They reveal nothing without the key.
        commitment: SHA-256 of the tags.
    """

    forgotten: Count
    retained: Count
    validation: Count
    classes: Count
    key_check: Sha256
    tags: tuple[Sha256, ...]
    commitment: Sha256


class Applied(_Part, frozen=True, kw_only=True):
    """The method that was applied.

    Attributes:
        method: `name` or `name:preset`.
        settings: all hyperparameters.
        origin: distribution and class of the method.
        reason: why this method was chosen.
        seed: root of all random numbers.
        seconds: running time.
    """

    method: str
    settings: Plain
    origin: str
    reason: str
    seed: int
    seconds: float


class Utility(_Part, frozen=True, kw_only=True):
    """Accuracy before and after.

    Attributes:
        on: description of the examples it was measured on.
        examples: number of these examples.
        before: accuracy of the original model, in 0..1.
        after: accuracy of the model that forgot.
        change: `after - before`.
        bound: largest accepted accuracy drop.
    """

    on: str
    examples: Count
    before: float
    after: float
    change: Estimate
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
        applied: the method.
        utility: accuracy before and after.
        membership: a membership attack, which needs no retraining, or None.
        unchanged: what is still predicted for the forgotten examples; None in records of schema 1.
        audit: the comparison with retrained models, or None.
        verdict: the outcome.
        limits: what this record does not show, in sentences.
        previous: the previous request, or None.
        files: the files next to the record, by name; `write_record` fills it.
        schema: version of the format.
    """

    created: str
    versions: dict[str, str]
    machine: dict[str, str | int]
    model: Models
    requested: Requested
    applied: Applied
    utility: Utility
    membership: Membership | None = None
    unchanged: Unchanged | None = None
    audit: Audit | None = None
    verdict: Verdict
    limits: tuple[str, ...]
    previous: Previous | None = None
    files: dict[str, FileDigest] = {}
    schema: int = SCHEMA

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


def state_digest(state: Arrays) -> str:
    """SHA-256 of the names, types, shapes and bytes of a model's arrays."""
    return digest(state, {})


def content(record: Record) -> Plain:
    """The JSON object of a record, with its digest.

    Raises:
        InputError: a value has the wrong type or is not finite.
    """
    try:
        plain = msgspec.to_builtins(record, str_keys=True, enc_hook=_listed)
        data = canonical(msgspec.to_builtins(msgspec.convert(plain, Record)))
        return {**json.loads(data), "sha256": hashlib.sha256(data).hexdigest()}
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"expected a record of finite JSON values, got: {error}") from error


def _listed(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def canonical(plain: Mapping[str, object]) -> bytes:
    """The canonical form of a JSON object."""
    return (json.dumps(plain, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def record_bytes(record: Record) -> bytes:
    """The content of a record file. The same record gives the same bytes.

    Raises:
        InputError: see `content`; or the record is too large to be read again.
    """
    data = canonical(content(record))
    if reason := contradiction(record):
        raise InputError(f"The record contradicts itself: {reason}.")
    if len(data) > LARGEST:
        raise InputError(
            f"expected a record of at most {LARGEST} bytes, got {len(data)}: forget fewer examples in one request"
        )
    return data


def parse_record(data: bytes, where: str | Path) -> Record:
    """Parse the content of a record file.

    Args:
        data: content of the file.
        where: name of the file, for error messages.

    Raises:
        IntegrityError: `record_bytes` did not make this content.
        NotSupportedError: the record has a later schema.
    """
    plain = parse_canonical(data, where)
    expected = plain.pop("sha256", "none")
    if (computed := hashlib.sha256(canonical(plain)).hexdigest()) != expected:
        raise IntegrityError(f"expected digest {expected!r} of {where}, got {computed}: the record changed")
    if isinstance(schema := plain.get("schema"), int) and schema > SCHEMA:
        raise NotSupportedError(f"{where} has schema {schema}; this version of untrain reads {SCHEMA}: upgrade untrain")
    try:
        record = msgspec.convert(plain, Record)
    except ValueError as error:  # also for escapes that are not valid text
        raise IntegrityError(f"{where} is not a record: {error}") from error
    if reason := contradiction(record):
        raise IntegrityError(f"{where} contradicts itself: {reason}")
    return record


def contradiction(record: Record) -> str | None:
    """Why the outcome of a record cannot be what its figures say, or None."""
    verdict, memory = record.verdict, None if record.audit is None else record.audit.memory
    same_model = record.model.before == record.model.after
    if same_model != (verdict.outcome is Outcome.KEPT_ORIGINAL):
        return f"its outcome is {verdict.outcome}, and the model {'did not change' if same_model else 'changed'}"
    if record.schema == 1:
        later = verdict.ground is not None or record.unchanged is not None or memory is not None
        return "schema 1 has no ground and no memory left" if later else None
    if verdict.outcome is Outcome.DOUBTFUL:
        return "the outcome doubtful belongs to schema 1"
    if (verdict.ground is not None) != (verdict.outcome is Outcome.FORGOTTEN):
        return f"its outcome is {verdict.outcome}, and its ground {verdict.ground}"
    if verdict.ground is Ground.BY_AUDIT:
        if memory is None or record.audit is None:
            return "it is said to be forgotten by audit, and holds no audit"
        if record.audit.models < FEWEST_MODELS or memory.p_value <= ALPHA or memory.different_p_value <= ALPHA:
            return "it is said to be forgotten by audit, and the audit tells the model apart"
        if memory.retain_accuracy < memory.lowest_retrained - RETAIN_MARGIN:
            return "it is said to be forgotten by audit, and its retain accuracy is below that of every retrained model"
        trace = max(memory.original_p_value, memory.trace_p_value) <= ALPHA
        if memory.left.high >= min(memory.limit, MEMORY_LIMIT) or not trace:
            return "it is said to be forgotten by audit, and the audit does not show it"
    remembers = memory is not None and memory.p_value <= ALPHA
    if verdict.outcome is Outcome.FORGOTTEN and memory is not None and remembers and memory.left.value >= MEMORY_LIMIT:
        return "it is said to be forgotten, and the audit finds memory of the examples"
    recognized = record.membership is not None and record.membership.after.low > 0.5
    if verdict.outcome is Outcome.REMEMBERED and not (remembers or recognized):
        return "it is said to be remembered, and neither audit nor membership attack says so"
    if verdict.outcome is Outcome.DIFFERENT and memory is None:
        return "it is said to be different, and holds no audit"
    if verdict.outcome is Outcome.FORGOTTEN and recognized:
        return "it is said to be forgotten, and the membership attack recognizes the examples"
    return None


def parse_canonical(data: bytes, where: str | Path) -> Plain:
    """Parse a JSON object in canonical form.

    Raises:
        IntegrityError: the data are not a JSON object in canonical form.
    """
    try:
        plain = json.loads(data.decode("ascii"))
        same = isinstance(plain, dict) and canonical(plain) == data
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where} is not JSON: {error}") from error
    if not same:
        raise IntegrityError(f"{where} is not in the form that untrain writes: it changed")
    return dict(plain)


def read_record(path: str | Path) -> Record:
    """Read a record file that `write_record` wrote.

    Raises:
        InputError: the file does not exist.
        IntegrityError: the file is not a record, or any bit of it changed.
        NotSupportedError: the record has a later schema.
    """
    if not Path(path).exists():
        raise InputError(f"There is no record at {path}.")
    return parse_record(read_regular(Path(path)), path)


def read_regular(path: Path, most: int = LARGEST) -> bytes:
    """Read a regular file: no link, and nothing that could block.

    Raises:
        IntegrityError: the file is missing, not regular, or larger than `most` bytes.
        InputError: the file cannot be read.
    """
    check_regular(path)
    if (size := path.lstat().st_size) > most:
        raise IntegrityError(f"expected at most {most} bytes in {path}, got {size}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def check_regular(path: Path) -> None:
    """Refuse a path that is not a regular file.

    Raises:
        IntegrityError: the path is missing, a link, a directory or a device.
    """
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        raise IntegrityError(f"there is no file {path}") from None
    if not stat.S_ISREG(mode):
        raise IntegrityError(f"expected a regular file at {path}, got {_KINDS.get(stat.S_IFMT(mode), 'a device')}")


_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe"}


def sha256_of_file(path: Path) -> FileDigest:
    """Size and SHA-256 of a file.

    Raises:
        IntegrityError: the path is not a regular file.
        InputError: the file cannot be read.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return FileDigest(sha256=sha256, bytes=file.tell())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
