"""The page of a record: no script, nothing fetched, every text escaped, no id in it."""

import json
from typing import Any

from untrain.core.text import percent, printable
from untrain.report.html import fill

EVIDENCE = "This is evidence of a procedure, not a legal finding."
_HEADINGS = {
    "forgotten": "Forgotten, as far as was measured",
    "doubtful": "Doubtful",
    "kept original": "Not forgotten: the original was kept",
}


def record_page(content: dict[str, Any]) -> bytes:
    """The page; the same bytes for the same content.

    Args:
        content: of a `record.json`.
    """
    shown = _printable(content)
    values = {
        "title": "record of a request to forget",
        "heading": "Record of a request to forget",
        "outcome": _HEADINGS[content["verdict"]["outcome"]],
        "evidence": EVIDENCE,
        "record": shown,
        "settings": {printable(name): _text(value) for name, value in content["applied"]["settings"].items()},
        "certificate": {
            printable(name): _text(value) for name, value in ((content["audit"] or {}).get("certificate") or {}).items()
        },
        "percent": percent,
        "points": _points,
        "figure": _figure,
    }
    return fill("record.html.j2", values).encode("ascii", "xmlcharrefreplace")


def _printable(value: Any) -> Any:  # noqa: ANN401 (any plain value)
    if isinstance(value, dict):
        return {printable(name): _printable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _text(value: Any) -> str:  # noqa: ANN401 (any plain value)
    return printable(value if isinstance(value, str) else json.dumps(value))


def _points(estimate: dict[str, float]) -> str:
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:+.2f} points (95 % interval {low:+.2f} to {high:+.2f})"


def _figure(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.4g} (95 % interval {estimate['low']:.4g} to {estimate['high']:.4g})"
