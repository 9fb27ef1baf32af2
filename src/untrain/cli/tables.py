"""The results of an experiment as tables on a terminal."""

from typing import Any

from rich.table import Table

from untrain.cli.terminal import console, shown

_WIDE = 140
"""Columns of a terminal that shows every column of a comparison."""


def print_tables(results: dict[str, Any]) -> None:
    """Print the tables of an experiment, and its verdict."""
    if results["kind"] == "mislabel":
        _print_grids(results)
        return
    from untrain.report import columns, groups, is_contender, verdict
    from untrain.report.table import forgotten, scored

    screen = console()
    for setting, rows in groups(results):
        fitting = [column for column in columns(rows) if column.essential or screen.width >= _WIDE]
        title = f"{results['experiment']}: forgetting {forgotten(setting, rows[0])}; {scored(rows[0])}"
        table = Table(title=shown(title), title_justify="left", caption=shown(verdict(rows)), caption_justify="left")
        for column in fitting:
            table.add_column(shown(column.head), justify="left" if column is fitting[0] else "right", no_wrap=True)
        for row in rows:
            style = None if is_contender(row) else "dim"
            table.add_row(*(shown(column.cell(row)) for column in fitting), style=style)
        screen.print(table)


def _print_grids(results: dict[str, Any]) -> None:
    from untrain.report import mislabel_grids, mislabel_verdict

    screen = console()
    for grid in mislabel_grids(results):
        caption = shown(grid.note) if grid.note else None
        screen.print()
        screen.print(shown(grid.title), style="italic")
        table = Table(caption=caption, caption_justify="left")
        table.add_column("noise", no_wrap=True)
        for head in grid.heads:
            table.add_column(shown(head), justify="right")
        for name, cells in grid.lines:
            table.add_row(shown(name), *(shown(cell.plain) for cell in cells))
        screen.print(table)
    screen.print(shown(mislabel_verdict(results)))
