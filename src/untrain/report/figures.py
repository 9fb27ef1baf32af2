"""The figures of a report, as SVG text: no script, no font, colors of the page, the same bytes for the same numbers."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from untrain.report.results import ComparisonRow, ForgetExample, ScoreHistogram
from untrain.report.svg import Labels, Scale, axes, drawing, element, path
from untrain.report.table import Remembers, is_contender, remembers

Say = Callable[[str], str]
"""From an English text to that of the page's language."""

WIDE, HIGH = 500.0, 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, WIDE - 14, 34.0, HIGH - 46
_TALLEST = 50
"""Upper end of the axis of a histogram of scores, as in the study, so that the few wrong labels can be seen."""
_STRIP = 38.0
"""Pixels of the histogram of one method."""
_NAMES = 150.0
"""Pixels for the names of methods beside strips."""
_FARTHEST = (-0.6, 1.6)
"""Memory left outside of this is drawn at the edge."""

STATES = {
    Remembers.NOT: "forgets",
    Remembers.MAYBE: "unclear",
    Remembers.YES: "remembers",
    Remembers.UNKNOWN: "unknown",
}  # fmt: skip
"""The class of a method's mark."""


def mark(state: str, x: float, y: float) -> Markup:
    """A mark whose shape and color both tell the state: a disk, a ring, a diamond, or a square for retraining."""
    if state == "remembers":
        corners = [(x, y - 6), (x + 6, y), (x, y + 6), (x - 6, y)]
        return element("path", d=path(corners) + "Z", class_=state)
    if state in ("retrained", "unknown"):
        return element("rect", x=x - 3.5, y=y - 3.5, width=7, height=7, class_=state)
    return element("circle", cx=x, cy=y, r=5, class_=state)


def memory_against_time(rows: Sequence[ComparisonRow], say: Say) -> Markup:
    """Memory left of each method against the cost of one model, with its interval.

    Args:
        rows: of one forget setting; those without memory left are not drawn.
        say: the language.
    """
    known = [row for row in rows if row.memory_left is not None]
    ends = [end for row in known if row.memory_left for end in (row.memory_left.low, row.memory_left.high)]
    low, high = max(min([*ends, -0.1]), _FARTHEST[0]), min(max([*ends, 1.1]), _FARTHEST[1])
    y = Scale(low - 0.04, high + 0.04, _BOTTOM, _TOP)
    return _against_time(known, _memory, y, say("memory left: 0 retrained, 1 original"), say)


def accuracy_against_time(rows: Sequence[ComparisonRow], say: Say) -> Markup:
    """Test accuracy of each method against the cost of one model."""
    y = Scale.around([row.test_accuracy for row in rows], _BOTTOM, _TOP)
    return _against_time(rows, lambda row: row.test_accuracy, y, say("test accuracy, %"), say)


def score_against_time(rows: Sequence[ComparisonRow], say: Say) -> Markup:
    """Final score of each method against the cost of one model."""
    y = Scale.around([row.final_score for row in rows], _BOTTOM, _TOP)
    return _against_time(rows, lambda row: row.final_score, y, say("final score"), say)


def _memory(row: ComparisonRow) -> float:
    return row.memory_left.value if row.memory_left else 0.0


def _against_time(
    rows: Sequence[ComparisonRow], quantity: Callable[[ComparisonRow], float], y: Scale, label: str, say: Say
) -> Markup:
    """A quantity against the cost of one model: methods as marks with their names, retraining as a curve."""
    x = Scale.around([max(row.seconds_per_model, 1e-4) for row in rows], _LEFT, _RIGHT, log=True)
    state_of = remembers(rows)
    curve, methods = _parted(rows)
    parts = axes(x, y, say("seconds for one model (log scale)"), label)
    at = {row.method: (x(max(row.seconds_per_model, 1e-4)), y(quantity(row))) for row in rows}
    labels = Labels(_LEFT, WIDE, _TOP - 8, _BOTTOM)
    for place in at.values():
        labels.keep_clear((place[0] - 7, place[1] - 7, place[0] + 7, place[1] + 7))
    if y.low < 0 < y.high and quantity is _memory:
        parts.append(element("path", d=path([(_LEFT, y(0)), (_RIGHT, y(0))]), class_="zero"))
    if len(curve) > 1:
        parts.append(element("path", d=path(at[row.method] for row in curve), class_="curve"))
    marks = list[Markup]()
    for row in (*curve, *methods):
        state = STATES[state_of[row.method]] if is_contender(row) else "retrained"
        marks.append(mark(state, *at[row.method]))
        if quantity is _memory and row.memory_left:
            ends = [(at[row.method][0], y(end)) for end in (row.memory_left.low, row.memory_left.high)]
            parts.append(element("path", d=path(ends), class_=f"{state} whisker"))
    parts += marks  # above all whiskers
    for row in sorted((*curve, *methods), key=lambda row: at[row.method]):
        parts += labels.place(_short(row.method), *at[row.method])
    return drawing(WIDE, HIGH, parts, f"{label}; {say('seconds for one model (log scale)')}")


