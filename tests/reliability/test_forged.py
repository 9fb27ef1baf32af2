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
import pytest

from tests.records.test_record import resealed
from tests.reliability.children import each, verdict
from tests.reliability.conftest import Report
from tests.reliability.payloads import WRAPPINGS, Call, wrapped
from tests.reliability.readers import READERS, lay_out
from untrain.core.files import Arrays, read_arrays, toml_text, write_arrays
from untrain.models import import_factory
from untrain.records.serialization import canonical

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


_FORGED = ("verify, record", "record", "verify, signature", "key", "results", "report", "experiment", "recipe", "population", "weights", "arrays")  # fmt: skip


@pytest.mark.parametrize("reader", _FORGED)
def test_a_made_up_file_is_taken_or_refused(
    reader: str, full: bool, tmp_path: Path, inputs: Path, report: Report
) -> None:
    home = tmp_path / "home"
    lay_out(home, inputs)
    cases = [*_changed(inputs, ODD, every=True), *_populations(inputs)]
    cases = [case for case in cases if case.reader == reader]
    if not full:
        cases = cases[:: max(1, len(cases) // 25)]
    assert cases
    endings = each(cases, lambda case: _attempt(case, home), limit=20)
    other = [
        (ending, f"{case.reader}: {case.what}")
        for case, ending in zip(cases, endings, strict=True)
        if ending not in ("accepted", "refused")
    ]
    report(
        "made-up records, signatures, keys, results, settings and populations, one value odd, all digests right",
        len(cases),
        {"crashes, hangs and other exceptions": other},
        {"refused": endings.count("refused"), "taken": endings.count("accepted")},
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


def _leaves(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place in plain values, lists and dictionaries among them; of a list the first item alone."""
    yield where
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*where, key))
    if isinstance(value, list) and value:
        yield from _leaves(value[0], (*where, "0"))


def _put(plain: Any, where: tuple[str, ...], value: Any) -> Any:
    changed = copy.deepcopy(plain)
    at = changed
    for key in where[:-1]:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[int(where[-1]) if isinstance(at, list) else where[-1]] = value
    return changed


def _changed(inputs: Path, values: Sequence[Any], *, every: bool) -> Iterator[Forgery]:
    """Every file of plain values with each of `values` at each of its places, or where a text stands."""
    record = json.loads((inputs / "request" / "record.json").read_bytes())
    envelope = json.loads((inputs / "older-sign" / "record.dsse.json").read_bytes())
    results = json.loads((inputs / "finished" / "results.json").read_bytes())
    mislabel = json.loads((inputs / "finished-mislabel" / "results.json").read_bytes())
    experiment = msgspec.toml.decode((inputs / "experiment.toml").read_bytes())
    recipe = msgspec.toml.decode((inputs / "recipe.toml").read_bytes())
    key = json.loads((inputs / "request.key").read_bytes())

    def plain_json(value: Any) -> bytes:
        return json.dumps(value).encode()

    def toml(value: Any) -> bytes:
        return toml_text(value).encode("utf-8", "replace")

    files: tuple[tuple[tuple[str, ...], Any, Callable[[Any], bytes]], ...] = (
        (("verify, record", "record"), record, resealed), (("verify, signature",), envelope, canonical), (("key",), key, canonical),
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
                        yield Forgery(
                            reader, f"{'.'.join(where)} is {value!a:.40}", _writer(base, where, value, encode)
                        )


def _writer(base: Any, where: tuple[str, ...], value: Any, encode: Callable[[Any], bytes]) -> Callable[[Path], object]:
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
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.partition(".")[0] == NAME:
            cls.asked.append(fullname)
        return None


_NAMED: dict[str, Callable[[Path], Iterator[Forgery]]] = {
    "records, results and settings": lambda inputs: _changed(inputs, _NAMES, every=False),
    "weights": lambda inputs: _named_weights(inputs),
    "tables": lambda inputs: _named_tables(inputs),
    "pickles": lambda inputs: _named_pickles(),
}


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """Where the module lies that files name."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / f"{NAME}.py").write_text("from torch import nn\ndef build(*_, **__): return nn.Linear(5, 3)\n")
    return folder


def _listen(modules: Path) -> None:
    sys.path.insert(0, str(modules))
    sys.meta_path.insert(0, _Finder)


@pytest.mark.parametrize("place", _NAMED)
def test_no_name_in_a_file_is_imported(
    place: str, full: bool, tmp_path: Path, inputs: Path, modules: Path, report: Report
) -> None:
    home = tmp_path / "home"
    lay_out(home, inputs)
    cases = list(_NAMED[place](inputs))
    if not full:
        cases = cases[:: max(1, len(cases) // 40)]
    assert cases

    def attempt(case: Forgery) -> str:
        _Finder.asked.clear()
        ending = _attempt(case, home)
        return f"imported: {_Finder.asked[0]}" if _Finder.asked or NAME in sys.modules else ending

    endings = each(cases, attempt, begin=lambda: _listen(modules), limit=20)
    findings = [(ending, f"{case.reader}: {case.what}") for case, ending in zip(cases, endings, strict=True)]
    report(
        "names of a module in records, results, settings, weights, tables and pickles "
        "(typed after `--model` it is imported, as it should be)",
        len(cases),
        {
            "imported": [finding for finding in findings if finding[0].startswith("imported")],
            "crashes and other exceptions": [
                finding for finding in findings if finding[0].startswith(("other", "crash", "hang"))
            ],
        },
    )


def test_a_name_that_is_typed_is_imported(modules: Path) -> None:
    def typed(path: str) -> bool:
        import_factory(path)
        return bool(_Finder.asked)

    assert each([f"{NAME}:build"], typed, begin=lambda: _listen(modules)) == [True]


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

    def writer(changed: Any) -> Callable[[Path], object]:
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
        for wrapping in WRAPPINGS:
            for reader in ("convert", "weights"):
                yield Forgery(reader, f"{name}, {wrapping}", partial(_wrap, payload, wrapping))


def _wrap(payload: bytes, wrapping: str, path: Path) -> None:
    wrapped(payload, path)[wrapping]()
