"""`untrain report`: rewrite the report of a finished run."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import option
from untrain.cli.tables import print_tables
from untrain.cli.terminal import print_text


def report(run: tyro.conf.Positional[Annotated[Path, option("DIR")]]) -> None:
    """Write the report of a finished run again and print its tables.

    Examples:
        untrain report runs/digits

    Args:
        run: directory of the run
    """
    from untrain.report import read_results, write_report

    path = write_report(run)
    print_tables(read_results(run))
    print_text(f"report: {path}")
