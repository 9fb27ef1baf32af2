"""Texts from data that would steer a terminal, as commands come across them.

Nothing may arrive that moves the cursor, changes colors or titles, rings, or turns the direction of writing; a line
break is all that is allowed. Commands print to a file here, which is what `| less` and the log of a job are.
"""

import json
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from PIL import Image

from tests.records.test_record import resealed
from tests.reliability.children import Ended, run
from tests.reliability.conftest import Report
from untrain.cli.main import main
from untrain.records.serialization import parse_canonical

STEERING = "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\x\x9b31m\x9d\u202etxt.exe\u2066\u200f\u2028\r\b\x7f\x85\x00\n\x1b[1A"
_NAME = STEERING.replace("\0", "").replace("/", "")
"""The same as the name of a file."""
_QUOTED = json.dumps(STEERING).replace("\\u007f", "\x7f")
"""The same as TOML has it."""
_DIRECTION = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "L", "R", "AL"}
Build = Callable[[Path], None]


@dataclass(frozen=True)
class Printing:
    """A hostile text in one place, and a command that comes across it.

    Attributes:
        name: of the place.
        words: of the command; `IN` stands for the folder of the inputs, `STEER` for the text.
        build: lays the text in a new folder.
    """

    name: str
    words: str
    build: Build = lambda home: None


def _printed(attack: Printing, home: Path, inputs: Path) -> Ended:
    home.mkdir()
    typed = _NAME.replace("\n", "")

    def work() -> None:
        os.chdir(home)
        attack.build(home)
        main([word.replace("IN/", f"{inputs}/").replace("STEER", typed) for word in attack.words.split()])

    return run(work)


def _problems(ended: Ended) -> Iterator[str]:
    for where, text in (("output", ended.out), ("errors", ended.err)):
        steering = [line for line in text.split("\n") if steers(line)]
        if steering:
            yield f"{where}: {steering[0].encode('unicode_escape').decode()[:110]}"
        if "Traceback" in text:
            yield f"traceback: {text.splitlines()[-1][:110]}"
    if ended.code not in (0, 2, 3, 5):
        yield f"exit code {ended.code}"
    if not ended.out + ended.err:
        yield "nothing was printed"


def steers(line: str) -> bool:
    """Whether a line has a character that a terminal does not just show."""
    return any(
        unicodedata.category(letter) in ("Cc", "Zl", "Zp")
        or (unicodedata.category(letter) == "Cf" and unicodedata.bidirectional(letter) in _DIRECTION)
        for letter in line
    )


_LOOK = "--model mlp --scorer loss --noise-ratio 0.1 --weights IN/model.safetensors --out out"
_REQUEST = "forget --data IN/train.parquet --model mlp --weights IN/model.safetensors --method finetune --out out"


def _file(name: str, content: str | bytes) -> Build:
    data = content.encode() if isinstance(content, str) else content

    def build(home: Path) -> None:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)

    return build


def _all(*builds: Build) -> Build:
    def build(home: Path) -> None:
        for one in builds:
            one(home)

    return build


def _tables(inputs: Path) -> Iterator[Printing]:
    def table(**columns: Any) -> Build:
        def build(home: Path) -> None:
            values = pq.read_table(inputs / "train.parquet").to_pydict()
            pq.write_table(pa.table({**values, **columns}), home / "data.parquet")

        return build

    look = f"detect --data data.parquet {_LOOK}"
    ids = [f"{STEERING}{row}" for row in range(90)]
    labels = [f"{STEERING}{row % 3}" for row in range(90)]
    column = {STEERING: ids}
    yield Printing("ids of suspects", look, table(id=ids))
    yield Printing("classes of suspects", look, table(label=labels))
    yield Printing("suspects as JSON", f"{look} --json", table(id=ids, label=labels))
    yield Printing("ids twice", look, table(id=[STEERING] * 90))
    yield Printing("ids of inputs that are not finite", look, table(id=ids, x0=[float("nan")] * 90))
    yield Printing("a class with one example", look, table(label=[STEERING, *["a"] * 89]))
    yield Printing("labels that are no class", look, table(label=[0.5] * 90, id=ids))
    yield Printing("a column of texts", look, table(**column))
    yield Printing("columns where the label is missing", f"{look} --label no", table(**column))
    yield Printing("a picture that is none", look, table(id=ids, x=[b"x"] * 90))


