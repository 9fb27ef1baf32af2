"""Everything of untrain's that reads a file, by name, as a function of a folder in which such files lie."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from untrain.cli.inputs import read_recipe
from untrain.core.files import read_arrays
from untrain.data import load, read_ids
from untrain.detection import has_answers
from untrain.experiments import read_experiment
from untrain.models import MLP, factory
from untrain.models.convert import convert
from untrain.models.weights import load_weights
from untrain.population import Population
from untrain.records import read_key, read_record, verify
from untrain.records.dsse import read_public_key
from untrain.report import read_results, write_report

Reader = Callable[[Path], tuple[Path, Callable[[], Any]]]
"""From a folder that `lay_out` made to the file that is read, and what reads it."""

build = factory(MLP(), (5,), 3)


def lay_out(home: Path, inputs: Path) -> None:
    """Make a folder with what the readers read."""
    shutil.copytree(inputs, home)
    (home / "pictures" / "class").mkdir(parents=True)


def _reader(name: str, read: Callable[[Path], Any]) -> Reader:
    return lambda home: (home / name, lambda: read(home / name))


def _convert(path: Path) -> None:
    target = path.with_suffix(".safetensors")
    target.unlink(missing_ok=True)
    convert(path, target)


READERS: dict[str, Reader] = {
    "convert": _reader("other.pt", _convert),
    "weights": _reader("other.safetensors", lambda path: load_weights(build(), path)),
    "arrays": _reader("other.safetensors", read_arrays),
    "population": _reader("other.safetensors", lambda path: Population.load(path, build)),
    "verify, model": _reader("request/model.safetensors", lambda path: verify(path.parent).insist()),
    "verify, record": _reader("request/record.json", lambda path: verify(path.parent).insist()),
    "verify, signature": _reader("request/record.dsse.json", lambda path: verify(path.parent).insist()),
    "record": _reader("request/record.json", read_record),
    "key": _reader("request/request.key", read_key),
    "public key": _reader("public.pem", read_public_key),
    "results": _reader("finished/results.json", lambda path: read_results(path.parent)),
    "report": _reader("finished/results.json", lambda path: write_report(path.parent)),
    "experiment": _reader("experiment.toml", lambda path: read_experiment(str(path)).resolved()),
    "recipe": _reader("recipe.toml", read_recipe),
    "table": _reader("train.parquet", lambda path: load(str(path))),
    "picture": _reader("pictures/class/a.png", lambda path: load(str(path.parent.parent))),
    "review": _reader("suspects.csv", has_answers),
    "ids": _reader("ids.txt", read_ids),
}
