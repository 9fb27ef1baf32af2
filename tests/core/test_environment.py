from pathlib import Path

import pytest

from untrain.core.environment import machine, processor

CPUINFO = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7763 64-Core Processor\n"


def test_the_processor_has_its_full_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: CPUINFO)
    assert machine("cpu")["processor"] == processor() == "AMD EPYC 7763 64-Core Processor"


@pytest.mark.parametrize("cpuinfo", ["processor\t: 0\n", None])
def test_where_the_system_does_not_tell_the_architecture_is_named(
    cpuinfo: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> str:
        if cpuinfo is None:
            raise FileNotFoundError
        return cpuinfo

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert processor() == "riscv64"
