"""The results of an experiment as tables on a terminal."""

from typing import TYPE_CHECKING

from rich.table import Table

from untrain.cli.terminal import console, print_text, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from untrain.report import ComparisonResults, MislabelResults, Results
    from untrain.report.results import ComparisonRow
    from untrain.report.table import Column


def print_tables(results: "Results") -> None:
    """Print the tables of an experiment and its verdict."""
    if results.kind == "mislabel":
        _print_grids(results)
    else:
        _print_comparison(results)
    if results.mixed:
        print_text(results.mixed)


def _print_comparison(results: "ComparisonResults") -> None:
    from untrain.report.table import columns, forgotten, groups, is_contender, origin, scored, verdict

    screen = console()
    for _, rows in groups(results):
        fitting = _fitting(columns(rows), rows, screen.width)
        title = f"{results.experiment}: forgetting {forgotten(rows[0])}; {scored(rows[0])}"
        table = Table(title=shown(title), title_justify="left", caption=shown(verdict(rows)), caption_justify="left")
        for column in fitting:
            first = column is fitting[0]
            table.add_column(
                shown(column.head), justify="left" if first else "right", no_wrap=not first, overflow="fold"
            )
        for row in rows:
            style = None if is_contender(row) else "dim"
            table.add_row(*(shown(column.cell(row)) for column in fitting), style=style)
        screen.print(table)
    _print_agreement(results)
    screen.print(shown(origin(results.rows[0])))


def _print_agreement(results: "ComparisonResults") -> None:
    """How alike the orders of the methods are; the ranks themselves are too wide for a terminal."""
    if not results.orders:
        return
    first = results.orders[0].forget
    table = Table(title=f"Kendall's tau of the order of the methods with that at {shown(first)}", title_justify="left")
    measures = list(dict.fromkeys(order.measure for order in results.orders))
    for head in ("forget", *(f"by {measure}" for measure in measures)):
        table.add_column(shown(head), justify="left" if head == "forget" else "right")
    for forget in dict.fromkeys(order.forget for order in results.orders):
        cells = (f"{order.agreement:.2f}" for order in results.orders if order.forget == forget)
        table.add_row(shown(forget), *map(shown, cells))
    console().print(table)


def _fitting(
    columns: "Sequence[Column[ComparisonRow]]", rows: "Sequence[ComparisonRow]", width: int
) -> "list[Column[ComparisonRow]]":
    """The essential columns, and in their order those of the others that a terminal of the width has room for."""
    widths = {column: 3 + max(map(len, (column.head, *map(column.cell, rows)))) for column in columns}
    room = width - 1 - sum(widths[column] for column in columns if column.essential)
    fitting = []
    for column in columns:
        if column.essential or widths[column] <= room:
            fitting.append(column)
            room -= 0 if column.essential else widths[column]
    return fitting


def _print_grids(results: "MislabelResults") -> None:
    from untrain.report import mislabel_grids, mislabel_verdict

    screen = console()
    for grid in mislabel_grids(results):
        screen.print()
        screen.print(shown(grid.title), style="italic")
        table = Table(caption=shown(grid.note) if grid.note else None, caption_justify="left")
        table.add_column("noise", no_wrap=True)
        for head in grid.heads:
            table.add_column(shown(head), justify="right")
        for name, cells in grid.lines:
            table.add_row(shown(name), *(shown(cell.plain) for cell in cells))
        screen.print(table)
    screen.print(shown(mislabel_verdict(results)))
