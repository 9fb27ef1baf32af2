"""The review page: what it is told of the case, and the page itself, with a server or as one file."""

import base64
import csv
import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import msgspec
from markupsafe import Markup

from untrain.core.files import write_file
from untrain.core.text import printable
from untrain.detection import ReviewFile
from untrain.detection.review import escape
from untrain.report.html import asset as shared
from untrain.report.html import policy, templates
from untrain.report.language import Translator, catalog
from untrain.review.remaining import coordinates
from untrain.review.workspace import MOST_LETTERS, Workspace

KEYS = "0123456789abefhijklmopqrtvwxz"
"""Keys of the classes by number; the letters that are missing decide or move."""


def case_of(workspace: Workspace, about: Mapping[str, object], language: str = "en") -> dict[str, object]:
    """What a page knows from its start, as plain values.

    Args:
        workspace: what is reviewed.
        about: `data`, `scorer` and `commands`, for the page.
        language: of its texts.
    """
    import numpy as np

    scores = [0.0 if suspect.score is None else suspect.score for suspect in workspace.suspects]
    probabilities = all(0 <= score <= 1 for score in scores)
    return {
        **about,
        "probabilities": probabilities,
        "kind": workspace.kind,
        "examples": len(workspace.examples),
        "classes": [printable(name) for name in workspace.examples.classes],
        "keys": _keys(workspace.examples.classes),
        "suspects": workspace.flagged.tolist(),
        "ids": [printable(suspect.id) for suspect in workspace.suspects],
        "snippets": [workspace.text(position)[:MOST_LETTERS] for position in workspace.flagged.tolist()]
        if workspace.kind == "text"
        else [],
        "labels": workspace.examples.labels[workspace.flagged].tolist(),
        "suggested": [workspace.suggested(position) for position in workspace.flagged.tolist()],
        "scores": [suspect.score for suspect in workspace.suspects],
        "coordinates": np.round(coordinates(np.asarray(scores)), 4).tolist(),
        "small": workspace.kind == "picture" and max(workspace.examples.inputs.shape[-2:]) <= 64,
        "language": language,
        "texts": catalog(language),
    }


def _keys(classes: tuple[str, ...]) -> list[str]:
    """A key for each class: its own name where that is a digit, else the next that is free; none for many classes."""
    own = [name if name in set("0123456789") else "" for name in classes]
    free = iter(key for key in KEYS if key not in own)
    return [key or next(free, "") for key in own]


def answers_of(workspace: Workspace, file: ReviewFile) -> list[dict[str, object]]:
    """The answers of a review file by position; those that say nothing are left out."""
    classes = {name: number for number, name in enumerate(workspace.examples.classes)}
    return [
        {
            "position": workspace.position_of[name],
            "label": int(workspace.examples.labels[workspace.position_of[name]]),
            "wrong": answer.wrong,
            "corrected": classes.get(answer.corrected),
            "conflict": printable(answer.conflict),
            "decided": answer.decided,
        }
        for name, answer in file.answers.items()
        if (answer.wrong or answer.conflict) and name in workspace.position_of
    ]


def render(language: str = "en", static: Mapping[str, object] | None = None) -> str:
    """The page as text: with a server it holds no data, as one file it holds everything.

    Args:
        language: of its texts.
        static: what a page without a server holds.
    """
    values: dict[str, object] = {"t": Translator(language), "language": language, "static": None}
    if static is not None:
        script, style = asset("review.js"), asset("review.css")
        values["static"] = {
            "script": Markup(script),  # noqa: S704 (our own file)
            "style": Markup(style),  # noqa: S704
            # Data in a script element end where the element does, unless no "<" is left in them.
            "data": Markup(msgspec.json.encode(static).decode().replace("<", "\\u003c")),  # noqa: S704
            "policy": policy(style, script),
        }
    return templates("untrain.review").get_template("review.html.j2").render(values)


def write_static(
    path: Path, workspace: Workspace, file: ReviewFile, about: Mapping[str, object], language: str = "en"
) -> None:
    """Write the page as one file that needs no server; decisions stay in it and are downloaded as a review file.

    It holds the pictures of the suspects and of the examples that are like them, and nothing of other examples.

    Raises:
        InputError: the file cannot be written.
    """
    alike = {str(position): workspace.alike(position) for position in workspace.flagged.tolist()}
    wanted = dict.fromkeys(workspace.flagged.tolist(), "large")
    for groups in alike.values():
        for group in groups:
            for position in group["positions"]:  # type: ignore[attr-defined]
                wanted.setdefault(position, "small")
    pictures = {}
    for position, size in wanted.items():
        if picture := workspace.picture(position, size):
            pictures[str(position)] = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    content = {
        "case": case_of(workspace, about, language),
        "answers": answers_of(workspace, file),
        "details": {str(position): workspace.example(position) for position in workspace.flagged.tolist()},
        "alike": alike,
        "pictures": pictures,
        # The page writes rows without knowing how texts are escaped in them.
        "rows": _rows(workspace, file),
        "classCells": [_cell(escape(name)) for name in workspace.examples.classes],
        "digest": workspace.examples.digest(),
    }
    write_file(path, render(language, content).encode("utf-8", "backslashreplace"))


def _rows(workspace: Workspace, file: ReviewFile) -> dict[str, str]:
    """The cells id, label, suggested and score of each suspect, as they stand in a review file."""
    return {
        str(workspace.position_of[suspect.id]): ",".join(
            _cell(cell)
            for cell in (
                escape(suspect.id), escape(suspect.label), escape(suspect.suggested or ""),
                "" if suspect.score is None else f"{suspect.score:.6g}",
            )
        )
        for suspect in workspace.suspects
    }  # fmt: skip


def _cell(text: str) -> str:
    line = io.StringIO(newline="")
    csv.writer(line).writerow([text, ""])
    return line.getvalue().removesuffix(",\r\n")


def asset(name: str) -> str:
    """A file of the page; the colors are those of reports."""
    text = resources.files("untrain.review").joinpath("assets", name).read_text(encoding="utf-8")
    return shared("tokens.css") + text if name.endswith(".css") else text
