"""Texts from data in every page that untrain writes: nothing of them may be run, fetched, or become part of the page.

Each page is made by the function that commands use, with a payload behind every text in its data, whether or not a
person could put it there. It is parsed: there may be no tag and no attribute that the page does not have without the
payload. Then a headless Chromium shows it, once as it is and once without its content security policy, since either
alone should be enough. The same payloads in a page that escapes nothing show that the browser would have told.
"""

import functools
import html
import html.parser
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.browser import HOST, SCRIPT, chromium, watch
from tests.reliability.children import each
from tests.reliability.conftest import Finding, Report
from untrain.report.html import asset, policy, render
from untrain.report.record import record_page
from untrain.report.results import parse_results
from untrain.report.suspects import write_suspects_page

_STYLE, _SORT = asset("tokens.css") + asset("page.css"), asset("sort.js")
POLICIES = [
    f'<meta http-equiv="Content-Security-Policy" content="{html.escape(rule).replace("&#x27;", "&#39;")}">'
    for rule in (policy(_STYLE), policy(_STYLE, _SORT))
]
"""With the one style alone, and with the one script, which sorts rows."""
_LOCKED = {"schema", "kind", "outcome", "noise", "sha256"}
"""Keys whose values say which page it is, so that it would be refused with others."""
_NAMED = {"confidences", "environment", "versions", "machine", "files", "forget"}
"""Keys of dictionaries whose own keys are texts from data; one of them, the reference, is none."""
_FREE = {"configuration", "settings", "certificate"}
"""Keys of dictionaries in which every key is."""
Plain = dict[str, Any]


def payloads(mark: str) -> list[str]:
    """Texts that want to be run or fetched; each tells its number.

    Args:
        mark: before the number.
    """
    forms = (
        "<script>RUN</script>", "<ScRiPt >RUN</ScRiPt >", "<script/x>RUN</script>", "<<script>RUN//<</script>",
        "<script src=//HOST></script>", '"><script>RUN</script>', "'><script>RUN</script>", "</title><script>RUN</script>",
        "</style><script>RUN</script>", "</textarea><script>RUN</script>", "</pre><script>RUN</script>",
        "</td></tr></table><script>RUN</script>", "</text></g></svg><script>RUN</script>", "--><script>RUN</script>",
        "]]><script>RUN</script>", "<!--><script>RUN</script>", "<![CDATA[><script>RUN</script>]]>",
        "</html><script>RUN</script>", "<img src=x onerror=RUN>", '"><img src=x onerror="RUN">', "<img/src/onerror=RUN>",
        "<img src=//HOST>", "<img srcset='//HOST 1x'>", "<picture><source srcset=//HOST><img></picture>", "<svg onload=RUN>",
        "<svg><script>RUN</script></svg>", "<svg><animate onbegin=RUN attributeName=x dur=1s>", "<svg><set onbegin=RUN attributeName=x>",
        "<svg><image href=//HOST></svg>", "<svg><use href=//HOST#a></svg>", "<svg><style>@import '//HOST'</style></svg>",
        "<svg><foreignObject><iframe src=//HOST></iframe></foreignObject></svg>", "<body onload=RUN>",
        "<iframe src=javascript:parent.RUN></iframe>", '<iframe srcdoc="<script>RUN</script>"></iframe>', "<iframe src=//HOST></iframe>",
        "<object data=//HOST></object>", "<embed src=//HOST>", "<link rel=stylesheet href=//HOST>", "<link rel=icon href=//HOST>",
        "<link rel=preload as=image href=//HOST>", "<meta http-equiv=refresh content='0;url=//HOST'>", "<base href=//HOST/>",
        "<form action=//HOST><input name=a></form><script>document.forms[0].submit()</script>", "<input autofocus onfocus=RUN>",
        "<select autofocus onfocus=RUN><option>", "<textarea autofocus onfocus=RUN>", "<x tabindex=1 autofocus onfocus=RUN>",
        "<details open ontoggle=RUN>", "<video src=x onerror=RUN></video>", "<video><source onerror=RUN></video>", "<audio src=//HOST autoplay>",
        "<video poster=//HOST></video>", "<style>@import '//HOST'</style>", "<style>*{background:url(//HOST)}</style>",
        "<div style=\"background:url(//HOST)\">x</div>", "<table background=//HOST><td>x</table>", "<math><mtext><img src=x onerror=RUN></math>",
        "<noscript><p title=\"</noscript><img src=x onerror=RUN>\">", "<template><s></template><img src=x onerror=RUN>",
        '" onload=RUN x="', '" autofocus tabindex=1 onfocus=RUN x="', "' onerror=RUN x='", 'x" onerror="RUN', "` onload=RUN x=`",
        "javascript:RUN", "<a href=javascript:RUN id=a>x</a><script>a.click()</script>", "data:text/html,<script>RUN</script>",
        "{{ 7 * 7 }}", "{{ ''.__class__.__mro__ }}", "{% for x in range(9) %}{% endfor %}", "${RUN}", "<%= RUN %>",
        "&lt;script&gt;RUN&lt;/script&gt;", "&#60;script&#62;RUN&#60;/script&#62;", "\\u003cscript\\u003eRUN\\u003c/script\\u003e",
        "%3Cscript%3ERUN%3C/script%3E", "+ADw-script+AD4-RUN+ADw-/script+AD4-", "<scr\0ipt>RUN</scr\0ipt>", "＜script＞RUN＜/script＞",
        "<plaintext>", "<xmp>", "<marquee onstart=RUN>", "<script>\u2028RUN</script>", "$\\frac{a}{b}$ <script>RUN</script>",
    )  # fmt: skip
    return [
        form.replace("RUN", SCRIPT.format(token=f"{mark}{number}")).replace("HOST", f"{HOST}/{mark}{number}")
        for number, form in enumerate(forms)
    ]


