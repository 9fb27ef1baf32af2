"""Arguments of another type than a public function takes."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import untrain as un
from untrain.core.arguments import checked
from untrain.errors import InputError


@checked
def verb(
    model: torch.nn.Module | None,
    data: object = None,
    *,
    ids: Iterable[str] = (),
    columns: str | Sequence[str] = (),
    epochs: int = 1,
    rate: float | None = None,
    strict: bool = False,
    where: str | Path | None = None,
    step: Callable[[], None] | None = None,
    values: npt.ArrayLike = 0,
    later: "Unknown | None" = None,  # type: ignore[name-defined] # noqa: F821
) -> str:
    return "done"


@pytest.mark.parametrize(
    "right",
    [
        {"ids": ["1"]}, {"ids": (1, 2)}, {"ids": np.arange(2)}, {"ids": torch.arange(2)}, {"ids": {"a": 1}},
        {"columns": "a"}, {"columns": ["a"]}, {"epochs": np.int64(3)}, {"rate": 1}, {"rate": np.float32(1)},
        {"rate": None}, {"strict": np.bool_(True)}, {"where": "x"}, {"where": Path("x")}, {"step": print},
        {"values": [1]}, {"values": "x"}, {"later": object()}, {"data": object()},
    ],
)  # fmt: skip
def test_what_fits_is_taken(right: dict[str, Any]) -> None:
    assert verb(None, **right) == "done"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ids": "12"}, r"verb\(ids=...\) takes a list, got the single text '12': pass \['12'\]"),
        ({"ids": 3}, "takes a list, got 3"),
        ({"ids": None}, "takes a list, got None"),
        ({"columns": 3}, "takes a text or a list, got 3"),
        ({"epochs": 1.5}, "takes a whole number, got 1.5"),
        ({"epochs": True}, "takes a whole number, got True"),
        ({"rate": "0.1"}, "takes a number or None, got '0.1'"),
        ({"rate": False}, "takes a number or None, got False"),
        ({"strict": "yes"}, "takes True or False, got 'yes'"),
        ({"where": 3}, "takes a text, a Path or None, got 3"),
        ({"step": True}, "takes a function or None, got True"),
        ({"model": [1]}, "takes a torch module or None, got list. Its arguments are, in order, model, data"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        verb(**({"model": None} | wrong))


def test_a_call_that_python_refuses_is_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        verb(None, epoch=3)  # type: ignore[call-arg]


def test_the_persons_of_a_request_are_not_letters() -> None:
    examples = un.Examples.of(np.eye(4, dtype=np.float32), [0, 1, 0, 1], groups=["1", "2", "12", "3"])
    with pytest.raises(InputError, match="'12'"):
        un.forget(torch.nn.Linear(4, 2), examples, subjects="12")


@pytest.mark.parametrize(
    "call",
    [
        lambda pair: un.split(pair),
        lambda pair: un.mislabel(pair, un.symmetric_noise(2, 0.1)),
        lambda pair: un.Population.create(lambda: torch.nn.Linear(2, 2), 1).accuracy(pair),
    ],
)
def test_a_pair_of_arrays_is_no_examples(call: Callable[[Any], object]) -> None:
    with pytest.raises(InputError, match="as_examples"):
        call((np.zeros((4, 2), np.float32), [0, 1, 0, 1]))


@pytest.mark.parametrize(
    ("verb", "more"),
    [(un.forget, [["0"]]), (un.audit, [["0"]]), (un.repair, []), (un.detect, [])],
)
@pytest.mark.parametrize(
    "wrong", [{"recipe": {"epochs": 3}}, {"seed": 0.5}, {"progress": True}, {"recipe": "recipe.toml"}]
)
def test_verbs_check_their_arguments(verb: Callable[..., object], more: list[Any], wrong: dict[str, Any]) -> None:
    data = np.eye(4, dtype=np.float32), [0, 1, 0, 1]
    with pytest.raises(InputError, match=f"{next(iter(wrong))}=.* takes"):
        verb(torch.nn.Linear(4, 2), data, *more, **wrong)


def test_doctor_reports_arguments_of_another_type() -> None:
    data = np.eye(4, dtype=np.float32), [0, 1, 0, 1]
    (problem,) = un.doctor(torch.nn.Linear(4, 2), data, "12").problems
    assert "takes a list, got the single text '12'" in problem
    assert un.doctor("net.pt", data, ["0"]).problems  # type: ignore[arg-type]
