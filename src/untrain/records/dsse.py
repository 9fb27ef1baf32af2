"""A signature over a record: an in-toto statement in a DSSE envelope, signed with ed25519.

The statement names the files by their SHA-256 and sums the record up; the envelope carries it and one signature over
DSSE's pre-authentication encoding of it, so that neither the statement nor its type can be exchanged. Forms:
https://github.com/in-toto/attestation (Statement v1) and https://github.com/secure-systems-lab/dsse. To sign, and to
check who signed, needs the extra `untrain[sign]`; everything else about an envelope is checked without it. A signature
does not show when it was made, nor that no later request follows.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from untrain.errors import InputError, IntegrityError, NotSupportedError
from untrain.records.record import Record, canonical, parse_canonical

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:untrain:record:1"
LARGEST_ENVELOPE = 2**20


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DSSE envelope with one signature."""

    payload: str
    payloadType: str  # noqa: N815 (DSSE's name)
    signatures: Annotated[tuple[_Signature, ...], msgspec.Meta(min_length=1, max_length=1)]


def statement(record: Record, digests: Mapping[str, str]) -> dict[str, Any]:
    """The in-toto statement about a record.

    Args:
        record: that is summed up.
        digests: SHA-256 of each file that is signed, by name.
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "created": record.created,
            "outcome": record.verdict.outcome,
            "method": record.applied.method,
            "forgotten": record.requested.forgotten,
            "retained": record.requested.retained,
            "commitment": record.requested.commitment,
        },
    }


def parse_envelope(data: bytes, where: str | Path) -> Envelope:
    """The envelope of which these bytes are the file.

    Raises:
        IntegrityError: they are not in the form that `sign` writes.
    """
    plain = parse_canonical(data, where)
    try:
        envelope = msgspec.convert(plain, Envelope)
    except ValueError as error:  # also of escapes that spell what is no text
        raise IntegrityError(f"expected a DSSE envelope with one signature in {where}, got: {error}") from error
    if envelope.payloadType != PAYLOAD_TYPE:
        raise IntegrityError(f"expected a payload of type {PAYLOAD_TYPE} in {where}, got {envelope.payloadType!r}")
    return envelope


def check_statement(envelope: Envelope, expected: Mapping[str, Any], where: str | Path) -> None:
    """Check that what was signed is what the record and its files are now.

    Args:
        envelope: with a statement.
        expected: the `statement` about the record and files that are there.
        where: the envelope is, for messages.

    Raises:
        IntegrityError: it differs.
    """
    found = parse_canonical(_decoded(envelope.payload, where), f"the payload of {where}")
    for name in sorted({*expected, *found}):
        if found.get(name) != expected.get(name):
            raise IntegrityError(
                f"expected the {name} {expected.get(name)!r} of this record in {where}, got {found.get(name)!r}: "
                "what was signed is not what is here"
            )


def _decoded(text: str, where: str | Path) -> bytes:
    """The bytes of which the text is the one base64 form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError(f"expected base64 in {where}, got something else: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise IntegrityError(f"expected base64 in its one form in {where}, got another: it changed")
    return data


def signed(content: Mapping[str, Any], private_key: str | Path) -> bytes:
    """The envelope of a statement, as it stands in its file.

    Args:
        content: the statement.
        private_key: a PEM file with an ed25519 key in PKCS #8, not encrypted.

    Raises:
        NotSupportedError: the extra is not installed.
        InputError: there is no such key.
    """
    with _extra():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.dsse import Envelope as Dsse
        from securesystemslib.signer import CryptoSigner

    expected = f"expected an ed25519 private key in PEM (PKCS #8, not encrypted) in {private_key}"
    key = _key(private_key, lambda pem: load_pem_private_key(pem, password=None), Ed25519PrivateKey, expected)
    envelope = Dsse(canonical(content), PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(key))
    return canonical(envelope.to_dict())


def check_signature(envelope: Envelope, public_key: "SSlibKey", where: str | Path) -> None:
    """Check that the owner of a key signed the envelope.

    Args:
        envelope: as it was read.
        public_key: as `read_public_key` reads it.
        where: the envelope is, for messages.

    Raises:
        IntegrityError: no, or it changed since.
    """
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.exceptions import VerificationError

    (signature,) = envelope.signatures
    for part in (envelope.payload, signature.sig):
        _decoded(part, where)
    if signature.keyid != public_key.keyid:
        raise IntegrityError(f"expected a signature by the key {public_key.keyid} in {where}, got {signature.keyid!r}")
    try:
        Dsse.from_dict(msgspec.to_builtins(envelope)).verify([public_key], threshold=1)
    except VerificationError as error:
        raise IntegrityError(
            f"expected a signature by the key {public_key.keyid} in {where}, got one that does not hold"
        ) from error


def read_public_key(path: str | Path) -> "SSlibKey":
    """An ed25519 key from a PEM file (SubjectPublicKeyInfo), as `openssl pkey -pubout` writes it.

    Raises:
        NotSupportedError: the extra is not installed.
        InputError: there is no such key.
    """
    with _extra():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey

    expected = f"expected an ed25519 public key in PEM in {path}"
    key = _key(path, load_pem_public_key, Ed25519PublicKey, expected)
    return SSlibKey.from_crypto(key)


def _key(path: str | Path, load: Callable[[bytes], object], kind: type, expected: str) -> Any:  # noqa: ANN401 (a `kind`)
    """The key in a PEM file; whatever the library finds wrong with it is one sentence, which never shows the key."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        pem = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{expected}, found none: {getattr(error, 'strerror', None) or error}") from error
    try:
        key = load(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{expected}, got something else: {type(error).__name__}") from error
    if not isinstance(key, kind):
        raise InputError(f"{expected}, got {type(key).__name__}")
    return key


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise NotSupportedError(
            f"expected the extra for signatures, which is not installed ({error}): pip install 'untrain[sign]'"
        ) from error
