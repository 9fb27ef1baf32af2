import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from tests.records.samples import written
from untrain.errors import InputError, IntegrityError, NotSupportedError
from untrain.records import read_record, sign, verify
from untrain.records.serialization import canonical


def key_pair(folder: Path) -> tuple[Path, Path]:
    """PEM files with a new private and public key."""
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return written(tmp_path / "request")


def test_the_envelope_is_what_dsse_and_in_toto_say(directory: Path, pair: tuple[Path, Path]) -> None:
    path = sign(directory, pair[0])
    assert path == directory / "record.dsse.json"
    envelope = json.loads(path.read_text())
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    assert kind == "application/vnd.in-toto+json"
    encoding = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    public = load_pem_public_key(pair[1].read_bytes())
    assert isinstance(public, ed25519.Ed25519PublicKey)
    (signature,) = envelope["signatures"]
    public.verify(base64.b64decode(signature["sig"]), encoding)  # raises if it does not hold
    found, record = json.loads(payload), read_record(directory / "record.json")
    assert found == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": hashlib.sha256((directory / name).read_bytes()).hexdigest()}}
            for name in ("model.safetensors", "record.json", "report.html")
        ],
        "predicateType": "urn:untrain:record:1",
        "predicate": {
            "created": record.created, "outcome": "forgotten", "method": "finetune:default", "forgotten": 3,
            "retained": 97, "commitment": record.requested.commitment,
        },
    }  # fmt: skip


def test_keys_of_openssl_sign(directory: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    try:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    sign(directory, private)
    assert verify(directory, public_key=public).ok
    again = (directory / "record.dsse.json").read_bytes()
    (directory / ".record.dsse.json.9.tmp").touch()
    assert sign(directory, private).read_bytes() == again


def test_nothing_damaged_is_signed(directory: Path, pair: tuple[Path, Path]) -> None:
    (directory / "report.html").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"page: .*has 5 bytes, and the record says"):
        sign(directory, pair[0])
    assert not (directory / "record.dsse.json").exists()
    with pytest.raises(InputError, match="none is not a directory"):
        sign(directory / "none", pair[0])


def forged(path: Path, **changes: Any) -> None:
    path.write_bytes(canonical({**json.loads(path.read_bytes()), **changes}))


def encoded(payload: dict[str, Any], **changes: Any) -> str:
    return base64.b64encode(canonical({**payload, **changes})).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {"payloadType": "text/\x1b"}, r"must be of type application/vnd.*got 'text/\\x1b'"),
        (
            lambda p: {"payload": encoded(p, predicateType="urn:x")},
            "signs predicateType 'urn:x', but the files have 'urn:untrain:record:1'",
        ),
        (lambda p: {"payload": encoded(p, _type="x")}, "signs _type 'x', but the files have 'https"),
        (
            lambda p: {"payload": encoded(p, predicate={})},
            "signs predicate {}, but the files have {'created'.*: the signature",
        ),
        (lambda p: {"payload": encoded(p, more=1)}, "signs more 1, but the files have None"),
        (lambda p: {"payload": encoded(p, subject=p["subject"][:2])}, "signs subject "),
        (lambda p: {"payload": "*"}, "contains invalid base64"),
        (lambda p: {"payload": encoded(p) + "\n"}, "contains invalid base64"),
        (lambda p: {"payload": base64.b64encode(b"{}").decode()}, "the payload of .* is not in the form"),
        (lambda p: {"more": 1}, ".*unknown field `more`"),
    ],
)
def test_statements_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str, directory: Path, pair: tuple[Path, Path]
) -> None:
    path = sign(directory, pair[0])
    forged(path, **change(json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))))
    refused(directory, pair[1], message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sig: [], "not a DSSE envelope with one signature.*length >= 1"),
        (lambda sig: [sig, sig], "not a DSSE envelope with one signature.*length <= 1"),
        (lambda sig: [{**sig, "keyid": "0" * 64}], "is signed by the key '000"),
        (lambda sig: [{**sig, "sig": swapped(sig["sig"])}], "signature in .* by the key .* is invalid"),
        (lambda sig: [{**sig, "sig": ""}], "is invalid"),
        (lambda sig: [{**sig, "sig": sig["sig"][:-3] + "B=="}], "base64 that is not in canonical form"),
        (lambda sig: [{**sig, "cert": "x"}], "unknown field `cert`"),
    ],
)
def test_signatures_that_do_not_hold_are_refused(
    change: Callable[[dict[str, str]], list[dict[str, str]]], message: str, directory: Path, pair: tuple[Path, Path]
) -> None:
    path = sign(directory, pair[0])
    (signature,) = json.loads(path.read_bytes())["signatures"]
    forged(path, signatures=change(signature))
    refused(directory, pair[1], message)


