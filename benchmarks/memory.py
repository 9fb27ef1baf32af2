"""Size, power and coverage of memory left in simulations of which the truth is known, as Markdown.

    python -m benchmarks.memory --draws 200

Retrained models are drawn from a law with a mean of 0. The original is one more draw plus a trace: `trace` standard
deviations of the law, on every example.
"""

import argparse
import itertools
from collections.abc import Iterable

import numpy as np
from tests.auditing.test_memory import LAWS, Law

from untrain.auditing import Memory, memory, memory_of_method
from untrain.core.levels import ALPHA

SHAPES = ((19, 7), (19, 30), (39, 30), (39, 100))
CENTERED = ("normal", "student 3", "correlated .5", "correlated .9")


def table(head: list[str], body: Iterable[list[str]]) -> None:
    """Print a Markdown table, each line when it is known."""
    for line in itertools.chain((head, ["---"] * len(head)), body):
        print("| " + " | ".join(line) + " |", flush=True)


def size(law: Law, models: int, examples: int, draws: int) -> list[str]:
    """Shares of retrained models that are told apart, and of originals that left no trace of which one is seen."""
    generator, rejected = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = law(generator, (models + 2, examples))
        result = memory(drawn[0], drawn[1:-1], drawn[-1])
        rejected.append(p_values(result))
    return [f"{share:.3f}" for share in (np.array(rejected) <= ALPHA).mean(axis=0)]


def p_values(result: Memory) -> tuple[float, ...]:
    """Those of memory, of difference, of the trace and of the unchanged original."""
    return result.p_value, result.different_p_value, result.trace_p_value, result.original_p_value


def power(law: Law, models: int, examples: int, trace: float, draws: int) -> list[str]:
    """Shares of originals told apart, of models with half of the memory, and of traces seen."""
    generator, rejected = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = law(generator, (models + 2, examples))
        original = drawn[-1] + trace
        result = memory(drawn[0] + 0.5 * original, drawn[1:-1], original)
        rejected.append((result.original_p_value, result.p_value, result.trace_p_value))
    return [f"{share:.2f}" for share in (np.array(rejected) <= ALPHA).mean(axis=0)]


def coverage(law: Law, models: int, examples: int, trace: float, share: float, draws: int) -> list[str]:
    """How often intervals hold the truth, and how wide they are: of one model, and of eight models' mean."""
    generator, held, width = np.random.default_rng(0), [], []
    for _ in range(draws):
        drawn = law(generator, (models + 9, examples))
        original = drawn[-1] + trace
        moved, retrained = drawn[:8] + share * original, drawn[8:-1]
        one, mean = memory(moved[0], retrained, original).left, memory_of_method(moved, retrained, original).left
        held.append([left.low <= share <= left.high for left in (one, mean)])
        width.append([left.high - left.low for left in (one, mean)])
    cells = zip(np.mean(held, axis=0), np.median(width, axis=0), strict=True)
    return [f"{share:.2f}, {width:.2f}" for share, width in cells]


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    head = ["law", "N", "S"]
    print(f"**Size at .05** ({draws} draws; no trace; the last column is the power statement, not a test)\n")
    table(
        [*head, "memory", "different", "trace", "unchanged original"],
        (
            [law, str(models), str(examples), *size(LAWS[law], models, examples, draws)]
            for law, (models, examples) in itertools.product(LAWS, SHAPES[:3])
        ),
    )
    print(f"\n**Power at .05** ({draws // 2} draws; trace in standard deviations)\n")
    table(
        [*head, "trace", "unchanged original", "half of its memory", "trace seen"],
        (
            [law, str(models), str(examples), f"{trace:g}", *power(LAWS[law], models, examples, trace, draws // 2)]
            for law, (models, examples), trace in itertools.product(CENTERED, SHAPES, (0.5, 1.5))
        ),
    )
    print(f"\n**Coverage, median width** ({draws // 2} draws; trace 1.5; nominal 90 % at N = 19, else 95 %)\n")
    table(
        [*head, "memory", "one model", "a method's mean of 8"],
        (
            [law, str(models), str(examples), f"{m:g}", *coverage(LAWS[law], models, examples, 1.5, m, draws // 2)]
            for law, (models, examples), m in itertools.product(CENTERED, SHAPES[:3], (0.0, 0.3, 0.8))
        ),
    )


if __name__ == "__main__":
    main()
