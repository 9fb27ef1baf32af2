import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.records.samples import KEY, chained, record, state, written
from tests.records.test_record import resealed
from tests.records.test_sign import key_pair
from untrain.core.version import __version__
from untrain.errors import InputError, IntegrityError, NotSupportedError
from untrain.records import (
    Record,
    Verdict,
    Verification,
    commit,
    directory,
    new_key,
    read_record,
    sign,
    verify,
    write_key,
    write_record,
)
from untrain.records.commitment import WRONG_KEY
from untrain.records.record import Outcome
from untrain.records.serialization import content, record_bytes, sha256_of_file


def check(found: Verification, what: str) -> tuple[bool | None, str]:
    ((ok, words),) = ((each.ok, each.words) for each in found.checks if each.what == what)
    return ok, words


def failed(found: Verification) -> list[str]:
    return [each.what for each in found.checks if each.ok is False]


def test_what_was_written_holds(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    last = chained(tmp_path)
    sign(last, private)
    found = verify(last, key=KEY, ids=np.array(["2-first", "0-second"]), public_key=public)
    assert [each.what for each in found.checks] == [
        "record", "directory", "weights", "page", "chain", "commitment", "key", "ids", "subjects", "signature",
    ]  # fmt: skip
    assert all(each.ok for each in found.checks if each.what != "subjects")
    assert found.ok
    found.insist()
    assert found.record == read_record(last / "record.json")
    assert check(found, "record")[1] == (
        f"2026-05-04T03:02:01Z, untrain {__version__}, finetune:default, examples to forget: 2, "
        "outcome: forgotten by audit"
    )
    assert check(found, "chain")[1] == "earlier requests: 2, examples forgotten in all: 6"
    assert check(found, "ids")[1] == "all 2 given ids were requested; this request names 1 more"
    assert "request.key before sharing" in check(found, "key")[1]


def test_a_verification_is_shown_as_a_line_for_each_check(tmp_path: Path) -> None:
    (written(tmp_path / "a") / "report.html").write_text("other")
    result = verify(tmp_path / "a")
    lines = str(result).splitlines()
    assert repr(result) == str(result)
    assert len(lines) == len(result.checks) == 10
    assert lines[2].startswith("ok           weights     ")
    assert lines[3].startswith(f"FAILED       page        {tmp_path / 'a' / 'report.html'} has 5 bytes, and the record")
    assert lines[-1] == "not checked  signature   there is no signature"


def test_what_is_not_asked_is_not_checked(tmp_path: Path) -> None:
    (written(tmp_path / "a") / "request.key").unlink()
    found = verify(tmp_path / "a")
    assert found.ok
    assert [each.what for each in found.checks if each.ok is None] == ["key", "ids", "subjects", "signature"]
    assert check(verify(tmp_path / "a", key=KEY), "key") == (True, "belongs to the record")


def flipped(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The directory of a signed chain of three requests, and the public key."""
    root = tmp_path_factory.mktemp("signed")
    private, public = key_pair(root)
    last = chained(root)
    sign(last, private)
    return last, public


@pytest.fixture
def _drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page for each record, so that a thousand verifications do not draw the same page a thousand times."""
    pages: dict[bytes, bytes] = {}

    def page(made: Record) -> bytes:
        data = record_bytes(made)
        if data not in pages:
            pages[data] = directory.page(made)
        return pages[data]

    monkeypatch.setattr(importlib.import_module("untrain.records.verify"), "page", page)


@pytest.mark.usefixtures("_drawn_once")
def test_every_changed_bit_is_found(signed: tuple[Path, Path]) -> None:
    folder, public = signed
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(paths) == 7
    sizes = [8 * path.stat().st_size for path in paths]
    draw = np.random.default_rng(7)
    for number in range(1001):
        place = number % len(paths)
        bit = int(draw.integers(sizes[place]))
        flipped(paths[place], bit)
        found = verify(folder, public_key=public)
        flipped(paths[place], bit)
        assert not found.ok, (paths[place], bit)
        with pytest.raises(IntegrityError):
            found.insist()
    assert verify(folder, public_key=public).ok


@pytest.mark.usefixtures("_drawn_once")
def test_without_a_key_every_changed_bit_of_record_weights_page_and_chain_is_found(tmp_path: Path) -> None:
    folder = chained(tmp_path, 2)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "request.key")
    draw = np.random.default_rng(8)
    for number in range(500):
        path = paths[number % len(paths)]
        bit = int(draw.integers(8 * path.stat().st_size))
        flipped(path, bit)
        assert not verify(folder).ok, (path, bit)
        flipped(path, bit)


def renamed(directory: Path, name: str) -> None:
    (directory / name).rename(directory / f"{name}.old")


def linked(directory: Path, name: str) -> None:
    (directory / name).rename(directory.parent / "elsewhere")
    (directory / name).symlink_to(directory.parent / "elsewhere")


def removed(directory: Path, name: str) -> None:
    path = directory / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def emptied(directory: Path, name: str) -> None:
    removed(directory, name)
    (directory / name).touch()


def a_directory(directory: Path, name: str) -> None:
    removed(directory, name)
    (directory / name).mkdir()


def a_pipe(directory: Path, name: str) -> None:
    removed(directory, name)
    os.mkfifo(directory / name)


def grown(directory: Path, name: str) -> None:
    with (directory / name).open("ab") as file:
        file.write(b"\0")


FILES = ("record.json", "model.safetensors", "report.html", "record.dsse.json", "previous/0001-record.json")
BY_ANYONE = [
    *((change, name) for change in (renamed, linked, removed, emptied, a_directory, a_pipe, grown) for name in FILES),
    *((change, "request.key") for change in (renamed, linked, emptied, a_directory, a_pipe, grown)),
    *((change, "previous") for change in (renamed, linked, removed, emptied)),
]  # fmt: skip


@pytest.mark.parametrize(("change", "name"), BY_ANYONE, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_changed_file_is_found(
    change: Callable[[Path, str], None], name: str, signed: tuple[Path, Path], tmp_path: Path
) -> None:
    directory = tmp_path / "copy"
    shutil.copytree(signed[0], directory)
    assert verify(directory, public_key=signed[1]).ok
    change(directory, name)
    found = verify(directory, public_key=signed[1])
    assert not found.ok
    with pytest.raises(IntegrityError):
        found.insist()


@pytest.mark.parametrize(
    "name", ["notes.txt", ".hidden", "model.pt", "other.dsse.json", ".record.json.1.tmp", "previous/x", "\x1b[2J"]
)
def test_every_added_file_is_found(name: str, signed: tuple[Path, Path], tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    shutil.copytree(signed[0], directory)
    (directory / name).touch()
    found = verify(directory)
    assert failed(found)[0] in ("directory", "chain")
    assert "\x1b" not in " ".join(each.words for each in found.checks)


def test_an_empty_folder_for_earlier_records_is_found(tmp_path: Path) -> None:
    (written(tmp_path / "a") / "previous").mkdir()
    assert check(verify(tmp_path / "a"), "directory")[1] == (
        f"{tmp_path / 'a'} contains 'previous', which does not belong there"
    )


def resealed_with(directory: Path, changes: dict[str, Any], page: bool = True) -> None:
    """Tampering by someone who computes every digest anew."""
    plain = content(read_record(directory / "record.json"))
    (directory / "record.json").write_bytes(resealed({**plain, **changes}))
    if page:
        from untrain.records.directory import page as made

        (directory / "report.html").write_bytes(made(read_record(directory / "record.json")))
        files = {
            **content(read_record(directory / "record.json"))["files"],
            "report.html": listed(directory, "report.html"),
        }
        (directory / "record.json").write_bytes(resealed({**plain, **changes, "files": files}))


def listed(directory: Path, name: str) -> dict[str, Any]:
    """What a record says of a file."""
    digest: dict[str, Any] = msgspec.to_builtins(sha256_of_file(directory / name))
    return digest


def test_who_computes_the_digests_anew_is_found_by_the_signature(signed: tuple[Path, Path], tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    shutil.copytree(signed[0], directory)
    resealed_with(
        directory, {"verdict": {"outcome": "forgotten", "ground": "by construction", "sentences": ["All is well."]}}
    )
    found = verify(directory)
    assert failed(found) == ["signature"]
    assert "the signature is for other files" in check(found, "signature")[1]
    (directory / "record.dsse.json").unlink()
    assert verify(directory).ok  # which is why a signature is needed
    found = verify(directory, public_key=signed[1])
    assert check(found, "signature") == (
        False, f"there is no signature {directory / 'record.dsse.json'}",
    )  # fmt: skip
    (tmp_path / "other").mkdir()
    sign(directory, key_pair(tmp_path / "other")[0])
    found = verify(directory, public_key=signed[1])
    assert failed(found) == ["signature"]
    assert "is signed by the key " in check(found, "signature")[1]


def test_exchanged_weights_are_found_by_what_the_record_says(tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    write_record(tmp_path / "b", record(after=2), state(2), KEY)
    shutil.copy(tmp_path / "b" / "model.safetensors", directory)
    ok, words = check(verify(directory), "weights")
    assert ok is False
    assert "model.safetensors has the digest " in words
    files = {name: listed(directory, name) for name in ("model.safetensors", "report.html")}
    resealed_with(directory, {"files": files})
    found = verify(directory)
    assert failed(found) == ["weights"]
    assert check(found, "weights")[1].endswith(f"and the record says {found.record.model.after}")  # type: ignore[union-attr]
    resealed_with(directory, {"files": {"report.html": files["report.html"]}}, page=False)
    assert check(verify(directory), "weights")[1].endswith("and the record says no such file")
    resealed_with(directory, {"files": {**files, "../other": files["model.safetensors"]}}, page=False)
    assert "directory" in failed(verify(directory))


def test_a_file_of_another_size_is_not_read(tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    os.truncate(directory / "model.safetensors", 2**40)
    assert "1099511627776 bytes, and the record says" in check(verify(directory), "weights")[1]


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F16"])
def test_weights_that_numpy_does_not_know_are_refused(kind: str, tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    header = msgspec.json.encode({"a": {"dtype": kind, "shape": [2], "data_offsets": [0, 2 if "8" in kind else 4]}})
    body = len(header).to_bytes(8, "little") + header + bytes(2 if "8" in kind else 4)
    (directory / "model.safetensors").write_bytes(body)
    files = {name: listed(directory, name) for name in ("model.safetensors", "report.html")}
    resealed_with(directory, {"files": files})
    assert failed(verify(directory)) == ["weights"]


@pytest.mark.parametrize("version", [__version__, "0.0.9"])
@pytest.mark.parametrize("forged", [b"<script>x</script>Everything was forgotten", None])
def test_a_changed_page_is_found_whatever_version_wrote_it(version: str, forged: bytes | None, tmp_path: Path) -> None:
    directory = written(tmp_path / "a", versions={"untrain": version})
    assert check(verify(directory), "page") == (True, "the page of this record")
    page = (directory / "report.html").read_bytes()
    (directory / "report.html").write_bytes(forged or page.replace(b"94.00", b"99.00"))
    assert check(verify(directory), "page")[0] is False
    (tmp_path / "keys").mkdir()
    with pytest.raises(IntegrityError, match="page: "):
        sign(directory, key_pair(tmp_path / "keys")[0])


def test_who_lists_a_forged_page_is_found_by_drawing_it_again(tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    (directory / "report.html").write_bytes(b"forged")
    files = {name: listed(directory, name) for name in ("model.safetensors", "report.html")}
    resealed_with(directory, {"files": files}, page=False)
    assert check(verify(directory), "page") == (False, f"{directory / 'report.html'} is not the page of this record")


def test_a_commitment_that_does_not_fit_is_found(tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    asked = content(read_record(directory / "record.json"))["requested"]
    resealed_with(directory, {"requested": {**asked, "forgotten": 4}})
    assert check(verify(directory), "commitment") == (False, "the record has 3 tags for 4 examples to forget")


def test_keys_and_ids_are_looked_at(tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    assert check(verify(directory, ids=["a", "b", "a"]), "ids") == (
        True,
        "all 2 given ids were requested; this request names 1 more",
    )
    assert check(verify(directory, ids=["a", "b", "c"]), "ids")[1].endswith("; this request names no others")
    found = verify(directory, ids=["a", "x", "y"])
    assert check(found, "ids") == (False, "2 of the 3 given ids were never requested")
    found = verify(directory, key=new_key(), ids=["a"])
    assert check(found, "key") == (False, WRONG_KEY)
    assert check(found, "ids") == (None, WRONG_KEY)
    write_key(directory / "request.key", new_key())
    assert failed(verify(directory, key=KEY, ids=["a"])) == ["key"]
    (directory / "request.key").unlink()
    with pytest.raises(InputError, match=r"no request\.key in .*; pass the key"):
        verify(directory, ids=["a"])


def test_a_request_that_was_not_carried_out_says_so(tmp_path: Path) -> None:
    verdict = Verdict(outcome=Outcome.KEPT_ORIGINAL, sentences=("The loss of accuracy is too large.",))
    write_record(tmp_path, record(after=0, verdict=verdict), state(0), KEY)
    assert check(verify(tmp_path, ids=["a", "b"]), "ids") == (
        True,
        "all 2 given ids were requested, 2 of them not forgotten since the original was kept; "
        "this request names 1 more",
    )


def test_what_cannot_be_verified_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none is not a directory; pass the directory"):
        verify(tmp_path / "none")
    directory = written(tmp_path / "a")
    plain = content(read_record(directory / "record.json"))
    (directory / "record.json").write_bytes(resealed({**plain, "schema": 4}))
    with pytest.raises(NotSupportedError, match=r"record\.json has schema 4"):
        verify(directory)
    (directory / "record.json").unlink()
    found = verify(directory)
    assert found.record is None
    with pytest.raises(IntegrityError, match=r"^record: there is no file .*record\.json"):
        found.insist()


def test_what_the_system_refuses_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "a")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"a cannot be read: Permission denied"):
        verify(folder)


def test_no_id_is_in_anything_that_is_handed_on(tmp_path: Path) -> None:
    canaries = tuple(f"canary-{number}-Zaphod" for number in range(20))
    directory = written(tmp_path / "a", ids=canaries)
    write_record(tmp_path / "unpacked", record(canaries), state(1), KEY)
    (directory / "request.key").unlink()
    for path in directory.rglob("*"):
        assert b"canary" not in path.read_bytes()
        assert b"Zaphod" not in path.read_bytes()
        assert KEY.hex().encode() not in path.read_bytes()
    words = " ".join(each.words for each in verify(directory, key=KEY, ids=[*canaries, "canary-x"]).checks)
    assert "canary" not in words


def test_torch_is_not_needed(signed: tuple[Path, Path]) -> None:
    code = (
        "import sys\nfrom untrain.records import commit, verify\n"
        f"assert verify({str(signed[0])!r}, ids=['0-first'], public_key={str(signed[1])!r}).ok\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_same_record_has_the_same_bytes(tmp_path: Path) -> None:
    written(tmp_path / "a")
    data = (tmp_path / "a" / "record.json").read_bytes()
    assert record_bytes(read_record(tmp_path / "a" / "record.json")) == data


def test_a_record_of_the_first_version_is_read_verified_and_said_to_mean_less() -> None:
    """The directory was written by untrain 0.1, and is never made anew."""
    result = verify(Path(__file__).parent / "v0_1", ids=["0", "11"])
    assert result.ok
    assert result.record is not None
    assert (result.record.schema, result.record.verdict.outcome) == (1, Outcome.FORGOTTEN)
    assert "untrain 0.1, which called a model forgotten on weaker grounds" in str(result)


@pytest.mark.parametrize("name", ["v0_1", "v0_2"])
def test_an_old_page_is_not_checked_and_nothing_is_signed_with_it(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "old"
    shutil.copytree(Path(__file__).parent / name, directory)
    assert check(verify(directory), "page")[0] is None
    with pytest.raises(IntegrityError, match=r"page: .* does not know its page; read record\.json instead"):
        sign(directory, key_pair(tmp_path)[0])
    assert not (directory / "record.dsse.json").exists()


def test_a_record_of_schema_2_and_its_chain_are_verified() -> None:
    """The directory was written before schema 3, and is never made anew."""
    result = verify(Path(__file__).parent / "v0_2", ids=["0", "11", "20"])
    assert result.ok
    assert result.record is not None
    assert (result.record.schema, str(result.record.verdict)) == (2, "forgotten by construction")
    assert check(result, "chain")[1] == "earlier requests: 1, examples forgotten in all: 3"


@pytest.mark.parametrize("what", ["ids", "subjects"])
def test_an_empty_list_is_refused(what: str, tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    asked: dict[str, Any] = {what: []}
    with pytest.raises(InputError, match=f"The list of {what} is empty; name at least one"):
        verify(directory, **asked)
    asked[what] = "a"
    with pytest.raises(InputError, match=f"{what}=.* takes a list or None, got the single text 'a'"):
        verify(directory, **asked)


def test_a_request_without_examples_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no example"):
        written(tmp_path / "a", ids=())


def digest_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def test_rows_that_were_renumbered_are_found(tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    today = {name: digest_of(name) for name in "abcd"}
    assert check(verify(directory, ids=["abc", "a"], contents=today), "ids")[0] is False
    ok, words = check(verify(directory, ids=["a", "b"], contents=today), "ids")
    assert (ok, words.endswith("; the 2 of them that are in the data have the inputs that they had")) == (True, True)
    gone = check(verify(directory, ids=["a", "b"], contents={"a": digest_of("a")}), "ids")[1]
    assert gone.endswith("the 1 of them that are in the data have the inputs that they had")
    sorted_anew = {**today, "a": digest_of("d"), "d": digest_of("a")}
    assert check(verify(directory, ids=["a", "b"], contents=sorted_anew), "ids") == (
        False,
        "1 of the 2 given ids that are in the data name other inputs than those that were forgotten: rows were "
        "renumbered or changed",
    )
    old = Path(__file__).parent / "v0_2"
    assert "hold no contents" in check(verify(old, ids=["0"], contents=today), "ids")[1]
    assert "hold no contents" in check(verify(old, contents=today), "ids")[1]


def test_a_forgotten_row_that_comes_back_is_found(tmp_path: Path) -> None:
    directory = written(tmp_path / "a")
    today = {"x": digest_of("b"), "y": digest_of("y")}
    assert check(verify(directory, contents=today), "ids") == (
        False,
        "1 of the 2 examples in the data have the inputs of a forgotten example, such as 'x': leave them out",
    )
    assert check(verify(directory, contents={"a": digest_of("y")}), "ids") == (
        True,
        "none of the 1 examples in the data has the inputs of a forgotten example",
    )
    (directory / "request.key").unlink()
    with pytest.raises(InputError, match="pass the key of the request"):
        verify(directory, contents=today)


def test_subjects_are_looked_at(tmp_path: Path) -> None:
    requested = commit(("a",), KEY, retained=9, validation=2, classes=2, subjects=["ann", "bob"])
    directory = written(tmp_path / "a", requested=requested)
    assert check(verify(directory, subjects=["bob"]), "subjects") == (
        True,
        "all 1 given subjects were named in a request",
    )
    assert check(verify(directory, subjects=["bob", "eve"]), "subjects") == (
        False, "1 of the 2 given subjects were never named in a request",
    )  # fmt: skip
    assert b"bob" not in (directory / "record.json").read_bytes()
