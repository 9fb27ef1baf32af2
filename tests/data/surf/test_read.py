"""CASIA-SURF as published is read whole or refused; small photographs of one color stand for faces."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from untrain.data import forget_groups, load
from untrain.errors import InputError

AGES = {"CLKJ_AS0001": 20, "CLKJ_AS0002": 33, "CLKJ_AS0003": 79}
COLORS = {"CLKJ_AS0001": (250, 10, 0), "CLKJ_AS0002": (40, 200, 90), "CLKJ_AS0003": (0, 30, 255)}


def jpeg(color: Any, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, "JPEG", quality=95)
    return file.getvalue()


def put(root: Path, person: str, name: str, content: bytes) -> Path:
    path = root / "WBackground" / person / "real.rssdk" / "color" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three persons with two photographs each, and one without."""
    folder = tmp_path / "surf"
    for person, color in COLORS.items():
        for name in ("1.jpg", "11.JPG"):
            put(folder, person, name, jpeg(color))
    lines = [f"{person} {age} M\n" for person, age in {**AGES, "CLKJ_AS0009": 99}.items()]
    (folder / "Age_Gender.txt").write_text("".join(lines))
    return folder


def test_the_published_layout(root: Path) -> None:
    found = load("surf", data_dir=root.parent)
    assert found.inputs.shape == (6, 3, 32, 32)
    assert found.inputs.dtype == np.float32
    np.testing.assert_allclose(found.inputs[0].mean(axis=(1, 2)), COLORS["CLKJ_AS0001"], atol=3)
    assert found.ids[0] == "WBackground/CLKJ_AS0001/real.rssdk/color/1.jpg"
    assert found.groups is not None
    assert found.groups.tolist() == [person for person in AGES for _ in range(2)]
    assert found.labels.tolist() == [0, 0, 2, 2, 9, 9]
    assert found.classes == (
        "20-25", "26-31", "32-37", "38-43", "44-49", "50-55", "56-61", "62-67", "68-73", "74-79",
    )  # fmt: skip
    sets = forget_groups(found, 1)
    assert len(sets.forget) == 2


def test_a_folder_is_known_by_what_it_holds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = load("surf", data_dir=root.parent).digest()
    monkeypatch.setenv("UNTRAIN_DATA", str(root.parent))
    assert load("surf").digest() == load("surf", data_dir=root).digest() == load(str(root)).digest() == digest


def test_persons_may_lie_one_folder_deeper_as_the_organizers_read_them(root: Path) -> None:
    flat = load(str(root))
    inner = root / "WBackground" / "AS"
    inner.mkdir()
    for person in AGES:
        (root / "WBackground" / person).rename(inner / person)
    deep = load(str(root))
    np.testing.assert_array_equal(deep.inputs, flat.inputs)
    assert deep.groups is not None
    assert flat.groups is not None
    assert deep.groups.tolist() == flat.groups.tolist()
    assert deep.ids[0] == "WBackground/AS/CLKJ_AS0001/real.rssdk/color/1.jpg"


@pytest.mark.parametrize("highest", [29, 30, 36, 79, 83, 120])
def test_classes_are_those_of_the_organizers(root: Path, highest: int) -> None:
    everyone = {f"P{age:03d}": age for age in range(20, highest + 1)}
    shutil.rmtree(root / "WBackground")
    for person in everyone:
        put(root, person, "1.jpg", jpeg(0, mode="L"))
    (root / "Age_Gender.txt").write_text(
        "\r\n".join(f"{person}  {age}\tF " for person, age in everyone.items()) + "\n\n"
    )
    found = load(str(root))
    edges = [20 + number * (highest + 1 - 20) / 10 for number in range(11)]
    for age, label in zip(everyone.values(), found.labels, strict=True):
        assert edges[label] <= age + 1e-9
        assert age < edges[label + 1] + 1e-9
        lowest, _, last = found.classes[label].partition("-")
        assert int(lowest) <= age <= int(last or lowest)
    assert len(set(found.classes)) == 10


def test_photographs_of_any_size_and_without_color(root: Path) -> None:
    half = np.zeros((64, 128, 3), dtype=np.uint8)
    half[:, :64] = 240
    file = io.BytesIO()
    Image.fromarray(half).save(file, "JPEG", quality=95)
    first = put(root, "CLKJ_AS0001", "0.jpg", file.getvalue())
    gray = put(root, "CLKJ_AS0001", "00.jpg", jpeg(77, (20, 40), "L"))
    found = load(str(root))
    images = {path: found.inputs[found.positions([path.relative_to(root).as_posix()])][0] for path in (first, gray)}
    assert images[first].shape == (3, 32, 32)
    np.testing.assert_allclose(images[first][:, :, :14], 240, atol=3)
    np.testing.assert_allclose(images[first][:, :, 18:], 0, atol=3)
    np.testing.assert_allclose(images[gray], 77, atol=1)


