"""Every text that a page may show in another language, gathered from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import untrain
from untrain.cli.inputs import Inputs
from untrain.cli.review import _commands
from untrain.detection import SCORERS
from untrain.methods import METHODS
from untrain.report.html import LEGEND
from untrain.report.mislabel import FIGURES
from untrain.report.table import EVERY_COLUMN

SOURCE = Path(untrain.__file__).parent
PLACE = re.compile(r"\{\w*\}")
SPOKEN = {
    "workflows/verdict.py": (
        "_by_construction", "_by_evidence", "_by_audit", "_audit_sentences", "_membership_sentences",
        "_copies_sentence", "_unchanged_sentence", "_accuracy_sentence",
    ),
    "workflows/forget.py": ("_limits",),
    "workflows/case.py": ("describe_copies",),
    "workflows/audit.py": ("_sentences",),
    "report/record.py": ("reply",),
}  # fmt: skip
"""Functions that make sentences of a record."""


def named() -> set[str]:
    """Texts that templates, scripts and Python pass to the translator by name."""
    files = [*SOURCE.glob("report/templates/*"), *SOURCE.glob("review/templates/*"), *SOURCE.glob("review/assets/*.js")]
    found = [pair for path in files for pair in re.findall(r"""\bt\(\s*(?:"([^"]+)"|'([^']+)')""", path.read_text())]
    texts = {first or second for first, second in found}
    for path in SOURCE.glob("report/*.py"):
        texts |= set(re.findall(r'\bsay\("([^"]+)"', path.read_text()))
    return texts


def tabled() -> set[str]:
    """Texts of tables in Python: columns, the legend, commands, titles of methods and scorers."""
    texts = {text for column in EVERY_COLUMN for text in (column.head, column.hint)}
    texts |= {text for _, head, hint, _ in FIGURES for text in (head, hint)}
    texts |= {words for _, words in LEGEND} | {what for what, _ in _commands(Path("x"), Inputs())}
    return texts | {registry.of(name).title for registry in (METHODS, SCORERS) for name in registry.names()}


def shapes(path: Path) -> Iterator[str]:
    """Texts of a Python file, `{}` for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield _shape(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _shape(text: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in text.values)


def sentences() -> Iterator[str]:
    """Whole sentences of the functions that make sentences, `{}` for what is filled in."""
    for name, functions in SPOKEN.items():
        for node in ast.parse((SOURCE / name).read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name in functions:
                body = ast.unparse(ast.Module(node.body[1:] if ast.get_docstring(node) else node.body, []))
                yield from (text for text in _outer(ast.parse(body)) if " " in text)


def _outer(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        yield _shape(node)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _outer(child)
