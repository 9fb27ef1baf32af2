"""Time and memory of the fast path on large data, one thread: features at hand, no network.

    OMP_NUM_THREADS=1 python benchmarks/fast_path.py

10,000 examples of 1,280 synthetic features in 10 classes, and the 60,000 images of MNIST by their pixels; a tenth of
the labels is wrong. The memory is the largest of the process so far.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

import untrain as un


def synthetic() -> un.Examples:
    """Ten clusters among 1,280 features."""
    generator = np.random.default_rng(0)
    labels = generator.integers(10, size=10_000)
    centers = generator.normal(size=(10, 1280)) / 10
    inputs = centers[labels] + generator.normal(size=(10_000, 1280))
    return un.Examples.of(inputs.astype(np.float32), labels)


def main() -> None:
    """Print a line for each data set."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| data | CPU-s | MiB | ROC AUC | F1 | share wrong | estimate |\n|---|---|---|---|---|---|---|", flush=True)
    for name, make in (("synthetic, 10,000 x 1,280", synthetic), ("MNIST, 60,000 x 784", lambda: un.load("mnist"))):
        examples = make()
        noise = un.mislabel(examples, un.symmetric_noise(10, 0.1), seed=0)
        start = time.process_time()
        suspects = un.detect(features=noise.examples.inputs, labels=noise.examples.labels)
        seconds = time.process_time() - start
        flagged = np.isin(np.arange(len(examples)), suspects.flagged)
        auc, f1 = roc_auc_score(noise.mislabelled, suspects.scores), f1_score(noise.mislabelled, flagged)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {name} | {seconds:.1f} | {memory:.0f} | {auc:.3f} | {f1:.3f} | {noise.ratio:.3f} | "
            f"{suspects.noise_ratio:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
