"""Verify that a record, its files and the earlier records are unchanged. Nothing is recomputed; torch is not needed."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from untrain.core.arguments import checked
from untrain.core.files import read_arrays
from untrain.core.version import __version__
from untrain.errors import InputError, IntegrityError
from untrain.records.commitment import WRONG_KEY, check_commitment, held, key_check, read_key
from untrain.records.directory import ENVELOPE, KEY, MODEL, PAGE, PREVIOUS, RECORD, Chain, page, read_chain
from untrain.records.dsse import (
    LARGEST_ENVELOPE,
    check_signature,
    check_statement,
    parse_envelope,
    read_public_key,
    statement,
)
from untrain.records.record import FileDigest, Record
from untrain.records.serialization import check_regular, parse_record, read_regular, sha256_of_file, state_digest

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

ALWAYS = (MODEL, RECORD, PAGE)
"""Files in every directory of a request; a signature covers them."""
PAGE_CHECK = "page"
"""Name of the check of the page, without which nothing is signed or uploaded."""
_OPTIONAL = (KEY, ENVELOPE)
_MARKS = {True: "ok", False: "FAILED", None: "not checked"}


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        what: name of the checked part.
        ok: whether the part is unchanged; None if it was not checked.
        words: the result, or why it was not checked.
    """

    what: str
    ok: bool | None
    words: str

    def __str__(self) -> str:
        return f"{_MARKS[self.ok]:11}  {self.what:10}  {self.words}"


@dataclass(frozen=True)
class Verification:
    """The result of `verify`. Its text has a line for each check.

    Attributes:
        checks: all checks in order.
        record: the record, or None if it cannot be read.
    """

    checks: tuple[Check, ...]
    record: Record | None

    @property
    def ok(self) -> bool:
        """Whether no check failed. Parts that were not checked do not count."""
        return not any(check.ok is False for check in self.checks)

    def __str__(self) -> str:
        return "\n".join(map(str, self.checks))

    __repr__ = __str__

    def insist(self, *needed: str) -> None:
        """Raise an error if a check failed.

        Args:
            needed: names of checks that must also have been made.

        Raises:
            IntegrityError: a check failed, or was needed and not made; the message names the first one.
        """
        for check in self.checks:
            if check.ok is False or (check.ok is None and check.what in needed):
                raise IntegrityError(f"{check.what}: {check.words}")


