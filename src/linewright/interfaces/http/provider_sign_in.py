"""How members get in whose company vouches for them: at a provider of OpenID Connect, in a browser, for it or for a terminal."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from linewright.errors import (
    BackendError,
    Conflict,
    Denied,
    LinewrightError,
    NotFound,
    RequestError,
    SpecError,
    Unauthenticated,
)
from linewright.interfaces.http.cookie import BEGUN_S, begun_secret, session_secret, set_begun, set_cookie
from linewright.interfaces.http.describe import DescribedRoute, route_with_body
from linewright.interfaces.http.open_routes import AT_PROVIDER, BY_CODE, FROM_PROVIDER
from linewright.interfaces.http.sign_in import Signed, SignIn, address_of, body_as, page
from linewright.line.file.factory_file import read_factory_file
from linewright.people.facts import Granted, MemberChanged
from linewright.people.spec import OidcSpec, RoleOnLinesSpec
from linewright.serve.access.accounts import Accounts, Grant, sha256
from linewright.serve.access.back_off import too_many
from linewright.serve.access.change_accounts import change
from linewright.serve.access.one_time import OneTime
from linewright.serve.access.provider_members import Begun, Entered, Vouched, enter, no_group
from linewright.serve.access.sign_in import Secret, begin_session
from linewright.serve.origin import is_loopback

_PLUGIN = "linewright.plugins.oidc"
_EXTRA = "oidc"
_CODE_S = 60.0
"""How long a code for a terminal lets somebody in."""
_CODE_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
"""Without those that look alike."""
_CODE_LENGTH = 12
_AT_ONCE = 4
"""Sign-ins that ask the provider at once."""
_MOST_WAITING = 32
_WORD = re.compile(r"[a-z_]{1,40}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_JSON = "application/json"


class Provider(Protocol):
    """Vouches for people."""

    spec: OidcSpec

    def address(self, begun: Begun) -> str:
        """Return the address of the provider's page for signing in."""
        ...

    def vouch(self, begun: Begun, *, code: str, issuer: str | None) -> Vouched:
        """Return who has signed in there."""
        ...


class CodeOfPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What signs a member in at a terminal."""

    code: str
    """What the page showed."""
    verifier: str
    """What the terminal made the address of the page from."""


class _Pending(NamedTuple):
    """A sign-in whose browser is at the provider."""

    begun: Begun
    browser: str
    """SHA-256 of what its cookie holds."""
    challenge: str
    """SHA-256 of the verifier of a terminal, in base64; empty where the browser itself is let in."""


class _Waiting(NamedTuple):
    """Somebody who is let in by a code."""

    member: str
    vouched: Vouched
    challenge: str


def open_provider(root: Path, now: Callable[[], str]) -> Provider | None:
    """Return the provider that `factory.yaml` names; `None` if it names none. It is not contacted yet."""
    said = read_factory_file(root).sign_in
    if said is None:
        return None
    try:
        plugin = import_module(_PLUGIN)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "joserfc":
            raise
        raise RequestError(
            "signing in at a provider needs an extra that is not installed",
            where="factory.yaml: sign_in.oidc",
            found="joserfc is missing",
            hint=f"pip install 'linewright[{_EXTRA}]'",
        ) from error
    return plugin.Provider(said.oidc, root=root, now=now)


class ProviderSignIn:
    """Signs members in for whom a provider vouches.

    A sign-in has its state, nonce and verifier, is bound to its browser by a cookie, and is good for one return.
    """

    def __init__(self, provider: Provider | None, doors: SignIn) -> None:
        self._provider, self._doors = provider, doors
        self._pending = OneTime[_Pending](BEGUN_S)
        self._waiting = OneTime[_Waiting](_CODE_S)
        self._threads, self._at_work = CapacityLimiter(_AT_ONCE), 0
        self._roles: Mapping[str, Grant] = {}
        if provider is not None:
            self._roles = {group: _grant(role) for group, role in provider.spec.groups.items()}

    def add_to(self, app: Starlette) -> None:
        """Add the routes."""
        for path, answer in ((AT_PROVIDER, self._begin), (FROM_PROVIDER, self._return)):
            app.add_route(path, answer, methods=["GET"])
        summary = "Sign in at a terminal by the code that the page of a provider's member shows."
        said = route_with_body("_by_code_api_v1_sign_in_code_post", summary, CodeOfPage, Signed)
        app.routes.append(DescribedRoute(BY_CODE, self._by_code, "POST", said))

    async def _begin(self, request: Request) -> Response:
        provider, address = self._required(), address_of(request)
        challenge = request.query_params.get("terminal", "")
        browser = secrets.token_urlsafe(32)
        begun = Begun(
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            f"{_own_address(request)}{FROM_PROVIDER}",
        )
        try:
            if challenge and not _CHALLENGE.fullmatch(challenge):
                raise RequestError("`linewright login` made another address", where="terminal")
            self._doors.back_off.require(address, address)
            to = await self._run(partial(provider.address, begun))
        except LinewrightError as error:
            return self._doors.show(error)
        self._pending.put(sha256(begun.state), _Pending(begun, sha256(browser), challenge), address)
        headers = {"location": to, "set-cookie": set_begun(request.scope, browser)}
        return Response(status_code=303, headers=headers)

    async def _return(self, request: Request) -> Response:
        provider, address = self._required(), address_of(request)
        query, browser = request.query_params, begun_secret(request.scope)
        pending = self._pending.take(sha256(query.get("state", "")))
        # The address of another browser's return signs nobody in; it does not count as a failure of this browser either.
        if pending is None or not hmac.compare_digest(pending.browser, sha256(browser)):
            return self._doors.show(
                Denied(
                    "this browser has begun no such sign-in: it is unknown, used, or too old",
                    where="sign-in",
                    hint="sign in again: /sign-in",
                )
            )
        vouch = partial(self._vouch, provider, pending.begun, dict(query.multi_items()), address)
        answer = await self._answer(request, pending, vouch)
        answer.headers.append("set-cookie", set_begun(request.scope, ""))
        return answer

    async def _answer(
        self, request: Request, pending: _Pending, vouch: Callable[[], tuple[str, Vouched]]
    ) -> Response:
        address = address_of(request)
        try:
            name, vouched = await self._run(vouch)
            if pending.challenge:
                code = "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
                self._waiting.put(sha256(code), _Waiting(name, vouched, pending.challenge), address)
                return page("code_page", code="-".join(re.findall("....", code)))
            instead = session_secret(request.scope)
            made = await run_sync(self._let_in, name, vouched, address, instead)
        except LinewrightError as error:
            answer = self._doors.show(error)
            if not isinstance(error, BackendError | SpecError):
                answer.background = BackgroundTask(run_sync, partial(self._note, error, address))
            return answer
        cookie = set_cookie(request.scope, made.code)
        return Response(status_code=303, headers={"location": "/", "set-cookie": cookie})

    async def _by_code(self, request: Request) -> Response:
        self._required()
        given, address = await body_as(request, CodeOfPage), address_of(request)
        self._doors.back_off.begin(address, address)
        waiting = self._waiting.take(sha256(re.sub(r"[\s-]", "", given.code).upper()))
        digest = hashlib.sha256(given.verifier.encode("utf-8", "surrogatepass")).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if waiting is None or not hmac.compare_digest(waiting.challenge, challenge):
            raise Unauthenticated(
                "this code lets nobody in: it is wrong, used, or older than a minute",
                where="sign-in",
                hint="linewright login URL --browser",
            )
        made = await run_sync(self._let_in, waiting.member, waiting.vouched, address, "")
        self._doors.back_off.succeeded(address, address)
        signed = Signed(member=made.member, expires=made.expires, token=made.code)
        return Response(msgspec.json.encode(signed), media_type=_JSON)

    def _vouch(
        self, provider: Provider, begun: Begun, query: dict[str, str], address: str
    ) -> tuple[str, Vouched]:
        """Return the name of the member who came back from the provider."""
        self._doors.back_off.begin(address, address)
        try:
            if not query.get("code"):
                said = query.get("error", "")
                why = said if _WORD.fullmatch(said) else "it sent no code"
                raise Unauthenticated(f"the provider let nobody in: {why}", where="sign-in")
            vouched = provider.vouch(begun, code=query["code"], issuer=query.get("iss"))
        except (BackendError, SpecError):
            self._doors.back_off.succeeded(address, address)  # nobody at this address has failed
            raise
        name = self._admit(vouched)
        self._doors.back_off.succeeded(address, address)
        return name, vouched

    def _admit(self, vouched: Vouched) -> str:
        """Give somebody the roles of their groups, and return what the record calls them."""
        at, seen = self._doors.authenticator.now(), list[Entered]()

        def admit(accounts: Accounts) -> Accounts:
            seen.append(enter(accounts, vouched, self._roles, at))
            return seen[-1].accounts

        change(self._doors.state(), admit)
        entered = seen[-1]
        if entered.is_changed:
            roles = tuple(Granted(role=one.role, lines=one.lines, tags=one.tags) for one in entered.grants)
            self._doors.record(
                MemberChanged(
                    at=at,
                    by="linewright",
                    because="groups of the provider",
                    line="",
                    member=entered.name,
                    roles=roles,
                    provider=vouched.issuer,
                )
            )
        if not entered.grants:
            raise no_group(entered.name)
        return entered.name

    def _let_in(self, name: str, vouched: Vouched, address: str, instead: str) -> Secret:
        at = self._doors.authenticator.now()
        who = (vouched.issuer, vouched.subject)
        first = self._doors.recording(at, address, provider=vouched.issuer)
        return begin_session(self._doors.state(), name, at, vouched=who, instead=instead, first=first)

    def _note(self, error: LinewrightError, address: str) -> None:
        because = "not vouched for"
        if isinstance(error, Denied):
            because = "no group with a role"
        elif isinstance(error, Conflict):
            because = "name of another member"
        name = str(error.details.get("member", ""))
        self._doors.note(name, address, because=because, provider=self._required().spec.issuer)

    def _required(self) -> Provider:
        if self._provider is None:
            raise NotFound("this factory names no provider", where="factory.yaml: sign_in")
        return self._provider

    async def _run(self, work: Callable[[], Any]) -> Any:
        """Run what may wait for the provider, of which few go on at once and not many may wait."""
        if self._at_work >= _MOST_WAITING:
            raise too_many(1)
        self._at_work += 1
        try:
            return await run_sync(work, limiter=self._threads)
        finally:
            self._at_work -= 1


def _own_address(request: Request) -> str:
    """Return this server as the browser sees it: by the name that the guard has checked, and by no other header."""
    host = request.headers["host"].lower()
    # Beyond this machine there is TLS always, be it a proxy's.
    here = is_loopback(urlsplit(f"//{host}").hostname or "")
    return f"{request.scope['scheme'] if here else 'https'}://{host}"


def _grant(role: str | RoleOnLinesSpec) -> Grant:
    if isinstance(role, str):
        return Grant(role=role)
    return Grant(role=role.role, lines=tuple(sorted(set(role.lines))), tags=tuple(sorted(set(role.tags))))
