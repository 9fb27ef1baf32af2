"""What a detection found, in sentences and as one HTML page: no script, nothing is fetched, text is escaped."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from untrain.core.files import write_file
from untrain.core.text import percent, printable
from untrain.errors import InputError
from untrain.report.html import fill
from untrain.report.language import Translator

MOST_SHOWN = 200
"""Number of suspects on the page; the review file has all of them."""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """One flagged example.

    Attributes:
        id: of the example.
        label: name of the given class.
        suggested: name of the class that is more probable, where one is known.
        score: how suspicious it is.
        view: the model's probabilities of its most probable classes, by name.
    """

    id: str
    label: str
    suggested: str | None
    score: float | None
    view: dict[str, float] = {}


class SuspectsFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a page needs of the content of `suspects.json`.

    Attributes:
        data: name of the data.
        examples: number of examples.
        scorer: `name` or `name:preset`.
        noise_ratio: share of wrong labels.
        interval: around it, or None; both ends equal where the noise ratio was given.
        model_error: share of the labels not flagged that held-out predictions miss, or None.
        evidence: what else the scorer knows; `note` is a text for people.
        versions: by name.
        flagged: most suspicious first.
    """

    data: str
    examples: int
    scorer: str
    noise_ratio: float
    interval: tuple[float, float] | None
    model_error: float | None
    evidence: dict[str, object]
    versions: dict[str, str]
    flagged: tuple[Suspect, ...]


def summary(found: Mapping[str, object]) -> str:
    """What was found, in a few sentences.

    Args:
        found: the content of `suspects.json`.

    Raises:
        InputError: something is missing.
    """
    return _summary(_parsed(found))


def _summary(file: SuspectsFile) -> str:
    if file.interval is None:
        origin = "without an interval"
    else:
        low, high = file.interval
        origin = "as given" if low == high else f"between {percent(low, 1)} and {percent(high, 1)}"
    sentences = [
        f"{file.scorer} flags {len(file.flagged)} of {file.examples} labels as wrong; "
        f"noise ratio {percent(file.noise_ratio, 1)} ({origin})."
    ]
    if file.model_error is not None:
        sentences.append(
            f"Held-out predictions miss {percent(file.model_error, 1)} of the labels that are not flagged: "
            "about as many correct labels may be flagged by the model's own error."
        )
    if note := file.evidence.get("note"):
        sentences.append(f"Note: {printable(str(note))}.")
    beside = file.evidence.get("beside", [])
    sentences += [printable(str(line)) for line in (beside if isinstance(beside, list) else [])]
    return " ".join(sentences)


def write_suspects_page(
    path: str | Path, found: Mapping[str, object], pictures: Sequence[str | None] = (), *, language: str = "en"
) -> None:
    """Write one self-contained page of the most suspicious examples, at most `MOST_SHOWN`.

    Args:
        path: of the page.
        found: the content of `suspects.json`.
        pictures: of the first of `flagged`, each a PNG in base64 as `untrain.report.images.png` makes it, or None.
        language: of the page, `en` or `ja`.

    Raises:
        InputError: something is missing, or the file cannot be written.
    """
    file = _parsed(found)
    shown = file.flagged[:MOST_SHOWN]
    padded = [*pictures[: len(shown)], *[None] * (len(shown) - len(pictures))]
    say = Translator(language)
    heading = say("Suspects in {data}", data=printable(file.data))
    values = {
        "title": heading,
        "heading": heading,
        "summary": _summary(file),
        "entries": [_entry(suspect, picture) for suspect, picture in zip(shown, padded, strict=True)],
        "left": len(file.flagged) - len(shown),
        "versions": file.versions,
    }
    write_file(Path(path), fill("suspects.html.j2", values, say).encode("utf-8", "backslashreplace"))


def _parsed(found: Mapping[str, object]) -> SuspectsFile:
    try:
        return msgspec.convert(found, SuspectsFile)
    except msgspec.ValidationError as error:
        raise InputError(f"this is not the content of a suspects.json: {error}") from error


def _entry(suspect: Suspect, picture: str | None) -> dict[str, str | None]:
    return {
        "id": printable(suspect.id),
        "label": printable(suspect.label),
        "suggested": None if suspect.suggested is None else printable(suspect.suggested),
        "score": "" if suspect.score is None else f"{suspect.score:.4g}",
        "picture": picture,
    }
