"""The directory of one request, and the chain of the requests before it.

A directory contains `model.safetensors`, `record.json`, `report.html`, `request.key` (for its owner to keep) and the
records of earlier requests, oldest first, as `previous/0001-record.json` and so on. `record.dsse.json` is an optional
signature. Each record contains the SHA-256 of the previous record file, so a directory can be verified on its own.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from untrain.core.files import Arrays, check_writable, others_in, sweep, unwritable, write_arrays, write_file
from untrain.errors import ConfigError, InputError, IntegrityError
from untrain.records.commitment import What, held, key_check, write_key
from untrain.records.record import Previous, Record
from untrain.records.serialization import (
    LARGEST,
    check_regular,
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

LARGEST_CHAIN = 2 * LARGEST
"""Most bytes of all records of a chain together, and so a bound on the memory that it takes to read them."""
LONGEST_CHAIN = 2000
"""Most records of a chain."""


@dataclass(frozen=True)
class Chain:
    """The records of consecutive requests, oldest first.

    Attributes:
        files: content of each record file.
        records: the parsed records.
    """

    files: tuple[bytes, ...]
    records: tuple[Record, ...]

    @property
    def forgotten(self) -> int:
        """Number of distinct examples forgotten in the whole chain."""
        return len({tag for record in self._carried_out() for tag in record.requested.tags})

    def link(self) -> Previous:
        """The reference to this chain that the next record contains."""
        return Previous(record=hashlib.sha256(self.files[-1]).hexdigest(), forgotten=self.forgotten)

    def forgotten_before(self, key: bytes, names: Iterable[str], what: What = "ids") -> set[str]:
        """The subset of `names` that was forgotten; see `held`. A request that kept the original forgot none.

        Raises:
            InputError: the key does not belong to the chain.
        """
        return held((record.requested for record in self._carried_out()), key, names, what)

    def named(self, key: bytes, names: Iterable[str], what: What = "ids") -> set[str]:
        """The subset of `names` that was requested, whatever the outcome; see `held`.

        Raises:
            InputError: the key does not belong to the chain.
        """
        return held((record.requested for record in self.records), key, names, what)

    def _carried_out(self) -> Iterator[Record]:
        return (record for record in self.records if record.carried_out)

    def check(self) -> None:
        """Check that each record continues the previous one.

        Raises:
            IntegrityError: a record does not.

        Cost: linear in the number of tags.
        """
        expected, forgotten = None, set[str]()
        for number, (data, record) in enumerate(zip(self.files, self.records, strict=True), 1):
            if record.previous != expected:
                raise IntegrityError(
                    f"record {number} of {len(self.records)} must follow {_described(expected)}, "
                    f"and it follows {_described(record.previous)}"
                )
            if record.carried_out:
                forgotten.update(record.requested.tags)
            expected = Previous(record=hashlib.sha256(data).hexdigest(), forgotten=len(forgotten))
        for number, (earlier, later) in enumerate(pairwise(self.records), 2):
            for what, before, after in (
                ("model", earlier.model.after, later.model.before),
                ("architecture", earlier.model.architecture, later.model.architecture),
                ("key", earlier.requested.key_check, later.requested.key_check),
            ):
                if before != after:
                    raise IntegrityError(
                        f"record {number} must continue the {what} {before!r} of the one before, and it has {after!r}"
                    )


def _described(previous: Previous | None) -> str:
    if previous is None:
        return "none"
    return f"the record {previous.record} with {previous.forgotten} examples forgotten in all"


def read_chain(directory: str | Path) -> Chain:
    """The chain of a directory: the earlier records, then its own.

    Raises:
        InputError: there is no record.
        IntegrityError: a record changed, is missing, or does not continue the previous one.
        NotSupportedError: a record has a later schema.
    """
    last = Path(directory) / RECORD
    if not last.exists():
        raise InputError(f"There is no {RECORD} in {directory}; `untrain forget` writes one.")
    paths = [*earlier_files(Path(directory)), last]
    _check_size(paths)
    files, records = list[bytes](), list[Record]()
    for path in paths:  # one after the other, so that a long chain of nonsense ends at the first
        files.append(read_regular(path))
        records.append(parse_record(files[-1], path))
    chain = Chain(tuple(files), tuple(records))
    chain.check()
    return chain


def _check_size(paths: list[Path]) -> None:
    """Refuse a chain that is too large, before anything is read."""
    if len(paths) > LONGEST_CHAIN:
        raise IntegrityError(f"the chain has {len(paths)} records; at most {LONGEST_CHAIN} are read")
    for path in paths:
        check_regular(path)
    size = sum(path.lstat().st_size for path in paths)
    if size > LARGEST_CHAIN:
        raise IntegrityError(
            f"the {len(paths)} records of the chain have {size} bytes; at most {LARGEST_CHAIN} are read"
        )


def earlier_files(directory: Path) -> list[Path]:
    """The record files of earlier requests, oldest first.

    Raises:
        IntegrityError: a file is missing, or another is there.
    """
    folder = directory / PREVIOUS
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise IntegrityError(f"{folder} is not a directory")
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    expected = [_earlier_name(number) for number in range(1, len(names) + 1)]
    if names != sorted(expected):
        other = next(name for name in names if name not in expected)
        raise IntegrityError(f"{folder} must hold {expected[0]} to {expected[-1]} only, and it holds {other!r}")
    return [folder / name for name in expected]


def _earlier_name(number: int) -> str:
    return f"{number:04d}-{RECORD}"


def write_record(
    directory: str | Path, record: Record, state: Arrays, key: bytes, chain: Chain | None = None
) -> Record:
    """Write the directory of a request. The record is written last, so a directory with a record is complete.

    Args:
        directory: a new or empty directory. Leftovers of an interrupted writer are replaced.
        record: the record, whose `files` are filled in here.
        state: arrays of the resulting model, by name.
        key: the key of `record.requested`.
        chain: the earlier requests, as `read_chain` returns them. `record.previous` must be its `link`.

    Returns:
        The record as written.

    Raises:
        InputError: a file cannot be written; or state, key or chain do not belong to the record.
        ConfigError: the directory already contains a record or other files, or another process writes there.
    """
    directory = Path(directory)
    _check_fits(record, state, key, chain)
    record_bytes(record)
    check_writable(directory)
    with _alone_in(directory):
        _check_empty(directory, chain)
        write_key(directory / KEY, key)
        write_arrays(directory / MODEL, state, {})
        record = msgspec.structs.replace(record, files={MODEL: sha256_of_file(directory / MODEL)})
        for number, data in enumerate(chain.files if chain else (), 1):
            write_file(directory / PREVIOUS / _earlier_name(number), data)
        write_file(directory / PAGE, page(record))
        record = msgspec.structs.replace(record, files={**record.files, PAGE: sha256_of_file(directory / PAGE)})
        write_file(directory / RECORD, record_bytes(record))
    return record


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Hold a lock on a directory, which is made if it is not there. The lock ends with the process, however it ends.

    Raises:
        ConfigError: another writer holds it.
        InputError: the directory cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        place = os.open(directory, os.O_RDONLY)
    except (OSError, ValueError) as error:
        raise unwritable(directory, error) from error
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise ConfigError(f"Another process is writing to {directory}; choose another directory.") from error
        yield  # also on a file system without locks
    finally:
        os.close(place)


def _check_fits(record: Record, state: Arrays, key: bytes, chain: Chain | None) -> None:
    for what, expected, got in (
        ("state of the model", record.model.after, state_digest(state)),
        ("key", record.requested.key_check, key_check(key)),
        ("chain", record.previous, chain.link() if chain else None),
    ):
        if expected != got:
            raise InputError(f"The {what} does not belong to the record, which has {expected}: got {got}.")


def check_unclaimed(directory: Path) -> None:
    """Refuse a directory with a model but no key: an interrupted writer leaves the key first, so the model is a user's.

    Raises:
        ConfigError: the directory contains a user's model.
    """
    if (directory / MODEL).exists() and not (directory / KEY).exists():
        raise ConfigError(f"{directory} contains your own {MODEL}, which would be replaced; choose another directory.")


def _check_empty(directory: Path, chain: Chain | None) -> None:
    """Refuse a directory whose files would not verify. Leftovers of an interrupted writer are accepted."""
    if (directory / RECORD).exists():
        raise ConfigError(f"{directory} already contains {RECORD}; choose another directory.")
    check_unclaimed(directory)
    sweep(directory, [RECORD])
    earlier = {_earlier_name(number) for number in range(1, 1 + len(chain.files if chain else ()))}
    for folder, expected in (
        (directory, {MODEL, PAGE, KEY, *([PREVIOUS] if chain else [])}),
        (directory / PREVIOUS, earlier),
    ):
        if others := others_in(folder, expected):
            raise ConfigError(f"{folder} already contains {others[0]!r}; choose another directory.")


def page(record: Record, language: str = "en") -> bytes:
    """The page of a record. The same record and version of untrain give the same bytes.

    The record holds the digest of the page, so the page holds neither that nor the digest of the record.

    Args:
        record: the record.
        language: of the page, `en` or `ja`; that of the directory is English.
    """
    from untrain.report.record import record_page

    files = {name: digest for name, digest in record.files.items() if name != PAGE}
    return record_page(content(msgspec.structs.replace(record, files=files)), language)
