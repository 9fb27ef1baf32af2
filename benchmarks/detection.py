"""Detectors of wrong labels side by side, on the same data: ours, cleanlab, Datalab and nearest neighbors.

    python benchmarks/detection.py [--images 2000] [--seeds 1] [--workers 1] [--data digits wine]
        [--tools auto linear] [--results detection.jsonl]

Every cell runs on one thread in a process of its own and is one line of the results file, so a stopped benchmark
continues where it was. A line has the ranks of the scores and what is flagged; all figures are computed from them.
Markdown goes to the standard output: a table of the settings, with ROC AUC, average precision and F1 of each tool, and
a table of the tools, with their estimates of the share of wrong labels, coverage, CPU seconds and peak memory.

`auto` trains networks; all others take the inputs for features. `cleanlab` has out-of-fold probabilities of a logistic
regression, and its default filter. `Datalab` has the inputs alone, and makes probabilities of its own neighbors: with
probabilities it ignores them, and repeats `cleanlab`. `kNN` is the share of the ten nearest inputs with another label,
flagged above one half.

The last columns compare `auto` with the best other tool, `linear` included, by ROC AUC and average precision, and by
F1. `auto` is within noise where the paired difference on these examples is below 1.96 of its standard errors, by 300
bootstrap samples of the examples; the spread over training and folds is not in it. Where all labels are right, the
better tool flags fewer.
"""

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

import untrain as un
from label_noise import clean, noisy
from untrain.errors import UndecidableError

Setting = tuple[str, str, float]
SETTINGS: list[Setting] = [
    *[("mnist", kind, share) for kind, share in (
        ("symmetric", 0.2), ("symmetric", 0.45), ("pair", 0.3), ("class", 0.18), ("one class", 0.045),
        ("imbalance", 0.1), ("two classes", 0.2), ("instance", 0.2), ("clean", 0.0),
    )],
    *[("digits", kind, share) for kind, share in (
        ("symmetric", 0.45), ("pair", 0.3), ("one class", 0.04), ("two classes", 0.2), ("instance", 0.2),
    )],
    ("cifar10", "symmetric", 0.2), ("cifar10", "instance", 0.2),
    ("breast cancer", "symmetric", 0.2), ("breast cancer", "instance", 0.2),
    ("wine", "symmetric", 0.2), ("iris", "symmetric", 0.2),
]  # fmt: skip
BOOTSTRAP_SAMPLES = 300
Row = dict[str, Any]
Ints = npt.NDArray[np.int64]
Result = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], float, tuple[float, float] | None]
"""Scores, which labels are flagged, the share of wrong labels, and its interval."""


def ours(suspects: un.Suspects) -> Result:
    """What a detection of ours found."""
    flagged = np.isin(np.arange(len(suspects.scores)), suspects.flagged)
    return suspects.scores, flagged, suspects.noise_ratio, suspects.interval


def auto(examples: un.Examples, seed: int) -> Result:
    """The default: networks are trained."""
    return ours(un.detect(None, examples, seed=seed))


def linear(examples: un.Examples, seed: int) -> Result:
    """The fast path on the inputs."""
    return ours(un.detect(features=examples.inputs, labels=examples.labels, seed=seed))


def probabilities(examples: un.Examples, seed: int) -> npt.NDArray[np.float64]:
    """Out-of-fold probabilities of a logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, C=0.01))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    inputs = examples.inputs.reshape(len(examples), -1)
    return np.asarray(cross_val_predict(model, inputs, examples.labels, cv=folds, method="predict_proba"))


def cleanlab(examples: un.Examples, seed: int) -> Result:
    """Confident learning by its authors' library."""
    from cleanlab.count import estimate_joint
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    p = probabilities(examples, seed)
    joint = estimate_joint(examples.labels, p)
    scores = 1 - get_label_quality_scores(examples.labels, p)
    return scores, find_label_issues(examples.labels, p, n_jobs=1), float(1 - np.trace(joint)), None


def datalab(examples: un.Examples, seed: int) -> Result:
    """Datalab with features alone; it needs the extra packages of cleanlab."""
    from cleanlab import Datalab

    lab = Datalab({"label": examples.labels.tolist()}, label_name="label", verbosity=0)
    one_process = {"clean_learning_kwargs": {"find_label_issues_kwargs": {"n_jobs": 1}}}
    lab.find_issues(features=columns(examples), issue_types={"label": one_process})
    issues = lab.get_issues("label")
    health = float(lab.get_issue_summary("label")["score"].iloc[0])
    return 1 - issues["label_score"].to_numpy(), issues["is_label_issue"].to_numpy(), 1 - health, None


