import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.records.samples import KEY
from untrain.errors import InputError, IntegrityError
from untrain.records import commit, held, new_key, read_key, write_key
from untrain.records.commitment import check_commitment, commitment, key_check, tag
from untrain.records.record import Requested
from untrain.records.serialization import canonical

IDS = ("cat.png", "Grüße", "\ud800", "")


def hmac_by_hand(key: bytes, message: bytes) -> str:
    """HMAC as RFC 2104 defines it."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).hexdigest()


def asked(ids: tuple[str, ...] = IDS, key: bytes = KEY) -> Requested:
    return commit(ids, key, retained=10, validation=5, classes=2)


def test_tags_are_what_the_definition_says() -> None:
    assert tag(KEY, "Grüße") == hmac_by_hand(KEY, b"untrain forget 1\0Gr\xc3\xbc\xc3\x9fe")
    assert key_check(KEY) == hmac_by_hand(KEY, b"untrain key 1\0")
    found = asked()
    expected = sorted(hmac_by_hand(KEY, b"untrain forget 1\0" + name.encode("utf-8", "surrogatepass")) for name in IDS)
    assert list(found.tags) == expected
    assert found.commitment == hashlib.sha256("".join(expected).encode()).hexdigest()
    assert (found.forgotten, found.retained, found.validation, found.classes) == (4, 10, 5, 2)
    check_commitment(found)


def test_who_has_the_key_can_tell_which_ids_are_held() -> None:
    found = asked()
    assert held([found], KEY, ["cat.png", "dog.png", ""]) == {"cat.png", ""}
    assert held([asked(("cat",)), found], KEY, np.array(["cat.png", "cat", "ca"])) == {"cat.png", "cat"}
    assert held([], KEY, IDS) == set()
    with pytest.raises(InputError, match="does not belong to this record"):
        held([asked(key=new_key()), found], KEY, IDS)


def test_the_commitment_tells_nothing_of_order_and_nothing_without_the_key() -> None:
    assert asked(IDS[::-1]) == asked()
    assert commit(np.array(IDS), KEY, retained=10, validation=5, classes=2) == asked()
    other = asked(key=new_key())
    assert not set(other.tags) & set(asked().tags)
    assert other.key_check != asked().key_check
    # Tags that one could compute without the key.
    for guess in (hashlib.sha256, lambda data: hashlib.sha256(b"untrain forget 1\0" + data)):
        assert not {guess(name.encode("utf-8", "surrogatepass")).hexdigest() for name in IDS} & set(asked().tags)
    assert len({new_key() for _ in range(100)}) == 100


def test_ids_come_once() -> None:
    with pytest.raises(InputError, match=r"2 of the 5 ids .* repeated"):
        asked(("a", "b", "a", "b", "c"))


@pytest.mark.parametrize("key", [b"", KEY[:-1], KEY + b"\0"])
def test_keys_have_one_length(key: bytes) -> None:
    with pytest.raises(InputError, match=f"A key has 32 bytes, got {len(key)}"):
        asked(key=key)


GOOD = asked()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tags": GOOD.tags[::-1]}, "not sorted and distinct"),
        ({"tags": (GOOD.tags[0], *GOOD.tags)}, "not sorted and distinct"),
        ({"forgotten": 5}, "4 tags for 5 examples"),
        ({"tags": GOOD.tags[1:], "forgotten": 3}, f"the record says {GOOD.commitment}"),
        ({"commitment": commitment([])}, f"the record says {commitment([])}"),
    ],
)
def test_tags_that_do_not_agree_are_found(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        check_commitment(msgspec.structs.replace(GOOD, **changes))


def test_the_key_file_is_its_owners_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, modes = tmp_path / "deep" / "request.key", []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        modes.append(os.fstat(descriptor).st_mode)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    before = os.umask(0)
    try:
        write_key(path, KEY)
    finally:
        os.umask(before)
    assert modes[0] & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == KEY
    assert path.read_bytes() == canonical({"schema": 1, "key": KEY.hex()})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "key is not JSON"),
        (canonical({"schema": 1, "key": KEY.hex()})[:-1], "not in the form that untrain writes"),
        (canonical({"schema": 2, "key": KEY.hex()}), "is not a request key: .*schema"),
        (canonical({"schema": 1, "key": "zz" * 32}), "is not a request key: .*matching regex"),
        (canonical({"schema": 1, "key": "AA" * 32}), "is not a request key: .*matching regex"),
        (canonical({"schema": 1, "key": "00"}), "is not a request key: .*matching regex"),
        (canonical({"schema": 1}), "missing required field `key`"),
    ],
)
def test_what_is_no_key_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(IntegrityError, match=message):
        read_key(tmp_path / "key")


def test_a_key_that_is_not_there_is_missed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no request key at .*key"):
        read_key(tmp_path / "key")
