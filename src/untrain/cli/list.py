"""`untrain list`: experiments, methods and scorers."""

from rich.table import Table

from untrain.cli.terminal import console, shown


def list_() -> None:
    """List the packaged experiments, the methods and the scorers."""
    from untrain.detection import SCORERS
    from untrain.experiments.config import Experiment, packaged, read_experiment
    from untrain.methods import METHODS

    table = Table("experiment", "repeats", "what it is", title="untrain run EXPERIMENT", title_justify="left")
    for name in packaged():
        experiment = read_experiment(name)
        count, noun = (experiment.models, "model") if isinstance(experiment, Experiment) else (experiment.seeds, "seed")
        repeats = f"{count} {noun}{'s' * (count > 1)}"
        table.add_row(name, repeats, shown(experiment.title))
    console().print(table)
    for registry in (METHODS, SCORERS):
        title = f"--{registry.noun}s NAME or NAME:PRESET"
        table = Table(registry.noun, "presets", "what it is", title=title, title_justify="left")
        for name in registry.names():
            kind = registry.of(name)
            table.add_row(name, ", ".join(kind.presets), shown(kind.title))
        console().print(table)