def _short(method: str) -> str:
    """The name at a mark: of short retraining the preset alone, since the curve is known."""
    return method.removeprefix("short-retrain:")


def _parted(rows: Sequence[ComparisonRow]) -> tuple[list[ComparisonRow], list[ComparisonRow]]:
    """Retraining by cost, and the methods."""
    curve = sorted((row for row in rows if not is_contender(row)), key=lambda row: row.seconds_per_model)
    return curve, [row for row in rows if is_contender(row)]


def confidences(example: ForgetExample, rows: Sequence[ComparisonRow], say: Say) -> Markup:
    """Histograms of the confidence of each method's models in one forget example, over that of retrained models.

    Args:
        example: with the confidences.
        rows: of its forget setting, in the order to draw.
        say: the language.
    """
    drawn = _parted(rows)[1]
    reference = np.asarray(example.confidences["reference"])
    pooled = np.concatenate([reference, *(np.asarray(example.confidences[row.method]) for row in drawn)])
    low, high = np.quantile(pooled, [0.005, 0.995])
    room = 0.05 * (high - low) + 1e-3
    bins = np.linspace(low - room, high + room, 49)
    x = Scale(float(bins[0]), float(bins[-1]), _NAMES, WIDE - 10)
    parts, base = list[Markup](), 4.0
    for row in drawn:
        base += _STRIP
        ours, theirs = (_density(values, bins) for values in (example.confidences[row.method], reference))
        y = Scale(0, max(ours.max(), theirs.max()) or 1, base, base - _STRIP + 8)
        parts.append(element("path", d=_steps(bins, theirs, x, y) + "Z", class_="shape"))
        parts.append(element("path", d=_steps(bins, ours, x, y), class_="outline"))
        parts.append(element("text", row.method, x=_NAMES - 8, y=base - 4, class_="name end"))
    for tick in x.ticks():
        parts.append(element("text", f"{tick:g}", x=x(tick), y=base + 17, class_="middle"))
    return drawing(WIDE, base + 24, parts, say("confidence in the true class (gray: retrained)"))


def _density(values: Sequence[float] | npt.NDArray[np.float64], bins: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return np.histogram(np.clip(values, bins[0], bins[-1]), bins)[0]


def _steps(
    edges: Sequence[float] | npt.NDArray[np.float64], counts: Sequence[int] | npt.NDArray[np.intp], x: Scale, y: Scale
) -> str:
    """The outline of a histogram."""
    points = [(x(float(edges[0])), y(0))]
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        points += [(x(float(left)), y(float(count))), (x(float(right)), y(float(count)))]
    return path([*points, (x(float(edges[-1])), y(0))])


def epsilons(rows: Sequence[ComparisonRow], say: Say) -> Markup:
    """The epsilon of every forget example under every method, those at the cap to the right of a break."""
    finite = [value for row in rows for value in row.epsilon if value is not None and value < 50]
    limit = max([*finite, 0.5 * rows[0].buckets, 1.0])
    x = Scale(0, limit * 1.12, _NAMES + 20, 960)
    parts, high = list[Markup](), 24.0
    for number, row in enumerate(rows):
        middle = 14 + high * number
        values = [value for value in row.epsilon if value is not None]
        offsets = np.linspace(-7, 7, len(values)) if len(values) > 1 else np.zeros(len(values))
        dots = "".join(f"M{x(value):.1f} {middle + away:.1f}h0" for value, away in zip(values, offsets, strict=True))
        parts.append(element("text", row.method, x=_NAMES + 8, y=middle + 4, class_="name end"))
        parts.append(element("path", d=path([(x.start, middle + 12), (x.end, middle + 12)]), class_="grid"))
        if dots:
            parts.append(element("path", d=dots, class_=f"{'forgets' if is_contender(row) else 'retrained'} dots"))
    bottom = 14 + high * len(rows)
    parts.append(element("path", d=path([(x(limit * 1.06), 0), (x(limit * 1.06), bottom)]), class_="zero"))
    for tick in x.ticks():
        if tick <= limit:
            parts.append(element("text", f"{tick:g}", x=x(tick), y=bottom + 12, class_="middle"))
    parts.append(element("text", say("cap"), x=x.end, y=bottom + 12, class_="middle"))
    return drawing(980, bottom + 22, parts, say("epsilon of each forget example (lower is better)"))


def scores(histogram: ScoreHistogram, say: Say) -> Markup:
    """Histogram of a scorer's scores, of correct and of wrong labels."""
    edges = histogram.edges
    x, y = Scale(edges[0], edges[-1], _LEFT, _RIGHT), Scale(0, _TALLEST, 190, _TOP)
    parts = axes(x, y, say("score (higher is more suspicious)"), say("examples"))
    for counts, name in ((histogram.correct, "shape"), (histogram.wrong, "wrong")):
        parts.append(element("path", d=_steps(edges, counts, x, y) + "Z", class_=name))
    return drawing(WIDE, 230, parts, f"{histogram.scorer}: {say('score (higher is more suspicious)')}")


def key(state: str) -> Markup:
    """A mark alone, for the legend."""
    return element("svg", mark(state, 7, 7), viewBox="0 0 14 14", width=14, height=14, aria_hidden="true")
