import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import safetensors.numpy

from untrain.core.files import check_writable, read_arrays, sweep, write_arrays, write_file
from untrain.errors import ConfigError, InputError, IntegrityError


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_content_is_replaced_whole_or_not_at_all(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a" / "file.json"
    write_file(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(InputError, match=r"file\.json cannot be written \(No space left.*make room"):
            write_file(path, "new")
    assert path.read_text() == "old"
    assert sorted(file.name for file in path.parent.iterdir()) == ["file.json"]
    write_file(path, b"new")
    assert path.read_text() == "new"


def test_what_killed_writers_of_the_same_file_left_is_swept(tmp_path: Path) -> None:
    others = [".other.json.1.tmp", ".a[1].json.x.tmp", "a[1].json.1.tmp", ".a1.json.1.tmp"]
    for name in (*others, ".a[1].json.1.tmp", ".a[1].json.0123456789abcdef.tmp"):
        (tmp_path / name).write_text("half")
    write_file(tmp_path / "a[1].json", "new")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*others, "a[1].json"])
    sweep(tmp_path, ["other.json", "more"])
    assert not (tmp_path / others[0]).exists()
    sweep(tmp_path / "none", ["a"])


def test_what_another_process_writes_at_the_same_time_stays(tmp_path: Path) -> None:
    with (tmp_path / ".a.json.1.tmp").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_file(tmp_path / "a.json", "new")
        assert (tmp_path / ".a.json.1.tmp").exists()
    write_file(tmp_path / "a.json", "newer")
    assert os.listdir(tmp_path) == ["a.json"]


WRITE = """
import sys
from pathlib import Path
from untrain.core.files import write_file
for number in range(400):
    write_file(Path(sys.argv[1]), f"{sys.argv[2]} {number}")
"""


def test_two_processes_that_write_the_same_file_do_not_hinder_each_other(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WRITE, str(tmp_path / "a.json")]
    both = [subprocess.Popen([*words, name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    assert [process.communicate()[1] for process in both] == ["", ""]
    assert (tmp_path / "a.json").read_text() in ("a 399", "b 399")
    assert os.listdir(tmp_path) == ["a.json"]


def test_what_a_sweeper_takes_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = fcntl.flock, list[str]()

    def late(file: BinaryIO, what: int) -> None:
        if what == fcntl.LOCK_EX and not taken:
            taken.extend(os.listdir(tmp_path))
            sweep(tmp_path, ["a.json"])
            assert not os.listdir(tmp_path)
        lock(file, what)

    with monkeypatch.context() as patched:
        patched.setattr("untrain.core.files.fcntl.flock", late)
        write_file(tmp_path / "a.json", "new")
    assert len(taken) == 1
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_name_that_no_file_can_have_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written \(embedded null byte"):
        write_file(tmp_path / "a\0b", "new")


def test_where_nothing_can_be_written_or_links_are_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "none" / "deeper")
    (tmp_path / "file").touch()
    check_writable(tmp_path)
    with pytest.raises(ConfigError, match=r"file is a file; choose a directory"):
        check_writable(tmp_path / "file")
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
        with pytest.raises(ConfigError, match=rf"^{tmp_path} is not writable"):
            check_writable(tmp_path / "none" / "deeper")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(ConfigError, match=r"contains the link 'link'"):
        check_writable(tmp_path)


def test_arrays_come_back_with_their_metadata(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.zeros((0, 2), np.float32), "c": np.array(7)}
    write_arrays(tmp_path / "x.safetensors", arrays, {"kind": "test"})
    found, metadata = read_arrays(tmp_path / "x.safetensors")
    assert metadata == {"kind": "test"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_bytes_of_a_file_depend_on_what_is_written_alone(tmp_path: Path) -> None:
    path, arrays = tmp_path / "x.safetensors", {"b": np.ones(3), "a": np.zeros((2, 1), np.int64)}
    metadata = {"name": 'kaf\u00e9 "x"', "format": "test", "part": "1"}
    written = set()
    for _ in range(40):  # with three keys beside the digest, 24 orders are possible
        write_arrays(path, arrays, metadata)
        written.add(path.read_bytes())
    assert len(written) == 1
    found, kept = read_arrays(path)
    assert kept == metadata
    np.testing.assert_array_equal(found["b"], arrays["b"])
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["a"], arrays["a"])


def test_a_file_without_a_digest_is_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(IntegrityError, match=r"changed after it was written: its digest is .* it says none"):
        read_arrays(tmp_path / "x.safetensors")
