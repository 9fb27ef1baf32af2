"""`untrain repair`: find wrong labels, forget them, keep the better model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from untrain.cli.inputs import Question
from untrain.cli.terminal import Status, print_text
from untrain.errors import ConfigError

if TYPE_CHECKING:
    from untrain.workflows.repair import Repaired

_Inputs = Annotated[Question, tyro.conf.arg(name="")]
_REPAIR = ("model.safetensors", "suspects.csv", "repair.json")


def repair(
    inputs: _Inputs = Question(),  # noqa: B008 (frozen)
    method: str | None = None,
    review: Path | None = None,
    out: Path = Path("repaired"),
) -> None:
    """Find the wrong labels, make the model forget them, and keep the result unless it is worse.

    Writes model.safetensors, the state dict of the repaired model, or of the original if it was better; suspects.csv,
    unless there is a review; and repair.json.

    Args:
        inputs: data and network.
        method: that forgets, `name` or `name:preset`, as `untrain list` shows them; default retrain, with weights ssse.
        review: a suspects.csv of the same data, limit and seed, filled in: just what is confirmed there is forgotten.
        out: directory of the files; it is made, or must hold nothing else.
    """
    from untrain.cli.outputs import check_directory, check_unanswered

    check_directory(out, _REPAIR)
    replaced, weights = out / _REPAIR[0], Path(inputs.weights or "")
    if replaced.is_file() and weights.is_file() and replaced.samefile(weights):
        raise ConfigError(f"expected an --out that does not hold --weights, got {out}: the original would be replaced")
    if review is None:
        check_unanswered(out / "suspects.csv")
    with Status() as status:
        repaired = _repaired(inputs, method, review, status)
    _write_repair(repaired, inputs, review, out)
    print_text(repaired.verdict, f"model: {out / 'model.safetensors'}", f"record: {out / 'repair.json'}")


def _repaired(inputs: Question, method: str | None, review: Path | None, status: Status) -> "Repaired":
    from untrain.workflows.repair import repair

    status.show(f"reading {inputs.data}")
    examples = inputs.examples()
    network = inputs.network(examples)
    return repair(
        network.module,
        examples,
        scorer=inputs.scorer,
        noise_ratio=inputs.noise_ratio,
        method=method,
        review=review,
        seed=inputs.seed,
        factory=network.factory,
        recipe=network.recipe,
        progress=status.show,
    )


def _write_repair(repaired: "Repaired", inputs: Question, review: Path | None, out: Path) -> None:
    from untrain.cli.outputs import record, write_json
    from untrain.detection import write_review
    from untrain.models.weights import write_weights

    outcome = {
        "accepted": repaired.accepted,
        "verdict": repaired.verdict,
        "method": repaired.method,
        "before": repaired.before,
        "after": repaired.after,
        "held_out": repaired.measured_on,
        "review": None if review is None else str(review),
        "forgotten": [str(name) for name in repaired.suspects.examples.ids[repaired.forgotten]],
    }
    model, suspects, plain = (out / name for name in _REPAIR)
    write_weights(model, repaired.model, {"method": repaired.method if repaired.accepted else "none"})
    if review is None:
        write_review(repaired.suspects, suspects)
    write_json(plain, {**record(repaired.suspects, inputs.data, inputs.seed), **outcome})
