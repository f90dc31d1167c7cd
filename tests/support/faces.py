"""Asks a factory by its command line and by its control plane, both in this process."""

import asyncio
import contextlib
import io
import json
from contextlib import nullcontext
from typing import Any

import httpx

from linewright.interfaces.cli import _open_factory
from linewright.interfaces.cli.build import run
from linewright.interfaces.http.app import control_app
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator

_TOKEN = "lw_test"  # noqa: S105 -- of a control plane that nobody else can reach


def by_command(factory: Factory, *words: str) -> str:
    """Return what a command prints that ends well."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = run([*words, "--factory", str(factory.root)], OPERATIONS, _open_factory)

    assert 0 == code, printed.getvalue()
    return printed.getvalue()


def by_command_json(factory: Factory, *words: str) -> dict[str, Any]:
    """Return the JSON that a command prints."""
    return json.loads(by_command(factory, *words, "--json", "--quiet"))


def over_http(factory: Factory, path: str) -> dict[str, Any]:
    """Return the JSON that the control plane answers to GET."""
    app = control_app(lambda _: nullcontext(factory), OPERATIONS, authenticator=Authenticator(_TOKEN))

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers={"Authorization": f"Bearer {_TOKEN}"})

    answer = asyncio.run(get())

    assert 200 == answer.status_code, answer.text
    return answer.json()
