"""Who may ask for what: every role and kind of token, every operation, on a line that is theirs, another and none, by HTTP and as a command.

What is wanted stands in `ALLOWED`, by hand: a new operation that is not in it fails, and so does one whose right was changed.
"""

import asyncio
import contextlib
import io
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from linewright.interfaces.cli.build import run
from linewright.interfaces.http.app import ControlApp, control_app
from linewright.interfaces.http.expensive import Expensive
from linewright.interfaces.http.open_routes import OPEN_ROUTES
from linewright.line.factory import Factory
from linewright.operations.declare import Operation, load, operation, to_json
from linewright.operations.table import OPERATIONS
from linewright.serve.access.accounts import Grant
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change, new_token, with_token
from linewright.serve.access.rights import PERMISSIONS, ROLES, TOKEN_KINDS

OWN, OTHER, MISSING = "own", "other", "missing"
VIEWERS = {"viewer", "annotator", "analyst", "engineer", "approver", "admin", "agent"}
EVERYBODY = {*ROLES, *TOKEN_KINDS}
"""Signing in takes no token: it is another factory's, or somebody else's."""
PLANNERS = {"analyst", "engineer", "admin", "agent"}
ALLOWED: dict[str, set[str]] = {
    "check": PLANNERS,
    "check-text": PLANNERS,
    "plan": PLANNERS,
    "plan-text": {"engineer"},
    "verify": PLANNERS,
    "audit verify": VIEWERS,
    "audit key": {"admin"},
    "audit export": {"admin"},
    "audit entries": {"admin"},
    "audit find": {"admin"},
    "rebuild": PLANNERS,
    "new": {"engineer"},
    "import-features": {"engineer"},
    "run": {"engineer"},
    "retrain": {"engineer"},
    "reconcile": {"engineer"},
    "promote": {"engineer"},
    "propose": PLANNERS,
    "proposals": VIEWERS,
    "step": {"engineer"},
    "rollback": {"engineer"},
    "halt": {"engineer", "approver", "admin"},
    "predict": {"analyst", "engineer", "predict", "agent"},
    "predict-job": {"engineer"},
    "request-form": {"analyst", "engineer", "predict", "agent"},
    "try": {"analyst", "engineer", "predict", "agent"},
    "picture show": VIEWERS,
    "picture keep": {"analyst", "engineer", "predict", "agent"},
    "feedback": {"annotator", "engineer", "feedback"},
    "annotate queue": {"engineer"},
    "annotate queue-rows": {"engineer"},
    "annotate close": {"engineer"},
    "annotate next": {"annotator", "engineer"},
    "annotate answer": {"annotator", "engineer"},
    "annotate adjudicate": {"annotator", "engineer"},
    "annotate undo": {"annotator", "engineer"},
    "annotate status": VIEWERS,
    "annotate export": {"analyst", "engineer", "approver", "admin"},
    "annotate import": {"engineer"},
    "status": VIEWERS,
    "line-file": VIEWERS,
    "alerts": VIEWERS,
    "monitors": VIEWERS,
    "value": VIEWERS,
    "what-if": VIEWERS,
    "goals": VIEWERS,
    "runs": VIEWERS,
    "history": VIEWERS,
    "comments": VIEWERS,
    "comment": VIEWERS,
    "models": VIEWERS,
    "datasets": VIEWERS,
    "dataset": VIEWERS,
    "predictions": {"analyst", "engineer", "approver", "admin"},
    "audit features": {"analyst", "engineer", "approver", "admin"},
    "rows": {"analyst", "engineer", "approver", "admin"},
    "export-dataset": {"analyst", "engineer", "approver", "admin"},
    "profile": VIEWERS,
    "card": VIEWERS,
    "notify status": VIEWERS,
    "init": {"admin"},
    "demo": {"admin"},
    "up": {"admin"},
    "serve": {"admin"},
    "detach": {"engineer"},
    "doctor": {"admin"},
    "backup": {"admin"},
    "restore": {"admin"},
    "console": {"admin"},
    "propose-restore": {"admin"},
    "use-approval": {"admin"},
    "gc": {"admin"},
    "forget": {"admin"},
    "notify test": {"admin"},
    "notify send": {"admin"},
    "member add": {"admin"},
    "member list": {"admin"},
    "member invite": {"admin"},
    "member role": {"admin"},
    "member remove": {"admin"},
    "token create": {"admin"},
    "token list": {"admin"},
    "token revoke": {"admin"},
}
ASKS: dict[str, set[str]] = {
    "inbox": VIEWERS,
    "inbox-read": VIEWERS,
    "views": VIEWERS,
    "save-view": VIEWERS,
    "delete-view": VIEWERS,
    "proposal": VIEWERS,
    "sources": VIEWERS,
    "features": VIEWERS,
    "schedule": VIEWERS,
    "login": EVERYBODY,
    "logout": EVERYBODY,
    "schema": VIEWERS,
    "show": VIEWERS,
    "run-steps": VIEWERS,
    "run-log": VIEWERS,
    "alert": VIEWERS,
    "worst-slice": VIEWERS,
    "why": VIEWERS,
    "replay": {"analyst", "engineer", "approver", "admin"},
    "cancel": {"engineer"},
    "approve": {"approver"},
    "decline": VIEWERS,
    "sync": {"engineer"},
}
"""Those that find out themselves which line is meant: whoever may do it nowhere is refused before."""
ON_LINES = {"line", "lines", "model"}
VALUES: dict[str, Any] = {
    "name": "ada",
    "role": "viewer",
    "row": "{}",
    "kind": "predict",
    "data": "data.csv",
    "job": "nightly",
    "label": "y",
    "file": __file__,
    "folder": "folder",
    "out": "out.csv",
    "subject": "ada",
    "id": "0" * 64,
    "digest": "0" * 64,
    "evidence": "0" * 64,
    "prediction": "0" * 8,
    "run": "0" * 8,
    "text": "checked by hand",
    "because": "checked by hand",
    "page": "/",
    "url": "https://factory.example.org",
    "proposal": "0" * 12,
    "question": "0" * 12,
    "backup": "0" * 64,
    "head": "0" * 64,
}


