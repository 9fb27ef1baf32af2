import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.samples import record, state
from untrain.core.estimate import Estimate
from untrain.errors import InputError, IntegrityError, NotSupportedError
from untrain.records import Ground, Record, Verdict, now, read_record, state_digest
from untrain.records import serialization as module
from untrain.records.record import Outcome
from untrain.records.serialization import canonical, content, parse_record, record_bytes, sha256_of_file


def resealed(plain: dict[str, Any]) -> bytes:
    """Bytes as someone would write them who computes the digest anew."""
    rest = {name: value for name, value in plain.items() if name != "sha256"}
    return canonical({**rest, "sha256": hashlib.sha256(canonical(rest)).hexdigest()})


def test_a_record_comes_back(tmp_path: Path) -> None:
    made = record()
    (tmp_path / "record.json").write_bytes(record_bytes(made))
    assert read_record(tmp_path / "record.json") == msgspec.convert(msgspec.to_builtins(made), Record)
    assert record_bytes(read_record(tmp_path / "record.json")) == record_bytes(made)
    verdict = Verdict(outcome=Outcome.NOT_SHOWN, sentences=())
    bare = record(membership=None, audit=None, limits=(), verdict=verdict)
    assert parse_record(record_bytes(bare), "here") == msgspec.convert(msgspec.to_builtins(bare), Record)


def test_the_file_is_what_its_description_says() -> None:
    data = record_bytes(record())
    plain = json.loads(data)
    assert data == (json.dumps(plain, sort_keys=True, indent=1) + "\n").encode()
    found = plain.pop("sha256")
    assert found == hashlib.sha256((json.dumps(plain, sort_keys=True, indent=1) + "\n").encode()).hexdigest()
    assert plain["schema"] == 3


def test_what_a_method_has_as_settings_can_be_written() -> None:
    settings = {
        "rate": np.float32(0.5), "steps": np.int64(3), "factors": np.ones(2), "layers": ("a", "b"), "on": True,
        "none": None, "Grüße \ud800 <b>": "\x00", 3: "three",
    }  # fmt: skip
    made = record(applied=msgspec.structs.replace(record().applied, settings=settings, seconds=2))
    back = parse_record(record_bytes(made), "here").applied
    assert back.settings == {
        "rate": 0.5, "steps": 3, "factors": [1.0, 1.0], "layers": ["a", "b"], "on": True, "none": None,
        "Grüße \ud800 <b>": "\x00", "3": "three",
    }  # fmt: skip
    assert back.seconds == 2.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"applied": {"seconds": float("nan")}}, "nan|JSON compliant|float"),
        ({"applied": {"settings": {"lr": float("inf")}}}, "."),
        ({"applied": {"settings": {"function": print}}}, "built-in function print"),
        ({"model": {"before": "ABC"}}, "matching regex .* `\\$.model.before`"),
        ({"requested": {"forgotten": -1}}, ">= 0.*`\\$.requested.forgotten`"),
        ({"verdict": {"outcome": "wonderful"}}, "Invalid enum value 'wonderful'"),
        ({"created": 7}, "Expected `str`, got `int` - at `\\$.created`"),
    ],
)
def test_what_cannot_be_read_again_is_not_written(changes: dict[str, Any], message: str) -> None:
    made = record()
    made = msgspec.structs.replace(
        made,
        **{
            name: msgspec.structs.replace(getattr(made, name), **inner) if isinstance(inner, dict) else inner
            for name, inner in changes.items()
        },
    )
    with pytest.raises(InputError, match="finite JSON values only: .*" + message):
        record_bytes(made)


def test_settings_without_end_are_refused() -> None:
    settings: dict[str, Any] = {}
    settings["self"] = settings
    with pytest.raises(InputError, match="finite JSON values only"):
        record_bytes(record(applied=msgspec.structs.replace(record().applied, settings=settings)))


DATA = record_bytes(record())


