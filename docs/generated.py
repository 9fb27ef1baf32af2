"""Writes a page for each method and each detector before the site is built: its docstring, settings and figures.

The figures are read from two results files in `docs/figures/`; the command that made one stands beside its figures.
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
from sphinx.application import Sphinx

from untrain.cli.main import COMMANDS, main
from untrain.core.registry import base_name
from untrain.report import read_results
from untrain.report.results import ComparisonRow, MislabelRow
from untrain.report.table import interval, number

DOCS = Path(__file__).parent


@dataclass(frozen=True)
class Catalog:
    """One kind of plug-in.

    Attributes:
        name: of the folder of pages and of the results file.
        title: of the index.
        group: of entry points.
        text: first paragraph of the index.
        command: that made the results file.
        heads: of the columns of figures.
        cells: the figures of a row, in Markdown.
        spec: `name` or `name:preset` of a row, or None where it belongs to no page.
    """

    name: str
    title: str
    group: str
    text: str
    command: str
    heads: tuple[str, ...]
    cells: Callable[[Any], Sequence[str]]
    spec: Callable[[Any], str | None]


def _of_method(row: ComparisonRow) -> Sequence[str]:
    return (
        interval(row.memory_left, 2), number(row.told_apart and 100 * row.told_apart.value, 0),
        number(row.told_different and 100 * row.told_different.value, 0), number(row.final_score, 4),
        number(row.same_cost_score, 4), number(row.test_accuracy, 1), number(row.seconds_per_model, 2),
        f"{row.speedup:.1f}×",  # noqa: RUF001 (a multiplication sign is meant)
    )  # fmt: skip


def _of_detector(row: MislabelRow) -> Sequence[str]:
    return (
        f"{100 * row.noise_ratio:g} % {row.noise}", number(row.auc, 3), number(row.precision, 1), number(row.recall, 1),
        number(None if row.estimated_noise_ratio is None else 100 * row.estimated_noise_ratio, 1),
        number(row.seconds, 2),
    )  # fmt: skip


CATALOGS = (
    Catalog(
        name="methods",
        title="Methods",
        group="untrain.methods",
        text="Unlearning methods, by name. `untrain.forget` chooses one and explains why; [](../../methods.md) helps "
        "to choose by hand. *Memory left* is 0 for a retrained model and 1 for the original.",
        command="untrain run digits --models 32 --originals 8 --forget 0.02 --methods LIST",
        heads=(
            "memory left",
            "told apart %",
            "different %",
            "final score",
            "same cost",
            "test accuracy %",
            "s a model",
            "speed-up",
        ),
        cells=_of_method,
        spec=lambda row: row.method,
    ),
    Catalog(
        name="detectors",
        title="Detectors",
        group="untrain.scorers",
        text="Detectors of wrong labels, by name. `untrain.detect` takes `auto` where the model can be trained again "
        "and `linear` otherwise; [](../../detection.md) has their figures on other data.",
        command="untrain run mislabel-digits --scorers LIST",
        heads=("wrong labels", "ROC AUC", "precision %", "recall %", "estimated share %", "s"),
        cells=_of_detector,
        spec=lambda row: None if row.method else row.scorer,
    ),
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages when the build begins."""
    app.connect("builder-inited", write_all)
    return {"parallel_read_safe": True}


def write_all(_app: Sphinx) -> None:
    """Write every generated page below docs/reference."""
    for catalog in CATALOGS:
        write_pages(catalog, DOCS / "reference")
    write_commands(DOCS / "reference" / "command-line.md")


def write_commands(path: Path) -> None:
    """Write a page with the help of every command."""
    parts = [
        "# Command line",
        "What `untrain COMMAND --help` prints. Every command ends with 0 if all went well, 2 for a wrong "
        "command, 3 for wrong input, 5 for a damaged file, 75 if it was stopped and continues when it is given again.",
    ]
    for name in COMMANDS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main([name, "--help"])
        parts.append(f"## {name}\n\n```text\n{out.getvalue().rstrip()}\n```")
    _write(path, "\n\n".join(parts) + "\n")


def write_pages(catalog: Catalog, parent: Path) -> None:
    """Write the index and the pages of a catalog below a folder."""
    folder = parent / catalog.name
    folder.mkdir(parents=True, exist_ok=True)
    rows = defaultdict(list)
    for row in read_results(DOCS / "figures" / catalog.name).rows:
        if spec := catalog.spec(row):
            rows[base_name(spec)].append(row)
    kinds = {point.name: point.load() for point in entry_points(group=catalog.group) if _is_ours(point.value)}
    for name, kind in kinds.items():
        _write(folder / f"{name}.md", _page(catalog, name, kind, rows[name]))
    names = sorted(kinds)
    summary = [[f"[`{name}`]({name}.md)", kinds[name].title] for name in names]
    _write(
        folder / "index.md",
        f"# {catalog.title}\n\n{catalog.text}\n\n{_table(['name', 'what it is'], summary)}\n\n"
        "## All figures\n\n"
        f"{_figures(catalog, [row for name in names for row in rows[name]])}\n\n"
        "```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n",
    )


def _is_ours(value: str) -> bool:
    return value.partition(".")[0] == "untrain"


def _page(catalog: Catalog, name: str, kind: type[Any], rows: Iterable[Any]) -> str:
    """The page of a plug-in: title, docstrings, settings, presets and figures."""
    parts = [
        f"# {name}",
        f"*{kind.title}*",
        f"```{{eval-rst}}\n.. automodule:: {kind.__module__}\n   :no-members:\n   :noindex:\n```",
        "## Settings",
        f"`{name}` is `{kind.__module__}.{kind.__name__}`; the fields below are its settings, with their defaults.",
        f"```{{eval-rst}}\n.. autoclass:: {kind.__module__}.{kind.__name__}\n   :no-members:\n   :noindex:\n```",
        f"```toml\n{_toml(msgspec.to_builtins(kind()))}\n```",
    ]
    if kind.presets:
        changes = "\n\n".join(f"# {name}:{preset}\n{_toml(fields)}" for preset, fields in kind.presets.items())
        parts += ["A preset changes some of them:", f"```toml\n{changes}\n```"]
    parts += ["## Figures", _figures(catalog, rows)]
    return "\n\n".join(parts) + "\n"


def _figures(catalog: Catalog, rows: Iterable[Any]) -> str:
    """A table of rows, with the command that made them."""
    body = [[f"`{catalog.spec(row)}`", *catalog.cells(row)] for row in rows]
    if not body:
        return "This one is not among the measured ones."
    results = read_results(DOCS / "figures" / catalog.name)
    made = ", ".join(f"{name} {value}" for name, value in results.environment.items())
    return f"{_table(['name', *catalog.heads], body)}\n\n`{catalog.command}` ({made})"


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body))


def _toml(fields: dict[str, Any]) -> str:
    """Settings as TOML, the type tag and unset values left out."""
    known = {key: value for key, value in fields.items() if key != "type" and value is not None}
    return msgspec.toml.encode(_without_none(known)).decode().strip() or "# no changes: these are the defaults"


def _without_none(value: Any) -> Any:  # noqa: ANN401 (any plain value)
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _write(path: Path, text: str) -> None:
    """Write a page only if it changed, so that a second build is quick."""
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)
