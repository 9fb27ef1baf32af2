import base64
import hashlib
import json
import subprocess
import sys
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
from untrain.records.dsse import read_public_key
from untrain.records.record import canonical


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
    with pytest.raises(IntegrityError, match="page: expected the page that the record makes"):
        sign(directory, pair[0])
    assert not (directory / "record.dsse.json").exists()
    with pytest.raises(InputError, match="expected the directory of a request at"):
        sign(directory / "none", pair[0])


def forged(path: Path, **changes: Any) -> None:
    path.write_bytes(canonical({**json.loads(path.read_bytes()), **changes}))


def test_envelopes_that_do_not_hold_are_refused(directory: Path, pair: tuple[Path, Path], tmp_path: Path) -> None:
    path = sign(directory, pair[0])
    good = path.read_bytes()
    envelope = json.loads(good)
    (signature,) = envelope["signatures"]
    raw = base64.b64decode(signature["sig"])
    swapped = base64.b64encode(raw[32:] + raw[:32]).decode()
    payload = json.loads(base64.b64decode(envelope["payload"]))

    def encoded(**changes: Any) -> str:
        return base64.b64encode(canonical({**payload, **changes})).decode()

    for changes, message in (
        (
            {"payloadType": "text/\x1b"},
            r"expected a payload of type application/vnd\.in-toto\+json .* got 'text/\\x1b'",
        ),
        ({"payload": encoded(predicateType="urn:x")}, "expected the predicateType 'urn:untrain:record:1' of this"),
        ({"payload": encoded(_type="x")}, "expected the _type 'https"),
        ({"payload": encoded(predicate={})}, "expected the predicate {'created'.* of this record in .*, got {}: what"),
        ({"payload": encoded(more=1)}, "expected the more None of this record in .*, got 1"),
        ({"payload": encoded(subject=payload["subject"][:2])}, "expected the subject "),
        ({"payload": "*"}, "expected base64 in .*, got something else"),
        ({"payload": envelope["payload"] + "\n"}, "expected base64 in .*, got something else"),
        ({"payload": base64.b64encode(b"{}").decode()}, "expected JSON in the form that untrain writes in the payload"),
        ({"signatures": []}, "expected a DSSE envelope with one signature in .*, got: .*length >= 1"),
        ({"signatures": [signature, signature]}, "expected a DSSE envelope with one signature in .*length <= 1"),
        ({"signatures": [{**signature, "keyid": "0" * 64}]}, "expected a signature by the key .*, got '000"),
        ({"signatures": [{**signature, "sig": swapped}]}, "expected a signature by the key .*one that does not hold"),
        ({"signatures": [{**signature, "sig": ""}]}, ".*, got one that does not hold"),
        ({"signatures": [{**signature, "sig": signature["sig"][:-3] + "B=="}]}, "expected base64 in its one form in"),
        ({"signatures": [{**signature, "cert": "x"}]}, ".*unknown field `cert`"),
        ({"more": 1}, ".*unknown field `more`"),
    ):
        forged(path, **changes)
        found = verify(directory, public_key=pair[1])
        with pytest.raises(IntegrityError, match=f"signature: {message}"):
            found.insist()
        assert [each.what for each in found.checks if each.ok is False] == ["signature"]
        path.write_bytes(good)
    path.write_bytes(good[:-1])
    with pytest.raises(IntegrityError, match="signature: expected JSON in the form"):
        verify(directory).insist()
    path.write_bytes(b" " * (2**20 + 1))
    with pytest.raises(IntegrityError, match="signature: expected at most 1048576 bytes"):
        verify(directory).insist()


def test_a_signature_is_looked_at_without_a_key_too(directory: Path, pair: tuple[Path, Path]) -> None:
    sign(directory, pair[0])
    (look,) = (each for each in verify(directory).checks if each.what == "signature")
    assert (look.ok, look.words) == (
        None, "there is one that fits the files; no public key was given to see whose it is",
    )  # fmt: skip


def test_only_unencrypted_ed25519_keys_are_taken(directory: Path, tmp_path: Path) -> None:
    key, other = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    curve = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "key.pem"
    asked = r"expected an ed25519 private key in PEM \(PKCS #8, not encrypted\) in .*key\.pem"
    with pytest.raises(InputError, match=asked + ", found none: No such file"):
        sign(directory, path)
    for content, message in (
        (encrypted, "got something else: TypeError"),
        (b"secret", "got something else: ValueError"),
        (b"", "got something else: ValueError"),
        (curve, "got (ECPrivateKey|.*EllipticCurvePrivateKey)"),
        (public, "got something else: ValueError"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=asked + ", " + message) as caught:
            sign(directory, path)
        assert "secret" not in str(caught.value)
    asked = r"expected an ed25519 public key in PEM in .*key\.pem"
    for content, message in (
        (public, "got (ECPublicKey|.*EllipticCurvePublicKey)"),
        (b"", "got something else: ValueError"),
        (key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "got something else: ValueError"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=asked + ", " + message):
            read_public_key(path)
    path.unlink()
    with pytest.raises(InputError, match=asked + ", found none: No such file"):
        verify(directory, public_key=path)


@pytest.mark.parametrize("missing", ["securesystemslib", "cryptography"])
def test_without_the_extra_it_is_named_and_the_rest_is_checked(
    missing: str, directory: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(directory, pair[0])
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    sentence = r"expected the extra for signatures, which is not installed .*: pip install 'untrain\[sign\]'"
    with pytest.raises(NotSupportedError, match=sentence):
        sign(directory, pair[0])
    with pytest.raises(NotSupportedError, match=sentence):
        verify(directory, public_key=pair[1])
    assert verify(directory).ok
    payload = msgspec.json.decode((directory / "record.dsse.json").read_bytes())["payload"]
    forged(directory / "record.dsse.json", payload=payload[:-8])
    assert not verify(directory).ok
