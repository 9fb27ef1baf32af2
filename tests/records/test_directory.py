import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.records.samples import KEY, chained, record, state, written
from untrain.core.files import read_arrays
from untrain.errors import ConfigError, InputError, IntegrityError
from untrain.records import (
    Chain,
    Previous,
    Verdict,
    commit,
    directory,
    new_key,
    read_chain,
    read_key,
    read_record,
    verify,
    write_record,
)
from untrain.records.directory import earlier_files
from untrain.records.record import Outcome
from untrain.records.serialization import record_bytes

KEPT = Verdict(outcome=Outcome.KEPT_ORIGINAL, sentences=())


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_a_directory_has_all_that_belongs_to_a_request(tmp_path: Path) -> None:
    made = write_record(tmp_path / "a", record(), state(1), KEY)
    assert names(tmp_path / "a") == ["model.safetensors", "record.json", "report.html", "request.key"]
    assert read_record(tmp_path / "a" / "record.json").files == made.files
    arrays, metadata = read_arrays(tmp_path / "a" / "model.safetensors")
    assert sorted(arrays) == sorted(state(1))
    assert metadata == {}
    assert read_key(tmp_path / "a" / "request.key") == KEY
    write_record(tmp_path / "b", record(), state(1), KEY)
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_directory_has_the_records_before_it(tmp_path: Path) -> None:
    last = chained(tmp_path)
    assert [path.name for path in earlier_files(last)] == ["0001-record.json", "0002-record.json"]
    for number, path in enumerate(earlier_files(last)):
        assert path.read_bytes() == (tmp_path / str(number) / "record.json").read_bytes()
    chain = read_chain(last)
    assert [each.model.after for each in chain.records[:-1]] == [each.model.before for each in chain.records[1:]]
    digest = hashlib.sha256((last / "record.json").read_bytes()).hexdigest()
    assert chain.link() == Previous(record=digest, forgotten=6)


def test_a_chain_knows_what_was_forgotten(tmp_path: Path) -> None:
    chain, last = None, 0  # the number of the model that the request before left
    for number, (ids, verdict) in enumerate(
        [
            (("a", "b"), None),
            (("c",), KEPT),
            (("b", "d"), None),
            (("e",), Verdict(outcome=Outcome.NOT_SHOWN, sentences=())),
        ]
    ):
        changes = {} if verdict is None else {"verdict": verdict}
        after = last if verdict is KEPT else last + 1
        write_record(tmp_path / str(number), record(ids, last, after, chain, **changes), state(after), KEY, chain)
        chain, last = read_chain(tmp_path / str(number)), after
    assert chain is not None
    assert chain.forgotten == 4
    assert chain.forgotten_before(KEY, iter("abcdef")) == set("abde")
    assert chain.named(KEY, iter("abcdef")) == set("abcde")
    with pytest.raises(InputError, match="does not belong to this record"):
        chain.forgotten_before(new_key(), "a")


def replaced(chain: Chain, number: int, **changes: Any) -> Chain:
    """A chain one of whose records was changed, and every record after it made anew."""
    records = list(chain.records)
    records[number] = msgspec.structs.replace(records[number], **changes)
    return relinked(records, number + 1)


def relinked(records: list[Any], first: int) -> Chain:
    files = [record_bytes(each) for each in records[:first]]
    for place in range(first, len(records)):
        if place:
            link = Chain(tuple(files), tuple(records[:place])).link()
            records[place] = msgspec.structs.replace(records[place], previous=link)
        files.append(record_bytes(records[place]))
    return Chain(tuple(files), tuple(records))


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """The chain of three requests."""
    return read_chain(chained(tmp_path))


