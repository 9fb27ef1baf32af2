"""`Record`: what was asked, what was done and what was measured when a model was made to forget; and its file.

The file is JSON in one canonical form (keys sorted, one space of indent, ASCII, a newline at the end) with a field
`sha256` over the canonical form of everything else. A reader writes what it read once more: any byte that differs, even
a space, is found. This finds accidents. Whoever may write the file may also compute its digest anew: against that, sign
it.
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
from untrain.errors import InputError, IntegrityError, NotSupportedError

SCHEMA = 1
"""Version of the form of a record."""
LARGEST = 64 * 2**20
"""Bytes of the largest record that is written or read: some 900,000 forgotten examples."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of a record."""


class Models(_Part, frozen=True, kw_only=True):
    """The model before and after.

    Attributes:
        architecture: name of the model's class.
        before: `state_digest` of the original.
        after: `state_digest` of the model that is handed back.
    """

    architecture: str
    before: Sha256
    after: Sha256


class Requested(_Part, frozen=True, kw_only=True):
    """What was asked, in numbers; `untrain.records.commit` makes it.

    Attributes:
        forgotten: examples to be forgotten.
        retained: examples of the training set that stay.
        validation: examples outside the training set that were at hand.
        classes: of the task.
        key_check: by which the owner of the key can tell that it is the right one.
        tags: one for each example to be forgotten, sorted; they say nothing without the key.
        commitment: SHA-256 over the tags.
    """

    forgotten: Count
    retained: Count
    validation: Count
    classes: Count
    key_check: Sha256
    tags: tuple[Sha256, ...]
    commitment: Sha256


class Applied(_Part, frozen=True, kw_only=True):
    """The method.

    Attributes:
        method: `name:preset`.
        settings: its hyper-parameters, all of them.
        origin: the distribution and the class that it came from.
        reason: why this method.
        seed: root of all random numbers.
        seconds: that it took.
    """

    method: str
    settings: dict[str, Any]
    origin: str
    reason: str
    seed: int
    seconds: float


class Utility(_Part, frozen=True, kw_only=True):
    """How good the model is, before and after.

    Attributes:
        on: what it was measured on, in words.
        examples: how many.
        before: accuracy of the original, a share.
        after: accuracy of the model that forgot.
        change: after less before.
        bound: the largest fall that is accepted, a share.
    """

    on: str
    examples: Count
    before: float
    after: float
    change: Estimate
    bound: float


class Membership(_Part, frozen=True, kw_only=True):
    """How well the forgotten examples are told from held-out ones; an AUC of 0.5 is chance.

    Attributes:
        before: AUC with the original.
        after: AUC with the model that forgot.
        forgotten: forgotten examples looked at.
        held_out: held-out examples looked at.
        limits: what this check cannot see, in words.
    """

    before: Estimate
    after: Estimate
    forgotten: Count
    held_out: Count
    limits: str


class Audit(_Part, frozen=True, kw_only=True):
    """A comparison with models that were trained without the forgotten examples.

    Attributes:
        models: retrained models compared with.
        before: energy distance of the original from them.
        after: energy distance of the model that forgot.
        certificate: its figures by name; none if it was not computed.
        score: the competition's score, or None.
        ceiling: what retrained models score against each other, or None.
        words: what that means.
    """

    models: Count
    before: Estimate
    after: Estimate
    certificate: dict[str, Any] = {}
    score: float | None = None
    ceiling: float | None = None
    words: str

    def __repr__(self) -> str:
        """What the figures mean."""
        return self.words


class Outcome(enum.StrEnum):
    """What came of a request."""

    FORGOTTEN = "forgotten"
    DOUBTFUL = "doubtful"
    KEPT_ORIGINAL = "kept original"


class Verdict(_Part, frozen=True, kw_only=True):
    """What came of it; with `kept original` nothing was forgotten."""

    outcome: Outcome
    sentences: tuple[str, ...]


class Previous(_Part, frozen=True, kw_only=True):
    """The request before; `Chain.link` makes it.

    Attributes:
        record: SHA-256 of its record file.
        forgotten: examples forgotten in all earlier requests together.
    """

    record: Sha256
    forgotten: Count


class FileDigest(_Part, frozen=True, kw_only=True):
    """A file beside the record."""

    sha256: Sha256
    bytes: Count


