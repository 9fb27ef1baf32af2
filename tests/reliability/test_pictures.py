"""Damaged pictures and tables, and pictures that claim or unfold to more than a machine has, through `load`.

Either `load` gives examples or it raises one `InputError`. That a picture decodes does not show that it is whole: of a
changed JPEG, half decode to something. Time and memory are measured in the child that loads.
"""

import datetime
import decimal
import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from tests.reliability.children import Watch, each, peak, verdict
from tests.reliability.conftest import Report
from tests.reliability.mutants import Draw, mutant
from untrain.data import load
from untrain.data.images import MOST_PIXELS

MEMORY = 2**30
"""Bytes that `load` of one picture may need: the largest that is taken has 16 million pixels of three numbers."""
SECONDS = 5.0
Case = tuple[str, str, bytes]
"""The name of a file, what is wrong with it, and its content."""
_PROGRAMS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "socket.connect")


def samples(draw: Draw) -> dict[str, bytes]:
    """Small pictures of every format that `load` looks for, in several flavors each."""
    noise = draw.integers(0, 256, (24, 20, 4), dtype=np.uint8)
    smooth = np.add.outer(np.arange(24) * 5, np.arange(20) * 6)[:, :, None].repeat(3, axis=2).astype(np.uint8)
    modes = {
        "L": Image.fromarray(smooth[:, :, 0]), "RGB": Image.fromarray(smooth), "RGBA": Image.fromarray(noise),
        "P": Image.fromarray(smooth).quantize(16), "1": Image.fromarray(smooth[:, :, 0]).convert("1"),
        "CMYK": Image.fromarray(noise, "CMYK"),
    }  # fmt: skip
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        *[("png", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")],
        ("jpg", "RGB", {}), ("jpg", "L", {"progressive": True}), ("jpg", "CMYK", {}), ("jpg", "RGB", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}),
        ("gif", "P", {}), ("gif", "P", {"save_all": True, "append_images": [modes["P"].rotate(90)]}),
        *[("bmp", mode, {}) for mode in ("1", "L", "P", "RGB")],
        ("webp", "RGB", {}), ("webp", "RGBA", {"lossless": True}),
        *[("tiff", "RGB", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits")],
        ("tiff", "1", {"compression": "group4"}), ("tiff", "L", {"save_all": True, "append_images": [modes["L"]]}),
    ]  # fmt: skip
    made = dict[str, bytes]()
    for suffix, mode, options in wanted:
        file = io.BytesIO()
        kind = {"jpg": "JPEG", "tiff": "TIFF"}.get(suffix, suffix.upper())
        modes[mode].save(file, kind, **options)
        made[f"{len(made):02d}.{suffix}"] = file.getvalue()
    return made


def _png(width: int, height: int, data: bytes, *chunks: tuple[bytes, bytes], bits: int = 8, color: int = 0) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bombs() -> dict[str, bytes]:
    """Pictures that are small as files and large as pictures, or that ask for a program."""
    zeros = zlib.compress(bytes(60_000_000), 9)
    side = int(MOST_PIXELS**0.5)
    tall = MOST_PIXELS + 1
    tiff = b"II*\0\x08\0\0\0"
    entries = [(256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
               (273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, 2**31 - 1), (279, 4, 1, 2**31 - 1)]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    many = struct.pack("<H", 65535) + struct.pack("<HHII", 273, 4, 2**30, 8) * 2000
    cyclic = struct.pack("<HHHII", 1, 256, 4, 1, 1) + struct.pack("<I", 8)
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\xf0\0\0" + bytes(6)
    gif += b"," + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\x02\x02L\x01\0;"
    bmp = (
        b"BM"
        + struct.pack("<IHHI", 200, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 0, 1, 1, 0, 0)
    )
    jpeg = io.BytesIO()
    Image.new("L", (16, 16)).save(jpeg, "JPEG")
    huge = bytearray(jpeg.getvalue())
    frame = huge.index(b"\xff\xc0") + 5
    huge[frame : frame + 4] = struct.pack(">HH", 65500, 65500)
    ico = b"\0\0\1\0\1\0\0\0\0\0\1\0 \0" + struct.pack("<II", 2**31, 22)
    postscript = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(mark) (w) file closefile\nshowpage\n%%EOF\n"
    )
    scans = io.BytesIO()
    Image.new("RGB", (3900, 3900), "red").save(scans, "JPEG", progressive=True, quality=5)
    return {
        "png of 2 ** 62 pixels": _png(2**31 - 1, 2**31 - 1, zlib.compress(b"")),
        "png of 1.6e7 + 1 pixels": _png(tall, 1, zlib.compress(bytes(tall + 1))),
        "png of 1.6e7 pixels, whole": _png(side, side, zlib.compress(bytes((side + 1) * side), 9)),
        "png of 1.6e7 color pixels, whole": _png(side, side, zlib.compress(bytes((3 * side + 1) * side), 9), color=2),
        "png with more data than pixels": _png(8, 8, zeros),
        "png with a text that unfolds": _png(8, 8, zlib.compress(bytes(72)), (b"zTXt", b"a\0\0" + zeros)),
        "png with a profile that unfolds": _png(8, 8, zlib.compress(bytes(72)), (b"iCCP", b"a\0\0" + zeros)),
        "png with 100,000 chunks": _png(8, 8, zlib.compress(bytes(72)), *[(b"tEXt", b"a\0b")] * 100_000),
        "png without pixels": _png(0, 0, zlib.compress(b"")),
        "tiff of 2 ** 62 pixels": tiff + directory + bytes(300),
        "tiff with 2 ** 30 strips": tiff + many,
        "tiff whose directory leads to itself": tiff + cyclic,
        "gif of 2 ** 32 pixels": gif,
        "bmp of 3.6e9 pixels": bmp + bytes(100),
        "bmp of a negative width": bmp.replace(struct.pack("<ii", 60000, 60000), struct.pack("<ii", -60000, 60000)),
        "jpeg of 4.3e9 pixels": bytes(huge),
        "jpeg of 1.5e7 pixels in many scans": scans.getvalue(),
        "webp that claims 2 ** 28 pixels": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/" + struct.pack("<I", 2**28 - 1) + bytes(9),
        "icon": ico + bytes(40),
        "PostScript": postscript,
        "PostScript in a picture's clothes": struct.pack("<IIIIIIIH", 0xC6D3D0C5, 32, len(postscript), 0, 0, 0, 0, 0xFFFF) + b"\0\0" + postscript,
        "portable map of 1e18 pixels": b"P6 1000000000 1000000000 255\n" + bytes(99),
        "Photoshop": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 300000, 300000, 8, 3) + bytes(99),
        "FITS": b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80) + b"NAXIS   =            900000000".ljust(80) + b"END".ljust(2640),
        "empty": b"",
        "text": b"not a picture\n" * 9,
    }  # fmt: skip


