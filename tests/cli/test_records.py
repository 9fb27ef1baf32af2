import subprocess
import sys
from pathlib import Path

import pytest

from tests.records.samples import KEY, chained, written
from tests.records.test_sign import key_pair
from tests.typed import call
from untrain.records import new_key, write_key


def test_a_record_is_signed_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    private, public = key_pair(tmp_path)
    last = chained(tmp_path)
    assert call("sign", str(last), "--key", str(private)) == 0
    assert capsys.readouterr().out == f"signature: {last / 'record.dsse.json'}\n"
    (tmp_path / "ids.txt").write_text("0-first\n2-second\n")
    (last / "request.key").rename(tmp_path / "request.key")
    asked = ["verify", str(last), "--key", str(tmp_path / "request.key"), "--forget", str(tmp_path / "ids.txt")]
    assert call(*asked, "--public-key", str(public)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["ok", what]
        for what in ("record", "directory", "weights", "page", "chain", "commitment", "key", "ids", "signature")
    ]
    assert lines[-1] == ("Nothing that was checked has changed. This is evidence of a procedure, not a legal finding.")


def test_what_changed_is_named_and_all_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = written(tmp_path / "a")
    data = bytearray((directory / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (directory / "model.safetensors").write_bytes(data)
    (directory / "notes\x1b.txt").touch()
    assert call("verify", str(directory)) == 5
    printed = capsys.readouterr()
    assert [line.split("  ")[0] for line in printed.out.splitlines()] == [
        "ok", "FAILED", "FAILED", "ok", "ok", "ok", "ok", "not checked", "not checked",
    ]  # fmt: skip
    assert printed.err == rf"untrain: directory: expected no other files in {directory}, got 'notes\x1b.txt'" + "\n"
    assert "\x1b" not in printed.out


def test_mistakes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = written(tmp_path / "a")
    write_key(tmp_path / "other.key", new_key())
    write_key(tmp_path / "right.key", KEY)
    (tmp_path / "ids.txt").write_text("a\nnobody\n")
    (tmp_path / "empty").write_text("")
    asked, key = ["verify", str(directory)], str(tmp_path / "other.key")
    for arguments, code, message in (
        (["verify", str(tmp_path / "none")], 3, "expected the directory of a request at"),
        (["verify", str(tmp_path)], 5, "record: expected a file at"),
        ([*asked, "--key", "none"], 3, "expected the key of a request at none, found no such file"),
        ([*asked, "--key", str(tmp_path / "empty")], 5, "expected JSON in"),
        ([*asked, "--key", key], 5, "key: expected the key that belongs to the record, got another"),
        ([*asked, "--forget", "none"], 3, "expected a text file with one id a line at none"),
        (
            [*asked, "--forget", str(tmp_path / "ids.txt")],
            5,
            "ids: expected all ids to be among those asked for, got 1 that",
        ),
        ([*asked, "--public-key", "none"], 3, "expected an ed25519 public key in PEM in none, found none"),
        (["sign", str(directory), "--key", "none"], 3, "expected an ed25519 private key in PEM (PKCS #8, not"),
        (["sign", str(directory)], 2, ""),
    ):
        assert call(*arguments) == code
        error = capsys.readouterr().err
        assert "Traceback" not in error
        if message:
            assert error.startswith(f"untrain: {message}")
            assert error.count("\n") == 1


def test_neither_command_loads_torch(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    directory = written(tmp_path / "a")
    for arguments in (
        ["sign", str(directory), "--key", str(private)],
        ["verify", str(directory), "--public-key", str(public)],
    ):
        code = (
            "import contextlib, sys\nfrom untrain.cli.main import main\n"
            f"with contextlib.suppress(SystemExit): main({arguments!r})\n"
            "sys.exit('torch' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (directory / "record.dsse.json").exists()