def test_records_that_follow_each_other_are_accepted(chain: Chain) -> None:
    chain.check()
    replaced(chain, 0).check()


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((1, 2), "record 1 of 2 must follow none, and it follows the record"),
        ((0, 2), "record 2 of 2 must follow the record .* with 2 .* 4 examples forgotten in all"),
        ((1, 0, 2), "record 1 of 3 must follow none"),
        ((0, 0), "record 2 of 2 must follow .*, and it follows none"),
    ],
)
def test_records_in_another_order_are_found(order: tuple[int, ...], message: str, chain: Chain) -> None:
    broken = Chain(tuple(chain.files[place] for place in order), tuple(chain.records[place] for place in order))
    with pytest.raises(IntegrityError, match=message):
        broken.check()


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("model", {"before": "0" * 64}, "record 2 must continue the model '.*' of .*, and it has '000"),
        ("model", {"architecture": "\x1b"}, r"record 2 must continue the architecture 'MLP' of .*, and it has '\\x1b'"),
        ("requested", {"key_check": "0" * 64}, "record 2 must continue the key "),
    ],
)
def test_records_that_do_not_continue_each_other_are_found(
    part: str, changes: dict[str, Any], message: str, chain: Chain
) -> None:
    changed = msgspec.structs.replace(getattr(chain.records[1], part), **changes)
    with pytest.raises(IntegrityError, match=message):
        replaced(chain, 1, **{part: changed}).check()


def test_a_wrong_count_along_the_chain_is_found(chain: Chain) -> None:
    link = chain.records[2].previous
    assert link is not None
    broken = replaced(chain, 2, previous=Previous(record=link.record, forgotten=3))
    with pytest.raises(IntegrityError, match=r"with 4 examples forgotten in all, and it follows .* with 3 examples"):
        broken.check()


def test_earlier_records_are_all_there_and_nothing_else(tmp_path: Path) -> None:
    last = chained(tmp_path)
    folder = last / "previous"
    (folder / "0002-record.json").rename(folder / "0003-record.json")
    with pytest.raises(IntegrityError, match=r"0001-record.json to 0002-record.json only, and it holds '0003-record"):
        read_chain(last)
    (folder / "0003-record.json").unlink()
    with pytest.raises(IntegrityError, match="record 2 of 2 must follow"):
        read_chain(last)
    (folder / "0001-record.json").unlink()
    folder.rmdir()
    folder.symlink_to(tmp_path / "1")
    with pytest.raises(IntegrityError, match=r"previous is not a directory"):
        read_chain(last)
    with pytest.raises(InputError, match=r"no record\.json in "):
        read_chain(tmp_path)


@pytest.mark.parametrize(
    ("recorded", "number", "key", "passed", "message"),
    [
        (False, 2, KEY, False, "The state of the model does not belong to the record"),
        (False, 1, bytes(32), False, "The key does not belong to the record"),
        (False, 1, KEY, True, "The chain does not belong to the record, which has None: got Previous"),
        (True, 1, KEY, False, "The chain does not belong to the record"),
    ],
)
def test_what_does_not_fit_the_record_is_not_written(
    recorded: bool, number: int, key: bytes, passed: bool, message: str, tmp_path: Path
) -> None:
    chain = read_chain(written(tmp_path / "a"))
    made = record(chain=chain if recorded else None)
    with pytest.raises(InputError, match=message):
        write_record(tmp_path / "b", made, state(number), key, chain if passed else None)
    assert not (tmp_path / "b").exists()


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    last = chained(tmp_path, 2)
    data = (last / "record.json").read_bytes()
    with pytest.raises(ConfigError, match=r"already contains record\.json; choose another directory"):
        chained(tmp_path, 2)
    assert (last / "record.json").read_bytes() == data
    assert verify(last).ok


def test_nothing_is_written_where_it_would_not_verify(tmp_path: Path) -> None:
    last = chained(tmp_path, 2)
    (last / "record.json").unlink()
    with pytest.raises(ConfigError, match=r"1 already contains 'previous'"):
        write_record(last, record(), state(1), KEY)
    chain = read_chain(tmp_path / "0")
    (last / "previous" / "0002-record.json").touch()
    with pytest.raises(ConfigError, match=r"previous already contains '0002-record\.json'"):
        write_record(last, record(("d",), 1, 2, chain), state(2), KEY, chain)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".hidden").touch()
    with pytest.raises(ConfigError, match=r"a already contains '\.hidden'"):
        write_record(tmp_path / "a", record(), state(1), KEY)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "previous").symlink_to(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"b contains the link 'previous'"):
        write_record(tmp_path / "b", record(("d",), 1, 2, chain), state(2), KEY, chain)


