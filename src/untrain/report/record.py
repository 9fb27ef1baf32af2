"""The page of a record: no script, nothing is fetched, every text is escaped, and no id is shown."""

import json
from typing import Any

import msgspec

from untrain.core.estimate import Estimate
from untrain.core.text import percent, printable
from untrain.report.html import fill

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


def record_page(content: dict[str, Any]) -> bytes:
    """The page; the same bytes for the same content.

    Args:
        content: of a `record.json`.
    """
    certificate = (content["audit"] or {}).get("certificate") or {}
    outcome = " ".join(filter(None, (content["verdict"]["outcome"], content["verdict"].get("ground"))))
    values = {
        "title": "record of a request to forget",
        "heading": "Record of a request to forget",
        "outcome": _HEADINGS.get(outcome, outcome),
        "evidence": EVIDENCE,
        "record": _printable(content),
        "settings": _texts(content["applied"]["settings"]),
        "certificate": _texts(certificate),
        "percent": percent,
        "points": _points,
        "figure": _figure,
    }
    return fill("record.html.j2", values).encode("ascii", "xmlcharrefreplace")


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
