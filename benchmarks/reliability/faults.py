"""A file system that refuses: at every call by which a command changes it, in every way that is likely.

Either one call fails, or it and all that follow, as when a disk is full or was mounted anew for reading alone. What was
there before must be there still, or the new in its place, whole; the command must say so in one sentence, and leave
with 3; and once the file system works again, the same command must come to its end. A write that takes just a part is
no failure: what is left has to be written by another.
"""

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reliability.children import run
from reliability.rows import Row, Scale, counted
from reliability.steps import Fault
from reliability.verbs import VERBS, Verb, command, is_complete, leftovers, problems
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


def faults(scale: Scale, folder: Path, inputs: Path) -> Iterator[Row]:
    """Let every call of every verb fail."""
    yield _printing(folder / "printing", inputs)
    generator = np.random.default_rng(scale.seed)
    for verb in VERBS:
        expected = folder / verb.name.replace(", ", "-") / "plain"
        plain = command(verb, inputs, expected)
        assert plain.code == 0, plain.err
        cases = [
            (failure, number, step)
            for number, step in enumerate(plain.answer, 1)
            for failure in FAILURES
            if step.partition(" ")[0] in failure.calls
        ]
        if scale.short:
            cases = [cases[int(generator.integers(len(cases)))]]
        found, continued = list[tuple[str, str]](), set[int]()
        for case, (failure, number, step) in enumerate(cases):
            home = expected.parent / str(case)
            wrong = _failed(verb, inputs, home, expected / "out", failure, number)
            if number not in continued:
                continued.add(number)
                wrong += _afterwards(verb, inputs, home, expected / "out")
            found += [(each, f"{failure.name} at call {number}, {step}") for each in wrong]
        yield Row(
            f"`{verb.name}` where one of its {len(plain.answer)} calls fails",
            len(cases),
            f"half a file, no sentence, another exit code than 3, or no end afterwards: {len(found)}",
            "0",
            not found,
            findings=counted(found),
        )


def _printing(folder: Path, inputs: Path) -> Row:
    """Commands whose output goes to a device that is full, as `untrain list > /dev/full`."""
    found = []
    words = {verb.name: verb.words(inputs) for verb in VERBS} | {
        "list": ["list"], "verify": ["verify", str(inputs / "request")], "--version": ["--version"], "--help": ["--help"],
    }  # fmt: skip
    for number, (name, line) in enumerate(words.items()):
        home = folder / str(number)
        verb = next((verb for verb in VERBS if verb.name == name), None)
        if verb is None:
            home.mkdir(parents=True)
        else:
            verb.prepare(inputs, home)

        def work(home: Path = home, line: list[str] = line) -> None:
            os.chdir(home)
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
            main(line)

        ended = run(work)
        if ended.code not in (0, 3) or "Traceback" in ended.err:
            found.append((f"exit code {ended.code}: {ended.err.strip().rpartition(chr(10))[2][:100]}", name))
    return Row(
        "commands whose output cannot be printed, as the device is full",
        len(words),
        f"tracebacks: {len(found)}",
        "0",
        not found,
        findings=counted(found),
    )


def _failed(verb: Verb, inputs: Path, home: Path, expected: Path, failure: Failure, number: int) -> list[str]:
    """What is wrong after a command that a call failed."""
    found = list[str]()
    ended = command(verb, inputs, home, failure.at(number))
    # To make a folder that is there already does not fail, whatever the system says.
    passes = ended.code == 0 and is_complete(home / "out", expected)
    error = ended.err.splitlines()[-1:] or ["nothing"]
    if ended.code != 3 and not (passes and (failure.code is None or failure.calls[1] == "mkdir")):
        found.append(f"exit code {ended.code}: {error[0][:200]}")
    elif not passes and not (re.fullmatch(r"untrain: .*\bout\b.*", error[0]) and "Traceback" not in ended.err):
        found.append(f"no sentence with the file: {error[0][:200]}")
    if passes:
        return found + problems(verb, home / "out", expected, None if verb.older is None else expected)
    return found + problems(verb, home / "out", expected, _older(verb, inputs))


def _afterwards(verb: Verb, inputs: Path, home: Path, expected: Path) -> list[str]:
    """What is wrong when the same command is given again and nothing fails; it may refuse what is complete."""
    was_complete = is_complete(home / "out", expected)
    again = command(verb, inputs, home)
    if again.code and not (was_complete and not verb.repeatable):
        found = [again.err.strip().rpartition("\n")[2][:200]]
    else:
        found = problems(verb, home / "out", expected, _older(verb, inputs))
        found += [f"{each} stays" for each in leftovers(home / "out")]
        found += [] if is_complete(home / "out", expected) else ["something is missing"]
    return [f"afterwards: {each}" for each in found]


def _older(verb: Verb, inputs: Path) -> Path | None:
    return inputs / verb.older if verb.older else None
