"""Who may ask the server, and what it takes."""

from typing import Any

import pytest

from tests.review.conftest import Detected
from untrain.cli.inputs import Inputs
from untrain.cli.review import _read, _workspace
from untrain.cli.terminal import Status
from untrain.review.decisions import Decisions

pytest.importorskip("flask")
HOST = "127.0.0.1:4321"
ORIGIN = {"Host": HOST, "Origin": f"http://{HOST}"}


@pytest.fixture
def client(detected: Detected) -> Any:
    from untrain.review.server import Session, create_app

    decisions = Decisions(detected.directory / "suspects.csv")
    content, inputs = _read(detected.directory, None)
    assert isinstance(inputs, Inputs)
    workspace = _workspace(detected.directory, content, inputs, None, decisions.file, Status())
    session = Session(4321)
    app = create_app(workspace, decisions, session, {"data": "x", "scorer": "y", "commands": []})
    client = app.test_client()
    client.token = session.token  # type: ignore[attr-defined]
    return client


def entered(client: Any) -> Any:
    answer = client.get(f"/?token={client.token}", headers={"Host": HOST}, base_url=f"http://{HOST}")
    assert answer.status_code == 200
    return answer


def get(client: Any, path: str, **headers: str) -> Any:
    return client.get(path, headers={"Host": HOST, **headers}, base_url=f"http://{HOST}")


def post(client: Any, changes: object, headers: dict[str, str] = ORIGIN) -> Any:
    return client.post("/api/decisions", json={"changes": changes}, headers=headers, base_url=f"http://{HOST}")


def test_the_token_works_once_and_becomes_a_cookie(client: Any) -> None:
    assert get(client, "/api/case").status_code == 403
    assert get(client, "/?token=guess").status_code == 403
    cookie = entered(client).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert get(client, f"/?token={client.token}").status_code == 403
    assert get(client, "/api/case").status_code == 200


def test_every_answer_forbids_scripts_of_others(client: Any) -> None:
    entered(client)
    for path in ("/", "/api/case", "/assets/review.js", "/nothing"):
        policy = get(client, path).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert get(client, path).headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example", "Origin": f"http://{HOST}"},
        {"Host": "localhost:4321", "Origin": f"http://{HOST}"},
        {"Host": HOST, "Origin": "http://evil.example"},
        {"Host": HOST, "Origin": "null"},
        {"Host": HOST},
    ],
)
def test_other_hosts_and_origins_are_refused(client: Any, detected: Detected, headers: dict[str, str]) -> None:
    entered(client)
    assert post(client, [{"position": 0, "wrong": "no"}], headers).status_code == 403
    form = {"data": '{"changes":[{"position":0,"wrong":"no"}]}', "content_type": "text/plain"}
    assert client.post("/api/decisions", headers=ORIGIN, base_url=f"http://{HOST}", **form).status_code == 403
    assert not any(wrong for wrong, _ in detected.answers())


@pytest.mark.parametrize(
    "path",
    [
        "/picture/small/150", "/picture/small/-1", "/picture/huge/0", "/picture/small/..%2f..%2fetc%2fpasswd",
        "/assets/..%2fserver.py", "/assets/page.py", "/api/example/150", "/api/class/10", "/etc/passwd",
    ],
)  # fmt: skip
def test_no_path_leads_to_the_file_system(client: Any, path: str) -> None:
    entered(client)
    assert get(client, path).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"position": 150, "wrong": "no"}, {"position": -1, "wrong": "no"}, {"position": 0, "wrong": "perhaps"},
        {"position": 0, "wrong": "no", "corrected": 1}, {"position": 0, "wrong": "yes", "corrected": 10},
        {"position": 0, "wrong": "yes", "corrected": 0}, {"position": "0", "wrong": "no"}, {"wrong": "no"},
        {"position": 0, "wrong": "no", "path": "/etc/passwd"},
    ],
)  # fmt: skip
def test_changes_that_make_no_sense_are_refused_whole(client: Any, detected: Detected, change: dict[str, Any]) -> None:
    entered(client)
    assert post(client, [{"position": 1, "wrong": "no"}, change]).status_code == 400
    assert not any(wrong for wrong, _ in detected.answers())


def test_a_decision_on_any_example_is_written_and_told(client: Any, detected: Detected) -> None:
    entered(client)
    case = get(client, "/api/case").json
    other = next(position for position in range(150) if position not in case["suspects"])
    answer = post(client, [{"position": case["suspects"][0], "wrong": "yes", "corrected": case["suggested"][0]}]).json
    assert [each["wrong"] for each in answer["answers"]] == ["yes"]
    answer = post(client, [{"position": other, "wrong": "yes"}]).json
    assert len(answer["answers"]) == 2
    assert detected.rows()[-1]["wrong"] == "yes"
    assert get(client, f"/api/decisions?since={answer['version']}").json["answers"] is None
    example = get(client, f"/api/example/{case['suspects'][0]}").json
    alike = get(client, f"/api/alike/{case['suspects'][0]}").json
    assert [len(group["positions"]) for group in alike] == [6, 6]
    assert case["suspects"][0] not in alike[0]["positions"]
    assert example["view"] == [{"label": 0, "share": 0.75}]
    assert get(client, "/picture/large/0").data.startswith(b"\x89PNG")
    members = get(client, "/api/class/3").json
    assert len(set(members)) == len(members) > 6