def arguments(asked: Operation, line: str) -> dict[str, Any]:
    """Return what an operation needs, about a line where it can be about one."""
    found: dict[str, Any] = {}
    for one in asked.parameters:
        if one.name == "lines":
            found["lines"] = [line]
        elif one.name in ON_LINES and one.element is str:
            found[one.name] = f"{line}@1" if one.name == "model" else line
        elif one.required:
            found[one.name] = VALUES[one.name]
    return found


def names_lines(asked: Operation) -> bool:
    return any(one.name in ON_LINES and one.element is str for one in asked.parameters)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with a token of each role and kind: for the whole factory, and for one line."""
    folder = tmp_path_factory.mktemp("rights") / "factory"
    with Factory.create(folder):
        pass
    return folder


@pytest.fixture(scope="module")
def tokens(root: Path) -> dict[tuple[str, str], str]:
    made: dict[tuple[str, str], str] = {}
    for role in (*ROLES, *TOKEN_KINDS):
        for where, lines in (("", ()), (OWN, (OWN,))):
            one = new_token(
                name=f"{role}-{where or 'all'}",
                grant=Grant(role=role, lines=lines),
                member="",
                created="2026-01-01T00:00:00.000000Z",
                expires="2999-01-01T00:00:00.000000Z",
            )
            change(root / ".linewright", with_token(one))
            made[role, where] = one.token
    return made


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have operations do nothing but say that they were carried out: what is tried is who gets so far."""
    done: list[str] = []

    def carry_out(self: Operation, _factory: Any, values: Any) -> dict[str, str]:
        del values
        done.append(self.name)
        return {}

    monkeypatch.setattr(Operation, "carry_out", carry_out)
    monkeypatch.setattr(Operation, "urgent", lambda _self, _values: None)
    return done


class Here(Expensive):
    """Carries out what is expensive in this process."""

    async def carry_out(self, operation: Operation, arguments: Any, **_: Any) -> bytes:
        return to_json(operation.carry_out(None, arguments))


def whole_app(root: Path) -> ControlApp:
    """Return a control plane with all its routes."""
    return control_app(
        lambda _: nullcontext(None),
        OPERATIONS,
        authenticator=Authenticator(state=root / ".linewright"),
        root=root,
        expensive=Here(root, report=lambda _: None),
    )


def by_http(root: Path, asks: list[tuple[str, str, dict[str, Any], str]]) -> list[int]:
    """Return the statuses of requests: operation, method, arguments, token."""
    app = whole_app(root)

    async def all_of_them() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            found: list[int] = []
            for path, method, given, token in asks:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                if method == "GET":
                    answer = await client.get(path, params=given, headers=headers)
                else:
                    answer = await client.post(path, json=given, headers=headers)
                found.append(answer.status_code)
            return found

    return asyncio.run(all_of_them())


def by_command(root: Path, asked: Operation, given: dict[str, Any], token: str) -> tuple[int, str]:
    """Return the exit code of a command, and the name of its error."""
    words: list[str] = asked.name.split()
    for one in asked.parameters:
        if one.name in given:
            values = given[one.name] if isinstance(given[one.name], list) else [given[one.name]]
            words += values if one.positional else [f"--{one.name}", *values]
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("LINEWRIGHT_TOKEN", token)
        code = run([*words, "--json", "--factory", str(root)], OPERATIONS, lambda *_: nullcontext(None))
    return code, json.loads(out.getvalue()).get("error", "")


def wanted(name: str, role: str, where: str, line: str, *, names: bool) -> bool:
    if role not in (ALLOWED.get(name) or ASKS[name]):
        return False
    return not where or name in ASKS or (names and line == OWN)


