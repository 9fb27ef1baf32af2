"""The code blocks of a document, and how they are run."""

import contextlib
import io
import re
import shlex
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from untrain.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "README.ja.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
"""The documents whose blocks are run and whose commands are checked."""
LANGUAGES = {"python", "console", "text", "toml", "bibtex", "html", "xml", "yaml"}
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
ELSEWHERE = (
    "pip",
    "make",
    "git",
    "python",
    "pytest",
    "sphinx-build",
    "ray",
    "sbatch",
    "cd",
    "ls",
    "export",
    "ssh",
    "srun",
)
"""Commands that install, take minutes or need a cluster; the files that they name must exist."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: behind the fence.
        text: inside.
        line: where it begins.
        reason: why it is not run, or None.
    """

    language: str
    text: str
    line: int
    reason: str | None = None


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a document, without the directives of the documentation site."""
    reason = None
    for token in MarkdownIt().parse(path.read_text()):
        if token.type == "html_block":
            found = NOT_RUN.search(token.content)
            reason = None if found is None else found[1]
        elif token.type in ("fence", "code_block"):
            if not token.info.startswith("{"):
                yield Block(token.info.strip(), token.content, (token.map or [0])[0] + 1, reason)
            reason = None


def skeleton(text: str) -> list[str]:
    """The lines of an output without its figures, as other processors give other ones."""
    lines = [re.sub(r"[-+]?\d[\d,.]*", "#", " ".join(line.split())) for line in text.splitlines()]
    return [line for line in lines if line]


def agrees(shown: str, printed: str) -> bool:
    """Whether the output in a document is that of the code; a line `...` stands for any lines.

    >>> agrees("F = 0.31\\n...", "F = 0.29\\nand\\nmore"), agrees("F = 0.31", "G = 0.31")
    (True, False)
    """
    pattern = "\n".join(".*" if line == "..." else re.escape(line) for line in skeleton(shown))
    return re.fullmatch(pattern, "\n".join(skeleton(printed)), re.DOTALL) is not None


def run_document(path: Path, names: dict[str, Any]) -> None:
    """Run all blocks of a document in the current directory, in their order and with shared names.

    Raises:
        AssertionError: a block fails, or prints something else than the document shows.
    """
    printed = ""
    for block in blocks(path):
        place = f"{path.name}, line {block.line}"
        if block.reason is not None:
            printed = "..."
        elif block.language == "python":
            printed = _python(block, names, place)
        elif block.language == "console":
            _console(block, place)
        elif block.language == "text" and printed:
            assert printed == "..." or agrees(block.text, printed), f"{place} shows\n{block.text}\nbut:\n{printed}"
            printed = ""


def _python(block: Block, names: dict[str, Any], place: str) -> str:
    out = io.StringIO()
    code = compile("\n" * block.line + block.text, place, "exec")
    with contextlib.redirect_stdout(out):
        try:
            exec(code, names)  # noqa: S102 (the project's own documents)
        except Exception as error:
            raise AssertionError(f"{place}: {traceback.format_exc(limit=-3)}") from error
    return out.getvalue()


def _console(block: Block, place: str) -> None:
    text = block.text.replace("\\\n", " ")
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        words = shlex.split(line, comments=True)
        if words[0] == "untrain" and words[1] != "demo":  # which the tests of the wheel run
            code, printed = command(words[1:])
            assert code == 0, f"{place}: {line} ended with {code}:\n{printed}"
            assert not shown.strip() or agrees(shown, printed), f"{place}: {line} shows\n{shown}\nbut:\n{printed}"
        elif words[0] != "untrain":
            check_elsewhere(words, place)


def command(words: list[str]) -> tuple[int, str]:
    """Exit code and output of `untrain` with these words, in this process, which has imported torch already."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), warnings.catch_warnings():
        try:
            main(words)
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue()


def check_elsewhere(words: list[str], place: str) -> None:
    """Check what can be checked of a command that the tests do not run: its program, and the files of the project."""
    words = [word for word in words if "=" not in word or word.startswith("-")]
    assert words[0] in ELSEWHERE, f"{place}: is {words[0]} a command? Mark the block with <!-- not run: why -->"
    for word in words[1:]:
        name = word.partition("::")[0]
        if name.startswith(("benchmarks/", "tests/", "examples/", "docs/", "src/")):
            assert (ROOT / name).exists(), f"{place}: there is no {name}"
