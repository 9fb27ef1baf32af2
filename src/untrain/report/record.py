"""The page of a record: no script, nothing is fetched, every text is escaped, and no id is shown."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from untrain.core.estimate import Estimate
from untrain.core.text import percent, printable
from untrain.report.html import fill
from untrain.report.language import Translator

EVIDENCE = "This is evidence of a procedure, not a legal finding."
_HEADINGS = {
    "forgotten by construction": "Forgotten, by construction",
    "forgotten by audit": "Forgotten, by audit",
    "different": "Different: not told apart by its memory, but otherwise",
    "not shown": "Not shown: nothing shows that the model has forgotten",
    "remembered": "Remembered: the examples are still recognized",
    "kept original": "Not forgotten: the original was kept",
    "forgotten": "Forgotten, in the words of untrain 0.1, which asked for less",
    "doubtful": "Doubtful",
}


_ANSWERS = {
    "forgotten by construction": "A new model was trained without your data, so nothing in it comes from them.",
    "forgotten by audit": (
        "The model was changed so that it forgets your data, and a statistical test does not tell it from models that "
        "were trained without them."
    ),
    "different": (
        "The model was changed so that it forgets your data. A statistical test finds no memory of them, but it does "
        "tell the model from models that were trained without them."
    ),
    "not shown": "The model was changed so that it forgets your data. It was not shown that it has forgotten them.",
    "remembered": "The model was changed so that it forgets your data, but a test still recognizes some of them.",
    "kept original": "The model was not changed: every change that was tried made it too inaccurate or had no effect.",
}


def reply(content: dict[str, Any]) -> Iterator[str]:
    """An answer for the person who made the request, in sentences.

    Args:
        content: of a record; its field `reply` is not read.
    """
    requested, copies, verdict = content["requested"], content["copies"], content["verdict"]
    yield f"Your request concerns {requested['forgotten']} of the examples that the model was trained on."
    if taken := copies["exact_taken"] + copies["near_taken"]:
        yield f"{taken} of them are copies, or nearly, that we found beside the examples you named."
    yield _ANSWERS[" ".join(filter(None, (verdict["outcome"], verdict.get("ground"))))]
    if left := copies["exact_retained"] + copies["near_retained"]:
        yield f"{left} other training examples are copies of yours, or nearly, and are still used."
    if content["descendants"]:
        yield f"{len(content['descendants'])} models that were made from the earlier model were not changed by this."
    if content["retraining_due"]:
        yield f"The next training from nothing, without your data, is due on {content['retraining_due']}."


def record_page(content: dict[str, Any], language: str = "en") -> bytes:
    """The page; the same bytes for the same content.

    Args:
        content: of a `record.json`.
        language: of the page, `en` or `ja`.
    """
    say = Translator(language)
    certificate = (content["audit"] or {}).get("certificate") or {}
    outcome = " ".join(filter(None, (content["verdict"]["outcome"], content["verdict"].get("ground"))))
    values = {
        "title": say("Record of a request to forget"),
        "heading": say("Record of a request to forget"),
        "outcome": _HEADINGS.get(outcome, outcome) + ".",
        "evidence": EVIDENCE,
        "record": _printable(content),
        "settings": _texts(content["applied"]["settings"]),
        "certificate": _texts(certificate),
        "percent": percent,
        "points": _points,
        "figure": _figure,
    }
    return fill("record.html.j2", values, say).encode("ascii", "xmlcharrefreplace")


def _printable(value: object) -> object:
    """Plain values with every text printable."""
    if isinstance(value, dict):
        return {printable(name): _printable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _texts(values: dict[str, object]) -> dict[str, str]:
    """Names and plain values as texts."""
    return {
        printable(name): printable(value if isinstance(value, str) else json.dumps(value))
        for name, value in values.items()
    }


def _points(estimate: dict[str, float]) -> str:
    """A change of a share, in percentage points."""
    points = Estimate(*(100 * estimate[name] for name in Estimate.__struct_fields__))
    return f"{points:+.2f}"


def _figure(estimate: dict[str, float]) -> str:
    return f"{msgspec.convert(estimate, Estimate):.4g}"
