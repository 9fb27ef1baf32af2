"""The command line: one command a verb. It parses, calls the public functions, and prints; torch is imported late."""

import os
import select
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

from untrain import __version__
from untrain.commands import audit, convert, detect, doctor, forget, push, repair, sign, synthesize, verify
from untrain.commands.screen import console, print_text, shown
from untrain.errors import ConfigError, InputError, UntrainError
from untrain.printable import printable

if TYPE_CHECKING:
    from untrain.experiments import Progress as RunProgress
    from untrain.experiments.config import AnyExperiment

_SECONDS_BETWEEN_LINES = 20.0
_WIDE = 140
"""Columns of a terminal that shows every column of a comparison."""


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
    with _Display() as display:
        results = run_experiment(chosen, directory, data_dir=data_dir, workers=workers, progress=display.show)
    if json:
        sys.stdout.write((directory / "results.json").read_text(encoding="utf-8") + "\n")
    else:
        _print_tables(results)
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


def report(run: tyro.conf.Positional[Path]) -> None:
    """Write the report of a finished run anew, and print its tables.

    Args:
        run: directory of the run.
    """
    from untrain.report import read_results, write_report

    path = write_report(run)
    _print_tables(read_results(run))
    print_text(f"report: {path}")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point; leaves with 0 when done, 2: wrong command, 3: wrong input, 5: damaged file, 75: stopped.

    And with 1 where nobody reads the output any more.
    """
    if sys.stdout is None:  # it was closed before
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        try:
            _obey(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except UntrainError as error:
        # Names from data are part of many sentences, and must not steer the terminal.
        sys.stderr.write(f"untrain: {printable(str(error))}\n")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        sys.stderr.write("untrain: stopped\n")
        raise SystemExit(75) from None
    except OSError as error:
        gone = _is_reader_gone()
        # What cannot be printed must not be tried once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if gone and isinstance(error, BrokenPipeError):  # as when `head` has seen enough
            raise SystemExit(1) from None
        sys.stderr.write(f"untrain: the system refused: {error}\n")
        raise SystemExit(InputError.exit_code) from None
    raise SystemExit(0)


def _is_reader_gone() -> bool:
    """Whether the output is a pipe that nobody reads."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


def _obey(arguments: Sequence[str]) -> None:
    """Parse a command and do it."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"untrain {__version__}\n")
        return
    tyro.extras.subcommand_cli_from_dict(
        {
            "detect": detect,
            "repair": repair,
            "forget": forget,
            "doctor": doctor,
            "audit": audit,
            "convert": convert,
            "verify": verify,
            "sign": sign,
            "push": push,
            "synthesize": synthesize,
            "run": run,
            "list": list_,
            "report": report,
        },
        prog="untrain",
        description="Make trained classifiers forget, and measure that they did.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _as_interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _print_tables(results: dict[str, Any]) -> None:
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
                description=printable(progress.doing),
                completed=progress.done,
                total=progress.total,
                left=left,
            )
        elif time.monotonic() >= self._next_line or progress.done == progress.total:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            sys.stderr.write(f"{progress.done}/{progress.total} {printable(progress.doing)} {left}".rstrip() + "\n")
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
