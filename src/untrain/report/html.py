"""One HTML page from `results.json`: no script, nothing fetched, every text from data escaped."""

from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from untrain.core.files import toml_text, write_file
from untrain.errors import ConfigError, IntegrityError
from untrain.report.mislabel import head, mislabel_grids, mislabel_verdict
from untrain.report.table import columns, forgotten, groups, is_contender, verdict


def read_results(directory: str | Path) -> dict[str, Any]:
    """The content of a run's `results.json`.

    Raises:
        ConfigError: the directory holds no results, or those of a later version of untrain.
        IntegrityError: the file is not what a run writes.
    """
    path = Path(directory) / "results.json"
    if not path.is_file():
        raise ConfigError(f"expected results.json in {directory}, found none: has the run finished?")
    try:
        results = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise IntegrityError(f"expected JSON in {path}: {error}") from error
    if results.get("schema") != 1:
        raise ConfigError(f"expected results of schema 1 in {path}, got {results.get('schema')!r}")
    if results.setdefault("kind", "comparison") not in ("comparison", "mislabel"):
        raise ConfigError(f"expected results of kind comparison or mislabel in {path}, got {results['kind']!r}")
    return results


def write_report(directory: str | Path) -> Path:
    """Write `report.html` beside a run's `results.json` and return its path.

    Raises:
        ConfigError: there are no results.
        IntegrityError: the results lack what a run writes.
    """
    results = read_results(directory)
    try:
        page = render(results)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, jinja2.UndefinedError) as error:
        raise IntegrityError(f"expected complete results in {directory}/results.json, got {error!r}") from error
    path = Path(directory) / "report.html"
    write_file(path, page)
    return path


def render(results: dict[str, Any]) -> str:
    """The page as text."""
    parts = _mislabel(results) if results["kind"] == "mislabel" else _comparison(results)
    configuration = toml_text(results["configuration"])
    common = {"title": results["experiment"], "heading": results["title"], "configuration": configuration}
    return fill(f"{results['kind']}.html.j2", {"results": results, **common, **parts})


def fill(template: str, values: dict[str, Any]) -> str:
    """A page from one of the templates; every text is escaped but what is marked as safe."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("untrain.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(values)


def _comparison(results: dict[str, Any]) -> dict[str, Any]:
    """What the page of a comparison shows."""
    from untrain.report import figures  # which loads matplotlib, and other pages have no figures

    shown = {entry["forget"]: entry["examples"] for entry in results["shown"]}
    sections = []
    for setting, rows in groups(results):
        sections.append(
            {
                "forgotten": forgotten(setting, rows[0]),
                "verdict": verdict(rows),
                "rows": [{"row": row, "contender": is_contender(row)} for row in rows],
                "best": max((row["final_score"] for row in rows if is_contender(row)), default=None),
                "score": Markup(figures.against_cost(rows, "final_score", "final score")),
                "accuracy": Markup(figures.against_cost(rows, "test_accuracy", "test accuracy, %")),
                "epsilons": Markup(figures.epsilons(rows)),
                "examples": [
                    {**example, "figure": Markup(figures.confidences(example, rows))} for example in shown[setting]
                ],
            }
        )
    return {
        "sections": sections,
        "columns": columns(results["rows"]),
        "published": any("published" in row for row in results["rows"]),
        "models": results["rows"][0]["models"],
        "buckets": results["rows"][0]["buckets"],
    }


def _mislabel(results: dict[str, Any]) -> dict[str, Any]:
    """What the page of an experiment with wrong labels shows."""
    from untrain.report import figures  # which loads matplotlib, and other pages have no figures

    notes = {f"{row['scorer']}, {head(row)}: {row['note']}" for row in results["rows"] if row.get("note")}
    return {
        "grids": list(mislabel_grids(results)),
        "verdict": mislabel_verdict(results),
        "figures": [
            {"scorer": each["scorer"], "ratio": each["noise_ratio"], "svg": Markup(figures.scores(each))}
            for each in results["shown"]
        ],
        "notes": sorted(notes),
        "published": any("published" in row for row in results["rows"]),
    }
