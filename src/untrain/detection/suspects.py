"""`Suspects`: the result of a detection."""

from dataclasses import dataclass
from typing import NamedTuple

from untrain.core.estimate import Estimate
from untrain.core.text import percent, printable
from untrain.data import Examples
from untrain.data.examples import Labels, Positions
from untrain.detection.base import Evidence, Scores
from untrain.detection.beside import BESIDE

_MOST_SHOWN = 5


class Suspect(NamedTuple):
    """A flagged example.

    Attributes:
        id: of the example.
        label: name of the given class.
        suggested: name of the suggested class, or None.
        score: how suspicious it is.
    """

    id: str
    label: str
    suggested: str | None
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class Suspects:
    """The result of a detection. Printed, it is a summary and the most suspicious examples.

    Attributes:
        examples: the n examples that were scored.
        scorer: name of the scorer, as `name` or `name:preset`.
        scores: `[n]`, higher is more suspicious; for `auto` and `linear` the log-odds that the
            label is wrong, by a smoothed transition.
        flagged: positions of the examples taken for mislabeled, the most suspicious first.
        noise_ratio: share of mislabeled examples, as given or as estimated.
        interval: interval of an estimated noise ratio, or None if the scorer has none. How often it covers is
            measured by `benchmarks/noise_interval.py`; both ends are equal for a noise ratio that was given.
        model_error: error rate, on the examples not flagged, of predictions made without them: by held-out models
            or, for `neighbours`, by the neighbors; or None.
        suggested: `[n]`, most probable true class, or None if the scorer suggests none.
        evidence: further results of the scorer; a `note` is meant to be read by people.
        probabilities: `[n, C]`, the trained model's; it has learned from the given labels. None without a
            model.
    """

    examples: Examples
    scorer: str
    scores: Scores
    flagged: Positions
    noise_ratio: float
    interval: tuple[float, float] | None
    model_error: float | None
    suggested: Labels | None
    evidence: Evidence
    probabilities: Scores | None = None

    def rows(self, most: int | None = None) -> list[Suspect]:
        """The flagged examples by name, the most suspicious first.

        Args:
            most: how many; default all.
        """
        classes, labels, suggested = self.examples.classes, self.examples.labels, self.suggested
        return [
            Suspect(
                str(self.examples.ids[position]),
                classes[labels[position]],
                None if suggested is None else classes[suggested[position]],
                float(self.scores[position]),
            )
            for position in self.flagged[:most]
        ]

    def __repr__(self) -> str:
        ratio = _ratio(self.noise_ratio, self.interval)
        lines = [
            f"{len(self.flagged)} of {len(self.examples)} labels flagged by {printable(self.scorer)}; "
            f"noise ratio {ratio}"
        ]
        if "note" in self.evidence:
            lines.append(f"note: {printable(str(self.evidence['note']))}")
        lines += [printable(str(line)) for line in self.evidence.get(BESIDE, [])]
        lines += _table(self.rows(_MOST_SHOWN))
        if len(self.flagged) > _MOST_SHOWN:
            lines.append(f"and {len(self.flagged) - _MOST_SHOWN} more")
        return "\n".join(lines)


def _ratio(ratio: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return f"about {percent(ratio)}"
    low, high = interval
    return f"{percent(low)}, as given" if low == high else f"{Estimate(ratio, low, high):%}"


def _table(rows: list[Suspect]) -> list[str]:
    """Lines of a table with aligned columns; none without rows."""
    cells = [Suspect._fields] + [
        (printable(row.id), printable(row.label), printable(row.suggested or "-"), f"{row.score:.4g}") for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return lines if rows else []
