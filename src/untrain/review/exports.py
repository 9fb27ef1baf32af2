"""What comes of a review: a cleaned table, and files that other tools for data read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from untrain.core.files import write_file
from untrain.data.images import read_bytes
from untrain.detection import Answer, ReviewFile
from untrain.detection.review import UNSURE, YES
from untrain.errors import InputError
from untrain.review.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa


def write_cleaned(
    path: Path, workspace: Workspace, file: ReviewFile, source: Path, label: str | None
) -> tuple[int, int]:
    """Write all examples with corrected labels as a parquet table, without those that are to be dropped.

    A parquet table keeps its columns and their types. Of other data the columns are `id`, `image` (the file itself, or
    a PNG), or one for each column of the inputs, and `label`; `untrain` reads such a table again as --data.

    Args:
        path: of the new table.
        workspace: what was reviewed.
        file: the answers.
        source: where the data came from: a table, a folder of images, or a name.
        label: the label column of a table, or None for the one that `load` takes.

    Returns:
        How many labels were corrected, and how many examples dropped.

    Raises:
        InputError: a file cannot be read or written.
    """
    import pyarrow.parquet as pq

    answers = {name: answer for name, answer in file.answers.items() if answer.wrong == YES}
    if source.suffix == ".parquet" and source.is_file():
        table = _corrected(workspace, answers, source, label)
    else:
        table = _table(workspace, answers, source)
    _write_parquet(path, table, pq.write_table)
    dropped = sum(not answer.corrected for answer in answers.values())
    return len(answers) - dropped, dropped


def write_scores(path: Path, workspace: Workspace, file: ReviewFile, source: Path) -> None:
    """Write the suspects as a parquet table for FiftyOne, Spotlight and data frames.

    The columns are `id`, `filepath` (where examples are files), `label`, `suggested`, `score`, `wrong` and `corrected`.

    Raises:
        InputError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    suspects = workspace.suspects
    answers = [file.answers.get(suspect.id, Answer()) for suspect in suspects]
    columns: dict[str, object] = {"id": [suspect.id for suspect in suspects]}
    if source.is_dir():
        columns["filepath"] = [str((source / suspect.id).absolute()) for suspect in suspects]
    columns |= {
        "label": [suspect.label for suspect in suspects],
        "suggested": pa.array([suspect.suggested for suspect in suspects], pa.string()),
        "score": pa.array([suspect.score for suspect in suspects], pa.float64()),
        "wrong": [answer.wrong for answer in answers],
        "corrected": [answer.corrected for answer in answers],
    }
    _write_parquet(path, pa.table(columns), pq.write_table)


def write_label_studio(path: Path, workspace: Workspace, file: ReviewFile, source: Path) -> None:
    """Write the suspects as tasks of Label Studio: suggestions as predictions, answers as annotations.

    Images of a folder are named as its local files are, relative to the folder; other pictures are part of the file.

    Raises:
        InputError: the file cannot be written.
    """
    tasks = [_task(workspace, position, file, source) for position in workspace.flagged.tolist()]
    write_file(path, json.dumps(tasks, indent=1) + "\n")


def _task(workspace: Workspace, position: int, file: ReviewFile, source: Path) -> dict[str, object]:
    import base64

    suspect = workspace.suspect_at[position]
    answer = file.answers.get(suspect.id, Answer())
    data: dict[str, object] = {"id": suspect.id, "label": suspect.label, "score": suspect.score}
    kind = "image" if workspace.kind == "picture" else "text"
    if source.is_dir():
        data["image"] = f"/data/local-files/?d={suspect.id}"
    elif content := workspace.picture(position, "large"):
        data["image"] = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    else:
        data["text"] = suspect.id
    task: dict[str, object] = {"data": data, "predictions": [], "annotations": []}
    if suspect.suggested is not None:
        score = suspect.score if suspect.score is not None and 0 <= suspect.score <= 1 else None
        task["predictions"] = [
            {"model_version": "untrain", "score": score, "result": [_choice(suspect.suggested, kind)]}
        ]
    right = answer.corrected or ("" if answer.wrong in ("", UNSURE, YES) else suspect.label)
    if right:
        task["annotations"] = [{"result": [_choice(right, kind)]}]
    elif answer.wrong:
        task["annotations"] = [{"was_cancelled": True, "result": []}]
    return task


def _choice(name: str, kind: str) -> dict[str, object]:
    return {"from_name": "label", "to_name": kind, "type": "choices", "value": {"choices": [name]}}


def _corrected(workspace: Workspace, answers: Mapping[str, Answer], source: Path, label: str | None) -> "pa.Table":
    """The user's table with corrected labels; rows that were not looked at stay."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from untrain.data.files import from_parquet
    from untrain.data.selection import Selection

    described = from_parquet([source])
    column = Selection(label).label_of(described.columns, described.class_names, described.source)
    ids = [str(name) for name in described.read(Selection(column)).with_ids(f"{source.stem}/", digits=5).ids or ()]
    table = pq.read_table(source)
    values = table[column].to_pylist()
    row_of = {name: row for row, name in enumerate(ids)}
    examples = workspace.examples
    value_of = {
        examples.classes[examples.labels[position]]: values[row_of[str(examples.ids[position])]]
        for position in range(len(examples))
    }
    for name, answer in answers.items():
        if answer.corrected:
            values[row_of[name]] = value_of[answer.corrected]
    place = table.column_names.index(column)
    table = table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))
    kept = [row for row, name in enumerate(ids) if name not in answers or answers[name].corrected]
    return table.take(kept)


def _table(workspace: Workspace, answers: Mapping[str, Answer], source: Path) -> "pa.Table":
    """A table of data that were none."""
    import pyarrow as pa

    examples = workspace.examples
    names = [str(name) for name in examples.ids]
    kept = [row for row, name in enumerate(names) if name not in answers or answers[name].corrected]
    labels = [
        answers[names[row]].corrected if names[row] in answers else examples.classes[examples.labels[row]]
        for row in kept
    ]
    columns: dict[str, object] = {"id": [names[row] for row in kept]}
    if source.is_dir():
        columns["image"] = [{"bytes": read_bytes(source / names[row]), "path": names[row]} for row in kept]
    elif workspace.kind == "picture":
        columns["image"] = [{"bytes": workspace.picture(row, "large"), "path": None} for row in kept]
    elif workspace.kind == "row":
        columns |= {f"column {number}": values for number, values in enumerate(examples.inputs[kept].T)}
    else:
        columns["input"] = [np.ravel(examples.inputs[row]).tolist() for row in kept]
    return pa.table({**columns, "label": labels})


def _write_parquet(path: Path, table: "pa.Table", write: Callable[["pa.Table", BinaryIO], None]) -> None:
    import io

    import pyarrow as pa

    file = io.BytesIO()
    try:
        write(table, file)
    except pa.ArrowException as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    write_file(path, file.getvalue())
