"""Time and memory of the competition's score at N = 512, one core.

python benchmarks/score.py
"""

import resource
import time

import numpy as np

from untrain.auditing import forget_quality


def main() -> None:
    """Print milliseconds an example and the memory that it took."""
    for models in (64, 512, 2048):
        unlearned, retrained = np.random.default_rng(0).normal(size=(2, models, 40))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        forget_quality(unlearned, retrained)
        milliseconds = 1000 * (time.process_time() - start) / 40
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"N = {models}: {milliseconds:.1f} ms an example, {grown:.0f} MiB more than before")


if __name__ == "__main__":
    main()
