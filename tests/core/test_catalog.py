import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from untrain.core import catalog as catalog_module
from untrain.core.catalog import Entry, catalog
from untrain.core.registry import Registry
from untrain.detection import SCORERS, Scorer
from untrain.methods import METHODS, Method


@pytest.mark.parametrize("registry", [METHODS, SCORERS], ids=["methods", "scorers"])
def test_the_source_says_what_the_classes_say(registry: Registry[Method] | Registry[Scorer]) -> None:
    kinds = [(name, registry.of(name)) for name in registry.names()]
    assert catalog(registry.group) == [Entry(name, tuple(kind.presets), kind.title) for name, kind in kinds]


def test_plug_ins_are_read_without_running_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plugin_of_somebody"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "method.py").write_text(
        "raise RuntimeError\n"
        'class Mine(Base):\n    """What it is.\n\n    More."""\n\n    presets: dict = {"fast": {}}\n'
    )
    (package / "broken.py").write_text("class")
    values = {"mine": "method:Mine", "gone": "method:Gone", "broken": "broken:Mine", "missing": "nowhere:Mine"}
    points = [EntryPoint(name, f"plugin_of_somebody.{value}", "group") for name, value in values.items()]
    points.append(EntryPoint("elsewhere", "no_such_package_here:Mine", "group"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalog_module, "entry_points", lambda group: points)
    entries = {entry.name: entry for entry in catalog("group")}
    assert entries.pop("mine") == Entry("mine", ("fast",), "What it is.")
    assert list(entries) == ["broken", "elsewhere", "gone", "missing"]
    assert entries["broken"] == Entry("broken")
    assert entries["gone"] == Entry("gone")
    assert "CANNOT BE USED: an unknown distribution lacks no_such_package_here" in entries["elsewhere"].title
    assert "lacks plugin_of_somebody.nowhere: reinstall it." in entries["missing"].title
    assert "plugin_of_somebody" not in sys.modules
