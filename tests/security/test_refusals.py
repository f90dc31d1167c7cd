"""Refused attempts are on record: who was refused what, how often, and never at the price of an answer."""

import asyncio
import contextlib
import io
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import httpx
import pytest

from linewright.capabilities.audit.auditing import record_refused
from linewright.errors import Denied, RequestError, Transient, Unauthenticated
from linewright.interfaces.cli.build import run
from linewright.interfaces.http.app import control_app
from linewright.line.factory import Factory
from linewright.line.record.monitoring.factory_metrics import FactoryMetrics
from linewright.operations.table import OPERATIONS
from linewright.people.facts import AccessRefused
from linewright.serve.access.accounts import Grant
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change, new_token, with_token
from linewright.serve.access.refused import FOLDER, Refused
from linewright.serve.http.app import App
from linewright.serve.limits import AllLimits, Capacity
from linewright.store.clock import later, now_utc

MINUTE = 60_000_000


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    with Factory.create(tmp_path / "factory") as made:
        yield made


@pytest.fixture
def token(factory: Factory) -> str:
    made = new_token(
        name="bot",
        grant=Grant(role="viewer", lines=("claims",)),
        member="",
        created="2026-01-01T00:00:00.000000Z",
        expires="2999-01-01T00:00:00.000000Z",
    )
    change(factory.state, with_token(made))
    return made.token


def entered(factory: Factory) -> list[AccessRefused]:
    """Return what the worker enters once the minute is over."""
    before = factory.now
    factory.now = lambda: later(now_utc(), 2 * MINUTE)
    record_refused(factory)
    factory.now = before
    return factory.metadata.events(AccessRefused)


def by_http(app, asks: list[tuple[str, str, str]]) -> list[int]:
    """Return the statuses of requests: method, path, token."""

    async def all_of_them() -> list[int]:
        transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            found: list[int] = []
            for method, path, token in asks:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                answer = await client.request(
                    method, path, headers=headers, json={} if method == "POST" else None
                )
                found.append(answer.status_code)
            return found

    return asyncio.run(all_of_them())


def control(factory: Factory):
    return control_app(
        lambda _: nullcontext(factory), OPERATIONS, authenticator=Authenticator(state=factory.state)
    )


def test_what_the_control_plane_refuses_is_on_record(factory, token):
    """By want of a right, of a right on a line, and of a token; what is wrong otherwise, or let in, is not."""
    asks = [
        *[("GET", "/api/v1/members-nothing", "lw_0a1b2c3d_stolen")] * 3,
        *[("POST", "/api/v1/token-create", token)] * 5,
        ("GET", "/api/v1/models?line=other", token),
        ("GET", "/api/v1/models", token),
        ("GET", "/api/v1/nothing", token),
    ]

    statuses = by_http(control(factory), asks)

    assert [401] * 3 + [403] * 6 + [422, 404] == statuses
    found = {(one.by, one.permission): one for one in entered(factory)}
    assert {("nobody known", ""), ("token bot", "manage"), ("token bot", "view")} == found.keys()
    assert [3, 5, 1] == [one.count for one in found.values()]
    stranger, manage, view = found.values()
    assert ("no route", "192.0.2.7", "control-plane") == (
        stranger.operation,
        stranger.address,
        stranger.server,
    )
    assert "POST /api/v1/token-create" == manage.operation
    assert ("other", "") == (view.about, view.line)
    whole = b"".join(path.read_bytes() for path in factory.state.rglob("*") if path.is_file())
    assert b"stolen" not in whole
    assert token.encode() not in whole
    told = {
        dict(one.labels)["right"]: one.value
        for one in FactoryMetrics().samples(factory)
        if "refused" in one.name
    }
    assert {"": 3, "manage": 5, "view": 1} == told


def test_what_an_endpoint_refuses_is_on_record(factory, token):
    """It never opens the record: the worker enters what it counted."""
    limits = AllLimits(needs_token=True)
    app = App(factory.state, lambda _: b"", tell=lambda _: None, capacity=Capacity(limits=limits))
    asks = [
        ("POST", "/v1/lines/claims/predict", ""),
        ("POST", "/v1/lines/claims/predict", token),
        ("POST", "/v1/lines/parts/feedback", token),
        ("GET", "/metrics", token),
    ]

    assert [401, 403, 403, 403] == by_http(app, asks)

    assert not (factory.state / "metadata.sqlite").exists()
    found = [(one.by, one.permission, one.operation, one.about) for one in entered(factory)]
    assert [
        ("nobody known", "", "POST /v1/lines/{line}/predict", ""),
        ("token bot", "predict", "POST /v1/lines/{line}/predict", "claims"),
        ("token bot", "label", "POST /v1/lines/{line}/feedback", "parts"),
        ("token bot", "metrics", "GET /metrics", ""),
    ] == found