class Record(_Part, frozen=True, kw_only=True):
    """What was asked, done and measured. It never holds an id.

    Attributes:
        created: UTC, as `now` says it.
        versions: of what computed, by name; `untrain` is among them.
        machine: device, threads, platform.
        model: digests of the model.
        requested: what was asked.
        applied: the method.
        utility: how good the model is.
        membership: the check that needs no retraining, or None.
        audit: the comparison with retrained models, or None if none was made.
        verdict: what came of it.
        limits: what this record does not show, in sentences.
        previous: the request before, or None.
        files: the files beside the record, by name; `write_record` fills it.
        schema: version of this form.
    """

    created: str
    versions: dict[str, str]
    machine: dict[str, str | int]
    model: Models
    requested: Requested
    applied: Applied
    utility: Utility
    membership: Membership | None = None
    audit: Audit | None = None
    verdict: Verdict
    limits: tuple[str, ...]
    previous: Previous | None = None
    files: dict[str, FileDigest] = {}
    schema: int = SCHEMA


def now() -> str:
    """The time as records say it.

    >>> len(now()), now()[-1]
    (20, 'Z')
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def state_digest(state: Arrays) -> str:
    """SHA-256 over the names, types, shapes and bytes of a model's arrays."""
    return digest(state, {})


def content(record: Record) -> dict[str, Any]:
    """The record as plain values with its own digest, as they are read from its file: sorted, lists for tuples.

    Raises:
        InputError: a value is of the wrong type, or not finite.
    """
    try:
        plain = msgspec.to_builtins(record, str_keys=True, enc_hook=_plain)
        data = canonical(msgspec.to_builtins(msgspec.convert(plain, Record)))
        return {**json.loads(data), "sha256": hashlib.sha256(data).hexdigest()}
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"expected a record of plain, finite values, got: {error}") from error


def _plain(value: Any) -> Any:  # noqa: ANN401 (any value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def canonical(plain: Mapping[str, Any]) -> bytes:
    """Plain values in the one form in which they are written."""
    return (json.dumps(plain, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def record_bytes(record: Record) -> bytes:
    """The record as it stands in its file; the same bytes for the same record.

    Raises:
        InputError: see `content`; or the record is too large to be read again.
    """
    data = canonical(content(record))
    if len(data) > LARGEST:
        raise InputError(
            f"expected a record of at most {LARGEST} bytes, got {len(data)}: forget fewer examples at once"
        )
    return data


def parse_record(data: bytes, where: str | Path) -> Record:
    """The record of which these bytes are the file.

    Raises:
        IntegrityError: they are not what `record_bytes` makes.
        NotSupportedError: the record is of a later schema.
    """
    plain = parse_canonical(data, where)
    expected = plain.pop("sha256", "none")
    if (found := hashlib.sha256(canonical(plain)).hexdigest()) != expected:
        raise IntegrityError(f"expected the digest {expected!r} that {where} carries, got {found}: the record changed")
    if isinstance(schema := plain.get("schema"), int) and schema > SCHEMA:
        raise NotSupportedError(f"expected a record of schema {SCHEMA} in {where}, got {schema}: use a later untrain")
    try:
        return msgspec.convert(plain, Record)
    except ValueError as error:  # also of escapes that spell what is no text
        raise IntegrityError(f"expected a record in {where}, got other values: {error}") from error


def parse_canonical(data: bytes, where: str | Path) -> dict[str, Any]:
    """A JSON object of which these bytes are the canonical form.

    Raises:
        IntegrityError: they are not.
    """
    try:
        plain = json.loads(data.decode("ascii"))
        same = isinstance(plain, dict) and canonical(plain) == data
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"expected JSON in {where}, got something else: {error}") from error
    if not same:
        raise IntegrityError(f"expected JSON in the form that untrain writes in {where}, got another form: it changed")
    return dict(plain)


def read_record(path: str | Path) -> Record:
    """Read what `write_record` wrote.

    Raises:
        InputError: there is no such file.
        IntegrityError: it is no record, or any bit of it changed.
        NotSupportedError: the record is of a later schema.
    """
    if not Path(path).exists():
        raise InputError(f"expected a record at {path}, found none")
    return parse_record(read_regular(Path(path)), path)


def read_regular(path: Path, most: int = LARGEST) -> bytes:
    """The bytes of a regular file, neither a link nor anything that could block.

    Raises:
        IntegrityError: it is not there, is something else, or is larger than `most` bytes.
        InputError: it cannot be read.
    """
    check_regular(path)
    if (size := path.lstat().st_size) > most:
        raise IntegrityError(f"expected at most {most} bytes in {path}, got {size}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def check_regular(path: Path) -> None:
    """Refuse what is not a regular file.

    Raises:
        IntegrityError: it is not there, a link, a directory or a device.
    """
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        raise IntegrityError(f"expected a file at {path}, found none") from None
    if not stat.S_ISREG(mode):
        raise IntegrityError(f"expected a file at {path}, got {_KINDS.get(stat.S_IFMT(mode), 'something else')}")


_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe"}


def sha256_of_file(path: Path) -> FileDigest:
    """Size and SHA-256 of a file.

    Raises:
        IntegrityError: it is not a regular file.
        InputError: it cannot be read.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            return FileDigest(sha256=found, bytes=file.tell())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
