"""From a folder of images with wrong labels to a cleaned table and a repaired model: minutes, and keys.

    python benchmarks/review_path.py                       # 1,000 images of MNIST, 3 % of the labels wrong
    python benchmarks/review_path.py --images 3000 --noise 0.1

Commands are run as a new user would type them; the page is a headless Chromium, driven by real keys. The person that
is simulated knows the right labels and looks for PAUSE seconds before each key: first at the grid, where everything
down to the first false alarm is selected and decided by one key, then at the others one by one. Printed: the seconds of
each step, the minutes of all, the keys, what is wrong in the cleaned table, and the accuracy before and after.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.review.chrome import Browser, Page

from untrain.data import load, mislabel, symmetric_noise
from untrain.detection.review import unescape

UNTRAIN = [sys.executable, "-m", "untrain"]


def make_folder(folder: Path, images: int, noise: float) -> dict[str, str]:
    """Write a folder of images with wrong labels; the true classes by file name."""
    noisy = mislabel(load("mnist", limit=images), symmetric_noise(10, noise), exact=True)
    truth = {}
    for number, (pixels, label) in enumerate(zip(noisy.examples.inputs, noisy.examples.labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels[0] * 255).astype(np.uint8)).save(folder / str(label) / f"{number:05d}.png")
        truth[f"{number:05d}.png"] = str(noisy.true_labels[number])
    return truth


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Print how long a step took."""
    start = time.perf_counter()
    yield
    print(f"{title}: {time.perf_counter() - start:.0f} s", flush=True)


def run(*words: str) -> None:
    """A command, as a person types it."""
    done = subprocess.run([*UNTRAIN, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)


class Person:
    """Presses keys after a pause, and counts them."""

    def __init__(self, page: Page, pause: float) -> None:
        self.page, self.pause, self.keys = page, pause, 0

    def press(self, key: str, shift: bool = False) -> None:
        """Press one key."""
        time.sleep(self.pause)
        self.page.press(key, shift=shift)
        self.keys += 1


def review(address: str, rows: list[dict[str, str]], truth: dict[str, str], pause: float, folder: Path) -> int:
    """Decide about all suspects; the number of keys."""
    true = {unescape(row["id"]): truth[unescape(row["id"]).rpartition("/")[2]] for row in rows}
    good = [true[unescape(row["id"])] == row["suggested"] for row in rows]
    sure = good.index(False) if False in good else len(good)
    with closing(Browser(folder)) as browser, Page(browser) as page:
        page.open(address)
        page.wait("document.documentElement.dataset.ready")
        person = Person(page, pause)
        person.press("g")
        page.wait("document.querySelectorAll('.tile').length > 0")
        columns = page.run("new Set([...document.querySelectorAll('.tile')].map(tile => tile.style.left)).size")
        if sure > columns:
            person.press(" ")
            if sure == len(rows):
                person.press("End", shift=True)
            else:
                for _ in range(sure // columns - 1):
                    person.press("ArrowDown", shift=True)
            person.press("y")
        person.press("g")
        while (left := page.run("document.querySelector('#count').textContent").split()) and left[0] != left[2]:
            name = page.run("document.querySelector('#identity').textContent").partition(" · ")[0]
            row = next(row for row in rows if unescape(row["id"]) == name)
            right = true[name]
            person.press("n" if right == row["label"] else "y" if right == row["suggested"] else right)
            page.wait(f"document.querySelector('#count').textContent.split(' ')[0] !== {left[0]!r}")
        return person.keys


def main() -> None:
    """Go the whole way and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=0.03)
    parser.add_argument("--pause", type=float, default=1.5)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    os.chdir(place)
    truth = make_folder(Path("pictures"), asked.images, asked.noise)
    start = time.perf_counter()
    with timed("untrain detect"):
        run("detect", "--data", "pictures", "--out", "detected")
    with Path("detected/suspects.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with timed(f"untrain review, {len(rows)} suspects"):
        words = [*UNTRAIN, "review", "detected", "--no-browser"]
        serving = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert serving.stdout is not None
        keys = review(serving.stdout.readline().split()[-1], rows, truth, asked.pause, place / "browser")
        serving.terminate()
        serving.communicate()
    with timed("untrain review --export"):
        run("review", "detected", "--export", "cleaned.parquet")
    with timed("untrain repair"):
        run("repair", "--data", "pictures", "--review", "detected/suspects.csv", "--out", "repaired")
    minutes = (time.perf_counter() - start) / 60
    table = pq.read_table("cleaned.parquet")
    wrong = sum(
        truth[name.rpartition("/")[2]] != label
        for name, label in zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True)
    )
    repaired = json.loads(Path("repaired/repair.json").read_text())
    print(f"{minutes:.1f} minutes, {keys} keys")
    print(f"wrong labels: {round(asked.images * asked.noise)} before, {wrong} in the cleaned table")
    print(repaired["verdict"])
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
