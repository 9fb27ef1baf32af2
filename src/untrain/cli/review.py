"""`untrain review`: look at the suspects, decide with one key, and take the decisions on."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from untrain.cli.inputs import Inputs
from untrain.cli.options import Flag, Language, OptionalFile, option
from untrain.cli.terminal import Status, print_text
from untrain.errors import ConfigError, InputError, NotSupportedError

if TYPE_CHECKING:
    from untrain.data import Examples
    from untrain.detection import ReviewFile
    from untrain.report.suspects import SuspectsFile
    from untrain.review.decisions import Decisions
    from untrain.review.source import SourceTable
    from untrain.review.workspace import Workspace


def review(
    directory: tyro.conf.Positional[Annotated[Path, option("DIR")]],
    data: Annotated[str | None, option("SOURCE")] = None,
    static: OptionalFile = None,
    merge: OptionalFile = None,
    export: OptionalFile = None,
    export_scores: OptionalFile = None,
    export_label_studio: OptionalFile = None,
    language: Language = "en",
    no_browser: Flag = False,
) -> None:
    """Review the suspects that `untrain detect` found, on a page of this machine.

    Every decision is saved at once in DIR/suspects.csv, which `untrain repair --review` reads. Needs the extra `review`
    for the page; all other options work without it.

    Examples:
        untrain review detected
        untrain review detected --static review.html
        untrain review detected --merge colleague/suspects.csv
        untrain review detected --export cleaned.parquet

    Args:
        directory: directory that `untrain detect` wrote
        data: the same data, if they have moved
        static: write the page as one file that needs no server, and end
        merge: add the decisions of another reviewer (a directory or a suspects.csv), report agreement, and end
        export: write all examples with corrected labels as a .parquet or .csv table, and end
        export_scores: write suspects, scores and decisions as a .csv (FiftyOne) or .parquet table (Spotlight), and end
        export_label_studio: write the suspects as tasks of Label Studio (.json), and end
        language: language of the page: en or ja
        no_browser: print the address without opening it in a browser
    """
    if merge is not None:
        _merge(directory, merge)
        return
    content, inputs = _read(directory, data)
    from untrain.review.decisions import Decisions

    decisions = Decisions(directory / "suspects.csv")
    with Status() as status:
        table = _source(inputs)
        workspace = _workspace(directory, content, inputs, table, decisions.file, status)
    written = [path for path in (static, export, export_scores, export_label_studio) if path is not None]
    about = _about(directory, content, inputs)
    if static is not None:
        from untrain.review.page import write_static

        write_static(static, workspace, decisions.file, about, language)
    _export(workspace, decisions.file, Path(inputs.data), table, (export, export_scores, export_label_studio))
    if written:
        print_text(*(f"written: {path}" for path in written))
        return
    _serve(workspace, decisions, about, language, not no_browser)
    print_text(
        _left(workspace, decisions.file), *(f"{what}: {command}" for what, command in _commands(directory, inputs))
    )


def _read(directory: Path, data: str | None) -> "tuple[SuspectsFile, Inputs]":
    """What was detected, and how its data were read."""
    import msgspec

    from untrain.report.suspects import SuspectsFile

    class Detected(SuspectsFile, frozen=True, kw_only=True):
        inputs: dict[str, object] = msgspec.field(default_factory=dict)

    path = directory / "suspects.json"
    if not path.is_file():
        raise InputError(f"{directory} holds no suspects.json: name a directory that `untrain detect` wrote.")
    try:
        content = msgspec.json.decode(path.read_bytes(), type=Detected)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    inputs = Inputs.restored(content.inputs or {"data": content.data})
    return content, inputs if data is None else replace(inputs, data=data)


def _workspace(
    directory: Path,
    content: "SuspectsFile",
    inputs: Inputs,
    table: "SourceTable | None",
    file: "ReviewFile",
    status: Status,
) -> "Workspace":
    from untrain.detection import check_same_data
    from untrain.review.cache import Cache
    from untrain.review.workspace import Workspace

    examples, texts = _data(inputs, table, status)
    if len(examples) != content.examples:
        raise ConfigError(
            f"{inputs.data} has {len(examples)} examples now and had {content.examples} when it was looked through: "
            "pass the same data as --data, or run `untrain detect` again."
        )
    check_same_data(file, examples)
    status.show("preparing pictures and neighbors")
    if (array := examples.sole_array) is not None:
        examples = replace(examples, inputs=array)
    elif not texts:
        raise NotSupportedError(
            f"The page shows texts, or examples of one input, and these have {examples.form}; fill in suspects.csv by "
            "hand."
        )
    columns = None if table is None else table.numbers()
    return Workspace(examples, content.flagged, Cache(directory, examples.digest()), columns, texts)


def _data(inputs: Inputs, table: "SourceTable | None", status: Status) -> "tuple[Examples, dict[str, str] | None]":
    """The examples, and what is written in them by id, if they came with texts."""
    if (published := inputs.published) is None:
        return inputs.examples(status), None if table is None else table.texts()
    status.show(f"reading {inputs.data}")
    rows = inputs.rows(published)
    return published.examples(rows, inputs.memory_limit), published.texts(rows)


def _source(inputs: Inputs) -> "SourceTable | None":
    """The table that the data came from."""
    from untrain.data.selection import Selection, input_names
    from untrain.review.source import SourceTable, is_table

    if inputs.published is not None or not is_table(Path(inputs.data)):
        return None
    names = None if inputs.inputs is None else inputs.inputs.split(",")
    selection = Selection(inputs.label, input_names(names), group=inputs.group, memory_limit=inputs.memory_limit)
    return SourceTable.read(Path(inputs.data), selection)


def _export(
    workspace: "Workspace",
    file: "ReviewFile",
    source: Path,
    table: "SourceTable | None",
    paths: tuple[Path | None, Path | None, Path | None],
) -> None:
    from untrain.review.exports import write_cleaned, write_label_studio, write_scores

    cleaned, scores, tasks = paths
    if cleaned is not None:
        corrected, dropped = write_cleaned(cleaned, workspace, file, source, table)
        print_text(f"{corrected} labels corrected, {dropped} examples dropped")
    if scores is not None:
        write_scores(scores, workspace, file, source)
    if tasks is not None:
        write_label_studio(tasks, workspace, file, source)


def _merge(directory: Path, other: Path) -> None:
    from untrain.detection import ReviewFile
    from untrain.review.agreement import merge, review_path

    ours = ReviewFile.read(review_path(directory))
    merged, agreement = merge(ours, ReviewFile.read(review_path(other)))
    merged.write()
    print_text(str(agreement))
    if agreement.conflicts:
        print_text(
            f"{len(agreement.conflicts)} examples are undecided again, since the answers differ: "
            f'untrain review {shlex.quote(str(directory))}, status "reviewers differ".'
        )


def _about(directory: Path, content: "SuspectsFile", inputs: Inputs) -> dict[str, object]:
    from untrain.core.text import printable

    name = Path(content.data).name if Path(content.data).is_absolute() else content.data
    return {"data": printable(name), "scorer": printable(content.scorer), "commands": _commands(directory, inputs)}


def _commands(directory: Path, inputs: Inputs) -> list[tuple[str, str]]:
    """What to do after a review, as a person types it."""
    place = str(directory)
    repair = ["untrain", "repair", *inputs.words(), "--review", str(directory / "suspects.csv")]
    return [
        ("Forget the wrong labels and keep the better model", shlex.join(repair)),
        ("A table with corrected labels", shlex.join(["untrain", "review", place, "--export", "cleaned.parquet"])),
        (
            "For FiftyOne or Spotlight",
            shlex.join(["untrain", "review", place, "--export-scores", "suspects-scores.csv"]),
        ),
        ("For Label Studio", shlex.join(["untrain", "review", place, "--export-label-studio", "tasks.json"])),
    ]


def _left(workspace: "Workspace", file: "ReviewFile") -> str:
    """How many suspects are decided, and how many of the others are probably wrong."""
    from untrain.review.remaining import left_of

    decided = sum(bool(file.answers[suspect.id].wrong) for suspect in workspace.suspects if suspect.id in file.answers)
    words = f"{decided} of {len(workspace.suspects)} suspects are decided."
    estimate = left_of(workspace.suspects, file.answers)
    return (
        words if estimate is None or not decided else f"{words} Of those left, {estimate:%} are wrong (95 % interval)."
    )


def _serve(
    workspace: "Workspace", decisions: "Decisions", about: dict[str, object], language: Language, browser: bool
) -> None:
    """Serve the page until the person stops the command."""
    import webbrowser

    from untrain.review.server import create_app, serve

    server, session = serve(lambda session: create_app(workspace, decisions, session, about, language))
    print_text(f"review: {session.address}", "Keep this running; Ctrl-C ends it. Every decision is saved at once.")
    sys.stdout.flush()
    if browser:
        webbrowser.open(session.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
