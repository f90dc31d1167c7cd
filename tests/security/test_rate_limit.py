"""How often a client may ask the control plane: each for itself, a halt always, and without filling the memory."""

import asyncio
from contextlib import nullcontext

import httpx
import pytest

from linewright.errors import TooMany
from linewright.interfaces.http.app import control_app
from linewright.interfaces.http.guard import Guard
from linewright.interfaces.http.rate_limit import BURST_S, MOST_CLIENTS, RateLimit
from linewright.operations.table import OPERATIONS
from linewright.serve.access.accounts import Grant
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change, new_token, with_token


def test_a_client_gets_its_rate_in_the_long_run_and_others_are_not_held_up():
    """Two a second: eight at once, then one each half second."""
    now = [0.0]
    limit = RateLimit(2.0, clock=lambda: now[0])

    def taken(client: str, tries: int) -> int:
        done = 0
        for _ in range(tries):
            try:
                limit.require(client)
                done += 1
            except TooMany:
                continue
        return done

    assert 2 * BURST_S == taken("ada", 50)
    assert 2 * BURST_S == taken("bob", 50)
    now[0] = 10.5
    assert 2 * BURST_S == taken("ada", 50)
    now[0] = 11.0
    assert 1 == taken("ada", 50)
    assert 20 == sum(taken(f"stranger {number}", 1) for number in range(20))


def test_clients_that_come_and_go_take_no_more_memory():
    """Strangers choose their addresses: whoever was away for longest is forgotten, and begins anew."""
    limit = RateLimit(0.25, clock=lambda: 0.0)
    limit.require("first")
    with pytest.raises(TooMany):
        limit.require("first")
    for number in range(MOST_CLIENTS - 1):
        limit.require(str(number))
    with pytest.raises(TooMany):
        limit.require("first")
    for number in range(MOST_CLIENTS):
        limit.require(f"later {number}")

    limit.require("first")


@pytest.fixture
def tokens(tmp_path):
    made: dict[str, str] = {}
    for name in ("ada", "bob"):
        one = new_token(
            name=name,
            grant=Grant(role="engineer"),
            member="",
            created="2026-01-01T00:00:00.000000Z",
            expires="2999-01-01T00:00:00.000000Z",
        )
        change(tmp_path / ".linewright", with_token(one))
        made[name] = one.token
    return made


def test_who_asks_too_often_is_told_when_to_come_back_and_may_halt_all_the_same(tmp_path, tokens):
    """A script that runs wild must not keep its owner from stopping a line."""
    app = control_app(
        lambda _: nullcontext(None),
        OPERATIONS,
        authenticator=Authenticator(state=tmp_path / ".linewright"),
        rate_limit=RateLimit(0.01),
    )

    async def ask_all() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            headers = [{"Authorization": f"Bearer {tokens[name]}"} for name in ("ada", "ada", "bob")]
            asked = [await client.get("/openapi.json", headers=each) for each in headers]
            asked += [await client.post("/api/v1/halt", headers=headers[0], json={}) for _ in range(3)]
            wrong = {"Authorization": "Bearer lw_00000000_x"}
            return asked + [await client.get("/openapi.json", headers=wrong) for _ in range(2)]

    first, again, other, *halts, stranger, stranger_again = asyncio.run(ask_all())

    assert [200, 429, 200] == [one.status_code for one in (first, again, other)]
    assert ("TooMany", "100") == (again.json()["error"], again.headers["retry-after"])
    assert {422} == {one.status_code for one in halts}  # no line was named
    assert [401, 429] == [one.status_code for one in (stranger, stranger_again)]


def test_requests_beyond_a_share_count_as_many_so_that_who_goes_on_is_refused_at_the_door(tmp_path, tokens):
    """A viewer's refused requests, each of which had gone all the way to the operation, took a third of the processor."""
    came = list[str]()

    async def full(scope, _receive, send) -> None:
        came.append(scope["path"])
        await send({"type": "http.response.start", "status": 429, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask_all() -> list[int]:
        limit = RateLimit(5.0, clock=lambda: 0.0)
        guard = Guard(
            full, authenticator=Authenticator(state=tmp_path / ".linewright"), replies=None, rate_limit=limit
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=guard), base_url="http://127.0.0.1:8080"
        ) as client:
            headers = {"Authorization": f"Bearer {tokens['ada']}"}
            return [(await client.get("/api/v1/profile", headers=headers)).status_code for _ in range(20)]

    assert {429} == set(asyncio.run(ask_all()))
    assert 2 == len(came)


def test_requests_beyond_a_share_keep_a_client_away_for_no_longer_than_a_burst():
    """However many were refused, it may ask again after the seconds that it is told."""
    now = [0.0]
    limit = RateLimit(5.0, clock=lambda: now[0])
    for _ in range(1_000):
        limit.count_refused("ada")
    with pytest.raises(TooMany) as refused:
        limit.require("ada")

    assert {"retry_s": BURST_S} == refused.value.details
    now[0] = BURST_S
    limit.require("ada")
