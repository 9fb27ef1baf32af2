"""Files that somebody has made up, in order but for one value, and with every digest that belongs to them.

A digest is no help here, and need not be: what counts is that a reader comes to a result or to an error of untrain's,
and that no name in the file is imported, whatever it names. The module of that name lies where Python would find it; a
finder before all others notes who asks for it.
"""

import copy
import importlib
import importlib.machinery
import json
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reliability.children import each, verdict
from reliability.paths import sealed
from reliability.pickles import Call, wrapped
from reliability.readers import READERS, lay_out
from reliability.rows import Row, Scale, counted
from untrain.core.files import Arrays, read_arrays, toml_text, write_arrays
from untrain.models import import_factory
from untrain.records.record import canonical

NAME = "canary_of_data"
_NAMES = (f"{NAME}:build", f"{NAME}.build", NAME)
_DEEP: Any = "x"
for _ in range(200):
    _DEEP = [_DEEP]
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 2**70, 1e308, -0.0, "", "x" * 100_000, "\x00\x1b[2J\u202e\ud800", "é", [], {}, [None], {"": None},
    {"a": {"b": {"c": 1}}}, [[]], _DEEP, "1", "nan", "0" * 64, [1, "a", None], {"__class__": "os.system"},
)  # fmt: skip
"""Values that stand where another is expected."""


@dataclass(frozen=True)
class Forgery:
    """A made-up file.

    Attributes:
        reader: that reads it, by its name among `READERS`.
        what: is odd.
        write: puts it at a path.
    """

    reader: str
    what: str
    write: Callable[[Path], object]


