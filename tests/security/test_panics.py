"""A panic of a native library is no `Exception`: it becomes an error that is told, by the control plane and by the command."""

import json
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from polars.exceptions import PanicException

from linewright.engine.protocol import NotEnded
from linewright.errors import Terminal, panics_explained
from linewright.interfaces.cli.build import run
from linewright.interfaces.http.app import control_app
from linewright.operations.declare import Entry, operation
from linewright.serve.access.authenticate import Authenticator

TOKEN = "lw_00000000_" + "a" * 43


@operation(permission="run", effect="act")
def panic(factory: list[int]) -> None:
    """Meet a file that a library cannot bear."""
    factory.append(1)
    raise PanicException("called `Option::unwrap()` on a `None` value")


TABLE = {
    "panic": Entry(module=__name__, summary="Meet a file that a library cannot bear.", group="Test"),
}


def test_a_panic_is_a_502_that_says_what_happened():
    """On 10deb10 a write hung for ever, and a read was a bare 500 (25 mutated Parquet files of 2,371 did it)."""
    import asyncio

    called: list[int] = []
    app = control_app(lambda _: nullcontext(called), TABLE, authenticator=Authenticator(TOKEN))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            return await asyncio.wait_for(client.post("/api/v1/panic", json={}, headers=headers), 10)

    answer = asyncio.run(ask())

    assert (502, "Terminal") == (answer.status_code, answer.json()["error"])
    assert "PanicException: called `Option::unwrap()`" in answer.json()["found"]
    assert [1] == called


def test_a_panic_under_a_command_ends_it_with_7(tmp_path: Path, capsys):
    """A script learns that trying again does not help; a person reads no stack of ours."""
    (tmp_path / "factory.yaml").write_text("format: 1\n")
    code = run(["panic", "--json", "--factory", str(tmp_path)], TABLE, lambda *_: nullcontext([]))
    out = capsys.readouterr().out

    assert (7, "Terminal") == (code, json.loads(out)["error"])


@pytest.mark.parametrize(
    "passing", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), NotEnded(Terminal("x"))]
)
def test_what_is_meant_to_pass_passes(passing):
    """Ctrl-C ends a command, and a run without an end is resumed: neither is a failure."""
    with pytest.raises(type(passing), match=r".*"), panics_explained():
        raise passing


def test_a_cancelled_task_stays_cancelled():
    """Else a server that shuts down would wait for its requests for ever."""
    from asyncio import CancelledError

    with pytest.raises(CancelledError), panics_explained():
        raise CancelledError
