"""The token of the control plane: whoever lacks it gets nothing, by any route or method, and it stands nowhere but in its file."""

import os
import re
import socket
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from control import Up, bearer, factory_up

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.care.restore import restore_backup
from linewright.errors import Denied, Unauthenticated
from linewright.interfaces.http.app import control_app
from linewright.interfaces.http.expensive import Expensive
from linewright.interfaces.http.open_routes import OPEN_ROUTES
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.control_token import control_token, read_token

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "QUERY")
DOCS = Path(__file__).parents[2] / "docs"
CLIENT = httpx.Client(timeout=30)
"""For all requests: making one takes longer than a request."""
FORM = re.compile(r"lw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Hold one factory up for all tests: starting one takes seconds."""
    root = tmp_path_factory.mktemp("token") / "factory"
    Factory.create(root).close()
    # Hundreds of requests come from one address.
    (root / "factory.yaml").write_text("format: 1\nlimits: {control_requests_per_second: null}\n")
    with factory_up(root, forked=True) as one:
        yield one


def paths(up: Up) -> set[str]:
    """Return every path of the control plane that anything knows of: its routes, its description, the docs, and some that are not."""
    app = control_app(
        lambda _: None,  # type: ignore[arg-type, return-value]
        OPERATIONS,
        authenticator=Authenticator("x"),
        root=up.root,
        expensive=Expensive(up.root, report=lambda _: None),
    )
    routes = {route.path for route in app.routes}
    described = set(up.get("/openapi.json").json()["paths"])
    told = {
        found for page in DOCS.rglob("*.md") for found in re.findall(r"/api/v1/[a-z-]+", page.read_text())
    }
    assert {"/api/v1/status", "/api/v1/plan", "/openapi.json"} <= routes
    assert described <= routes
    return {
        *routes,
        *described,
        *told,
        "/docs",
        "/redoc",
        "/nothing",
        "/index.html",
        "/%2f",
        "/api/v1/status/",
    }


def ask(up: Up, method: str, path: str, **headers: str) -> httpx.Response:
    url = f"http://127.0.0.1:{up.control}{path}"
    return CLIENT.request(method, url, headers={"content-type": "application/json", **headers})


def test_no_route_and_no_method_answers_without_the_token(up):
    """A check on some routes only is a check that is walked around (CVE-2026-2652 and CVE-2026-0545 class).

    On 10deb10 every path answered.
    """
    every = [(method, path) for path in sorted(paths(up)) for method in METHODS]
    answers = {
        (method, path): ask(up, method, path)
        for method, path in every
        if (method.replace("HEAD", "GET"), path) not in OPEN_ROUTES
    }

    assert len(answers) > 200
    assert {} == {one: got.status_code for one, got in answers.items() if got.status_code != 401}
    assert {"Bearer"} == {got.headers.get("www-authenticate") for got in answers.values()}


def test_the_refusal_says_where_the_token_is_and_how_to_send_it(up):
    """Whoever may have it finds it; whoever may not learns no path of this machine."""
    refused = ask(up, "GET", "/api/v1/status")

    assert "Unauthenticated" == refused.json()["error"]
    assert ".linewright/control.token" in refused.json()["hint"]
    assert "Authorization: Bearer" in refused.json()["hint"]
    assert str(up.root) not in refused.text


def test_the_index_is_open_and_holds_nothing_of_the_factory(up):
    """A browser can be pointed at the address; there is nothing to learn there but names of operations."""
    index = ask(up, "GET", "/")

    assert 200 == index.status_code
    assert str(up.root) not in index.text
    assert not FORM.search(index.text)


@pytest.mark.parametrize(
    "wrong",
    [
        "Bearer",
        "Bearer {token}x",
        "Bearer {cut}",
        "Bearer {upper}",
        "Bearer lw_00000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Basic {token}",
        "Token {token}",
        "{token}",
        "Bearer {token}, Bearer {token}",
        "Bearer null",
        "Bearer \u00e9",
    ],
)
def test_what_is_not_the_token_is_refused(up, wrong):
    """Only the whole token, by its one scheme, opens anything."""
    token = bearer(up.root)["Authorization"].removeprefix("Bearer ")
    value = wrong.format(token=token, cut=token[:-1], upper=token.upper())
    given = {"Authorization": value.encode("latin-1")}
    answer = httpx.get(f"http://127.0.0.1:{up.control}/api/v1/status", headers=given)

    assert 401 == answer.status_code
    assert token not in answer.text


def test_a_token_in_the_query_or_a_cookie_or_twice_has_no_effect(up):
    """Addresses stand in logs and histories, and a browser sends cookies for whoever asks it to."""
    token = bearer(up.root)["Authorization"].removeprefix("Bearer ")
    asked = f"http://127.0.0.1:{up.control}/api/v1/status"
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    refused = [
        httpx.get(asked, params={"token": token}),
        httpx.get(asked, params={"access_token": token, "authorization": f"Bearer {token}"}),
        httpx.get(asked, headers={"Cookie": f"token={token}; Authorization=Bearer {token}"}),
        httpx.get(asked, headers={"X-Token": token, "Proxy-Authorization": f"Bearer {token}"}),
        httpx.get(f"http://user:{token}@127.0.0.1:{up.control}/api/v1/status"),
    ]

    assert {401} == {answer.status_code for answer in refused}
    assert httpx.get(asked, headers=twice).status_code in {400, 401}
    assert 200 == up.get("/api/v1/status").status_code


def test_a_token_as_a_trailer_has_no_effect(up):
    """What follows a body is no header (RFC 9112, 7.1.2): a proxy that checks the head would be walked around."""
    field = f"Authorization: {bearer(up.root)['Authorization']}\r\n".encode()
    head = (
        b"POST /api/v1/halt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nTrailer: Authorization\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", up.control), timeout=30) as connection:
        connection.sendall(head + b"2\r\n{}\r\n0\r\n" + field + b"\r\n")
        answer = connection.recv(65536)

    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400")), answer


