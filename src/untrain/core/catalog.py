"""What is installed, without importing it: names, presets and titles as the source text says them."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from untrain.core.registry import claims, conflict, distribution


@dataclass(frozen=True)
class Entry:
    """A method or scorer.

    Attributes:
        name: of its entry point.
        presets: names of its presets.
        title: a few words; where the class has no title, the first line of its docstring.
    """

    name: str
    presets: tuple[str, ...] = ()
    title: str = ""


def catalog(group: str) -> list[Entry]:
    """The entries of a group of entry points, in alphabetical order.

    Nothing is imported, so that a list is quick and no plug-in runs. What the source of a class does not write out is
    left empty.
    """
    points = claims(entry_points(group=group))
    return [_entry(points[name]) for name in sorted(points)]


def _entry(points: Sequence[EntryPoint]) -> Entry:
    point = points[0]
    if problem := conflict(points):
        return Entry(point.name, title=f"CANNOT BE USED: {problem}")
    if _source(point.module) is None:
        return Entry(point.name, title=f"CANNOT BE USED: {distribution(point)} lacks {point.module}: reinstall it.")
    definition = _definition(point)
    if definition is None:
        return Entry(point.name)
    values = {
        target.id: statement.value
        for statement in definition.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name)
    }
    match values.get("presets"):
        case ast.Dict(keys):
            presets = tuple(str(key.value) for key in keys if isinstance(key, ast.Constant))
        case _:
            presets = ()
    match values.get("title"):
        case ast.Constant(str(title)):
            pass
        case _:
            title = (ast.get_docstring(definition) or "").partition("\n")[0]
    return Entry(point.name, presets, title)


def _definition(point: EntryPoint) -> ast.ClassDef | None:
    """The class as its source file defines it, or None where there is no such file or class."""
    path = _source(point.module)
    try:
        tree = None if path is None else ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    statements = [] if tree is None else tree.body
    return next((node for node in statements if isinstance(node, ast.ClassDef) and node.name == point.attr), None)


def _source(module: str) -> Path | None:
    """The source file of a module; neither it nor a package above it is imported."""
    top, *parts = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # of a name that no module can have, or a module without a specification
        return None
    if spec is None:
        return None
    if not parts:
        return None if spec.origin is None else Path(spec.origin)
    folders = (Path(folder).joinpath(*parts) for folder in spec.submodule_search_locations or ())
    files = (file for folder in folders for file in (folder.with_suffix(".py"), folder / "__init__.py"))
    return next((file for file in files if file.is_file()), None)
