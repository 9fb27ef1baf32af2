import os
from pathlib import Path

import numpy as np
import pytest

from untrain.errors import InputError, IntegrityError
from untrain.files import read_arrays, sweep, write_arrays, write_file


def test_content_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "file.json"
    write_file(path, "old")
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(os, name, fail)
            with pytest.raises(InputError, match=r"cannot write .*file\.json: No space left"):
                write_file(path, "new")
        assert path.read_text() == "old"
        assert sorted(file.name for file in path.parent.iterdir()) == ["file.json"]
    write_file(path, b"new")
    assert path.read_text() == "new"


def test_leftovers_are_swept(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for folder in (tmp_path, tmp_path / "deep"):
        for name in (".results.json.1.tmp", ".0-2.safetensors.77.tmp", ".other.1.tmp", "x.tmp"):
            (folder / name).write_text("half")
    sweep(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".other.1.tmp", "deep", "x.tmp"]
    assert len(list((tmp_path / "deep").iterdir())) == 4
    sweep(tmp_path, "de*")
    assert sorted(file.name for file in (tmp_path / "deep").iterdir()) == [".other.1.tmp", "x.tmp"]


def test_arrays_come_back_with_their_metadata(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.zeros((0, 2), np.float32), "c": np.array(7)}
    write_arrays(tmp_path / "x.safetensors", arrays, {"kind": "test"})
    found, metadata = read_arrays(tmp_path / "x.safetensors")
    assert metadata == {"kind": "test"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_file_without_a_digest_is_refused(tmp_path: Path) -> None:
    import safetensors.numpy

    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(IntegrityError, match="digest none expected"):
        read_arrays(tmp_path / "x.safetensors")