def _folders(_: Path) -> Iterator[Printing]:
    def picture(name: str, width: int = 8) -> Build:
        def build(home: Path) -> None:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (width, 8), len(name)).save(home / name)

        return build

    def link(home: Path) -> None:
        (home / "data" / "a" / f"{_NAME}.png").symlink_to("/etc/passwd")

    look = "detect --data data --scorer neighbours --out out"
    good = _all(*(picture(f"data/{where}/{row}.png") for where in ("a", _NAME) for row in range(6)))
    named = _all(*(picture(f"data/{where}/{_NAME}{row}.png") for where in "ab" for row in range(6)))
    yield Printing("folders of pictures", look, good)
    yield Printing("names of pictures", look, named)
    yield Printing("the name of a damaged picture", look, _all(good, _file(f"data/a/{_NAME}.png", "x")))
    yield Printing("a picture of another size", look, _all(good, picture(f"data/a/z{_NAME}.png", 9)))
    yield Printing("a link that leads out", look, _all(good, link))
    yield Printing("ages", look, _file("data/Age_Gender.txt", f"a {STEERING} b\n"))
    photograph = _file(f"data/WBackground/{_NAME}/real.rssdk/color/1.jpg", "x")
    yield Printing("a person without an age", look, _all(_file("data/Age_Gender.txt", "a 20 M\n"), photograph))
    yield Printing("the folder of the data", "detect --data STEER --out out")
    out = _LOOK.replace("--out out", "--out STEER")
    yield Printing("the folder of the results", f"detect --data IN/train.parquet {out}")


def _requests(inputs: Path) -> Iterator[Printing]:
    yield Printing("ids to forget", f"{_REQUEST} --forget ids", _file("ids", STEERING))
    yield Printing("ids as bytes", f"{_REQUEST} --forget ids", _file("ids", b"\xff\x1b[2J"))
    for what, text in (
        ("an id", f'wrong,id\nyes,"{STEERING}"\n'),
        ("an answer", f'wrong,id\n"{STEERING}",a\n'),
        ("a head", f'"{STEERING}",id\nyes,a\n'),
        ("twice", f'wrong,id\nyes,"{STEERING}"\nyes,"{STEERING}"\n'),
    ):
        yield Printing(
            f"review: {what}", f"repair --data IN/train.parquet {_LOOK} --review r.csv", _file("r.csv", text)
        )


def _settings(inputs: Path) -> Iterator[Printing]:
    experiment = (inputs / "experiment.toml").read_text().replace("models = 2", "models = 2\nseed = 1")
    source = f'"{inputs}/train.parquet"'
    for what, old, new in (
        ("name", '"tiny"', _QUOTED),
        ("method", '"finetune"', _QUOTED),
        ("key", "seed = 1", f"{_QUOTED} = 1"),
        ("what to forget", "[0.1]", f"[{_QUOTED}]"),
        ("source", source, _QUOTED),
        ("model", '"mlp"', _QUOTED),
        ("published", "seed = 1", f"published = {_QUOTED}"),
        ("preset", "seed = 1", f"preset = {_QUOTED}"),
        ("settings", "seed = 1", f"settings = {{ {_QUOTED} = {{ a = 1 }} }}"),
        ("title", '"Almost nothing"', _QUOTED),
        ("settings of a method", "seed = 1", f"settings = {{ finetune = {{ {_QUOTED} = 1 }} }}"),
        ("classes", source, f'{source}, classes = [{_QUOTED}, "a"]'),
    ):
        file = _file("e.toml", experiment.replace(old, new, 1))
        yield Printing(f"experiment: {what}", "run e.toml --workers 1 --out out", file)
    yield Printing("a file of settings that is none", "run e.toml --out out", _file("e.toml", STEERING))
    recipe = _file("r.toml", f"{_QUOTED} = 1")
    yield Printing("a recipe", f"{_REQUEST} --forget IN/ids.txt --recipe r.toml", recipe)


