import base64
import hashlib
import html.parser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markupsafe import Markup

from untrain.core.estimate import Estimate
from untrain.errors import ConfigError, IntegrityError
from untrain.report import ComparisonResults, columns, figures, groups, read_results, verdict, write_report
from untrain.report.html import asset, render
from untrain.report.results import ComparisonRow, PublishedComparison, parse_results, results_text
from untrain.report.table import winner

HOSTILE = "</td><script>alert(1)</script>$x$ \"' & <img src=x onerror=alert(2)>"


def row(method: str, score: float, seconds: float, **more: Any) -> dict[str, Any]:
    return {
        "dataset": "digits", "forget": "0.02", "forget_ratio": 0.02, "forget_examples": 3, "method": method,
        "title": method, "models": 8, "forget_quality": score, "final_score": score, "ceiling": 0.2,
        "epsilon_mean": 2.5, "epsilon": [0.5, 50.0, None], "buckets": 4, "capped": 1, "retain_accuracy": 99.0,
        "test_accuracy": 95.0, "forget_accuracy": 90.0, "validation_accuracy": 95.0, "seconds_per_model": seconds,
        "speedup": 4.0 / seconds, "same_cost_score": None, "same_cost_test_accuracy": None, **more,
    }  # fmt: skip


def typed_row(method: str, score: float, seconds: float, **more: Any) -> ComparisonRow:
    return msgspec.convert(row(method, score, seconds, **more), ComparisonRow)


def measured_row(
    method: str, score: float, memory: tuple[float, float, float], told_apart: float = 0.0, **more: Any
) -> ComparisonRow:
    return typed_row(
        method, score, 1.0, memory_left=dict(zip(("value", "low", "high"), memory, strict=True)), memory_models=32,
        told_apart={"value": told_apart, "low": 0.0, "high": told_apart + 0.1}, **more,
    )  # fmt: skip


def results(name: str = "plain") -> dict[str, Any]:
    """As version 0.1 wrote them, before they had a kind."""
    rows = [
        row("retrain", 0.2, 4.0), row("short-retrain:half", 0.1, 2.0),
        row("finetune", 0.05, 0.5), row(f"transpose:{name}", 0.08, 1.0, same_cost_score=0.06),
    ]  # fmt: skip
    confidences = {each["method"]: [float(n) for n in range(8)] for each in rows} | {"reference": [1.0] * 8}
    example = {"id": name, "position": 0, "label": name, "image": None, "confidences": confidences}
    return {
        "schema": 1, "experiment": name, "title": name, "rows": rows,
        "shown": [{"forget": "0.02", "examples": [example]}],
        "configuration": {"name": name, "nothing": None, "deep": [{"a": 1}]},
        "sizes": {"train": 100, "validation": 10, "test": 10, "forget": {"0.02": 3}},
        "environment": {"device": name},
    }  # fmt: skip


class Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def typed(content: dict[str, Any]) -> ComparisonResults:
    parsed = parse_results(msgspec.json.encode(content), "here")
    assert isinstance(parsed, ComparisonResults)
    return parsed


def page(directory: Path, content: dict[str, Any]) -> tuple[str, Reader]:
    (directory / "results.json").write_bytes(msgspec.json.encode(content))
    text = write_report(directory).read_text()
    reader = Reader()
    reader.feed(text)
    return text, reader


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def check_policy(text: str, reader: Reader, *, script: bool) -> None:
    """The page has one style and at most one script, ours, and its policy allows these alone."""
    style = asset("tokens.css") + asset("page.css")
    assert f"<style>{style}</style>" in text
    allowed = f" script-src {digest(asset('sort.js'))};" if script else ""
    policy = next(a for tag, a in reader.tags if tag == "meta" and a.get("http-equiv"))["content"]
    assert policy == f"default-src 'none';{allowed} style-src {digest(style)}; img-src data:"
    assert [tag for tag, _ in reader.tags].count("script") == script
    if script:
        assert text.count(f"<script>{asset('sort.js')}</script>") == 1
    assert not any(name == "style" for _, attributes in reader.tags for name in attributes)


