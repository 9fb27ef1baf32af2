"""A published classifier and its published data: from the Hugging Face hub, or from local snapshots. Extra `hf`.

No code of a repository is run: only safetensors, configurations and data files are fetched and read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from torch import nn

from untrain.core.extras import extra
from untrain.core.files import write_file
from untrain.core.randomness import Streams
from untrain.core.text import percent
from untrain.data import Examples
from untrain.data.examples import Array
from untrain.data.images import upright
from untrain.data.memory import MEMORY_LIMIT, check_memory
from untrain.data.selection import Selection, input_names
from untrain.errors import InputError, NotSupportedError
from untrain.models.hub import fetch_snapshot
from untrain.population import guarded
from untrain.records.push import CARD, CONFIG, HEADING, REPAIR
from untrain.workflows.repair import Repaired

if TYPE_CHECKING:
    import datasets

_TASKS = {"ForImageClassification": "image", "ForSequenceClassification": "text"}
_LONGEST, _BATCH = 512, 64
"""Most tokens of a text, and pictures prepared in one go."""


def is_published(model: str | None) -> bool:
    """Whether a name is that of a model on the hub, or of a snapshot's directory."""
    return model is not None and (model.startswith("hf://") or (Path(model) / CONFIG).is_file())


class Config(Protocol):
    """What is read of a configuration of `transformers`."""

    architectures: list[str] | None
    num_labels: int
    id2label: dict[int, str]


@dataclass(frozen=True)
class Rows:
    """Rows of a data set.

    Attributes:
        table: all of their columns.
        source: where they come from, for messages.
        label: name of the label column.
        inputs: name of the column of pictures or texts.
        ids: of the rows.
        groups: persons or things that they belong to, or None.
    """

    table: "datasets.Dataset"
    source: str
    label: str
    inputs: str
    ids: list[str]
    groups: list[str] | None


