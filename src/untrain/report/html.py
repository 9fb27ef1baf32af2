"""HTML pages without scripts; nothing is fetched, and every text from data is escaped."""

from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from untrain.core.files import toml_text, write_file
from untrain.core.levels import MEMORY_LIMIT
from untrain.report.mislabel import head, mislabel_grids, mislabel_verdict
from untrain.report.results import ComparisonResults, MislabelResults, Results, read_results
from untrain.report.table import (
    columns,
    forgotten,
    groups,
    is_contender,
    order_note,
    order_table,
    origin,
    verdict,
    winner,
)


def write_report(directory: str | Path) -> Path:
    """Write `report.html` beside a run's `results.json` and return its path.

    Raises:
        ConfigError: there are no results, or those of a later version of untrain.
        IntegrityError: the results are damaged or incomplete.
    """
    page = render(read_results(directory))
    path = Path(directory) / "report.html"
    write_file(path, page)
    return path


def render(results: Results) -> str:
    """The page as text."""
    parts = _mislabel(results) if isinstance(results, MislabelResults) else _comparison(results)
    common = {
        "title": results.experiment,
        "heading": results.title,
        "results": results,
        "configuration": toml_text(results.configuration),
    }
    return fill(f"{results.kind}.html.j2", common | parts)


def fill(template: str, values: Mapping[str, object]) -> str:
    """A page from one of the templates; every text is escaped unless it is marked as safe."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("untrain.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(values)


def _comparison(results: ComparisonResults) -> dict[str, object]:
    """What the page of a comparison shows."""
    from untrain.report import figures  # loads matplotlib, which other pages do not need

    shown = {entry.forget: entry.examples for entry in results.shown}
    sections = [
        {
            "forgotten": forgotten(rows[0]),
            "verdict": verdict(rows),
            "rows": [(row, is_contender(row)) for row in rows],
            "winner": winner(rows),
            "score": Markup(figures.against_cost(rows, lambda row: row.final_score, "final score")),
            "accuracy": Markup(figures.against_cost(rows, lambda row: row.test_accuracy, "test accuracy, %")),
            "epsilons": Markup(figures.epsilons(rows)),
            "examples": [(example, Markup(figures.confidences(example, rows))) for example in shown[setting]],
        }
        for setting, rows in groups(results)
    ]
    order_head, order_lines = order_table(results)
    return {
        "sections": sections,
        "order_head": order_head,
        "order_lines": order_lines,
        "order_note": order_note(results) if order_lines else "",
        "columns": columns(results.rows),
        "published": any(row.published is not None for row in results.rows),
        "models": results.rows[0].models,
        "origin": origin(results.rows[0]),
        "memory_limit": MEMORY_LIMIT,
        "memory_models": results.rows[0].memory_models,
        "rank_energy_models": results.rows[0].rank_energy_models,
        "buckets": results.rows[0].buckets,
    }


def _mislabel(results: MislabelResults) -> dict[str, object]:
    """What the page of an experiment with mislabeled examples shows."""
    from untrain.report import figures  # loads matplotlib, which other pages do not need

    return {
        "grids": list(mislabel_grids(results)),
        "verdict": mislabel_verdict(results),
        "figures": [(histogram, Markup(figures.scores(histogram))) for histogram in results.shown],
        "notes": sorted({f"{row.scorer}, {head(row)}: {row.note}" for row in results.rows if row.note}),
        "published": any(row.published is not None for row in results.rows),
    }
