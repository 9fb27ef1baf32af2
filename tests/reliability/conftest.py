"""Inputs, sample or full amount, and the tables that `pytest tests/reliability -m reliability` prints."""

import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.commands import make_inputs

Finding = tuple[str, str]
"""What is wrong, and in which case."""
Report = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = ""
    if not sys.platform.startswith("linux"):
        missing = "the attacks use fork, inotify and /proc, which are Linux's"
    elif not importlib.util.find_spec("cryptography"):
        missing = "signatures are attacked as well: pip install 'untrain[sign]'"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.reliability)
            # An xdist worker has a thread that only reads from a socket.
            item.add_marker(pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"))
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small inputs of every command."""
    return make_inputs(tmp_path_factory.mktemp("reliability") / "inputs")


@pytest.fixture(
    params=[
        pytest.param(False, id="sample"),
        pytest.param(True, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ]
)
def full(request: pytest.FixtureRequest) -> bool:
    """Whether everything is tried, or a sample."""
    return bool(request.param)


@pytest.fixture
def report(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Report:
    """Add counts to a row of the table, and fail if anything is wrong."""
    in_table = "full" not in request.fixturenames or request.getfixturevalue("full")

    def add(
        what: str,
        attempts: int,
        wrong: Mapping[str, Iterable[Finding]],
        seen: Mapping[str, float] | None = None,
        control: Mapping[str, int] | None = None,
    ) -> None:
        """Add to the row `what`.

        Args:
            what: was tried.
            attempts: how often.
            wrong: findings by kind; none may be there.
            seen: further counts; the largest counts where the name begins with "at most", else the sum.
            control: counts of the same attack where nothing guards.
        """
        findings = {kind: list(of_kind) for kind, of_kind in wrong.items()}
        counts = {kind: len(of_kind) for kind, of_kind in findings.items()}
        if in_table:
            record_property("row", [what, attempts, counts, dict(seen or {}), dict(control or {})])
        assert not any(counts.values()), "\n".join(
            [what, *(line for kind, of_kind in findings.items() for line in _summarized(kind, of_kind))]
        )

    return add


def _summarized(kind: str, findings: list[Finding], most: int = 12) -> list[str]:
    """Each different finding once, with how often it was made and where first; the most frequent first."""
    places: dict[str, list[str]] = {}
    for finding, where in findings:
        places.setdefault(finding, []).append(where)
    ordered = sorted(places.items(), key=lambda item: -len(item[1]))
    more = [f"{kind}: and {len(ordered) - most} other findings"] if len(ordered) > most else []
    return [*(f"{kind}: {len(where)} x {finding} ({where[0]})" for finding, where in ordered[:most]), *more]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables after a full run: a row for each file, then one for each attack."""
    if "reliability" in terminalreporter.config.option.markexpr:
        reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
        rows = [
            (Path(report.location[0]).name, value)
            for report in reports
            for name, value in report.user_properties
            if name == "row"
        ]
        terminalreporter.write_line("\n".join([*_totals(rows), "", *_table(row for _, row in rows)]))


def _totals(rows: Iterable[tuple[str, list[Any]]]) -> list[str]:
    """Attempts and what was wrong by file, each named by the beginning of its docstring, in Markdown."""
    attempts, wrong = Counter[str](), Counter[str]()
    for file, (_, count, found, *_rest) in rows:
        attempts[file] += count
        wrong[file] += sum(found.values())
    lines = ["| attack | attempts | wrong |", "| --- | --- | --- |"]
    for file, count in sorted(attempts.items()):
        title = re.split(r"[:,.]", (Path(__file__).parent / file).read_text().removeprefix('"""'), maxsplit=1)[0]
        lines.append(f"| {title} | {count:,} | {wrong[file]} |")
    return lines


def _table(rows: Iterable[list[Any]]) -> list[str]:
    """The table in Markdown; rows of the same name are added."""
    merged: dict[str, list[Any]] = {}
    for what, attempts, *counts in rows:
        row = merged.setdefault(what, [0, {}, {}, {}])
        row[0] += attempts
        for total, more in zip(row[1:], counts, strict=True):
            for name, count in more.items():
                together = max if name.startswith("at most") else sum
                total[name] = together([total.get(name, 0), count])
    lines = ["| what | attempts | wrong: all must be 0 | seen | without a guard |", "| --- | --- | --- | --- | --- |"]
    for what, (attempts, *counts) in merged.items():
        cells = [what, f"{attempts:,}", *(", ".join(_count(*item) for item in count.items()) for count in counts)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _count(name: str, count: float) -> str:
    return f"{name} {count:,.1f}" if isinstance(count, float) else f"{name} {count:,}"
