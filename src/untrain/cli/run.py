"""`untrain run`: a declared experiment."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from untrain.cli.tables import print_tables
from untrain.cli.terminal import Status, print_text
from untrain.errors import ConfigError

if TYPE_CHECKING:
    from untrain.experiments.config import AnyExperiment


def run(
    experiment: tyro.conf.Positional[str],
    models: int | None = None,
    methods: str | None = None,
    forget: str | None = None,
    scorers: str | None = None,
    seeds: int | None = None,
    data_dir: Path | None = None,
    out: Path | None = None,
    seed: int | None = None,
    workers: int | None = None,
    json: bool = False,
) -> None:
    """Run an experiment, or continue it, and write its report.

    Args:
        experiment: a name that `untrain list` shows, or a .toml file of your own.
        models: how many models a side (N).
        methods: methods to compare, separated by commas, each `name` or `name:preset`.
        forget: what to forget, separated by commas: ratios, groups:COUNT, groups:RATIO or ids:FILE.
        scorers: of an experiment with wrong labels, separated by commas, each `name` or `name:preset`.
        seeds: how often an experiment with wrong labels is repeated.
        data_dir: folder of the parquet data; default the variable UNTRAIN_DATA.
        out: directory of the run; default runs/EXPERIMENT.
        seed: root of all random numbers.
        workers: processes; default one a core.
        json: print the results as JSON instead of tables.
    """
    from untrain.experiments.config import changed, read_experiment
    from untrain.experiments.run import run_experiment

    base = read_experiment(experiment)
    asked: dict[str, Any] = {
        "models": models,
        "seed": seed,
        "seeds": seeds,
        "methods": None if methods is None else _words(methods),
        "scorers": None if scorers is None else _words(scorers),
        "forget": None if forget is None else [_number(word) for word in _words(forget)],
    }
    asked = {key: value for key, value in asked.items() if value is not None}
    for key in asked:
        if not hasattr(base, key):
            raise ConfigError(f"expected no --{key}, which does not apply to the experiment {base.name}, got one")
    asked |= _without_left_out(base, asked)
    chosen = changed(base, asked, "command line")
    directory = out or Path("runs") / chosen.name
    with Status() as status:
        results = run_experiment(chosen, directory, data_dir=data_dir, workers=workers, progress=status.show_run)
    if json:
        sys.stdout.write((directory / "results.json").read_text(encoding="utf-8") + "\n")
    else:
        print_tables(results)
        print_text(f"report: {directory / 'report.html'}")


def _without_left_out(base: "AnyExperiment", asked: dict[str, Any]) -> dict[str, Any]:
    """What an experiment says of methods and scorers that the command leaves out is left out, too."""
    gone = {name for key in ("methods", "scorers") if key in asked for name in getattr(base, key)}
    gone -= {name for key in ("methods", "scorers") for name in asked.get(key, ())}
    changes: dict[str, Any] = {"settings": {name: of for name, of in base.settings.items() if name not in gone}}
    for key in ("told", "forgotten"):
        if hasattr(base, key):
            changes[key] = [name for name in getattr(base, key) if name not in gone]
    return changes


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word
