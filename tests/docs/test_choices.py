"""What `benchmarks/auto.py` says of the stored runs, counted again from their files."""

import json
import runpy
import sys
from typing import Any

import pytest

from tests.docs.blocks import ROOT

STORED = runpy.run_path(str(ROOT / "benchmarks" / "auto.py"))["STORED"]


@pytest.fixture(scope="module")
def settings() -> list[dict[str, dict[str, Any]]]:
    """The rows of every forget setting, by method."""
    by_setting: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for name in STORED:
        for row in json.loads((ROOT / "docs" / "figures" / name / "results.json").read_text())["rows"]:
            by_setting.setdefault((name, row["forget"]), {})[row["method"]] = row
    return list(by_setting.values())


def printed(shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The cells of a table, by method."""
    monkeypatch.setattr(sys, "argv", ["auto.py", "--show", shown])
    runpy.run_path(str(ROOT / "benchmarks" / "auto.py"), run_name="__main__")
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    return {method.strip("`"): cells for method, *cells in lines[2:]}


def test_memory_is_counted_in_every_setting(
    settings: list[dict[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = printed("left", monkeypatch, capsys)
    assert table.keys() >= set.intersection(*map(set, settings)) | {"short-retrain:half", "short-retrain:fifth"}
    for method, (count, none, unclear, visible, *_) in table.items():
        left = [rows[method]["memory_left"] for rows in settings if method in rows]
        above = sum(one["low"] > 0 for one in left)
        wide = sum(one["low"] <= 0 and one["high"] >= 0.5 for one in left)
        assert [int(count), int(visible), int(unclear), int(none)] == [len(left), above, wide, len(left) - above - wide]


def test_a_choice_is_behind_as_often_as_by_hand(
    settings: list[dict[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For `short-retrain:half`, which may be replaced by any method."""
    name, behind = "short-retrain:half", []
    those = [rows for rows in settings if name in rows]
    for rows in those:
        mine = rows[name]
        clean = [
            row
            for row in rows.values()
            if row is not mine and row["memory_left"]["low"] <= 0 and row["memory_left"]["high"] < 0.5
            and row["seconds_per_model"] <= 1.2 * mine["seconds_per_model"]
        ]  # fmt: skip
        rival = max(clean, key=lambda row: row["test_accuracy"], default=mine)
        error = sum(
            row["test_accuracy_spread"]["within"] ** 2 / row["models"]
            + row["test_accuracy_spread"]["between"] ** 2 / row["originals"]
            for row in (mine, rival)
        )
        ahead = rival["test_accuracy"] - mine["test_accuracy"]
        if ahead > 2 * error**0.5:
            behind.append(ahead)
    cells = printed("counts", monkeypatch, capsys)[name]
    assert (int(cells[0]), int(cells[3])) == (len(those), len(behind))
    assert cells[-1] == f"{min(behind):.1f} to {max(behind):.1f}"
