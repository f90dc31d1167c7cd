"""How members get in and out of the control plane: by a name and a password, which give a session."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from linewright.errors import Denied, LinewrightError, RequestError, Transient, Unauthenticated
from linewright.interfaces.console.forms import own_path
from linewright.interfaces.http.cookie import session_secret, set_cookie
from linewright.interfaces.http.describe import DescribedRoute, route_with_body
from linewright.interfaces.http.open_routes import (
    JOIN,
    JOIN_PAGE,
    SIGN_IN,
    SIGN_IN_PAGE,
    SIGN_OUT,
    SIGN_OUT_PAGE,
)
from linewright.people.facts import MemberInvited, PasswordChosen, SignedIn, SignInRefused
from linewright.serve.access.accounts import noted, read_accounts, sha256
from linewright.serve.access.authenticate import Authenticator, bearer
from linewright.serve.access.back_off import BackOff, too_many
from linewright.serve.access.change_accounts import change
from linewright.serve.access.passwords import is_right, to_hash
from linewright.serve.access.rights import Identity, owner
from linewright.serve.access.sign_in import (
    Secret,
    begin_owner_session,
    begin_session,
    end_session,
    invited,
    with_password,
    wrong_credentials,
)
from linewright.store.values import Event

_CHECKS = 2
"""Passwords that are checked at once: each takes 19 MiB and a processor."""
_MOST_WAITING = 32
_QUIET_S = 60.0
"""How long after a refusal of a member no other one of theirs is recorded."""
_JSON, _HTML = "application/json", "text/html; charset=utf-8"
_OPENER = owner("linewright")


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What signs a member in."""

    name: str
    password: str
    token: bool = False
    """Whether the session is returned, for a program, in place of a cookie."""


class Joining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What gives a member a password."""

    invitation: str
    password: str


class Signed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is signed in, and until when."""

    member: str
    expires: str
    token: str = ""
    """The session, if `token` was set; sent as ``Authorization: Bearer``."""


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a new password."""

    member: str


class SignedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a session."""

    ended: bool
    """Whether there was one."""


class _Attempt(NamedTuple):
    name: str
    password: str
    address: str
    instead: str
    """Secret of the session that the browser had before."""


