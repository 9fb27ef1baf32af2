"""`untrain list`: experiments, methods and scorers."""

from rich.table import Table

from untrain.cli.terminal import console, shown


def list_() -> None:
    """List the packaged experiments, the methods and the scorers."""
    # Neither imports what computes: a list must not wait for torch.
    from untrain.core.catalog import catalog
    from untrain.experiments.catalog import header, packaged

    experiments = Table("experiment", "repeats", "title", title="untrain run EXPERIMENT", title_justify="left")
    for name in packaged():
        experiments.add_row(name, header(name).repeats, shown(header(name).title))
    console().print(experiments)
    for noun in ("method", "scorer"):
        table = Table(noun, "presets", "title", title=f"--{noun}s NAME or NAME:PRESET", title_justify="left")
        for entry in catalog(f"untrain.{noun}s"):
            table.add_row(*map(shown, (entry.name, ", ".join(entry.presets), entry.title)))
        console().print(table)