def test_nothing_is_fetched_and_nothing_runs_but_the_script_that_sorts(tmp_path: Path) -> None:
    text, reader = page(tmp_path, results())
    assert not {"link", "iframe", "object", "embed", "form"} & {tag for tag, _ in reader.tags}
    check_policy(text, reader, script=True)
    for _tag, attributes in reader.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value is not None
                assert value.startswith(("data:image/png;base64,", "#"))
    assert "url(http" not in text


def test_text_from_data_is_escaped(tmp_path: Path) -> None:
    text, reader = page(tmp_path, results(HOSTILE))
    check_policy(text, reader, script=True)
    assert not any("onerror" in attributes for _, attributes in reader.tags)
    assert "<script>alert" not in text
    assert HOSTILE in reader.text


def test_numbers_stand_in_the_table_best_first(tmp_path: Path) -> None:
    _, reader = page(tmp_path, results())
    for number in ("0.0800", "0.0600", "0.2000", "95.0", "4.0×"):  # noqa: RUF001
        assert number in reader.text
    (setting, rows), *rest = groups(typed(results()))
    assert setting == "0.02"
    assert not rest
    assert [row.method for row in rows] == [
        "transpose:plain",
        "finetune",
        "short-retrain:half",
        "retrain",
    ]
    assert "transpose:plain has the highest final score, 0.0800" in verdict(rows)
    assert "would score 0.0600, which is less" in verdict(rows)


def test_nobody_wins_with_nothing() -> None:
    retrain = typed_row("retrain", 0.2, 4.0)
    assert verdict([retrain, typed_row("finetune", 0.0, 1.0)]).startswith("No method scored above 0")
    assert verdict([retrain]) == "No method was compared."


RETRAIN = measured_row("retrain", 0.2, (0.02, -0.1, 0.14))
CLEAN = measured_row("prune-entropy", 0.05, (0.09, -0.05, 0.23), same_cost_score=0.06)


def test_the_highest_score_wins_if_it_leaves_no_memory() -> None:
    rows = [measured_row("renew", 0.1, (0.01, -0.1, 0.12)), CLEAN, RETRAIN]
    assert winner(rows) is rows[0]
    assert verdict(rows) == (
        "renew has the highest final score, 0.1000, and leaves no visible memory: memory left is 0.01 (-0.10 to "
        "0.12), where 0 is a retrained model and 1 the original. Its test accuracy is 95.0 %, at 4.0 times the "
        "speed of retraining; no short retraining of that cost was run."
    )


@pytest.mark.parametrize(
    ("memory", "told_apart", "reason"),
    [
        ((0.22, 0.15, 0.29), 0.05, "remembers the examples: memory left is 0.22 (0.15 to 0.29)"),
        ((0.1, -0.02, 0.22), 0.5, "memory left is 0.10 (-0.02 to 0.22), and 50 % of its models are told apart"),
        ((0.4, -0.1, 0.9), 0.0, "may remember the examples: memory left is 0.40 (-0.10 to 0.90)"),
    ],
)
def test_a_method_with_memory_does_not_win(memory: tuple[float, float, float], told_apart: float, reason: str) -> None:
    highest = measured_row("renew", 0.13, memory, told_apart)
    assert winner([highest, CLEAN, RETRAIN]) is CLEAN
    text = verdict([highest, CLEAN, RETRAIN])
    assert text.startswith("Of the methods that leave no visible memory, prune-entropy has the highest final score")
    assert "would score 0.0600, which is no less. renew scores higher, 0.1300, but" in text
    assert reason in text
    assert winner([highest, RETRAIN]) is None
    text = verdict([highest, RETRAIN])
    assert text.startswith("No method that scores above 0 is shown to leave no memory. renew has the highest")
    assert reason in text
    assert reason in verdict([measured_row("renew", 0.0, memory, told_apart), RETRAIN])


