"""A page of another site asks our servers through a visitor's browser: no method is answered, and nothing is done for it."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from control import Up, bearer, factory_up, memory_kib

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
CLIENT = httpx.Client(timeout=30)
"""For all requests: making one takes longer than a request."""
PAGES = {
    "another site": {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    "another site, without an origin": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "another port of this machine": {"Sec-Fetch-Site": "same-site"},
    "a page without an origin": {"Origin": "null"},
    "an origin alone": {"Origin": "http://127.0.0.1.evil.example"},
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Hold a factory up whose line has a large source, which is costly to check."""
    root = tmp_path_factory.mktemp("sites") / "factory"
    root.mkdir()
    rows = [
        f"{number},{number * 0.37:.3f},{'red' if number % 3 else 'blue'},{number % 2}"
        for number in range(200_000)
    ]
    (root / "parts.csv").write_text("\n".join(["part,width,colour,bad", *rows]) + "\n")
    Factory.create(root).close()
    new_line(root, "parts", root / "parts.csv", GivenRoles(label="bad", key="part"))
    with factory_up(root) as one:
        assert 200 == one.get("/api/v1/status").status_code  # the modules that it needs are there now
        yield one


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("method", METHODS)
def test_no_method_is_answered_on_the_control_plane_with_or_without_the_token(up, method, page):
    """A guard that thinks in methods lets pages have reads done that cost as much as writes (CVE-2026-27482 class)."""
    for path in ("/", "/api/v1/status", "/api/v1/check", "/api/v1/plan", "/openapi.json", "/nothing"):
        for token in ({}, bearer(up.root)):
            headers = {**PAGES[page], **token, "Content-Type": "application/json"}
            answer = CLIENT.request(method, f"http://127.0.0.1:{up.control}{path}", headers=headers)

            assert 403 == answer.status_code, (path, token)
            assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/openapi.json", "/v2", "/v2/health", "/v2/models/parts", "/v1/lines/parts/schema"],
)
def test_no_read_is_answered_on_the_endpoint(up, path, page):
    """Names of lines and columns, and figures of use, are nobody else's."""
    answer = CLIENT.get(f"http://127.0.0.1:{up.port}{path}", headers=PAGES[page])

    assert 403 == answer.status_code


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_programs_our_own_pages_and_addresses_that_people_type_are_answered(up, headers):
    """The guard is against other sites, not against its owner."""
    for port, path in (
        (up.control, "/"),
        (up.control, "/api/v1/status"),
        (up.port, "/metrics"),
        (up.port, "/"),
    ):
        sent = {name: value.format(port=port) for name, value in headers.items()}
        answer = CLIENT.get(f"http://127.0.0.1:{port}{path}", headers={**bearer(up.root), **sent})

        assert 200 == answer.status_code, path


def test_a_link_to_the_index_may_be_followed(up):
    """A person who clicks sees the index, which holds nothing; no page gets it."""
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    assert 200 == CLIENT.get(f"http://127.0.0.1:{up.control}/", headers=visit).status_code
    assert 403 == CLIENT.get(f"http://127.0.0.1:{up.control}/api/v1/status", headers=visit).status_code


def test_twenty_reads_that_a_page_has_sent_and_left_cost_nothing(up):
    """A page sends `no-cors` reads and never waits: on 10deb10 twenty took 4 GB and the control plane was deaf for 42 s."""
    before = memory_kib(up.worker())
    for number in range(20):
        path = ("/api/v1/check?lines=parts", "/api/v1/verify", "/api/v1/plan?lines=parts")[number % 3]
        with socket.create_connection(("127.0.0.1", up.control), timeout=10) as connection:
            fields = "".join(f"{name}: {value}\r\n" for name, value in PAGES["another site"].items())
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{up.control}\r\n{fields}\r\n".encode()
            )
    worst, asked = 0.0, 0
    until = time.monotonic() + 3
    while time.monotonic() < until:
        begun = time.monotonic()
        assert 200 == up.get("/api/v1/status").status_code
        worst, asked = max(worst, time.monotonic() - begun), asked + 1
        assert [] == up.children()
        time.sleep(0.05)

    assert asked > 3
    assert worst < 1, "`status` answers at once"
    assert memory_kib(up.worker()) - before < 32_000


def test_a_read_that_stores_is_a_write(up):
    """What a browser may fetch ahead or repeat must leave nothing behind: `plan` keeps the plan that it makes."""
    stored = up.root / ".linewright" / "metadata.sqlite"
    before = stored.read_bytes()
    refused = up.get("/api/v1/plan?lines=parts")
    after = stored.read_bytes()
    planned = up.post("/api/v1/plan", {"lines": ["parts"]})

    assert (405, "POST") == (refused.status_code, refused.headers["allow"])
    assert before == after
    assert (200, "parts") == (planned.status_code, planned.json()["line"])
    assert json.loads(planned.text)["plan"].startswith("sha256:")
