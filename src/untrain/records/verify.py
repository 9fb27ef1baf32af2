"""Whether a record, its files and the records before it are what was written. Nothing is computed anew, so no torch."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untrain.core.files import read_arrays
from untrain.core.version import __version__
from untrain.errors import InputError, IntegrityError
from untrain.records.commitment import check_commitment, held, key_check, read_key
from untrain.records.directory import ENVELOPE, KEY, MODEL, PAGE, PREVIOUS, RECORD, Chain, page, read_chain
from untrain.records.dsse import (
    LARGEST_ENVELOPE,
    check_signature,
    check_statement,
    parse_envelope,
    read_public_key,
    statement,
)
from untrain.records.record import (
    FileDigest,
    Record,
    check_regular,
    parse_record,
    read_regular,
    sha256_of_file,
    state_digest,
)

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

ALWAYS = (MODEL, RECORD, PAGE)
"""Files that every directory of a request has; a signature covers them."""
_AT_TIMES = (KEY, ENVELOPE)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: it is.
        ok: whether it is as it was written; None if that was not checked.
        words: what was found, or why it was not checked.
    """

    what: str
    ok: bool | None
    words: str


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        checks: all of them, in order.
        record: or None if it cannot be read.
    """

    checks: tuple[Check, ...]
    record: Record | None

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what was not checked does not count."""
        return not any(check.ok is False for check in self.checks)

    def insist(self) -> None:
        """Accept nothing that failed.

        Raises:
            IntegrityError: a check failed; the first that did is named.
        """
        for check in self.checks:
            if check.ok is False:
                raise IntegrityError(f"{check.what}: {check.words}")


