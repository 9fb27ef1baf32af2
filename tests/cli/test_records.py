import subprocess
import sys
from pathlib import Path

import pytest

from tests.records.samples import chained, written
from tests.records.test_sign import key_pair
from tests.typed import call
from untrain.records import new_key, sign, write_key


def test_a_record_is_signed_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    private, public = key_pair(tmp_path)
    last = chained(tmp_path)
    assert call("sign", str(last), "--key", str(private)) == 0
    assert capsys.readouterr().out == f"signature: {last / 'record.dsse.json'}\n"
    (tmp_path / "ids.txt").write_text("0-first\n2-second\n")
    (last / "request.key").rename(tmp_path / "request.key")
    asked = ["verify", str(last), "--key", str(tmp_path / "request.key"), "--ids", str(tmp_path / "ids.txt")]
    assert call(*asked, "--public-key", str(public)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1] if line.startswith("ok")] == [
        ["ok", what]
        for what in (
            "record",
            "directory",
            "weights",
            "page",
            "chain",
            "commitment",
            "key",
            "ids",
            "signature",
        )
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
        "ok", "FAILED", "FAILED", "ok", "ok", "ok", "ok", "not checked", "not checked", "not checked",
    ]  # fmt: skip
    assert printed.err == rf"untrain: directory: {directory} contains 'notes\x1b.txt', which does not belong there" "\n"
    assert "\x1b" not in printed.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("verify none", 3, "none is not a directory"),
        ("verify .", 5, "record: there is no file record.json"),
        ("verify request --key none", 3, "There is no request key at none"),
        ("verify request --key empty", 5, "empty is not JSON"),
        ("verify request --key other.key", 5, "key: The key does not belong to this record"),
        ("verify request --ids none", 3, "none cannot be read as a text file with one id a line"),
        ("verify request --ids ids.txt", 5, "ids: 1 of the 2 given ids were never requested"),
        ("verify request --public-key none", 3, "none must be an ed25519 public key (PEM): No such file"),
        ("sign request --key none", 3, "none must be an unencrypted ed25519 private key (PEM, PKCS #8)"),
        ("sign request", 2, ""),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: str, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "request")
    write_key(tmp_path / "other.key", new_key())
    (tmp_path / "ids.txt").write_text("a\nnobody\n")
    (tmp_path / "empty").write_text("")
    assert call(*arguments.split()) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    if message:
        assert error.startswith(f"untrain: {message}")
        assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["sign", "verify"])
def test_neither_command_loads_torch(command: str, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    directory = written(tmp_path / "a")
    key = {"sign": ["--key", str(private)], "verify": ["--public-key", str(public)]}[command]
    if command == "verify":
        sign(directory, private)
    code = (
        "import sys\nfrom untrain.cli.main import main\n"
        f"try: main({[command, str(directory), *key]!r})\n"
        "except SystemExit as ended: assert not ended.code\n"
        "sys.exit(bool({'torch', 'scipy', 'sklearn'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (directory / "record.dsse.json").exists()


def test_the_page_of_a_record_in_japanese_leaves_the_record_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = written(tmp_path / "forgotten")
    assert call("report", str(directory), "--language", "ja") == 0
    page = (tmp_path / "forgotten.ja.html").read_text()
    assert '<html lang="ja">' in page
    assert call("verify", str(directory)) == 0
    monkeypatch.chdir(directory)
    assert call("report", ".") == 0
    assert (tmp_path / "forgotten.en.html").is_file()
    assert call("report", str(directory), "--out", str(directory / "page.html")) == 3
    assert "choose an --out elsewhere" in capsys.readouterr().err