class SignIn:
    """Signs members in and out."""

    def __init__(
        self,
        open_factory: Callable[[Identity], AbstractContextManager[Any]],
        authenticator: Authenticator,
        *,
        back_off: BackOff | None = None,
        provider: str = "",
    ) -> None:
        self._open, self.authenticator, self.provider = open_factory, authenticator, provider
        self.back_off = back_off or BackOff()
        self._checks = CapacityLimiter(_CHECKS)
        self._waiting = 0
        self._recorded: dict[str, float] = {}

    def add_to(self, app: Starlette) -> None:
        """Add the routes of `open_routes` but the index."""
        signed_in = route_with_body(
            "_sign_in_api_v1_sign_in_post",
            "Sign in; the session comes as a cookie, or as a token.",
            Credentials,
            Signed,
        )
        signed_out = route_with_body(
            "_sign_out_api_v1_sign_out_post", "End the session that the request has.", None, SignedOut
        )
        joined = route_with_body(
            "_join_api_v1_join_post", "Choose a password by an invitation.", Joining, Joined
        )
        app.routes.extend(
            (
                DescribedRoute(SIGN_IN, self._sign_in, "POST", signed_in),
                DescribedRoute(SIGN_OUT, self._sign_out, "POST", signed_out),
                DescribedRoute(JOIN, self._join, "POST", joined),
            )
        )
        pages = (
            (SIGN_IN_PAGE, "GET", self._show_sign_in),
            (SIGN_IN_PAGE, "POST", self._post_sign_in),
            (JOIN_PAGE, "GET", self._show_join),
            (JOIN_PAGE, "POST", self._post_join),
            (SIGN_OUT_PAGE, "POST", self._post_sign_out),
        )
        for path, method, answer in pages:
            app.add_route(path, answer, methods=[method])

    async def _sign_in(self, request: Request) -> Response:
        given = await body_as(request, Credentials)
        try:
            made = await self._signed_in(request, given.name, given.password)
        except Unauthenticated as error:
            return self._refused(request, error, given.name)
        signed = Signed(member=made.member, expires=made.expires, token=made.code if given.token else "")
        answer = Response(msgspec.json.encode(signed), media_type=_JSON)
        if not given.token:
            answer.headers["set-cookie"] = set_cookie(request.scope, made.code)
        return answer

    async def _sign_out(self, request: Request) -> Response:
        await body_as(request, dict[str, None])
        state = self.state()
        given = request.headers.getlist("authorization")
        secret = bearer(given) if given else session_secret(request.scope)
        ended = await run_sync(end_session, state, secret) if secret else False
        answer = Response(msgspec.json.encode(SignedOut(ended=ended)), media_type=_JSON)
        answer.headers["set-cookie"] = set_cookie(request.scope, "")
        return answer

    async def _join(self, request: Request) -> Response:
        given = await body_as(request, Joining)
        member, _ = await self._joined(request, given.invitation, given.password)
        return Response(msgspec.json.encode(Joined(member=member)), media_type=_JSON)

    async def _show_sign_in(self, request: Request) -> Response:
        code, to = (request.query_params.get(name, "") for name in ("code", "next"))
        return page("owner_page", code=code, to=to) if code else self.show(to=to)

    async def _show_join(self, request: Request) -> Response:
        code = request.query_params.get("invitation", "")
        try:
            return page("join_page", None, **await run_sync(self._asked_to_join, code))
        except LinewrightError as error:
            return page("used_page", error)

    def _asked_to_join(self, code: str) -> dict[str, str]:
        """Return what the page for a new password shows: whom a code invites, who did so, and to what."""
        state = self.state()
        accounts = read_accounts(state)
        name = invited(accounts, code, self.authenticator.now())
        with self._open(_OPENER) as factory:
            invitations = [] if factory is None else factory.metadata.events(MemberInvited, newest_first=True)
        by = next((each.by for each in invitations if each.member == name), "")
        roles = ", ".join(
            f"{each.role} of {', '.join(each.lines)}" if each.lines else each.role
            for each in accounts.members[name].grants
        )
        by = "The owner" if by == self.authenticator.owner.actor else by
        who = f"{by} invites you" if by else "You are invited"
        says = (
            f"{who} to the factory {state.parent.name}, as {roles or 'a member'}. Your name here is {name}."
        )
        return {"says": says, "invitation": code}

    async def _post_sign_in(self, request: Request) -> Response:
        form = await _form(request)
        name, to = form.get("name", ""), own_path(form.get("next", "/"))
        try:
            made = await (
                self._owner_signed_in(request, form["code"])
                if "code" in form
                else self._signed_in(request, name, form.get("password", ""))
            )
        except Unauthenticated as error:
            answer = self.show(error, name=name, to=to)
            answer.background = self._noting(request, name)
            return answer
        except LinewrightError as error:
            return self.show(error, name=name, to=to)
        cookie = set_cookie(request.scope, made.code)
        return Response(status_code=303, headers={"location": to, "set-cookie": cookie})

    async def _post_sign_out(self, request: Request) -> Response:
        await _form(request)
        secret = session_secret(request.scope)
        if secret:
            await run_sync(end_session, self.state(), secret)
        cookie = set_cookie(request.scope, "")
        return Response(status_code=303, headers={"location": SIGN_IN_PAGE, "set-cookie": cookie})

    async def _owner_signed_in(self, request: Request, code: str) -> Secret:
        address, instead = address_of(request), session_secret(request.scope)
        self.back_off.begin(address, address)

        def check() -> Secret:
            at = self.authenticator.now()
            made = begin_owner_session(
                self.state(), code, at, instead=instead, first=self.recording(at, address)
            )
            self.back_off.succeeded(address, address)
            return made

        return await run_sync(check)

    async def _post_join(self, request: Request) -> Response:
        form = await _form(request)
        invitation, password = form.get("invitation", ""), form.get("password", "")
        try:
            shown = await run_sync(self._asked_to_join, invitation)
        except LinewrightError as error:
            return page("used_page", error)
        try:
            if form.get("again") != password:
                raise RequestError("the two passwords differ")
            member, kept = await self._joined(request, invitation, password)
        except Denied as error:
            return page("used_page", error)
        except LinewrightError as error:
            return page("join_page", error, **shown)
        try:
            # Who has the invitation and chose the password has proved as much as who types both.
            made = await run_sync(
                self._begun, member, kept, address_of(request), session_secret(request.scope)
            )
        except LinewrightError as error:
            return page("joined_page", error, name=member)
        answer = page("joined_page", name=member)
        answer.headers["set-cookie"] = set_cookie(request.scope, made.code)
        return answer

    async def _signed_in(self, request: Request, name: str, password: str) -> Secret:
        attempt = _Attempt(name.strip().lower(), password, address_of(request), session_secret(request.scope))
        self.back_off.require(attempt.name, attempt.address)
        return await self._checked(partial(self._check, attempt))

    def _check(self, attempt: _Attempt) -> Secret:
        self.back_off.begin(attempt.name, attempt.address)
        state = self.state()
        member = read_accounts(state).members.get(attempt.name)
        kept = member.password if member is not None else ""
        if not is_right(attempt.password, kept):
            raise wrong_credentials()
        return self._begun(attempt.name, kept, attempt.address, attempt.instead)

    def _begun(self, member: str, kept: str, address: str, instead: str) -> Secret:
        """Begin a session of a member whose password, of which `kept` is stored, was checked."""
        at = self.authenticator.now()
        made = begin_session(
            self.state(), member, at, password=kept, instead=instead, first=self.recording(at, address)
        )
        self.back_off.succeeded(member, address)
        return made

    def recording(self, at: str, address: str, *, provider: str = "") -> Callable[[Secret], None]:
        """Return what enters in the record that somebody signs in."""

        def record(made: Secret) -> None:
            self.record(
                SignedIn(
                    at=at,
                    by=made.member or self.authenticator.owner.actor,
                    because="asked for",
                    line="",
                    member=made.member,
                    address=address,
                    provider=provider,
                    session=noted(sha256(made.code)),
                )
            )

        return record

    async def _joined(self, request: Request, invitation: str, password: str) -> tuple[str, str]:
        """Give the member of an invitation a password, and return both: the member, and what is kept of the password."""
        state, at = self.state(), self.authenticator.now()
        member = invited(read_accounts(state), invitation, at)
        address = address_of(request)

        def join() -> str:
            kept = to_hash(password)
            change(state, with_password(invitation, kept, at))
            self.record(
                PasswordChosen(at=at, by=member, because="asked for", line="", member=member, address=address)
            )
            return kept

        return member, await self._checked(join)

    async def _checked(self, work: Callable[[], Any]) -> Any:
        """Run what computes a hash, of which few go on at once and not many may wait."""
        if self._waiting >= _MOST_WAITING:
            raise too_many(1)
        self._waiting += 1
        try:
            return await run_sync(work, limiter=self._checks)
        finally:
            self._waiting -= 1

    def show(self, problem: LinewrightError | None = None, *, name: str = "", to: str = "") -> Response:
        """Return the page for signing in, and what was wrong with the try before; it leads to `to`."""
        return page("sign_in_page", problem, name=name, provider=self.provider, to=own_path(to))

    def state(self) -> Path:
        """Return the state folder of the factory."""
        if self.authenticator.state is None:
            raise wrong_credentials()
        return self.authenticator.state

    def _refused(self, request: Request, error: LinewrightError, name: str) -> Response:
        answer = Response(msgspec.json.encode(error.to_json()), error.http_status, media_type=_JSON)
        answer.headers["www-authenticate"] = "Bearer"
        answer.background = self._noting(request, name)
        return answer

    def _noting(self, request: Request, name: str) -> BackgroundTask:
        """Return what records a refusal once it was sent: how long that takes would tell whether there is such a member."""
        return BackgroundTask(run_sync, partial(self.note, name.strip().lower(), address_of(request)))

    def note(
        self, name: str, address: str, *, because: str = "wrong name or password", provider: str = ""
    ) -> None:
        """Record that somebody was not let in; only the name of a member is kept."""
        with suppress(LinewrightError, OSError):
            member = name if name in read_accounts(self.state()).members else ""
            now = monotonic()
            if now < self._recorded.get(member, 0.0):
                return
            self._recorded = {one: until for one, until in self._recorded.items() if until > now}
            self._recorded[member] = now + _QUIET_S
            at = self.authenticator.now()
            self.record(
                SignInRefused(
                    at=at,
                    by="linewright",
                    because=because,
                    line="",
                    member=member,
                    address=address,
                    provider=provider,
                )
            )

    def record(self, event: Event) -> None:
        """Record an event."""
        with self._open(_OPENER) as factory:
            if factory is not None:
                factory.metadata.record(event)