def test_stripes_finer_than_a_pixel_become_gray(root: Path) -> None:
    stripes = np.zeros((128, 128), dtype=np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    file = io.BytesIO()
    Image.fromarray(stripes).save(file, "JPEG", quality=100)
    put(root, "CLKJ_AS0001", "0.jpg", file.getvalue())
    np.testing.assert_allclose(load(str(root)).inputs[0, :, 2:-2, 2:-2], 127.5, atol=8)


def test_what_is_not_chosen_is_not_decoded(root: Path) -> None:
    put(root, "CLKJ_AS0002", "2.jpg", b"broken")
    found = load(str(root), classes=["74-79", "20-25"], per_class=1)
    assert found.labels.tolist() == [1, 0]
    assert found.classes == ("74-79", "20-25")
    assert len(load(str(root), classes=["20-25", "74-79"], limit=3)) == 3
    with pytest.raises(InputError, match=r"CLKJ_AS0002/real.rssdk/color/2.jpg cannot be decoded"):
        load(str(root))


def test_what_is_not_published_is_passed_over(root: Path) -> None:
    put(root, "CLKJ_AS0001", "notes.txt", b"")
    put(root, "CLKJ_AS0001", "._1.jpg", b"")
    (root / "WBackground" / "Thumbs.db").touch()
    (root / "WBackground" / "empty" / "real.rssdk").mkdir(parents=True)
    assert len(load(str(root))) == 6


def ages(text: str | bytes) -> Callable[[Path], object]:
    return lambda root: (root / "Age_Gender.txt").write_bytes(text if isinstance(text, bytes) else text.encode())


def linked(what: str) -> Callable[[Path], None]:
    """Put a file or folder outside the root, and a link in its place."""

    def change(root: Path) -> None:
        outside = root.parent / "outside"
        (root / what).rename(outside)
        (root / what).symlink_to(outside)

    return change


def in_circles(root: Path) -> None:
    path = put(root, "CLKJ_AS0001", "2.jpg", b"")
    path.unlink()
    path.symlink_to(path)


LISTED = "".join(f"{person} {age} F\n" for person, age in AGES.items())
PHOTO = "WBackground/CLKJ_AS0002/real.rssdk/color/1.jpg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "Age_Gender.txt").unlink(), r"no Age_Gender.txt in .*surf"),
        (lambda root: shutil.rmtree(root / "WBackground"), r"no photographs .*color/\*.jpg"),
        (ages(""), r"photograph .*1.jpg but no age of CLKJ_AS0001 in .*Age_Gender.txt"),
        (ages(LISTED.replace("CLKJ_AS0002 33 F\n", "")), "no age of CLKJ_AS0002"),
        (ages(LISTED + "CLKJ_AS0004 30\n"), "name, age and gender, got 'CLKJ_AS0004 30' in .*, line 4"),
        (ages(LISTED + "CLKJ_AS0004 30 M x\n"), "name, age and gender, got"),
        (ages(LISTED + "CLKJ_AS0002 34 F\n"), "person must be listed once, got 'CLKJ_AS0002' again in .*, line 4"),
        (ages(LISTED.replace("33", "old")), "in whole years from 0 to 120, got 'old' in .*, line 2"),
        (ages(LISTED.replace("33", "-3")), "in whole years from 0 to 120, got '-3'"),
        (ages(LISTED.replace("33", "33.5")), "in whole years from 0 to 120, got '33.5'"),
        (ages(LISTED.replace("33", "330")), "in whole years from 0 to 120, got '330'"),
        (ages(LISTED.replace("33", "9" * 5000)), "in whole years from 0 to 120, got '9999"),
        (ages(LISTED.replace("33", "٣٣")), "in whole years from 0 to 120"),
        (ages(LISTED.replace("79", "28").replace("33", "25")), "span at least 10 years, .* got 20 to 28 in"),
        (ages(LISTED.encode("utf-16")), "Age_Gender.txt must be text in UTF-8"),
        (ages(b"\xff\xfe\x00"), "text in UTF-8"),
        (linked("Age_Gender.txt"), "^Age_Gender.txt links outside .*surf"),
        (linked(PHOTO), f"^{PHOTO} links outside"),
        (linked("WBackground/CLKJ_AS0002"), "^WBackground/CLKJ_AS0002/.* links outside"),
        (linked("WBackground"), "^WBackground/.* links outside"),
        (in_circles, "2.jpg .* is no file: remove it"),
        (lambda root: (root / PHOTO).with_name("2.jpg").mkdir(), "2.jpg .* is no file: remove it"),
        (lambda root: (root / PHOTO).write_bytes(jpeg(0)[:300]), "CLKJ_AS0002.* cannot be decoded"),
        (lambda root: (root / PHOTO).write_bytes(b""), "CLKJ_AS0002.* cannot be decoded"),
        (lambda root: (root / PHOTO).write_bytes(jpeg(0, (4100, 4100))), "at most 16000000 pixels"),
        (lambda root: os.truncate(root / PHOTO, 10**12), "at most 100000000 bytes, got 1000000000000 in"),
        (lambda root: os.truncate(root / "Age_Gender.txt", 10**12), "at most 100000000 bytes"),
        (lambda root: put(root, "CLKJ_AS0007", "1.jpg", jpeg(0)), "no age of CLKJ_AS0007"),
    ],
)
def test_what_is_not_as_published_is_refused(root: Path, change: Callable[[Path], object], message: str) -> None:
    change(root)
    with pytest.raises(InputError, match=message) as refusal:
        load(str(root))
    assert "\n" not in str(refusal.value)


def test_missing_roots_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.delenv("UNTRAIN_DATA", raising=False)
    with pytest.raises(InputError, match=r"holds surf/Age_Gender.txt: give --data-dir or set UNTRAIN_DATA"):
        load("surf")
    with pytest.raises(InputError, match=r"no Age_Gender.txt in .*none or in .*surf: give --data-dir"):
        load("surf", data_dir=tmp_path / "none")
    with pytest.raises(InputError, match="without a test part"):
        load("surf", part="test", data_dir=root)
    with pytest.raises(InputError, match="without a test part"):
        load(str(root), part="test")
