"""Pickles that run code when they are read, in every wrapping, given to `untrain convert` and to every other reader.

Each payload makes a file, the mark, if it runs. A control shows that it does, by `pickle.loads` in a child. Code has
run if the mark is there, or if Python told an audit hook that a pickle looked something up, a program was started, a
library loaded or a connection opened.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.children import Watch, each, run, verdict
from tests.reliability.conftest import Report
from tests.reliability.payloads import WRAPPINGS, payloads, wrapped, written
from tests.reliability.readers import READERS, lay_out

_EVENTS = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "ctypes.dlopen",
    "pickle.find_class", "socket.connect", "socket.bind", "socket.getaddrinfo", "webbrowser.open",
)  # fmt: skip
_NAMES = tuple(payloads("mark"))
_WHAT = f"{len(_NAMES)} malicious pickles in {len(WRAPPINGS)} wrappings through {len(READERS)} readers, `untrain convert` among them"


@pytest.mark.parametrize("name", _NAMES)
def test_each_payload_runs_where_nothing_guards(name: str, tmp_path: Path, report: Report) -> None:
    mark = tmp_path / "mark"
    _clean(mark)
    payload = payloads(str(mark))[name]
    run(lambda: [pickle.loads(payload), None][1])  # noqa: S301 (it is our own, and in a child)
    ran = mark.exists() or mark.is_symlink()
    report(_WHAT, 0, {}, control={"`pickle.loads` runs": int(ran)})
    assert ran


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_runs_a_pickle(reader: str, full: bool, tmp_path: Path, inputs: Path, report: Report) -> None:
    home, mark = tmp_path / "home", tmp_path / "mark"
    made = payloads(str(mark))
    cases = [(name, wrapping) for name in made for wrapping in WRAPPINGS]
    if not full:
        draw = np.random.default_rng(list(reader.encode()))
        cases = [case for case in cases if draw.random() < (0.3 if reader == "convert" else 0.02)]
    lay_out(home, inputs)
    _clean(mark)
    watch = Watch(*_EVENTS)
    path, read = READERS[reader](home)

    def attempt(case: tuple[str, str]) -> str:
        name, wrapping = case
        watch.seen.clear()
        path.unlink(missing_ok=True)
        wrapped(made[name], path)[wrapping]()
        ending = verdict(read)
        marks = [mark.name] if mark.exists() or mark.is_symlink() else []
        _clean(mark)
        return f"run: {[*marks, *watch.seen]}" if marks or watch.seen else ending

    endings = [
        (ending, ", ".join((*case, reader)))
        for case, ending in zip(cases, each(cases, attempt, begin=watch.install), strict=True)
    ]
    ran = [finding for finding in endings if finding[0].startswith("run")]
    other = [finding for finding in endings if not finding[0].startswith(("run", "accepted", "refused"))]
    assert cases
    report(_WHAT, len(cases), {"code run": ran, "crashes, other exceptions and messages that are not one line": other})


def _clean(mark: Path) -> None:
    if mark.is_dir():
        mark.rmdir()
    mark.unlink(missing_ok=True)
    Path(f"{mark}.py").write_text(written(str(mark)))
