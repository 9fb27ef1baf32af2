"""The file of a record: JSON in a canonical form, and the reading of files that may mean harm.

Sorted keys, an indent of one space, ASCII, a final newline. The field `sha256` is the digest of the canonical form of
all other fields. A reader serializes what it read and compares the bytes, so any change is found, even of a space. This
detects accidents. Someone who can write the file can also recompute the digest; a signature protects against that.
"""

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from untrain.core.files import Arrays, digest
from untrain.errors import InputError, IntegrityError, NotSupportedError
from untrain.records.consistency import contradiction
from untrain.records.record import SCHEMA, FileDigest, Plain, Record

LARGEST = 64 * 2**20
"""Largest record in bytes, enough for about 450,000 forgotten examples."""


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
        raise InputError(f"A record holds finite JSON values only: {error}.") from error


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
            f"The record has {len(data)} bytes, and at most {LARGEST} can be read again; forget fewer examples in one "
            "request."
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
        raise IntegrityError(f"{where} changed: its digest is {computed}, and it says {expected!r}")
    if isinstance(schema := plain.get("schema"), int) and schema > SCHEMA:
        raise NotSupportedError(f"{where} has schema {schema}; this version of untrain reads {SCHEMA}: upgrade untrain")
    try:
        record = msgspec.convert(plain, Record)
    except ValueError as error:  # also for escapes that are not valid text
        raise IntegrityError(f"{where} is not a record: {error}") from error
    if reason := contradiction(record):
        raise IntegrityError(f"{where} contradicts itself: {reason}")
    return record


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
        raise IntegrityError(f"{path} has {size} bytes; at most {most} are read")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


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
        raise IntegrityError(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'a device')}, not a regular file")


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
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
