"""`untrain demo`: a story on embedded digits, from wrong labels to a comparison of methods."""

from pathlib import Path
from typing import TYPE_CHECKING

from untrain.cli.options import Directory, Flag
from untrain.cli.terminal import Status, print_text
from untrain.errors import ConfigError

if TYPE_CHECKING:
    from untrain.data import Examples
    from untrain.detection import Suspects
    from untrain.population import Population
    from untrain.report.results import ComparisonResults
    from untrain.workflows.forget import Forgotten

SUSPECTS, RECORD, COMPARISON = "suspects.html", "forgotten", "comparison"
_METHODS = ("finetune", "gradient-reinit", "prune-entropy", "transpose", "renew", "short-retrain:half")
_QUICK_FIX, _SEED = "finetune:kaggle", 0


def demo(out: Directory = Path("demo"), quick: Flag = False) -> None:
    """Show what untrain does, on handwritten digits that come with it: two to three minutes on two cores.

    Finds wrong labels, makes a model forget them, measures what is left, and compares methods. Writes three pages.

    Examples:
        untrain demo

    Args:
        out: output directory, new or empty
        quick: whether to use fewer digits and models; figures are then rough
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty; choose another --out.")
    with Status() as status:
        status.show("training a network on digits of which one label in five is wrong")
        model, train, test, wrong = _trained(quick)
        print_text("1. Which labels are wrong?")
        suspects = _suspects(model, train, out, status)
        flagged = set(train.ids[suspects.flagged])
        share = len(flagged & wrong) / len(flagged)
        print_text(
            f"   {len(wrong)} of {len(train)} labels were made wrong at random, of which untrain is not told.",
            f"   It flags {len(flagged)}, {share:.0%} of them rightly, and estimates {suspects.noise_ratio:.1%} wrong.",
            "2. Forget them. What is left?",
        )
        fixed, forgotten = _forgotten(model, train, test, sorted(flagged), out, status)
        print_text(
            "   memory left: 1 is the model that learned them, 0 one that never saw them",
            *(f"   {words}" for words in (_row("one epoch more", fixed), _row("retrained", forgotten))),
            f"   The model of the second line is delivered: {forgotten.verdict}.",
            "3. Which method is worth its time? Random digits are forgotten, labels are as they came.",
        )
        results = _compared(quick, out, status)
    for row in results.rows:
        if row.memory_left is not None:
            print_text(
                f"   {row.method:20} memory left {row.memory_left.value:5.2f}   test accuracy {row.test_accuracy:.1f} %"
                f"   {row.speedup:4.1f} times as fast as retraining"
            )
    print_text(
        "Pages:",
        *(f"   {out / page}" for page in (SUSPECTS, f"{RECORD}/report.html", f"{COMPARISON}/report.html")),
        "Tell a colleague:",
        f"   untrain found {len(flagged & wrong)} of {len(wrong)} wrong labels; {share:.0%} of its flags are right.",
        f"   Without them, accuracy on new digits went {_accuracies(forgotten)}.",
        f"   {_conclusion(results)}",
    )


def _trained(quick: bool) -> "tuple[Population, Examples, Examples, set[str]]":
    """A network, the examples that it was trained on, test examples, and the ids whose label was made wrong."""
    from untrain.data import load, mislabel, split, symmetric_noise
    from untrain.models import CNN, MLP, factory
    from untrain.population import SGD, Cosine, Population, Recipe

    parts = split(load("digits", limit=500 if quick else None), test=0.3)
    noisy = mislabel(parts.train, symmetric_noise(10, 0.2))
    network = MLP(widths=(50,)) if quick else CNN(widths=(16, 32))
    build = factory(network, parts.train.array.shape[1:], 10)
    recipe = Recipe(optimizer=SGD(lr=0.05, momentum=0.9), schedule=Cosine(), epochs=20)
    model = Population.create(build, 1, seed=_SEED).train(noisy.examples, recipe)
    return model, noisy.examples, parts.test, set(noisy.examples.ids[noisy.mislabelled])


def _suspects(model: "Population", train: "Examples", out: Path, status: Status) -> "Suspects":
    """Find wrong labels, and write the page."""
    from untrain.cli.inputs import Inputs
    from untrain.cli.outputs import DetectionFile, plain
    from untrain.detection import detect
    from untrain.report.images import png
    from untrain.report.suspects import MOST_SHOWN, write_suspects_page

    status.show("looking for wrong labels")
    suspects = detect(model, train, seed=_SEED)
    pictures = [png(train.array[position]) for position in suspects.flagged[:MOST_SHOWN]]
    out.mkdir(parents=True, exist_ok=True)
    write_suspects_page(out / SUSPECTS, plain(DetectionFile.of(suspects, Inputs())), pictures)
    return suspects


def _forgotten(
    model: "Population", train: "Examples", test: "Examples", ids: list[str], out: Path, status: Status
) -> "tuple[Forgotten, Forgotten]":
    """Forget by training on for an epoch and by retraining, both compared with the same retrained models."""
    import tempfile

    from untrain.workflows.forget import forget

    with tempfile.TemporaryDirectory() as kept:
        fixed, retrained = (
            forget(
                model, train, ids, method=method, validation=test, seed=_SEED, audit=19, max_accuracy_drop=1.0,
                checkpoint_dir=Path(kept) / "audit", progress=status.show,
            )
            for method in (_QUICK_FIX, "retrain")
        )  # fmt: skip
    retrained.save(out / RECORD)
    return fixed, retrained


def _compared(quick: bool, out: Path, status: Status) -> "ComparisonResults":
    """Compare methods with retraining, and write the report."""
    from untrain.experiments.config import changed, read_experiment
    from untrain.experiments.run import run_experiment
    from untrain.report.results import ComparisonResults

    options = {"forget": [0.02], "settings": {}, "methods": list(_METHODS), "models": 32}
    if quick:
        options |= {"methods": ["finetune", "renew"], "models": 4, "data": {"source": "digits", "limit": 300}}
    experiment = changed(read_experiment("digits"), options, "demo")
    results = run_experiment(experiment, out / COMPARISON, progress=status.show_run)
    assert isinstance(results, ComparisonResults)  # noqa: S101 (what `digits` is)
    return results


def _row(name: str, forgotten: "Forgotten") -> str:
    audit = forgotten.record.audit
    assert audit is not None  # noqa: S101 (it was asked for)
    assert audit.memory is not None  # noqa: S101 (of a model)
    return f"{name:15} memory left {audit.memory.left:.2f}; accuracy {_accuracies(forgotten)}"


def _accuracies(forgotten: "Forgotten") -> str:
    utility = forgotten.record.utility
    assert utility is not None  # noqa: S101 (validation examples were given)
    return f"from {utility.before:.1%} to {utility.after:.1%}"


def _conclusion(results: "ComparisonResults") -> str:
    """The most accurate method that leaves no visible memory, in a sentence."""
    from untrain.report.table import Remembers, ranked, remembers

    rows, state_of = ranked(results.rows), remembers(results.rows)
    clean = [row for row in rows if state_of[row.method] is Remembers.NOT]
    if not clean:
        return f"None of {len(rows)} methods left no visible memory of the forgotten digits."
    best = max(clean, key=lambda row: row.test_accuracy)
    return (
        f"Of {len(rows)} methods, {best.method} is the most accurate ({best.test_accuracy:.1f} %) of those that left "
        f"no visible memory; it is {best.speedup:.1f} times as fast as retraining."
    )
