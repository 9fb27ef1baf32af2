"""The command line: one command a verb. It parses, calls the public functions, and prints; torch is imported late."""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from untrain import __version__
from untrain.errors import UntrainError

if TYPE_CHECKING:
    from untrain.experiments import Progress as RunProgress

_SECONDS_BETWEEN_LINES = 20.0
_WIDE = 140
"""Columns of a terminal that shows every column of a comparison."""


def run(
    experiment: tyro.conf.Positional[str],
    models: int | None = None,
    methods: str | None = None,
    forget: str | None = None,
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
        forget: what to forget, separated by commas: ratios, groups:COUNT or ids:FILE.
        data_dir: folder of the parquet data; default the variable UNTRAIN_DATA.
        out: directory of the run; default runs/EXPERIMENT.
        seed: root of all random numbers.
        workers: processes; default one a core.
        json: print the results as JSON instead of tables.
    """
    from untrain.experiments.config import changed, read_experiment
    from untrain.experiments.run import run_experiment

    asked: dict[str, Any] = {
        "models": models,
        "seed": seed,
        "methods": None if methods is None else _words(methods),
        "forget": None if forget is None else [_number(word) for word in _words(forget)],
    }
    base = read_experiment(experiment)
    if methods is not None:  # settings of methods that are left out are left out, too
        asked["settings"] = {name: fields for name, fields in base.settings.items() if name in _words(methods)}
    chosen = changed(base, {key: value for key, value in asked.items() if value is not None}, "command line")
    directory = out or Path("runs") / chosen.name
    with _Display() as display:
        results = run_experiment(chosen, directory, data_dir=data_dir, workers=workers, progress=display.show)
    if json:
        sys.stdout.write((directory / "results.json").read_text(encoding="utf-8") + "\n")
    else:
        _print_tables(results)
        _console().print(f"report: {directory / 'report.html'}", highlight=False, soft_wrap=True)


def list_() -> None:
    """List the packaged experiments and the methods."""
    from untrain.experiments.config import packaged, read_experiment
    from untrain.methods import METHODS

    table = Table("experiment", "models", "what it is", title="untrain run EXPERIMENT", title_justify="left")
    for name in packaged():
        experiment = read_experiment(name)
        table.add_row(name, str(experiment.models), Text(experiment.title))
    _console().print(table)
    table = Table("method", "presets", "what it is", title="--methods NAME or NAME:PRESET", title_justify="left")
    for name in METHODS.names():
        kind = METHODS.of(name)
        table.add_row(name, ", ".join(kind.presets), Text(kind.title))
    _console().print(table)


def report(run: tyro.conf.Positional[Path]) -> None:
    """Write the report of a finished run anew, and print its tables.

    Args:
        run: directory of the run.
    """
    from untrain.report import read_results, write_report

    path = write_report(run)
    _print_tables(read_results(run))
    _console().print(f"report: {path}", highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point; leaves with 0 when done, 2: wrong command, 3: wrong input, 5: damaged file, 75: stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"untrain {__version__}\n")
        raise SystemExit(0)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        tyro.extras.subcommand_cli_from_dict(
            {"run": run, "list": list_, "report": report},
            prog="untrain",
            description="Make trained classifiers forget, and measure that they did.",
            args=arguments,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except UntrainError as error:
        sys.stderr.write(f"untrain: {error}\n")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        sys.stderr.write("untrain: stopped\n")
        raise SystemExit(75) from None
    raise SystemExit(0)


def _as_interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _console() -> Console:
    # Where nobody watches, lines are not folded to a screen that is not there.
    return Console() if sys.stdout.isatty() else Console(width=180)


def _print_tables(results: dict[str, Any]) -> None:
    from untrain.report import columns, groups, is_contender, verdict
    from untrain.report.table import forgotten, scored

    console = _console()
    for setting, rows in groups(results):
        shown = [column for column in columns(rows) if column.essential or console.width >= _WIDE]
        title = f"{results['experiment']}: forgetting {forgotten(setting, rows[0])}; {scored(rows[0])}"
        table = Table(title=Text(title), title_justify="left", caption=Text(verdict(rows)), caption_justify="left")
        for column in shown:
            table.add_column(column.head, justify="left" if column is shown[0] else "right", no_wrap=True)
        for row in rows:
            style = None if is_contender(row) else "dim"
            table.add_row(*(Text(column.cell(row)) for column in shown), style=style)
        console.print(table)


class _Display:
    """Progress on the error stream: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, left="")
        self._next_line = 0.0

    def __enter__(self) -> "_Display":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, progress: "RunProgress") -> None:
        """Show how far a run is."""
        left = "" if progress.seconds_left is None else f"{_duration(progress.seconds_left)} left"
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                description=progress.doing,
                completed=progress.done,
                total=progress.total,
                left=left,
            )
        elif time.monotonic() >= self._next_line or progress.done == progress.total:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            sys.stderr.write(f"{progress.done}/{progress.total} {progress.doing} {left}".rstrip() + "\n")
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
