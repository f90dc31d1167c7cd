"""Pages of other sites: none may ask but those that `factory.yaml` names, and those by a token alone."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any

import httpx
import pytest

from linewright.capabilities.members.operations.tokens import token_create
from linewright.errors import SpecError
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.operations.table import OPERATIONS
from linewright.serve.access.accounts import Grant, Member
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change, with_member
from linewright.serve.access.sign_in import begin_session
from linewright.serve.http.server import serve
from linewright.serve.reach import Reach

spec = importlib.util.spec_from_file_location(
    "made_by_hand", Path(__file__).parents[1] / "serve" / "conftest.py"
)
assert spec is not None
assert spec.loader is not None
hand = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand)

SHOP, EVIL = "https://shop.example", "https://evil.example"
PREDICT, STATUS = "/v1/lines/claims/predict", "/api/v1/runs"
NOT_NAMED = (
    EVIL,
    "null",
    "http://shop.example",
    "https://shop.example:8443",
    "https://shop.example.evil.example",
    "https://SHOP.example",
    "https://shop.example/",
    "https://a.shop.example",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cors") / "factory"
    with Factory.create(folder) as factory:
        served = hand.Claims(factory.state)
        factory.metadata.register("claims", served.make(1), at=factory.now())
        served.point(1)
    return folder


@pytest.fixture(scope="module")
def token(root: Path) -> str:
    with Factory.open(root) as factory:
        return token_create(factory, "shop", kind="engineer", lines=("claims",)).token


@contextmanager
def in_a_thread(ending: Event, ports: "Queue[int]", work: Any) -> Iterator[str]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=60)}"
    finally:
        ending.set()
        thread.join(60)


@pytest.fixture(scope="module")
def servers(root: Path) -> Iterator[dict[str, str]]:
    """Run both servers, for which one origin is named, and give their addresses by a path that each answers."""
    reach = Reach(origins=(f"{SHOP}:443", "http://localhost:5173"))
    ports, ending = Queue[int](), Event()
    others, ended = Queue[int](), Event()
    app = control_app(
        lambda asked: Factory.open(root, identity=asked),
        OPERATIONS,
        authenticator=Authenticator(state=root / ".linewright"),
        root=root,
    )
    control = partial(
        serve_control, app, bound("127.0.0.1", 0), reach, ready=ports.put, is_stopped=ending.is_set
    )
    endpoint = partial(
        serve,
        root / ".linewright",
        port=0,
        reach=reach,
        started=lambda address: others.put(int(address.rpartition(":")[2])),
        is_stopped=ended.is_set,
        tell=lambda _: None,
    )
    with in_a_thread(ending, ports, control) as asked, in_a_thread(ended, others, endpoint) as predicts:
        yield {STATUS: asked, PREDICT: predicts}
    CLIENT.close()


CLIENT = httpx.Client(timeout=30)


def ask(servers: dict[str, str], path: str, page: str, **headers: str) -> httpx.Response:
    """Ask as a page's script does, whose browser says that it is another site's."""
    method = "GET" if path == STATUS else "POST"
    given = {"Origin": page, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", **headers}
    url = f"{servers[path]}{path}"
    if method == "GET":
        return CLIENT.get(url, params={"line": "claims"}, headers=given)
    return CLIENT.post(url, json={"rows": [hand.ROW]}, headers=given)


def preflight(servers: dict[str, str], path: str, page: str, method: str) -> httpx.Response:
    headers = {"Origin": page, "Access-Control-Request-Method": method, "Sec-Fetch-Site": "cross-site"}
    return CLIENT.options(f"{servers[path]}{path}", headers=headers)


def told(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control")}


@pytest.mark.parametrize(("path", "method"), [(STATUS, "GET"), (PREDICT, "POST")])
@pytest.mark.parametrize("page", [SHOP, "http://localhost:5173"])
def test_a_page_that_is_named_may_ask_with_a_token(path, method, page, servers, token):
    """It learns that it may before it asks, and its browser lets it see the answer."""
    first = preflight(servers, path, page, method)
    answer = ask(servers, path, page, Authorization=f"Bearer {token}")

    assert (200, page, method, "Origin") == (
        first.status_code,
        first.headers["access-control-allow-origin"],
        first.headers["access-control-allow-methods"],
        first.headers["vary"],
    )
    assert "authorization" in first.headers["access-control-allow-headers"]
    assert (200, page) == (answer.status_code, answer.headers["access-control-allow-origin"])
    assert "Origin" in answer.headers.get_list("vary")
    assert "access-control-allow-credentials" not in {**told(first), **told(answer)}


@pytest.mark.parametrize("path", [STATUS, PREDICT])
@pytest.mark.parametrize("page", NOT_NAMED)
def test_any_other_origin_is_refused_with_a_token_too(path, page, servers, token):
    """The name is compared as a whole: no pattern, no part of it, no other port."""
    for answer in (
        preflight(servers, path, page, "POST"),
        ask(servers, path, page, Authorization=f"Bearer {token}"),
    ):
        assert (403, {}) == (answer.status_code, told(answer))


@pytest.mark.parametrize("path", [STATUS, PREDICT])
def test_a_cookie_lets_no_page_of_another_site_in(path, root, servers, token):
    """A named origin is let in by what its page holds, and never by who sits at the browser."""
    state, at, name = root / ".linewright", "2026-01-01T00:00:00.000000Z", f"ada-{len(path)}"
    ada = Member(created=at, password="kept", grants=(Grant(role="engineer"),))  # noqa: S106 -- no password
    change(state, with_member(name, ada))
    session = begin_session(state, name, "2999-01-01T00:00:00.000000Z", password="kept")  # noqa: S106
    cookie = f"linewright={session.code}; __Host-linewright={session.code}"
    own = CLIENT.get(f"{servers[STATUS]}{STATUS}", params={"line": "claims"}, headers={"Cookie": cookie})
    assert 200 == own.status_code, "the cookie is one"

    alone = ask(servers, path, SHOP, Cookie=cookie)
    foreign = ask(servers, path, EVIL, Cookie=cookie)
    wrong = ask(servers, path, SHOP, Cookie=cookie, Authorization="Bearer lw_00000000_x")

    assert (401, SHOP) == (alone.status_code, alone.headers["access-control-allow-origin"])
    assert (403, {}) == (foreign.status_code, told(foreign))
    assert 401 == wrong.status_code
    assert 200 == ask(servers, path, SHOP, Cookie=cookie, Authorization=f"Bearer {token}").status_code


def test_a_page_needs_a_token_where_programs_need_none(servers):
    """On loopback the endpoint answers programs without one; a page can be anybody's who wrote into it."""
    assert 200 == CLIENT.post(f"{servers[PREDICT]}{PREDICT}", json={"rows": [hand.ROW]}).status_code
    assert 401 == ask(servers, PREDICT, SHOP).status_code


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/", PREDICT),
        ("/metrics", PREDICT),
        ("/openapi.json", PREDICT),
        ("/v2/health/live", PREDICT),
        ("/nothing", PREDICT),
        ("/", STATUS),
        ("/sign-in", STATUS),
        ("/api/v1/sign-in", STATUS),
        ("/api/v1/join", STATUS),
        ("/metrics", STATUS),
        ("/openapi.json", STATUS),
    ],
)
def test_what_is_not_for_pages_is_refused_to_those_that_are_named_too(path, at, servers, token):
    """Predictions, feedback and operations; no sign-in, no index and no figures."""
    headers = {"Origin": SHOP, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for method in ("GET", "POST", "OPTIONS"):
        asked = {**headers, "Access-Control-Request-Method": "GET"} if method == "OPTIONS" else headers
        answer = CLIENT.request(method, f"{servers[at]}{path}", headers=asked)

        assert (403, {}) == (answer.status_code, told(answer)), method


def test_a_refusal_can_be_read_by_the_page(servers):
    """Else whoever writes the page sees a broken network where a token has expired."""
    answer = ask(servers, PREDICT, SHOP, Authorization="Bearer lw_00000000_x")

    assert (401, SHOP, "Unauthenticated") == (
        answer.status_code,
        answer.headers["access-control-allow-origin"],
        json.loads(answer.text)["error"],
    )


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://*.example.org", "http://shop.example", "https://shop.example/", "https://Shop.example", "shop.example", "http://localhost.evil.example:80", "file://"],
)  # fmt: skip
def test_only_exact_origins_can_be_named(origin, tmp_path):
    """What browsers never send, or what everybody could be, is a mistake of the file."""
    Factory.create(tmp_path).close()
    (tmp_path / "factory.yaml").write_text(f"format: 1\ncors: {{origins: ['{origin}']}}\n")

    with pytest.raises(SpecError, match="cors"):
        read_factory_file(tmp_path)


def test_none_is_named_by_default(tmp_path):
    """CORS is off."""
    Factory.create(tmp_path).close()
    assert () == read_factory_file(tmp_path).cors.origins