def test_what_a_command_refuses_a_token_is_on_record(factory, token, monkeypatch):
    """Without one it is the owner's, who may do all."""
    for given in (token, "lw_0a1b2c3d_stolen"):
        monkeypatch.setenv("LINEWRIGHT_TOKEN", given)
        with contextlib.redirect_stderr(io.StringIO()):
            assert 2 == run(
                ["gc", "--factory", str(factory.root)], OPERATIONS, lambda *_: nullcontext(factory)
            )

    found = {(one.by, one.permission, one.operation, one.server) for one in entered(factory)}

    assert {("token bot", "manage", "gc", "command"), ("nobody known", "", "gc", "command")} == found


def refuse(into: Refused, who: str = "ada", permission: str = "run") -> None:
    error = Denied("no", details={"permission": permission, "line": "../x"})
    into.note(error, server="control-plane", who=who, what="POST /x")


def test_refusing_fills_nothing(factory, monkeypatch):
    """A million attempts are one line of one file and one entry; of a thousand identities and more the rest is one."""
    monkeypatch.setattr("linewright.serve.access.refused._MOST_SLOTS", 100)
    refused = Refused(factory.state, now=lambda: "2026-11-29T10:00:00.000000Z")
    for _ in range(2_000):
        refuse(refused)
    (file,) = (factory.state / FOLDER).iterdir()
    assert 1 == len(file.read_text().splitlines())
    assert file.stat().st_size < 200
    for number in range(150):
        refuse(refused, f"bot{number}")
    assert 101 == len(refused._slots) == len(file.read_text().splitlines())

    found = entered(factory)

    assert (2_000, "") == (found[0].count, found[0].about)
    assert 2_000 + 150 == sum(one.count for one in found)
    assert [] == list((factory.state / FOLDER).iterdir())
    assert len(found) == len(entered(factory))
    refuse(refused)  # the worker took the file
    assert 1 == len(list((factory.state / FOLDER).iterdir()))
    refused.close()


def test_without_a_worker_the_files_are_bounded(factory, monkeypatch):
    """An endpoint alone, for years: the last file goes on."""
    monkeypatch.setattr("linewright.serve.access.refused._MOST_FILES", 40)
    times = iter(
        f"2026-11-{day:02}T{hour:02}:{minute:02}:00Z"
        for day in (1, 2)
        for hour in range(24)
        for minute in range(60)
    )
    refused = Refused(factory.state, now=lambda: next(times))
    for _ in range(60):
        refuse(refused)

    assert 40 == len(list((factory.state / FOLDER).iterdir()))
    assert 60 == sum(one.count for one in entered(factory))
    refused.close()


def test_an_entry_is_one_an_identity_right_and_minute_of_all_processes(factory):
    """Two processes that refuse the same are added up; two minutes are not."""
    for at in ("10:00:01", "10:00:59", "10:01:00"):
        one = Refused(factory.state, now=lambda at=at: f"2026-11-29T{at}.000000Z")
        refuse(one)
        refuse(one)
        one.close()

    found = [(one.since, one.count) for one in entered(factory)]

    assert [("2026-11-29T10:00:00.000000Z", 4), ("2026-11-29T10:01:00.000000Z", 2)] == found


def test_only_what_is_refused_by_right_or_token_is_noted(factory):
    """A model that is denied, or a wrong request, is no attempt on a right."""
    refused = Refused(factory.state)
    refused.note(Denied("the model has data outside of the file"), server="command")
    refused.note(RequestError("no"), server="command")
    assert not (factory.state / FOLDER).exists()
    refused.note(Unauthenticated("no"), server="command")
    assert 1 == len(entered(factory))
    refused.close()


@pytest.mark.parametrize("fault", ["locked", "gone", "no space"])
def test_no_fault_changes_or_holds_up_an_answer(fault, factory, token, monkeypatch):
    """The record is locked by another process, the state cannot be written: refused is refused."""
    metadata = factory.metadata  # made now
    app = control(factory)
    with closing(sqlite3.connect(factory.state / "metadata.sqlite", isolation_level=None)) as other:
        if fault == "locked":
            other.execute("begin exclusive")
        elif fault == "gone":
            (factory.state / FOLDER).write_text("a file in its place")
        else:
            monkeypatch.setattr("linewright.serve.access.refused.os.pwrite", full)
        began = time.process_time()

        assert [401, 403] == by_http(
            app, [("GET", "/api/v1/status", "lw_0a1b2c3d_x"), ("POST", "/api/v1/gc", token)]
        )

        assert time.process_time() - began < 20
        if fault == "locked":
            busy = factory.in_a_hurry(0.1)
            busy.now = lambda: later(now_utc(), 2 * MINUTE)
            with pytest.raises(Transient):
                record_refused(busy)
            busy.close()
            other.execute("rollback")
            assert 2 == len(entered(factory))
    assert metadata is factory.metadata


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")
