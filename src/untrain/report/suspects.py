"""What a detection found, in sentences and as one HTML page: no script, nothing fetched, text from data escaped."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from untrain.core.files import write_file
from untrain.core.text import percent, printable
from untrain.errors import InputError
from untrain.report.html import fill

MOST_SHOWN = 200
"""Suspects on the page; the review file has all."""


def summary(found: dict[str, Any]) -> str:
    """What was found, in a few sentences.

    Args:
        found: as in `suspects.json`: `examples`, a count, `flagged`, a list, `scorer`, `noise_ratio`, `interval`,
            `model_error`, and `evidence` with or without a `note`.
    """
    low, high = found["interval"]
    ratio = percent(found["noise_ratio"], 1)
    given = "as given" if low == high else f"95 % interval {percent(low, 1)} to {percent(high, 1)}"
    text = (
        f"{len(found['flagged'])} of {found['examples']} labels are taken for wrong by {found['scorer']}; "
        f"noise ratio {ratio} ({given})."
    )
    if found["model_error"] is not None:
        text += (
            f" Of the labels taken for right, held-out predictions miss {percent(found['model_error'], 1)}: "
            "so much may look wrong by the model's own fault."
        )
    note = found["evidence"].get("note")
    return f"{text} Note: {printable(str(note))}." if note else text


def write_suspects_page(path: str | Path, found: dict[str, Any], pictures: Sequence[str | None] = ()) -> None:
    """Write one self-contained page of the most suspicious examples, at most `MOST_SHOWN`.

    Args:
        path: of the page.
        found: see `summary`; besides, `data`, its name, `versions`, and for each of `flagged` an `id`, `label`,
            `suggested` or None, and `score`.
        pictures: of the first of `flagged`, each a PNG in base64 as `untrain.report.images.png` makes it, or None.

    Raises:
        InputError: something is missing, or the file cannot be written.
    """
    shown = found["flagged"][:MOST_SHOWN]
    try:
        values = {
            "title": f"suspects in {printable(found['data'])}",
            "heading": f"Suspects in {printable(found['data'])}",
            "summary": summary(found),
            "entries": [
                _entry(each, pictures[number] if number < len(pictures) else None) for number, each in enumerate(shown)
            ],
            "left": len(found["flagged"]) - len(shown),
            "found": found,
        }
        page = fill("suspects.html.j2", values)
    except (KeyError, jinja2.UndefinedError) as error:
        raise InputError(f"expected everything that suspects.json has for the page, got {error!r}") from error
    write_file(Path(path), page.encode("utf-8", "backslashreplace"))


def _entry(suspect: dict[str, Any], picture: str | None) -> dict[str, str | None]:
    return {
        "id": printable(suspect["id"]),
        "label": printable(suspect["label"]),
        "suggested": None if suspect["suggested"] is None else printable(suspect["suggested"]),
        "score": f"{suspect['score']:.4g}",
        "picture": picture,
    }
