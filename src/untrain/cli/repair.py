"""`untrain repair`: find mislabeled examples, forget them, keep the better model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from untrain.cli.inputs import InputOptions, Inputs, check_validation_source, read_validation
from untrain.cli.options import Directory, OptionalFile, OptionalSource, OptionalSpec, Spec, option
from untrain.cli.terminal import Status, print_text
from untrain.errors import ConfigError

if TYPE_CHECKING:
    from untrain.workflows.repair import Repaired

MODEL, REVIEW, RECORD, CARD = "model.safetensors", "suspects.csv", "repair.json", "README.md"


def repair(
    inputs: InputOptions = Inputs(),  # noqa: B008 (frozen)
    method: OptionalSpec = None,
    scorer: Spec = "auto",
    noise_ratio: Annotated[float | None, option("SHARE")] = None,
    review: OptionalFile = None,
    validation: OptionalSource = None,
    out: Directory = Path("repaired"),
) -> None:
    """Find mislabeled examples, make the model forget them, and keep the result unless it is worse.

    Writes model.safetensors (the repaired model, or the original if it was better), suspects.csv unless there is a
    review, and repair.json. Of a published model, also its configuration and a model card that says what was removed.

    Examples:
        untrain repair --data mnist
        untrain repair --model hf://me/my-model --data hf://datasets/me/my-data
        untrain repair --data train.parquet --review detected/suspects.csv
        untrain repair --data train.parquet --weights model.safetensors --recipe recipe.toml

    Args:
        inputs: Without --weights, a network is trained first. With --weights, retraining needs --recipe.
        method: unlearning method, NAME or NAME:PRESET (see `untrain list`); default: retrain, else ssse
        scorer: scorer, NAME or NAME:PRESET (see `untrain list`)
        noise_ratio: share of mislabeled examples, if known
        review: filled-in suspects.csv of the same data, limit and seed; exactly the confirmed examples are forgotten
        validation: other data to compare accuracy on, given like --data; default: a fifth of the data, held out
        out: output directory, new or empty
    """
    from untrain.cli.outputs import check_directory, check_unanswered

    published = inputs.published
    copied = [] if published is None else [file.name for file in published.settings()]
    check_directory(out, (MODEL, REVIEW, RECORD, *([CARD] if published else []), *copied))
    replaced, weights = out / MODEL, Path(inputs.weights or "")
    if replaced.is_file() and weights.is_file() and replaced.samefile(weights):
        raise ConfigError(f"The original {replaced} would be replaced; choose another --out.")
    if review is None:
        check_unanswered(out / REVIEW)
    with Status() as status:
        repaired = _repaired(inputs, method, scorer, noise_ratio, review, validation, status)
    if published is not None:
        published.write(out, repaired, inputs.data)
    _write(repaired, inputs, review, out)
    print_text(repaired.verdict, f"model: {out / MODEL}", f"record: {out / RECORD}")


def _repaired(
    inputs: Inputs,
    method: str | None,
    scorer: str,
    noise_ratio: float | None,
    review: Path | None,
    validation: str | None,
    status: Status,
) -> "Repaired":
    from untrain.workflows.repair import repair

    inputs.check()
    check_validation_source(validation, inputs)
    examples = inputs.examples(status)
    held_out = None if validation is None else read_validation(validation, inputs, status)
    model, training = inputs.network(examples, status)
    return repair(
        model, examples,
        method=method, validation=held_out, scorer=scorer, noise_ratio=noise_ratio, review=review, **training,
    )  # fmt: skip


def _write(repaired: "Repaired", inputs: Inputs, review: Path | None, out: Path) -> None:
    import msgspec

    from untrain.cli.outputs import DetectionFile, RepairFile, json_text
    from untrain.core.files import write_file
    from untrain.detection import write_review
    from untrain.models.weights import write_weights
    from untrain.records import sha256_of_file

    suspects = repaired.suspects
    about = {"format": "pt", "method": repaired.method if repaired.accepted else "none"}  # "pt" is asked for by others
    write_weights(out / MODEL, repaired.model, about)
    content = RepairFile(
        **msgspec.structs.asdict(DetectionFile.of(suspects, inputs)),
        accepted=repaired.accepted,
        verdict=repaired.verdict,
        method=repaired.method,
        before=repaired.before,
        after=repaired.after,
        measured_on=repaired.measured_on,
        review=None if review is None else str(review),
        forgotten=[str(name) for name in suspects.examples.ids[repaired.forgotten]],
        model_sha256=sha256_of_file(out / MODEL).sha256,
    )
    if review is None:
        write_review(suspects, out / REVIEW)
    write_file(out / RECORD, json_text(content))
