"""Faults in experiments and recipes, made from their schema: none may be taken, and the message must say where it is.

Every key is misspelt, every value gets a wrong type, every limit is passed, every number becomes NaN and infinite,
every choice becomes one that does not exist, what is needed is left out. Besides, there are faults that no schema
knows. A fault counts as taken if `run` would begin to compute.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from tests.reliability.children import each
from tests.reliability.conftest import Finding, Report
from untrain.cli.inputs import read_recipe
from untrain.core.files import toml_text
from untrain.errors import UntrainError
from untrain.experiments import read_experiment, run, run_experiment
from untrain.experiments.config import Experiment, Mislabel, to_toml
from untrain.population import Recipe

_OTHERS: tuple[Any, ...] = ("wrong", 7, 1.5, True, ["wrong"], {"wrong": 1})
_KINDS: dict[type, type | tuple[type, ...]] = {
    inspect.StrType: str, inspect.IntType: int, inspect.FloatType: (int, float), inspect.BoolType: bool,
    inspect.VarTupleType: list, inspect.TupleType: list, inspect.ListType: list, inspect.DictType: dict,
    inspect.StructType: dict,
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """A configuration with one fault.

    Attributes:
        kind: what it configures: `experiment` or `recipe`.
        where: the keys that lead to the fault.
        what: is wrong.
        text: of the file.
        value: that is wrong, as a message may show it.
    """

    kind: str
    where: tuple[str, ...]
    what: str
    text: str
    value: str = ""


@pytest.mark.parametrize("base", ["comparison", "mislabel", "recipe", "what no schema knows"])
def test_no_fault_in_settings_is_taken(base: str, full: bool, tmp_path: Path, inputs: Path, report: Report) -> None:
    comparison, mislabel = (_complete(inputs / f"{name}.toml") for name in ("experiment", "mislabel"))
    recipe = msgspec.convert(msgspec.toml.decode((inputs / "recipe.toml").read_bytes()), Recipe)
    faults = list(
        {
            "comparison": lambda: _faults("experiment", Experiment, comparison),
            "mislabel": lambda: _faults("experiment", Mislabel, mislabel),
            "recipe": lambda: _faults("recipe", Recipe, msgspec.toml.decode(toml_text(msgspec.to_builtins(recipe)))),
            "what no schema knows": lambda: _others(comparison, mislabel, (inputs / "experiment.toml").read_text()),
        }[base]()
    )[:: 1 if full else 5]

    def attempt(fault: Fault) -> tuple[str, str]:
        return _read(fault, tmp_path)

    answers = each(faults, attempt, begin=lambda: _stop_before_computing(tmp_path), limit=60)
    # A child that died has only a text.
    endings = [("other", answer) if isinstance(answer, str) else answer for answer in answers]
    wrong: dict[str, list[Finding]] = {
        "taken": [], "other exceptions": [], "messages that do not name key or value": [],
    }  # fmt: skip
    for fault, (ending, message) in zip(faults, endings, strict=True):
        where = ".".join((fault.kind, *fault.where, fault.what, fault.value))
        if ending == "accepted":
            wrong["taken"].append(("taken", where))
        elif ending == "other":
            wrong["other exceptions"].append((message, where))
        elif not _says_where(fault, message):
            wrong["messages that do not name key or value"].append((message[:150], where))
    assert faults
    what = "faults in experiments and recipes: misspelt keys, wrong types, limits, NaN, choices, depth"
    report(what, len(faults), wrong)


def test_settings_without_a_fault_are_taken(tmp_path: Path, inputs: Path) -> None:
    faults = [
        Fault("experiment", (), "nothing", (inputs / f"{name}.toml").read_text()) for name in ("experiment", "mislabel")
    ]
    faults.append(Fault("recipe", (), "nothing", (inputs / "recipe.toml").read_text()))

    def attempt(fault: Fault) -> tuple[str, str]:
        return _read(fault, tmp_path)

    answers = each(faults, attempt, begin=lambda: _stop_before_computing(tmp_path), limit=60)
    assert [answer[0] for answer in answers] == ["accepted"] * 3


def _complete(path: Path) -> dict[str, Any]:
    """An experiment with every default written out, but for what is None."""
    return dict(msgspec.toml.decode(to_toml(read_experiment(str(path)))))


def _faults(kind: str, type_: Any, base: dict[str, Any]) -> Iterator[Fault]:
    for where, what, value, changed in _changes(inspect.type_info(type_), base, (), base):
        yield Fault(kind, where, what, toml_text(changed), value)


Change = tuple[tuple[str, ...], str, str, dict[str, Any]]


def _changes(info: Any, value: Any, where: tuple[str, ...], base: dict[str, Any]) -> Iterator[Change]:
    """Every fault at a place and below it."""
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    for what, wrong in (*_wrong_types(members), *(value for member in members for value in _beyond(member))):
        yield where, what, str(wrong), _with(base, where, wrong)
    for described in members:
        member = described.type if isinstance(described, inspect.Metadata) else described
        if isinstance(member, inspect.StructType) and isinstance(value, dict) and _is_chosen(member, value):
            yield from _in_struct(member, value, where, base)
        if isinstance(member, inspect.VarTupleType) and isinstance(value, list) and value:
            yield from _changes(member.item_type, value[0], (*where, "0"), base)


def _is_chosen(member: inspect.StructType, value: dict[str, Any]) -> bool:
    return member.tag_field is None or value.get(member.tag_field, member.tag) == member.tag


def _in_struct(
    member: inspect.StructType, value: dict[str, Any], where: tuple[str, ...], base: dict[str, Any]
) -> Iterator[Change]:
    if member.tag_field:
        place = (*where, member.tag_field)
        for wrong in ("nothing", 7, ["x"]):
            yield place, "a tag that is none", str(wrong), _with(base, place, wrong)
    known = {field.encode_name for field in member.fields}
    for field in member.fields:
        name = field.encode_name
        if name not in value:
            continue
        without = {key: item for key, item in value.items() if key != name}
        for typo in sorted({f"{name}s", name[:-1], name.upper(), f" {name}"} - known):
            yield (*where, typo), "a misspelt key", "", _with(base, where, {**without, typo: value[name]})
        if field.required:
            yield (*where, name), "left out", "", _with(base, where, without)
        yield from _changes(field.type, value[name], (*where, name), base)


def _wrong_types(members: Any) -> Iterator[tuple[str, Any]]:
    kinds = [_KINDS[type(member)] for member in members if type(member) in _KINDS]
    if any(isinstance(member, inspect.AnyType | inspect.LiteralType) for member in members):
        return
    for other in _OTHERS:
        if not any(isinstance(other, kind) and (not isinstance(other, bool) or kind is bool) for kind in kinds):
            yield f"of type {type(other).__name__}", other


def _beyond(member: Any) -> Iterator[tuple[str, Any]]:
    """Values of the right type that are none of those allowed."""
    if isinstance(member, inspect.FloatType | inspect.IntType):
        for limit, beyond in ((member.ge, -1), (member.gt, 0), (member.le, 1), (member.lt, 0)):
            if limit is not None:
                yield "beyond its limit", limit + beyond
                yield "far beyond its limit", limit + (-(10**9) if limit in (member.ge, member.gt) else 10**9)
    if isinstance(member, inspect.FloatType):
        for number in (math.nan, math.inf, -math.inf):
            yield str(number), number
    if isinstance(member, inspect.StrType) and member.pattern:
        for text in ("../x", "", " ", "a b", "ä", "-x", "x\n"):
            yield "another pattern", text
    if isinstance(member, inspect.LiteralType):
        yield "no such choice", "nothing"
        yield "no such choice", 7
    if isinstance(member, inspect.VarTupleType) and member.min_length:
        yield "empty", []
    if isinstance(member, inspect.TupleType):
        yield "too short", [0.5]
        yield "too long", [0.5] * 9


def _with(base: Any, where: tuple[str, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    if not where:
        return value if isinstance(value, dict) else {"wrong": value}
    if isinstance(base, list):
        return [_with(item, where[1:], value) if number == int(where[0]) else item for number, item in enumerate(base)]
    return {**base, where[0]: _with(base.get(where[0]), where[1:], value)}


def _others(comparison: dict[str, Any], mislabel: dict[str, Any], text: str) -> Iterator[Fault]:
    """Faults that a schema does not know."""
    lists: tuple[tuple[dict[str, Any], str, tuple[Any, ...]], ...] = (
        (comparison, "forget", (
            [0.0], [1.0], [-0.1], [1.5], ["nothing"], ["groups:"], ["groups:-1"], ["groups:nan"], ["groups:3"], ["ids:"],
            ["ids:/no/such/file"], [0.1, 0.1], [0.000001], [0.9999999], ["nan"], ["inf"], ["1e-400"], [""], [{"a": 1}],
        )),
        (comparison, "methods", (
            ["nothing"], ["finetune:nothing"], ["finetune", "finetune"], [""], [":"], ["finetune:"], ["os:system"],
            ["untrain.methods.finetune:Finetune"], ["__import__('os')"], ["transpose"], [7],
        )),
        (comparison, "settings", (
            {"nothing": {}}, {"finetune": {"nothing": 1}}, {"finetune": {"recipe": 1}}, {"finetune": 7},
            {"finetune": {"recipe": {"optimizer": {"name": "nothing"}}}}, {"finetune": {"recipe": {"optimizer": {"lr": math.nan}}}},
            {"finetune": {"recipe": {"optimizer": {"lr": -1.0}}}}, {"finetune": {"recipe": {"epochs": math.inf}}},
            {"finetune": {"recipe": {"optimizer": {"_target_": "os.system"}}}},
        )),
        (comparison, "preset", ("nothing", "os.system")), (comparison, "published", ("nothing", "../published/table1")),
        (comparison, "data", (
            {"source": "nothing"}, {"source": "/no/such.parquet"}, {"source": "https://evil.example/x.parquet"},
            {"source": "digits", "classes": ["nothing"]}, {"source": "digits", "classes": ["1", "1"]}, {"source": "digits", "per_class": 10**6},
            {"source": "digits", "label": "other"}, {"source": "digits", "validation": 0.9, "test": 0.9}, {"source": "digits", "validation": 0.0},
            {"source": "digits", "classes": []},
        )),
        (comparison, "model", ({"name": "mlp", "widths": [0]}, {"name": "cnn", "widths": []}, {"name": "cnn"}, {"name": "os.system"}, {"widths": [4]})),
        (comparison, "recipe", (
            {**comparison["recipe"], "epochs": 0}, {**comparison["recipe"], "batch_size": 0}, {**comparison["recipe"], "keep_best_from_epoch": 99},
            {**comparison["recipe"], "schedule": {"name": "per-epoch", "factors": []}},
            {**comparison["recipe"], "schedule": {"name": "per-epoch", "factors": [math.nan]}},
            {**comparison["recipe"], "optimizer": {"name": "adam", "betas": [2.0, 0.9]}},
            {**comparison["recipe"], "optimizer": {"name": "adam", "betas": [math.nan, 0.9]}},
            {**comparison["recipe"], "optimizer": {"name": "sgd", "momentum": 1.0}},
            {**comparison["recipe"], "optimizer": {"name": "sgd", "nesterov": True}},
        )),
        (mislabel, "noise", (
            [{}], [{"kind": "pair"}], [{"ratios": []}], [{"ratios": [1.1]}], [{"ratios": [math.nan]}], [{"kind": "matrix"}], [{"kind": "column"}],
            [{"kind": "matrix", "matrix": [[1.0]]}], [{"kind": "matrix", "matrix": [[0.5, 0.2, 0.2]] * 3}],
            [{"kind": "matrix", "matrix": [[math.nan] * 3] * 3}], [{"kind": "matrix", "matrix": [[2.0, -1.0, 0.0]] * 3}],
            [{"kind": "column", "column": "nothing"}], [{"ratios": [0.1]}, {"ratios": [0.1]}], [{"ratios": [1.0]}],
            [{"ratios": [0.1], "matrix": [[1.0]]}],
        )),
        (mislabel, "scorers", (["nothing"], ["loss", "loss"], ["loss:nothing"], [""], ["os:system"])),
        (mislabel, "told", (["nothing"], ["auto"], [7])), (mislabel, "forgotten", (["nothing"], ["auto"], [7])),
        (mislabel, "methods", (["nothing"], ["finetune", "finetune"], ["transpose"])),
    )  # fmt: skip
    for base, key, values in lists:
        for value in values:
            yield Fault("experiment", (key,), "as it cannot be", toml_text({**base, key: value}), str(value))
    deep = "[" * 5000 + "]" * 5000
    for what, other in (
        ("a key twice", f"{text}\nmodels = 3\n"), ("a table twice", f"{text}\n[x]\n[x]\n"), ("no TOML", "name = "), ("empty", ""),
        ("no text", "\x00\x01\x02"), ("another form", '{"name": "x"}'), ("deep", f"{text}\ntold = {deep}\n"),
        ("deep tables", f"{text}\n[{'.'.join('a' * 2000)}]\n"), ("a number of 5,000 digits", f"{text}\nseed = {'9' * 5000}\n"),
        ("a date", text.replace("models = 2", "models = 2020-01-01")), ("an include", f'{text}\ninclude = "/etc/passwd"\n'),
        ("another kind", f'kind = "nothing"\n{text}'), ("a kind of another type", f"kind = 7\n{text}"), ("a lone quote", f'{text}\n"'),
    ):  # fmt: skip
        yield Fault("experiment", (), what, other)
        if what in ("no TOML", "no text", "another form", "deep"):
            yield Fault("recipe", (), what, other)


class _ReachedError(BaseException):
    """A run would begin."""


def _stop_before_computing(folder: Path) -> None:
    os.chdir(folder)

    def reached(directory: Path) -> None:
        raise _ReachedError

    run._locked = reached  # type: ignore[assignment]


def _read(fault: Fault, folder: Path) -> tuple[str, str]:
    path = folder / "settings.toml"
    path.write_text(fault.text, encoding="utf-8", newline="")
    try:
        if fault.kind == "recipe":
            read_recipe(path)
        else:
            run_experiment(read_experiment(str(path)), folder / "out", workers=1)
    except UntrainError as error:
        return "refused", str(error)
    except _ReachedError:
        return "accepted", ""
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        return "other", f"{type(error).__name__}: {str(error)[:150]}"
    return "accepted", ""


def _says_where(fault: Fault, message: str) -> bool:
    """Whether a message has the path of keys, the key or the value; or, where the whole file is wrong, its name."""
    if not fault.where:
        return "settings.toml" in message
    key = fault.where[-1].strip()
    words = {key, key.replace("_", " "), *re.split(r"[^\w./-]+|ids:", fault.value)}
    return " - at `$" in message or any(len(word) > 1 and word in message for word in words)
