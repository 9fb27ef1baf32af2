r"""A keyed commitment to the forgotten examples: a record can prove which ones it covers without containing them.

The tag of an id is its HMAC-SHA256 under a secret key of 32 random bytes. A record contains the sorted tags of the ids,
of the contents (the inputs of the examples, so that they are known under another id), of the subjects that were named,
and of the seed.

What it proves: the holder of the key and the ids can show that the request named exactly these ids. A second id with
the same tag, or a second key that gives other ids these tags, would be a collision of SHA-256. (All keys have the same
length, so no two keys are equivalent under HMAC.) Nobody can therefore exchange the ids afterwards.

What it hides: without the key, tags are indistinguishable from random numbers as long as HMAC-SHA256 is a pseudorandom
function. Neither guessing ids nor comparing many records helps. The holder of the key can test any id, so the key is as
confidential as the ids.

What it does not hide: the number of ids is public. All requests of a chain share one key, so it is visible whether two
records name the same id, but not which one.

The seed is not published: forgetting is deterministic, so with data, recipe and seed anybody could try which ids give
the model of the record. A seed that can be guessed is no secret either; `secret_seed` derives one from the key.

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
from untrain.records.record import Requested
from untrain.records.serialization import canonical, parse_canonical, read_regular

KEY_BYTES = 32
_ID = b"untrain forget 1\0"
_CONTENT = b"untrain content 1\0"
_SUBJECT = b"untrain subject 1\0"
_SEED = b"untrain seed 1\0"
_DERIVED_SEED = b"untrain derive seed 1\0"
_CHECK = b"untrain key 1\0"

What = Literal["ids", "contents", "subjects"]
"""By what a request names examples."""

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


def content_tag(key: bytes, digest: str) -> str:
    """The tag of a content, given by its SHA-256."""
    return _mac(key, _CONTENT + bytes.fromhex(digest))


def subject_tag(key: bytes, name: str) -> str:
    """The tag of a subject."""
    return _mac(key, _SUBJECT + name.encode("utf-8", "surrogatepass"))


def seed_commitment(key: bytes, seed: int) -> str:
    """The tag of a seed."""
    return _mac(key, _SEED + str(seed).encode())


def secret_seed(key: bytes, earlier: int) -> int:
    """A seed that only the owner of the key knows: another one for each request of a chain.

    Args:
        key: of the chain.
        earlier: number of earlier requests.
    """
    return int(_mac(key, _DERIVED_SEED + str(earlier).encode())[:15], 16)


def key_check(key: bytes) -> str:
    """A fingerprint of the key. It tells, without any id, whether a key belongs to a record."""
    return _mac(key, _CHECK)


def _mac(key: bytes, message: bytes) -> str:
    if len(key) != KEY_BYTES:
        raise InputError(f"A key has {KEY_BYTES} bytes, got {len(key)}; pass the one of `read_key`.")
    return hmac.digest(key, message, "sha256").hex()


def commitment(tags: Iterable[str], contents: Iterable[str] = (), subjects: Iterable[str] = ()) -> str:
    """SHA-256 of all tags, in the given order; tags of contents and subjects have a letter before them."""
    parts = (*tags, *(f"c{tag}" for tag in contents), *(f"s{tag}" for tag in subjects))
    return hashlib.sha256("".join(parts).encode("ascii")).hexdigest()


def commit(
    ids: Iterable[str],
    key: bytes,
    *,
    retained: int,
    validation: int,
    classes: int,
    contents: Iterable[str] = (),
    subjects: Iterable[str] = (),
    basis: str | None = None,
) -> Requested:
    """Describe a request, with a commitment in place of its ids.

    Args:
        ids: ids of the examples to forget, as `str` or NumPy strings.
        key: the key of the previous request, or a `new_key`.
        retained: number of training examples that stay.
        validation: number of validation examples.
        classes: number of classes.
        contents: SHA-256 of the inputs of the examples to forget, in hexadecimal.
        subjects: names of the persons or things that the request is about.
        basis: why the examples are to be forgotten. It is published, so it should name nobody.

    Raises:
        InputError: an id occurs twice, or the key has the wrong length.
    """
    names = [str(name) for name in ids]
    tags = tuple(sorted({tag(key, name) for name in names}))
    if len(tags) != len(names):
        repeated = len(names) - len(tags)
        raise InputError(f"{repeated} of the {len(names)} ids to forget are repeated; name each id once.")
    content_tags = tuple(sorted({content_tag(key, digest) for digest in contents}))
    subject_tags = tuple(sorted({subject_tag(key, str(name)) for name in subjects}))
    return Requested(
        forgotten=len(tags),
        retained=retained,
        validation=validation,
        classes=classes,
        key_check=key_check(key),
        tags=tags,
        contents=content_tags,
        subjects=subject_tags,
        basis=basis,
        commitment=commitment(tags, content_tags, subject_tags),
    )


def held(requests: Iterable[Requested], key: bytes, names: Iterable[str], what: What = "ids") -> set[str]:
    """The subset of `names` that the requests name.

    Args:
        requests: with the same key.
        key: of the requests.
        names: ids, contents by their SHA-256, or subjects.
        what: which of these they are. Records of schema 1 and 2 name no contents.

    Raises:
        InputError: the key does not belong to a request.
    """
    check, tags = key_check(key), set[str]()
    for requested in requests:
        if requested.key_check != check:
            raise InputError(WRONG_KEY)
        tags.update({"ids": requested.tags, "contents": requested.contents, "subjects": requested.subjects}[what])
    tag_of = {"ids": tag, "contents": content_tag, "subjects": subject_tag}[what]
    return {name for name in map(str, names) if tag_of(key, name) in tags} if tags else set()


def check_commitment(requested: Requested) -> None:
    """Check without the key that the tags, their number and their digest agree.

    Raises:
        IntegrityError: they do not agree.
    """
    lists = (requested.tags, requested.contents, requested.subjects)
    if any(list(tags) != sorted(set(tags)) for tags in lists):
        raise IntegrityError("the tags of the record are not sorted and distinct")
    if len(requested.tags) != requested.forgotten:
        raise IntegrityError(f"the record has {len(requested.tags)} tags for {requested.forgotten} examples to forget")
    if len(requested.contents) > requested.forgotten:
        raise IntegrityError(f"the record has {len(requested.contents)} contents for {requested.forgotten} examples")
    if (computed := commitment(*lists)) != requested.commitment:
        raise IntegrityError(f"the commitment to the tags is {computed}, and the record says {requested.commitment}")


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