class _Meter:
    """Loads in a child: what came of it, processor seconds, and bytes beyond what the child began with."""

    def __init__(self) -> None:
        self.watch, self.base = Watch(*_PROGRAMS), 0

    def begin(self) -> None:
        """Begin a child."""
        self.watch.install()
        self.base = peak()

    def load(self, source: Path) -> tuple[str, float, int]:
        """Load once."""
        self.watch.seen.clear()
        start = time.process_time()
        found = verdict(lambda: load(str(source)))
        if self.watch.seen:
            found = f"other: starts a program: {self.watch.seen[0]}"
        return found, time.process_time() - start, peak() - self.base


def _loaded(what: str, cases: list[Case], source: Path, path: Callable[[Case], Path], report: Report) -> None:
    """Write each case to its path, load the source, and report what came of it."""
    meter = _Meter()

    def attempt(case: Case) -> tuple[str, float, int]:
        path(case).write_bytes(case[2])
        try:
            return meter.load(source)
        finally:
            path(case).unlink()

    assert cases
    answers = each(cases, attempt, begin=meter.begin, memory=4 * MEMORY, limit=60)
    # A child that died has only a text.
    endings = [answer if isinstance(answer, str) else answer[0] for answer in answers]
    seconds, memory = (
        max((answer[place] for answer in answers if not isinstance(answer, str)), default=0) for place in (1, 2)
    )
    findings = [(ending, f"{case[0]}, {case[1]}") for case, ending in zip(cases, endings, strict=True)]
    wrong = {
        name: [finding for finding in findings if finding[0].startswith(kinds)]
        for name, kinds in (
            ("crashes and hangs", ("crash", "hang")),
            ("other exceptions or programs started", ("other",)),
            ("messages that are not one line", ("untidy",)),
        )
    }
    wrong[f"more than {SECONDS:.0f} s of a processor"] = [(f"{seconds:.1f} s", "")] * (seconds >= SECONDS)
    wrong[f"more than {MEMORY / 2**20:.0f} MiB"] = [(f"{memory / 2**20:.0f} MiB", "")] * (memory >= MEMORY)
    loaded = endings.count("accepted")
    seen = {"loaded": loaded, "refused": len(cases) - loaded}
    report(what, len(cases), wrong, seen | {"at most seconds": float(seconds), "at most MiB": memory // 2**20})


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
def test_damaged_pictures_load_or_are_refused(suffix: str, full: bool, tmp_path: Path, report: Report) -> None:
    draw = np.random.default_rng(0)
    pictures = {name: data for name, data in samples(draw).items() if name.endswith(suffix)}
    count = 300 if full else 20
    cases = [(name, *mutant(data, draw, head=64)) for name, data in pictures.items() for _ in range(count)]
    _loaded_alone("damaged pictures: PNG, JPEG, GIF, BMP, WebP, TIFF", cases, tmp_path, report)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_bombs_and_files_of_other_kinds_are_cheap(suffix: str, tmp_path: Path, report: Report) -> None:
    cases = [(f"a.{suffix}", name, data) for name, data in bombs().items()]
    _loaded_alone("bombs, and files of other kinds that are named like pictures", cases, tmp_path, report)


def _loaded_alone(what: str, cases: list[Case], folder: Path, report: Report) -> None:
    """Each picture alone in a folder of one class."""
    PngImagePlugin.MAX_TEXT_CHUNK  # noqa: B018 (the plugin is imported before the first child)
    home = folder / "pictures" / "class"
    home.mkdir(parents=True)
    _loaded(what, cases, home.parent, lambda case: home / case[0], report)


@pytest.mark.parametrize("kind", ["numbers", "texts", "pictures"])
def test_damaged_tables_load_or_are_refused(
    kind: str, full: bool, tmp_path: Path, inputs: Path, report: Report
) -> None:
    draw, path = np.random.default_rng(0), tmp_path / "table.parquet"
    image = _image()
    table = {
        "numbers": lambda: pa.table({"label": [0, 1] * 40, "x": np.arange(80.0), "y": np.arange(80)}),
        "texts": lambda: pq.read_table(inputs / "train.parquet"),
        "pictures": lambda: pa.table({"label": [0, 1], "image": [{"bytes": image, "path": "a"}, {"bytes": image, "path": None}]}),
    }[kind]()  # fmt: skip
    cases = []
    for options in ({}, {"compression": "none", "use_dictionary": False}):
        pq.write_table(table, path, **options)
        data = path.read_bytes()
        for _ in range(400 if full else 20):
            # What a reader looks at first stands at the end.
            tail = mutant(data[-600:], draw)
            cases += [(kind, *mutant(data, draw)), (kind, f"{tail[0]} at the end", data[:-600] + tail[1])]
    _loaded("damaged parquet tables", cases, path, lambda case: path, report)


def test_tables_with_strange_columns_load_or_are_refused(tmp_path: Path, report: Report) -> None:
    path, cases = tmp_path / "table.parquet", []
    for name, table in _strange(_image()).items():
        pq.write_table(table, path)
        cases.append(("whole", name, path.read_bytes()))
    _loaded("tables that are whole, with columns that nobody expects", cases, path, lambda case: path, report)


def _image() -> bytes:
    """A small picture."""
    return list(samples(np.random.default_rng(0)).values())[1]


def _strange(image: bytes) -> dict[str, pa.Table]:
    """Tables by what is strange about them."""
    two = [0, 1]
    values: dict[str, Any] = {
        "empty texts": ["", ""], "texts": ["a", "b"], "dates": [datetime.date(2020, 1, 1)] * 2,
        "times": [datetime.datetime(2020, 1, 1)] * 2, "decimals": [decimal.Decimal("1.5")] * 2, "nothing": [None, None],
        "a gap": [1.0, None], "infinity": [float("inf"), 1.0], "NaN": [float("nan"), 1.0], "lists": [[1, 2], [3]],
        "deep lists": [[[[1]]], [[[2]]]], "maps": [{"a": 1}, {"a": 2}], "booleans": [True, False],
        "large integers": [2**63 - 1, -(2**63)], "bytes": [b"\xff\xfe", b""], "a picture and a gap": [image, None],
        "dictionaries without bytes": [{"path": "/etc/passwd"}] * 2,
        "dictionaries with a path alone": [{"bytes": None, "path": "/etc/passwd"}] * 2,
        "dictionaries with texts for bytes": [{"bytes": "x", "path": None}] * 2,
        "dictionaries with numbers for bytes": [{"bytes": 7, "path": None}] * 2,
        "dictionaries and a gap": [{"bytes": image, "path": None}, None],
    }  # fmt: skip
    tables = {f"a feature of {name}": pa.table({"label": two, "x": column}) for name, column in values.items()}
    tables |= {f"labels of {name}": pa.table({"label": column, "x": [0.5, 1.5]}) for name, column in values.items()}
    tables |= {
        f"ids of {name}": pa.table({"label": two, "id": column, "x": [0.5, 1.5]}) for name, column in values.items()
    }
    tables |= {
        f"groups of {name}": pa.table({"label": two, "group": column, "x": [0.5, 1.5]})
        for name, column in values.items()
    }
    tables["half floats"] = pa.table({"label": two, "x": pa.array(np.array([1, 2], np.float16))})
    tables["no rows"] = pa.table({"label": pa.array([], pa.int64()), "x": pa.array([], pa.float64())})
    tables["no columns"] = pa.table({"label": two})
    tables["columns twice"] = pa.Table.from_arrays(
        [pa.array(two), pa.array(two), pa.array(two)], names=["label", "x", "x"]
    )
    tables["labels twice"] = pa.Table.from_arrays(
        [pa.array(two), pa.array(two), pa.array(two)], names=["label", "label", "x"]
    )
    tables["ids twice"] = pa.Table.from_arrays(
        [pa.array(["a", "b"])] * 2 + [pa.array(two)] * 2, names=["id", "id", "label", "x"]
    )
    tables["a column without a name"] = pa.Table.from_arrays([pa.array(two), pa.array(two)], names=["label", ""])
    tables["a column named by escapes"] = pa.table({"label": two, "\x1b[2J\n": ["a", "b"]})
    tables["texts that are no UTF-8"] = pa.table(
        {"label": two, "id": pa.array([b"\xff", b"\xfe"]).view(pa.string()), "x": [0.5, 1.5]}
    )
    tables["dictionary encoded"] = pa.table({"label": pa.array(["a", "b"]).dictionary_encode(), "x": [0.5, 1.5]})
    tables["one class"] = pa.table({"label": [0, 0], "x": [0.5, 1.5]})
    tables["a label of 10 ** 15"] = pa.table({"label": [0, 10**15], "x": [0.5, 1.5]})
    tables["columns by the thousand"] = pa.table({"label": two, **{f"x{number}": [0.5, 1.5] for number in range(3000)}})
    return tables
