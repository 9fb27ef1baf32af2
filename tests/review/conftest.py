"""A review of digits, of which some labels are wrong: a directory as `untrain detect` writes it."""

import csv
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from untrain.cli.review import _about, _read, _workspace
from untrain.cli.terminal import Status
from untrain.data import load, mislabel, symmetric_noise
from untrain.detection import Suspects, write_review
from untrain.review.decisions import Decisions

if TYPE_CHECKING:
    from flask import Flask

    from untrain.review.server import Session

COUNT = 12
HOSTILE = "<img src=x onerror=alert(1)>&a=%41+#"


@dataclass(frozen=True)
class Detected:
    """A folder of images with wrong labels, and what was detected there."""

    folder: Path
    directory: Path
    ids: list[str]
    truth: dict[str, str]

    def rows(self) -> list[dict[str, str]]:
        with (self.directory / "suspects.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def answers(self) -> list[tuple[str, str]]:
        """The answers to the suspects in their order."""
        return [(row["wrong"], row.get("corrected") or "") for row in self.rows()]


def write_detected(directory: Path, suspects: Suspects, source: Path) -> None:
    """The two files that `untrain review` reads."""
    classes = suspects.examples.classes
    flagged = [{**row._asdict(), "view": {classes[0]: 0.75}} for row in suspects.rows()]
    content = {
        "data": str(source), "inputs": {"data": str(source)}, "examples": len(suspects.examples),
        "scorer": "neighbours",
        "noise_ratio": 0.1, "interval": [0.05, 0.15], "model_error": None, "evidence": {}, "versions": {},
        "flagged": flagged,
    }  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "suspects.json").write_text(json.dumps(content))
    write_review(suspects, directory / "suspects.csv")


@pytest.fixture
def detected(tmp_path: Path) -> Detected:
    noisy = mislabel(load(limit=150), symmetric_noise(10, 0.1), exact=True)
    folder = tmp_path / "pictures"
    for number, (image, label) in enumerate(zip(noisy.examples.inputs, noisy.examples.labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        pixels = (image[0] * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / str(label) / f"{number:03d}{HOSTILE if number % 2 else ''}.png")
    examples = load(folder)
    truth = {}
    for name in examples.ids.tolist():
        row = int(name.split("/")[1][:3])
        truth[name] = str(noisy.true_labels[row])
    right = np.asarray([int(truth[name]) for name in examples.ids.tolist()])
    wrong = np.flatnonzero(right != examples.labels)[: COUNT - 2]
    flagged = np.concatenate([wrong, np.flatnonzero(right == examples.labels)[:2]])
    suggested = np.where(right == examples.labels, (right + 1) % 10, right)
    scores = np.zeros(len(examples))
    scores[flagged] = np.linspace(0.99, 0.6, len(flagged))
    suspects = Suspects(examples, "neighbours", scores, flagged, 0.1, (0.05, 0.15), None, suggested, {})
    write_detected(tmp_path / "detected", suspects, folder)
    return Detected(folder, tmp_path / "detected", [str(examples.ids[place]) for place in flagged], truth)


@dataclass(frozen=True)
class Served:
    """A running `untrain review`."""

    process: subprocess.Popen[str]
    address: str

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


def start(directory: Path, *words: str) -> Served:
    command = [sys.executable, "-m", "untrain", "review", str(directory), "--no-browser", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    return Served(process, process.stdout.readline().split()[-1])


def application(directory: Path, session: "Session") -> "Flask":
    """The application of `untrain review`."""
    from untrain.review.server import create_app

    decisions = Decisions(directory / "suspects.csv")
    content, inputs = _read(directory, None)
    workspace = _workspace(directory, content, inputs, None, decisions.file, Status())
    return create_app(workspace, decisions, session, _about(directory, content, inputs))


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """The address of a server in this process, which is there at once."""
    from untrain.review.server import serve

    server, session = serve(lambda session: application(directory, session))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield session.address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def address(detected: Detected) -> Iterator[str]:
    """The address of a server of what was detected."""
    with serving(detected.directory) as address:
        yield address
