"""Names and links that lead out of a folder: in data, records, runs and settings of others, and where untrain writes.

Outside every folder that is attacked lies one that the kernel watches, however a file is opened: by Python, by a
library in C, or by a program. No file there may be opened, made, changed or removed, and the attack must end in a
result or in an error of untrain's. That a folder outside is listed, when a link leads to it, does not count; a hard link
cannot be told from the file, and is not tried. What a person types is not an attack: who names a link, means the file.
untrain reads no archives but those that `torch.save` writes, of which torch takes entries by fixed names and unpacks
nothing to the disk.
"""

import contextlib
import ctypes
import os
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.records.test_record import resealed
from tests.reliability.children import run, verdict
from tests.reliability.conftest import Report
from untrain.cli.main import main
from untrain.core.files import read_arrays, write_file
from untrain.data import as_examples, load, read_ids
from untrain.detection import read_review
from untrain.errors import InputError
from untrain.experiments import read_experiment
from untrain.models.convert import convert
from untrain.models.weights import read_weights
from untrain.records import read_key, read_record, sign, verify
from untrain.records.serialization import parse_canonical

_ACCESSED, _MODIFIED, _ATTRIBUTES, _OPENED, _MOVED, _MADE, _REMOVED = 0x1, 0x2, 0x4, 0x20, 0xC0, 0x100, 0x200
_IS_FOLDER = 0x40000000
Words = tuple[str, ...]


class Watched:
    """A folder in which the kernel tells of everything that is done."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._queue >= 0, os.strerror(ctypes.get_errno())
        wanted = _ACCESSED | _MODIFIED | _ATTRIBUTES | _OPENED | _MOVED | _MADE | _REMOVED
        for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            assert self._libc.inotify_add_watch(self._queue, os.fsencode(place), wanted) >= 0

    def events(self) -> list[str]:
        """What was done since this was asked last; that a folder was listed is left out."""
        events = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._queue, 65536):
                while data:
                    _, mask, _, length = struct.unpack("iIII", data[:16])
                    name = data[16 : 16 + length].rstrip(b"\0").decode()
                    data = data[16 + length :]
                    if not (mask & _IS_FOLDER and mask & (_OPENED | _ACCESSED)):
                        kinds = {
                            _MODIFIED: "changed",
                            _MOVED: "moved",
                            _MADE: "made",
                            _REMOVED: "removed",
                            _ATTRIBUTES: "changed",
                        }
                        done = [word for kind, word in kinds.items() if mask & kind] or ["opened"]
                        events.append(f"{done[0]} {name}")
        return events


@dataclass(frozen=True)
class Attack:
    """A way out.

    Attributes:
        name: of it.
        build: lays the trap in a new folder, given the folder outside.
        act: what a person does in that folder then.
    """

    name: str
    build: Callable[[Path, Path], object]
    act: Callable[[Path], object]


@pytest.fixture
def outside(tmp_path: Path, inputs: Path) -> Path:
    """A folder that no attack may reach."""
    outside = tmp_path / "outside"
    (outside / "class").mkdir(parents=True)
    (outside / "empty").mkdir()
    for name in ("secret.png", "class/secret.png", "class/secret.jpg"):
        Image.new("L", (8, 8)).save(outside / name)
    shutil.copytree(inputs / "request", outside / "request")
    shutil.copytree(inputs / "finished", outside / "finished")
    shutil.copy(inputs / "train.parquet", outside)
    (outside / "secret.txt").write_text("SYNT_000000 20 M\n")
    return outside


def _tried(attack: Attack, home: Path, outside: Path) -> tuple[str, list[str]]:
    home.mkdir(parents=True)
    attack.build(home, outside)

    def work() -> tuple[str, list[str]]:
        os.chdir(home)
        watched = Watched(outside)
        before = _tree(outside)
        ending = verdict(lambda: attack.act(home))
        events = watched.events()
        return ending, events or (["changed"] if _tree(outside) != before else [])

    ended = run(work, limit=20, memory=2**32)
    # Python's own function cannot remove what is too deep.
    subprocess.run(["/bin/rm", "-rf", home], check=True)
    if ended.answer is None:
        return "hang" if ended.hung else f"crash: {ended.code}: {ended.err[-100:]}", []
    return ended.answer[0], ended.answer[1]


def _tree(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*"))


def typed(*words: str) -> Callable[[Path], object]:
    """What types a command; an exit with 2, 3 or 5 is raised as an error of untrain's."""

    def act(home: Path) -> None:
        try:
            main(words)
        except SystemExit as stop:
            if stop.code in (2, 3, 5):
                raise InputError("refused") from None
            if stop.code:
                raise

    return act


