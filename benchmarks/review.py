"""How quick the review page is, in a headless Chromium.

    python benchmarks/review.py                      # 60,000 examples of MNIST, a tenth of the labels wrong; a minute
    python benchmarks/review.py --examples 6000      # fewer

Printed: seconds until the server listens; milliseconds from opening the page until its first paint, until the first
suspect can be judged, and until its nearest examples are shown; bytes that the page fetched until then; milliseconds
from a key to the next suspect on the screen (median and largest of 40); pictures that exist in the page, alone and in
the grid of all suspects and of one class; and the size of the script's memory. The second opening finds what the first
has made.
"""

import argparse
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.review.chrome import Browser, Page

from untrain.data import load, mislabel, symmetric_noise
from untrain.data.noise import Noisy
from untrain.detection import Suspects, write_review
from untrain.report.suspects import Suspect
from untrain.review.cache import Cache
from untrain.review.decisions import Decisions
from untrain.review.server import create_app, serve
from untrain.review.workspace import Workspace

READY = "document.documentElement.dataset.ready"
ALIKE = "[...document.querySelectorAll('#alike img')].length > 0 && [...document.images].every(image => image.complete)"
FETCHED = """performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .reduce((sum, entry) => sum + entry.transferSize, 0)"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def suspects_of(noisy: Noisy) -> Suspects:
    """The wrong labels, in random order, with the true class as suggestion."""
    wrong = np.random.default_rng(0).permutation(np.flatnonzero(noisy.mislabelled))
    scores = np.zeros(len(noisy.examples))
    scores[wrong] = np.linspace(0.999, 0.5, len(wrong))
    return Suspects(noisy.examples, "auto", scores, wrong, noisy.ratio, None, None, noisy.true_labels, {})


def opened(directory: Path, noisy: Noisy, found: Suspects, title: str) -> None:
    """Open the page once and print what it took."""
    start = time.perf_counter()
    decisions = Decisions(directory / "suspects.csv")
    flagged = [Suspect(**row._asdict()) for row in found.rows()]
    workspace = Workspace(noisy.examples, flagged, Cache(directory, noisy.examples.digest()))
    server, session = serve(
        lambda session: create_app(workspace, decisions, session, {"data": "mnist", "scorer": "auto", "commands": []})
    )
    print(f"{title}: the server listens after {time.perf_counter() - start:.2f} s")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        closing(Browser(Path(folder))) as browser,
        Page(browser) as page,
    ):
        page.open(session.address)
        page.wait(READY, 120)
        ready = page.run("Math.round(performance.getEntriesByName('ready')[0].startTime)")
        page.wait(ALIKE, 120)
        alike = page.run("Math.round(performance.getEntriesByName('alike')[0].startTime)")
        print(f"  first paint {page.run(PAINT):.0f} ms, first suspect {ready} ms, its nearest examples {alike} ms")
        print(f"  bytes {page.run(FETCHED):,}, pictures {page.run('document.images.length')}")
        steps = [pressed(page) for _ in range(40)]
        print(f"  from a key to the next suspect: median {np.median(steps):.0f} ms, largest {max(steps):.0f} ms")
        for of in ("", "3"):
            page.run("document.querySelector('#grid').hidden && document.querySelector('#open-grid').click()")
            page.wait("!document.querySelector('#grid').hidden")
            change = f"of.value = '{of}'; of.dispatchEvent(new Event('change'));"
            page.run(f"(of => {{ {change} }})(document.querySelector('#grid-of'))")
            time.sleep(1)
            tiles = page.run("document.querySelectorAll('.tile').length")
            all_tiles = page.run("document.querySelector('#selected').textContent")
            heap = page.run("performance.memory.usedJSHeapSize / 2**20")
            print(f"  grid of {of or 'suspects'} ({all_tiles}): pictures {tiles}, script's memory {heap:.0f} MiB")
    server.shutdown()
    server.server_close()


def pressed(page: Page) -> float:
    """Milliseconds from a key until the next suspect is on the screen, its decision on the disk."""
    before = page.run("document.querySelector('#identity').textContent")
    start = time.perf_counter()
    page.press("y")
    page.wait(f"document.querySelector('#identity').textContent !== {before!r} && document.images[0].complete")
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=60_000)
    limit = parser.parse_args().examples
    noisy = mislabel(load("mnist", limit=limit), symmetric_noise(10, 0.1), exact=True)
    found = suspects_of(noisy)
    print(f"{len(noisy.examples):,} examples, {len(found.flagged):,} suspects")
    with tempfile.TemporaryDirectory() as folder:
        write_review(found, Path(folder) / "suspects.csv")
        opened(Path(folder), noisy, found, "first time")
        opened(Path(folder), noisy, found, "second time")


if __name__ == "__main__":
    main()
