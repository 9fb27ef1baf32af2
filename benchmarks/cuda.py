"""What one CUDA device does with untrain: checks, timings, and as much of an experiment as the time allows.

    python benchmarks/cuda.py --minutes 10 --data DIR --out OUT

Needs the package alone; DIR holds `cifar10/*.parquet` (without it, digits are used). After each step a line of JSON is
appended to OUT/cuda.jsonl, so that a cut loses nothing; a table comes last. The time is never exceeded.

1. CPU against CUDA: the same models after a few steps, in float64 and float32; captured steps against eager ones, bit
   for bit, with deterministic kernels.
2. Time of one step of one model, for the ways to compute it; images a second in evaluation.
3. Whether bfloat16 leaves the confidences of 32 small models as they are: rank energy against float32 models, beside
   that of two sets of float32 models.
4. An experiment, in OUT/<experiment>: an ordinary run directory, which another call or `untrain run` continues.

`--device cpu` runs all of it in small. Figures: docs/performance.md.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import argparse
import json
import platform
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import msgspec
import numpy as np
import torch

from untrain.auditing import rank_energy
from untrain.data import Examples, load
from untrain.errors import InterruptedRunError
from untrain.experiments import Experiment, Progress, read_experiment, run_experiment
from untrain.experiments.executors.processes import one_thread
from untrain.models import CNN, MLP, Model, ResNet18, factory
from untrain.population import SGD, Adam, AdamW, Cosine, Engine, Population, Recipe
from untrain.population.choice import step_seconds

STEPS, MODELS, BATCH = 22_980, 512, 64
PARAMETERS, ADAM_BYTES, STEP_FLOP = 11.2e6, 46, 13.9e9
SMALL_LAYERS_FLOP_S = 400e12
"""What bfloat16 products of this size reach on an H100, for the floor of ResNet-18."""

EAGER = Engine(slots=0, reason="given")


class _TimeIsUpError(BaseException):
    """Raised by the alarm wherever the work is."""


@dataclass
class Bench:
    """The device, the time and the figures so far."""

    device: torch.device
    data: Path | None
    out: Path
    end: float

    def __post_init__(self) -> None:
        self.cuda = self.device.type == "cuda"
        self.rows: list[dict[str, object]] = []

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.end - time.time()

    def note(self, step: str, **values: object) -> None:
        """Keep a line of figures: printed, written, flushed."""
        self.rows.append({"step": step, **values})
        line = json.dumps(self.rows[-1])
        print(line, flush=True)
        with (self.out / "cuda.jsonl").open("a") as file:
            file.write(line + "\n")

    def attempt(self, step: str, work: Callable[[], dict[str, object]], needs: float = 0.0) -> None:
        """Do a step if at least `needs` seconds are left; a failure is noted and passed over."""
        if self.left < needs:
            self.note(step, skipped=f"needs {needs:.0f} s, {max(self.left, 0):.0f} s are left")
            return
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        try:
            values = work()
        except Exception as error:  # noqa: BLE001 (one step must not end the others)
            trace = traceback.format_exc().splitlines()
            values = {"error": f"{type(error).__name__}: {str(error)[:300]}", "trace": trace[-8:]}
        if self.cuda:
            with suppress(RuntimeError):
                torch.cuda.synchronize()
                values["gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        self.note(step, **values, seconds=round(time.perf_counter() - start, 1))

    @cached_property
    def noise(self) -> Examples:
        """Random images of the size that CIFAR-10 has: what is in them does not matter for speed."""
        generator = np.random.default_rng(0)
        count = 20_000 if self.cuda else 1_000
        inputs = generator.random((count, 3, 32, 32), dtype=np.float32)
        return Examples.of(inputs, generator.integers(10, size=count), classes=[str(label) for label in range(10)])

    @cached_property
    def images(self) -> tuple[Examples, Examples]:
        """Training and test images."""
        few = None if self.cuda else 1_000
        if self.data is None:
            return load("digits", limit=few), load("digits", limit=500, seed=1)
        return (
            load("cifar10", data_dir=self.data, limit=few or 20_000),
            load("cifar10", data_dir=self.data, part="test", limit=few or 2_000),
        )

    # 1. Checks

    def environment(self) -> dict[str, object]:
        """Versions and hardware, and the floor of a step of ResNet-18 on a GPU."""
        values: dict[str, object] = {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "device": torch.cuda.get_device_name() if self.cuda else platform.processor() or platform.machine(),
        }
        if self.cuda:
            source = torch.empty(2**30, device=self.device, dtype=torch.uint8)
            target = torch.empty_like(source)
            bandwidth = 2 * 2**30 / self.seconds(lambda: target.copy_(source))
            floor = PARAMETERS * ADAM_BYTES / bandwidth + STEP_FLOP / SMALL_LAYERS_FLOP_S
            values |= {"copy_tb_s": round(bandwidth / 1e12, 2), "floor_us": round(1e6 * floor)}
        return values

    def seconds(self, work: Callable[[], object]) -> float:
        """Seconds of a call, the mean of ten or fewer."""
        times = 10 if self.cuda else 2
        work()
        self.wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - start) / times

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.cuda:
            torch.cuda.synchronize()

    def trained(
        self, model: Model, recipe: Recipe, engine: Engine, *, count: int = 2, first: int = 0, examples: int = 640
    ) -> Population:
        """Models trained on the first examples, on the device."""
        few = self.noise.select(range(examples))
        return self.untrained(model, count, engine, first=first).train(few, recipe)

    def untrained(
        self,
        model: Model,
        count: int,
        engine: Engine,
        *,
        first: int = 0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
        examples: Examples | None = None,
    ) -> Population:
        """New models, for random images or others."""
        examples = self.noise if examples is None else examples
        build = factory(model, examples.inputs.shape[1:], len(examples.classes))
        return Population.create(
            build, count, seed=3, first=first, device=device or self.device, dtype=dtype, engine=engine
        )

    def against_cpu(self, dtype: torch.dtype) -> dict[str, object]:
        """Largest difference of the confidences of the same models, trained on the CPU and on the device."""
        few = self.noise.select(range(256))
        recipe = Recipe(optimizer=SGD(lr=0.03125, momentum=0.9), epochs=3, batch_size=32)
        confidences = [
            self.untrained(CNN(), 2, Engine(), dtype=dtype, device=device).train(few, recipe).confidences(few)
            for device in ("cpu", self.device)
        ]
        difference = float(np.abs(confidences[0] - confidences[1]).max())
        return {"difference": difference, "spread": round(float(confidences[0].std()), 3)}

    def same_bits(self, model: Model, recipe: Recipe, engine: Engine) -> dict[str, object]:
        """Whether an engine gives the bits of eager steps."""
        with one_thread():
            eager, other = (self.trained(model, recipe, each, count=3) for each in (EAGER, engine))
        pairs = [(eager.tensors[name], other.tensors[name]) for name in eager.tensors]
        difference = max(float((a.double() - b.double()).abs().max()) for a, b in pairs)
        return {"equal": all(torch.equal(a, b) for a, b in pairs), "difference": difference}

    def checks(self) -> None:
        """CPU against the device, and captured steps against eager ones."""
        self.attempt("CPU against the device, float64", partial(self.against_cpu, torch.float64))
        tf32 = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        self.attempt("CPU against the device, float32, no TF32", partial(self.against_cpu, torch.float32))
        torch.backends.cudnn.allow_tf32 = tf32
        self.attempt("CPU against the device, float32", partial(self.against_cpu, torch.float32))
        slots = Engine(slots=2)
        epochs = 4 if self.cuda else 1
        cases: dict[str, tuple[Model, Recipe]] = {
            "CNN, SGD": (
                CNN(),
                Recipe(
                    optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=5e-4),
                    schedule=Cosine(per="step"),
                    epochs=epochs,
                    batch_size=60,
                ),
            ),
            "MLP, AdamW": (MLP(), Recipe(optimizer=AdamW(), schedule=Cosine(), epochs=epochs)),
            "CNN, Adam, class weights": (
                CNN(),
                Recipe(optimizer=Adam(), epochs=epochs, batch_size=60, class_balance=0.5),
            ),
        }
        if self.cuda:
            cases["ResNet-18, Adam"] = ResNet18(), Recipe(optimizer=Adam(lr=1e-4), epochs=4)
        for name, (model, recipe) in cases.items():
            self.attempt(f"captured equals eager: {name}", partial(self.same_bits, model, recipe, slots))
        if self.cuda:
            model, recipe = cases["ResNet-18, Adam"]
            twice = partial(self.same_bits, model, recipe, EAGER)
            self.attempt("eager equals eager: ResNet-18, Adam", twice)
            last = partial(self.same_bits, model, recipe, Engine(slots=2, channels_last=True))
            self.attempt("channels last against not: ResNet-18, Adam (for scale)", last)

    # 2. Timings

    def step_of(self, model: Model, engine: Engine) -> dict[str, object]:
        """Microseconds of a step of one model."""
        count = max(engine.slots, engine.width)
        models = self.untrained(model, count, engine)
        inputs, _ = models.resident(self.noise)
        with one_thread():
            seconds = step_seconds(engine, models.module, models.tensors, inputs, BATCH)
        values: dict[str, object] = {"us": round(1e6 * seconds, 1)}
        if isinstance(model, ResNet18):
            values["hours_512"] = round(seconds * STEPS * MODELS / 3600, 2)
        return values

    def timings(self) -> None:
        """The ways to compute a step, most valuable first."""
        small, medium = CNN(widths=(16, 32)), CNN(widths=(32, 64, 128))
        engines = [EAGER, Engine(slots=1), Engine(slots=8)]
        if not self.cuda:
            for engine in (EAGER, Engine(slots=2)):
                self.attempt(f"step, small CNN, {described(engine)}", partial(self.step_of, small, engine), 20)
            return
        last, bfloat16 = Engine(slots=8, channels_last=True), Engine(slots=8, channels_last=True, bfloat16=True)
        more = [last, bfloat16, Engine(slots=4), Engine(slots=16), Engine(slots=16, channels_last=True)]
        for engine in (*engines, *more):
            self.attempt(f"step, ResNet-18, {described(engine)}", partial(self.step_of, ResNet18(), engine), 20)
        for model, name in ((small, "small CNN"), (medium, "medium CNN")):
            for engine in (*engines, last, Engine(slots=16), Engine(slots=32)):
                self.attempt(f"step, {name}, {described(engine)}", partial(self.step_of, model, engine), 20)
        for engine in (*engines, Engine(width=64)):
            self.attempt(f"step, MLP, {described(engine)}", partial(self.step_of, MLP(), engine), 20)

    def compiled_timings(self) -> None:
        """Compiled slots, which take minutes."""
        for engine in (
            Engine(slots=8, channels_last=True, compiled=True),
            Engine(slots=8, channels_last=True, compiled=True, bfloat16=True),
        ):
            self.attempt(f"step, ResNet-18, {described(engine)}", partial(self.step_of, ResNet18(), engine), 150)
            torch._dynamo.reset()

    def evaluation(self, model: Model) -> dict[str, object]:
        """Images a second in evaluation, by the size of the batch."""
        module = self.untrained(model, 1, EAGER).module()
        inputs = torch.from_numpy(self.noise.inputs).to(self.device)
        rates: dict[str, int] = {}
        with torch.no_grad():
            for size in (64, 256, 512, 1024, 4096, 16384):
                batch = inputs[torch.arange(size, device=self.device) % len(inputs)]
                rates[str(size)] = round(size / self.seconds(partial(module, batch)))
                if self.left < 30:
                    break
        return {"images_per_second": rates}

    # 3. Precision

    def precision(self, count: int) -> dict[str, object]:
        """Rank energy of bfloat16 models against float32 models, and of float32 models against others."""
        train, test = self.images
        few = train.select(range(min(len(train), 10_000 if self.cuda else 200)))
        test = test.select(range(min(len(test), 300)))
        recipe = Recipe(optimizer=AdamW(lr=3e-3), schedule=Cosine(), epochs=8 if self.cuda else 1)
        slots = min(count, 16)
        engines = [Engine(slots=slots), Engine(slots=slots, bfloat16=True), Engine(slots=slots)]
        confidences, accuracies = [], []
        for position, engine in enumerate(engines):
            new = self.untrained(CNN(widths=(16, 32)), count, engine, first=position * count, examples=few)
            models = new.train(few, recipe)
            confidences.append(models.confidences(test))
            accuracies.append(round(float(models.accuracy(test).mean()), 4))
        against, control = (rank_energy(confidences[other], confidences[0]) for other in (1, 2))
        return {
            "models": count,
            "accuracy": dict(zip(("float32", "bfloat16", "float32 again"), accuracies, strict=True)),
            **{
                name: [round(value, 4) for value in (found.total.value, found.total.low, found.total.high)]
                for name, found in (("bfloat16 against float32", against), ("float32 against float32", control))
            },
        }

    # 4. An experiment

    def experiment(self, name: str, models: int | None, originals: int | None) -> dict[str, object]:
        """Run it until the time is over; the run directory can be continued anywhere."""
        experiment = read_experiment(name)
        if models is not None and isinstance(experiment, Experiment):
            experiment = msgspec.structs.replace(experiment, models=models)
        if originals is not None:
            experiment = msgspec.structs.replace(experiment, originals=originals)
        states: list[Progress] = []
        begun, noted = time.time(), 0.0

        def progress(state: Progress) -> None:
            nonlocal noted
            states.append(state)
            if time.time() - noted > 15:
                noted = time.time()
                values = {"done": state.done, "of": state.total, "doing": state.doing}
                self.note(f"run {name}", **values, after=round(noted - begun, 1))

        finished, chosen = True, None
        directory = self.out / name
        try:
            run_experiment(
                experiment,
                directory,
                data_dir=self.data,
                workers=1 if self.cuda else None,
                device=str(self.device),
                progress=progress,
            )
        except (_TimeIsUpError, InterruptedRunError):
            finished = False
        with suppress(Exception):
            stored = read_experiment(str(directory / "experiment.toml"))
            chosen = stored.engine.reason if isinstance(stored, Experiment) and stored.engine else None
        done = [states[0].done, states[-1].done, states[-1].total] if states else None
        return {"finished": finished, "jobs_before_after_of": done, "engine": chosen, "directory": str(directory)}

    def table(self) -> None:
        """The figures for people."""
        width = max(len(str(row["step"])) for row in self.rows)
        print(f"\n{'step':{width}s}  result")
        for row in self.rows:
            shown = {key: value for key, value in row.items() if key not in ("step", "trace")}
            print(f"{row['step']!s:{width}s}  " + ", ".join(f"{key} {value}" for key, value in shown.items()))


def started() -> float:
    """When this process began: imports count as well."""
    process = Path("/proc/self")
    return process.stat().st_ctime if process.exists() else time.time()


def described(engine: Engine) -> str:
    """An engine in words."""
    if engine.width > 1:
        return f"width {engine.width}, eager"
    words = [f"{engine.slots} slots" if engine.slots else "eager", "bfloat16" if engine.bfloat16 else "float32"]
    words += ["channels last"] * engine.channels_last + ["compiled"] * engine.compiled
    return ", ".join(words)


def main() -> None:
    """Checks, timings, precision and an experiment, within the time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path, help="folder with cifar10/*.parquet")
    parser.add_argument("--out", type=Path, default=Path("cuda-out"))
    parser.add_argument("--experiment", help="default table1-cifar10 on a GPU, a small one on a CPU")
    parser.add_argument("--models", type=int, help="number of models of the experiment, instead of its own")
    parser.add_argument("--originals", type=int, help="number of original models of the experiment, where it has that")
    parser.add_argument("--compiled", action="store_true", help="also time compiled slots, which takes minutes")
    parser.add_argument("--only", choices=("checks", "timings", "precision", "experiment"), help="one part alone")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data = given.data if given.data and list(given.data.glob("cifar10/*.parquet")) else None
    bench = Bench(torch.device(given.device), data, given.out, started() + 60 * given.minutes)
    small = "digits" if data is None else "cifar10-small"
    name = given.experiment or ("table1-cifar10" if bench.cuda and data else small)

    def time_is_up(*_: object) -> None:
        raise _TimeIsUpError

    signal.signal(signal.SIGALRM, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, max(bench.left - 8, 1))
    torch.set_num_threads(1)
    parts: dict[str, Callable[[], None]] = {
        "checks": bench.checks,
        "timings": bench.timings,
        "precision": lambda: bench.attempt(
            "bfloat16 or float32", partial(bench.precision, 32 if bench.cuda else 8), 60 if bench.cuda else 30
        ),
        "experiment": lambda: bench.attempt(
            f"run {name}", partial(bench.experiment, name, given.models, given.originals), 10
        ),
    }
    try:
        bench.attempt("environment", bench.environment)
        for part, work in parts.items():
            if given.only in (None, part):
                work()
            if part == "timings" and bench.cuda:
                for model, words in ((ResNet18(), "ResNet-18"), (CNN(), "small CNN")):
                    bench.attempt(f"evaluation, {words}", partial(bench.evaluation, model), 20)
                if given.compiled:
                    bench.compiled_timings()
    except _TimeIsUpError:
        bench.note("end", reason="the time was over")
    signal.setitimer(signal.ITIMER_REAL, 0)
    bench.table()


if __name__ == "__main__":
    main()
