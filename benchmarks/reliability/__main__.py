"""Run the benchmark and print its table."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reliability.families import FAMILIES, measure
from reliability.rows import Scale, markdown, plain


def main() -> int:
    """Print one row a figure; 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python benchmarks/reliability", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a sample of everything")
    parser.add_argument("--only", default=",".join(FAMILIES), help=f"some of {', '.join(FAMILIES)}")
    parser.add_argument("--markdown", action="store_true", help="print the table for documents at the end")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chosen = asked.only.split(",")
    for name in chosen:
        if name not in FAMILIES:
            parser.error(f"expected some of {', '.join(FAMILIES)}, got {name!r}")
    start, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        for row in measure(chosen, Scale(asked.short, asked.seed), Path(folder).resolve()):
            rows.append(row)
            print(f"{time.monotonic() - start:6.0f} s  {plain(row)}", flush=True)
    if asked.markdown:
        print(f"\n{markdown(rows)}")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
