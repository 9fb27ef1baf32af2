"""What can go wrong, as types; every message says what was expected, what came, and where.

The command line turns each into one sentence and the exit code that its class carries.
"""

from typing import ClassVar


class UntrainError(Exception):
    """Base of every error that a user can cause or mend."""

    exit_code: ClassVar[int] = 3


def first_line(error: Exception) -> str:
    """What an error of a library says, without the lines that follow."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class InputError(UntrainError, ValueError):
    """Data, or an argument, that cannot be used as it is."""


class UndecidableError(InputError):
    """Data from which a question cannot be answered, however they are looked at."""


class ConfigError(UntrainError, ValueError):
    """An experiment, a method or a run directory that does not fit what was asked."""


class NotSupportedError(UntrainError):
    """A combination that cannot work, such as a convolution method on a network without convolutions."""


class IntegrityError(UntrainError):
    """A file whose content is not what was written."""

    exit_code = 5


class InterruptedRunError(UntrainError):
    """A run that was stopped; the same command continues it."""

    exit_code = 75
