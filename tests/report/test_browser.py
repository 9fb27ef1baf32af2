"""Reports in a headless Chromium: rows are sorted by key and click, hostile names are shown, nothing is fetched."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.report.test_report import HOSTILE, results, row
from tests.review.chrome import CHROMIUM, Browser, Page
from untrain.report import write_report

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed, so no page is shown"),
    pytest.mark.timeout(180),
]
NAMES = "[...document.querySelector('table').tBodies[0].rows].map(row => row.cells[0].firstChild.textContent)"
SORTED = "[...document.querySelectorAll('table')[0].tHead.rows[0].cells].map(head => head.getAttribute('aria-sort'))"


def written(directory: Path, content: dict[str, Any]) -> str:
    (directory / "results.json").write_bytes(msgspec.json.encode(content))
    return write_report(directory).as_uri()


def test_rows_are_sorted_by_key_and_by_click(browser: Browser, tmp_path: Path) -> None:
    content = results()
    content["rows"] = [
        row("retrain", 0.2, 4.0), row("finetune", 0.05, 0.5, test_accuracy=95.0),
        row("ssd", 0.01, 12.0, test_accuracy=9.5), row("renew", 0.08, 1.0, test_accuracy=97.0),
    ]  # fmt: skip
    content["shown"][0]["examples"][0]["confidences"] = {
        name: [1.0, 2.0] for name in ("reference", *(each["method"] for each in content["rows"]))
    }
    with Page(browser) as page:
        page.open(written(tmp_path, content))
        page.wait("document.querySelector('th button') !== null")
        heads = page.run("[...document.querySelector('table').tHead.rows[0].cells].map(head => head.textContent)")
        column = heads.index("test %")
        before = page.run(NAMES)
        page.run(f"document.querySelectorAll('th button')[{column}].focus()")
        page.press("Enter")
        assert (page.run(NAMES)[0], page.run(NAMES)[-1]) == ("renew", "ssd")
        assert page.run(SORTED)[column] == "descending"
        page.press("Enter")
        assert page.run(NAMES)[0] == "ssd"  # 9.5 is less than 95: figures are compared, not letters
        assert page.run(SORTED)[column] == "ascending"
        page.run("document.querySelectorAll('th button')[0].click()")
        assert page.run(NAMES) == sorted(before, reverse=True)
        assert page.run(SORTED).count("none") == len(heads) - 1


def test_hostile_names_are_shown_and_nothing_leaves_the_page(browser: Browser, tmp_path: Path) -> None:
    content = results(HOSTILE)
    with Page(browser) as page:
        address = written(tmp_path, content)
        page.open(address)
        page.wait("document.querySelector('th button') !== null")
        assert HOSTILE in page.run("document.body.textContent")
        assert page.run("document.querySelectorAll('[onerror], main script').length") == 0
        assert not [each for each in page.requests if each != address and not each.startswith("data:")]
