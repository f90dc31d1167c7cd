"""Rows of a function that uses dlt: in a process of its own, which reaches the allowed hosts alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from web_server import Asked, Serve, WebServer, allow_here

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.data.read.reader import fingerprint
from linewright.data.read.source import open_source
from linewright.data.spec import DltSource, RestLimits
from linewright.errors import LinewrightError, RequestError, SpecError, Transient, UserCodeError
from linewright.line.factory import Factory

TOKEN = "Pa55w0rd-token"  # noqa: S105 -- of a server that lives for a test
SHOP = """
import time
import urllib.request
from datetime import date
from decimal import Decimal

def orders():
    yield [{"id": 1, "town": " Köln ", "paid": Decimal("1.50")}, {"id": 2, "day": date(2026, 3, 1)}]
    yield {"id": 3, "items": [{"x": 1}], "share": float("nan")}

class Both:
    resources = {"orders": orders(), "towns": [{"town": "Ulm"}]}

def both():
    return Both

def asked(token):
    request = urllib.request.Request("URL", headers={"Authorization": token})
    with urllib.request.urlopen(request, timeout=5) as answer:
        yield {"id": 1, "said": answer.read().decode()}

def broken():
    yield {"id": 1}
    raise ValueError("no such order")

def telling(given):
    import json
    from urllib.parse import quote
    key = json.loads(given)["keys"][0]
    raise ValueError(f"{key} is no key: {quote(key)}")

def dripping():
    while True:
        yield {"x": "y" * 300_000}
        time.sleep(0.01)

def endless():
    yield {"id": 1}
    time.sleep(60)

def absent():
    import no_such_package
"""


def shop(root: Path, url: str = "http://127.0.0.1:1/") -> None:
    (root / "shop.py").write_text(SHOP.replace("URL", url))
    allow_here(root)


def rows_of(root: Path, function: str, **words: Any) -> list[dict[str, Any]]:
    spec = DltSource(dlt=f"shop.py:{function}", **words)
    return [row for batch in open_source("orders", spec, root).batches() for row in batch.frame.to_dicts()]


def refused(root: Path, kind: type[LinewrightError], function: str, **words: Any) -> LinewrightError:
    with pytest.raises(kind, match="orders") as error:
        rows_of(root, function, **words)
    assert kind is type(error.value)
    assert TOKEN not in f"{error.value} {error.value.to_json()}"
    return error.value


@pytest.mark.usefixtures("processes")
def test_a_function_gives_rows_pages_or_a_source_of_several_resources(tmp_path):
    shop(tmp_path)
    expected = [
        {"id": "1", "town": "Köln", "paid": "1.50", "day": None, "items": None, "share": None},
        {"id": "2", "town": None, "paid": None, "day": "2026-03-01", "items": None, "share": None},
        {"id": "3", "town": None, "paid": None, "day": None, "items": '[{"x": 1}]', "share": None},
    ]

    assert expected == rows_of(tmp_path, "orders")
    assert [{"town": "Ulm"}] == rows_of(tmp_path, "both", resource="towns")
    assert "resource: orders" in refused(tmp_path, UserCodeError, "both").what
    assert "more than 1 rows" in refused(tmp_path, RequestError, "orders", limits=RestLimits(rows=1)).what
    assert "shop.py, line 24" == refused(tmp_path, UserCodeError, "broken").where
    assert "pip install what brings it" in refused(tmp_path, RequestError, "absent").hint
    for name in ("endless", "dripping"):
        error = refused(tmp_path, Transient, name, limits=RestLimits(seconds=0.5))
        assert "nothing of this source was kept" in error.hint
    with pytest.raises(RequestError, match="has no such file"):
        open_source("orders", DltSource(dlt="../shop.py:orders"), tmp_path)


def test_only_allowed_hosts_are_reached_and_the_token_is_not_shown(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", TOKEN)
    server = serve(lambda asked: asked.say(b"fine"))
    shop(tmp_path, f"{server.url}/orders")

    assert [{"id": "1", "said": "fine"}] == rows_of(tmp_path, "asked", at="env:TOKEN")
    assert TOKEN == server.asked[0][1]["Authorization"]
    server.answer = lambda asked: asked.say(asked.headers["Authorization"].encode(), status=500)
    assert 6 == refused(tmp_path, Transient, "asked", at="env:TOKEN").exit_code
    (tmp_path / "factory.yaml").write_text("format: 1\nhosts: [localhost]\n")
    with pytest.raises(SpecError, match="may not be read from"):
        rows_of(tmp_path, "asked", at="env:TOKEN")
    shop(tmp_path, f"http://127.0.0.1:{free_port()}/")
    assert "source 'orders'" in refused(tmp_path, Transient, "asked", at="env:TOKEN").what


@pytest.mark.usefixtures("processes")
def test_a_part_of_what_at_holds_is_not_shown(tmp_path, monkeypatch):
    shop(tmp_path)
    monkeypatch.setenv("TOKEN", json.dumps({"keys": [f"{TOKEN} / 7"], "n": 1}))
    error = refused(tmp_path, UserCodeError, "telling", at="env:TOKEN")

    assert "ValueError: … is no key: …" in error.what


@pytest.fixture
def serve() -> Any:
    servers: list[WebServer] = []

    def start(answer: Any) -> WebServer:
        servers.append(WebServer(answer).__enter__())
        return servers[-1]

    yield start
    for one in servers:
        one.__exit__()


REST = """
from dlt.sources.rest_api import rest_api_source

def shop():
    return rest_api_source({
        "client": {"base_url": "URL"},
        "resources": [{"name": "orders", "endpoint": {"path": "orders", "paginator": "json_link"}}],
    })
"""


def test_a_verified_source_of_dlt_becomes_a_line(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its own REST source, page by page; nothing of dlt's lies about."""
    pytest.importorskip("dlt")

    def answer(asked: Asked) -> None:
        start = int(asked.parameters.get("start", 0))
        rows = [{"id": start + n, "plan": "ab"[n % 2], "churned": n % 4 == 1} for n in range(60)]
        more = f"{server.url}/orders?start={start + 60}" if start < 120 else None
        asked.say({"data": rows, "next": more})

    server = serve(answer)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with Factory.create(tmp_path):
        allow_here(tmp_path)
        (tmp_path / "shop.py").write_text(REST.replace("URL", server.url))
        made = new_line(tmp_path, "orders", Path("shop.py:shop"), GivenRoles(label="churned", key="id"))

    assert (180, 3) == (made.rows, made.columns)
    assert 'orders: {dlt: "shop.py:shop"}' in Path(made.path).read_text()
    assert fingerprint(DltSource(dlt="shop.py:shop"), tmp_path, "sources.orders").startswith("sha256:")
    assert {"/orders", "/orders?start=60", "/orders?start=120"} == {path for path, _ in server.asked}
    assert not (tmp_path / "home").exists()
    assert [] == [*(tmp_path / ".linewright" / "scratch").iterdir()]
