r"""A keyed commitment to the forgotten ids: a record can prove which ids it covers without containing them.

The tag of an id is its HMAC-SHA256 under a secret key of 32 random bytes. A record contains the sorted tags.

What it proves: the holder of the key and the ids can show that the request named exactly these ids. A second id with
the same tag, or a second key that gives other ids these tags, would be a collision of SHA-256. (All keys have the same
length, so no two keys are equivalent under HMAC.) Nobody can therefore exchange the ids afterwards.

What it hides: without the key, tags are indistinguishable from random numbers as long as HMAC-SHA256 is a pseudorandom
function. Neither guessing ids nor comparing many records helps. The holder of the key can test any id, so the key is as
confidential as the ids.

What it does not hide: the number of ids is public. All requests of a chain share one key, so it is visible whether two
records name the same id, but not which one.

What it does not prove: a tag shows that an id was named, not that the model forgot it, nor who the id belongs to.
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

WRONG_KEY = "The key does not belong to this record; pass the request.key that was written with it."


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, msgspec.Meta(pattern=rf"\A[0-9a-f]{{{2 * KEY_BYTES}}}\Z")]
    schema: Literal[1] = 1


def new_key() -> bytes:
    """A new random key."""
    return secrets.token_bytes(KEY_BYTES)


def tag(key: bytes, name: str) -> str:
    """The tag of an id."""
    return _mac(key, _ID + name.encode("utf-8", "surrogatepass"))


def key_check(key: bytes) -> str:
    """A fingerprint of the key. It tells, without any id, whether a key belongs to a record."""
    return _mac(key, _CHECK)


def _mac(key: bytes, message: bytes) -> str:
    if len(key) != KEY_BYTES:
        raise InputError(f"expected a key of {KEY_BYTES} bytes, got {len(key)}")
    return hmac.digest(key, message, "sha256").hex()


def commitment(tags: Iterable[str]) -> str:
    """SHA-256 of the tags, in the given order."""
    return hashlib.sha256("".join(tags).encode("ascii")).hexdigest()


def commit(ids: Iterable[str], key: bytes, *, retained: int, validation: int, classes: int) -> Requested:
    """Describe a request, with a commitment in place of its ids.

    Args:
        ids: ids of the examples to forget, as `str` or NumPy strings.
        key: the key of the previous request, or a `new_key`.
        retained: number of training examples that stay.
        validation: number of validation examples.
        classes: number of classes.

    Raises:
        InputError: an id occurs twice, or the key has the wrong length.
    """
    names = [str(name) for name in ids]
    tags = tuple(sorted({tag(key, name) for name in names}))
    if len(tags) != len(names):
        repeated = len(names) - len(tags)
        raise InputError(f"{repeated} of the {len(names)} ids to forget are repeated; name each id once.")
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
    """The subset of `ids` that the requests name.

    Raises:
        InputError: the key does not belong to a request.
    """
    tags, check = set[str](), key_check(key)
    for requested in requests:
        if requested.key_check != check:
            raise InputError(WRONG_KEY)
        tags.update(requested.tags)
    return {name for name in map(str, ids) if tag(key, name) in tags}


def check_commitment(requested: Requested) -> None:
    """Check without the key that the tags, their number and their digest agree.

    Raises:
        IntegrityError: they do not agree.
    """
    if list(requested.tags) != sorted(set(requested.tags)):
        raise IntegrityError("the tags of the record are not sorted and distinct")
    if len(requested.tags) != requested.forgotten:
        raise IntegrityError(f"expected a tag for each of {requested.forgotten} examples, got {len(requested.tags)}")
    if (computed := commitment(requested.tags)) != requested.commitment:
        raise IntegrityError(f"expected commitment {requested.commitment} of the tags, got {computed}")


def write_key(path: Path, key: bytes) -> None:
    """Write a key to a file that only its owner can read.

    Raises:
        InputError: the file cannot be written.
    """
    write_file(path, canonical(msgspec.to_builtins(_KeyFile(key.hex()))), private=True)


def read_key(path: str | Path) -> bytes:
    """Read a key that `write_key` wrote.

    Raises:
        InputError: the file does not exist or cannot be read.
        IntegrityError: it contains no key.
    """
    if not Path(path).exists():
        raise InputError(f"There is no request key at {path}.")
    plain = parse_canonical(read_regular(Path(path)), path)
    try:
        return bytes.fromhex(msgspec.convert(plain, _KeyFile).key)
    except ValueError as error:  # also for escapes that are not valid text
        raise IntegrityError(f"{path} is not a request key: {error}") from error
