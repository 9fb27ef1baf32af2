"""`untrain detect`: which labels are probably wrong."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from untrain.cli.inputs import InputOptions, Inputs
from untrain.cli.options import Directory, Flag, Language, Spec, option
from untrain.cli.terminal import Status, print_suspects, print_text
from untrain.review.cache import FILES

if TYPE_CHECKING:
    from untrain.cli.outputs import DetectionFile
    from untrain.detection import Suspects

REVIEW, RECORD, PAGE = "suspects.csv", "suspects.json", "suspects.html"


def detect(
    inputs: InputOptions = Inputs(),  # noqa: B008 (frozen)
    scorer: Spec = "auto",
    noise_ratio: Annotated[float | None, option("SHARE")] = None,
    out: Directory = Path("detected"),
    language: Language = "en",
    json: Flag = False,
) -> None:
    """Find mislabeled examples.

    Writes suspects.csv for a person to review, suspects.json, and suspects.html with pictures.

    Examples:
        untrain detect --data mnist
        untrain detect --data train.parquet --label species --model my_model:build --out suspects

    Args:
        inputs: Without --weights, a network is trained first. With --weights but no --recipe, `auto` uses `linear`.
        scorer: scorer, NAME or NAME:PRESET (see `untrain list`)
        noise_ratio: share of mislabeled examples, if known
        out: output directory, new or empty
        language: language of suspects.html: en or ja
        json: print suspects.json instead of a summary
    """
    from untrain.cli.outputs import DetectionFile, check_directory, check_unanswered, json_text, plain

    check_directory(out, (REVIEW, RECORD, PAGE, *FILES))
    check_unanswered(out / REVIEW)
    with Status() as status:
        suspects = _detected(inputs, scorer, noise_ratio, status)
    content = DetectionFile.of(suspects, inputs)
    _write(suspects, content, out, language)
    if json:
        sys.stdout.write(json_text(content))
        return
    from untrain.report.suspects import summary

    print_text(summary(plain(content)))
    print_suspects(content.flagged)
    print_text(
        f"review: {out / REVIEW}",
        f"record: {out / RECORD}",
        f"page: {out / PAGE}",
        f"next: untrain review {shlex.quote(str(out))}",
    )


def _detected(inputs: Inputs, scorer: str, noise_ratio: float | None, status: Status) -> "Suspects":
    from untrain.detection import check_question, detect

    inputs.check()
    examples = inputs.examples(status)
    check_question(examples, scorer, noise_ratio)
    model, training = inputs.network(examples, status)
    return detect(model, examples, scorer=scorer, noise_ratio=noise_ratio, **training)


def _write(suspects: "Suspects", content: "DetectionFile", out: Path, language: Language) -> None:
    from untrain.cli.outputs import json_text, plain
    from untrain.core.files import write_file
    from untrain.detection import write_review
    from untrain.report.images import png
    from untrain.report.suspects import MOST_SHOWN, write_suspects_page

    inputs = suspects.examples.sole_array
    pictures = [] if inputs is None else [png(inputs[position]) for position in suspects.flagged[:MOST_SHOWN]]
    write_review(suspects, out / REVIEW)
    write_suspects_page(out / PAGE, plain(content), pictures, language=language)
    write_file(out / RECORD, json_text(content))
