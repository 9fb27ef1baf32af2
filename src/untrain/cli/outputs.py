"""What `untrain detect` and `untrain repair` leave in a directory."""

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from untrain.core.environment import versions
from untrain.core.files import others_in, write_file
from untrain.errors import ConfigError

if TYPE_CHECKING:
    from untrain.detection import Suspects

SCHEMA = 1
"""Version of the form of `suspects.json` and `repair.json`."""


def check_directory(out: Path, names: Iterable[str]) -> None:
    """Refuse a directory that holds anything but files of these names, or cannot be written to.

    Raises:
        ConfigError: it is such a one, or a file.
    """
    expected = sorted(names)
    for other in others_in(out, expected)[:1]:
        raise ConfigError(
            f"expected {out} to hold nothing or just {', '.join(expected)}, got {other!r} there: choose another --out"
        )


def check_unanswered(review: Path) -> None:
    """Refuse to overwrite a review file in which a person has written.

    Raises:
        ConfigError: there are answers in it.
        InputError: it is no review file.
    """
    from untrain.detection import has_answers

    if review.exists() and has_answers(review):
        raise ConfigError(f"expected no answers in {review}, which is to be replaced, got some: choose another --out")


def record(suspects: "Suspects", data: str, seed: int) -> dict[str, Any]:
    """What a detection found, as plain values."""
    examples, suggested = suspects.examples, suspects.suggested
    content: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "data": data,
            "seed": seed,
            "examples": len(examples),
            "classes": examples.classes,
            "scorer": suspects.scorer,
            "noise_ratio": suspects.noise_ratio,
            "interval": suspects.interval,
            "model_error": suspects.model_error,
            "counts": {
                name: int((examples.labels[suspects.flagged] == label).sum())
                for label, name in enumerate(examples.classes)
            },
            "evidence": suspects.evidence,
            "versions": versions(),
            "flagged": [
                {
                    "id": str(examples.ids[position]),
                    "label": examples.classes[examples.labels[position]],
                    "suggested": None if suggested is None else examples.classes[suggested[position]],
                    "score": suspects.scores[position],
                }
                for position in suspects.flagged
            ],
        }
    )
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain values, indented."""
    write_file(path, json_text(content))


def json_text(content: dict[str, Any]) -> str:
    """Strict JSON in ASCII, which holds any id whatever characters it has."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:  # noqa: ANN401 (any value)
    """Numbers, texts, lists and dictionaries; None for what is no finite number, the text of what is something else."""
    if dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct):
        return plain(msgspec.to_builtins(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, str) else str(value)
