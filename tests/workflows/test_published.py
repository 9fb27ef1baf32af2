"""A published classifier and its data; both are made here, from configurations, as no network is asked."""

import contextlib
import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch

import untrain as un
from tests.typed import call
from untrain.cli.main import main
from untrain.errors import InputError, UntrainError
from untrain.models import hub
from untrain.records import push
from untrain.workflows.published import Published, is_published

pytestmark = [pytest.mark.filterwarnings("ignore")]  # of libraries that are not ours
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "fine", "bad", "awful", "film", "the"]


TOKENIZER = {"tokenizer.json", "tokenizer_config.json"}


def texts(count: int = 160, seed: int = 0) -> tuple[list[str], list[int]]:
    """Sentences of which a word tells the class; every tenth label is wrong."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    words = [["the", "film", str(draw.choice(WORDS[5:7] if label else WORDS[7:9]))] for label in labels]
    labels[::10] = 1 - labels[::10]
    return [" ".join(draw.permutation(sentence)) for sentence in words], labels.tolist()


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A trained sequence classifier and its data set as snapshots."""
    sentences, labels = texts()
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        id2label={0: "negative", 1: "positive"}, label2id={"negative": 0, "positive": 1},
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    tokenizer = transformers.BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)})
    batch = tokenizer(sentences, padding=True, return_tensors="pt")
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        model(**batch, labels=torch.tensor(labels)).loss.backward()
        optimizer.step()
    model.eval().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["positive", "negative"])}
    )
    # The data set counts the classes the other way round.
    table = datasets.Dataset.from_dict({"text": sentences, "label": [1 - label for label in labels]}, features=features)
    (tmp_path / "data").mkdir()
    table.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    return tmp_path


def test_examples_are_prepared_and_classes_are_matched_by_name(home: Path) -> None:
    published = Published.read(str(home / "model"))
    examples = published.examples(published.rows(str(home / "data")))
    assert examples.classes == ("negative", "positive")
    assert examples.labels.tolist() == texts()[1]
    assert set(examples.arrays) == {"input_ids", "attention_mask", "token_type_ids"}
    models = un.Population.from_module(published.load())
    clean = np.arange(len(examples)) % 10 > 0
    assert (models.logits(examples)[0].argmax(1).numpy() == examples.labels)[clean].mean() > 0.95
    assert len(published.examples(published.rows(str(home / "data"), limit=20))) == 20


def test_a_review_shows_the_texts_as_they_are_written(home: Path) -> None:
    published = Published.read(str(home / "model"))
    rows = published.rows(str(home / "data"))
    examples, written = published.examples(rows), published.texts(rows)
    assert [written[name] for name in examples.ids.tolist()] == texts()[0]
    suspect = {"id": examples.ids[3], "label": examples.classes[examples.labels[3]], "suggested": None, "score": 0.9}
    asked = {"data": str(home / "data"), "model": str(home / "model")}
    content = {
        "data": "data", "inputs": asked, "examples": len(examples), "scorer": "loss", "noise_ratio": 0.1,
        "interval": None, "model_error": None, "evidence": {}, "versions": {}, "flagged": [suspect],
    }  # fmt: skip
    (home / "detected").mkdir()
    (home / "detected" / "suspects.json").write_text(json.dumps(content, default=str))
    (home / "detected" / "suspects.csv").write_text(f"wrong,id,label\nyes,{suspect['id']},{suspect['label']}\n")
    assert call("review", str(home / "detected"), "--export", str(home / "cleaned.parquet")) == 0
    cleaned = datasets.Dataset.from_parquet(str(home / "cleaned.parquet"), cache_dir=str(home / "cache"))
    assert cleaned["text"] == [text for row, text in enumerate(texts()[0]) if row != 3]
    assert call("review", str(home / "detected"), "--static", str(home / "page.html")) == 0
    assert texts()[0][3] in (home / "page.html").read_text()


