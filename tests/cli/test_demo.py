"""`untrain demo`, from a wheel that is installed without the clone; what the archives hold."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from untrain.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where wheel and source archive were built."""
    pytest.importorskip("hatchling", reason="hatchling builds the package: pip install 'untrain[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], check=True, cwd=ROOT)
    return folder


def test_the_demo_runs_from_the_wheel(archives: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(next(archives.glob("*.whl"))) as wheel:
        wheel.extractall(site)  # noqa: S202 (our own; installing pure Python is nothing else)
    done = subprocess.run(
        [sys.executable, "-c", "import untrain; print(untrain.__file__)\nfrom untrain.cli.main import main; main()",
         "demo", "--quick"],
        check=False, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    used, *told = done.stdout.splitlines()
    assert Path(used).is_relative_to(site)
    assert next(line for line in told if line[:2] == "1.").startswith("1. Which labels")
    assert len(told[told.index("Tell a colleague:") :]) == 4
    for page in told[told.index("Pages:") + 1 : told.index("Tell a colleague:")]:
        assert (tmp_path / page.strip()).read_text().startswith("<!doctype html>")
    assert re.search(r"untrain found \d+ of 62 wrong labels", done.stdout)
    assert "training" in done.stderr  # progress


def test_the_demo_does_not_write_among_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--out", str(tmp_path)])
    assert ended.value.code == 3
    assert "is not empty; choose another --out" in capsys.readouterr().err


def test_the_archives_are_complete(archives: Path) -> None:
    with tarfile.open(next(archives.glob("*.tar.gz"))) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"README.md", "README.ja.md", "CHANGELOG.md", "LICENSE", "src/untrain/py.typed", "docs/index.md"} <= names
    with zipfile.ZipFile(next(archives.glob("*.whl"))) as wheel:
        packed = wheel.namelist()
        metadata = message_from_string(wheel.read(next(name for name in packed if name.endswith("METADATA"))).decode())
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "untrain").rglob("*") if path.is_file()}
    assert {name for name in sources if "__pycache__" not in name} <= set(packed)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert len(metadata.get_all("Project-URL", [])) >= 4
    assert "](docs/" not in str(metadata.get_payload())  # a relative link breaks on a package index