def knn(examples: un.Examples, seed: int) -> Result:
    """The share of the ten nearest neighbors with another label."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=10).fit(columns(examples)).kneighbors(return_distance=False)
    scores = (examples.labels[nearest] != examples.labels[:, None]).mean(1)
    return scores, scores > 0.5, float((scores > 0.5).mean()), None


def columns(examples: un.Examples) -> npt.NDArray[np.float32]:
    """The inputs `[n, d]`; columns of a table are standardized."""
    from sklearn.preprocessing import StandardScaler

    inputs = examples.inputs.reshape(len(examples), -1)
    return np.asarray(StandardScaler().fit_transform(inputs) if examples.inputs.ndim == 2 else inputs, np.float32)


TOOLS: dict[str, Callable[[un.Examples, int], Result]] = {
    "auto": auto, "linear": linear, "cleanlab": cleanlab, "Datalab": datalab, "kNN": knn,
}  # fmt: skip


def cell(data: str, kind: str, share: float, seed: int, tool: str, images: int) -> Row:
    """One tool in one setting."""
    noise = noisy(clean(data, images, seed), kind, share, seed)
    key = {"data": data, "kind": kind, "share": share, "seed": seed, "tool": tool, "images": images}
    start = time.process_time()
    try:
        scores, flagged, ratio, interval = TOOLS[tool](noise.examples, seed)
    except UndecidableError as error:
        return {**key, "refused": str(error)}
    return {
        **key,
        "ranks": rankdata(scores, "dense").tolist(),
        "wrong": noise.mislabelled.astype(int).tolist(),
        "flagged": flagged.astype(int).tolist(),
        "ratio": ratio,
        "interval": interval,
        "seconds": time.process_time() - start,
        "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


@dataclass(frozen=True)
class Measure:
    """How well a tool did in one cell, from what is wrong, flagged and ranked, each `[n]`; more is better."""

    name: str
    of: Callable[[Ints, Ints, Ints], float]


AUC = Measure("ROC AUC", lambda wrong, _, ranks: float(roc_auc_score(wrong, ranks)))
AP = Measure("average precision", lambda wrong, _, ranks: float(average_precision_score(wrong, ranks)))
F1 = Measure("F1", lambda wrong, flagged, _: float(f1_score(wrong, flagged, zero_division=0.0)))
UNFLAGGED = Measure("unflagged", lambda _, flagged, __: float(1 - flagged.mean()))


def figure(rows: list[Row], measure: Measure) -> float:
    """Mean of a measure over the seeds."""
    return float(np.mean([measure.of(*_arrays(row)) for row in rows]))


def standard_error(ours: list[Row], theirs: list[Row], measure: Measure) -> float:
    """Of the difference of two tools, by the same bootstrap samples of the examples for both."""
    generator, variances = np.random.default_rng(0), []
    for one, other in zip(ours, theirs, strict=True):
        count, differences = len(one["wrong"]), []
        for _ in range(BOOTSTRAP_SAMPLES):
            rows = generator.integers(count, size=count)
            first, second = ([array[rows] for array in _arrays(row)] for row in (one, other))
            if 0 < first[0].sum() < count or measure is UNFLAGGED:
                differences.append(measure.of(*first) - measure.of(*second))
        variances.append(np.var(differences))
    return float(np.sqrt(np.sum(variances)) / len(ours))


def place(cells: dict[str, list[Row]], measure: Measure) -> str:
    """Whether `auto` is first: `first`, `within noise`, or by how much it is behind which tool."""
    figures = {tool: figure(rows, measure) for tool, rows in cells.items() if rows}
    if "auto" not in figures:
        return "refused"
    best = max(figures, key=lambda tool: figures[tool])
    behind = figures[best] - figures["auto"]
    if behind <= 0:
        return "first"
    error = standard_error(cells["auto"], cells[best], measure)
    return "within noise" if behind < 1.96 * error else f"{behind:.3f} behind {best} ({measure.name})"


def _arrays(row: Row) -> tuple[Ints, Ints, Ints]:
    return np.asarray(row["wrong"]), np.asarray(row["flagged"]), np.asarray(row["ranks"])


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data", nargs="+", choices=list(dict.fromkeys(name for name, *_ in SETTINGS)))
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--results", type=Path, default=Path("detection.jsonl"))
    options = parser.parse_args()
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    done = {_key(row): row for row in map(json.loads, lines)}
    settings = [setting for setting in SETTINGS if not options.data or setting[0] in options.data]
    wanted = [
        {"data": data, "kind": kind, "share": share, "seed": seed, "tool": tool, "images": options.images}
        for tool in options.tools
        for data, kind, share in sorted(settings, key=lambda setting: setting[0] != "cifar10")  # the longest first
        for seed in range(options.seeds)
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with (
        options.results.open("a") as file,
        ProcessPoolExecutor(options.workers, mp_context=context, max_tasks_per_child=1) as pool,
    ):
        for future in as_completed([pool.submit(cell, **row) for row in wanted if _key(row) not in done]):
            row = future.result()
            done[_key(row)] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
    print(_tables([done[_key(arguments)] for arguments in wanted], settings, options.tools))


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("data", "kind", "share", "seed", "tool", "images"))


def _tables(rows: list[Row], settings: list[Setting], tools: list[str]) -> str:
    """The table of the settings and the table of the tools, of cells that were answered by all seeds."""
    lines, ranked, flagged = [], list[str](), list[str]()
    for setting in settings:
        cells = {
            tool: [row for row in rows if (row["data"], row["kind"], row["share"], row["tool"]) == (*setting, tool)]
            for tool in tools
        }
        cells = {tool: [] if any("refused" in row for row in of) else of for tool, of in cells.items()}
        sample = next(of[0] for of in cells.values() if of)
        name = f"{setting[0]}, {setting[1]} ({len(sample['wrong'])}, {np.mean(sample['wrong']):.3f})"
        by_flags = place(cells, F1 if any(sample["wrong"]) else UNFLAGGED)
        by_rank = _worst([place(cells, measure) for measure in (AUC, AP)]) if any(sample["wrong"]) else "-"
        ranked.append(by_rank)
        flagged.append(by_flags)
        lines.append(
            [name, *(_text(of) for of in cells.values()), *_estimate(cells.get("auto", [])), by_rank, by_flags]
        )
    head = ["data, noise (n, share wrong)", *tools, "estimate", "interval", "CPU-s", "auto ranks", "auto flags"]
    count = "{} first, {} within noise"
    lines.append(
        ["all", *[""] * (len(head) - 3)]
        + [count.format(of.count("first"), of.count("within noise")) for of in (ranked, flagged)]
    )
    costs = [[tool, *_costs([row for row in rows if row["tool"] == tool])] for tool in tools]
    other = ["tool", "answered", "mean error of the estimate", "intervals that cover", "median CPU-s", "most", "MiB"]
    return f"{_markdown(head, lines)}\n\n{_markdown(other, costs)}"


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def _worst(places: list[str]) -> str:
    """The place that is neither first nor within noise, if there is one."""
    return max(places, key=lambda name: (name not in ("first", "within noise"), name != "first"))


def _text(rows: list[Row]) -> str:
    if not rows:
        return "refused"
    if not any(rows[0]["wrong"]):
        return f"flags {1 - figure(rows, UNFLAGGED):.1%}"
    return f"{figure(rows, AUC):.3f} / {figure(rows, AP):.2f} / {figure(rows, F1):.2f}"


def _estimate(rows: list[Row]) -> list[str]:
    """Estimate, interval and CPU seconds of `auto`, means over the seeds."""
    if not rows:
        return ["-", "-", "-"]
    low, high = np.mean([row["interval"] for row in rows], axis=0)
    covered = sum(_covers(row) for row in rows)
    missed = "" if covered == len(rows) else f", missed {len(rows) - covered} of {len(rows)}"
    return [
        f"{np.mean([row['ratio'] for row in rows]):.3f}",
        f"{low:.3f} to {high:.3f}{missed}",
        f"{np.mean([row['seconds'] for row in rows]):.1f}",
    ]


def _costs(rows: list[Row]) -> list[str]:
    """What a tool answered, how well it estimates, and what it costs."""
    answered = [row for row in rows if "refused" not in row]
    errors = [abs(row["ratio"] - np.mean(row["wrong"])) for row in answered]
    intervals = [_covers(row) for row in answered if row["interval"]]
    seconds = [row["seconds"] for row in answered]
    return [
        f"{len(answered)} of {len(rows)}",
        f"{np.mean(errors):.3f}",
        f"{sum(intervals)} of {len(intervals)}" if intervals else "-",
        f"{np.median(seconds):.1f}",
        f"{max(seconds):.1f}",
        f"{max(row['mebibytes'] for row in answered):.0f}",
    ]


def _covers(row: Row) -> bool:
    low, high = row["interval"]
    return bool(low <= np.mean(row["wrong"]) <= high)


if __name__ == "__main__":
    main()
