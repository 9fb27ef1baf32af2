import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.report.test_report import HOSTILE, Reader, check_policy
from untrain.errors import InputError
from untrain.report.images import LARGEST, png
from untrain.report.suspects import MOST_SHOWN, summary, write_suspects_page


def found(count: int = 3, name: str = "plain") -> dict[str, Any]:
    flagged = [{"id": f"{name}{number}", "label": name, "suggested": name, "score": 0.5} for number in range(count)]
    return {
        "data": name, "examples": 100, "scorer": "auto", "noise_ratio": 0.03, "interval": [0.01, 0.05],
        "model_error": 0.02, "evidence": {"note": name}, "versions": {"untrain": name}, "flagged": flagged,
    }  # fmt: skip


def page(path: Path, content: dict[str, Any], pictures: list[str | None]) -> tuple[str, Reader]:
    write_suspects_page(path, content, pictures)
    text, reader = path.read_text(encoding="utf-8"), Reader()
    reader.feed(text)
    return text, reader


def test_what_was_found_stands_in_sentences() -> None:
    assert summary(found()) == (
        "auto flags 3 of 100 labels as wrong; noise ratio 3.0 % (between 1.0 % and 5.0 %). Held-out predictions "
        "miss 2.0 % of the labels that are not flagged: about as many correct labels may be flagged by the model's own "
        "error. Note: plain."
    )
    given = {**found(), "interval": [0.03, 0.03], "model_error": None, "evidence": {}}
    assert summary(given).endswith("noise ratio 3.0 % (as given).")


def test_each_suspect_has_its_picture(tmp_path: Path) -> None:
    picture = png(np.full((1, 8, 8), 0.5, dtype=np.float32))
    _, reader = page(tmp_path / "page.html", found(), [picture, None])
    assert [attributes["src"] for tag, attributes in reader.tags if tag == "img"] == [
        f"data:image/png;base64,{picture}"
    ]
    for number in range(3):
        assert f"plain{number}score 0.5" in reader.text
    assert "plain → plain" in reader.text


def test_nothing_is_fetched_nothing_runs_and_text_is_escaped(tmp_path: Path) -> None:
    text, reader = page(tmp_path / "page.html", found(3, HOSTILE), [])
    assert not {"script", "link", "iframe", "img", "form"} & {tag for tag, _ in reader.tags}
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert "<script" not in text
    assert HOSTILE in reader.text
    check_policy(text, reader, script=False)


def test_what_cannot_be_seen_is_written_out(tmp_path: Path) -> None:
    text, _ = page(tmp_path / "page.html", found(1, "\ud800\u202e"), [])
    assert r"\ud800\u202e" in text


def test_a_page_of_many_or_of_none(tmp_path: Path) -> None:
    _, reader = page(tmp_path / "page.html", found(MOST_SHOWN + 7), [])
    assert f"plain{MOST_SHOWN - 1}score" in reader.text
    assert f"plain{MOST_SHOWN}score" not in reader.text
    assert "7 more are in suspects.csv" in reader.text
    _, reader = page(tmp_path / "page.html", found(0), [])
    assert "suspects.csv" not in reader.text


def test_what_is_incomplete_is_refused(tmp_path: Path) -> None:
    content = found()
    del content["flagged"][0]["label"]
    with pytest.raises(InputError, match=r"suspects\.json.*`label`"):
        write_suspects_page(tmp_path / "page.html", content)
    assert not list(tmp_path.iterdir())


def test_examples_become_small_pictures() -> None:
    def read(pixels: np.ndarray[Any, Any]) -> Image.Image:
        return Image.open(io.BytesIO(base64.b64decode(png(pixels) or "")))

    gray = read(np.array([[[0.0, 1.0, 2.0]]]))
    assert (gray.mode, gray.size, list(gray.tobytes())) == ("L", (3, 1), [0, 255, 255])
    raw = read(np.array([[[0.0, 100.0, 255.0]]]))
    assert list(raw.tobytes()) == [0, 100, 255]
    color = read(np.full((3, 4, 4), 7, dtype=np.uint8))
    assert (color.mode, color.getpixel((0, 0))) == ("RGB", (7, 7, 7))
    assert max(read(np.zeros((1, 300, 200))).size) == LARGEST
    for other in (np.zeros(64), np.zeros((2, 8, 8)), np.zeros((1, 0, 8))):
        assert png(other) is None
