"""Detectors of wrong labels side by side, on the same data: ours, cleanlab, nearest neighbors and Datalab.

    python benchmarks/detection.py [--images 2000] [--seeds 1] [--workers 1] [--results detection.jsonl]

Every cell runs on one thread in a process of its own and is one line of the results file, so a stopped benchmark
continues where it was. The table is printed as Markdown at the end: ROC AUC, average precision, F1 of what is flagged,
the estimated share of wrong labels and how often its interval covers the truth, CPU seconds and peak memory.

`auto` trains networks; all others take the inputs for features. `cleanlab` has out-of-fold probabilities of a logistic
regression, and its default filter. `kNN` is the share of the ten nearest inputs with another label, flagged above one
half. The last columns tell whether `auto` is first, or within 0.01 of the best ROC AUC and 0.02 of the best F1.
"""

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import numpy.typing as npt

import untrain as un
from label_noise import clean, noisy
from untrain.errors import UntrainError

SETTINGS = [
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
    return scores, find_label_issues(examples.labels, p), float(1 - np.trace(joint)), None


def datalab(examples: un.Examples, seed: int) -> Result:
    """Datalab with probabilities and features; it needs the extra packages of cleanlab."""
    from cleanlab import Datalab

    lab = Datalab({"label": examples.labels.tolist()}, label_name="label", verbosity=0)
    lab.find_issues(
        pred_probs=probabilities(examples, seed),
        features=examples.inputs.reshape(len(examples), -1),
        issue_types={"label": {}},
    )
    issues = lab.get_issues("label")
    flagged = issues["is_label_issue"].to_numpy()
    return 1 - issues["label_score"].to_numpy(), flagged, float(flagged.mean()), None


def knn(examples: un.Examples, seed: int) -> Result:
    """The share of the ten nearest neighbors with another label."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    inputs = examples.inputs.reshape(len(examples), -1)
    inputs = StandardScaler().fit_transform(inputs) if examples.inputs.ndim == 2 else inputs
    nearest = NearestNeighbors(n_neighbors=10).fit(inputs).kneighbors(return_distance=False)
    scores = (examples.labels[nearest] != examples.labels[:, None]).mean(1)
    return scores, scores > 0.5, float((scores > 0.5).mean()), None


TOOLS: dict[str, Callable[[un.Examples, int], Result]] = {
    "auto": auto, "linear": linear, "cleanlab": cleanlab, "datalab": datalab, "kNN": knn,
}  # fmt: skip


def cell(data: str, kind: str, share: float, seed: int, tool: str, images: int) -> dict[str, object]:
    """One tool in one setting."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    noise = noisy(clean(data, images, seed), kind, share, seed)
    wrong, start = noise.mislabelled, time.process_time()
    key = {"data": data, "kind": kind, "share": share, "seed": seed, "tool": tool, "images": images}
    try:
        scores, flagged, ratio, interval = TOOLS[tool](noise.examples, seed)
    except ImportError as error:
        return {**key, "error": f"not installed: {error.name}"}
    except UntrainError as error:
        return {**key, "error": str(error)}
    return {
        **key,
        "examples": len(wrong),
        "wrong": float(wrong.mean()),
        "auc": float(roc_auc_score(wrong, scores)) if wrong.any() else None,
        "ap": float(average_precision_score(wrong, scores)) if wrong.any() else None,
        "f1": 2 * float((flagged & wrong).sum()) / max(int(flagged.sum() + wrong.sum()), 1) if wrong.any() else None,
        "flagged": float(flagged.mean()),
        "ratio": ratio,
        "interval": interval,
        "seconds": time.process_time() - start,
        "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("detection.jsonl"))
    options = parser.parse_args()
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    done = {_key(row): row for row in map(json.loads, lines)}
    wanted = [
        {"data": data, "kind": kind, "share": share, "seed": seed, "tool": tool, "images": options.images}
        for tool in ("auto", "cleanlab", "datalab", "linear", "kNN")
        for data, kind, share in sorted(SETTINGS, key=lambda setting: setting[0] != "cifar10")  # the longest first
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
    _print([done[_key(arguments)] for arguments in wanted])


def _key(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("data", "kind", "share", "seed", "tool", "images"))


def _print(rows: list[dict[str, object]]) -> None:
    tools = [tool for tool in TOOLS if any(row["tool"] == tool and "auc" in row for row in rows)]
    print(f"| data, noise (n, share wrong) | {' | '.join(tools)} | auto's estimate | interval | AUC first | F1 first |")
    print("|---" * (len(tools) + 5) + "|")
    for data, kind, share in SETTINGS:
        cells = {
            tool: [
                row
                for row in rows
                if (row["data"], row["kind"], row["share"], row["tool"]) == (data, kind, share, tool)
            ]
            for tool in tools
        }
        print(_line(data, kind, cells))
    for tool in tools:
        finished = [row for row in rows if row["tool"] == tool and "auc" in row]
        seconds, memory = (np.array([row[name] for row in finished]) for name in ("seconds", "mebibytes"))
        print(
            f"\n{tool}: median {np.median(seconds):.1f} CPU-s, at most {seconds.max():.1f}; peak {memory.max():.0f} MiB"
        )
    for tool in ("auto", "linear"):
        covered = [
            row["interval"][0] <= row["wrong"] <= row["interval"][1]  # type: ignore[index]
            for row in rows
            if row["tool"] == tool and row.get("interval")
        ]
        print(f"\n{tool}: {sum(covered)} of {len(covered)} intervals cover")


def _line(data: str, kind: str, cells: dict[str, list[dict[str, object]]]) -> str:
    def mean(tool: str, name: str) -> float:
        values = [row[name] for row in cells.get(tool, []) if row.get(name) is not None]
        return float(np.mean(np.array(values, dtype=float))) if values else float("nan")

    def text(tool: str) -> str:
        if not any("auc" in row for row in cells[tool]):
            return "refused" if tool in ("auto", "linear") else "-"
        if np.isnan(mean(tool, "auc")):
            return f"flags {mean(tool, 'flagged'):.1%}"
        return f"{mean(tool, 'auc'):.3f} / {mean(tool, 'ap'):.2f} / {mean(tool, 'f1'):.2f}"

    sample = next(row for rows in cells.values() for row in rows if "wrong" in row)
    intervals = [row["interval"] for row in cells.get("auto", []) if row.get("interval")]
    span = "-" if not intervals else "{:.3f} to {:.3f}".format(*np.mean(np.array(intervals), axis=0))

    def first_by(name: str, tolerance: float) -> str:
        best = max((mean(tool, name) for tool in cells if tool not in ("auto", "linear")), default=float("nan"))
        return "-" if np.isnan(best) else "yes" if mean("auto", name) >= best - tolerance else "**no**"

    return (
        f"| {data}, {kind} ({sample['examples']}, {mean('linear', 'wrong'):.3f}) | "
        f"{' | '.join(text(tool) for tool in cells)} | {mean('auto', 'ratio'):.3f} | {span} | "
        f"{first_by('auc', 0.01)} | {first_by('f1', 0.02)} |"
    )


if __name__ == "__main__":
    main()
