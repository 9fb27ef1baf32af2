"""Commands that are killed: once at every call by which they change the file system, and at random moments.

A command is killed before each of these calls, and half-way through each write. Then every file that is there must be
whole, the old one or the new one; what was finished must still be there; and the same command, given again, must come
to the same end. Bytes are compared, but for what a clock says.

It cannot show what a power cut does: the system keeps what a killed process has written, flushed or not. That files and
directories are flushed before and after the rename is seen in the list of calls alone. A kill of a worker of a run is
not among these: that is a test of its own.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reliability.children import Counter
from reliability.rows import Row, Scale, counted
from reliability.steps import Fault, die
from reliability.verbs import VERBS, Verb, command, is_complete, leftovers, problems, visible


def kills(scale: Scale, folder: Path, inputs: Path) -> Iterator[Row]:
    """Kill every verb."""
    generator = np.random.default_rng(scale.seed)
    for verb in VERBS:
        killing = Killing(verb, folder / verb.name.replace(", ", "-"), inputs)
        chosen = killing.windows
        if scale.short:
            chosen = [chosen[int(generator.integers(len(chosen)))]]
        for number, half in chosen:
            where = f"{'half-way through' if half else 'before'} call {number}, {killing.steps[number - 1]}"
            killing.attempt(where, _at(number, half))
        for delay in generator.uniform(0.0, 0.9 * killing.plain.seconds, scale.of(1, 18)):
            killing.attempt(f"at random, after {delay:.2f} s", kill_after=float(delay))
        yield killing.row()


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
        self.found: dict[str, list[tuple[str, str]]] = {"torn": [], "lost": [], "not continued": [], "left over": []}

    def attempt(self, where: str, fault: Fault | None = None, kill_after: float | None = None) -> None:
        """Kill the command once, look, and give it again."""
        self.tries += 1
        home, reached = self.folder / str(self.tries), Counter()
        more = {} if fault is None else {"fault": fault}
        ended = command(self.verb, self.inputs, home, reached=reached, kill_after=kill_after, **more)
        if not ended.killed:
            assert ended.code == 0, ended.err
            return
        self.kills += 1
        out = home / "out"
        there = {path: path.stat().st_mtime_ns for path in visible(out)}
        self._note("torn", where, self._problems(out))
        # The call at which it died may not be done.
        missing = [name for name in _finished(self.steps[: max(0, reached.value - 1)]) if not (home / name).is_file()]
        was_complete = is_complete(out, self.expected)
        again = command(self.verb, self.inputs, home)
        if again.code and not (was_complete and not self.verb.repeatable):
            self._note("not continued", where, [again.err.strip().rpartition("\n")[2]])
            return
        missing += [path.name for path in there if not path.is_file()]
        if self.verb.name.startswith(("run", "audit")):
            # A piece that was finished is not computed again.
            pieces = [path for path in there if path.suffix == ".safetensors" and path.is_file()]
            missing += [path.name for path in pieces if path.stat().st_mtime_ns != there[path]]
        self._note("lost", where, missing)
        wrong = self._problems(out)
        if not is_complete(out, self.expected):
            wrong.append("something is missing")
        self._note("not continued", where, wrong)
        self._note("left over", where, leftovers(out))

    def _problems(self, out: Path) -> list[str]:
        return problems(self.verb, out, self.expected, self.older)

    def _note(self, what: str, where: str, found: list[str]) -> None:
        if found:
            self.found[what].append((f"{what}: {', '.join(found)}", where))

    def row(self) -> Row:
        """What came of it."""
        counts = {what: len(cases) for what, cases in self.found.items()}
        return Row(
            f"`{self.verb.name}` killed at {len(self.windows)} moments of writing, and at random",
            self.kills,
            f"torn or wrongly accepted {counts['torn']}, finished work lost {counts['lost']}, "
            f"not continued {counts['not continued']}, temporary files that stay {counts['left over']}",
            "0, 0, 0, 0",
            not any(counts.values()),
            findings=counted(case for cases in self.found.values() for case in cases),
        )


def _finished(steps: list[str]) -> list[str]:
    """Files whose directory has been flushed since they got their names."""
    found, renamed = [], list[str]()
    for step in steps:
        call, _, name = step.partition(" ")
        if call == "rename" and name.endswith(".TOKEN.tmp"):
            path = Path(name)
            renamed.append(str(path.with_name(path.name.removeprefix(".").removesuffix(".TOKEN.tmp"))))
        elif call == "fsync" and not name.endswith(".tmp"):
            found += renamed
            renamed = []
    return found


def _at(number: int, half: bool) -> Fault:
    def fault(reached: int, call: str) -> str:
        if reached == number and not half:
            die()
        return "die" if reached == number else "go"

    return fault