def test_repair_by_hub_addresses_writes_a_snapshot_with_a_card(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    class Hub:
        """Stands for the hub."""

        @staticmethod
        def snapshot_download(repository: str, **asked_for: Any) -> str:
            asked.append((repository, asked_for["repo_type"], asked_for["revision"]))
            assert not any(pattern.endswith((".py", ".bin", ".pt", "*")) for pattern in asked_for["allow_patterns"])
            return str(home / repository.split("/")[1])

    monkeypatch.setattr(hub, "extra", lambda *_: Hub)
    monkeypatch.chdir(home)
    arguments = ["repair", "--model", "hf://me/model@v1", "--data", "hf://datasets/me/data", "--out", "repaired"]
    with contextlib.suppress(SystemExit):
        main(arguments)
    assert set(asked) == {("me/model", "model", "v1"), ("me/data", "dataset", None)}
    record = json.loads((home / "repaired" / "repair.json").read_text())
    card = (home / "repaired" / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n---\n# A model\n")
    assert "## Repaired with untrain" in card
    if record["accepted"]:
        assert f"{len(record['forgotten'])} of the 128 training examples" in card
    again = Published.read(str(home / "repaired"))
    examples = again.examples(again.rows(str(home / "data")))
    assert un.Population.from_module(again.load()).accuracy(examples)[0] > 0.8
    with safetensors.safe_open(home / "repaired" / "model.safetensors", "pt") as weights:
        assert weights.metadata()["format"] == "pt"


@pytest.fixture
def repaired(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repaired snapshot."""
    monkeypatch.chdir(home)
    words = "repair --model model --data data --method finetune --noise-ratio 0.1 --out repaired"
    assert call(*words.split()) == 0
    if not json.loads((home / "repaired" / "repair.json").read_text())["accepted"]:
        raise AssertionError("the repair was refused")
    return home / "repaired"


class Hub:
    """Stands for the hub, and keeps what was uploaded."""

    def __init__(self) -> None:
        self.created, self.uploaded = list[tuple[str, bool]](), list[set[str]]()

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.created.append((repository, private))

    def upload_folder(self, repo_id: str, folder_path: str, ignore_patterns: list[str]) -> str:
        names = {path.name for path in Path(folder_path).iterdir()}
        self.uploaded.append({name for name in names if not any(fnmatch(name, each) for each in ignore_patterns)})
        return f"https://hub/{repo_id}/commit/1"


@pytest.mark.parametrize("label", [-1, None])
def test_rows_without_a_label_are_refused(home: Path, label: int | None) -> None:
    """The number -1 says so; read from the end, it would be the last class."""
    file = home / "data" / "train-00000-of-00001.parquet"
    sentences, labels = texts()
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["positive", "negative"])}
    )
    table = {"text": sentences, "label": [label, *labels[1:]]}
    datasets.Dataset.from_dict(table, features=features).to_parquet(file)
    published = Published.read(str(home / "model"))
    with pytest.raises(InputError, match=rf"1 rows of .*data have no label \({label}\): leave these rows out"):
        published.examples(published.rows(str(home / "data")))


def test_a_repaired_snapshot_is_pushed_without_what_names_examples(
    repaired: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Hub()
    monkeypatch.setattr(push, "extra", lambda *_: client)
    for name in ("suspects.html", "suspects.json", "pictures.sqlite"):  # of a review that was put beside it
        (repaired / name).write_text("who")
    assert call("push", "repaired", "me/better", "--public") == 0
    assert "commit: https://hub/me/better/commit/1" in capsys.readouterr().out
    assert client.created == [("me/better", False)]
    assert client.uploaded == [{"README.md", "config.json", "model.safetensors", *TOKENIZER}]
    card = (repaired / "README.md").read_text()
    assert "because their labels are probably wrong" in card
    forgotten = json.loads((repaired / "repair.json").read_text())["forgotten"]
    assert forgotten
    assert not any(name in card for name in forgotten)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("README.md", None, "holds no README.md, so it is no snapshot"),
        ("config.json", None, "holds no config.json, so it is no snapshot"),
        ("README.md", "# Better\n", "lacks the section '## Repaired with untrain'"),
        ("model.safetensors", "other weights", "has the digest .*, and the repair wrote"),
        ("repair.json", "{", "is not what `untrain repair` writes: run it again"),
        ("repair.json", "[]", "is not what `untrain repair` writes: run it again"),
        ("repair.json", '{"accepted": false, "model_sha256": ""}', "its weights are the original's: nothing to push"),
    ],
)
def test_what_is_no_repaired_snapshot_is_not_pushed(
    repaired: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | None, said: str
) -> None:
    client = Hub()
    monkeypatch.setattr(push, "extra", lambda *_: client)
    (repaired / name).unlink() if content is None else (repaired / name).write_text(content)
    with pytest.raises(UntrainError, match=said):
        push.push_directory(repaired, "me/better")
    assert not client.created


def test_a_hub_that_refuses_is_named(repaired: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise RuntimeError("403 Forbidden")

    client = Hub()
    monkeypatch.setattr(client, "create_repo", refuse)
    monkeypatch.setattr(push, "extra", lambda *_: client)
    with pytest.raises(InputError, match="cannot be uploaded to me/better on the hub: 403 Forbidden"):
        push.push_directory(repaired, "me/better")


def test_a_repaired_snapshot_is_repaired_again(repaired: Path) -> None:
    words = "repair --model repaired --data data --method finetune --noise-ratio 0.05 --out again"
    assert call(*words.split()) == 0
    first, second = (json.loads((repaired.parent / name / "repair.json").read_text()) for name in ("repaired", "again"))
    assert second["noise_ratio"] == 0.05
    assert first["model_sha256"] != second["model_sha256"]
    assert (repaired.parent / "again" / "README.md").read_text().count("## Repaired with untrain") == 2


def test_a_published_model_forgets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (home / "ids.txt").write_text("00001\n00002\n")
    words = "--ids ids.txt --model model --data data"
    assert call("doctor", *words.split()) == 0
    assert call("forget", *words.split(), "--method", "finetune", "--out", "one") == 0
    assert un.verify(home / "one").ok
    (home / "more.txt").write_text("00003\n")
    more = "--ids more.txt --model model --data data --previous one --method finetune --out two"
    assert call("forget", *more.split()) == 0
    assert call("forget", *words.split(), "--mean", "0.5") == 3


def test_wrong_labels_of_published_data_are_looked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    assert call("detect", "--model", "model", "--data", "data", "--out", "found") == 0
    assert (home / "found" / "suspects.html").is_file()
    assert call("review", "found", "--static", "page.html") == 0
    assert call("detect", "--model", "model", "--data", "elsewhere", "--out", "other") == 3
    assert "There is no folder elsewhere of data files" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["hf://model", "hf://a/../b", "hf://datasets/a", "https://x/y", "hf://a/b\n"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="hf://ORG/MODEL"):
        hub.fetch_snapshot(address)


def test_what_is_no_published_classifier_is_refused(home: Path) -> None:
    assert not is_published("resnet18")
    assert not is_published(str(home))
    config = json.loads((home / "model" / "config.json").read_text())
    (home / "model" / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(InputError, match="classifier of images or sequences, got BertModel"):
        Published.read(str(home / "model"))
    (home / "model" / "config.json").write_text(json.dumps(config))
    (home / "model" / "model.safetensors").unlink()
    torch.save({}, home / "model" / "pytorch_model.bin")
    with pytest.raises(InputError, match="as safetensors"):
        Published.read(str(home / "model")).load()


def test_other_classes_are_refused(home: Path) -> None:
    config = json.loads((home / "model" / "config.json").read_text())
    names = {"id2label": {"0": "spam", "1": "ham"}, "label2id": {"spam": 0, "ham": 1}}
    (home / "model" / "config.json").write_text(json.dumps({**config, **names}))
    published = Published.read(str(home / "model"))
    with pytest.raises(InputError, match=r"those of the model \(spam, ham\), got '(positive|negative)'"):
        published.examples(published.rows(str(home / "data")))


def test_pictures_go_through_the_models_processor(tmp_path: Path) -> None:
    try:
        from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
    except ImportError as error:
        pytest.skip(f"transformers cannot import its image models here: {error}")
    from PIL import Image

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        id2label={0: "a", 1: "b", 2: "c"},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path / "model")
    processor = ViTImageProcessor(size={"height": 8, "width": 8})
    processor.save_pretrained(tmp_path / "model")
    pictures = [Image.fromarray(np.full((10, 12, 3), 80 * label, np.uint8)) for label in range(3)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict({"image": pictures, "label": [0, 1, 2]}, features=features).to_parquet(
        tmp_path / "data" / "train.parquet"
    )
    published = Published.read(str(tmp_path / "model"))
    examples = published.examples(published.rows(str(tmp_path / "data")))
    expected = processor(images=pictures, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(examples.inputs["pixel_values"], expected, atol=1e-5)
    assert un.Population.from_module(published.load()).logits(examples).shape == (1, 3, 3)