def _folders(_: Path) -> Iterator[Attack]:
    """Folders of pictures."""

    def folder(name: str, trap: Callable[[Path, Path], object]) -> Attack:
        def build(home: Path, outside: Path) -> None:
            for number in range(2):
                (home / "data" / f"class {number}").mkdir(parents=True)
                Image.new("L", (8, 8)).save(home / "data" / f"class {number}" / "good.png")
            trap(home / "data" / "class 0", outside)

        return Attack(f"folder of pictures: {name}", build, lambda home: load(str(home / "data")))

    def nested(place: Path, depth: int) -> None:
        here = os.open(place, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(here)

    def chain(place: Path, outside: Path) -> None:
        (place / "a.png").symlink_to("b.png")
        (place / "b.png").symlink_to(outside / "secret.png")

    def loop(place: Path, _: Path) -> None:
        (place / "a.png").symlink_to("b.png")
        (place / "b.png").symlink_to("a.png")

    yield folder("a link", lambda place, out: (place / "a.png").symlink_to(out / "secret.png"))
    yield folder("a relative link", lambda place, out: (place / "a.png").symlink_to(f"{'../' * 4}outside/secret.png"))
    yield folder("a link to a link", chain)
    yield folder("links in a circle", loop)
    yield folder("a link to nothing", lambda place, out: (place / "a.png").symlink_to(out / "none.png"))
    yield folder("a class that is a link", lambda place, out: (place.parent / "class 9").symlink_to(out / "class"))
    yield folder("a class that is a link to all", lambda place, out: (place.parent / "class 9").symlink_to(out))
    yield folder("a folder in a class that is a link", lambda place, out: (place / "deep").symlink_to(out / "class"))
    yield folder("a link to the folder itself", lambda place, out: (place / "deep").symlink_to(place))
    yield folder("a hidden link", lambda place, out: (place / ".a.png").symlink_to(out / "secret.png"))
    yield folder("a link to /dev/zero", lambda place, out: (place / "a.png").symlink_to("/dev/zero"))
    yield folder("a link to /proc/self/environ", lambda place, out: (place / "a.png").symlink_to("/proc/self/environ"))
    yield folder("a link to /proc/self/fd/0", lambda place, out: (place / "a.png").symlink_to("/proc/self/fd/0"))
    yield folder("a pipe", lambda place, out: os.mkfifo(place / "a.png"))
    yield folder("a device", lambda place, out: _device(place / "a.png"))
    yield folder("a folder named like a picture", lambda place, out: (place / "a.png").mkdir())
    yield folder("names with line breaks", lambda place, out: shutil.copy(place / "good.png", place / "a\nb.png"))
    yield folder("names that are no UTF-8", lambda place, out: shutil.copy(place / "good.png", place / "\udcff.png"))
    yield folder("names of dots", lambda place, out: shutil.copy(place / "good.png", place / "...png"))
    yield folder("a long name", lambda place, out: shutil.copy(place / "good.png", place / f"{'a' * 250}.png"))
    yield folder("folders 300 deep", lambda place, out: nested(place, 300))
    yield folder("folders 3,000 deep", lambda place, out: nested(place, 3000))


def _device(path: Path) -> None:
    # Not everybody may make one.
    with contextlib.suppress(PermissionError):
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


def _faces(_: Path) -> Iterator[Attack]:
    """Folders in the layout of CASIA-SURF."""

    def faces(name: str, trap: Callable[[Path, Path], object]) -> Attack:
        def build(home: Path, outside: Path) -> None:
            lines = []
            for number in range(10):
                photographs = home / "data" / "WBackground" / f"p{number}" / "real.rssdk" / "color"
                photographs.mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(photographs / "1.jpg")
                lines.append(f"p{number} {20 + 6 * number} M\n")
            (home / "data" / "Age_Gender.txt").write_text("".join(lines))
            trap(home / "data", outside)

        return Attack(f"faces: {name}", build, lambda home: load(str(home / "data")))

    def replaced(where: str, with_: Callable[[Path, Path], object]) -> Callable[[Path, Path], object]:
        def trap(data: Path, outside: Path) -> None:
            path = data / where
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            with_(path, outside)

        return trap

    def listed(line: str) -> Callable[[Path, Path], object]:
        def trap(data: Path, outside: Path) -> None:
            with (data / "Age_Gender.txt").open("a") as file:
                file.write(line.replace("OUT", str(outside)))

        return trap

    color = "WBackground/p3/real.rssdk/color"
    yield faces(
        "ages that are a link", replaced("Age_Gender.txt", lambda path, out: path.symlink_to(out / "secret.txt"))
    )
    yield faces("ages that are /dev/zero", replaced("Age_Gender.txt", lambda path, out: path.symlink_to("/dev/zero")))
    yield faces("ages that are a pipe", replaced("Age_Gender.txt", lambda path, out: os.mkfifo(path)))
    yield faces("all photographs in a link", replaced("WBackground", lambda path, out: path.symlink_to(out)))
    yield faces("a person that is a link", replaced("WBackground/p3", lambda path, out: path.symlink_to(out)))
    yield faces("photographs in a link", replaced(color, lambda path, out: path.symlink_to(out / "class")))
    yield faces(
        "a photograph that is a link",
        replaced(f"{color}/1.jpg", lambda path, out: path.symlink_to(out / "class" / "secret.jpg")),
    )
    yield faces("a photograph that is a pipe", replaced(f"{color}/1.jpg", lambda path, out: os.mkfifo(path)))
    yield faces("a person named ..", listed(".. 33 M\n"))
    yield faces("a person named by a path", listed("../../outside 33 M\nOUT 33 M\n"))
    yield faces("a person named by NUL", listed("a\0b 33 M\n"))


def _tables(inputs: Path) -> Iterator[Attack]:
    """Tables whose cells are paths."""
    names = (
        "../../outside/secret.txt", "/etc/passwd", "a/b", "..", "", "a\0b", "C:\\x", "~", "$HOME", "file:///etc/passwd",
    )  # fmt: skip

    def cells(column: str, home: Path, outside: Path) -> None:
        table = pq.read_table(inputs / "train.parquet").to_pydict()
        paths = [*names[1:], str(outside / "secret.txt")]
        if column == "id":
            table["id"][: len(paths)] = paths
        else:
            table[column] = [["../../outside", str(outside), "../out"][row % 3] for row in range(90)]
        pq.write_table(pa.table(table), home / "data.parquet")

    def pictures(data: bytes | None, home: Path, outside: Path) -> None:
        cell = {"bytes": data, "path": str(outside / "secret.png")}
        pq.write_table(pa.table({"label": [0, 1], "image": [cell, cell]}), home / "data.parquet")

    def dataset(data: bytes | None, home: Path) -> None:
        as_examples([({"bytes": data, "path": str(home.parent.parent / "outside" / "secret.png")}, 0)])

    def review(name: str, home: Path, outside: Path) -> None:
        (home / "r.csv").write_text(f"wrong,id,label,suggested,score\r\nyes,{name},a,b,1\r\n")

    look = typed("detect", "--data", "data.parquet", "--model", "mlp", "--scorer", "neighbours", "--out", "out")
    for what in ("id", "group", "label"):
        yield Attack(f"table: paths in the column {what}", partial(cells, what), look)
    for what, data in (("without bytes", None), ("with empty bytes", b""), ("with other bytes", b"x")):
        yield Attack(f"table: a picture {what} and a path", partial(pictures, data), _loads("data.parquet"))
        yield Attack(f"dataset: a picture {what} and a path", _nothing, partial(dataset, data))
    examples = str(inputs / "train.parquet")
    for name in names:
        yield Attack(
            f"review: the id {name!r}", partial(review, name), lambda home: read_review(home / "r.csv", load(examples))
        )
    yield Attack(
        "ids: paths",
        lambda home, out: (home / "ids.txt").write_text("\n".join(names)),
        lambda home: load(examples).positions(read_ids(home / "ids.txt")),
    )


def _loads(name: str) -> Callable[[Path], object]:
    return lambda home: load(str(home / name))


def _nothing(home: Path, outside: Path) -> None:
    """No trap: the attack is what is typed."""


def _records(inputs: Path) -> Iterator[Attack]:
    """Directories of requests."""

    def request(home: Path) -> Path:
        shutil.copytree(inputs / "request", home / "request")
        sign(home / "request", inputs / "private.pem")
        return home / "request"

    def replaced(name: str, lay: Callable[[Path, Path], None], home: Path, outside: Path) -> None:
        path = request(home) / name
        path.unlink(missing_ok=True)
        lay(path, outside)

    def same(path: Path, outside: Path) -> None:
        there = outside / "request" / path.name
        path.symlink_to(there if there.exists() else outside / "request" / "record.json")

    traps: dict[str, Callable[[Path, Path], None]] = {
        "a link": same,
        "a link to a folder": lambda path, out: path.symlink_to(out / "request"),
        "a pipe": lambda path, out: os.mkfifo(path),
        "a folder": lambda path, out: path.mkdir(),
        "a link to /dev/zero": lambda path, out: path.symlink_to("/dev/zero"),
    }
    files = ("record.json", "model.safetensors", "report.html", "request.key", "record.dsse.json", "previous", "more")
    for name in files:
        for what, lay in traps.items():
            yield Attack(
                f"record: {name} is {what}",
                partial(replaced, name, lay),
                lambda home: verify(home / "request", public_key=inputs / "public.pem").insist(),
            )

    def listed(home: Path, outside: Path) -> None:
        path = request(home) / "record.json"
        plain = parse_canonical(path.read_bytes(), path)
        digest = {"bytes": 17, "sha256": "0" * 64}
        plain["files"] = dict.fromkeys(
            (str(outside / "secret.txt"), "../../../outside/secret.txt", "/etc/passwd"), digest
        )
        path.write_bytes(resealed(plain))

    yield Attack("record: files of other folders", listed, lambda home: verify(home / "request").insist())


def _writing(inputs: Path) -> Iterator[Attack]:
    """Links where untrain writes, laid by somebody who may write there, too."""
    table: Words = (
        "--data",
        str(inputs / "train.parquet"),
        "--model",
        "mlp",
        "--weights",
        str(inputs / "model.safetensors"),
    )
    look = (*table, "--scorer", "loss", "--noise-ratio", "0.1", "--out", "out")
    request = ("forget", *table[:4], "--method", "finetune", "--out", "out", "--forget")
    experiment, key = str(inputs / "experiment.toml"), str(inputs / "private.pem")
    detect, repair = ("detect", *look), ("repair", *look, "--method", "finetune")
    first = (*request, str(inputs / "ids.txt"), *table[4:])
    second = (*request, str(inputs / "more.txt"), "--previous", str(inputs / "request"))
    convert = ("convert", str(inputs / "model.pt"), "out/model.safetensors")
    synthesize = ("synthesize", "surf", "out", "--persons", "10", "--photographs", "1")
    report, again = ("report", "out"), ("run", experiment, "--workers", "1", "--out", "out")
    sealing = ("sign", "out", "--key", key)
    files = ("secret.txt", "none")
    laid: list[tuple[Words, str, str, tuple[str, ...]]] = [
        *((detect, "", name, files) for name in ("suspects.csv", "suspects.json", "suspects.html")),
        *((repair, "", name, files) for name in ("model.safetensors", "suspects.csv", "repair.json")),
        *((first, "", name, files) for name in ("model.safetensors", "report.html", "request.key", "record.json")),
        (second, "", "previous", ("empty",)),
        (convert, "", "model.safetensors", files),
        (synthesize, "", "WBackground", ("empty",)),
        (synthesize, "", "Age_Gender.txt", files),
        (report, "finished", "report.html", files),
        (again, "finished", "report.html", ("secret.txt",)),
        (again, "finished", "results.json", ("finished/results.json",)),
        (again, "finished", ".lock", files),
        (again, "finished", "populations", ("empty",)),
        (sealing, "request", "record.dsse.json", ("secret.txt",)),
    ]
    for words, older, name, targets in laid:
        for target in targets:
            lay = partial(_linked, inputs / older if older else None, name, target)
            yield Attack(f"{words[0]}: {name} is a link to {target}", lay, typed(*words))


def _begun(older: Path | None, home: Path, outside: Path) -> None:
    if older:
        shutil.copytree(older, home / "out")
    else:
        (home / "out").mkdir()


def _linked(older: Path | None, name: str, target: str, home: Path, outside: Path) -> None:
    _begun(older, home, outside)
    path = home / "out" / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(outside / target)


def _settings(inputs: Path) -> Iterator[Attack]:
    """Settings of an experiment whose name would be a path; the default directory follows from the name."""
    text = (inputs / "experiment.toml").read_text().replace("models = 2", "models = 2\nseed = 1")
    source = str(inputs / "train.parquet")

    def experiment(what: str, old: str, new: str) -> Attack:
        changed = text.replace(old, new)
        return Attack(
            f"experiment: {what}",
            lambda home, out: (home / "e.toml").write_text(changed),
            typed("run", "e.toml", "--workers", "1"),
        )

    for name in (
        "../../outside/empty",
        "/tmp/x",
        "a/b",
        "..",
        ".",
        "",
        "a\\u0000b",
        "a\\nb",
        "a\\n",
        "~",
        "-rf",
        "a\\\\b",
    ):
        yield experiment(f"the name {name!r}", 'name = "tiny"', f'name = "{name}"')
    yield experiment("a table named by a path", source, "a\\u0000b.parquet")
    yield experiment("a list of ids named by a path", "forget = [0.1]", 'forget = ["ids:a\\u0000b"]')
    published = 'name = "tiny"\npublished = "../../../etc/passwd"'
    yield experiment("published figures named by a path", 'name = "tiny"', published)
    yield experiment("a method named by a path", '"finetune"', '"../finetune"')
    yield experiment("a source named by a path", source, "mnist/../..")


def _nul(_: Path) -> Iterator[Attack]:
    """Names with NUL, which no file can have, for every function that takes a path."""
    functions: dict[str, Callable[[str], object]] = {
        "load": load,
        "load, table": lambda name: load(f"{name}.parquet"),
        "load, folder": lambda name: load("mnist", data_dir=name),
        "load, faces": lambda name: load("surf", data_dir=name),
        "read_ids": read_ids,
        "verify": verify,
        "read_record": read_record,
        "read_key": read_key,
        "convert, from": lambda name: convert(name, "out"),
        "convert, to": lambda name: convert(Path(sys.argv[0]), name),
        "read_arrays": lambda name: read_arrays(Path(name)),
        "read_weights": lambda name: read_weights(Path(name)),
        "read_experiment": lambda name: read_experiment(f"{name}.toml"),
        "write_file": lambda name: write_file(Path(name), "x"),
        "read_review": lambda name: read_review(name, as_examples(([[0.0]], [0]))),
    }

    def given(function: Callable[[str], object], home: Path) -> None:
        function("a\0b")

    for what, function in functions.items():
        yield Attack(f"{what}: NUL", _nothing, partial(given, function))


_ATTACKS: dict[str, Callable[[Path], Iterator[Attack]]] = {
    "folders of pictures": _folders,
    "faces": _faces,
    "tables": _tables,
    "records": _records,
    "writing": _writing,
    "settings": _settings,
    "NUL": _nul,
}


@pytest.mark.parametrize("place", _ATTACKS)
def test_nothing_outside_a_folder_is_opened(
    place: str, full: bool, tmp_path: Path, inputs: Path, outside: Path, report: Report
) -> None:
    attacks = list(_ATTACKS[place](inputs))[:: 1 if full else 4]
    tried = [(attack.name, *_tried(attack, tmp_path / f"{n}" / "home", outside)) for n, attack in enumerate(attacks)]
    left = [(", ".join(events), name) for name, _, events in tried if events]
    other = [(ending, name) for name, ending, _ in tried if ending not in ("accepted", "refused")]
    refused = sum(ending == "refused" for _, ending, _ in tried)
    report(
        "ways out of a folder: `..`, absolute names, links, devices, pipes and NUL in folders of pictures, tables, records, "
        "reviews, runs and settings",
        len(attacks),
        {"files read or written outside in": left, "crashes, hangs and other exceptions": other},
        {"refused": refused, "taken without leaving": len(attacks) - refused - len(other)},
    )


@pytest.mark.parametrize(
    ("act", "event"),
    [
        pytest.param(lambda place: (place / "secret.txt").read_text(), "opened secret.txt", id="read"),
        pytest.param(lambda place: (place / "secret.txt").write_text("x"), "changed secret.txt", id="written"),
        pytest.param(lambda place: (place / "new").mkdir(), "made new", id="made"),
        pytest.param(lambda place: (place / "secret.txt").unlink(), "removed secret.txt", id="removed"),
    ],
)
def test_the_kernel_tells_of_what_is_done_outside(act: Callable[[Path], object], event: str, outside: Path) -> None:
    def work() -> list[str]:
        watched = Watched(outside)
        act(outside)
        return watched.events()

    assert event in run(work).answer