@pytest.mark.parametrize(
    "other",
    [
        DATA[:-1], DATA + b"\n", b" " + DATA, b"\xef\xbb\xbf" + DATA, DATA.replace(b"\n", b"\r\n"), b"",
        DATA.replace(b'"forgotten": 3', b'"forgotten": 3.0'), DATA.replace(b'"forgotten": 3', b'"forgotten": 4'),
        DATA.replace(b'"schema": 3,', b'"schema": 3,\n "schema": 3,'), DATA.replace(b"0.01", b"NaN", 1),
        json.dumps(json.loads(DATA)).encode(), json.dumps(json.loads(DATA)).encode("utf-16"),
        b"[]\n", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, DATA.replace(b"0.71", b"1e999"),
        DATA.replace(b'"sha256"', b'"sha265"'),
    ],
    ids=range(18),
)  # fmt: skip
def test_every_byte_counts(other: bytes) -> None:
    assert other != DATA
    with pytest.raises(IntegrityError, match=r"here"):
        parse_record(other, "here")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"schema": 4, "more": 1}, NotSupportedError, "here has schema 4; .* reads 3: upgrade untrain"),
        ({"schema": "1"}, IntegrityError, "here is not a record: .*schema"),
        ({"more": 1}, IntegrityError, "here is not a record: .*unknown field `more`"),
        ({"files": {"../../etc/passwd": 1}}, IntegrityError, "here is not a record"),
        ({"applied": "\ud800"}, IntegrityError, "here is not a record: .* surrogates not allowed"),
    ],
)  # fmt: skip
def test_other_forms_are_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_record(resealed({**content(record()), **changes}), "here")


def test_only_files_of_a_sensible_size_are_read(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(InputError, match=r"no record at .*record\.json"):
        read_record(path)
    path.mkdir()
    with pytest.raises(IntegrityError, match=r"record\.json is a directory, not a regular file"):
        read_record(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(IntegrityError, match="is a pipe, not"):
        read_record(path)
    path.unlink()
    (tmp_path / "other").write_bytes(record_bytes(record()))
    path.symlink_to("other")
    with pytest.raises(IntegrityError, match="is a symbolic link, not"):
        read_record(path)
    path.unlink()
    path.touch()
    os.truncate(path, 64 * 2**20 + 1)
    with pytest.raises(IntegrityError, match=r"has 67108865 bytes; at most 67108864 are read"):
        read_record(path)


@pytest.mark.parametrize("read", [read_record, sha256_of_file])
def test_what_the_system_refuses_is_one_sentence(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(record_bytes(record()))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"record\.json cannot be read: Permission denied"):
        read(path)


def test_a_record_too_large_to_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(InputError, match=r"and at most 1000 can be read again; forget fewer examples"):
        record_bytes(record())


def test_digests_are_those_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 1000)
    found = sha256_of_file(tmp_path / "file")
    assert (found.sha256, found.bytes) == (hashlib.sha256(b"abc" * 1000).hexdigest(), 3000)
    arrays = state(1)
    expected = hashlib.sha256(b"{}")
    for name in sorted(arrays):
        head = json.dumps([name, str(arrays[name].dtype), list(np.atleast_1d(arrays[name]).shape)])
        expected.update(head.encode() + arrays[name].tobytes())
    assert state_digest(arrays) == expected.hexdigest()
    assert state_digest(dict(reversed(arrays.items()))) == expected.hexdigest()
    assert state_digest({**arrays, "bias": arrays["bias"].astype(np.float64)}) != expected.hexdigest()


def test_time_is_utc_in_seconds() -> None:
    found = datetime.fromisoformat(now())
    assert found.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - found) < timedelta(seconds=60)


