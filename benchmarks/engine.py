"""How much faster a population trains than a plain PyTorch training loop, on one core, in the same run.

    python benchmarks/engine.py

The loop trains one model after another: a `DataLoader`, the module, an optimizer as its documentation shows it. Both
sides train the same architectures on the same examples with the same recipe. They take turns, so that a slow spell of
the machine slows down both, and the median of the ratios is printed with their range. Seconds are processor seconds
of this process, which has one thread; choosing the engine is timed apart.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import platform
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from untrain.data import Examples, load
from untrain.models import CNN, MLP, Model, ResNet18, factory
from untrain.population import SGD, Population, Recipe


@dataclass(frozen=True)
class Case:
    """An architecture, its data, and how many models a population has and the loop trains."""

    name: str
    model: Model
    examples: Examples
    recipe: Recipe
    models: int
    loop_models: int
    rounds: int


def images(shape: tuple[int, ...], count: int) -> Examples:
    """Random images: what is in them does not matter for speed."""
    generator = np.random.default_rng(0)
    return Examples.of(generator.random((count, *shape), dtype=np.float32), np.arange(count) % 10)


def recipe(epochs: float, batch_size: int) -> Recipe:
    """SGD with momentum."""
    return Recipe(optimizer=SGD(lr=0.01, momentum=0.9), epochs=epochs, batch_size=batch_size)


CASES = [
    Case("digits MLP 64-50-50-10, N = 64", MLP(widths=(50, 50)), load(), recipe(2, 32), 64, 4, 7),
    Case("digits CNN 8-16, N = 16", CNN(widths=(8, 16)), load(), recipe(1, 64), 16, 4, 7),
    Case("CNN 32-64 on 28x28, N = 8", CNN(widths=(32, 64)), images((1, 28, 28), 640), recipe(1, 64), 8, 8, 5),
    Case("ResNet-18 on 32x32, N = 2", ResNet18(), images((3, 32, 32), 512), recipe(1, 64), 2, 2, 5),
]


def plain_loop(case: Case) -> float:
    """Processor seconds a model of a plain PyTorch training loop."""
    build = factory(case.model, case.examples.inputs.shape[1:], 10)
    data = TensorDataset(torch.from_numpy(case.examples.inputs), torch.from_numpy(case.examples.labels))
    start = time.process_time()
    for seed in range(case.loop_models):
        torch.manual_seed(seed)
        module = build().train()
        loader = DataLoader(data, batch_size=case.recipe.batch_size, shuffle=True)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
        for _ in range(int(case.recipe.epochs)):
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(module(x), y).backward()
                optimizer.step()
    return (time.process_time() - start) / case.loop_models


def population(case: Case, models: Population) -> float:
    """Processor seconds a model of a population, new models and their initialization included."""
    start = time.process_time()
    models.fresh().train(case.examples, case.recipe)
    return (time.process_time() - start) / case.models


def main() -> None:
    """Print one line a case."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, one thread")
    for case in CASES:
        build = factory(case.model, case.examples.inputs.shape[1:], 10)
        models = Population.create(build, case.models)
        start = time.process_time()
        next(models.chunks(case.examples, case.recipe.batch_size))
        chosen = time.process_time() - start
        plain_loop(case)  # warm up
        population(case, models)
        pairs = [(plain_loop(case), population(case, models)) for _ in range(case.rounds)]
        ratios = sorted(loop / ours for loop, ours in pairs)
        loop, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
        assert models.engine is not None
        print(
            f"{case.name:32} {statistics.median(ratios):5.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
            f"{loop:.3f} s and {ours:.3f} s a model; width {models.engine.width}"
            f"{', channels last' if models.engine.channels_last else ''}, chosen in {chosen:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
