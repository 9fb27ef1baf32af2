"""A file system that refuses: at every call by which a command changes it, in every way that is likely.

Either one call fails, or it and all that follow, as when a disk is full or was mounted anew for reading alone. What was
there before must be there still, or the new in its place, whole; the command must say so in one sentence, and leave
with 3; and once the file system works again, the same command must come to its end. A write that takes just a part is
no failure: what is left has to be written by another.
"""

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.children import run
from tests.reliability.commands import VERBS, Verb, command, is_complete, leftovers, problems
from tests.reliability.conftest import Finding, Report
from tests.reliability.steps import Fault
from untrain.cli.main import main

_WRITING = ("open", "mkdir", "write", "fsync")


@dataclass(frozen=True)
class Failure:
    """A way to fail.

    Attributes:
        name: in words.
        code: that the call fails with; None for a write of half of what is given.
        calls: that it can happen to; once it has begun, also after the call that it began with.
        stays: whether it does not pass.
    """

    name: str
    code: int | None
    calls: tuple[str, ...]
    stays: bool

    def at(self, number: int) -> Fault:
        """It happens at this call."""

        def fault(reached: int, call: str) -> str:
            if reached == number and self.code is None:
                return "half"
            code = errno.ENOSPC if self.code is None else self.code
            if call in self.calls and (reached == number if not self.stays else reached >= number):
                raise OSError(code, os.strerror(code))
            return "go"

        return fault


FAILURES = (
    Failure("disk full", errno.ENOSPC, _WRITING, True),
    Failure("quota used up", errno.EDQUOT, ("open", "mkdir", "write"), False),
    Failure("fault of the device", errno.EIO, (*_WRITING, "rename", "rmdir", "unlink"), False),
    Failure("read-only from here on", errno.EROFS, (*_WRITING, "rename", "rmdir", "unlink"), True),
    Failure("half a write, then the disk is full", None, ("write",), True),
    Failure("half a write", None, ("write",), False),
)


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_a_call_that_fails_leaves_whole_files_and_a_sentence(
    verb: Verb, full: bool, tmp_path: Path, inputs: Path, report: Report
) -> None:
    generator = np.random.default_rng(list(verb.name.encode()))
    plain = command(verb, inputs, tmp_path / "plain")
    expected = tmp_path / "plain" / "out"
    assert plain.code == 0, plain.err
    cases = [
        (failure, number, step)
        for number, step in enumerate(plain.answer, 1)
        for failure in FAILURES
        if step.partition(" ")[0] in failure.calls
    ]
    if not full:
        cases = [cases[int(generator.integers(len(cases)))]]
    findings, continued = list[Finding](), set[int]()
    for case, (failure, number, step) in enumerate(cases):
        home = tmp_path / str(case)
        wrong = _failed(verb, inputs, home, expected, failure, number)
        if number not in continued:
            continued.add(number)
            wrong += _afterwards(verb, inputs, home, expected)
        findings += [(one, f"{failure.name} at call {number}, {step}") for one in wrong]
    report(
        f"`{verb}` where one of its {len(plain.answer)} calls fails",
        len(cases),
        {"half a file, no sentence, an exit code other than 3, or no end afterwards": findings},
    )


_PRINTED = (*VERBS, *(Verb(words, words, "") for words in ("list", "verify IN/request", "--version", "--help")))


@pytest.mark.parametrize("verb", _PRINTED, ids=str)
def test_output_to_a_full_device_is_no_traceback(verb: Verb, tmp_path: Path, inputs: Path, report: Report) -> None:
    home = tmp_path / "home"
    verb.prepare(inputs, home)

    def work() -> None:
        os.chdir(home)
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        main(verb.words(inputs))

    ended = run(work)
    wrong = ended.code not in (0, 3) or "Traceback" in ended.err
    finding = (f"exit code {ended.code}: {ended.err.strip().rpartition(chr(10))[2][:100]}", verb.name)
    report("commands whose output cannot be printed, as the device is full", 1, {"tracebacks": [finding] * wrong})


def _failed(verb: Verb, inputs: Path, home: Path, expected: Path, failure: Failure, number: int) -> list[str]:
    """What is wrong after a command that a call failed."""
    wrong = list[str]()
    ended = command(verb, inputs, home, failure.at(number))
    # To make a folder that is there already does not fail, whatever the system says.
    passes = ended.code == 0 and is_complete(home / "out", expected)
    error = ended.err.splitlines()[-1:] or ["nothing"]
    if ended.code != 3 and not (passes and (failure.code is None or failure.calls[1] == "mkdir")):
        wrong.append(f"exit code {ended.code}: {error[0][:200]}")
    elif not passes and not (re.fullmatch(r"untrain: .*\bout\b.*", error[0]) and "Traceback" not in ended.err):
        wrong.append(f"no sentence with the file: {error[0][:200]}")
    if passes:
        return wrong + problems(verb, home / "out", expected, None if verb.older is None else expected)
    return wrong + problems(verb, home / "out", expected, _older(verb, inputs))


def _afterwards(verb: Verb, inputs: Path, home: Path, expected: Path) -> list[str]:
    """What is wrong when the same command is given again and nothing fails; it may refuse what is complete."""
    was_complete = is_complete(home / "out", expected)
    again = command(verb, inputs, home)
    if again.code and not (was_complete and not verb.repeatable):
        wrong = [again.err.strip().rpartition("\n")[2][:200]]
    else:
        wrong = problems(verb, home / "out", expected, _older(verb, inputs))
        wrong += [f"{name} stays" for name in leftovers(home / "out")]
        wrong += [] if is_complete(home / "out", expected) else ["something is missing"]
    return [f"afterwards: {one}" for one in wrong]


def _older(verb: Verb, inputs: Path) -> Path | None:
    return inputs / verb.older if verb.older else None
