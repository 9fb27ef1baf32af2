"""`untrain forget`, `audit`, `doctor` and `convert`: what is typed, printed and written, and files that mean harm."""

import dataclasses
import json
import pickle
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from torch import nn

from tests.cli.conftest import build, write_table
from tests.typed import call, interrupt, once
from untrain.data import load
from untrain.errors import ConfigError, InputError, IntegrityError, NotSupportedError
from untrain.models import convert as converting
from untrain.models.convert import convert
from untrain.models.hub import fetch_weights
from untrain.records import read_record, verify
from untrain.records.push import push_directory

ASKED = ("--model", "own_model:build", "--data", "train.parquet", "--ids", "ids.txt")
KNOWN = ("--weights", "model.safetensors", "--recipe", "recipe.toml", "--validation", "val.parquet")


def test_two_requests_from_the_shell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forget", *ASKED, *KNOWN, "--out", "one") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("forgotten by construction: retrain (auto: it trains a new model")
    assert "Keep one/request.key separately" in printed.out
    assert printed.err.splitlines() == [
        "reading train.parquet", "reading val.parquet", "choosing a method", "forgetting by retrain",
        "checking the result",
    ]  # fmt: skip
    ids = (folder / "ids.txt").read_text().split()
    assert verify("one", ids=ids).ok
    module = build()
    module.load_state_dict(safetensors.torch.load_file("one/model.safetensors"))

    more = [*ASKED[:-1], "more.txt", "--validation", "val.parquet", "--previous", "one", "--method", "kl-contrast"]
    assert call("forget", *more, "--out", "two", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((folder / "two" / "record.json").read_text())
    assert record["previous"]["forgotten"] == 30
    assert record["requested"]["retained"] == 490 - 40
    written = "".join(path.read_text() for path in folder.glob("two/*.json")) + (folder / "two/report.html").read_text()
    assert not any(name in written for name in ids)
    assert verify("two", ids=[*ids, *(folder / "more.txt").read_text().split()]).ok

    assert call("forget", *more, "--out", "two") == 3
    assert "two holds the record of an earlier request; choose another --out" in capsys.readouterr().err
    key = folder / "one" / "request.key"
    key.rename(folder / "kept.key")
    assert call("forget", *more, "--out", "three") == 3
    assert "one holds no request.key" in capsys.readouterr().err
    assert call("forget", *more, "--out", "three", "--key", "kept.key") == 0
    assert call("verify", "three") == 0


def test_a_chain_prepares_its_inputs_in_one_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scaled = ("--mean", "0.1", "--std", "0.9")
    assert call("forget", *ASKED, *KNOWN[:2], *scaled, "--method", "finetune", "--out", "one") == 0
    prepared = read_record(folder / "one" / "record.json").preparation
    assert prepared is not None
    assert (prepared.size, prepared.mean, prepared.std) == (None, (0.1,), (0.9,))
    assert "mean 0.1, standard deviation 0.9" in (folder / "one" / "report.html").read_text()
    capsys.readouterr()
    more = [*ASKED[:-1], "more.txt", "--previous", "one", "--method", "finetune"]
    assert call("forget", *more, "--mean", "0.2", "--out", "two") == 3
    said = capsys.readouterr().err
    assert "with --mean 0.1 --std 0.9, and they are now read with --mean 0.2 --std 1.0: prepare them as they" in said
    assert call("forget", *more, "--out", "two") == 0
    assert "inputs are prepared as in the previous request: --mean 0.1 --std 0.9" in capsys.readouterr().err
    assert read_record(folder / "two" / "record.json").preparation == prepared
    assert call("verify", "two", "--ids", "ids.txt", "--data", "train.parquet") == 0
    assert "have the inputs that they had" in capsys.readouterr().out


def test_rows_are_verified_as_they_were_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pq.read_table(folder / "train.parquet")
    table = table.rename_columns(["digit" if name == "label" else name for name in table.column_names])
    pq.write_table(table.append_column("person", table["id"]), folder / "train.parquet")
    request = ["--label", "digit", "--subject-column", "person"]
    assert call("forget", *ASKED, *KNOWN[:2], *request, "--method", "finetune", "--out", "one") == 0
    capsys.readouterr()
    assert call("verify", "one", "--ids", "ids.txt", "--data", "train.parquet", *request) == 0
    assert "the 30 of them that are in the data have the inputs that they had" in capsys.readouterr().out
    columns = ",".join(f"p{number:02d}" for number in range(64))
    assert call("verify", "one", "--ids", "ids.txt", "--data", "train.parquet", *request, "--inputs", columns) == 0


def test_classes_are_named_in_the_order_of_the_outputs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"digit {'jihgfedcba'[number]}" for number in range(10)]  # of which 0 is the last in the alphabet
    for name in ("train.parquet", "val.parquet"):
        table = pq.read_table(folder / name)
        numbers = [int(str(label).removeprefix("digit ")) for label in table["label"].to_pylist()]
        labels = pa.array([names[number] for number in numbers])
        pq.write_table(table.set_column(table.column_names.index("label"), "label", labels), folder / name)
    assert call("forget", *ASKED, *KNOWN, "--method", "finetune") == 3
    assert "as_examples(data, classes=[...]), or --classes" in capsys.readouterr().err
    assert call("forget", *ASKED, *KNOWN, "--method", "finetune", "--classes", ",".join(names)) == 0
    assert call("forget", *ASKED, *KNOWN, "--classes", "a,b", "--out", "other") == 3
    assert "the 2 classes a, b" in capsys.readouterr().err


def test_tables_of_one_name_in_two_folders_are_two_sets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, source in (("train", "train.parquet"), ("held", "val.parquet")):
        (folder / name).mkdir()
        table = pq.read_table(folder / source)
        pq.write_table(table.drop_columns(["id"]), folder / name / "data.parquet")
    (folder / "rows.txt").write_text("data/00003\ndata/00005\n")
    asked = [*ASKED[:2], *KNOWN[:2], "--data", "train/data.parquet", "--ids", "rows.txt", "--method", "finetune"]
    assert call("forget", *asked, "--validation", "held/data.parquet") == 0
    assert call("forget", *asked, "--validation", "train/data.parquet", "--out", "other") == 3
    assert "'data/00003' is to be forgotten and in the validation set" in capsys.readouterr().err


def test_several_persons_are_named_by_an_option_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last one alone would be a request that is not met."""
    table = pq.read_table(folder / "train.parquet")
    people = pa.array([f"person {row // 10}" for row in range(len(table))])
    pq.write_table(table.append_column("person", people), folder / "train.parquet")
    named = ["--subject-column", "person", "--subject", "person 1", "--subject=person 4"]
    assert call("forget", *ASKED[:-2], *KNOWN[:2], *named, "--method", "finetune", "--out", "one") == 0
    assert json.loads((folder / "one" / "record.json").read_text())["requested"]["forgotten"] == 20
    capsys.readouterr()
    assert call("verify", "--subject", "person 4", "one", "--subject", "person 1") == 0
    assert "all 2 given subjects were named" in capsys.readouterr().out
    assert call("verify", "one", "--data", "train.parquet", "--subject-column", "person") == 5
    assert "20 of the 490 examples in the data have the inputs of a forgotten example" in capsys.readouterr().err


def test_an_option_that_would_replace_another_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forget", *ASKED, *KNOWN, "--ids", "more.txt") == 3
    assert "--ids is given twice" in capsys.readouterr().err
    assert not (folder / "forgotten").exists()


def test_doctor_offers_and_counts_copies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = load("train.parquet")
    inputs = train.inputs.copy()
    inputs[100:103], inputs[103:105] = inputs[0], inputs[1] * 1.001
    write_table(dataclasses.replace(train, inputs=inputs), folder / "train.parquet")
    assert call("doctor", *ASKED, *KNOWN) == 0
    said = capsys.readouterr().out
    assert "3 retained examples have exactly the inputs of a forgotten example and are not forgotten: forget" in said
    assert re.search(r"2 retained .* not forgotten \(distance .*: at most \d\.\d+\): forget .* --with-copies", said)
    assert call("doctor", *ASKED, *KNOWN, "--with-copies") == 0
    said = capsys.readouterr().out
    assert re.search(r"3 exact and 2 near copies of .* are forgotten as well \(distance .*: at most \d\.\d+\)", said)
    assert "and are not forgotten" not in said


def test_doctor_from_the_shell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert call("doctor", *ASKED, *KNOWN) == 0
    out = capsys.readouterr().out
    assert "490 training examples of 10 classes; inputs of shape 64, float32." in out
    assert "auto chooses retrain (" in out
    assert "it changes convolutions, and Sequential has none" in out
    (folder / "ids.txt").write_text("nobody")
    assert call("doctor", *ASKED, *KNOWN) == 3
    assert "unknown id 'nobody'" in capsys.readouterr().out
    assert call("doctor", *ASKED, *KNOWN, "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert (len(found["problems"]), found["options"]) == (1, [])
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before


def test_audit_from_the_shell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("audit", *ASKED, *KNOWN, "--method", "finetune", "--models", "8") == 0
    assert "8 models" in capsys.readouterr().out
    assert call("audit", *ASKED, *KNOWN, "--method", "finetune", "--models", "8", "--json") == 0
    assert json.loads(capsys.readouterr().out)["models"] == 8
    assert call("forget", *ASKED, *KNOWN, "--method", "finetune", "--audit", "19", "--out", "out") == 0
    audit = read_record(folder / "out" / "record.json").audit
    assert audit is not None
    assert audit.models == 19
    assert call("audit", *ASKED, *KNOWN[:2]) == 3
    assert call("audit", *ASKED, *KNOWN, "--method", "finetune", "--models", "8", "--checkpoint-dir", "kept") == 0
    assert call("audit", *ASKED, *KNOWN, "--method", "finetune", "--models", "8", "--checkpoint-dir", "kept") == 0
    assert len(list((folder / "kept").iterdir())) == 3
    assert "retrain trains new models; pass recipe= (--recipe)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([*ASKED], 3, "pass --weights or --previous"),
        ([*ASKED, "--weights", "/no/such.safetensors"], 3, "There is no weights file /no/such"),
        ([*ASKED, "--weights", "model.pt"], 3, "convert it first: untrain convert model.pt model.safetensors"),
        ([*ASKED, "--weights", "hf://nobody"], 3, "must be hf://OWNER/REPO[@REVISION]/FILE.safetensors, got 'hf://nobody'"),
        ([*ASKED, "--previous", "nothing"], 3, "There is no weights file nothing/model.safetensors"),
        ([*ASKED, *KNOWN, "--model", "own_model:few"], 3, "9 outputs, and the labels have 10 classes"),
        ([*ASKED, *KNOWN, "--method", "amnesia"], 3, "There is no method 'amnesia'"),
        ([*ASKED, *KNOWN, "--method", "transpose"], 3, "transpose changes convolutions, and Sequential has none"),
        ([*ASKED, *KNOWN[:2], "--method", "retrain"], 3, "trains new models; pass recipe= (--recipe)"),
        ([*ASKED, *KNOWN, "--recipe", "own_model.py"], 3, "own_model.py is not a recipe"),
        ([*ASKED, *KNOWN, "--recipe", "/no/such"], 3, "The recipe /no/such cannot be read: No such file"),
        ([*ASKED, *KNOWN, "--ids", "/no/such"], 3, "/no/such cannot be read as a text file with one id a line"),
        ([*ASKED, *KNOWN, "--validation", "train.parquet"], 3, "is to be forgotten and in the validation set"),
        ([*ASKED, *KNOWN, "--validation", "digits"], 3, "10 classes digit 0"),
        ([*ASKED, *KNOWN, "--key", "/no/such"], 3, "There is no request key at /no/such"),
        ([*ASKED, *KNOWN, "--key", "ids.txt"], 5, "ids.txt is not JSON"),
        ([*ASKED, *KNOWN, "--max-accuracy-drop", "7"], 3, "max_accuracy_drop is a share from 0 to 1, got 7.0"),
        ([*ASKED, *KNOWN, "--time-budget", "1e-9"], 3, "(less than 0.1 s); allow more time"),
        ([*ASKED[:-2], *KNOWN], 3, "pass --ids or --subject"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_and_write_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert call("forget", *once(*arguments)) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    if message:
        assert error.splitlines()[-1].startswith("untrain: ")
        assert message in error
    assert not (folder / "forgotten").exists()


def test_an_interrupted_forget_leaves_nothing(folder: Path) -> None:
    interrupt("forget", *ASKED, *KNOWN, at="choosing", by=signal.SIGTERM)
    assert not (folder / "forgotten").exists()


# Weights of torch


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
def test_a_state_dict_is_converted(wrapper: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(torch.bfloat16).state_dict()
    source, target = tmp_path / "model.pt", tmp_path / "model.safetensors"
    torch.save(state if wrapper is None else {"epoch": 3, wrapper: state}, source)
    assert call("convert", str(source), str(target)) == 0
    origin = "" if wrapper is None else f", from '{wrapper}' in {source}"
    assert capsys.readouterr().out == f"7 tensors: {target}{origin}\n"
    converted = safetensors.torch.load_file(target)
    assert converted.keys() == state.keys()
    assert all(torch.equal(converted[key], tensor) for key, tensor in state.items())
    before = target.read_bytes()
    assert call("convert", str(source), str(target)) == 3
    assert "nothing is overwritten" in capsys.readouterr().err
    assert target.read_bytes() == before


def test_tensors_that_share_memory_are_converted(tmp_path: Path) -> None:
    shared = torch.zeros(4)
    torch.save({"a": shared, "b": shared, "c": shared[1:3]}, tmp_path / "tied.pt")
    assert convert(tmp_path / "tied.pt", tmp_path / "tied.safetensors") == (3, None)


@dataclass
class Evil:
    """Runs code when it is read as a pickle."""

    call: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def payloads(mark: str) -> list[Any]:
    import os
    import shutil

    return [
        Evil((os.system, (f"touch {mark}",))),
        Evil((exec, (f"open({mark!r}, 'w')",))),
        Evil((eval, (f"open({mark!r}, 'w')",))),
        Evil((open, (mark, "w"))),
        Evil((Path.touch, (Path(mark),))),
        Evil((subprocess.check_call, (["touch", mark],))),
        Evil((shutil.copy, (__file__, mark))),
        Evil((torch.load, (mark,))),
        Evil((__import__, ("antigravity",))),
        Evil((os.popen, (f"touch {mark}",))),
    ]


WRITERS: list[Callable[[Any, Path], object]] = [
    lambda evil, path: torch.save({"weight": evil}, path),
    lambda evil, path: torch.save(evil, path),
    lambda evil, path: torch.save({"weight": evil}, path, _use_new_zipfile_serialization=False),
    lambda evil, path: path.write_bytes(pickle.dumps(evil)),
]


@pytest.mark.parametrize("write", WRITERS, ids=["dictionary", "alone", "old", "pickle"])
@pytest.mark.parametrize("number", range(10))
def test_no_code_of_a_pickle_is_run(
    number: int, write: Callable[[Any, Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, source, target = (tmp_path / name for name in ("mark", "evil.pt", "out.safetensors"))
    write(payloads(str(mark))[number], source)
    assert call("convert", str(source), str(target)) == 5
    error = capsys.readouterr().err
    assert error.startswith("untrain: ")
    assert str(source) in error
    assert error.count("\n") == 1
    assert "weights_only" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.pt"]


def archive(path: Path, change: Callable[[dict[str, bytes]], None], kind: int = zipfile.ZIP_STORED) -> None:
    """A state dict whose archive was changed."""
    torch.save({"weight": torch.zeros(2, 3)}, path)
    with zipfile.ZipFile(path) as read:
        entries = {entry.filename.partition("/")[2]: read.read(entry) for entry in read.infolist()}
    change(entries)
    with zipfile.ZipFile(path, "w", kind) as write:
        for name, data in entries.items():
            write.writestr(f"x/{name}", data)


@pytest.mark.parametrize(
    ("saved", "error", "message"),
    [
        ([torch.zeros(1)], InputError, "must hold a dictionary of tensors by name, got a list"),
        ({}, InputError, "got an empty one"),
        ({"a": 1}, InputError, "but 'a' is a int; save model.state_dict"),
        ({1: torch.zeros(1)}, InputError, "but 1 is a Tensor"),
        ({"state_dict": {"a": torch.zeros(1)}, "model": {"a": torch.zeros(1)}}, InputError, "but 'state_dict' is a"),
        ({"a": torch.eye(2).to_sparse()}, InputError, "'a' in .* is sparse"),
        ({"a": torch.zeros(2, device="meta")}, InputError, "without numbers"),
        ({"a": torch.zeros(1).expand(10**9)}, IntegrityError, "'a' in .* repeats numbers"),
        ({"__metadata__": torch.zeros(1)}, InputError, "cannot be stored as safetensors"),
        (nn.Linear(2, 2), IntegrityError, r"asks for more than tensors, torch\.nn\.modules\.linear\.Linear, so"),
    ],
)  # fmt: skip
def test_what_is_no_state_dict_is_refused(saved: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "saved.pt")
    with pytest.raises(error, match=message):
        convert(tmp_path / "saved.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*model\.pt; give one that torch\.save wrote"):
        convert(tmp_path / "model.pt", tmp_path / "out.safetensors")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save({"weight": torch.arange(6.0).view(2, 3)}, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_every_shortened_file_is_refused(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    for length in range(0, len(whole), 97):
        saved.write_bytes(whole[:length])
        with pytest.raises(IntegrityError):
            convert(saved, tmp_path / "out.safetensors")


def test_a_changed_bit_is_refused_or_changes_nothing(saved: Path, tmp_path: Path) -> None:
    whole, target = saved.read_bytes(), tmp_path / "out.safetensors"
    for position in range(0, len(whole), 23):
        saved.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        try:
            convert(saved, target)
        except IntegrityError:
            continue
        assert torch.equal(safetensors.torch.load_file(target)["weight"], torch.arange(6.0).view(2, 3))
        target.unlink()


def longer(entries: dict[str, bytes]) -> None:
    entries["data.pkl"] = entries["data.pkl"].replace(b"K\x02K\x03\x86", b"M\xff\x7fK\x03\x86", 1)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (longer, zipfile.ZIP_STORED, None),
        (dict.clear, zipfile.ZIP_STORED, None),
        (lambda entries: None, zipfile.ZIP_DEFLATED, "is compressed or occurs twice"),
    ],
)
def test_archives_of_another_form_are_refused(
    change: Callable[[dict[str, bytes]], None], kind: int, message: str | None, tmp_path: Path
) -> None:
    archive(tmp_path / "model.pt", change, kind)
    with pytest.raises(IntegrityError, match=message):
        convert(tmp_path / "model.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_form_before_version_1_6_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2, 3)}, tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(IntegrityError, match=r"1\.6"):
        convert(tmp_path / "model.pt", tmp_path / "out.safetensors")


def test_an_older_torch_is_refused(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "FLOOR", "99.0")
    with pytest.raises(NotSupportedError, match=r"torch 99\.0 or later"):
        convert(saved, tmp_path / "out.safetensors")


# The hub


class Hub:
    """What huggingface_hub looks like from outside, over a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.private = root, dict[str, bool]()

    def hf_hub_download(self, repository: str, file: str, revision: str | None = None) -> str:
        path = self.root / repository / (revision or "main") / file
        if not path.is_file():
            raise FileNotFoundError(f"404: {repository}\nand much more")
        return str(path)

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.private[repository] = private

    def upload_folder(self, *, repo_id: str, folder_path: str, ignore_patterns: list[str]) -> str:
        for path in Path(folder_path).rglob("*"):
            if path.is_file() and path.name not in ignore_patterns:
                home = self.root / repo_id / "main" / path.relative_to(folder_path)
                home.parent.mkdir(parents=True, exist_ok=True)
                home.write_bytes(path.read_bytes())
        return f"https://hub/{repo_id}"


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(folder / "hub")
    for repository in ("me/digits/main", "me/digits/v2", "me/other/main"):
        home = hub.root / repository
        home.mkdir(parents=True)
        if "other" in repository:
            safetensors.torch.save_file({"weight": torch.zeros(3)}, home / "model.safetensors")
        else:
            (home / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return hub


@pytest.mark.parametrize("revision", ["", "@v2"])
def test_weights_come_from_the_hub(revision: str, hub: Hub) -> None:
    path = hub.root / "me/digits" / (revision.removeprefix("@") or "main") / "model.safetensors"
    assert fetch_weights(f"hf://me/digits{revision}/model.safetensors") == path


@pytest.mark.parametrize(
    "address",
    [
        "hf://me/model.safetensors", "hf://me/digits/model.pt", "hf://me/digits/../model.safetensors",
        "https://hub/me/digits/model.safetensors", "hf://me/digits/model.safetensors\n",
    ],
)  # fmt: skip
def test_addresses_of_another_form_are_refused(address: str, hub: Hub) -> None:
    with pytest.raises(InputError, match="hf://OWNER/REPO"):
        fetch_weights(address)


def test_a_file_that_the_hub_lacks_is_named(hub: Hub) -> None:
    with pytest.raises(InputError, match=r"hf://me/digits/none.safetensors cannot be fetched: 404: me/digits$"):
        fetch_weights("hf://me/digits/none.safetensors")


def test_a_request_from_the_hub_and_back(hub: Hub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [*ASKED, "--method", "finetune", "--weights"]
    assert call("forget", *asked, "hf://me/other/model.safetensors") == 3
    assert "the model lacks 'weight'" in capsys.readouterr().err
    assert call("forget", *asked, "hf://me/digits/model.safetensors") == 0
    assert push_directory("forgotten", "me/forgotten") == "https://hub/me/forgotten"
    assert call("push", "forgotten", "me/open", "--public") == 0
    assert capsys.readouterr().out.endswith("commit: https://hub/me/open\n")
    assert hub.private == {"me/forgotten": True, "me/open": False}
    assert verify(hub.root / "me/forgotten/main").ok
    assert not (hub.root / "me/forgotten/main/request.key").exists()
    (folder / "forgotten" / "report.html").write_text("other")
    with pytest.raises(IntegrityError, match=r"page: .*bytes, and the record says"):
        push_directory("forgotten", "me/forgotten")


def test_without_the_extra_the_hub_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(NotSupportedError, match=r"pip install 'untrain\[hub\]'"):
        fetch_weights("hf://me/digits/model.safetensors")


def test_a_target_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists already, and nothing is overwritten"):
        convert(tmp_path / "no.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*ASKED, "--audit", "19"), "An audit trains new models; pass --recipe"),
        ((*ASKED, *KNOWN, "--audit", "4"), "at least 19 retrained models, got 4"),
        ((*ASKED, *KNOWN, "--audit", "19", "--checkpoint-dir", "ids.txt"), "ids.txt is a file; choose a directory"),
        ((*ASKED, *KNOWN, "--checkpoint-dir", "kept"), "A checkpoint directory is for an audit"),
    ],
)
def test_an_audit_that_cannot_be_made_is_refused_before_anything_is_forgotten(
    arguments: tuple[str, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forget", *arguments, "--method", "finetune", "--out", "out") == 3
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_the_only_copy_of_a_model_is_not_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine").mkdir()
    before = (folder / "model.safetensors").read_bytes()
    (folder / "mine" / "model.safetensors").write_bytes(before)
    assert call("forget", *ASKED, "--method", "finetune", "--out", "mine") == 3
    assert "mine contains your own model.safetensors" in capsys.readouterr().err
    assert (folder / "mine" / "model.safetensors").read_bytes() == before


def test_rewinding_from_the_shell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewinding = ("--method", "rewind", "--checkpoint", "model.safetensors", "--checkpoint-epoch", "1")
    arguments = [*ASKED, *KNOWN, *rewinding, "--max-accuracy-drop", "1"]
    assert call("forget", *arguments, "--checkpoint-before-forgotten", "--out", "clean") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("forgotten by construction: rewind")
    assert "continues a checkpoint that, as declared, never saw the forgotten examples" in printed
    record = json.loads((folder / "clean" / "record.json").read_text())
    settings = record["applied"]["settings"]
    assert settings["checkpoint"] == record["model"]["before"]
    assert (settings["epoch"], settings["before_forgotten"]) == (1, True)
    assert call("forget", *arguments, "--out", "seen") == 0
    assert capsys.readouterr().out.startswith("not shown: rewind")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*KNOWN, "--checkpoint-epoch", "1"), "describe a checkpoint; pass --checkpoint."),
        ((*KNOWN, "--checkpoint", "model.safetensors"), "pass --checkpoint-epoch."),
        ((*KNOWN[:2], "--checkpoint", "model.safetensors", "--checkpoint-epoch", "1"), "pass --recipe."),
    ],
)
def test_half_a_checkpoint_is_refused(
    arguments: tuple[str, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forget", *ASKED, *arguments, "--method", "rewind", "--out", "out") == 3
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()
