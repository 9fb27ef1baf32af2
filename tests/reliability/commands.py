"""The commands that write something, each with inputs so small that it takes a fraction of a second."""

import contextlib
import importlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tests.reliability.children import Counter, Ended, run, settle
from tests.reliability.steps import Fault, Steps, go_on
from untrain.cli.main import main
from untrain.core.files import read_arrays
from untrain.data import load
from untrain.detection import has_answers
from untrain.errors import UntrainError
from untrain.models import MLP, factory
from untrain.models.weights import write_weights
from untrain.population import Engine, Population, Recipe
from untrain.records import read_record, verify
from untrain.records.commitment import write_key
from untrain.records.dsse import parse_envelope
from untrain.report import read_results
from untrain.report.html import render

EXPERIMENT = """name = "tiny"
title = "Almost nothing"
methods = ["finetune"]
forget = [0.1]
models = 2
chunk = 1
data = {{ source = "{table}" }}
model = {{ name = "mlp", widths = [4] }}
recipe = {{ epochs = 1, batch_size = 32, optimizer = {{ name = "sgd", lr = 0.1 }} }}
engine = {{ width = 1 }}
"""
MISLABEL = """kind = "mislabel"
name = "tiny-mislabel"
title = "Almost nothing"
scorers = ["loss"]
told = ["loss"]
methods = ["finetune"]
seeds = 2
shown = 0.2
noise = [{{ ratios = [0.1, 0.2] }}]
data = {{ source = "{table}", test = 0.25 }}
model = {{ name = "mlp", widths = [4] }}
recipe = {{ epochs = 1, batch_size = 32, optimizer = {{ name = "sgd", lr = 0.1 }} }}
"""
RECIPE = """epochs = 20
batch_size = 16
optimizer = { name = "sgd", lr = 0.1, momentum = 0.9 }
"""
_CLOCKS = {"seconds_per_model", "speedup", "same_cost_score", "same_cost_test_accuracy", "seconds", "spread"}


@dataclass(frozen=True)
class Verb:
    """A command that writes to the folder `out` beside the inputs.

    Attributes:
        name: of the command, with what it is used for.
        arguments: in words; `IN` stands for the folder of the inputs.
        last: the file below `out` that is written last; where it is, all is. Or empty, if each file is for itself.
        older: folder among the inputs with what the command replaces, as it stands in `out` before; or None.
        repeatable: whether the command does its work again where it is done already; else it refuses.
    """

    name: str
    arguments: str
    last: str
    older: str | None = None
    repeatable: bool = True

    def __str__(self) -> str:
        return self.name

    def prepare(self, inputs: Path, folder: Path) -> None:
        """Make the folder in which the command runs."""
        folder.mkdir(parents=True)
        if self.older:
            shutil.copytree(inputs / self.older, folder / "out")

    def words(self, inputs: Path) -> list[str]:
        """What would be typed, with everything in full."""
        return [
            word.replace("IN", str(inputs), 1) if word.startswith("IN/") else word for word in self.arguments.split()
        ]


_DATA = "--data IN/train.parquet --model mlp"
_KNOWN = "--weights IN/model.safetensors"
_LOOK = f"{_DATA} {_KNOWN} --scorer loss --out out"
_FORGET = f"forget {_DATA} --validation IN/val.parquet --method finetune --seed 0 --out out"
_AUDIT = "--validation IN/val.parquet --recipe IN/recipe.toml --method finetune --models 8 --seed 0"
VERBS = (
    Verb("detect", f"detect {_LOOK} --noise-ratio 0.1", "suspects.json", "older-detect"),
    Verb("repair", f"repair {_LOOK} --method finetune --noise-ratio 0.1", "repair.json", "older-repair"),
    Verb(
        "forget", f"{_FORGET} {_KNOWN} --key IN/request.key --forget IN/ids.txt", "record.json", repeatable=False,
    ),
    Verb(
        "forget, second request", f"{_FORGET} --previous IN/request --forget IN/more.txt", "record.json",
        repeatable=False,
    ),
    Verb("audit", f"audit {_DATA} {_KNOWN} {_AUDIT} --forget IN/ids.txt --keep out", ""),
    Verb("convert", "convert IN/model.pt out/model.safetensors", "model.safetensors", repeatable=False),
    Verb("sign", "sign out --key IN/private.pem", "record.dsse.json", "older-sign"),
    Verb("synthesize", "synthesize surf out --persons 10 --photographs 1", "Age_Gender.txt", repeatable=False),
    Verb("run, comparison", "run IN/experiment.toml --workers 1 --out out", "report.html"),
    Verb("run, wrong labels", "run IN/mislabel.toml --workers 1 --out out", "report.html"),
    Verb("report", "report out", "report.html", "older-report"),
)  # fmt: skip
_MADE = (
    ("request", f"{_FORGET} {_KNOWN} --key IN/request.key --forget IN/ids.txt", None),
    ("finished", "run IN/experiment.toml --workers 1 --out out", None),
    ("finished-mislabel", "run IN/mislabel.toml --workers 1 --out out", None),
    ("older-detect", f"detect {_LOOK} --noise-ratio 0.2", None),
    ("older-repair", f"repair {_LOOK} --method finetune --noise-ratio 0.2", None),
    ("older-sign", "sign out --key IN/other.pem", "request"),
)
"""What is made by commands before: the folder, the command, and what it begins with."""