@dataclass(frozen=True)
class Published:
    """A published classifier.

    Attributes:
        directory: its snapshot.
        task: `image` or `text`.
        config: of `transformers`.
    """

    directory: Path
    task: str
    config: Config

    @classmethod
    def read(cls, model: str) -> "Published":
        """Fetch a snapshot if it is on the hub, and read its configuration.

        Args:
            model: `hf://ORG/MODEL[@REVISION]`, or a directory with `config.json` and `model.safetensors`.

        Raises:
            InputError: there is none, or it is not a classifier of images or texts.
            NotSupportedError: the extra is not installed.
        """
        transformers = extra("hf", "transformers")
        directory = fetch_snapshot(model) if model.startswith("hf://") else Path(model)
        config = guarded(
            f"{directory} holds no configuration of a model that can be read",
            lambda: transformers.AutoConfig.from_pretrained(directory, trust_remote_code=False, local_files_only=True),
        )
        names = [str(name) for name in config.architectures or ()]
        task = next((_TASKS[kind] for kind in _TASKS for name in names if name.endswith(kind)), None)
        if task is None or config.num_labels < 2:
            raise InputError(
                f"{model} must be a classifier of images or sequences, got {', '.join(names) or 'no architecture'} "
                f"with {config.num_labels} labels."
            )
        return cls(directory, task, config)

    def load(self) -> nn.Module:
        """The model, in evaluation mode, from safetensors alone.

        Raises:
            InputError: the weights are missing, damaged or not safetensors.
        """
        transformers = extra("hf", "transformers")
        kinds = {"image": "AutoModelForImageClassification", "text": "AutoModelForSequenceClassification"}
        with _quiet():
            module: nn.Module = guarded(
                f"{self.directory} holds no weights as safetensors of a {', '.join(self.config.architectures or ())}",
                lambda: getattr(transformers, kinds[self.task]).from_pretrained(
                    self.directory, use_safetensors=True, trust_remote_code=False, local_files_only=True
                ),
            )
        return module.eval()

    def rows(
        self,
        data: str,
        *,
        label: str | None = None,
        inputs: str | None = None,
        group: str | None = None,
        limit: int | None = None,
        seed: int = 0,
    ) -> Rows:
        """Read a data set.

        Args:
            data: `hf://datasets/ORG/SET[@REVISION]`, of which the part `train` is read; or a directory of its files.
            label: label column; default `label`, `labels`, or the only column of class labels.
            inputs: column of pictures or texts; default the only one.
            group: column of the persons or things that rows belong to; default `group`.
            limit: number of examples to draw at random; default all.
            seed: of the draw.

        Raises:
            InputError: the data cannot be read, or their labels are not clear.
            NotSupportedError: their inputs are not clear.
        """
        datasets = extra("hf", "datasets")
        directory = fetch_snapshot(data) if data.startswith("hf://") else Path(data)
        if not directory.is_dir():
            raise InputError(f"There is no folder {data} of data files; pass one, or hf://datasets/ORG/SET.")
        with _quiet():
            table = guarded(
                f"{directory} holds no data files of a part 'train' that can be read",
                lambda: datasets.load_dataset(str(directory), split="train"),
            )
        if limit is not None and limit < len(table):
            rows = Streams(seed).child("limit", "train").generator("rows").permutation(len(table))[:limit]
            table = table.select(np.sort(rows))
        named = [name for name, feature in table.features.items() if getattr(feature, "names", None)]
        selection = Selection(label, input_names(inputs), group=group)
        label, group = selection.label_of(table.features, named, data), group or "group"
        inputs = inputs or _input_column(table.features, {label, "id", group}, self.task, data)
        ids = (
            [str(name) for name in table["id"]]
            if "id" in table.features
            else [f"{row:05d}" for row in range(len(table))]
        )
        groups = [str(name) for name in table[group]] if group in table.features else None
        return Rows(table, data, label, inputs, ids, groups)

    def examples(self, rows: Rows, memory_limit: float = MEMORY_LIMIT) -> Examples:
        """Prepare the inputs of rows as the model was trained on them.

        Args:
            rows: of a data set.
            memory_limit: largest size of the prepared inputs in GB.

        Raises:
            InputError: the inputs cannot be prepared, or the rows have other classes.

        Cost: memory for all prepared inputs.
        """
        numbers = self._class_numbers(rows.table[rows.label], rows.table.features[rows.label], rows.source)
        prepared = guarded(
            f"The model's preprocessing fails on column {rows.inputs!r}",
            lambda: self._prepared(rows.table[rows.inputs], memory_limit),
        )
        classes = [str(self.config.id2label[n]) for n in range(self.config.num_labels)]
        return Examples.of(prepared, numbers, rows.ids, classes, rows.groups)

    def texts(self, rows: Rows) -> dict[str, str]:
        """What is written in rows, by id; empty for pictures."""
        if self.task != "text":
            return {}
        return dict(zip(rows.ids, map(str, rows.table[rows.inputs]), strict=True))

    def _class_numbers(self, labels: Sequence[object], feature: object, data: str) -> list[int]:
        """Labels as numbers of the model's outputs: by name, unless the model's or the data's classes have none."""
        number_of = {str(name).casefold(): int(number) for number, name in self.config.id2label.items()}
        names = getattr(feature, "names", None)
        if names and (missing := [value for value in labels if not isinstance(value, int) or value < 0]):
            raise InputError(
                f"{len(missing)} rows of {data} have no label ({missing[0]!r}): leave these rows out of the data."
            )
        values = [names[value] if names else value for value in labels]
        if all(str(value).casefold() in number_of for value in values):
            return [number_of[str(value).casefold()] for value in values]
        generic = all(name.startswith("label_") for name in number_of)
        numbers = [label for label in labels if isinstance(label, int) and 0 <= label < len(number_of)]
        if len(numbers) == len(values) and (generic or not names):
            return numbers
        unknown = next(value for value in values if str(value).casefold() not in number_of)
        known = ", ".join(map(str, self.config.id2label.values()))
        raise InputError(
            f"The classes of {data} must be those of the model ({known}), got {unknown!r}; "
            "rename them in the data or in the model's config.json."
        )

    def _prepared(self, cells: Sequence[Any], memory_limit: float) -> dict[str, Array]:
        """Inputs by name."""
        transformers = extra("hf", "transformers")
        if self.task == "text":
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                self.directory, trust_remote_code=False, local_files_only=True
            )
            longest = min(int(tokenizer.model_max_length), _LONGEST)
            tokens = tokenizer(list(cells), padding=True, truncation=True, max_length=longest, return_tensors="np")
            return {name: np.asarray(array) for name, array in tokens.items()}
        processor = transformers.AutoImageProcessor.from_pretrained(
            self.directory, trust_remote_code=False, local_files_only=True
        )
        mode = "L" if getattr(self.config, "num_channels", 3) == 1 else "RGB"
        batches = list[np.ndarray[Any, Any]]()
        for first in range(0, len(cells), _BATCH):
            pictures = [upright(picture).convert(mode) for picture in cells[first : first + _BATCH]]
            batches.append(processor(images=pictures, return_tensors="np")["pixel_values"].astype(np.float32))
            check_memory(batches[0][0].nbytes * len(cells), memory_limit, f"The {len(cells)} pictures")
        return {"pixel_values": np.concatenate(batches)}

    def settings(self) -> list[Path]:
        """The files of the snapshot that stand beside the weights: configuration and preprocessing."""
        files = (file for suffix in ("*.json", "*.txt", "*.model") for file in self.directory.glob(suffix))
        settings = (file for file in files if file.is_file() and not file.name.endswith(".index.json"))
        return sorted(file for file in settings if file.name != REPAIR)  # of an earlier repair

    def write(self, out: Path, repaired: Repaired, data: str) -> None:
        """Write settings and model card beside the weights, so that the directory is a snapshot itself.

        Raises:
            InputError: the file system refused.
        """
        for file in self.settings():
            write_file(out / file.name, file.read_bytes())
        write_file(out / CARD, self.card(repaired, data))

    def card(self, repaired: Repaired, data: str) -> str:
        """The model card: that of the original, if it has one, and a section on what was removed and why."""
        card = self.directory / CARD
        text = (
            card.read_text(encoding="utf-8", errors="replace").rstrip()
            if card.is_file()
            else f"# {self.directory.name}"
        )
        return "\n".join([text, "", *_section(repaired, data), ""])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars of the libraries, which would stand among ours."""
    datasets, logging = extra("hf", "datasets"), extra("hf", "transformers").utils.logging
    shown = [
        (not datasets.are_progress_bars_disabled(), datasets.disable_progress_bars, datasets.enable_progress_bars),
        (logging.is_progress_bar_enabled(), logging.disable_progress_bar, logging.enable_progress_bar),
    ]
    for was_shown, hide, _ in shown:
        if was_shown:
            hide()
    try:
        yield
    finally:
        for was_shown, _, show in shown:
            if was_shown:
                show()


def _section(repaired: Repaired, data: str) -> Iterator[str]:
    examples = repaired.suspects.examples
    yield HEADING
    yield ""
    if not repaired.accepted:
        yield f"Nothing was removed: these are the original's weights. {repaired.verdict}"
        return
    yield (
        f"{len(repaired.forgotten)} of the {len(examples)} training examples in `{data}` were removed by "
        f"`{repaired.method}`, because their labels are probably wrong (found by `{repaired.suspects.scorer}`)."
    )
    yield ""
    yield f"Accuracy on {repaired.measured_on}: {percent(repaired.before)} before, {percent(repaired.after)} after."
    yield ""
    yield "Examples removed by class:"
    yield ""
    for number, name in enumerate(examples.classes):
        if count := int((examples.labels[repaired.forgotten] == number).sum()):
            yield f"- {name}: {count}"


def _input_column(features: Mapping[str, object], others: set[str], task: str, data: str) -> str:
    """The only column of pictures or of texts."""
    wanted = {
        "image": lambda f: type(f).__name__ == "Image",
        "text": lambda f: str(getattr(f, "dtype", "")).endswith("string"),
    }
    columns = [str(name) for name, feature in features.items() if name not in others and wanted[task](feature)]
    if len(columns) > 1 and "text" in columns:
        columns = ["text"]
    if len(columns) != 1:
        raise NotSupportedError(
            f"{data} must have one column of {'pictures' if task == 'image' else 'texts'}, got "
            f"{', '.join(columns) or 'none'} among {', '.join(features)}; name it with --inputs."
        )
    return columns[0]