@dataclass(frozen=True)
class Page:
    """A page that untrain writes.

    Attributes:
        name: of it.
        content: its data, as a command reads or makes them.
        make: writes it.
    """

    name: str
    content: Plain
    make: Callable[[Plain], str]

    def plain(self) -> str:
        """The page."""
        return self.make(self.content)

    def hostile(self, payload: str) -> tuple[str, int]:
        """The page with a payload behind every text, and how many texts these are."""
        count = 0

        def change(value: Any, key: str = "", free: bool = False) -> Any:
            nonlocal count
            if isinstance(value, dict):
                free = free or key in _FREE
                named = {name for name in value if (free or key in _NAMED) and name != "reference"}
                count += len(named)
                return {
                    f"{name}:{payload}" if name in named else name: change(item, name, free)
                    for name, item in value.items()
                }
            if isinstance(value, list):
                return [change(item, key, free) for item in value]
            if not isinstance(value, str) or key in _LOCKED:
                return value
            count += 1
            return f"{value}:{payload}"

        return self.make(change(self.content)), count


class Shape(html.parser.HTMLParser):
    """Tags of a page with the names of their attributes, and what the attributes lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[tuple[str, ...]] = set()
        self.links: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add((tag, *sorted(name for name, _ in attrs)))
        self.links |= {
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action", "srcset", "poster")
        }

    def handle_data(self, data: str) -> None:
        """Note what a person reads."""
        self.text += data


@pytest.fixture
def pages(tmp_path: Path, inputs: Path) -> dict[str, Page]:
    """Every page that untrain writes."""
    return {page.name: page for page in _pages(inputs, tmp_path)}


@pytest.mark.parametrize("name", ["comparison", "wrong labels", "suspects", "record"])
def test_no_text_becomes_part_of_a_page(name: str, full: bool, pages: dict[str, Page], report: Report) -> None:
    page = pages[name]
    groups = _groups(payloads("p"), 1 if full else 40)
    made = each(groups, lambda group: page.hostile(" ".join(group)), limit=60)
    plain = Shape(each([page], Page.plain)[0])
    findings, texts = list[Finding](), 0
    for group, answer in zip(groups, made, strict=True):
        # A child that died has only a text.
        wrong = [answer] if isinstance(answer, str) else list(_parsed(answer[0], plain, group))
        findings += [(one, f"{name}, {group[0]!a}") for one in wrong]
        texts += 0 if isinstance(answer, str) else answer[1] * len(group)
    report(
        f"{len(payloads('p'))} texts that want to be run or fetched, behind every text of the pages of a comparison, of wrong "
        "labels, of suspects and of a record: parsed",
        texts,
        {"another tag, attribute or link, a `<script`, or no policy": findings},
    )


@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed, so no page is shown")
def test_no_text_of_a_page_runs_in_a_browser(
    full: bool, pages: dict[str, Page], tmp_path: Path, report: Report
) -> None:
    browser = chromium() or ""
    cases = [(page, group) for page in pages.values() for group in _groups(payloads("p"), 1 if full else 40)]
    texts = [text for text, _ in each(cases, lambda case: case[0].hostile(" ".join(case[1])), limit=60)]
    bare = [functools.reduce(lambda page, rule: page.replace(rule, ""), POLICIES, text) for text in texts]
    told, asked = watch(browser, [*texts, *bare], tmp_path / "pages")
    control = payloads("c")[:: 1 if full else 8]
    unescaped = [f"<!doctype html><title>x</title><p>{payload}</p>" for payload in control]
    unescaped += [f'<!doctype html><title>x</title><img alt="{payload}" src=x>' for payload in control]
    hits = {hit.strip("/") for heard in watch(browser, unescaped, tmp_path / "control") for hit in heard}
    hits = {hit for hit in hits if re.fullmatch(r"c\d+", hit)}
    report(
        f"the same pages in headless Chromium, with and without their policy ({2 * len(texts)} pages)",
        2 * len(texts),
        {"run": [(token, "") for token in told], "requests": [(path, "") for path in asked]},
        control={f"of {len(control)} texts run or fetch something in a page that escapes nothing:": len(hits)},
    )
    # Many of the payloads need an attribute or a page of their own.
    assert len(hits) >= len(control) // 3


def _groups(texts: list[str], size: int) -> list[list[str]]:
    return [texts[first : first + size] for first in range(0, len(texts), size)]


def _pages(inputs: Path, folder: Path) -> list[Page]:
    def read(path: str) -> Plain:
        return dict(json.loads((inputs / path).read_text(encoding="utf-8")))

    def results(content: Plain) -> str:
        return render(parse_results(json.dumps(content).encode(), "results.json"))

    def suspects(content: Plain) -> str:
        write_suspects_page(folder / "suspects.html", content)
        return (folder / "suspects.html").read_text(encoding="utf-8")

    found = read("older-detect/suspects.json")
    found |= {"model_error": 0.1, "evidence": {**found["evidence"], "note": "an error's text"}}
    return [
        Page("comparison", read("finished/results.json"), results),
        Page("wrong labels", read("finished-mislabel/results.json"), results),
        Page("suspects", found, suspects),
        Page("record", read("request/record.json"), lambda content: record_page(content).decode("ascii")),
    ]


def _parsed(text: str, plain: Shape, group: list[str]) -> Iterator[str]:
    """What is in a page that is not in the same page without the payload."""
    shape = Shape(text)
    for tag in sorted(shape.tags - plain.tags):
        yield f"another tag: {' '.join(tag)}"
    for link in sorted(shape.links - plain.links):
        if not link.startswith(("data:image/png;base64,", "#")):
            yield f"a link: {link[:60]!a}"
    if "<script" in text.replace(f"<script>{_SORT}</script>", "", 1).lower():
        yield "a raw <script"
    if not any(rule in text.partition("<title>")[0] for rule in POLICIES):
        yield "no policy before everything else"
    # What cannot be seen is written out, so only the beginning of such a text is found.
    if not all(payload.isprintable() and payload in shape.text for payload in group if payload.isprintable()):
        yield "the text is not there as it is"