def _weights(_: Path) -> Iterator[Printing]:
    def saved(content: object) -> Build:
        return lambda home: torch.save(content, home / "m.pt")

    own = "detect --data IN/train.parquet --model mlp --scorer loss --weights w.safetensors --out out"
    named = safetensors.numpy.save({STEERING: np.zeros(2, np.float32)})
    yield Printing("names of weights", own, _file("w.safetensors", named))
    yield Printing("weights that are none", own, _file("w.safetensors", f'\x20\0\0\0\0\0\0\0{{"{STEERING}": 1}}'))
    convert = "convert m.pt out.safetensors"
    yield Printing("convert: a name", convert, saved({STEERING: torch.zeros(1)}))
    yield Printing("convert: a key", convert, saved({STEERING: 1}))
    yield Printing("convert: a type", convert, saved(torch.nn.Linear(1, 1)))
    yield Printing("convert: an archive", convert, _file("m.pt", STEERING))


def _put(at: Any, place: str | int, *more: str | int) -> None:
    """Put the text at a place of plain values; `*` stands for each item of a list."""
    for key in range(len(at)) if place == "*" else [place]:
        if more:
            _put(at[key], *more)
        else:
            there = at.get(key) if isinstance(at, dict) else at[key]
            at[key] = [STEERING] if isinstance(there, list) else STEERING


def _records(inputs: Path) -> Iterator[Printing]:
    def record(*places: str) -> Build:
        def build(home: Path) -> None:
            path = Path(shutil.copytree(inputs / "request", home / "request")) / "record.json"
            plain = parse_canonical(path.read_bytes(), path)
            _put(plain, *places)
            path.write_bytes(resealed(plain))

        return build

    for places in (
        ("created",), ("versions", "untrain"), ("machine", STEERING), ("applied", "method"), ("applied", "reason"),
        ("applied", "settings", STEERING), ("model", "architecture"), ("verdict", "sentences"), ("verdict", "outcome"),
        ("limits",), ("utility", "on"), (STEERING,), ("sha256",),
    ):  # fmt: skip
        where = ", ".join(places).encode("unicode_escape").decode()[:30]
        yield Printing(f"verify: {where}", "verify request", record(*places))
    another = _file(f"request/{_NAME}", "")
    yield Printing("verify: a file more", "verify request", _all(record("created"), another))


def _results(inputs: Path) -> Iterator[Printing]:
    def results(*places: str | int) -> Build:
        def build(home: Path) -> None:
            path = Path(shutil.copytree(inputs / "finished", home / "run")) / "results.json"
            content = msgspec.json.decode(path.read_bytes())
            _put(content, *places)
            path.write_bytes(msgspec.json.encode(content))

        return build

    for places in (
        ("experiment",), ("kind",), ("schema",), ("rows", 1, "method"), ("rows", "*", "method"), ("rows", "*", "forget"),
        ("shown", "*", "forget"), ("rows", "*", "final_score"), ("shown",),
    ):  # fmt: skip
        yield Printing(f"report: {', '.join(map(str, places))}", "report run", results(*places))
    yield Printing("report: JSON that is none", "report run", _file("run/results.json", f'{{"{STEERING}'))


_ATTACKS: dict[str, Callable[[Path], Iterator[Printing]]] = {
    "tables": _tables,
    "folders": _folders,
    "requests": _requests,
    "settings": _settings,
    "weights": _weights,
    "records": _records,
    "results": _results,
}


@pytest.mark.parametrize("place", _ATTACKS)
def test_no_text_steers_the_terminal(place: str, full: bool, tmp_path: Path, inputs: Path, report: Report) -> None:
    attacks = list(_ATTACKS[place](inputs))[:: 1 if full else 4]
    findings = [
        (wrong, attack.name)
        for number, attack in enumerate(attacks)
        for wrong in _problems(_printed(attack, tmp_path / str(number), inputs))
    ]
    report(
        "texts that steer a terminal, in ids, classes, columns, files, settings, weights, records and results, as "
        "commands print them",
        len(attacks),
        {"printed as they are, or tracebacks": findings},
    )


@pytest.mark.parametrize("text", ["\x1b", "\x9b", "\u202e", "\u2028", "\r", "\x7f"])
def test_a_text_that_is_printed_as_it_is_counts(text: str) -> None:
    assert steers(f"a{text}b")
    assert not steers("a猫b")
