"""Signatures of records: an in-toto statement in a DSSE envelope, signed with ed25519.

The statement lists the files with their SHA-256 and summarizes the record. The envelope contains the statement and one
signature of its DSSE pre-authentication encoding, so neither the statement nor its type can be exchanged. See
https://github.com/in-toto/attestation (Statement v1) and https://github.com/secure-systems-lab/dsse.

Signing, and checking who signed, needs the extra `untrain[sign]`. Everything else is checked without it. A signature
does not show when it was made, nor that no later request exists.
"""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from untrain.core.extras import extra
from untrain.errors import InputError, IntegrityError
from untrain.records.record import Plain, Record
from untrain.records.serialization import canonical, parse_canonical

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


def statement(record: Record, digests: Mapping[str, str]) -> Plain:
    """The in-toto statement about a record.

    Args:
        record: the record to summarize.
        digests: SHA-256 of each signed file, by name.
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
    """Parse the content of an envelope file.

    Raises:
        IntegrityError: the data are not in the form that `sign` writes.
    """
    plain = parse_canonical(data, where)
    try:
        envelope = msgspec.convert(plain, Envelope)
    except ValueError as error:  # also for escapes that are not valid text
        raise IntegrityError(f"{where} is not a DSSE envelope with one signature: {error}") from error
    if envelope.payloadType != PAYLOAD_TYPE:
        raise IntegrityError(f"The payload of {where} must be of type {PAYLOAD_TYPE}, got {envelope.payloadType!r}.")
    return envelope


def check_statement(envelope: Envelope, expected: Plain, where: str | Path) -> None:
    """Check that the signed statement describes the current record and files.

    Args:
        envelope: an envelope with a statement.
        expected: the `statement` about the current record and files.
        where: name of the envelope file, for error messages.

    Raises:
        IntegrityError: the signed statement differs.
    """
    signed = parse_canonical(_decoded(envelope.payload, where), f"the payload of {where}")
    for name in sorted({*expected, *signed}):
        if signed.get(name) != expected.get(name):
            raise IntegrityError(
                f"{where} signs {name} {signed.get(name)!r}, but the files have {expected.get(name)!r}: "
                "the signature is for other files."
            )


def _decoded(text: str, where: str | Path) -> bytes:
    """Decode canonical base64."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise IntegrityError(f"{where} contains invalid base64: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise IntegrityError(f"{where} contains base64 that is not in canonical form: it changed")
    return data


def signed(content: Plain, private_key: str | Path) -> bytes:
    """Sign a statement.

    Args:
        content: the statement.
        private_key: PEM file with an unencrypted ed25519 key in PKCS #8.

    Returns:
        The content of the envelope file.

    Raises:
        NotSupportedError: the extra is not installed.
        InputError: the file contains no such key.
    """
    _need_extra()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.signer import CryptoSigner

    what = "an unencrypted ed25519 private key (PEM, PKCS #8)"
    key = _key(private_key, lambda pem: load_pem_private_key(pem, password=None), Ed25519PrivateKey, what)
    envelope = Dsse(canonical(content), PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(key))
    return canonical(envelope.to_dict())


def check_signature(envelope: Envelope, public_key: "SSlibKey", where: str | Path) -> None:
    """Check that the owner of a key signed the envelope.

    Args:
        envelope: the envelope as read.
        public_key: the key as `read_public_key` returns it.
        where: name of the envelope file, for error messages.

    Raises:
        IntegrityError: the owner did not sign it, or it changed since.
    """
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.exceptions import VerificationError

    (signature,) = envelope.signatures
    for part in (envelope.payload, signature.sig):
        _decoded(part, where)
    if signature.keyid != public_key.keyid:
        raise IntegrityError(f"{where} is signed by the key {signature.keyid!r}, not by {public_key.keyid}.")
    try:
        Dsse.from_dict(msgspec.to_builtins(envelope)).verify([public_key], threshold=1)
    except VerificationError as error:
        raise IntegrityError(f"The signature in {where} by the key {public_key.keyid} is invalid.") from error


def read_public_key(path: str | Path) -> "SSlibKey":
    """Read an ed25519 public key from a PEM file (SubjectPublicKeyInfo), as `openssl pkey -pubout` writes it.

    Raises:
        NotSupportedError: the extra is not installed.
        InputError: the file contains no such key.
    """
    _need_extra()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    return SSlibKey.from_crypto(_key(path, load_pem_public_key, Ed25519PublicKey, "an ed25519 public key (PEM)"))


def _key(path: str | Path, load: Callable[[bytes], object], kind: type, what: str) -> Any:  # noqa: ANN401 (a `kind`)
    """Read a key of one kind. No error message shows the content of the file."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        pem = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be {what}: {getattr(error, 'strerror', None) or error}") from error
    try:
        key = load(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} must be {what}: the file cannot be loaded ({type(error).__name__})") from error
    if not isinstance(key, kind):
        raise InputError(f"{path} must be {what}, got {type(key).__name__}.")
    return key


def _need_extra() -> None:
    for module in ("securesystemslib.signer", "cryptography"):
        extra("sign", module)
