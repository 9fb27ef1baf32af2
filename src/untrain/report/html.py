"""HTML pages of one file; nothing is fetched, and every text from data is escaped.

The one script of a page sorts rows. The content security policy names it, and the style, by their digests.
"""

import base64
import functools
import hashlib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from untrain.core.files import toml_text, write_file
from untrain.core.levels import MEMORY_LIMIT
from untrain.report import figures
from untrain.report.language import Translator
from untrain.report.mislabel import head, mislabel_columns, mislabel_sentences
from untrain.report.results import ComparisonResults, MislabelResults, Results, read_results
from untrain.report.table import (
    columns,
    ending,
    forgotten,
    groups,
    headline,
    is_contender,
    order_note,
    order_table,
    origin,
    verdict,
    winner,
)

LONG = 40
"""A table of more rows is folded."""


def write_report(directory: str | Path, *, out: str | Path | None = None, language: str = "en") -> Path:
    """Write the report of a run and return its path.

    Args:
        directory: of the run.
        out: file of the page; default `report.html` in the directory.
        language: of the page, `en` or `ja`.

    Raises:
        ConfigError: there are no results, or those of a later version of untrain, or no such language.
        IntegrityError: the results are damaged or incomplete.
    """
    page = render(read_results(directory), language)
    path = Path(directory) / "report.html" if out is None else Path(out)
    write_file(path, page)
    return path


def render(results: Results, language: str = "en") -> str:
    """The page as text."""
    say = Translator(language)
    parts = _mislabel(results, say) if isinstance(results, MislabelResults) else _comparison(results, say)
    common = {
        "title": results.experiment,
        "heading": results.title,
        "results": results,
        "configuration": toml_text(results.configuration),
        "long": LONG,
    }
    return fill(f"{results.kind}.html.j2", common | parts, say)


def fill(template: str, values: Mapping[str, object], say: Translator | None = None) -> str:
    """A page from one of the templates; every text is escaped unless it is marked as safe."""
    say = say or Translator()
    style, script = asset("tokens.css") + asset("page.css"), asset("sort.js")
    page = {"t": say, "language": say.language, "style": Markup(style), "script": Markup(script)}
    return templates("untrain.report").get_template(template).render({**page, "policy": policy, **values})


@functools.cache
def templates(room: str) -> jinja2.Environment:
    """The templates of a room; every text that they are given is escaped."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(room),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@functools.cache
def asset(name: str) -> str:
    """The text of a file that pages share."""
    return resources.files("untrain.report").joinpath("assets", name).read_text(encoding="utf-8")


def policy(style: str, script: str | None = None) -> str:
    """A content security policy under which a page has this style and this script, and pictures inside itself."""
    scripts = "" if script is None else f" script-src '{_digest(script)}';"
    return f"default-src 'none';{scripts} style-src '{_digest(style)}'; img-src data:"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _comparison(results: ComparisonResults, say: Translator) -> dict[str, object]:
    """What the page of a comparison shows."""
    shown = {entry.forget: entry.examples for entry in results.shown}
    measured = any(row.memory_left is not None for row in results.rows)
    sections = [
        {
            "forgotten": forgotten(rows[0]),
            "headline": headline(rows),
            "verdict": verdict(rows),
            "models": rows[0].models,
            "ending": ending(results, setting),
            "rows": [(row, is_contender(row)) for row in rows],
            "winner": winner(rows),
            "memory": figures.memory_against_time(rows, say) if measured else None,
            "accuracy": figures.accuracy_against_time(rows, say),
            "score": figures.score_against_time(rows, say),
            "epsilons": figures.epsilons(rows, say),
            "examples": [(example, figures.confidences(example, rows, say)) for example in shown[setting]],
        }
        for setting, rows in groups(results)
    ]
    heads = columns(results.rows)
    order_head, order_lines = order_table(results)
    return {
        "sections": sections,
        "order_head": order_head,
        "order_lines": order_lines,
        "order_note": order_note(results) if order_lines else "",
        "columns": heads,
        "essential": [column for column in heads if column.essential],
        "legend": [(state, words, figures.key(state)) for state, words in LEGEND],
        "measured": measured,
        "published": any(row.published is not None for row in results.rows),
        "models": _range(row.models for row in results.rows),
        "origin": origin(results.rows[0]),
        "memory_limit": MEMORY_LIMIT,
        "memory_models": _range(row.memory_models for row in results.rows),
        "rank_energy_models": _range(row.rank_energy_models for row in results.rows),
        "buckets": _range(row.buckets for row in results.rows),
    }


def _range(counts: Iterable[int | None]) -> str:
    """A count, or the lowest and the highest of several; empty where none is known."""
    known = sorted({count for count in counts if count is not None})
    return " to ".join(map(str, known[:1] + known[1:][-1:]))


LEGEND = (
    ("forgets", "leaves no visible memory"),
    ("unclear", "too uncertain to tell"),
    ("remembers", "remembers"),
    ("retrained", "retraining, short to full"),
)
"""Marks of the figures and what they mean."""


def _mislabel(results: MislabelResults, say: Translator) -> dict[str, object]:
    """What the page of an experiment with mislabeled examples shows."""
    sentences = mislabel_sentences(results)
    return {
        "headline": sentences[0] if sentences else "",
        "sentences": sentences[1:],
        "columns": mislabel_columns(results),
        "figures": [(histogram, figures.scores(histogram, say)) for histogram in results.shown],
        "notes": sorted({(str(row.scorer), head(row), row.note) for row in results.rows if row.note}),
        "published": any(row.published is not None for row in results.rows),
        "doubtful": any(row.published is not None and row.published.doubtful for row in results.rows),
    }
