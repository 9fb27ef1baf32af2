"""Whether eight models are trained faster together or one after another, by their size, on one core, in the same run.

    python benchmarks/few.py

What `untrain.population.fitting.rule_of_thumb` goes by. The two take turns; printed is the median of the ratios of
processor seconds with their range: below 1, together is faster.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import statistics
import time

import numpy as np
import torch

from untrain.data import Examples
from untrain.models import MLP, Factory, factory
from untrain.population import SGD, Engine, Population, Recipe

MODELS, ROUNDS = 8, 5
SIZES = ((20, (64,)), (64, (50, 50)), (784, (50, 50)), (784, (100, 100)), (256, (256, 256)), (784, (256, 256)))
RECIPE = Recipe(optimizer=SGD(lr=0.01, momentum=0.9), epochs=4, batch_size=64)


def seconds(build: Factory, examples: Examples, width: int) -> float:
    """Processor seconds of training all models."""
    models = Population.create(build, MODELS, engine=Engine(width))
    start = time.process_time()
    models.train(examples, RECIPE)
    return time.process_time() - start


def main() -> None:
    """Print one line a size."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    for inputs, widths in SIZES:
        rows = generator.normal(size=(1024, inputs)).astype(np.float32)
        examples = Examples.of(rows, generator.integers(10, size=len(rows)))
        build = factory(MLP(widths=widths), (inputs,), 10)
        size = sum(parameter.numel() for parameter in build().parameters())
        seconds(build, examples, 1), seconds(build, examples, MODELS)  # warm up
        ratios = sorted(seconds(build, examples, MODELS) / seconds(build, examples, 1) for _ in range(ROUNDS))
        print(
            f"MLP {'-'.join(map(str, (inputs, *widths, 10))):16} {size:8,} parameters: "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
