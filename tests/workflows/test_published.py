"""A published classifier and its data; both are made here, from configurations, as no network is asked."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import untrain as un
from tests.typed import call
from untrain.cli.main import main
from untrain.errors import InputError
from untrain.models import hub
from untrain.workflows.published import Published, is_published

pytestmark = [pytest.mark.filterwarnings("ignore")]  # of libraries that are not ours
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "fine", "bad", "awful", "film", "the"]


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
    examples = published.examples(str(home / "data"))
    assert examples.classes == ("negative", "positive")
    assert examples.labels.tolist() == texts()[1]
    assert set(examples.arrays) == {"input_ids", "attention_mask", "token_type_ids"}
    models = un.Population.from_module(published.load())
    clean = np.arange(len(examples)) % 10 > 0
    assert (models.logits(examples)[0].argmax(1).numpy() == examples.labels)[clean].mean() > 0.95
    assert len(published.examples(str(home / "data"), limit=20)) == 20


def test_a_review_shows_the_texts_as_they_are_written(home: Path) -> None:
    published = Published.read(str(home / "model"))
    examples, written = published.examples(str(home / "data")), published.texts(str(home / "data"))
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
    assert un.Population.from_module(again.load()).accuracy(again.examples(str(home / "data")))[0] > 0.8


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
    with pytest.raises(InputError, match=r"those of the model \(spam, ham\), got '(positive|negative)'"):
        Published.read(str(home / "model")).examples(str(home / "data"))


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
    examples = published.examples(str(tmp_path / "data"))
    expected = processor(images=pictures, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(examples.inputs["pixel_values"], expected, atol=1e-5)
    assert un.Population.from_module(published.load()).logits(examples).shape == (1, 3, 3)
