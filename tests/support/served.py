"""The control plane of a factory, asked within this process as browsers ask it."""

import asyncio
from contextlib import nullcontext
from typing import Any

import httpx

from linewright.capabilities.members.operations.members import member_add
from linewright.interfaces.http.app import control_app
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change
from linewright.serve.access.passwords import to_hash
from linewright.serve.access.sign_in import invite, with_password

PASSWORD = "correct horse battery"  # noqa: S105 -- nobody's
HASH = to_hash(PASSWORD)
SITE = "https://factory.example.org"
START = "2026-06-01T00:00:00.000000Z"


class Browser:
    """Keeps cookies, and follows no redirect."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._runner, self._client, self.cookies = runner, client, client.cookies

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **given))

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)


class Served:
    """The control plane of a factory with a clock, asked within this process."""

    def __init__(self, factory: Factory, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.factory, self.state, self.at, self._tests = factory, factory.state, START, 0
        self.address = ""
        self.app = control_app(
            lambda _: nullcontext(factory),
            OPERATIONS,
            authenticator=Authenticator(state=factory.state, now=lambda: self.at),
            hosts=["factory.example.org"],
        )

    def begin(self) -> "Served":
        """Begin a test, without members and at an address of its own: what failed in others is not held against it."""
        self.at, self._tests = START, self._tests + 1
        self.address = f"10.0.0.{self._tests}"
        (self.state / "access.json").unlink(missing_ok=True)
        return self

    def client(self, base: str = SITE, address: str = "") -> "Browser":
        """Return a browser at an address."""
        where = (address or self.address, 40_000)
        transport = httpx.ASGITransport(app=self.app, client=where, raise_app_exceptions=False)
        return Browser(self.runner, httpx.AsyncClient(transport=transport, base_url=base))

    def member(self, name: str = "ada", role: str = "admin") -> None:
        """Add a member whose password is `PASSWORD`."""
        member_add(self.factory, name, role=role)  # type: ignore[arg-type]
        change(self.state, with_password(invite(self.state, name, self.at).code, HASH, self.at))

    def signed_in(self, name: str = "ada", **where: str) -> "Browser":
        """Return the browser of a member who signed in."""
        client = self.client(**where)
        assert 200 == sign_in(client, name).status_code
        return client

    def token(self, name: str = "ada") -> dict[str, str]:
        """Return the header of a member who signed in by a program."""
        told = sign_in(self.client(), name, token=True)
        return {"Authorization": f"Bearer {told.json()['token']}"}


def sign_in(client: Any, name: str = "ada", password: str = PASSWORD, **more: Any) -> httpx.Response:
    return client.post("/api/v1/sign-in", json={"name": name, "password": password, **more})
