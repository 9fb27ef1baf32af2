"""`untrain report`: rewrite the report of a finished run."""

from pathlib import Path

import tyro

from untrain.cli.tables import print_tables
from untrain.cli.terminal import print_text


def report(run: tyro.conf.Positional[Path]) -> None:
    """Write the report of a finished run again and print its tables.

    Args:
        run: directory of the run.
    """
    from untrain.report import read_results, write_report

    path = write_report(run)
    print_tables(read_results(run))
    print_text(f"report: {path}")
