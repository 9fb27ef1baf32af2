r"""A keyed commitment to what was forgotten, so that a record can answer for its ids without holding them.

The tag of an id is HMAC-SHA256 under a secret key of 32 random bytes; a record holds the sorted tags.

What it shows. Whoever has the key and the ids can show that exactly these ids were named in the request: another id
with the same tag, or another key under which other ids have these tags, would be a collision of SHA-256 (keys have one
length, so that no two keys are the same key to HMAC). Hence nobody can exchange the ids afterwards.

What it hides. Without the key a tag is a number like any other, as long as HMAC-SHA256 is a pseudorandom function:
neither guessing ids nor looking at many records helps. Whoever has the key can test any id, so it is as confidential as
the ids.

What it does not hide, and does not show. The number of ids is public. Along a chain of requests the key stays the same,
so that one sees whether two records name the same id, though not which. And a tag proves that an id was named, not that
the model forgot it, nor that this id is the person who asks.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from untrain.core.files import write_file
from untrain.errors import InputError, IntegrityError
from untrain.records.record import Requested, canonical, parse_canonical, read_regular

KEY_BYTES = 32
_ID = b"untrain forget 1\0"
_CHECK = b"untrain key 1\0"


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, msgspec.Meta(pattern=rf"\A[0-9a-f]{{{2 * KEY_BYTES}}}\Z")]
    schema: Literal[1] = 1


def new_key() -> bytes:
    """A key that nobody knows."""
    return secrets.token_bytes(KEY_BYTES)


def tag(key: bytes, name: str) -> str:
    """The tag of an id."""
    return _mac(key, _ID + name.encode("utf-8", "surrogatepass"))


def key_check(key: bytes) -> str:
    """By which one sees, without any id, that a key is that of a record."""
    return _mac(key, _CHECK)


def _mac(key: bytes, message: bytes) -> str:
    if len(key) != KEY_BYTES:
        raise InputError(f"expected a key of {KEY_BYTES} bytes, got {len(key)}")
    return hmac.digest(key, message, "sha256").hex()


def commitment(tags: Iterable[str]) -> str:
    """SHA-256 over tags, in the order given."""
    return hashlib.sha256("".join(tags).encode("ascii")).hexdigest()


def commit(ids: Iterable[str], key: bytes, *, retained: int, validation: int, classes: int) -> Requested:
    """What was asked, with a commitment to the ids in their place.

    Args:
        ids: of the examples to be forgotten; `str` or NumPy's.
        key: that of the request before, or a `new_key`.
        retained: examples of the training set that stay.
        validation: examples outside the training set that are at hand.
        classes: of the task.

    Raises:
        InputError: an id occurs twice, or the key has another length.
    """
    names = [str(name) for name in ids]
    tags = tuple(sorted({tag(key, name) for name in names}))
    if len(tags) != len(names):
        raise InputError(f"expected distinct ids to forget, got {len(names) - len(tags)} of {len(names)} again")
    return Requested(
        forgotten=len(tags),
        retained=retained,
        validation=validation,
        classes=classes,
        key_check=key_check(key),
        tags=tags,
        commitment=commitment(tags),
    )


def held(requests: Iterable[Requested], key: bytes, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that one of the requests names.

    Raises:
        InputError: the key is not that of a request.
    """
    tags, right = set[str](), key_check(key)
    for requested in requests:
        if requested.key_check != right:
            raise InputError("expected the key that belongs to the record, got another")
        tags.update(requested.tags)
    return {name for name in map(str, ids) if tag(key, name) in tags}


def check_commitment(requested: Requested) -> None:
    """Check what can be checked without the key: that tags, their number and their digest agree.

    Raises:
        IntegrityError: they do not.
    """
    if list(requested.tags) != sorted(set(requested.tags)):
        raise IntegrityError("expected sorted, distinct tags in the record, got others")
    if len(requested.tags) != requested.forgotten:
        raise IntegrityError(f"expected a tag for each of {requested.forgotten} examples, got {len(requested.tags)}")
    if (found := commitment(requested.tags)) != requested.commitment:
        raise IntegrityError(f"expected the commitment {requested.commitment} of the record's tags, got {found}")


def write_key(path: Path, key: bytes) -> None:
    """Write the key to a file that only its owner can read.

    Raises:
        InputError: the file system refused.
    """
    write_file(path, canonical(msgspec.to_builtins(_KeyFile(key.hex()))), private=True)


def read_key(path: str | Path) -> bytes:
    """Read what `write_key` wrote.

    Raises:
        InputError: there is no such file, or it cannot be read.
        IntegrityError: it holds no key.
    """
    if not Path(path).exists():
        raise InputError(f"expected the key of a request at {path}, found no such file")
    plain = parse_canonical(read_regular(Path(path)), path)
    try:
        return bytes.fromhex(msgspec.convert(plain, _KeyFile).key)
    except ValueError as error:  # also of escapes that spell what is no text
        raise IntegrityError(f"expected the key of a request in {path}, got: {error}") from error
