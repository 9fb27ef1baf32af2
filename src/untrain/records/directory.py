"""The directory of one request, and the chain of the requests before it.

A directory holds `model.safetensors`, `record.json`, `report.html`, `request.key` (which its owner keeps), the records
of earlier requests as `previous/0001-record.json` and so on, oldest first, and perhaps `record.dsse.json`, a signature.
So it can be verified alone. Each record carries the SHA-256 of the record file before it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from untrain.core.files import Arrays, others_in, sweep, write_arrays, write_file
from untrain.errors import ConfigError, InputError, IntegrityError
from untrain.records.commitment import held, key_check, write_key
from untrain.records.record import (
    Previous,
    Record,
    content,
    parse_record,
    read_regular,
    record_bytes,
    sha256_of_file,
    state_digest,
)

MODEL = "model.safetensors"
RECORD = "record.json"
PAGE = "report.html"
KEY = "request.key"
ENVELOPE = "record.dsse.json"
PREVIOUS = "previous"


@dataclass(frozen=True)
class Chain:
    """The records of requests that followed each other, oldest first.

    Attributes:
        files: the content of each record file.
        records: what they hold.
    """

    files: tuple[bytes, ...]
    records: tuple[Record, ...]

    @property
    def forgotten(self) -> int:
        """How many examples were forgotten in all; one that was asked for twice counts once."""
        return len({tag for record in self._carried_out() for tag in record.requested.tags})

    def link(self) -> Previous:
        """What the record of the next request says of this chain."""
        return Previous(record=hashlib.sha256(self.files[-1]).hexdigest(), forgotten=self.forgotten)

    def forgotten_before(self, key: bytes, ids: Iterable[str]) -> set[str]:
        """Those of `ids` that were forgotten; a request after which the original was kept forgot none.

        Raises:
            InputError: the key is not that of the chain.
        """
        return held((record.requested for record in self._carried_out()), key, ids)

    def named(self, key: bytes, ids: Iterable[str]) -> set[str]:
        """Those of `ids` that were asked to be forgotten, whatever came of it.

        Raises:
            InputError: the key is not that of the chain.
        """
        return held((record.requested for record in self.records), key, ids)

    def _carried_out(self) -> Iterator[Record]:
        return (record for record in self.records if record.verdict.outcome != "kept original")

    def check(self) -> None:
        """Check that each record follows the one before it.

        Raises:
            IntegrityError: one does not.
        """
        for number, record in enumerate(self.records):
            expected = Chain(self.files[:number], self.records[:number]).link() if number else None
            if record.previous != expected:
                raise IntegrityError(
                    f"expected record {number + 1} of {len(self.records)} to follow {_words(expected)}, "
                    f"got one that follows {_words(record.previous)}"
                )
        for number, (earlier, later) in enumerate(pairwise(self.records), 2):
            for what, before, after in (
                ("the model that the request before left", earlier.model.after, later.model.before),
                ("the architecture of the request before", earlier.model.architecture, later.model.architecture),
                ("the key of the request before", earlier.requested.key_check, later.requested.key_check),
            ):
                if before != after:
                    raise IntegrityError(f"expected record {number} to start from {what}, {before!r}, got {after!r}")


def _words(previous: Previous | None) -> str:
    if previous is None:
        return "none"
    return f"the record file {previous.record} with {previous.forgotten} forgotten in all"


def read_chain(directory: str | Path) -> Chain:
    """The records of a directory, its own last.

    Raises:
        InputError: there is no record.
        IntegrityError: a record changed, is missing, or does not follow the one before it.
        NotSupportedError: a record is of a later schema.
    """
    own = Path(directory) / RECORD
    if not own.exists():
        raise InputError(f"expected {RECORD} in {directory}, found none")
    paths = [*earlier_files(Path(directory)), own]
    files = tuple(read_regular(path) for path in paths)
    chain = Chain(files, tuple(parse_record(data, path) for data, path in zip(files, paths, strict=True)))
    chain.check()
    return chain


def earlier_files(directory: Path) -> list[Path]:
    """The record files of earlier requests, oldest first.

    Raises:
        IntegrityError: there is anything else beside them, or one is missing.
    """
    folder = directory / PREVIOUS
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise IntegrityError(f"expected a directory at {folder}, got something else")
    there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    expected = [_earlier_name(number) for number in range(1, len(there) + 1)]
    if there != sorted(expected):
        other = next((name for name in there if name not in expected), "")
        raise IntegrityError(f"expected {expected[0]} to {expected[-1]} in {folder}, got {other!r}")
    return [folder / name for name in expected]


def _earlier_name(number: int) -> str:
    return f"{number:04d}-{RECORD}"


def write_record(
    directory: str | Path, record: Record, state: Arrays, key: bytes, chain: Chain | None = None
) -> Record:
    """Write the directory of a request; the record comes last, so that where it is, all is.

    Args:
        directory: it is made, or must hold nothing but what a writer that was killed has left.
        record: its `files` are filled in here.
        state: the arrays of the model that is handed back, by name.
        key: that `record.requested` was committed to with.
        chain: of the requests before, as `read_chain` reads it; `record.previous` must be its `link`.

    Returns:
        The record as it was written.

    Raises:
        InputError: the file system refused; or state, key or chain are not those of the record.
        ConfigError: the directory holds a record, or anything else.
    """
    directory = Path(directory)
    _check_fits(record, state, key, chain)
    record_bytes(record)
    _check_empty(directory, chain)
    write_key(directory / KEY, key)
    write_arrays(directory / MODEL, state, {})
    record = msgspec.structs.replace(record, files={MODEL: sha256_of_file(directory / MODEL)})
    for number, data in enumerate(chain.files if chain else (), 1):
        write_file(directory / PREVIOUS / _earlier_name(number), data)
    write_file(directory / PAGE, page(record))
    write_file(directory / RECORD, record_bytes(record))
    return record


def _check_fits(record: Record, state: Arrays, key: bytes, chain: Chain | None) -> None:
    for what, expected, got in (
        ("the state of the model after", record.model.after, state_digest(state)),
        ("the key of the request", record.requested.key_check, key_check(key)),
        ("the link to the chain", record.previous, chain.link() if chain else None),
    ):
        if expected != got:
            raise InputError(f"expected {what} as the record has it, {expected}, got {got}")


def check_unclaimed(directory: Path) -> None:
    """Refuse a model without a key, which no writer that was killed has left: the key is written first.

    Raises:
        ConfigError: there is one.
    """
    if (directory / MODEL).exists() and not (directory / KEY).exists():
        raise ConfigError(f"expected no {MODEL} of your own in {directory}, got one: choose another directory")


def _check_empty(directory: Path, chain: Chain | None) -> None:
    """Refuse what would not verify; what a writer that was killed has left is no hindrance."""
    if (directory / RECORD).exists():
        raise ConfigError(f"expected no record in {directory}, got {RECORD}: choose another directory")
    check_unclaimed(directory)
    sweep(directory, [RECORD])
    earlier = {_earlier_name(number) for number in range(1, 1 + len(chain.files if chain else ()))}
    for folder, expected in (
        (directory, {MODEL, PAGE, KEY, *([PREVIOUS] if chain else [])}),
        (directory / PREVIOUS, earlier),
    ):
        for other in others_in(folder, expected)[:1]:
            raise ConfigError(f"expected no other files in {folder}, got {other!r}: choose another directory")


def page(record: Record) -> bytes:
    """The page of a record; the same bytes for the same record and version of untrain."""
    from untrain.report.record import record_page

    return record_page(content(record))
