"""Changed bytes: flipped, cut, filled, moved, and what is particular to a safetensors file."""

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

Mutant = tuple[str, bytes]
Draw = np.random.Generator


def _flip(data: bytearray, draw: Draw) -> bytearray:
    for _ in range(int(draw.integers(1, 4))):
        data[int(draw.integers(len(data)))] ^= 1 << int(draw.integers(8))
    return data


def _replace(data: bytearray, draw: Draw) -> bytearray:
    first, length = _part(data, draw)
    data[first : first + length] = draw.bytes(length)
    return data


def _fill(data: bytearray, draw: Draw) -> bytearray:
    first, length = _part(data, draw)
    data[first : first + length] = bytes([int(draw.choice((0, 255, 0x7F, 0x20)))]) * length
    return data


def _cut(data: bytearray, draw: Draw) -> bytearray:
    return data[: int(draw.integers(len(data)))]


def _remove(data: bytearray, draw: Draw) -> bytearray:
    first, length = _part(data, draw)
    del data[first : first + length]
    return data


def _repeat(data: bytearray, draw: Draw) -> bytearray:
    first, length = _part(data, draw)
    return data[: first + length] + data[first:]


def _append(data: bytearray, draw: Draw) -> bytearray:
    return data + draw.bytes(int(draw.integers(1, 100)))


def _number(data: bytearray, draw: Draw) -> bytearray:
    """A number of some bytes becomes an extreme one: lengths, widths and offsets are such."""
    size = int(draw.choice((1, 2, 4, 8)))
    first = int(draw.integers(max(1, len(data) - size)))
    value = int(draw.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF)))
    data[first : first + size] = bytes([value]) + bytes([0xFF if value > 1 else 0]) * (size - 1)
    return data[:]


_ANY: dict[str, Callable[[bytearray, Draw], bytearray]] = {
    "bits flipped": _flip, "bytes replaced": _replace, "bytes filled": _fill, "cut off": _cut, "bytes removed": _remove,
    "bytes repeated": _repeat, "bytes appended": _append, "extreme number": _number,
}  # fmt: skip


def _part(data: bytearray, draw: Draw) -> tuple[int, int]:
    return int(draw.integers(len(data))), int(draw.integers(1, 1 + min(64, len(data))))


def mutant(data: bytes, draw: Draw, *, head: int = 0) -> Mutant:
    """A change of any file; half of all changes are in its first `head` bytes, where formats say what follows."""
    name = str(draw.choice(list(_ANY)))
    if head and draw.random() < 0.5:
        return name, bytes(_ANY[name](bytearray(data[:head]), draw)) + data[head:]
    return name, bytes(_ANY[name](bytearray(data), draw))


def safetensors_mutant(data: bytes, draw: Draw) -> Mutant:
    """A change of a safetensors file: of its bytes, of the length of its header, or of what the header says."""
    kind = draw.random()
    (length,) = struct.unpack("<Q", data[:8])
    if kind < 0.45:
        return mutant(data, draw, head=8 + length)
    if kind < 0.55:
        lengths = (0, 1, 7, length - 1, length + 1, length + 8, len(data), 2**31, 2**63, 2**64 - 1, 100_000_001)
        return "length of the header", struct.pack("<Q", int(draw.choice(np.array(lengths, dtype=object)))) + data[8:]
    if kind < 0.6:
        return _another(data, length, draw)
    header, name = _header(json.loads(data[8 : 8 + length]), draw)
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    text += b" " * (-len(text) % 8)
    return name, struct.pack("<Q", len(text)) + text + data[8 + length :]


def _another(data: bytes, length: int, draw: Draw) -> Mutant:
    """Another kind of file altogether, or the header alone."""
    deep = b"[" * 5000 + b"]" * 5000
    others = {
        "empty": b"", "an archive": b"PK\x03\x04" + data, "a pickle": b"\x80\x04\x95" + data, "text": b"hello\n" * 50,
        "zeros": bytes(len(data)), "the header alone": data[: 8 + length], "twice": data + data,
        "deep": struct.pack("<Q", len(deep)) + deep,
    }  # fmt: skip
    name = str(draw.choice(list(others)))
    return f"another kind: {name}", others[name]


def _header(header: dict[str, Any], draw: Draw) -> tuple[Any, str]:
    """What the header says, changed, and how."""
    tensors = [name for name in header if name != "__metadata__"]
    name, other = (str(draw.choice(tensors)) for _ in range(2))
    entry, number = header[name], int(draw.choice(np.array((-1, 0, 1, 2**31, 2**63, 2**70), dtype=object)))
    metadata = header.setdefault("__metadata__", {})
    plain = json.dumps(header)
    what = int(draw.integers(12))
    if what == 0:
        entry["dtype"] = str(draw.choice(("F16", "F64", "I32", "U8", "BOOL", "BF16", "F8_E4M3", "C64", "F4", "X", "")))
    elif what == 1:
        entry["shape"] = [number, *entry["shape"][1:]]
    elif what == 2:
        entry["shape"] = entry["shape"][::-1] if len(set(entry["shape"])) > 1 else [1, *entry["shape"]]
    elif what == 3:
        entry["data_offsets"][int(draw.integers(2))] = number
    elif what == 4:
        entry["data_offsets"], header[other]["data_offsets"] = header[other]["data_offsets"], entry["data_offsets"]
    elif what == 5:
        header[f"{name}x"] = header.pop(name)
    elif what == 6:
        del header[name]
    elif what == 7:
        return plain.replace("{", f'{{"{name}": {json.dumps(header[other])}, ', 1).encode(), "header: a name twice"
    elif what == 8:
        metadata[str(draw.choice(("sha256", "format", "indices", "root", "path", "new")))] = str(number)
    elif what == 9:
        header["__metadata__"] = {key: value for key, value in metadata.items() if key != "sha256"}
    elif what == 10:
        header[name] = [None, 7, "tensor", {}, [], {"dtype": "F32"}][int(draw.integers(6))]
    else:
        return plain.replace(":", ":" + " " * int(draw.integers(1, 9)), 1).encode(), "header: spacing"
    return header, f"header: change {what}"


def single_flip(data: bytes, draw: Draw) -> bytes:
    """One bit is another."""
    changed = bytearray(data)
    changed[int(draw.integers(len(data)))] ^= 1 << int(draw.integers(8))
    return bytes(changed)
