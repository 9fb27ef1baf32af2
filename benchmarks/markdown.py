"""Print a run's comparison as Markdown, for the documents.

python benchmarks/markdown.py runs/digits           every column, a table for each forget setting
python benchmarks/markdown.py runs/digits --brief   one small table
"""

import argparse

from untrain.report import columns, groups, mislabel_grids, mislabel_verdict, read_results
from untrain.report.mislabel import Cell
from untrain.report.results import ComparisonResults, MislabelFigure, MislabelResults, MislabelRow, Results
from untrain.report.table import forgotten, is_contender, number, order_note, order_table, scored


def table(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def full(results: ComparisonResults) -> str:
    """Every column, a table for each forget setting."""
    parts = []
    for _, rows in groups(results):
        shown = columns(rows)
        title = f"**{results.experiment}, forgetting {forgotten(rows[0])}** ({scored(rows[0])})"
        body = [[column.cell(row) for column in shown] for row in rows]
        parts.append(f"{title}\n\n{table([column.head for column in shown], body)}\n")
    head, lines = order_table(results)
    if lines:
        parts.append(f"{table(head, lines)}\n\n{order_note(results)}\n")
    return "\n".join([*parts, f"({environment(results)})"])


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
        parts.append(
            f"**{grid.title}**\n\n{table(['noise', *grid.heads], body)}\n" + (f"\n{grid.note}\n" if grid.note else "")
        )
    seeds = "one seed" if results.seeds == 1 else f"means over {results.seeds} seeds"
    return "\n".join([f"{mislabel_verdict(results)}\n", *parts, f"({seeds}; {environment(results)})"])


def brief_grids(results: MislabelResults) -> str:
    """One table: what `loss` and `auto` flag, and retraining without it; the study's figures in brackets."""
    rows = {(row.noise_ratio, row.scorer, row.method): row for row in results.rows}
    head = ["wrong labels", "found by loss, precision", "found by auto, precision", "recall", "estimated share"]
    head += ["test accuracy before", "retrained without loss's", "without auto's"]
    body = []
    for ratio in sorted({row.noise_ratio for row in results.rows} - {0.0}):
        cells: list[tuple[MislabelRow, MislabelFigure]] = [
            (rows[ratio, "loss", None], "precision"), (rows[ratio, "auto", None], "precision"),
            (rows[ratio, "auto", None], "recall"), (rows[ratio, "auto", None], "estimated_noise_ratio"),
            (rows[ratio, None, "original"], "test_accuracy"), (rows[ratio, "loss", "retrain"], "test_accuracy"),
            (rows[ratio, "auto", "retrain"], "test_accuracy"),
        ]  # fmt: skip
        body.append([f"{100 * ratio:g} %", *(short(row, key) for row, key in cells)])
    return table(head, body)


def short(row: MislabelRow, key: MislabelFigure) -> str:
    """A figure of a row, with the study's in brackets."""
    value: float | None = getattr(row, key)
    published: float | None = getattr(row.published, key, None)
    scale = 100 if key == "estimated_noise_ratio" else 1
    ours = "refused" if value is None else f"{scale * value:.1f} %"
    if row.published is None or published is None:
        return ours
    return f"{ours} [{published:g}{'†' if row.published.doubtful else ''}]"


def theirs(cell: Cell) -> str:
    """The study's figure in brackets."""
    return "" if cell.published is None else f" [{cell.published}]"


def brief(results: ComparisonResults) -> str:
    """One table: the score and the memory left at every forget setting, and what short retraining as costly scores."""
    grouped = groups(results)
    by_setting = {setting: {row.method: row for row in rows} for setting, rows in grouped}
    last = grouped[-1][1]
    head = ["method"]
    for _setting, rows in grouped:
        share = f"{100 * rows[0].forget_ratio:.2g} %"
        head += [f"final score, {share} forgotten", "memory left", "same cost"]
    head += ["test accuracy", "seconds a model", "speed-up"]
    body = []
    for row in last:
        if is_contender(row) or row.method in ("retrain", "short-retrain:half"):
            cells = [f"`{row.method}`"]
            for setting, _rows in grouped:
                same_method = by_setting[setting][row.method]
                left = "–" if same_method.memory_left is None else f"{same_method.memory_left:.2f}"  # noqa: RUF001
                cells += [number(same_method.final_score, 4), left, number(same_method.same_cost_score, 4)]
            cells += [f"{row.test_accuracy:.1f} %", f"{row.seconds_per_model:.2f}", f"{row.speedup:.1f}"]
            body.append(cells)
    return table(head, body)


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
