"""What `untrain detect` and `untrain repair` write, and JSON for all commands."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from untrain.core.environment import versions
from untrain.core.files import others_in
from untrain.errors import ConfigError
from untrain.report.suspects import Suspect, SuspectsFile

if TYPE_CHECKING:
    from untrain.cli.inputs import Inputs
    from untrain.detection import Suspects

_MOST_VIEWED = 3
"""Classes of the model's view that are written."""


class DetectionFile(SuspectsFile, frozen=True, kw_only=True):
    """The content of `suspects.json`: what a detection found.

    Attributes:
        schema: version of the format, also that of `repair.json`.
        seed: root of all random numbers.
        inputs: how the data were read, by the names of the options, so that they can be read again.
        classes: class names.
        counts: number of suspects by class.
    """

    schema: int = 2
    seed: int
    inputs: dict[str, object] = msgspec.field(default_factory=dict)
    classes: tuple[str, ...]
    counts: dict[str, int]

    @classmethod
    def of(cls, suspects: "Suspects", inputs: "Inputs") -> "DetectionFile":
        """Describe the result of a detection."""
        examples, suggested = suspects.examples, suspects.suggested
        names = tuple(examples.classes)
        flagged = tuple(
            Suspect(
                id=str(examples.ids[position]),
                label=names[examples.labels[position]],
                suggested=None if suggested is None else names[suggested[position]],
                score=float(suspects.scores[position]),
                view=_view(suspects, position),
            )
            for position in suspects.flagged
        )
        counts = np.bincount(examples.labels[suspects.flagged], minlength=len(names))
        return cls(
            data=inputs.data,
            seed=inputs.root,
            inputs=inputs.stored(),
            examples=len(examples),
            classes=names,
            scorer=suspects.scorer,
            noise_ratio=suspects.noise_ratio,
            interval=suspects.interval,
            model_error=suspects.model_error,
            counts=dict(zip(names, counts.tolist(), strict=True)),
            evidence=suspects.evidence,
            versions=versions(),
            flagged=flagged,
        )


def _view(suspects: "Suspects", position: int) -> dict[str, float]:
    """The model's most probable classes of an example."""
    if suspects.probabilities is None:
        return {}
    row = suspects.probabilities[position]
    return {suspects.examples.classes[label]: round(float(row[label]), 4) for label in np.argsort(-row)[:_MOST_VIEWED]}


class RepairFile(DetectionFile, frozen=True, kw_only=True):
    """The content of `repair.json`: what a detection found and what came of the repair.

    Attributes:
        accepted: whether the repaired model was kept.
        verdict: the outcome in a sentence or two.
        method: unlearning method, `name` or `name:preset`.
        before: accuracy of the original model, in 0..1.
        after: accuracy of the repaired model, in 0..1.
        measured_on: description of the examples that both were measured on.
        review: path of the review file, or None.
        forgotten: ids of the forgotten examples.
    """

    accepted: bool
    verdict: str
    method: str
    before: float
    after: float
    measured_on: str
    review: str | None
    forgotten: list[str]


def check_directory(out: Path, names: Iterable[str]) -> None:
    """Refuse an output directory that contains other files than these, or that cannot be written to.

    Raises:
        ConfigError: it does, or cannot.
    """
    expected = sorted(names)
    if others := others_in(out, expected):
        raise ConfigError(f"{out} contains {others[0]!r}, which is not from this command; choose another --out.")


def check_unanswered(review: Path) -> None:
    """Refuse to overwrite a review file that a person has filled in.

    Raises:
        ConfigError: the file contains answers.
        InputError: the file is not a review file.
    """
    from untrain.detection import has_answers

    if review.exists() and has_answers(review):
        raise ConfigError(f"{review} contains answers, which would be overwritten; choose another --out.")


def json_text(value: object) -> str:
    """A struct as strict JSON in ASCII, which can hold every id; numbers that are not finite become null."""
    return json.dumps(plain(value), indent=1, allow_nan=False) + "\n"


def plain(value: object) -> dict[str, object]:
    """A struct as dictionaries, lists, texts and finite numbers."""
    fields: dict[str, object] = msgspec.to_builtins(value, str_keys=True, enc_hook=_listed)
    return {name: _finite(field) for name, field in fields.items()}


def _listed(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
