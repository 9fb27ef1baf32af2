"""The local server of the review page: 127.0.0.1 alone, one session, nothing of the file system.

The address that is printed holds a token that works once and becomes a cookie (HttpOnly, SameSite=Strict). Every
request must name the server's own host, every change must come from its own page. Examples are asked for by position,
so that no name or path ever comes from the browser.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from untrain.core.extras import extra
from untrain.detection import Answer
from untrain.detection.review import NO, UNSURE, YES
from untrain.errors import InputError, UntrainError
from untrain.review.decisions import Decisions
from untrain.review.page import answers_of, asset, case_of, render
from untrain.review.workspace import SIZES, Workspace

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.serving import BaseWSGIServer

MOST_CHANGES = 100_000
_LARGEST_BODY = 8_000_000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "untrain",
}
_ASSETS = {"review.js": "text/javascript", "review.css": "text/css"}
# The browser goes on from a page of the same site, since only then does it send a SameSite=Strict cookie.
_WELCOME = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>untrain</title>'


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer that the page sends: the class is given by its number."""

    position: int
    wrong: str
    corrected: int | None = None


class _Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    changes: list[_Change]


class Session:
    """What tells the person at the page from everybody else.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.cookie = f"untrain-review-{port}"
        self.token: str | None = secrets.token_urlsafe(32)
        self._key = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """The address to open, which works once."""
        return f"http://{self.host}/?token={self.token}"

    def exchange(self, token: str) -> str | None:
        """The content of the cookie for the token, which is spent; None for another."""
        if self.token is None or not hmac.compare_digest(token.encode(), self.token.encode()):
            return None
        self.token = None
        return self._key

    def knows(self, key: str | None) -> bool:
        """Whether the content of a cookie is right."""
        return key is not None and hmac.compare_digest(key.encode(), self._key.encode())


def create_app(
    workspace: Workspace, decisions: Decisions, session: Session, about: Mapping[str, object], language: str = "en"
) -> "Flask":
    """The application.

    Args:
        workspace: what is reviewed.
        decisions: where the answers go.
        session: who may ask.
        about: `data`, `scorer` and `commands`, for the page.
        language: of the page, see `untrain.report.language`.

    Raises:
        NotSupportedError: the extra `review` is not installed.
    """
    flask = extra("review", "flask")
    app: Flask = flask.Flask("untrain.review", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    request = flask.request
    case = msgspec.json.encode(case_of(workspace, about, language))

    def told_as(value: object) -> "Response":
        return _answer(flask, msgspec.json.encode(value), "application/json")

    def refused(status: int, reason: str) -> "Response":
        response: Response = flask.make_response({"error": reason}, status)
        return response

    @app.before_request
    def guard() -> "Response | None":
        if request.headers.get("Host") != session.host:
            return refused(403, "This server answers to its own address alone.")
        if request.path == "/" and "token" in request.args:
            return None
        if not session.knows(request.cookies.get(session.cookie)):
            return refused(403, "Open the address that `untrain review` printed; it works once.")
        if request.method not in ("GET", "HEAD") and (
            request.headers.get("Origin") != f"http://{session.host}" or request.mimetype != "application/json"
        ):
            return refused(403, "Changes are taken from the page of this server alone.")
        return None

    @app.after_request
    def with_headers(response: "Response") -> "Response":
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(UntrainError)
    def told(error: UntrainError) -> "Response":
        return refused(409, str(error))

    @app.get("/")
    def page() -> "Response":
        if "token" not in request.args:
            return _answer(flask, render(language).encode(), "text/html")
        key = session.exchange(request.args["token"])
        if key is None:
            return refused(403, "This address was used before; start `untrain review` again for a new one.")
        response = _answer(flask, _WELCOME.encode(), "text/html")
        response.set_cookie(session.cookie, key, httponly=True, samesite="Strict", path="/")
        return response

    @app.get("/assets/<name>")
    def file(name: str) -> "Response":
        if name not in _ASSETS:
            return refused(404, "There is no such file.")
        return _answer(flask, asset(name).encode(), _ASSETS[name])

    @app.get("/api/case")
    def whole() -> "Response":
        return _answer(flask, case, "application/json")

    @app.get("/api/decisions")
    def current() -> "Response":
        version = decisions.version
        same = request.args.get("since") == version
        return told_as({"version": version, "answers": None if same else answers_of(workspace, decisions.file)})

    @app.post("/api/decisions")
    def decide() -> "Response":
        try:
            changes = msgspec.json.decode(request.get_data(), type=_Changes).changes
            answers, new = _checked(workspace, changes)
        except (msgspec.DecodeError, InputError) as error:
            return refused(400, str(error))
        decisions.decide(answers, new)
        return told_as({"version": decisions.version, "answers": answers_of(workspace, decisions.file)})

    @app.get("/api/example/<int:position>")
    def example(position: int) -> "Response":
        if position >= len(workspace.examples):
            return refused(404, "There is no such example.")
        return told_as(workspace.example(position))

    @app.get("/api/alike/<int:position>")
    def alike(position: int) -> "Response":
        if position >= len(workspace.examples):
            return refused(404, "There is no such example.")
        return told_as(workspace.alike(position))

    @app.get("/api/class/<int:label>")
    def members(label: int) -> "Response":
        if label >= len(workspace.examples.classes):
            return refused(404, "There is no such class.")
        return told_as(workspace.members(label))

    @app.get("/picture/<size>/<int:position>")
    def picture(size: str, position: int) -> "Response":
        known = size in SIZES and position < len(workspace.examples)
        content = workspace.picture(position, size) if known else None
        if content is None:
            return refused(404, "There is no such picture.")
        response = _answer(flask, content, "image/png")
        response.headers["Cache-Control"] = "private, max-age=3600, immutable"
        return response

    return app


def serve(make: "Callable[[Session], Flask]") -> "tuple[BaseWSGIServer, Session]":
    """A server at 127.0.0.1 and a port that is free, in threads; `serve_forever` runs it.

    Args:
        make: the application of a session.

    Raises:
        NotSupportedError: the extra `review` is not installed.
    """
    extra("review", "flask")
    import logging

    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: object) -> None:
            pass

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True, request_handler=Quiet)
    session = Session(server.server_port)
    server.app = make(session)
    return server, session


def _answer(flask: ModuleType, content: bytes, kind: str) -> "Response":
    response: Response = flask.make_response(content)
    response.headers["Content-Type"] = f"{kind}; charset=utf-8" if kind != "image/png" else kind
    return response


def _checked(workspace: Workspace, changes: list[_Change]) -> tuple[dict[str, Answer], dict[str, dict[str, str]]]:
    """Answers by id, and cells of the rows that the file may lack."""
    if len(changes) > MOST_CHANGES:
        raise InputError(f"At most {MOST_CHANGES} examples can be decided at once, got {len(changes)}.")
    answers, new = dict[str, Answer](), dict[str, dict[str, str]]()
    examples = workspace.examples
    for change in changes:
        if not 0 <= change.position < len(examples):
            raise InputError(f"Positions must be from 0 to {len(examples) - 1}, got {change.position}.")
        if change.wrong not in (YES, NO, UNSURE, ""):
            raise InputError(f"Answers are yes, no, unsure or empty, got {change.wrong!r}.")
        label = int(examples.labels[change.position])
        if change.corrected is not None and (
            change.wrong != YES or change.corrected == label or not 0 <= change.corrected < len(examples.classes)
        ):
            raise InputError(f"A right class needs a wrong label and must be another class, got {change.corrected}.")
        name = str(examples.ids[change.position])
        corrected = "" if change.corrected is None else examples.classes[change.corrected]
        answers[name] = Answer(change.wrong, corrected)
        new[name] = {"label": examples.classes[label]}
    return answers, new
