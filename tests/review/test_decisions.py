"""Decisions in the review file: whole at every moment, shared, in order."""

import threading
from pathlib import Path

import pytest

from untrain.detection import Answer
from untrain.errors import InputError
from untrain.review.decisions import Decisions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "suspects.csv").write_text("wrong,id,label,note\n,a,cat,kept\n,'=b,dog,\n")
    return tmp_path / "suspects.csv"


def test_what_is_decided_is_in_the_file_and_other_columns_stay(path: Path) -> None:
    decisions = Decisions(path)
    decisions.decide({"=b": Answer("yes", "cat")}, {"=b": {"label": "dog"}})
    decisions.decide({"new": Answer("no")}, {"new": {"label": "-dog"}})
    head, *lines = path.read_text().splitlines()
    assert head == "wrong,id,label,note,corrected,conflict,decided"
    assert lines[0] == ",a,cat,kept,,,"
    assert lines[1].startswith("yes,'=b,dog,,cat,,20")
    assert lines[2].startswith("no,new,'-dog,,,,20")
    decisions.decide({"=b": Answer()}, {})
    assert path.read_text().splitlines()[2] == ",'=b,dog,,,,"


def test_two_servers_lose_nothing_of_each_other(path: Path) -> None:
    path.write_text("wrong,id\n" + "".join(f",{number}\n" for number in range(80)))
    servers = [Decisions(path), Decisions(path)]

    def work(server: int) -> None:
        for number in range(server, 80, 2):
            servers[server].decide({str(number): Answer("no")}, {})

    threads = [threading.Thread(target=work, args=(server,)) for server in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = Decisions(path).file.answers
    assert all(answer.wrong == "no" for answer in answers.values())
    assert len({answer.decided for answer in answers.values()}) == 80


def test_a_file_that_became_something_else_is_refused(path: Path) -> None:
    decisions = Decisions(path)
    path.write_text("nothing\n")
    with pytest.raises(InputError, match="one column 'wrong'"):
        decisions.decide({"a": Answer("no")}, {})
    assert path.read_text() == "nothing\n"
