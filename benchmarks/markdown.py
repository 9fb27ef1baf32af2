"""Print a run's comparison as Markdown, for the documents.

python benchmarks/markdown.py runs/digits           every column, a table for each forget setting
python benchmarks/markdown.py runs/digits --brief   one small table
"""

import argparse
import textwrap

from untrain.report import columns, groups, mislabel_grids, mislabel_verdict, read_results
from untrain.report.mislabel import Cell, head
from untrain.report.results import ComparisonResults, MislabelFigure, MislabelResults, MislabelRow, Results
from untrain.report.table import forgotten, interval, is_contender, number, order_note, order_table, scored

COLUMNS = 100
"""Of the documents."""


def table(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def full(results: ComparisonResults) -> str:
    """Every column, a table for each forget setting."""
    parts = []
    for _, rows in groups(results):
        shown = columns(rows)
        title = wrapped(f"**{results.experiment}, forgetting {forgotten(rows[0])}** ({scored(rows[0])})")
        body = [[column.cell(row) for column in shown] for row in rows]
        parts.append(f"{title}\n\n{table([column.head for column in shown], body)}\n")
    head, lines = order_table(results)
    if lines:
        parts.append(f"{table(head, lines)}\n\n{wrapped(order_note(results))}\n")
    return "\n".join([*parts, wrapped(f"({environment(results)})")])


def wrapped(text: str) -> str:
    """A text in lines as long as those of the documents."""
    return textwrap.fill(text, COLUMNS, break_on_hyphens=False)


def environment(results: Results) -> str:
    """Versions and hardware."""
    return ", ".join(f"{name} {value}" for name, value in results.environment.items())


def grids(results: MislabelResults) -> str:
    """Every table of an experiment with mislabeled examples, with spreads, and the study's figures in brackets."""
    parts = []
    for grid in mislabel_grids(results):
        body = [
            [name, *(" ± ".join(filter(None, (c.ours, c.spread))) + theirs(c) for c in line)]
            for name, line in grid.lines
        ]
        note = f"\n{grid.note}\n" if grid.note else ""
        parts.append(f"{wrapped(f'**{grid.title}**')}\n\n{table(['noise', *grid.heads], body)}\n{note}")
    seeds = "one seed" if results.seeds == 1 else f"means over {results.seeds} seeds"
    made_by = wrapped(f"({seeds}; {environment(results)})")
    return "\n".join([f"{wrapped(mislabel_verdict(results))}\n", *parts, made_by])


def brief_grids(results: MislabelResults) -> str:
    """One table: what `auto` flags, and retraining without it; the study's figures in brackets."""
    rows = {(row.setting, row.scorer, row.method): row for row in results.rows}
    table_head = ["wrong labels", "flagged by auto", "precision", "recall", "estimated share"]
    table_head += ["test accuracy before", "retrained without auto's", "precision of loss, told the share"]
    wanted: list[tuple[str | None, str | None, MislabelFigure]] = [
        ("auto", None, "flagged"), ("auto", None, "precision"), ("auto", None, "recall"),
        ("auto", None, "estimated_noise_ratio"), (None, "original", "test_accuracy"),
        ("auto", "retrain", "test_accuracy"), ("loss", None, "precision"),
    ]  # fmt: skip
    body = []
    for original in (row for row in results.rows if row.method == "original"):
        cells = [short(rows.get((original.setting, scorer, method)), key) for scorer, method, key in wanted]
        body.append([share_of(original), *cells])
    return table(table_head, body)


def share_of(row: MislabelRow) -> str:
    """The noise of a row, its share in percent."""
    kind, _, ratio = head(row).rpartition(" ")
    return f"{kind} {100 * float(ratio):.3g} %".strip()


def short(row: MislabelRow | None, key: MislabelFigure) -> str:
    """A figure of a row, with the study's in brackets; a dash where there is none."""
    value: float | None = None if row is None else getattr(row, key)
    if row is None or value is None:
        return "refused" if row is not None and row.note else number(None, 0)
    published: float | None = getattr(row.published, key, None)
    ours = f"{100 * value if key in ('flagged', 'estimated_noise_ratio') else value:.1f} %"
    if row.published is None or published is None:
        return ours
    return f"{ours} [{published:g}{'†' if row.published.doubtful else ''}]"


def theirs(cell: Cell) -> str:
    """The study's figure in brackets."""
    return "" if cell.published is None else f" [{cell.published}]"


def brief(results: ComparisonResults) -> str:
    """One table: memory left and score at every forget setting, and the accuracy at the last."""
    grouped = groups(results)
    by_setting = [{row.method: row for row in rows} for _, rows in grouped]
    table_head, last = ["method"], ""
    for setting, rows in grouped:
        kind, _, share = setting.rpartition(":")
        last = setting
        if kind in ("", "groups") and share.replace(".", "").isdecimal():
            last = f"{100 * rows[0].forget_ratio:.2g} %" + (" in groups" if kind else "")
        table_head += [f"memory left, {last}", "final score"]
    table_head += [f"test accuracy, {last}", "speed-up"]
    body = []
    for row in grouped[-1][1]:
        if is_contender(row) or row.method in ("retrain", "short-retrain:half"):
            cells = [f"`{row.method}`"]
            for rows_of in by_setting:
                same_method = rows_of[row.method]
                cells += [interval(same_method.memory_left, 2), number(same_method.final_score, 4)]
            body.append([*cells, f"{row.test_accuracy:.1f} %", f"{row.speedup:.1f}"])
    return table(table_head, body)


def main() -> None:
    """Read a run and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--brief", action="store_true")
    arguments = parser.parse_args()
    results = read_results(arguments.run)
    if results.kind == "mislabel":
        print(brief_grids(results) if arguments.brief else grids(results))
    else:
        print(brief(results) if arguments.brief else full(results))


if __name__ == "__main__":
    main()
