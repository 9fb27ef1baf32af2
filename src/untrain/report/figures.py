"""Figures as SVG text: no script, no fonts embedded, the same bytes for the same numbers."""

import io
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from untrain.report.results import ComparisonRow, ForgetExample, ScoreHistogram
from untrain.report.table import is_contender

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f3c8d", "#a65628")
_GRAY = "#9aa3ad"
_INK = "#1f2933"
_TALLEST = 50
"""Upper end of the axis of a histogram of scores, as in the study, so that the few wrong labels can be seen."""

_STYLE: dict[str, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "untrain",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#7b8794",
    "axes.labelcolor": _INK,
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
}


def _styled() -> AbstractContextManager[None]:
    return mpl.rc_context(_STYLE)  # type: ignore[arg-type]  # the stubs want every key as a literal


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is measured too narrow here; the browser draws it.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(
            file, format="svg", metadata={"Date": None, "Creator": None}, transparent=True, bbox_inches="tight"
        )
    text = file.getvalue()
    return text[text.index("<svg") :]


def _colors(rows: Sequence[ComparisonRow]) -> dict[str, str]:
    """A color for each method; the same in every figure of a report."""
    names = sorted({row.method for row in rows if is_contender(row)})
    return {name: _COLORS[number % len(_COLORS)] for number, name in enumerate(names)}


def against_cost(rows: Sequence[ComparisonRow], quantity: Callable[[ComparisonRow], float], label: str) -> str:
    """A quantity against the cost of one model: methods as dots, short and full retraining as a curve.

    Args:
        rows: of one forget setting.
        quantity: of a row.
        label: of its axis.
    """
    colors = _colors(rows)
    with _styled():
        figure = Figure(figsize=(4.6, 3.4))
        axes = figure.add_subplot()
        curve = sorted((row for row in rows if not is_contender(row)), key=lambda row: row.seconds_per_model)
        axes.plot(
            [row.seconds_per_model for row in curve],
            [quantity(row) for row in curve],
            "o-", color=_GRAY, markersize=4, label="retraining, short to full", zorder=1,
        )  # fmt: skip
        for row in rows:
            if is_contender(row):
                point = (row.seconds_per_model, quantity(row))
                axes.scatter(*point, s=70, color=colors[row.method], zorder=3, label=row.method)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
        axes.xaxis.set_minor_formatter(FuncFormatter(_sparse))
        axes.set_xlabel("seconds for one model, computed alone (log scale)")
        axes.set_ylabel(label)
        axes.grid(color="#e4e7eb", linewidth=0.7)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False, ncols=2, fontsize=9)
        return _svg(figure)


def _plain(value: float, _: int | None) -> str:
    return f"{value:g}"


def _sparse(value: float, _: int | None) -> str:
    """Labels between powers of ten, only at 2 and 5."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def confidences(example: ForgetExample, rows: Sequence[ComparisonRow]) -> str:
    """Histograms of the confidence of each method's models in one forget example, over that of retrained models.

    Args:
        example: with the confidences.
        rows: of its forget setting, in the order to draw.
    """
    colors = _colors(rows)
    drawn = [row.method for row in rows if is_contender(row)]
    reference = np.asarray(example.confidences["reference"])
    pooled = np.concatenate([reference, *(np.asarray(example.confidences[name]) for name in drawn)])
    low, high = np.quantile(pooled, [0.005, 0.995])
    margin = 0.05 * (high - low) + 1e-3
    bins = np.linspace(low - margin, high + margin, 49)
    with _styled():
        figure = Figure(figsize=(4.4, 0.75 * max(len(drawn), 1) + 0.5))
        all_axes = figure.subplots(max(len(drawn), 1), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(all_axes, drawn, strict=False):
            _filled(axes, reference, bins, _GRAY)
            _filled(axes, np.asarray(example.confidences[name]), bins, colors[name])
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.text(0.0, 1.02, name, transform=axes.transAxes, color=colors[name], fontsize=9)
        figure.subplots_adjust(hspace=0.55)
        all_axes[-1].set_xlabel("confidence in the true class (gray: retrained)")
        return _svg(figure)


def _filled(axes: Axes, values: npt.NDArray[np.float64], bins: npt.NDArray[np.float64], color: str) -> None:
    axes.hist(np.clip(values, bins[0], bins[-1]), bins=bins, density=True, color=color, alpha=0.45)  # type: ignore[arg-type]
    axes.hist(np.clip(values, bins[0], bins[-1]), bins=bins, density=True, color=color, histtype="step")  # type: ignore[arg-type]


def epsilons(rows: Sequence[ComparisonRow]) -> str:
    """The epsilon of every forget example under every method, those at the cap to the right of a break."""
    colors = _colors(rows)
    finite = [value for row in rows for value in row.epsilon if value is not None and value < 50]
    limit = max([*finite, 0.5 * rows[0].buckets, 1.0])
    cap = limit * 1.12
    with _styled():
        figure = Figure(figsize=(6.6, 0.34 * len(rows) + 0.9))
        axes = figure.add_subplot()
        for number, row in enumerate(rows):
            values = np.asarray([min(value, cap) for value in row.epsilon if value is not None])
            offsets = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(len(values))
            axes.scatter(
                values,
                number + offsets,
                s=12,
                alpha=0.6,
                linewidths=0,
                color=colors.get(row.method, _GRAY),
            )
        axes.axvline(limit * 1.06, color="#cbd2d9", linestyle=":")
        axes.set_yticks(range(len(rows)), [row.method for row in rows])
        axes.invert_yaxis()
        ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= limit]
        axes.set_xticks([*ticks, cap], [*(f"{tick:g}" for tick in ticks), "cap"])
        axes.set_xlim(-0.03 * cap, cap * 1.03)
        axes.set_xlabel("epsilon of each forget example (lower is better)")
        axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
        return _svg(figure)


def scores(histogram: ScoreHistogram) -> str:
    """Histogram of a scorer's scores, of correct and of wrong labels."""
    edges = np.asarray(histogram.edges)
    with _styled():
        figure = Figure(figsize=(4.4, 2.6))
        axes = figure.add_subplot()
        for label, counts, color in (
            ("correct labels", histogram.correct, _GRAY),
            ("wrong labels", histogram.wrong, _COLORS[1]),
        ):
            axes.stairs(counts, edges, fill=True, color=color, alpha=0.6, label=label)
        axes.set_ylim(0, _TALLEST)
        axes.set_xlabel("score (higher is more suspicious)")
        axes.set_ylabel("examples")
        axes.legend(frameon=False, fontsize=9)
        return _svg(figure)
