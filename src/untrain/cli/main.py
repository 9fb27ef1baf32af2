"""The command line, one file per command. A command parses options, calls a public function, and prints the result."""

import os
import select
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn, TextIO

import tyro

from untrain.cli.audit import audit
from untrain.cli.convert import convert
from untrain.cli.demo import demo
from untrain.cli.detect import detect
from untrain.cli.doctor import doctor
from untrain.cli.forget import forget
from untrain.cli.list import list_
from untrain.cli.options import check_repeated, current
from untrain.cli.push import push
from untrain.cli.recipe import recipe
from untrain.cli.repair import repair
from untrain.cli.report import report
from untrain.cli.review import review
from untrain.cli.run import run
from untrain.cli.sign import sign
from untrain.cli.synthesize import synthesize
from untrain.cli.verify import verify
from untrain.cli.work import work
from untrain.core.text import printable
from untrain.core.version import __version__
from untrain.errors import InputError, UntrainError, UntrainWarning

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "detect": detect,
    "review": review,
    "repair": repair,
    "forget": forget,
    "doctor": doctor,
    "audit": audit,
    "convert": convert,
    "recipe": recipe,
    "verify": verify,
    "sign": sign,
    "push": push,
    "synthesize": synthesize,
    "run": run,
    "work": work,
    "list": list_,
    "report": report,
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit.

    Exit codes: 0 done, 1 nobody reads the output, 2 wrong command, 3 wrong input, 5 damaged file, 75 stopped with a
    part kept, 130 stopped.
    """
    if sys.stdout is None:  # it was closed before
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)
    signal.signal(signal.SIGTERM, _as_interrupt)
    _tell_warnings()
    try:
        try:
            _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except UntrainError as error:
        # Many messages contain names from data, which must not steer the terminal.
        sys.stderr.write(f"untrain: {printable(str(error))}\n")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        sys.stderr.write("untrain: stopped; nothing was written. An audit with --checkpoint-dir and a run continue.\n")
        raise SystemExit(130) from None
    except MemoryError:
        sys.stderr.write("untrain: There is not enough memory; take fewer examples with --limit.\n")
        raise SystemExit(InputError.exit_code) from None
    except OSError as error:
        gone = _is_reader_gone()
        # Python flushes the output again at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if gone and isinstance(error, BrokenPipeError):  # as when `head` has seen enough
            raise SystemExit(1) from None
        sys.stderr.write(f"untrain: {error}\n")
        raise SystemExit(InputError.exit_code) from None
    raise SystemExit(0)


def _is_reader_gone() -> bool:
    """Whether the output is a pipe that nobody reads."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


def _run(arguments: Sequence[str]) -> None:
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"untrain {__version__}\n")
        return
    arguments = list(current(arguments))
    check_repeated(arguments)
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="untrain",
            description="Make trained classifiers forget, and measure that they did.",
            args=arguments,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
        )
    except SystemExit as ended:
        if ended.code == 0 and arguments[0] in COMMANDS:
            sys.stdout.write(_examples(COMMANDS[arguments[0]]))
        raise


def _examples(command: Callable[..., None]) -> str:
    """The examples in the docstring of a command, which tyro does not show."""
    import docstring_parser

    sections = docstring_parser.parse(command.__doc__ or "").examples
    return "".join(f"\nexamples:\n{textwrap.indent(section.description or '', '  ')}\n" for section in sections)


def _tell_warnings() -> None:
    """Show warnings of untrain as sentences, without a place in the code."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UntrainWarning):
            sys.stderr.write(f"untrain: {printable(str(message))}\n")
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def _as_interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
