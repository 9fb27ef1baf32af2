"""`untrain detect`: which labels are probably wrong."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from untrain.cli.inputs import Question
from untrain.cli.terminal import Status, print_suspects, print_text

if TYPE_CHECKING:
    from untrain.detection import Suspects

_Inputs = Annotated[Question, tyro.conf.arg(name="")]
_SUSPECTS = ("suspects.csv", "suspects.json", "suspects.html")


def detect(inputs: _Inputs = Question(), out: Path = Path("detected"), json: bool = False) -> None:  # noqa: B008 (frozen)
    """Find the labels that are probably wrong.

    Writes suspects.csv for a person to look through, suspects.json, and suspects.html with pictures.

    Args:
        inputs: data and network.
        out: directory of the files; it is made, or must hold nothing else.
        json: print suspects.json instead of a summary.
    """
    from untrain.cli.outputs import check_directory, check_unanswered, json_text, record

    check_directory(out, _SUSPECTS)
    check_unanswered(out / "suspects.csv")
    with Status() as status:
        found = _found(inputs, status)
    content = record(found, inputs.data, inputs.seed)
    _write_suspects(found, content, out)
    if json:
        sys.stdout.write(json_text(content))
        return
    from untrain.report.suspects import summary

    print_text(summary(content))
    print_suspects(content["flagged"])
    print_text(*(f"{what}: {out / name}" for what, name in zip(("review", "record", "page"), _SUSPECTS, strict=True)))


def _found(inputs: Question, status: Status) -> "Suspects":
    from untrain.detection import check_question, detect

    status.show(f"reading {inputs.data}")
    examples = inputs.examples()
    check_question(examples, inputs.scorer, inputs.noise_ratio)
    network = inputs.network(examples)
    return detect(
        network.module,
        examples,
        scorer=inputs.scorer,
        noise_ratio=inputs.noise_ratio,
        factory=network.factory,
        recipe=network.recipe,
        seed=inputs.seed,
        progress=status.show,
    )


def _write_suspects(found: "Suspects", content: dict[str, Any], out: Path) -> None:
    from untrain.cli.outputs import write_json
    from untrain.detection import write_review
    from untrain.report.images import png
    from untrain.report.suspects import MOST_SHOWN, write_suspects_page

    pictures = [png(found.examples.inputs[position]) for position in found.flagged[:MOST_SHOWN]]
    review, plain, page = (out / name for name in _SUSPECTS)
    write_review(found, review)
    write_suspects_page(page, content, pictures)
    write_json(plain, content)
