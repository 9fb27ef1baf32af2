"""The directory of one request, and the chain of the requests before it.

A directory contains `model.safetensors`, `record.json`, `report.html`, `request.key` (for its owner to keep) and the
records of earlier requests, oldest first, as `previous/0001-record.json` and so on. `record.dsse.json` is an optional
signature. Each record contains the SHA-256 of the previous record file, so a directory can be verified on its own.
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
    Outcome,
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

    def forgotten_before(self, key: bytes, ids: Iterable[str]) -> set[str]:
        """The subset of `ids` that was forgotten. A request that kept the original forgot none.

        Raises:
            InputError: the key does not belong to the chain.
        """
        return held((record.requested for record in self._carried_out()), key, ids)

    def named(self, key: bytes, ids: Iterable[str]) -> set[str]:
        """The subset of `ids` that was requested, whatever the outcome.

        Raises:
            InputError: the key does not belong to the chain.
        """
        return held((record.requested for record in self.records), key, ids)

    def _carried_out(self) -> Iterator[Record]:
        return (record for record in self.records if record.verdict.outcome != Outcome.KEPT_ORIGINAL)

    def check(self) -> None:
        """Check that each record continues the previous one.

        Raises:
            IntegrityError: a record does not.
        """
        for number, record in enumerate(self.records):
            expected = Chain(self.files[:number], self.records[:number]).link() if number else None
            if record.previous != expected:
                raise IntegrityError(
                    f"expected record {number + 1} of {len(self.records)} to follow {_described(expected)}, "
                    f"got one that follows {_described(record.previous)}"
                )
        for number, (earlier, later) in enumerate(pairwise(self.records), 2):
            for what, before, after in (
                ("model", earlier.model.after, later.model.before),
                ("architecture", earlier.model.architecture, later.model.architecture),
                ("key", earlier.requested.key_check, later.requested.key_check),
            ):
                if before != after:
                    raise IntegrityError(
                        f"expected record {number} to continue the {what} {before!r} of the one before, got {after!r}"
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
    files = tuple(read_regular(path) for path in paths)
    chain = Chain(files, tuple(parse_record(data, path) for data, path in zip(files, paths, strict=True)))
    chain.check()
    return chain


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
        raise IntegrityError(f"expected {expected[0]} to {expected[-1]} in {folder}, got {other!r}")
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
        ConfigError: the directory already contains a record or other files.
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
        ("state of the model", record.model.after, state_digest(state)),
        ("key", record.requested.key_check, key_check(key)),
        ("chain", record.previous, chain.link() if chain else None),
    ):
        if expected != got:
            raise InputError(f"expected the {what} of the record, {expected}, got {got}")


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


def page(record: Record) -> bytes:
    """The page of a record. The same record and version of untrain give the same bytes."""
    from untrain.report.record import record_page

    return record_page(content(record))
