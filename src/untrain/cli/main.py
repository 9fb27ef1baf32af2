"""The command line: one command a verb, one file a command. It parses, calls the public functions, and prints."""

import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import tyro

from untrain.cli.audit import audit
from untrain.cli.convert import convert
from untrain.cli.detect import detect
from untrain.cli.doctor import doctor
from untrain.cli.forget import forget
from untrain.cli.list import list_
from untrain.cli.push import push
from untrain.cli.repair import repair
from untrain.cli.report import report
from untrain.cli.run import run
from untrain.cli.sign import sign
from untrain.cli.synthesize import synthesize
from untrain.cli.verify import verify
from untrain.core.text import printable
from untrain.core.version import __version__
from untrain.errors import InputError, UntrainError


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
