"""Commands that are killed: once at every call by which they change the file system, and at random moments.

A command is killed before each of these calls, and half-way through each write. Then every file that is there must be
whole, the old one or the new one. What was finished must still be there, and the same command, given again, must come
to the same end. Bytes are compared, apart from what a clock says.

It cannot show what a power cut does: the system keeps what a killed process has written, flushed or not. That files and
directories are flushed before and after the rename is seen only in the list of calls. The kill of a worker of a run is
a test of its own, in `tests/experiments/test_run.py`.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.reliability.children import Counter
from tests.reliability.commands import VERBS, Verb, command, is_complete, leftovers, problems, visible
from tests.reliability.conftest import Finding, Report
from tests.reliability.steps import Fault, die, go_on


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_a_killed_command_leaves_whole_files_and_can_be_given_again(
    verb: Verb, full: bool, tmp_path: Path, inputs: Path, report: Report
) -> None:
    generator = np.random.default_rng(list(verb.name.encode()))
    killing = Killing(verb, tmp_path, inputs)
    windows = killing.windows if full else [killing.windows[int(generator.integers(len(killing.windows)))]]
    for number, half in windows:
        where = f"{'half-way through' if half else 'before'} call {number}, {killing.steps[number - 1]}"
        killing.attempt(where, _killed_at(number, half))
    # A sample has only the kill above if the one at random comes too late.
    assert killing.kills == len(windows)
    for delay in generator.uniform(0.0, 0.9 * killing.plain.seconds, 18 if full else 1):
        killing.attempt(f"at random, after {delay:.2f} s", kill_after=float(delay))
    what = f"`{verb}` killed at {len(killing.windows)} moments of writing, and at random"
    report(what, killing.kills, killing.findings)


class Killing:
    """A verb, what it does when it is left alone, and what came of killing it.

    Attributes:
        steps: its calls.
        windows: number of a call, and whether it dies in it rather than before it.
    """

    def __init__(self, verb: Verb, folder: Path, inputs: Path) -> None:
        self.verb, self.folder, self.inputs = verb, folder, inputs
        self.plain = command(verb, inputs, folder / "plain")
        assert self.plain.code == 0, self.plain.err
        self.expected = folder / "plain" / "out"
        self.older = inputs / verb.older if verb.older else None
        self.steps: list[str] = self.plain.answer
        self.windows = [
            (number, half)
            for number, step in enumerate(self.steps, 1)
            for half in (False, True)
            if not half or step.startswith("write")
        ]
        self.tries = self.kills = 0
        kinds = ("torn or wrongly accepted", "finished work lost", "not continued", "temporary files that stay")
        self.findings: dict[str, list[Finding]] = {kind: [] for kind in kinds}

    def attempt(self, where: str, fault: Fault = go_on, kill_after: float | None = None) -> None:
        """Kill the command once, look, and give it again."""
        self.tries += 1
        home, reached = self.folder / str(self.tries), Counter()
        ended = command(self.verb, self.inputs, home, fault, reached, kill_after)
        if not ended.killed:
            assert ended.code == 0, ended.err
            return
        self.kills += 1
        out = home / "out"
        before = {path: path.stat().st_mtime_ns for path in visible(out)}
        self._note("torn or wrongly accepted", where, self._problems(out))
        # The call at which it died may not be done.
        missing = [name for name in _finished(self.steps[: max(0, reached.value - 1)]) if not (home / name).is_file()]
        was_complete = is_complete(out, self.expected)
        again = command(self.verb, self.inputs, home)
        if again.code and not (was_complete and not self.verb.repeatable):
            self._note("not continued", where, [again.err.strip().rpartition("\n")[2]])
            return
        missing += [path.name for path in before if not path.is_file()]
        if self.verb.name.startswith(("run", "audit")):
            # A piece that was finished is not computed again.
            pieces = [path for path in before if path.suffix == ".safetensors" and path.is_file()]
            missing += [path.name for path in pieces if path.stat().st_mtime_ns != before[path]]
        self._note("finished work lost", where, missing)
        wrong = self._problems(out)
        if not is_complete(out, self.expected):
            wrong.append("something is missing")
        self._note("not continued", where, wrong)
        self._note("temporary files that stay", where, leftovers(out))

    def _problems(self, out: Path) -> list[str]:
        return problems(self.verb, out, self.expected, self.older)

    def _note(self, kind: str, where: str, wrong: list[str]) -> None:
        if wrong:
            self.findings[kind].append((", ".join(wrong), where))


def _finished(steps: list[str]) -> list[str]:
    """Files whose directory has been flushed since they got their names."""
    finished, renamed = list[str](), list[str]()
    for step in steps:
        call, _, name = step.partition(" ")
        if call == "rename" and name.endswith(".TOKEN.tmp"):
            path = Path(name)
            renamed.append(str(path.with_name(path.name.removeprefix(".").removesuffix(".TOKEN.tmp"))))
        elif call == "fsync" and not name.endswith(".tmp"):
            finished += renamed
            renamed = []
    return finished


def _killed_at(number: int, half: bool) -> Fault:
    def fault(reached: int, call: str) -> str:
        if reached == number and not half:
            die()
        return "die" if reached == number else "go"

    return fault
