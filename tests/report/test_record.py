from typing import Any

import msgspec

from tests.records.samples import record
from tests.report.test_report import HOSTILE, Reader, check_policy
from untrain.core.estimate import Estimate
from untrain.records import FileDigest, Previous, Record, Verdict
from untrain.records.record import Outcome
from untrain.records.serialization import content
from untrain.report.record import EVIDENCE, record_page


def page(made: Record) -> tuple[str, Reader]:
    text, reader = record_page(content(made)).decode("ascii"), Reader()
    reader.feed(text)
    return text, reader


def test_the_page_says_what_the_record_says() -> None:
    made = record(
        previous=Previous(record="ab" * 32, forgotten=41),
        files={"model.safetensors": FileDigest(sha256="cd" * 32, bytes=7001)},
    )
    text, reader = page(made)
    for words in (
        "Forgotten, by audit.", "The model is not told from models that never saw the examples.", "3to be forgotten",
        "97stay", "20outside the training set", "10classes", "41forgotten before", made.requested.commitment,
        "finetune:default", "untrain Finetune", "Few are to be forgotten.", '{"kind": "sgd", "lr": 0.1}', "[1, 2]",
        made.model.before, made.model.after, "Accuracy on 20 validation examples.",
        "not have dropped by more than 5.00 %",
        "95.00 %", "25.00 %", "12.50 %",
        "94.00 %", "-1.00 (-3.00 to +1.00)", "0.71 (0.6 to 0.8)", "0.52 (0.4 to 0.6)",
        "A stronger attack may see more.", "retrained models39", "0.04 (-0.21 to 0.27); its end must be below 0.5",
        "0.400", "0.350", "0.025", "96.00 %, retrained models at least 97.00 %",
        "It says nothing of other models.", "ab" * 32, "cd" * 32,
        "7001 bytes", "2026-05-04T03:02:01Z", "2.13.0", "Linux", EVIDENCE,
    ):  # fmt: skip
        assert words in reader.text, words
    assert EVIDENCE == "This is evidence of a procedure, not a legal finding."
    assert "rejected" not in text
    for tag in made.requested.tags:
        assert tag not in text


def test_what_was_not_done_is_said() -> None:
    kept = Verdict(outcome=Outcome.KEPT_ORIGINAL, sentences=())
    made = record(before=1, after=1, verdict=kept, membership=None, audit=None)
    _, reader = page(made)
    for words in (
        "Not forgotten: the original was kept.", "The returned model is the original, unchanged.",
        "are those of the rejected model.", "Not checked.",
        "No audit was made: the model was not compared", "None. This is the first request.",
    ):  # fmt: skip
        assert words in reader.text
    assert "score" not in reader.text
    _, reader = page(record(limits=(EVIDENCE,)))
    assert reader.text.count(EVIDENCE) == 2
    assert record().audit is not None
    bare = msgspec.structs.replace(record().audit, score=0.5)  # type: ignore[type-var]
    assert "score0.5000\n" in page(record(audit=bare))[1].text


def hostile(value: Any) -> Any:
    """The same, with every text that is free a hostile one."""
    if isinstance(value, dict):
        return {name: hostile(item) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) and len(value) != 64 else value


def test_nothing_is_fetched_nothing_runs_and_text_is_escaped() -> None:
    plain = hostile(content(record()))
    plain["verdict"]["outcome"] = "doubtful"
    for free in (plain["versions"], plain["machine"], plain["applied"]["settings"], plain["audit"]["certificate"]):
        free |= {HOSTILE: HOSTILE, "deep": {HOSTILE: [HOSTILE, {"a": HOSTILE}]}}
    plain["files"] = {HOSTILE: {"sha256": "0" * 64, "bytes": 1}}
    text, reader = record_page(plain).decode("ascii"), Reader()
    reader.feed(text)
    tags = {tag for tag, _ in reader.tags}
    assert not {"script", "link", "iframe", "object", "embed", "form", "img", "a", "base"} & tags
    for _tag, attributes in reader.tags:
        assert not any(name.startswith("on") or name in ("src", "href", "action") for name in attributes)
    assert "<script" not in text
    assert "url(" not in text
    assert reader.text.count(HOSTILE) > 15
    check_policy(text, reader, script=False)


def test_what_cannot_be_seen_is_written_out() -> None:
    steering = "a\x1b[2J\u202eb\ud800\n\0"
    verdict = Verdict(outcome=Outcome.FORGOTTEN, sentences=(steering,))
    applied = msgspec.structs.replace(record().applied, settings={steering: steering}, reason="Grüße")
    text, reader = page(record(verdict=verdict, applied=applied, machine={steering: steering}))
    assert reader.text.count(r"a\x1b[2J\u202eb\ud800\n\x00") == 5
    assert "Gr&#252;&#223;e" in text


def test_large_and_small_figures_can_be_read() -> None:
    assert record().audit is not None
    audit = msgspec.structs.replace(
        record().audit,  # type: ignore[type-var]
        before=Estimate(value=123456.0, low=-1e-9, high=1e9),
    )
    assert "1.235e+05 (-1e-09 to 1e+09)" in page(record(audit=audit))[1].text