def verb_of(name: str) -> Verb:
    """The verb of this name."""
    return next(verb for verb in VERBS if verb.name == name)


def make_inputs(folder: Path) -> Path:
    """Make all inputs of the verbs in a child, and import here what was imported there."""
    folder.mkdir(parents=True)
    ended = run(lambda: _make_inputs(folder))
    assert ended.code == 0, ended.err
    for name in ended.answer:
        # Some parts of libraries cannot be imported but by these.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    settle()
    return folder


def _make_inputs(folder: Path) -> list[str]:
    before = set(sys.modules)
    _tables(folder)
    _models(folder)
    for target, words, older in _MADE:
        verb, home = Verb(target, words, "", older), folder / "made" / target
        verb.prepare(folder, home)
        os.chdir(home)
        with contextlib.suppress(SystemExit):
            main(verb.words(folder))
        (home / "out").rename(folder / target)
    shutil.copytree(folder / "finished", folder / "older-report")
    (folder / "older-report" / "report.html").write_text("<!doctype html>\nAn older one.\n</html>\n")
    return [name for name in sys.modules if name not in before]


def _tables(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for name, count in (("train", 90), ("val", 45)):
        labels = np.arange(count) % 3
        values = generator.normal(size=(count, 5)) + 2 * labels[:, None]
        columns = {f"x{number}": column for number, column in enumerate(values.T)}
        named = {"id": [f"{name}-{row:03d}" for row in range(count)], "label": [f"class {n}" for n in labels]}
        pq.write_table(pa.table({**named, **columns}), folder / f"{name}.parquet")
    (folder / "ids.txt").write_text("\n".join(f"train-{row:03d}" for row in range(12)))
    (folder / "more.txt").write_text("\n".join(f"train-{row:03d}" for row in range(12, 20)))
    (folder / "recipe.toml").write_text(RECIPE)
    for name, text in (("experiment", EXPERIMENT), ("mislabel", MISLABEL)):
        (folder / f"{name}.toml").write_text(text.format(table=folder / "train.parquet"))


def _models(folder: Path) -> None:
    # Here, so that a machine without the extra `sign` can collect the tests and skip them.
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    recipe = msgspec.toml.decode(RECIPE, type=Recipe)
    models = Population.create(factory(MLP(), (5,), 3), 1, engine=Engine())
    module = models.train(load(str(folder / "train.parquet")), recipe).module()
    models.save(folder / "population.safetensors")
    write_weights(folder / "model.safetensors", module, {})
    torch.save(module.state_dict(), folder / "model.pt")
    write_key(folder / "request.key", bytes(range(32)))
    for name, seed in (("private", bytes(range(32))), ("other", bytes(32))):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        (folder / f"{name}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "public.pem").write_bytes(public)


def command(
    verb: Verb,
    inputs: Path,
    folder: Path,
    fault: Fault = go_on,
    reached: Counter | None = None,
    kill_after: float | None = None,
) -> Ended:
    """Run a command in a folder, which is made if it is not there, perhaps with something that goes wrong.

    Returns:
        How it ended; its answer names the steps that it made, where it came to an end without an error.
    """
    if not folder.exists():
        verb.prepare(inputs, folder)

    def work() -> list[str]:
        os.chdir(folder)
        steps = Steps(folder, fault, reached)
        steps.install()
        try:
            main(verb.words(inputs))
        except SystemExit as stop:
            if stop.code:
                raise
        return steps.names

    return run(work, kill_after=kill_after)


def visible(out: Path) -> list[Path]:
    """Files that are there, without what is hidden."""
    return sorted(
        path
        for path in out.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(out).parts)
    )


def leftovers(out: Path) -> list[str]:
    """Names of temporary files."""
    return [re.sub(r"[0-9a-f]+\.tmp", "TOKEN.tmp", path.name) for path in out.rglob("*.tmp")]


def content(path: Path) -> Any:
    """What a file holds, without what a clock says, read as untrain reads it.

    Raises:
        UntrainError, ValueError, OSError: it is not whole.
    """
    name, data = path.name, path.read_bytes()
    if name.endswith("record.json"):
        plain = msgspec.to_builtins(read_record(path))
        # The page tells the time, so its digest does, too.
        files = {name: file for name, file in (plain.get("files") or {}).items() if name != "report.html"}
        applied = {**plain["applied"], "seconds": 0}
        return {**plain, "created": "", "applied": applied, "previous": None, "files": files}
    if name == "results.json":
        results = msgspec.to_builtins(read_results(path.parent))
        rows = [{key: value for key, value in row.items() if key not in _CLOCKS} for row in results["rows"]]
        return {**results, "rows": rows}
    if path.suffix == ".safetensors" and (
        path.parent.parent.name in ("populations", "noise") or path.parent.name == "scores"
    ):
        return _untimed(path)
    if name == "record.dsse.json":
        parse_envelope(data, path)
    elif path.suffix == ".json":
        msgspec.json.decode(data)
    elif name == "suspects.csv":
        has_answers(path)
    elif path.suffix == ".html":
        if not (data.startswith(b"<!doctype html>") and data.rstrip().endswith(b"</html>")):
            raise ValueError("half a page")
        # Figures and words tell seconds.
        return b"older" in data if b"An older one" in data else None
    return data


def _untimed(path: Path) -> Any:
    """A piece of a run without seconds: an array of them, or the last figure of a detection or a forgetting."""
    arrays, metadata = read_arrays(path)
    timed = ("detection/", "forgetting/")
    untimed = {
        name: array.tolist()[: -1 if name.startswith(timed) else None]
        for name, array in sorted(arrays.items())
        if "seconds" not in name
    }
    if "scores" in metadata:
        metadata = {**metadata, "scores": re.sub(r'"seconds":[^,}]+', "", metadata["scores"])}
    # As a text, in which one NaN is like another.
    return metadata, repr(untimed)


def problems(verb: Verb, out: Path, expected: Path, older: Path | None) -> list[str]:
    """What is wrong with the files that are there.

    Args:
        verb: that wrote them.
        out: where they are.
        expected: what it writes when it is not disturbed.
        older: what was there before.
    """
    found = []
    for path in visible(out):
        name = path.relative_to(out)
        others = [home / name for home in (expected, older) if home is not None and (home / name).is_file()]
        try:
            if content(path) not in [content(other) for other in others]:
                found.append(f"{name} is neither the old nor the new one" if others else f"{name} should not be there")
        except (UntrainError, ValueError, OSError) as error:
            found.append(f"{name} is not whole: {error}")
    if older is None and verb.last and is_accepted(verb, out) != is_complete(out, expected):
        found.append(f"{'not ' * is_complete(out, expected)}accepted as whole")
    return found


def is_complete(out: Path, expected: Path) -> bool:
    """Whether every file is there."""
    return all((out / path.relative_to(expected)).is_file() for path in visible(expected))


def is_accepted(verb: Verb, out: Path) -> bool:
    """Whether untrain takes what is there for the whole result."""
    try:
        if verb.name.startswith("forget"):
            return verify(out).ok
        if verb.name == "synthesize":
            return len(load(str(out))) == 10
        if verb.name.startswith("run"):
            page = out / "report.html"
            return page.is_file() and page.read_text(encoding="utf-8") == render(read_results(out))
    except UntrainError:
        return False
    return (out / verb.last).is_file()
