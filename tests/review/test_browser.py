"""The review page in a headless Chromium: keys, undo, kill and resume, a second window, hostile names."""

import time
from pathlib import Path

import pytest

from tests.review.chrome import CHROMIUM, Browser, Page
from tests.review.conftest import COUNT, Detected, serving, start
from tests.typed import call
from untrain.data import load
from untrain.detection import read_review

pytest.importorskip("flask")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed, so no page is shown"),
    pytest.mark.timeout(180),
]
COUNT_IS = "document.querySelector('#count').textContent.startsWith('{} of ')"
READY = "document.documentElement.dataset.ready"


def opened(page: Page, address: str) -> None:
    page.open(address)
    page.wait(READY)


def opened_grid(page: Page, address: str) -> None:
    opened(page, address)
    page.press("g")
    page.wait("document.querySelectorAll('.tile').length > 3")


def test_one_key_decides_is_saved_at_once_and_moves_on(browser: Browser, detected: Detected, address: str) -> None:
    with Page(browser) as page:
        opened(page, address)
        page.press("y", "n", "s", "d")
        page.wait(COUNT_IS.format(4))
        rows = detected.rows()
        assert detected.answers()[:4] == [("yes", rows[0]["suggested"]), ("no", ""), ("unsure", ""), ("yes", "")]
        assert rows[4]["id"].removeprefix("'") in page.run("document.querySelector('#identity').textContent")
        other = "7" if rows[4]["label"] != "7" else "8"
        page.press(other, rows[5]["label"])
        page.wait(COUNT_IS.format(6))
        assert detected.answers()[4:6] == [("yes", other), ("no", "")]
        page.press("ArrowLeft", "ArrowLeft")
        assert detected.answers()[4:6] == [("yes", other), ("no", "")]
        page.press("u", "u", "u", "u", "u")
        page.wait(COUNT_IS.format(1))
        assert [wrong for wrong, _ in detected.answers()[:3]] == ["yes", "", ""]
        assert "Undone" in page.run("document.querySelector('#live').textContent")
        assert page.run("document.querySelectorAll('[role=status][aria-live]').length") == 1
        page.press("?")
        assert page.run("document.querySelector('#help').open")
        page.press("Escape", "y")
        page.wait(COUNT_IS.format(2))


def test_a_kill_loses_nothing_and_undo_goes_on(browser: Browser, detected: Detected) -> None:
    first = start(detected.directory)
    with Page(browser) as page:
        opened(page, first.address)
        page.press("n", "n", "n")
        page.wait(COUNT_IS.format(3))
        first.kill()
        page.press("n")
        page.wait("!document.querySelector('#problem').hidden")
        assert "nothing more is saved" in page.run("document.querySelector('#problem').textContent")
    assert [wrong for wrong, _ in detected.answers()] == ["no"] * 3 + [""] * (COUNT - 3)
    second = start(detected.directory)
    with Page(browser) as page:
        opened(page, second.address)
        page.wait(COUNT_IS.format(3))
        page.press("u", "u")
        page.wait(COUNT_IS.format(1))
    second.kill()
    assert [wrong for wrong, _ in detected.answers()] == ["no"] + [""] * (COUNT - 1)


def test_a_second_window_sees_it(browser: Browser, detected: Detected, address: str) -> None:
    with serving(detected.directory) as other, Page(browser) as first, Page(browser) as second:
        opened(first, address)
        opened(second, other)
        first.press("n")
        first.wait(COUNT_IS.format(1))
        second.wait(COUNT_IS.format(1))
        second.press("ArrowRight", "s")
        second.wait(COUNT_IS.format(2))
        first.wait(COUNT_IS.format(2))
    assert sorted(wrong for wrong, _ in detected.answers() if wrong) == ["no", "unsure"]


def test_many_are_decided_in_the_grid_by_one_key(browser: Browser, detected: Detected, address: str) -> None:
    with Page(browser) as page:
        opened_grid(page, address)
        page.press(" ")
        page.press("ArrowRight", "ArrowRight", shift=True)
        page.wait("document.querySelectorAll('.tile[aria-selected=true]').length === 3")
        page.press("y")
        page.wait(COUNT_IS.format(3))
        page.press("u")
        page.wait(COUNT_IS.format(0))
        assert not any(wrong for wrong, _ in detected.answers())