def test_each_figure_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    draw = figures._against_time

    def counted(rows: Any, quantity: Any, y: Any, label: str, say: Any) -> Markup:
        drawn.append(label)
        return draw(rows, quantity, y, label, say)

    monkeypatch.setattr(figures, "_against_time", counted)
    render(typed(results()))
    assert sorted(drawn) == ["final score", "test accuracy, %"]


def test_memory_stands_beside_the_score(tmp_path: Path) -> None:
    content = results()
    content["rows"][2] |= {
        "memory_left": {"value": 0.22, "low": 0.15, "high": 0.29}, "told_apart": {"value": 0.17, "low": 0, "high": 1},
        "told_different": {"value": 0.29, "low": 0, "high": 1}, "memory_models": 32, "rank_energy_models": 128,
        "rank_energy": {"value": 0.096, "low": 0.05, "high": 0.14}, "apart_from_next": True,
    }  # fmt: skip
    text, reader = page(tmp_path, content)
    for cell in ("0.22 (0.15 to 0.29)", "17", "29", "0.096 (0.050 to 0.140)", "yes"):
        assert f"<td>{cell}</td>" in text
    for column in columns(typed(content).rows):
        assert column.hint in reader.text
    heads = [column.head for column in columns(typed(content).rows)]
    assert heads[:3] == ["method", "final score", "memory left"]


@pytest.mark.parametrize("ends", [(0.3, 0.4), (-1e10, 1e10)])
def test_an_estimate_outside_of_its_interval_is_refused(ends: tuple[float, float]) -> None:
    content = results()
    content["rows"][2]["memory_left"] = msgspec.to_builtins(Estimate(0.2, *ends))
    with pytest.raises(IntegrityError, match="`memory_left` of 'finetune'"):
        typed(content)


def test_published_figures_have_columns_where_there_are_some(tmp_path: Path) -> None:
    content = results()
    assert not any("published" in column.head for column in columns(typed(content).rows))
    content["rows"][3]["published"] = {
        "final_score": 0.0123,
        "test_accuracy": 86.3,
        "forget_accuracy": 1,
        "seconds": 2,
    }
    _, reader = page(tmp_path, content)
    assert "0.0123" in reader.text
    assert "final score, published" in reader.text


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first, _ = page(tmp_path, results())
    second, _ = page(tmp_path, results())
    assert first == second


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    content = results()
    content["rows"][3]["published"] = {"final_score": 0.0123, "test_accuracy": None}
    written = typed(content)
    assert written.rows[3].published == PublishedComparison(final_score=0.0123)
    assert written.rows[0].epsilon == (0.5, 50.0, None)
    (tmp_path / "results.json").write_bytes(results_text(written))
    assert read_results(tmp_path) == written


def test_a_run_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no results\.json: has the run finished"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"{", IntegrityError, "damaged or incomplete"),
        (b"[" * 100_000, IntegrityError, "damaged or incomplete"),
        (b'{"rows": []}', IntegrityError, "`schema`"),
        (b'{"schema": 2}', ConfigError, "schema 2"),
        (b'{"schema": 1, "kind": "poem"}', ConfigError, "kind 'poem'"),
        (b'{"schema": 1}', IntegrityError, "`experiment`"),
        ({"rows": []}, IntegrityError, r"length >= 1 - at `\$\.rows`"),
        ({"rows": [None]}, IntegrityError, r"\$\.rows\[0\]"),
        ({"rows": [{**row("finetune", 0.1, 1.0), "test_accuracy": 101}]}, IntegrityError, "<= 100"),
        ({"rows": [row("scrub", 0.1, 1.0)]}, IntegrityError, "no confidences of 'scrub'"),
        ({"shown": []}, IntegrityError, "no examples are shown for the forget setting '0.02'"),
    ],
)
def test_unusable_results_are_refused(
    content: bytes | dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    data = content if isinstance(content, bytes) else msgspec.json.encode({**results(), **content})
    (tmp_path / "results.json").write_bytes(data)
    with pytest.raises(error, match=message) as refusal:
        write_report(tmp_path)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "report.html").exists()
