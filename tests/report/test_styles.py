"""Every class, id and element that a style sheet names is made by a template, a script or a figure."""

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

PACKAGE = Path(str(resources.files("untrain")))
FILES = ("figures.py", "svg.py", "assets/sort.js")
REPORT = [*(PACKAGE / "report").glob("templates/*.j2"), *(PACKAGE / "report" / name for name in FILES)]
REVIEW = [PACKAGE / "review/templates/review.html.j2", PACKAGE / "review/assets/review.js"]
WHOLE_PAGE = {"*", "html", "body", ":root"}


def selected(style: str) -> set[str]:
    """What the selectors of a style sheet name: `.class`, `#id`, and elements."""
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    heads = (head.strip() for head in re.findall(r"([^{};]+)\{", style))
    selectors = (re.sub(r"\[[^]]*\]|::?[\w-]+(\([^)]*\))?", "", head) for head in heads if not head.startswith("@"))
    return {name for selector in selectors for name in re.findall(r"[.#]?[A-Za-z][\w-]*", selector)}


def made(path: Path) -> Iterator[str]:
    """What a file makes, in the same form; of figures every text is taken for classes, since some stand in a table."""
    text = path.read_text()
    if path.suffix == ".py":
        yield from re.findall(r'element\(\s*"(\w+)"', text)
        texts = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
        yield from (f".{word}" for text in texts if re.fullmatch(r"[a-z -]+", str(text)) for word in str(text).split())
    if path.suffix == ".js":
        yield from re.findall(r'(?:built|createElement)\("(\w+)"', text)
        lines = [line for line in text.splitlines() if re.search(r"className|classList", line)]
        yield from (f".{word}" for part in re.findall(r'"([^"]*)"', "\n".join(lines)) for word in part.split())
    if path.suffix == ".j2":
        yield from re.findall(r"<([a-z]\w*)", text)
        yield from (f"#{name}" for name in re.findall(r'id="([\w-]+)"', text))
        classes = re.findall(r'class="((?:[^"{]|\{\{.*?\}\})*)"', text)
        yield from (f".{word}" for value in classes for word in re.findall(r"[\w-]+", value))


@pytest.mark.parametrize(
    ("style", "sources"),
    [
        ("report/assets/page.css", REPORT),
        ("review/assets/review.css", REVIEW),
        ("report/assets/tokens.css", [*REPORT, *REVIEW]),
    ],
)
def test_no_style_is_unused(style: str, sources: list[Path]) -> None:
    known = {name for source in sources for name in made(source)} | WHOLE_PAGE
    assert selected((PACKAGE / style).read_text()) - known == set()


def test_what_is_unused_is_seen(tmp_path: Path) -> None:
    style = "/* .old { } */ a.b > c:hover, #d[e=f]::after { x: .5em } @media print { .g:not(.h), i { y: #fff } }"
    assert selected(style) == {"a", ".b", "c", "#d", ".g", "i"}
    template, script = tmp_path / "page.j2", tmp_path / "page.js"
    template.write_text("""<a class="b {{ 'g' if x else "h" }}"><i id="d">""")
    script.write_text('built("c", {className: "k " + (on ? "l" : "")});\nother("m");')
    assert selected(style) - {*made(template), *made(script)} == set()
    assert {".k", ".l"} <= set(made(script))
    assert not {".m", "m"} & set(made(script))
