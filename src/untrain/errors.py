"""Errors that a user can cause or fix. Each message says what is wrong, where, and what to do next.

The command line prints the message as one sentence and exits with the code of the class.
"""

from typing import ClassVar


class UntrainError(Exception):
    """Base class of every error that a user can cause or fix."""

    exit_code: ClassVar[int] = 3


def first_line(error: Exception) -> str:
    """The first line of another library's error message."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def field_reason(error: Exception) -> str:
    """What is wrong with a field, and its path, as a part of a sentence: the full stop of a refusal of ours goes."""
    return str(error).replace(". - at ", " - at ").removesuffix(".")


class UntrainWarning(UserWarning):
    """What a user has to know although the work goes on; the command line shows it as a sentence."""


class SkippedWarning(UntrainWarning):
    """Files among the data that were not read."""


class ContinuedWarning(UntrainWarning):
    """A run that is continued by other versions or on another kind of processor than it was begun."""


class InputError(UntrainError, ValueError):
    """Data or an argument that cannot be used as given."""


class UndecidableError(InputError):
    """Data that do not contain the answer to the question."""


class ConfigError(UntrainError, ValueError):
    """Settings, a method or a directory that do not fit the command."""


class NotSupportedError(UntrainError):
    """A combination that cannot work, such as a convolution method with a network without convolutions."""


class IntegrityError(UntrainError):
    """A file that changed after it was written."""

    exit_code = 5


class InterruptedRunError(UntrainError):
    """A run that was stopped. The same command continues it."""

    exit_code = 75