def forged(scale: Scale, folder: Path, inputs: Path) -> Iterator[Row]:
    """Read made-up files."""
    home = folder / "home"
    lay_out(home, inputs)
    cases = [
        Forgery(reader, f"{'.'.join(where)} is {value!a:.40}", write)
        for reader, where, value, write in _changed(inputs, ODD, every=True)
    ]
    cases += list(_populations(inputs))
    yield _made_up(cases if not scale.short else cases[:: len(cases) // 250], home)
    yield from names(scale, folder, inputs)


def _made_up(cases: Sequence[Forgery], home: Path) -> Row:
    found = each(cases, lambda case: _attempt(case, home), limit=20)
    other = [
        (one, f"{case.reader}: {case.what}")
        for case, one in zip(cases, found, strict=True)
        if one not in ("accepted", "refused")
    ]
    return Row(
        "made-up records, signatures, keys, results, settings and populations, one value odd, all digests right",
        len(cases),
        f"crashes, hangs and other exceptions {len(other)}; refused {found.count('refused'):,}, taken "
        f"{found.count('accepted'):,}",
        "0",
        not other,
        findings=counted(other, 30),
    )


def _attempt(case: Forgery, home: Path) -> str:
    path, read = READERS[case.reader](home)
    kept = path.read_bytes() if path.exists() else None
    try:
        case.write(path)
        return verdict(read)
    finally:
        path.unlink(missing_ok=True)
        if kept is not None:
            path.write_bytes(kept)


def _leaves(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 (plain values)
    """Every place in plain values, lists and dictionaries among them; of a list the first item alone."""
    yield where
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*where, key))
    if isinstance(value, list) and value:
        yield from _leaves(value[0], (*where, "0"))


def _put(plain: Any, where: tuple[str, ...], value: Any) -> Any:  # noqa: ANN401 (plain values)
    changed = copy.deepcopy(plain)
    at = changed
    for key in where[:-1]:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[int(where[-1]) if isinstance(at, list) else where[-1]] = value
    return changed


Change = tuple[str, tuple[str, ...], Any, Callable[[Path], object]]


def _changed(inputs: Path, values: Sequence[Any], *, every: bool) -> Iterator[Change]:
    """Every file of plain values with each of `values` at each of its places, or where a text stands."""
    record = json.loads((inputs / "request" / "record.json").read_bytes())
    del record["sha256"]
    envelope = json.loads((inputs / "older-sign" / "record.dsse.json").read_bytes())
    results = json.loads((inputs / "finished" / "results.json").read_bytes())
    mislabel = json.loads((inputs / "finished-mislabel" / "results.json").read_bytes())
    experiment = msgspec.toml.decode((inputs / "experiment.toml").read_bytes())
    recipe = msgspec.toml.decode((inputs / "recipe.toml").read_bytes())
    key = json.loads((inputs / "request.key").read_bytes())

    def plain_json(value: Any) -> bytes:  # noqa: ANN401 (plain values)
        return json.dumps(value).encode()

    def toml(value: Any) -> bytes:  # noqa: ANN401 (plain values)
        return toml_text(value).encode("utf-8", "replace")

    files: tuple[tuple[tuple[str, ...], Any, Callable[[Any], bytes]], ...] = (
        (("verify, record", "record"), record, sealed), (("verify, signature",), envelope, canonical), (("key",), key, canonical),
        (("results", "report"), results, plain_json), (("report",), mislabel, plain_json), (("experiment",), experiment, toml),
        (("recipe",), recipe, toml),
    )  # fmt: skip
    place = 0
    for readers, base, encode in files:
        for where in _leaves(base):
            at = base
            for part in where:
                at = at[int(part)] if isinstance(at, list) else at[part]
            place += 1
            for number, value in enumerate(values if where and (every or isinstance(at, str)) else ()):
                for reader in readers:
                    # A report takes half a second, so each place gets a few values, and others than the one before.
                    few = where[0] != "configuration" and (number + place) % (12 if every else 3) == 0
                    # TOML has no word for nothing.
                    if (few or reader != "report") and not (encode is toml and "None" in repr(value)):
                        yield reader, where, value, _writer(base, where, value, encode)


def _writer(base: Any, where: tuple[str, ...], value: Any, encode: Callable[[Any], bytes]) -> Callable[[Path], object]:  # noqa: ANN401
    return lambda path: path.write_bytes(encode(_put(base, where, value)))


def _populations(inputs: Path) -> Iterator[Forgery]:
    """Populations whose texts are odd, or whose arrays are of other types."""
    arrays, metadata = read_arrays(inputs / "population.safetensors")
    odd = (
        "",
        "null",
        "[]",
        "{}",
        "[0, 0]",
        "[-1]",
        "[1e9]",
        '["a"]',
        "1",
        "NaN",
        "[" * 3000,
        "\x00",
        '"x"',
        "[null]",
        "[1.5]",
        "9" * 5000,
    )

    for name in metadata:
        yield Forgery(
            "population", f"no {name}", _stored(arrays, {key: text for key, text in metadata.items() if key != name})
        )
        for text in odd:
            yield Forgery("population", f"{name} is {text[:20]!a}", _stored(arrays, {**metadata, name: text}))
    for kind in ("float16", "float64", "int8", "uint8", "int64", "bool", "uint16", "uint32", "complex64"):
        changed = {name: array.astype(kind) for name, array in arrays.items()}
        yield Forgery("population", f"arrays of {kind}", _stored(changed, metadata))
        yield Forgery("weights", f"arrays of {kind}", _stored({name: array[0] for name, array in changed.items()}, {}))
    for number in (np.nan, np.inf, 1e38):
        changed = {name: np.full_like(array, number) for name, array in arrays.items()}
        yield Forgery("population", f"arrays of {number}", _stored(changed, metadata))
    yield Forgery("population", "no arrays", _stored({}, metadata))
    yield Forgery("arrays", "no arrays", _stored({}, {}))


class _Finder(importlib.machinery.PathFinder):
    """Notes who asks for the module of the name."""

    asked: list[str] = []  # noqa: RUF012 (of the process)

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:  # noqa: ANN401 (as Python calls it)
        if fullname.partition(".")[0] == NAME:
            cls.asked.append(fullname)
        return None


def names(scale: Scale, folder: Path, inputs: Path) -> Iterator[Row]:
    """Read files that name a module."""
    home = folder / "named"
    lay_out(home, inputs)
    (folder / "modules").mkdir()
    (folder / "modules" / f"{NAME}.py").write_text(
        "from torch import nn\ndef build(*_, **__): return nn.Linear(5, 3)\n"
    )
    cases = [
        Forgery(reader, f"{'.'.join(where)} is {value}", write)
        for reader, where, value, write in _changed(inputs, _NAMES, every=False)
    ]
    cases += [*_named_weights(inputs), *_named_tables(inputs), *_named_pickles()]

    def begin() -> None:
        sys.path.insert(0, str(folder / "modules"))
        sys.meta_path.insert(0, _Finder)

    def attempt(case: Forgery) -> str:
        _Finder.asked.clear()
        found = _attempt(case, home)
        return f"imported: {_Finder.asked[0]}" if _Finder.asked or NAME in sys.modules else found

    if scale.short:
        cases = cases[:: max(1, len(cases) // 150)]
    found = each(cases, attempt, begin=begin, limit=20)

    def typed(path: str) -> bool:
        import_factory(path)
        return bool(_Finder.asked)

    control = each([f"{NAME}:build"], typed, begin=begin)
    imported, other = (
        [(one, f"{case.reader}: {case.what}") for case, one in zip(cases, found, strict=True) if one.startswith(kinds)]
        for kinds in ("imported", ("other", "crash", "hang"))
    )
    yield Row(
        "names of a module in records, results, settings, weights, tables and pickles",
        len(cases),
        f"imported {len(imported)}, crashes and other exceptions {len(other)}",
        "0, 0",
        not imported and not other and control == [True],
        "typed after `--model` it is imported, as it should be",
        counted([*imported, *other]),
    )


def _named_weights(inputs: Path) -> Iterator[Forgery]:
    arrays, metadata = read_arrays(inputs / "population.safetensors")
    for reader in ("weights", "arrays", "population"):
        for name in _NAMES:
            for key in (*metadata, "class", "architecture", "_target_", "auto_map"):
                yield Forgery(reader, f"{key} is {name}", _stored(arrays, {**metadata, key: name}))
            yield Forgery(reader, f"an array is {name}", _stored({**arrays, name: np.zeros(1)}, metadata))


def _stored(arrays: Arrays, texts: dict[str, str]) -> Callable[[Path], object]:
    return lambda path: write_arrays(path, arrays, texts)


def _named_tables(inputs: Path) -> Iterator[Forgery]:
    table = pq.read_table(inputs / "train.parquet")
    payload = wrapped_name()

    def writer(changed: Any) -> Callable[[Path], object]:  # noqa: ANN401 (pyarrow has no types)
        return lambda path: pq.write_table(changed, path)

    for name in _NAMES:
        for column in ("id", "label"):
            place = table.column_names.index(column)
            cells = pa.array([f"{name}{row % 3}" if column == "label" else f"{name}{row}" for row in range(90)])
            yield Forgery("table", f"{column}s are {name}", writer(table.set_column(place, column, cells)))
        yield Forgery("table", f"a column is {name}", writer(table.append_column(name, table["x0"])))
        pandas = json.dumps(
            {
                "pandas_version": "2",
                "columns": [{"name": "x0", "numpy_type": name, "pandas_type": name, "metadata": None}],
                "index_columns": [name],
                "column_indexes": [],
            }
        )
        yield Forgery(
            "table", f"metadata name {name}", writer(table.replace_schema_metadata({"pandas": pandas, "class": name}))
        )
        for extension in ("arrow.py_extension_type", name):
            fields = [
                field.with_metadata({"ARROW:extension:name": extension, "ARROW:extension:metadata": payload})
                if field.name == "x0"
                else field
                for field in table.schema
            ]
            yield Forgery("table", f"an extension type {extension} of {name}", writer(table.cast(pa.schema(fields))))


def wrapped_name() -> bytes:
    """A pickle that imports the module, whichever reads it."""
    return f"c{NAME}\nbuild\n(tR.".encode()


def _named_pickles() -> Iterator[Forgery]:
    pickles = {
        "GLOBAL": wrapped_name(), "STACK_GLOBAL": b"\x80\x04\x8c\x0ecanary_of_data\x8c\x05build\x93)R.",
        "import_module": pickle.dumps(Call(importlib.import_module, (NAME,))),
    }  # fmt: skip
    for name, payload in pickles.items():
        for wrapping in wrapped(b"", Path()):
            for reader in ("convert", "weights"):
                yield Forgery(reader, f"{name}, {wrapping}", partial(_wrap, payload, wrapping))


def _wrap(payload: bytes, wrapping: str, path: Path) -> None:
    wrapped(payload, path)[wrapping]()