def verify(
    directory: str | Path,
    *,
    key: bytes | None = None,
    ids: Iterable[str] | None = None,
    public_key: str | Path | None = None,
) -> Verification:
    """Check the directory of a request.

    Without a public key this finds every accident, and every change by someone who does not compute the digests anew.
    With the public key of a signer who is trusted it finds every change.

    Args:
        directory: as `write_record` makes it.
        key: of the request; default the one in the directory, if it is there.
        ids: that this request, or one before it, should name.
        public_key: a PEM file with the ed25519 key of who should have signed.

    Raises:
        InputError: there is no such directory or public key; or ids without a key.
        NotSupportedError: the record is of a later schema; or a signature should be checked without the extra.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"expected the directory of a request at {directory}, found none")
    if ids is not None and key is None and not (directory / KEY).exists():
        raise InputError(f"expected the key of the request to look for ids, got none, and no {KEY} in {directory}")
    signer = None if public_key is None else read_public_key(public_key)
    try:
        record = parse_record(read_regular(directory / RECORD), directory / RECORD)
    except IntegrityError as error:
        return Verification((Check("record", False, str(error)),), None)
    subject = _Subject(directory, record, key, None if ids is None else {str(name) for name in ids}, signer)
    looks = {
        "record": subject.summary,
        "directory": subject.names,
        "weights": subject.weights,
        "page": subject.page,
        "chain": subject.links,
        "commitment": subject.commitment,
        "key": subject.keys,
        "ids": subject.named,
        "signature": subject.signature,
    }
    return Verification(tuple(_checked(what, look) for what, look in looks.items()), record)


class _NotCheckedError(Exception):
    """Why something was not checked."""


def _checked(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, True, look())
    except IntegrityError as error:
        return Check(what, False, str(error))
    except _NotCheckedError as error:
        return Check(what, None, str(error))
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error


@dataclass(frozen=True)
class _Subject:
    """A directory whose record can be read; each function says what it found, or raises why it is wrong."""

    directory: Path
    record: Record
    key: bytes | None
    ids: set[str] | None
    signer: "SSlibKey | None"

    @functools.cached_property
    def _digests(self) -> dict[str, FileDigest]:
        return {name: sha256_of_file(self.directory / name) for name in ALWAYS}

    @functools.cached_property
    def _chain(self) -> Chain:
        return read_chain(self.directory)

    def summary(self) -> str:
        record = self.record
        return (
            f"{record.created}, untrain {record.versions.get('untrain', 'unknown')}, {record.applied.method}, "
            f"examples asked for: {record.requested.forgotten}, outcome: {record.verdict.outcome}"
        )

    def names(self) -> str:
        there = {path.name for path in self.directory.iterdir()}
        expected = {*ALWAYS, *([PREVIOUS] if self.record.previous else [])}
        for name in sorted(expected - there):
            raise IntegrityError(f"expected {name} in {self.directory}, found none")
        for name in sorted(there - expected - {*_AT_TIMES}):
            raise IntegrityError(f"expected no other files in {self.directory}, got {name!r}")
        for name in sorted(there - {PREVIOUS}):
            check_regular(self.directory / name)
        return "every file that belongs to it, and no other"

    def weights(self) -> str:
        path, found = self.directory / MODEL, self._digests[MODEL]
        if self.record.files != {MODEL: found}:
            raise IntegrityError(f"expected {_listed(self.record)} as in the record, got {found} in {path}")
        if (after := state_digest(read_arrays(path)[0])) != self.record.model.after:
            raise IntegrityError(f"expected the state {self.record.model.after} of the record in {path}, got {after}")
        return f"{found.bytes} bytes, of the state {self.record.model.after}"

    def page(self) -> str:
        found = read_regular(self.directory / PAGE)
        if (version := self.record.versions.get("untrain")) != __version__:
            raise _NotCheckedError(f"made by untrain {version!r}, and this is {__version__!r}")
        if found != page(self.record):
            raise IntegrityError(f"expected the page that the record makes in {self.directory / PAGE}, got another")
        return "the one that the record makes"

    def links(self) -> str:
        earlier = len(self._chain.records) - 1
        return f"requests before: {earlier}, examples forgotten in all: {self._chain.forgotten}"

    def commitment(self) -> str:
        for record in self._chain.records:
            check_commitment(record.requested)
        return f"{self.record.requested.commitment}, ids: {self.record.requested.forgotten}"

    def keys(self) -> str:
        keys = [self.key] if self.key is not None else []
        if (path := self.directory / KEY).exists():
            keys.append(read_key(path))
        if not keys:
            raise _NotCheckedError("none was given")
        for key in keys:
            if key_check(key) != self.record.requested.key_check:
                raise IntegrityError("expected the key that belongs to the record, got another")
        return f"the right one; keep {path} apart before handing this on" if path.exists() else "the right one"

    def named(self) -> str:
        if self.ids is None:
            raise _NotCheckedError("none were given")
        try:
            key = self.key if self.key is not None else read_key(self.directory / KEY)
            named, before = self._chain.named(key, self.ids), self._chain.forgotten_before(key, self.ids)
        except (IntegrityError, InputError) as error:
            raise _NotCheckedError(str(error)) from error
        if missing := len(self.ids - named):
            raise IntegrityError(f"expected all ids to be among those asked for, got {missing} that are not")
        kept = f", but not forgotten, as the original was kept: {len(named - before)}" if named - before else ""
        rest = self.record.requested.forgotten - len(held([self.record.requested], key, self.ids))
        more = f"; of this request, not given: {rest}" if rest else ", and all that this request names"
        return f"asked for: {len(named)}, all that were given{kept}{more}"

    def signature(self) -> str:
        path = self.directory / ENVELOPE
        if not path.exists():
            if self.signer is not None:
                raise IntegrityError(f"expected a signature in {path}, found none")
            raise _NotCheckedError("there is none")
        envelope = parse_envelope(read_regular(path, LARGEST_ENVELOPE), path)
        digests = {name: found.sha256 for name, found in self._digests.items()}
        check_statement(envelope, statement(self.record, digests), path)
        if self.signer is None:
            raise _NotCheckedError("there is one that fits the files; no public key was given to see whose it is")
        check_signature(envelope, self.signer, path)
        return f"by the key {self.signer.keyid}"


def _listed(record: Record) -> str:
    return ", ".join(f"{name!r}: {listed}" for name, listed in record.files.items()) or "no file"