def test_a_record_is_shown_in_three_lines() -> None:
    assert (
        repr(record())
        == str(record())
        == (
            "Record of 2026-05-04T03:02:01Z: forgotten by audit\n"
            "  3 examples to forget, 97 retained, by finetune:default\n"
            "  accuracy 95.00 % before and 94.00 % after"
        )
    )


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        record().verdict = Verdict(outcome=Outcome.DOUBTFUL, sentences=())  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"after": 0}, "did not change"),
        ({"verdict": Verdict(outcome=Outcome.KEPT_ORIGINAL, sentences=())}, "the model changed"),
        ({"verdict": Verdict(outcome=Outcome.FORGOTTEN, sentences=())}, "its ground None"),
        ({"verdict": Verdict(outcome=Outcome.NOT_SHOWN, ground=Ground.BY_AUDIT, sentences=())}, "its ground by audit"),
        ({"verdict": Verdict(outcome=Outcome.DOUBTFUL, sentences=())}, "schema 1"),
        ({"audit": None}, "holds no audit"),
        ({"memory": {"p_value": 0.05}}, "tells the model apart"),
        ({"memory": {"different_p_value": 0.01}}, "tells the model apart"),
        ({"models": 18}, "tells the model apart"),
        ({"memory": {"retain_accuracy": 0.94}}, "below that of every retrained model"),
        ({"memory": {"original_p_value": 0.06}}, "does not show it"),
        ({"memory": {"left": Estimate(0.3, 0.1, 0.5)}}, "does not show it"),
        ({"memory": {"trace_p_value": 0.06}}, "does not show it"),
        ({"memory": {"limit": 9.0, "left": Estimate(0.3, 0.1, 0.5)}}, "does not show it"),
        ({"verdict": Verdict(outcome=Outcome.REMEMBERED, sentences=())}, "neither audit nor membership"),
        ({"audit": None, "verdict": Verdict(outcome=Outcome.DIFFERENT, sentences=())}, "holds no audit"),
        (
            {
                "memory": {"p_value": 0.05, "left": Estimate(0.9, 0.6, 1.2)},
                "verdict": Verdict(outcome=Outcome.FORGOTTEN, ground=Ground.BY_CONSTRUCTION, sentences=()),
            },
            "finds memory",
        ),
        ({"membership": {"after": Estimate(0.7, 0.51, 0.8)}}, "membership attack recognizes"),
    ],
)
def test_a_record_whose_outcome_contradicts_its_figures_is_refused(changes: dict[str, Any], message: str) -> None:
    """It is refused when it is written, and, whoever wrote it, when it is read."""
    good = record()
    assert good.audit is not None
    memory = msgspec.structs.replace(good.audit.memory, **changes.pop("memory", {}))  # type: ignore[type-var]
    audit = msgspec.structs.replace(good.audit, memory=memory, models=changes.pop("models", good.audit.models))
    membership = msgspec.structs.replace(good.membership, **changes.pop("membership", {}))  # type: ignore[type-var]
    bad = record(**{"audit": audit, "membership": membership, **changes})
    with pytest.raises(InputError, match=f"contradicts itself: .*{message}"):
        record_bytes(bad)
    with pytest.raises(IntegrityError, match=f"here contradicts itself: .*{message}"):
        parse_record(resealed(content(bad)), "here")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), PLAIN, max_size=4), st.lists(st.text(), max_size=3), st.text())
def test_any_record_comes_back(values: dict[str, Any], limits: list[str], reason: str) -> None:
    applied = msgspec.structs.replace(record().applied, settings=values, reason=reason)
    made = record(applied=applied, limits=tuple(limits))
    back = parse_record(record_bytes(made), "here")
    assert back == made
    assert record_bytes(back) == record_bytes(made)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8 * len(DATA) - 1))
def test_any_changed_bit_is_found(bit: int) -> None:
    changed = bytearray(DATA)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IntegrityError):
        parse_record(bytes(changed), "here")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"applied": {"seed": 0}}, "shows its seed"),
        ({"applied": {"seed_commitment": None}}, "commitment to its seed"),
        ({"copies": {"exact_retained": 1}}, "1 exact copies are retained"),
        ({"utility": {"since_first": Estimate(-0.04, -0.051, -0.03)}}, "fallen by more than its bound"),
        ({"utility": {"since_first": None}}, "are missing"),
        ({"schema": 2}, "schema 2 has no contents"),
        ({"schema": 1}, "schema 1 has no ground"),
    ],
)
def test_a_record_of_this_schema_that_cannot_be_true_is_refused(changes: dict[str, Any], message: str) -> None:
    good = record()
    bad = record(
        **{
            name: msgspec.structs.replace(getattr(good, name), **inner) if isinstance(inner, dict) else inner
            for name, inner in changes.items()
        }
    )
    with pytest.raises(InputError, match=f"contradicts itself: .*{message}"):
        record_bytes(bad)
