"""What a run stores, what sharing it costs on this disk, and what scoring it and decoding photographs take.

    python benchmarks/scale.py [DIR]

DIR is a directory on the disk that is asked; default a temporary one. Needs no data and no GPU; takes a minute.
"""

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from untrain.core.environment import processor_kind
from untrain.core.files import sealed
from untrain.data import Prepare
from untrain.data.images import opened
from untrain.experiments.comparison.scores import PARTS, ArmFigures, scores_of
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
ARM, SCORED, PHOTOGRAPHS = 512, 64, 300


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    print(processor_kind("cpu"))
    for name, spec, shape, classes in MODELS:
        original = Population.create(factory(spec, shape, classes), 1, engine=Engine())
        print(f"original, {name}: {len(sealed(*original.contents())):,} bytes")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as directory:
        _outcomes(Path(directory))
        _claims(Path(directory))
    _scoring()
    _decoding()


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
    """The median of many times: other processes of the machine delay some of them."""
    result = directory / "claims" / "result"

    def claim() -> None:
        with claimed(result):
            pass

    def look() -> None:
        for number in range(JOBS):
            (directory / str(number)).is_file()

    print(f"a claim, made and released: {_milliseconds(claim, CLAIMS):.2f} ms")
    with claimed(result):
        print(f"a look at the claim of another: {_milliseconds(claim, CLAIMS):.2f} ms")
    print(f"a look at {JOBS:,} results that are not there: {_milliseconds(look, 20):.1f} ms")


def _milliseconds(act: Callable[[], None], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def _scoring() -> None:
    """Processor time of all scores of an arm, which grows with the number of its forgotten examples."""
    unlearned, retrained = np.random.default_rng(0).normal(size=(2, ARM, SCORED))
    accuracies = {part: np.full(ARM, 0.9) for part in PARTS}
    arm, reference = (ArmFigures(values, accuracies, np.ones(1)) for values in (unlearned, retrained))
    start = time.process_time()
    scores_of(arm, reference, unlearned[:1] + 3, np.zeros(ARM, np.intp))
    taken = 1e3 * (time.process_time() - start) / SCORED
    print(f"scoring an arm of {ARM} models: {taken:.1f} ms for each of {SCORED} forgotten examples")


def _decoding() -> None:
    """Photographs a second of one core, from JPEG to the pixels of a network."""
    photograph = _photograph()
    prepare = Prepare(size=(224, 224))
    start = time.process_time()
    for _ in range(PHOTOGRAPHS):
        prepare(opened(photograph, "a photograph"))
    rate = PHOTOGRAPHS / (time.process_time() - start)
    print(f"photographs of 500x375 ({len(photograph):,} bytes), decoded and resized to 224x224: {rate:.0f} a second")


def _photograph() -> bytes:
    """A JPEG file as large as a photograph: as in those, amplitudes fall with the frequency."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(500), np.fft.fftfreq(375)))[..., None]
    noise = np.fft.fft2(np.random.default_rng(0).normal(size=(375, 500, 3)), axes=(0, 1))
    pixels = np.fft.ifft2(noise / np.maximum(frequency, 1 / 500), axes=(0, 1)).real
    pixels = 128 + 50 * (pixels - pixels.mean()) / pixels.std()
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


if __name__ == "__main__":
    main()