@checked
def verify(
    directory: str | Path,
    *,
    key: bytes | None = None,
    ids: Iterable[str] | None = None,
    contents: Mapping[str, str] | None = None,
    subjects: Iterable[str] | None = None,
    public_key: str | Path | None = None,
) -> Verification:
    """Verify the directory of a request.

    Without a public key this finds every accident, and every change by someone who does not recompute the digests.
    With the public key of a trusted signer it finds every change.

    Args:
        directory: a directory that `write_record` wrote.
        key: key of the request; default: `request.key` in the directory.
        ids: ids that this request or an earlier one should name.
        contents: SHA-256 of the inputs of each example by id, as `untrain.data.contents` gives them for today's
            training data. It is checked that each of `ids` still names what was forgotten; without `ids`, that none of
            the data was forgotten.
        subjects: persons or things that this request or an earlier one should name.
        public_key: PEM file with the ed25519 public key of the expected signer.

    Raises:
        InputError: the directory or the public key does not exist; ids or subjects are an empty list; or they or
            contents are given without a key.
        NotSupportedError: the record has a later schema; or a signature cannot be checked without the extra.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory; pass the directory that `untrain forget` wrote.")
    names, persons = _names(ids, "ids"), _names(subjects, "subjects")
    if (names or persons or contents) and key is None and not (directory / KEY).exists():
        raise InputError(
            f"There is no {KEY} in {directory}; pass the key of the request to look for ids, subjects or data."
        )
    signer = None if public_key is None else read_public_key(public_key)
    try:
        record = parse_record(read_regular(directory / RECORD), directory / RECORD)
    except IntegrityError as error:
        return Verification((Check("record", False, str(error)),), None)
    subject = _Directory(directory, record, key, names, contents, persons, signer)
    checks = {
        "record": subject.summary,
        "directory": subject.names,
        "weights": subject.weights,
        PAGE_CHECK: subject.page,
        "chain": subject.links,
        "commitment": subject.commitment,
        "key": subject.keys,
        "ids": subject.named,
        "subjects": subject.subjects_named,
        "signature": subject.signature,
    }
    return Verification(tuple(_checked(what, check) for what, check in checks.items()), record)


def _names(given: Iterable[str] | None, what: str) -> set[str] | None:
    """A list of names as a set; an empty list would be found in every record."""
    if given is None:
        return None
    names = {str(name) for name in given}
    if not names:
        raise InputError(f"The list of {what} is empty; name at least one.")
    return names


_OLD = " (untrain 0.1, which called a model forgotten on weaker grounds)"


class _NotCheckedError(Exception):
    """Why a part was not checked."""


def _checked(what: str, check: Callable[[], str]) -> Check:
    try:
        return Check(what, True, check())
    except IntegrityError as error:
        return Check(what, False, str(error))
    except _NotCheckedError as error:
        return Check(what, None, str(error))
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class _Directory:
    """A directory with a readable record. Each check returns its result in words, or raises why it failed."""

    directory: Path
    record: Record
    key: bytes | None = field(repr=False)
    ids: set[str] | None = field(repr=False)
    contents: Mapping[str, str] | None = field(repr=False)
    subjects: set[str] | None = field(repr=False)
    signer: "SSlibKey | None"
    _known: dict[str, FileDigest] = field(default_factory=dict, repr=False)

    def _digest(self, name: str) -> FileDigest:
        """Digest of a file, if it is as large as the record says: another one is not read."""
        path, recorded = self.directory / name, self.record.files.get(name)
        check_regular(path)
        size = path.lstat().st_size
        if recorded is not None and recorded.bytes != size:
            raise IntegrityError(f"{path} has {size} bytes, and the record says {recorded.bytes}")
        if name not in self._known:
            self._known[name] = sha256_of_file(path)
        return self._known[name]

    def _unchanged(self, name: str) -> FileDigest:
        """The digest of a file, which must be the one in the record."""
        digest, recorded = self._digest(name), self.record.files.get(name)
        if digest != recorded:
            said = "no such file" if recorded is None else recorded.sha256
            raise IntegrityError(f"{self.directory / name} has the digest {digest.sha256}, and the record says {said}")
        return digest

    @functools.cached_property
    def _chain(self) -> Chain:
        return read_chain(self.directory)

    def summary(self) -> str:
        record = self.record
        return (
            f"{record.created}, untrain {record.versions.get('untrain', 'unknown')}, {record.applied.method}, "
            f"examples to forget: {record.requested.forgotten}, outcome: {record.verdict}{_OLD * (record.schema == 1)}"
        )

    def names(self) -> str:
        names = {path.name for path in self.directory.iterdir()}
        if others := sorted(self.record.files.keys() - {MODEL, PAGE}):
            raise IntegrityError(f"the record lists {others[0]!r}, which does not belong to a request")
        expected = {*ALWAYS, *([PREVIOUS] if self.record.previous else [])}
        if missing := sorted(expected - names):
            raise IntegrityError(f"{missing[0]} is missing in {self.directory}")
        if others := sorted(names - expected - {*_OPTIONAL}):
            raise IntegrityError(f"{self.directory} contains {others[0]!r}, which does not belong there")
        for name in sorted(names - {PREVIOUS}):
            check_regular(self.directory / name)
        return "all files of the request, and no others"

    def weights(self) -> str:
        path, digest = self.directory / MODEL, self._unchanged(MODEL)
        if (after := state_digest(read_arrays(path)[0])) != self.record.model.after:
            raise IntegrityError(f"{path} has the state {after}, and the record says {self.record.model.after}")
        return f"{digest.bytes} bytes, state {self.record.model.after}"

    def page(self) -> str:
        path = self.directory / PAGE
        written = read_regular(path)
        if self.record.schema < 3:
            raise _NotCheckedError(
                f"a record of schema {self.record.schema} does not know its page; read record.json instead"
            )
        self._unchanged(PAGE)
        if self.record.versions.get("untrain") == __version__ and written != page(self.record):
            raise IntegrityError(f"{path} is not the page of this record")
        return "the page of this record"

    def links(self) -> str:
        earlier = len(self._chain.records) - 1
        return f"earlier requests: {earlier}, examples forgotten in all: {self._chain.forgotten}"

    def commitment(self) -> str:
        for record in self._chain.records:
            check_commitment(record.requested)
        return f"{self.record.requested.commitment}, ids: {self.record.requested.forgotten}"

    def keys(self) -> str:
        keys = [self.key] if self.key is not None else []
        if (path := self.directory / KEY).exists():
            keys.append(read_key(path))
        if not keys:
            raise _NotCheckedError("no key was given")
        for key in keys:
            if key_check(key) != self.record.requested.key_check:
                raise IntegrityError(WRONG_KEY)
        return f"belongs to the record; remove {path} before sharing" if path.exists() else "belongs to the record"

    def named(self) -> str:
        if self.ids is None:
            return self._none_back()
        try:
            key = self.key if self.key is not None else read_key(self.directory / KEY)
            named, before = self._chain.named(key, self.ids), self._chain.forgotten_before(key, self.ids)
        except (IntegrityError, InputError) as error:
            raise _NotCheckedError(str(error)) from error
        if missing := len(self.ids - named):
            raise IntegrityError(f"{missing} of the {len(self.ids)} given ids were never requested")
        unchanged = "" if self.contents is None else f"; {self._same_contents(key, self.contents)}"
        kept = f", {len(named - before)} of them not forgotten since the original was kept" if named - before else ""
        rest = self.record.requested.forgotten - len(held([self.record.requested], key, self.ids))
        more = f"this request names {rest} more" if rest else "this request names no others"
        return f"all {len(named)} given ids were requested{kept}; {more}{unchanged}"

    def _none_back(self) -> str:
        """Check that none of the data has the inputs of a forgotten example."""
        if self.contents is None:
            raise _NotCheckedError("no ids were given")
        try:
            key = self.key if self.key is not None else read_key(self.directory / KEY)
            known = self._chain.forgotten_before(key, self.contents.values(), "contents")
        except (IntegrityError, InputError) as error:
            raise _NotCheckedError(str(error)) from error
        self._check_contents_held()
        if back := sorted(name for name, digest in self.contents.items() if digest in known):
            raise IntegrityError(
                f"{len(back)} of the {len(self.contents)} examples in the data have the inputs of a forgotten example, "
                f"such as {back[0]!r}: leave them out"
            )
        return f"none of the {len(self.contents)} examples in the data has the inputs of a forgotten example"

    def _check_contents_held(self) -> None:
        if not any(record.requested.contents for record in self._chain.records):
            raise IntegrityError("the records hold no contents, so the data cannot be compared")

    def _same_contents(self, key: bytes, contents: Mapping[str, str]) -> str:
        """Check that the ids still name what was forgotten, where they name anything."""
        still = {name: contents[name] for name in self.ids or () if name in contents}
        self._check_contents_held()
        requests = [record.requested for record in self._chain.records]
        known = held(requests, key, still.values(), "contents")
        if changed := sum(digest not in known for digest in still.values()):
            raise IntegrityError(
                f"{changed} of the {len(still)} given ids that are in the data name other inputs than those that were "
                "forgotten: rows were renumbered or changed"
            )
        return f"the {len(still)} of them that are in the data have the inputs that they had"

    def subjects_named(self) -> str:
        if self.subjects is None:
            raise _NotCheckedError("no subjects were given")
        try:
            key = self.key if self.key is not None else read_key(self.directory / KEY)
            named = self._chain.named(key, self.subjects, "subjects")
        except (IntegrityError, InputError) as error:
            raise _NotCheckedError(str(error)) from error
        if missing := len(self.subjects - named):
            raise IntegrityError(f"{missing} of the {len(self.subjects)} given subjects were never named in a request")
        return f"all {len(named)} given subjects were named in a request"

    def signature(self) -> str:
        path = self.directory / ENVELOPE
        if not path.exists():
            if self.signer is not None:
                raise IntegrityError(f"there is no signature {path}")
            raise _NotCheckedError("there is no signature")
        envelope = parse_envelope(read_regular(path, LARGEST_ENVELOPE), path)
        digests = {name: self._digest(name).sha256 for name in ALWAYS}
        check_statement(envelope, statement(self.record, digests), path)
        if self.signer is None:
            raise _NotCheckedError("fits the files; no public key was given to check the signer")
        check_signature(envelope, self.signer, path)
        return f"by the key {self.signer.keyid}"
