"""`untrain run`: an experiment."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from untrain.cli.options import Flag, OptionalCount, OptionalDirectory, option
from untrain.cli.tables import print_tables
from untrain.cli.terminal import Status, print_text
from untrain.errors import ConfigError

if TYPE_CHECKING:
    from untrain.experiments.config import AnyExperiment


def run(
    experiment: tyro.conf.Positional[Annotated[str, option("EXPERIMENT")]],
    models: Annotated[str | None, option("N|auto")] = None,
    originals: OptionalCount = None,
    methods: Annotated[str | None, option("LIST")] = None,
    forget: Annotated[str | None, option("LIST")] = None,
    scorers: Annotated[str | None, option("LIST")] = None,
    seeds: OptionalCount = None,
    data_dir: OptionalDirectory = None,
    out: OptionalDirectory = None,
    seed: OptionalCount = None,
    workers: OptionalCount = None,
    device: Annotated[str | None, option("DEVICE")] = None,
    executor: Annotated[Literal["processes", "ray"], option("{processes,ray}")] = "processes",
    ray_address: Annotated[str | None, option("ADDRESS")] = None,
    json: Flag = False,
) -> None:
    """Run an experiment, or continue it, and write its report.

    Examples:
        untrain run digits
        untrain run digits --models auto
        untrain run cifar10-small --models 128 --methods transpose,conv-noise --forget 0.01

    Args:
        experiment: name from `untrain list`, or a .toml file of your own
        models: number of models per side (N); auto adds models until the methods are ranked or known precisely enough
        originals: number of originals that the unlearned models start from
        methods: methods to compare, separated by commas, NAME or NAME:PRESET each
        forget: forget settings, separated by commas: RATIO, groups:COUNT, groups:RATIO, ids:FILE, class:NAME,
            subject:NAME, highest-loss:RATIO, lowest-loss:RATIO or most-memorized:RATIO
        scorers: scorers to compare, separated by commas, NAME or NAME:PRESET each (mislabel experiments)
        seeds: number of repetitions (mislabel experiments)
        data_dir: directory of the parquet data; default the environment variable UNTRAIN_DATA
        out: directory of the run; default runs/EXPERIMENT
        seed: root of all random numbers
        workers: number of processes; default one per core, or one on a GPU; 0 only prepares the run for `untrain work`
        device: cpu or cuda; default a GPU if there is one
        executor: processes of this machine, or the workers of a Ray cluster (extra `ray`)
        ray_address: of the cluster; default one that runs on this machine, or else a new one
        json: print the results as JSON instead of tables
    """
    from untrain.experiments.config import changed, read_experiment
    from untrain.experiments.run import prepare_run, run_experiment
    from untrain.report.results import results_text

    base = read_experiment(experiment)
    specs = {key: _words(text) for key, text in (("methods", methods), ("scorers", scorers)) if text is not None}
    settings = None if forget is None else [_number(word) for word in _words(forget)]
    count = None if models is None else _count(models)
    options = {"models": count, "originals": originals, "seed": seed, "seeds": seeds, "forget": settings, **specs}
    given = {key: value for key, value in options.items() if value is not None}
    if unfit := [key for key in given if not hasattr(base, key)]:
        raise ConfigError(f"--{unfit[0]} does not apply to the experiment {base.name}.")
    chosen = changed(base, {**given, **_without_dropped(base, specs)}, "command line")
    directory = out or Path("runs") / chosen.name
    if workers == 0:
        prepare_run(chosen, directory, data_dir=data_dir, device=device)
        print_text(f"prepared: untrain work {directory}")
        return
    with Status() as status, redirect_stdout(sys.stderr):  # Ray prints messages; only results go to the output
        results = run_experiment(
            chosen, directory, data_dir=data_dir, workers=workers, device=device, executor=executor,
            ray_address=ray_address, progress=status.show_run,
        )  # fmt: skip
    if json:
        sys.stdout.write(results_text(results).decode() + "\n")
    else:
        print_tables(results)
        print_text(f"report: {directory / 'report.html'}")


def _without_dropped(base: "AnyExperiment", specs: dict[str, list[str]]) -> dict[str, object]:
    """Changes that remove what the experiment says of methods and scorers which the options drop."""
    dropped = {name for key, names in specs.items() for name in getattr(base, key)}
    dropped -= {name for names in specs.values() for name in names}
    changes: dict[str, object] = {
        key: [name for name in getattr(base, key) if name not in dropped]
        for key in ("told", "forgotten")
        if hasattr(base, key)
    }
    settings = {name: fields for name, fields in base.settings.items() if name not in dropped}
    return {**changes, "settings": settings}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _count(word: str) -> int | str:
    """N, or `auto`."""
    if word != "auto" and not (word.isdecimal() and int(word) >= 2):
        raise ConfigError(f"--models must be a whole number from 2, or auto, got {word!r}.")
    return word if word == "auto" else int(word)


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word
