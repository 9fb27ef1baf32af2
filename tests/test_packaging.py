"""What pyproject.toml says of the package agrees with the files beside it."""

import re
import tomllib
from pathlib import Path

import pytest

import untrain

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    requirement
    for requirements in (PROJECT["dependencies"], *(PROJECT["optional-dependencies"][name] for name in ("hub", "sign")))
    for requirement in requirements
]


def pins(name: str) -> dict[str, str]:
    lines = (line.split("==") for line in (ROOT / name).read_text().split())
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in lines}


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_the_lowest_version_is_what_is_tested(requirement: str) -> None:
    package, version = requirement.split(">=")
    assert package in pins("constraints.txt")
    tested = pins("constraints-lowest.txt")[package]
    assert package == "torch" or tested == version or re.fullmatch(rf"{re.escape(version)}(\.0)+", tested)


def test_nothing_else_is_pinned_to_its_lowest_version() -> None:
    assert pins("constraints-lowest.txt").keys() == {requirement.split(">=")[0] for requirement in REQUIREMENTS}


def test_the_citation_is_of_this_version() -> None:
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {untrain.__version__}" in lines
    assert f"url: {PROJECT['urls']['Homepage']}" in lines