def swapped(signature: str) -> str:
    raw = base64.b64decode(signature)
    return base64.b64encode(raw[32:] + raw[:32]).decode()


def refused(directory: Path, public: Path, message: str) -> None:
    """The signature, and nothing else, fails with this message."""
    result = verify(directory, public_key=public)
    with pytest.raises(IntegrityError, match=f"signature: .*{message}"):
        result.insist()
    assert [check.what for check in result.checks if check.ok is False] == ["signature"]


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda data: data[:-1], "is not in the form"), (lambda data: b" " * (2**20 + 1), "at most 1048576 are read")],
)
def test_envelopes_of_another_form_are_refused(
    change: Callable[[bytes], bytes], message: str, directory: Path, pair: tuple[Path, Path]
) -> None:
    path = sign(directory, pair[0])
    path.write_bytes(change(path.read_bytes()))
    refused(directory, pair[1], message)


def test_a_signature_is_looked_at_without_a_key_too(directory: Path, pair: tuple[Path, Path]) -> None:
    sign(directory, pair[0])
    (look,) = (each for each in verify(directory).checks if each.what == "signature")
    assert (look.ok, look.words) == (
        None, "fits the files; no public key was given to check the signer",
    )  # fmt: skip


ED25519, CURVE = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
PLAIN = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
ENCRYPTED = ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
CURVE_PUBLIC = CURVE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ENCRYPTED, "cannot be loaded .TypeError"),
        (b"secret", "cannot be loaded .ValueError"),
        (b"", "cannot be loaded .ValueError"),
        (CURVE.private_bytes(*PLAIN), "got (ECPrivateKey|.*EllipticCurvePrivateKey)"),
        (CURVE_PUBLIC, "cannot be loaded .ValueError"),
        (None, "No such file"),
    ],
)
def test_only_unencrypted_ed25519_keys_sign(
    content: bytes | None, message: str, directory: Path, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"key\.pem must be an unencrypted ed25519 private key .*{message}") as caught:
        sign(directory, path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CURVE_PUBLIC, "got (ECPublicKey|.*EllipticCurvePublicKey)"),
        (b"", "cannot be loaded .ValueError"),
        (ED25519.private_bytes(*PLAIN), "cannot be loaded .ValueError"),
        (None, "No such file"),
    ],
)
def test_only_ed25519_public_keys_verify(content: bytes | None, message: str, directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"key\.pem must be an ed25519 public key .*{message}"):
        verify(directory, public_key=path)


@pytest.mark.parametrize("missing", ["securesystemslib", "cryptography"])
def test_without_the_extra_it_is_named_and_the_rest_is_checked(
    missing: str, directory: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(directory, pair[0])
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    sentence = r"needs the `sign` extra: pip install 'untrain\[sign\]'"
    with pytest.raises(NotSupportedError, match=sentence):
        sign(directory, pair[0])
    with pytest.raises(NotSupportedError, match=sentence):
        verify(directory, public_key=pair[1])
    assert verify(directory).ok
    payload = msgspec.json.decode((directory / "record.dsse.json").read_bytes())["payload"]
    forged(directory / "record.dsse.json", payload=payload[:-8])
    assert not verify(directory).ok
