"""What comes of a review: a cleaned table, and files that other tools for data read."""

import io
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from untrain.core.files import write_file
from untrain.data.files import separator
from untrain.data.images import read_bytes
from untrain.detection import Answer, ReviewFile
from untrain.detection.review import UNSURE, YES
from untrain.errors import InputError, first_line
from untrain.review.source import SourceTable
from untrain.review.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa


def write_cleaned(
    path: Path, workspace: Workspace, file: ReviewFile, source: Path, table: SourceTable | None
) -> tuple[int, int]:
    """Write all examples with corrected labels as a table, without those that are to be dropped.

    A table keeps its columns and their types. Of other data the columns are `id`, `image` (the file itself, or a PNG),
    or one for each column of the inputs, and `label`; `untrain` reads such a table again as --data. A CSV file of a
    folder of images has the columns `file_name`, relative to the folder, and `label`.

    Args:
        path: of the new table, with the suffix `.parquet` or `.csv`.
        workspace: what was reviewed.
        file: the answers.
        source: where the data came from: a table, a folder of images, or a name.
        table: the table, if the data came from one.

    Returns:
        How many labels were corrected, and how many examples dropped.

    Raises:
        InputError: a file cannot be read or written, or cannot hold the data.
    """
    _check_suffix(path)
    wrong = {name: answer.corrected for name, answer in file.answers.items() if answer.wrong == YES}
    labels = {name: label for name, label in wrong.items() if label}
    dropped = wrong.keys() - labels.keys()
    if table is not None:
        _write(path, table.corrected(workspace.examples, labels, dropped))
    else:
        _write(path, _table(workspace, labels, dropped, source, as_text=path.suffix == ".csv"))
    return len(labels), len(dropped)


def _holds_files(source: Path, name: str) -> bool:
    """Whether examples are files of a folder, and their ids the names."""
    return source.is_dir() and (source / name).is_file()


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"The name of a table must end in .parquet or .csv, got {path.name!r}.")


def write_scores(path: Path, workspace: Workspace, file: ReviewFile, source: Path) -> None:
    """Write the suspects as a table for FiftyOne (.csv), Spotlight (.parquet or .csv) and data frames.

    The columns are `id`, `filepath` (where examples are files), `label`, `suggested`, `score`, `wrong` and `corrected`.

    Raises:
        InputError: the file cannot be written.
    """
    _check_suffix(path)
    import pyarrow as pa

    suspects = workspace.suspects
    answers = [file.answers.get(suspect.id, Answer()) for suspect in suspects]
    columns: dict[str, object] = {"id": [suspect.id for suspect in suspects]}
    if suspects and _holds_files(source, suspects[0].id):
        columns["filepath"] = [str((source / suspect.id).absolute()) for suspect in suspects]
    columns |= {
        "label": [suspect.label for suspect in suspects],
        "suggested": pa.array([suspect.suggested for suspect in suspects], pa.string()),
        "score": pa.array([suspect.score for suspect in suspects], pa.float64()),
        "wrong": [answer.wrong for answer in answers],
        "corrected": [answer.corrected for answer in answers],
    }
    _write(path, pa.table(columns))


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
    if kind == "image" and _holds_files(source, suspect.id):
        data["image"] = f"/data/local-files/?d={quote(suspect.id)}"
    elif content := workspace.picture(position, "large"):
        data["image"] = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    else:
        data["text"] = workspace.text(position)
    task: dict[str, object] = {"data": data, "predictions": [], "annotations": []}
    if suspect.suggested is not None:
        prediction: dict[str, object] = {"model_version": "untrain", "result": [_choice(suspect.suggested, kind)]}
        if suspect.score is not None and 0 <= suspect.score <= 1:
            prediction["score"] = suspect.score
        task["predictions"] = [prediction]
    right = answer.corrected or ("" if answer.wrong in ("", UNSURE, YES) else suspect.label)
    if right:
        task["annotations"] = [{"result": [_choice(right, kind)]}]
    elif answer.wrong:
        task["annotations"] = [{"was_cancelled": True, "result": []}]
    return task


def _choice(name: str, kind: str) -> dict[str, object]:
    return {"from_name": "label", "to_name": kind, "type": "choices", "value": {"choices": [name]}}


def _table(
    workspace: Workspace, labels: Mapping[str, str], dropped: Collection[str], source: Path, *, as_text: bool
) -> "pa.Table":
    """A table of data that were none."""
    import pyarrow as pa

    examples = workspace.examples
    names = [str(name) for name in examples.ids]
    kept = [row for row, name in enumerate(names) if name not in dropped]
    files = _holds_files(source, names[0])
    if as_text and files:
        columns: dict[str, Any] = {"file_name": [names[row] for row in kept]}
    else:
        columns = {"id": [names[row] for row in kept]} | _inputs(workspace, kept, source if files else None)
    given = [examples.classes[examples.labels[row]] for row in kept]
    return pa.table(
        {**columns, "label": [labels.get(names[row], label) for row, label in zip(kept, given, strict=True)]}
    )


def _inputs(workspace: Workspace, rows: list[int], folder: Path | None) -> dict[str, Any]:
    """Columns of the inputs of some examples."""
    examples = workspace.examples
    if folder is not None:
        names = [str(name) for name in examples.ids[rows]]
        return {"image": [{"bytes": read_bytes(folder / name), "path": name} for name in names]}
    if workspace.kind == "picture":
        return {"image": [{"bytes": workspace.picture(row, "large"), "path": None} for row in rows]}
    if workspace.kind == "row":
        return {f"column {number}": values for number, values in enumerate(examples.inputs[rows].T)}
    if workspace.kind == "text":
        return {"text": [workspace.text(row) for row in rows]}
    return {name: [np.ravel(array[row]).tolist() for row in rows] for name, array in examples.arrays.items()}


def _write(path: Path, table: "pa.Table | str") -> None:
    """Write a table in the form that the suffix says."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    if isinstance(table, str) and path.suffix == ".csv":
        write_file(path, table.encode())
        return
    file = io.BytesIO()
    try:
        if isinstance(table, str):
            mark = separator(table)
            options = pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True)
            table = pyarrow.csv.read_csv(io.BytesIO(table.encode()), parse_options=options)
        (pq.write_table if path.suffix == ".parquet" else pyarrow.csv.write_csv)(table, file)
    except pa.ArrowException as error:
        advice = "" if path.suffix == ".parquet" else "; pictures and lists need a .parquet file"
        raise InputError(f"{path} cannot be written: {first_line(error)}{advice}") from error
    write_file(path, file.getvalue())
