"""What is reviewed: the examples, the suspects among them, and what a page shows of each."""

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from untrain.core.text import printable
from untrain.data import Examples
from untrain.data.examples import Array, Positions
from untrain.errors import InputError
from untrain.report.images import is_image, picture
from untrain.report.suspects import Suspect
from untrain.review.cache import Cache
from untrain.review.neighbors import COMPONENTS, Features, features, nearest

SIZES = {"small": 96, "large": 640}
"""Pixels of the longer side of the pictures."""
NEIGHBORS = 6
"""Nearest examples that are shown with each of the two labels."""
MOST_LETTERS = 200
"""Letters that are shown of a text beside another."""
MOST_COLUMNS = 12
"""Columns of a table that are shown of a row."""


class Workspace:
    """Examples and suspects, by position.

    Args:
        examples: all n examples, with the given labels.
        suspects: the flagged ones, the most suspicious first.
        cache: for thumbnails and features.
        columns: names of the columns of inputs `[n, columns]`, if they are known.
        texts: what each example says, by id, where that is known.

    Raises:
        InputError: the suspects are not among the examples, or have other labels there.
    """

    def __init__(
        self,
        examples: Examples,
        suspects: Sequence[Suspect],
        cache: Cache,
        columns: Sequence[str] | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self.examples, self.suspects, self._cache, self._texts = examples, tuple(suspects), cache, texts or {}
        self.position_of = {str(name): position for position, name in enumerate(examples.ids)}
        self.flagged = _flagged(examples, self.suspects, self.position_of)
        self.suspect_at = dict(zip(self.flagged.tolist(), self.suspects, strict=True))
        width = self._shape[0] if len(self._shape) == 1 else 0
        known = columns is not None and len(columns) == width
        self._columns = list(columns) if known and columns else [f"column {number}" for number in range(width)]
        self._working = threading.Lock()

    @property
    def kind(self) -> str:
        """What an example looks like: `picture`, `text`, `row` or `none`."""
        if is_image(self._shape):
            return "picture"
        return "text" if self._texts else "row" if len(self._shape) == 1 else "none"

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of one example; empty where inputs have names."""
        inputs = self.examples.inputs
        return () if isinstance(inputs, dict) else inputs.shape[1:]

    @property
    def compares(self) -> bool:
        """Whether examples can be compared by their inputs; numbers of tokens cannot."""
        inputs = self.examples.inputs
        return not isinstance(inputs, dict) and (inputs.dtype.kind == "f" or self.kind == "picture")

    def text(self, position: int) -> str:
        """What an example says: its text, or its columns, or its id."""
        name = str(self.examples.ids[position])
        if name in self._texts:
            return "\n".join(map(printable, self._texts[name].splitlines()))
        if self.kind == "row":
            row = zip(self._columns, self.examples.inputs[position], strict=True)
            return "\n".join(f"{printable(column)}: {value:g}" for column, value in row)
        return printable(name)

    @cached_property
    def features(self) -> Features:
        """Principal components of the inputs, made once."""

        def made() -> bytes:
            return features(self.examples.inputs).tobytes()

        data = np.frombuffer(self._cache.get(f"features {COMPONENTS}", made), dtype=np.float32)
        return data.reshape(len(self.examples), -1)

    @cached_property
    def _trusted(self) -> list[Positions]:
        """Positions of the examples of each class that are not flagged."""
        free = np.ones(len(self.examples), dtype=np.bool_)
        free[self.flagged] = False
        return [np.flatnonzero(free & (self.examples.labels == label)) for label in range(len(self.examples.classes))]

    @cached_property
    def _typical(self) -> dict[int, tuple[Array, Array]]:
        """Median and scale of each column, by class, of the examples that are not flagged."""
        typical = {}
        everywhere = self.examples.inputs.std(axis=0)
        for label, members in enumerate(self._trusted):
            rows = self.examples.inputs[members] if len(members) else self.examples.inputs
            low, middle, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
            scale = np.where(high > low, (high - low) / 1.35, everywhere)
            typical[label] = (middle, np.where(scale > 0, scale, 1))
        return typical

    def picture(self, position: int, size: str) -> bytes | None:
        """A PNG of an example, made once; None if it is no image."""
        if self.kind != "picture":
            return None
        pixels = self.examples.inputs[position]
        if size == "large" and max(pixels.shape[1:]) <= SIZES["small"]:
            size = "small"
        return self._cache.get(f"{size} {position}", lambda: picture(pixels, SIZES[size]) or b"")

    def suggested(self, position: int) -> int | None:
        """Number of the suggested class, or None."""
        suspect = self.suspect_at.get(position)
        if suspect is None or suspect.suggested is None:
            return None
        return self.examples.classes.index(suspect.suggested)

    def members(self, label: int) -> list[int]:
        """Positions of a class: its suspects first, then the others, the least typical first."""
        flagged = self.flagged[self.examples.labels[self.flagged] == label]
        others = self._trusted[label]
        if not self.compares:
            return [*flagged.tolist(), *others.tolist()]
        with self._working:
            rows = self.features[others]
        distances = np.abs(rows - np.median(rows, axis=0)).sum(axis=1) if len(others) else np.zeros(0)
        return [*flagged.tolist(), *others[np.argsort(-distances, kind="stable")].tolist()]

    def example(self, position: int) -> dict[str, object]:
        """What a page shows of one example, as plain values."""
        label, suggested = int(self.examples.labels[position]), self.suggested(position)
        suspect = self.suspect_at.get(position)
        return {
            "position": position,
            "id": printable(str(self.examples.ids[position])),
            "label": label,
            "suggested": suggested,
            "score": None if suspect is None else suspect.score,
            "view": [] if suspect is None else self._view(suspect),
            "columns": self._differing(position, label, suggested) if self.kind == "row" else [],
            "text": self.text(position) if self.kind in ("text", "none") else "",
        }

    def alike(self, position: int) -> list[dict[str, object]]:
        """The nearest examples with the suggested and with the given label, as plain values.

        Cost: the first call makes the features of all examples, some seconds for 60,000 images.
        """
        if not self.compares:
            return []
        label, suggested = int(self.examples.labels[position]), self.suggested(position)
        with self._working:  # features are made once, whoever asks first
            rows = self.features
        groups = []
        for each in dict.fromkeys([*([] if suggested is None else [suggested]), label]):
            near = nearest(rows, position, self._trusted[each], NEIGHBORS).tolist()
            texts = [self.text(place)[:MOST_LETTERS] for place in near] if self.kind == "text" else []
            groups.append({"label": each, "positions": near, "texts": texts})
        return groups

    def _view(self, suspect: Suspect) -> list[dict[str, object]]:
        """The model's most probable classes."""
        classes = self.examples.classes
        return [
            {"label": classes.index(name), "share": share} for name, share in suspect.view.items() if name in classes
        ]

    def _differing(self, position: int, label: int, suggested: int | None) -> list[dict[str, object]]:
        """Columns of a row in which it differs most from its class, by the class's own spread."""
        row, (middle, scale) = self.examples.inputs[position], self._typical[label]
        away = (row - middle) / scale
        other = None if suggested is None else self._typical[suggested][0]
        return [
            {
                "name": printable(self._columns[column]),
                "value": float(row[column]),
                "away": float(away[column]),
                "typical": float(middle[column]),
                "suggested": None if other is None else float(other[column]),
            }
            for column in np.argsort(-np.abs(away), kind="stable")[:MOST_COLUMNS]
        ]


def _flagged(examples: Examples, suspects: Sequence[Suspect], position_of: dict[str, int]) -> Positions:
    for suspect in suspects:
        position = position_of.get(suspect.id)
        if position is None:
            raise InputError(
                f"The suspect {suspect.id!r} is not among these {len(examples)} examples: pass the data that were "
                "looked through as --data."
            )
        label = examples.classes[examples.labels[position]]
        if label != suspect.label:
            raise InputError(
                f"The label of {suspect.id!r} is now {label!r} and was {suspect.label!r} when it was flagged: run "
                "`untrain detect` again."
            )
        if suspect.suggested is not None and suspect.suggested not in examples.classes:
            raise InputError(
                f"The class {suspect.suggested!r} is not among those of the data: run `untrain detect` again."
            )
    return np.asarray([position_of[suspect.id] for suspect in suspects], dtype=np.intp)