async def body_as(request: Request, kind: Any) -> Any:
    """Return the body of a request, which is JSON."""
    _require_no_query(request)
    try:
        sent = await request.body()
        given = msgspec.json.decode(sent, type=kind)
        json.loads(sent, object_pairs_hook=refuse_repeated)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RequestError(f"the body is wrong: {error}", where="body") from error
    return given


def refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object that says something twice: readers of JSON do not agree on which of the two counts."""
    counts = Counter(name for name, _ in pairs)
    if len(counts) < len(pairs):
        raise RequestError(
            "a name comes twice",
            where="body",
            found=counts.most_common(1)[0][0][:80],
            hint="send each name once: which of the two counts is not decided anywhere",
        )


async def _form(request: Request) -> dict[str, str]:
    _require_no_query(request)
    try:
        pairs = parse_qsl(
            (await request.body()).decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10
        )
    except (UnicodeError, ValueError) as error:
        raise RequestError("the body is not a form", where="body") from error
    form = dict(pairs)
    if len(form) < len(pairs):
        raise RequestError("a name comes twice", where="body")
    return form


def _require_no_query(request: Request) -> None:
    if request.url.query:
        # It is not repeated: it may be a password.
        raise RequestError("what is sent comes in the body", where="query")


def page(which: str, error: LinewrightError | None = None, **values: str) -> Response:
    """Return a page of `pages`, and what was wrong with the try before."""
    pages = import_module("linewright.interfaces.http.pages")  # when the first is shown: programs need none
    html = getattr(pages, which)(problem="" if error is None else _problem(error), **values)
    headers = dict[str, str](pages.HEADERS)
    if isinstance(error, Transient):
        headers["retry-after"] = str(error.details.get("retry_s", 1))
    status = 200 if error is None else error.http_status
    return Response(html, status, headers=headers, media_type=_HTML)


def _problem(error: LinewrightError) -> str:
    """Return what a person reads of an error on a page."""
    more = (
        f"allowed: {error.allowed}" if error.allowed else error.hint if isinstance(error, Transient) else ""
    )
    return f"{error.what}; {more}" if more else error.what


def address_of(request: Request) -> str:
    """Return where a request comes from; empty if unknown."""
    return request.client.host if request.client is not None else ""
