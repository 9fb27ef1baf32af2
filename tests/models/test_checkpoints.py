"""Weights as people have them: prefixed, tied, beside what a trainer keeps, or made to harm."""

import argparse
import time
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from untrain.errors import InputError, IntegrityError
from untrain.models.convert import convert
from untrain.models.weights import load_weights


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.c(self.b(self.a(x).relu()))
        return logits


def same(one: nn.Module, other: nn.Module) -> bool:
    x = torch.ones(2, 8)
    return torch.equal(one(x), other(x))


def test_one_name_of_tied_weights_is_enough(tmp_path: Path) -> None:
    net, other = Tied(), Tied()
    safetensors.torch.save_model(net, str(tmp_path / "tied.safetensors"))
    assert load_weights(other, tmp_path / "tied.safetensors") == ""
    assert same(net, other)
    assert other.b.weight is other.a.weight


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module."])
def test_known_prefixes_are_stripped(prefix: str, tmp_path: Path) -> None:
    net, other = nn.Linear(8, 3), nn.Linear(8, 3)
    safetensors.torch.save_file({prefix + n: t for n, t in net.state_dict().items()}, tmp_path / "w.safetensors")
    assert load_weights(other, tmp_path / "w.safetensors") == prefix
    assert same(net, other)


def test_names_of_the_model_that_begin_like_a_prefix_stay(tmp_path: Path) -> None:
    net = nn.ModuleDict({"model": nn.Linear(8, 3)})
    safetensors.torch.save_file(net.state_dict(), tmp_path / "w.safetensors")
    assert load_weights(net, tmp_path / "w.safetensors") == ""


def test_other_prefixes_are_named_and_stripped_on_request(tmp_path: Path) -> None:
    net, other = nn.Linear(8, 3), nn.Linear(8, 3)
    stored = {f"student.{name}": tensor for name, tensor in net.state_dict().items()} | {"loss.weight": torch.ones(3)}
    safetensors.torch.save_file(stored, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"pass --strip-prefix student\.$"):
        load_weights(other, tmp_path / "w.safetensors")
    assert load_weights(other, tmp_path / "w.safetensors", strip_prefix="student.") == "student."
    assert same(net, other)


def test_pickles_point_to_convert(tmp_path: Path) -> None:
    torch.save(nn.Linear(8, 3).state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"untrain convert .*w\.pt .*w\.safetensors$"):
        load_weights(nn.Linear(8, 3), tmp_path / "w.pt")


def test_a_trainers_checkpoint_is_converted_without_its_settings(tmp_path: Path) -> None:
    net, other = nn.Linear(8, 3), nn.Linear(8, 3)
    state = {f"model.{name}": tensor for name, tensor in net.state_dict().items()} | {"loss.weight": torch.ones(3)}
    settings = {"hyper_parameters": argparse.Namespace(lr=0.1), "callbacks": {"best": Path("epoch=3.ckpt")}}
    torch.save({"state_dict": state, "epoch": 3, **settings}, tmp_path / "last.ckpt")
    assert convert(tmp_path / "last.ckpt", tmp_path / "w.safetensors", strip_prefix="model.") == (2, "state_dict")
    load_weights(other, tmp_path / "w.safetensors")
    assert same(net, other)
    with pytest.raises(InputError, match=r"begins with 'none\.', but with 'model\.weight'"):
        convert(tmp_path / "last.ckpt", tmp_path / "x.safetensors", strip_prefix="none.")


@pytest.mark.parametrize("width", [2, 3])
def test_a_key_that_would_take_for_ever_to_compare_is_refused(width: int, tmp_path: Path) -> None:
    """A tuple of a tuple twice, and so on: 2 ** 40 values in a kilobyte."""
    nested = b"".join(b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(1, 41))
    if width == 3:
        nested = b"".join(
            b"(" + b"h" + bytes([i]) * 1 + b"h" + bytes([i]) + b"tq" + bytes([i + 1]) for i in range(1, 41)
        )
    pickled = b"\x80\x02}K\x01\x85q\x01" + nested + b"K\x01s."
    torch.save({"a": torch.zeros(3)}, tmp_path / "ok.pt")
    with zipfile.ZipFile(tmp_path / "ok.pt") as good, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        for entry in good.infolist():
            data = pickled if entry.filename.endswith("data.pkl") else good.read(entry)
            bomb.writestr(zipfile.ZipInfo(entry.filename), data)
    start = time.monotonic()
    with pytest.raises(IntegrityError):
        convert(tmp_path / "bomb.pt", tmp_path / "x.safetensors")
    assert time.monotonic() - start < 10