@pytest.mark.parametrize("what", ["fsync", "replace"])
def test_where_writing_stops_there_is_no_record_and_it_can_be_written_again(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = read_chain(written(tmp_path / "a"))
    second, real, directory = record(("d", "e"), 1, 2, chain), getattr(os, what), tmp_path / "b"
    last = {"fsync": 10, "replace": 5}[what]  # five files; of each the content is flushed, then the directory
    for stop in range(1, last + 1):
        calls = itertools.count(1)

        def stopping(*arguments: Any, stop: int = stop, calls: Iterator[int] = calls) -> None:
            if next(calls) == stop:
                raise OSError(28, "No space left on device")
            real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, what, stopping)
            with pytest.raises(InputError, match="No space left on device"):
                write_record(directory, second, state(2), KEY, chain)
        if what == "fsync" and stop == last:  # after the rename of the last file
            (directory / "record.json").unlink()
        assert not (directory / "record.json").exists()
    write_record(directory, second, state(2), KEY, chain)
    assert verify(directory).ok
    assert not [name for name in names(directory) if name.endswith(".tmp")]


def test_what_killed_writers_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("record.json", "request.key", "report.html", "model.safetensors"):
        (tmp_path / "a" / f".{name}.77.tmp").touch()
    chain = read_chain(written(tmp_path / "b"))
    (tmp_path / "a" / "previous").mkdir()
    (tmp_path / "a" / "previous" / ".0001-record.json.77.tmp").touch()
    write_record(tmp_path / "a", record(("d",), 1, 2, chain), state(2), KEY, chain)
    assert verify(tmp_path / "a").ok


def test_of_two_writers_one_is_refused(tmp_path: Path) -> None:
    """While one holds the directory, another is refused, in this process and in others; nothing is mixed."""
    place = tmp_path / "a"
    with directory._alone_in(place), pytest.raises(ConfigError, match=r"Another process is writing to .*a; choose"):
        write_record(place, record(), state(1), KEY)
    assert not list(place.iterdir())
    write_record(place, record(), state(1), KEY)
    assert verify(place).ok


def test_two_threads_that_write_at_once_leave_one_record(tmp_path: Path) -> None:
    def write(place: Path, seed: int, start: threading.Barrier) -> bool:
        requested = commit((f"id{seed}",), KEY, retained=9, validation=2, classes=2)
        start.wait()
        try:
            write_record(place, record(after=seed, requested=requested), state(seed), KEY)
        except ConfigError:
            return False
        return True

    for number in range(10):
        place, start = tmp_path / str(number), threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            wrote = list(pool.map(lambda seed, place=place, start=start: write(place, seed, start), (1, 2)))
        assert sum(wrote) == 1
        assert verify(place).ok


def test_a_chain_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = chained(tmp_path, 2)
    first = last / "previous" / "0001-record.json"
    os.truncate(first, 2**40)
    with pytest.raises(IntegrityError, match="the 2 records of the chain have 1099511"):
        read_chain(last)
    monkeypatch.setattr(directory, "LONGEST_CHAIN", 1)
    with pytest.raises(IntegrityError, match="the chain has 2 records; at most 1 are read"):
        read_chain(last)


def test_nonsense_ends_at_the_first_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last, reads = chained(tmp_path, 3), list[Path]()
    (last / "previous" / "0001-record.json").write_bytes(b"nonsense")

    def counted(path: Path) -> bytes:
        reads.append(path)
        return path.read_bytes()

    monkeypatch.setattr(directory, "read_regular", counted)
    with pytest.raises(IntegrityError, match=r"0001-record\.json is not JSON"):
        read_chain(last)
    assert len(reads) == 1
