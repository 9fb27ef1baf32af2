"""Where the processor time of an experiment goes: training, and everything else.

    python benchmarks/stages.py digits --models 32 48

Each run happens in one process and a new directory. The functions of `STAGES` and what they call count for the
innermost stage, and all that is done to time single models for that. Two numbers of models give a line for each stage,
from which `--for 512` models follow: no stage grows faster than the number of models, and timing single models does not
grow beyond the first three chunks.
"""

import argparse
import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from untrain.experiments import read_experiment, run_experiment
from untrain.experiments import run as run_module
from untrain.experiments.comparison import work as work_module
from untrain.experiments.comparison.work import ComparisonWork
from untrain.population import Population, Training

TIMING = "timing of single models"
STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "training": ((Training, "run"),),
    "methods outside training": ((ComparisonWork, "unlearn"),),
    TIMING: ((ComparisonWork, "seconds_alone"),),
    "evaluation": ((Population, "accuracy"), (Population, "confidences")),
    "scores": ((work_module, "scores_of"), (work_module, "energies_of")),
    "report": ((run_module, "write_report"), (run_module, "comparison_results")),
}


class Clock:
    """Processor seconds by stage; the innermost stage counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.stack = ["start and the rest"]
        self.last = time.process_time()

    def turn(self) -> None:
        """Count the time since the last turn for the present stage."""
        now = time.process_time()
        self.seconds[self.stack[-1]] += now - self.last
        self.last = now

    def counted(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts for the stage."""

        @functools.wraps(function)
        def called(*args: Any, **options: Any) -> Any:  # noqa: ANN401
            self.turn()
            self.stack.append(TIMING if TIMING in self.stack else stage)
            try:
                return function(*args, **options)
            finally:
                self.turn()
                self.stack.pop()

        return called


def stages_of(name: str, models: int, data_dir: str | None) -> dict[str, float]:
    """Processor seconds of an experiment by stage."""
    experiment = msgspec.structs.replace(read_experiment(name), models=models)
    clock = Clock()
    before = [(owner, attribute, getattr(owner, attribute)) for pairs in STAGES.values() for owner, attribute in pairs]
    for stage, pairs in STAGES.items():
        for owner, attribute in pairs:
            setattr(owner, attribute, clock.counted(stage, getattr(owner, attribute)))
    try:
        with tempfile.TemporaryDirectory() as folder:
            run_experiment(experiment, Path(folder), data_dir=data_dir, workers=1, device="cpu")
    finally:
        for owner, attribute, function in before:
            setattr(owner, attribute, function)
    clock.turn()
    return dict(clock.seconds)


def main() -> None:
    """Print a table of seconds and shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--models", type=int, nargs=2, default=(32, 48))
    parser.add_argument("--for", type=int, default=512, dest="target")
    parser.add_argument("--data-dir")
    given = parser.parse_args()
    few, many = given.models
    first, second = (stages_of(given.experiment, models, given.data_dir) for models in (few, many))
    columns = {few: first, many: second, given.target: {}}
    for stage in second:
        grown = 0.0 if stage == TIMING else max(0.0, second[stage] - first.get(stage, 0.0))
        slope = grown / (many - few)
        columns[given.target][stage] = second[stage] + slope * (given.target - many)
    print(f"{'stage':28}" + "".join(f"{f'N = {models}':>20}" for models in columns))
    for stage in sorted(second, key=lambda stage: -second[stage]):
        cells = (f"{column[stage]:9.1f} s {column[stage] / sum(column.values()):7.1%}" for column in columns.values())
        print(f"{stage:28}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