def test_a_fresh_factory_has_no_token_and_no_two_have_the_same(tmp_path):
    """There is no password to know beforehand (CVE-2026-2635 class); what is made has 256 bits of chance."""
    tokens = set[str]()
    for name in ("a", "b", "c"):
        with Factory.create(tmp_path / name) as factory:
            assert not (factory.state / "control.token").exists()
            tokens.add(control_token(factory.state))

            assert control_token(factory.state) in tokens
            assert 0o600 == stat.S_IMODE((factory.state / "control.token").stat().st_mode)

    assert 3 == len(tokens)
    assert all(FORM.fullmatch(token) for token in tokens)
    assert 43 * 6 >= 256


def test_the_token_is_kept_over_a_restart(tmp_path):
    """Who read it once need not read it again each morning; a second that starts meanwhile has the same one."""
    first = control_token(tmp_path)

    assert first == control_token(tmp_path)
    assert ["control.token"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o610])
def test_a_token_that_others_may_read_or_change_is_refused(tmp_path, mode):
    """It is no secret any more, and whoever goes on with it does not know (CVE-2026-2635 class)."""
    token = control_token(tmp_path)
    file = tmp_path / "control.token"
    file.chmod(mode)

    with pytest.raises(Denied, match="chmod 600 ") as refused:
        control_token(tmp_path)
    assert token not in str(refused.value)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_token_of_another_user_is_refused(tmp_path):
    """Who made it knows it."""
    control_token(tmp_path)
    os.chown(tmp_path / "control.token", 65534, 65534)

    with pytest.raises(Denied, match="belongs to another user"):
        read_token(tmp_path / "control.token")


def test_a_file_that_holds_no_token_is_refused_and_not_told(tmp_path):
    """An empty token would let everybody in; a link would tell what stands in another file."""
    file = tmp_path / "control.token"
    secret = tmp_path / "secret"
    secret.write_text("the password of something else")
    secret.chmod(0o600)
    for make in (
        lambda: file.write_text(""),
        lambda: file.write_text("secret"),
        lambda: file.symlink_to(secret),
        lambda: os.mkfifo(file, 0o600),
        lambda: file.mkdir(0o700),
    ):
        make()
        if not file.is_symlink():
            file.chmod(0o700 if file.is_dir() else 0o600)
        with pytest.raises(Denied, match="rm ") as refused:
            control_token(tmp_path)
        assert "password" not in str(refused.value)
        file.rmdir() if file.is_dir() else file.unlink()


def test_up_says_how_to_ask_and_never_the_token_itself(up):
    """Logs are kept, sent and pasted."""
    token = bearer(up.root)["Authorization"].removeprefix("Bearer ")
    up.get("/api/v1/status")
    ask(up, "GET", "/api/v1/status", Authorization=f"Bearer {token}x")
    said = up.log.read_text()

    assert f'-H @<(echo "Authorization: Bearer $(cat {up.root}/.linewright/control.token)")' in said
    assert token.split("_", 2)[-1] not in said
    for path in ("/api/v1/status", "/openapi.json", "/", "/api/v1/runs", "/api/v1/nothing"):
        assert token not in up.get(path).text
    elsewhere = [
        file for file in up.root.rglob("*") if file.is_file() and token.encode() in file.read_bytes()
    ]
    assert [up.root / ".linewright" / "control.token"] == elsewhere


def test_up_refuses_a_token_that_others_may_read_before_anything_starts(tmp_path):
    """It must not serve with a key that hangs beside the door."""
    import subprocess
    import sys

    with Factory.create(tmp_path / "factory") as factory:
        control_token(factory.state)
        (factory.state / "control.token").chmod(0o644)
        command = [sys.executable, "-m", "linewright", "up", "--port", "0", "--control-port", "0"]
        done = subprocess.run(
            command, cwd=factory.root, capture_output=True, text=True, timeout=60, check=False
        )
        found = examine(factory, Needs(free_bytes=0, ports=()))

    assert 2 == done.returncode
    assert "chmod 600" in done.stderr
    assert "endpoint on" not in done.stderr
    assert ["chmod 600" in one.next for one in found.problems] == [True]


def test_the_token_is_in_no_backup_and_a_restored_factory_has_none(tmp_path):
    """A backup lies where others look; what is made of it is another factory, with a key of its own."""
    with Factory.create(tmp_path / "factory") as factory:
        token = control_token(factory.state)
        made = make_backup(factory, tmp_path / "backup.tar")
    with tarfile.open(made.file) as archive:
        names = archive.getnames()
    with Factory(tmp_path / "new") as new:
        restore_backup(new, tmp_path / "backup.tar")

    assert not [name for name in names if "token" in name]
    assert token.encode() not in (tmp_path / "backup.tar").read_bytes()
    assert not list((tmp_path / "new").rglob("control.token"))


def test_the_token_is_compared_by_its_digest():
    """How long a refusal takes says nothing of how much was right; a long text costs no more than its hash."""
    authenticator = Authenticator("lw_00000000_" + "a" * 43)
    authenticator.identify(["bearer  lw_00000000_" + "a" * 43])
    for given in ([], [""], ["Bearer"], ["Bearer " + "a" * 60_000], ["Bearer \udcff"]):
        with pytest.raises(Unauthenticated, match="token"):
            authenticator.identify(given)
