"""What a run stores and what sharing it costs: bytes a model, and seconds for claims on this disk.

    python benchmarks/scale.py [DIR]

DIR is a directory on the disk that is asked; default a temporary one. Needs no data and no GPU; takes a minute.
"""

import sys
import tempfile
import time
from pathlib import Path

import torch

from untrain.core.files import sealed
from untrain.experiments.comparison.work import ORIGINAL, Arm, ChunkJob, ComparisonWork
from untrain.experiments.config import Data, Experiment
from untrain.experiments.executors.claims import claimed
from untrain.models import CNN, MLP, PooledCNN, ResNet18, factory
from untrain.population import SGD, Engine, Population, Recipe

MODELS = (
    ("MLP of tables, 64 inputs", MLP(), (64,), 10),
    ("CNN of `cifar10-small`", CNN((8, 16)), (3, 32, 32), 10),
    ("CNN of `table1-cifar10-medium`", PooledCNN((32, 64, 128)), (3, 32, 32), 10),
    ("ResNet-18, 10 classes", ResNet18(), (3, 32, 32), 10),
    ("ResNet-18, 1,000 classes", ResNet18(), (3, 64, 64), 1000),
)
CLAIMS, JOBS = 300, 1000


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    for name, spec, shape, classes in MODELS:
        original = Population.create(factory(spec, shape, classes), 1, engine=Engine())
        print(f"original, {name}: {len(sealed(*original.contents())):,} bytes")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as directory:
        _outcomes(Path(directory))
        _claims(Path(directory))


def _outcomes(directory: Path) -> None:
    """What is stored of a model that was made to forget, for two sizes of the forget set: its weights are not."""
    experiment = Experiment(
        name="bytes", title="Bytes of a model", data=Data(limit=1700), model=MLP((4,)), forget=(0.1, 0.5),
        methods=("finetune",), models=16, chunk=16, engine=Engine(16), recipe=Recipe(optimizer=SGD(lr=0.1), epochs=1),
    )  # fmt: skip
    work = ComparisonWork(experiment.resolved(), directory)
    work.do(ChunkJob(ORIGINAL, 0, 1))
    for setting in work.settings:
        size = len(work.make(ChunkJob(Arm(setting, "finetune"), 0, 16)))
        examples = len(work.sets(setting).forget)
        each = size / 16 / examples
        print(f"16 models, {examples} forgotten examples: {size:,} bytes, {each:.2f} a model and example")


def _claims(directory: Path) -> None:
    result = directory / "claims" / "result"
    start = time.perf_counter()
    for _ in range(CLAIMS):
        with claimed(result):
            pass
    print(f"a claim, made and released: {1e3 * (time.perf_counter() - start) / CLAIMS:.2f} ms")
    with claimed(result):
        start = time.perf_counter()
        for _ in range(CLAIMS):
            with claimed(result):
                pass
        print(f"a look at the claim of another: {1e3 * (time.perf_counter() - start) / CLAIMS:.2f} ms")
    start = time.perf_counter()
    for number in range(JOBS):
        (directory / str(number)).is_file()
    print(f"a look at {JOBS:,} results that are not there: {1e3 * (time.perf_counter() - start):.1f} ms")


if __name__ == "__main__":
    main()