def test_hostile_names_are_shown_and_nothing_leaves_the_machine(
    browser: Browser, detected: Detected, address: str
) -> None:
    with Page(browser) as page:
        opened(page, address)
        page.run("globalThis.alert = () => { globalThis.hit = true; }")
        seen = ""
        for _ in range(COUNT):
            seen += page.run("document.querySelector('#identity').textContent")
            page.press("ArrowRight")
            time.sleep(0.05)
        page.press("g")
        time.sleep(0.3)
        assert "onerror=alert(1)" in seen
        assert not page.run("Boolean(globalThis.hit) || document.querySelectorAll('[onerror]').length > 0")
        origin = address.partition("/?")[0]
        assert len(page.requests) > 10
        assert not [address for address in page.requests if not address.startswith((origin, "data:"))]


def test_a_phone_needs_no_scrolling_sideways(browser: Browser, detected: Detected, address: str) -> None:
    with Page(browser, 400, 800) as page:
        opened(page, address)
        for key in ("", "g"):
            page.press(*key)
            time.sleep(0.3)
            assert page.run("document.body.scrollWidth") <= 400
            assert page.run("document.querySelector('#open-help').getBoundingClientRect().right") <= 400


def test_leaving_the_grid_goes_on_with_what_is_undecided(browser: Browser, detected: Detected, address: str) -> None:
    with Page(browser) as page:
        opened_grid(page, address)
        page.press(" ")
        page.press("ArrowRight", shift=True)
        page.press("n", "g")
        page.wait("!document.querySelector('#single').hidden")
        name = detected.rows()[2]["id"].removeprefix("'")
        page.wait(f"document.querySelector('#identity').textContent.startsWith({name!r})")
        page.press("g", "Home", " ")
        page.press("End", shift=True)
        page.wait(f"document.querySelectorAll('.tile[aria-selected=true]').length === {COUNT}")


def test_another_site_can_change_nothing(browser: Browser, detected: Detected, address: str, tmp_path: Path) -> None:
    origin = address.partition("/?")[0]
    form = (
        f"<form id=f method=post enctype=text/plain action={origin}/api/decisions>"
        """<input name='{"changes":[{"position":0,"wrong":"yes"}],"x":"' value='"}'></form>"""
        "<script>f.submit()</script>"
    )
    (tmp_path / "other.html").write_text(form)
    with Page(browser) as page:
        opened(page, address)
        page.open((tmp_path / "other.html").as_uri())
        page.wait("document.body.innerText.includes('error')")
    assert not any(wrong for wrong, _ in detected.answers())


def test_the_page_as_one_file_keeps_and_hands_over_the_same_file(
    browser: Browser, detected: Detected, tmp_path: Path
) -> None:
    assert call("review", str(detected.directory), "--static", str(tmp_path / "page.html")) == 0
    with Page(browser) as page:
        opened(page, (tmp_path / "page.html").as_uri())
        page.press("y", "n", "s", "d", "d", "u")
        page.wait(COUNT_IS.format(4))
        opened(page, (tmp_path / "page.html").as_uri())
        page.wait(COUNT_IS.format(4))
        text = page.run("review.file()")
        assert not [address for address in page.requests if address.startswith("http")]
    examples = load(detected.folder)
    (tmp_path / "sent.csv").write_text(text, newline="")
    assert set(examples.ids[read_review(tmp_path / "sent.csv", examples)]) == {detected.ids[0], detected.ids[3]}
    assert call("review", str(detected.directory), "--merge", str(tmp_path / "sent.csv")) == 0
    assert [wrong for wrong, _ in detected.answers()[:4]] == ["yes", "no", "unsure", "yes"]


def test_the_estimate_of_the_page_is_that_of_the_package(browser: Browser) -> None:
    import numpy as np

    from untrain.review.page import asset
    from untrain.review.remaining import share_left

    draw = np.random.default_rng(0)
    with Page(browser) as page:
        page.open("about:blank")
        script = asset("review.js")
        start, end = script.index("function shareLeft"), script.index("// ---- Order and filters")
        for count, decided in ((5, 0), (40, 9), (200, 150)):
            x = draw.normal(size=count)
            wrong = draw.random(decided) < 0.5
            ours = share_left(x, np.arange(decided), wrong)
            arguments = f"{x.tolist()}, {list(range(decided))}, {wrong.astype(int).tolist()}"
            theirs = page.run(f"(() => {{ {script[start:end]}; return shareLeft({arguments}); }})()")
            assert ours is not None
            assert (theirs["value"], theirs["low"], theirs["high"]) == pytest.approx(
                (ours.value, ours.low, ours.high), abs=1e-6
            )