def test_each_operation_stands_in_the_table():
    """A new one whose right nobody thought about does not land."""
    assert OPERATIONS.keys() == ALLOWED.keys() | ASKS.keys()
    assert not ALLOWED.keys() & ASKS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_only_who_may_gets_so_far(name, root, tokens, carried_out):
    """Each role and kind of token, for the factory and for one line; asked about that line, another, and one that is not there."""
    asked = load(name, OPERATIONS)
    names = names_lines(asked)
    cells = [
        (role, where, line) for role, where in tokens for line in ((OWN, OTHER, MISSING) if names else (OWN,))
    ]
    expected = [wanted(name, role, where, line, names=names) for role, where, line in cells]

    commands = [
        by_command(root, asked, arguments(asked, line), tokens[role, where]) for role, where, line in cells
    ]

    assert [(0, "") if may else (2, "Denied") for may in expected] == commands
    assert carried_out == [name] * sum(expected)
    path, method = asked.path, asked.method
    asks = [(arguments(asked, line), tokens[role, where]) for role, where, line in cells]
    asks += [(arguments(asked, OWN), unknown) for unknown in ("", "lw_00000000_x")]
    answers = by_http(root, [(path, method, given, token) for given, token in asks])
    statuses = answers[: len(cells)]
    assert [401] * 2 == answers[len(cells) :]
    if asked.local:
        assert {404} == set(statuses)
    else:
        # From afar a path of this machine is none, for whoever may.
        is_path = any(one.required for one in asked.parameters if one.name in asked.files)
        assert [(422 if is_path else 200) if may else 403 for may in expected] == statuses


def test_every_route_and_method_wants_a_token(root):
    """MLflow's CVE-2026-2652 and CVE-2026-0545: a right that only some routes asked for."""
    app = whole_app(root)
    paths = {route.path for route in app.routes}  # type: ignore[attr-defined]

    async def all_of_them() -> set[tuple[str, str]]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            open_to_all: set[tuple[str, str]] = set()
            for path in sorted({*paths, "/docs", "/redoc", "/static/x", "/api/v1/nothing"}):
                for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                    answer = await client.request(method, path)
                    if answer.status_code != 401:
                        open_to_all.add((method, path))
            return open_to_all

    assert len(paths) > 30
    heads = {("HEAD", path) for method, path in OPEN_ROUTES if method == "GET"}
    assert OPEN_ROUTES | heads == asyncio.run(all_of_them())


def test_the_open_routes_are_those_of_signing_in():
    """A new one is written down here too, or it does not land."""
    assert OPEN_ROUTES == {
        ("GET", "/"),
        ("GET", "/join"),
        ("GET", "/sign-in"),
        ("GET", "/sign-in/oidc"),
        ("GET", "/sign-in/oidc/callback"),
        ("POST", "/api/v1/join"),
        ("POST", "/api/v1/sign-in/code"),
        ("POST", "/api/v1/sign-in"),
        ("POST", "/api/v1/sign-out"),
        ("POST", "/join"),
        ("POST", "/sign-in"),
        ("POST", "/sign-out"),
        ("GET", "/favicon.ico"),
        ("GET", "/static/favicon.svg"),
        ("GET", "/static/linewright.css"),
        ("GET", "/static/linewright.js"),
    }


def test_without_a_right_no_operation_is_declared():
    """Else one that was forgotten would be open to all."""
    with pytest.raises(TypeError):
        operation(effect="read")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no such permission"):
        operation(permission="everything", effect="read")(lambda _: None)  # type: ignore[arg-type]


def test_a_route_without_a_right_stops_the_start():
    """The table of rights is asked about each route, not about each operation."""
    with pytest.raises(TypeError, match="has no permission"):
        _with_a_forgotten_route()


def _with_a_forgotten_route() -> None:
    before = Starlette.add_route

    def add(self: Any, path: str, *given: Any, **named: Any) -> None:
        before(self, path, *given, **named)
        if path == "/openapi.json":
            before(self, "/forgotten", *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Starlette, "add_route", add)
        control_app(lambda _: nullcontext(None), {}, authenticator=Authenticator("x"))


def test_no_role_may_do_all():
    """Who looks after members neither trains nor approves, and who trains does not approve."""
    assert not [role for role, may in ROLES.items() if may >= PERMISSIONS]
    assert not [role for role, may in ROLES.items() if {"approve", "release"} <= may]
    assert not [role for role, may in ROLES.items() if {"manage", "release"} <= may]


def test_the_page_on_rights_has_the_roles_as_they_are():
    """Who gives a role goes by the page."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "people.md").read_text()
    columns = (
        "view",
        "view-rows",
        "view-personal",
        "predict",
        "label annotate",
        "plan",
        "run release push",
        "halt",
        "approve",
        "manage",
    )
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    said = {
        role.strip(): {
            right
            for cell, rights in zip(cells, columns, strict=True)
            if "yes" in cell
            for right in rights.split()
        }
        for role, *cells in rows[1:]
    }

    assert {role: set(may) - {"metrics"} for role, may in ROLES.items()} == said
