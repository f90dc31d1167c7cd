"""What every request to the control plane must pass before any of our code acts on it.

A client must be on this machine and hold a token or a session whose rights cover its request, and must not be a browser that a foreign page steers: the name in
`Host` must be ours (DNS rebinding), a request of any method must come from our own pages or from a program (`Origin`,
`Sec-Fetch-Site`), and a write must be JSON (which a form cannot send), but on the pages that have a form. Reads are checked too: they cost before the browser
keeps the answer from the page that asked.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Container, Iterable, MutableMapping
from contextlib import ExitStack, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from linewright.errors import LinewrightError, RequestError, TooMany, Transient, Unauthenticated
from linewright.interfaces.console.routes import Console, is_for_people
from linewright.interfaces.http.cookie import session_secret
from linewright.interfaces.http.open_routes import OPEN_ROUTES, VISITED, takes_form
from linewright.interfaces.http.rate_limit import RateLimit
from linewright.interfaces.http.replies import Replies, Reply
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import Identity
from linewright.serve.access.shares import Shares, client_by_address
from linewright.serve.origin import our_host, require_own_page

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BODY_LIMIT = 1 << 20
"""Most bytes of a request body."""
BODY_SMALL = 4 << 10
"""Bytes of each body that no budget counts: what stops a line is smaller, and is never refused for the bodies of others."""
BODIES_EACH, MOST_BODIES = 8 << 20, 32 << 20
"""Bytes of bodies in memory beyond that, of one client and of all."""
BODY_SECONDS = 30.0
"""Seconds in which a whole body must have come; absolute, so that a slow sender cannot hold a place for ever."""
KEPT_SECONDS = 0.5
"""How long what must not wait waits until it is known whether its key was sent before: a quarter of the time that a halt has."""
SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Added to each answer that does not set them itself."""

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)
_IDENTITY = "linewright.identity"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class Routes(NamedTuple):
    """What is behind the guard."""

    permission_of: Callable[[str, str], str | None] = lambda _method, _path: None
    """Says what a method and a path ask for; `None` if nothing is there."""
    secret: Container[str] = ()
    """Paths whose answers hold secrets: they are not kept, so a key is refused."""
    is_urgent: Callable[[str, bytes], bool] = lambda _path, _body: False
    """Says of a path and a body whether they ask for what must not wait: if no answer can be kept, it is done all the same."""
    console: Console | None = None
    """Explains to people what programs get as JSON."""


NO_ROUTES = Routes()


class Guard:
    """ASGI middleware: refuses what must not get in, answers repeats, adds the headers that browsers obey."""

    def __init__(
        self,
        app: App,
        *,
        authenticator: Authenticator,
        routes: Routes = NO_ROUTES,
        replies: Replies | None,
        hosts: Iterable[str] = (),
        relative: Callable[[bytes], bytes] = bytes,
        body_seconds: float = BODY_SECONDS,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self._permission_of, self._secret, self._is_urgent, self._console = routes
        self._rate_limit = rate_limit or RateLimit(None)
        self._relative = relative
        self._bodies = Shares("bytes of bodies", each=BODIES_EACH, most=MOST_BODIES)
        self._app, self._authenticator, self._replies, self._body_seconds = (
            app,
            authenticator,
            replies,
            body_seconds,
        )
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one connection event of ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            # Answered as GET is; the server, which has the scope as it came, leaves the body out.
            scope = {**scope, "method": "GET"}
        try:
            host = our_host(_headers(scope, b"host"), self._hosts)
            if not self._is_visit(scope):
                origins, sites = _origins(scope), _headers(scope, b"sec-fetch-site")
                require_own_page(host, scheme=scope["scheme"], origins=origins, sites=sites)
            if not self._is_open(scope):
                identity = self._counted(scope)
                scope = {**scope, _IDENTITY: identity}
                send = self._counting_refused(identity, send)
                permission = self._permission_of(scope["method"], scope["path"])
                if permission is not None:
                    identity.require_somewhere(permission)
            # Of a file that is sent, which has limits of its own, the body is not read here; nor if nothing takes one.
            if scope["method"] != "POST" or self._is_read_alone(scope["path"]):
                await self._app(scope, receive, send)
                return
            _check_content_type(scope)
            # What the body takes is held until it is answered.
            with ExitStack() as held:
                body = await self._body(scope, receive, held)
                key = _idempotency_key(scope)
                if key is None:
                    await self._app(scope, _whole(body, receive), send)
                else:
                    await self._once(key, scope, _whole(body, receive), send, body)
        except _Refused as refused:
            await _send(send, Reply(refused.status, _JSON, msgspec.json.encode(refused.error.to_json())))
        except LinewrightError as error:
            is_route = self._permission_of(scope["method"], scope["path"]) is not None
            note_refused(self._authenticator, scope, error, is_route=is_route)
            if self._console is not None and is_for_people(scope):
                answer = await self._console.explain(scope, error)
                await answer(scope, receive, send)
            else:
                await self._refuse(error, send)

    async def _refuse(self, error: LinewrightError, send: Send) -> None:
        told = self._relative(msgspec.json.encode(error.to_json()))
        reply = Reply(error.http_status, _JSON, told)
        more = _CHALLENGE if isinstance(error, Unauthenticated) else ()
        if isinstance(error, TooMany):
            more = ((b"retry-after", str(error.details["retry_s"]).encode()),)
        await _send(send, reply, more)

    def _is_open(self, scope: MutableMapping[str, Any]) -> bool:
        """Return whether it asks for no right; the index is open to programs, the page in its place is not."""
        is_page = self._console is not None and scope["path"] == "/" and is_for_people(scope)
        return not is_page and (scope["method"], scope["path"]) in OPEN_ROUTES

    def _is_read_alone(self, path: str) -> bool:
        """Return whether a path has GET and no POST, so that 405 is the response to what is sent there."""
        is_read = self._permission_of("GET", path) is not None or ("GET", path) in OPEN_ROUTES
        is_sent = self._permission_of("POST", path) is not None or ("POST", path) in OPEN_ROUTES
        return is_read and not is_sent

    def _is_visit(self, scope: MutableMapping[str, Any]) -> bool:
        """Return whether a person follows a link to a page: a browser then shows it, and gives it to no page."""
        path = scope["path"]
        return (
            (path in VISITED or (self._console is not None and self._console.is_page(path)))
            and scope["method"] == "GET"
            and _headers(scope, b"sec-fetch-mode") == ["navigate"]
            and not _headers(scope, b"origin")
        )

    def _counted(self, scope: MutableMapping[str, Any]) -> Identity:
        """Return who asks, and count the request; those whom nothing lets in are counted by address."""
        try:
            identity = identify(self._authenticator, scope)
        except Unauthenticated:
            self._rate_limit.require(client_by_address(scope))
            raise
        if scope["path"] not in self._rate_limit.free:
            self._rate_limit.require(identity.member or identity.actor)
        return identity

    def _counting_refused(self, identity: Identity, send: Send) -> Send:
        async def send_counted(message: Message) -> None:
            if message.get("status") == HTTPStatus.TOO_MANY_REQUESTS:
                self._rate_limit.count_refused(identity.member or identity.actor)
            await send(message)

        return send_counted

    async def _body(self, scope: MutableMapping[str, Any], receive: Receive, held: ExitStack) -> bytes:
        identity: Identity | None = scope.get(_IDENTITY)
        client = client_by_address(scope) if identity is None else identity.client
        too_large = _Refused(
            413, RequestError("the body is too large", allowed=f"at most {BODY_LIMIT:,} bytes")
        )
        if any(
            int(length) > BODY_LIMIT for length in _headers(scope, b"content-length") if length.isdecimal()
        ):
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                is_more = True
                while is_more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(400, RequestError("the body ended early"))
                    piece = message.get("body", b"")
                    if beyond := max(0, min(len(piece), len(body) + len(piece) - BODY_SMALL)):
                        held.enter_context(self._bodies.taken(client, beyond))
                    body += piece
                    is_more = message.get("more_body", False)
                    if len(body) > BODY_LIMIT:
                        raise too_large
        except TimeoutError:
            slow = RequestError("the body came too slowly", allowed=f"within {self._body_seconds:g} s")
            raise _Refused(408, slow) from None
        return bytes(body)

    async def _once(
        self, key: str, scope: MutableMapping[str, Any], receive: Receive, send: Send, body: bytes
    ) -> None:
        if self._replies is None or scope["path"] in self._secret:
            raise RequestError("this answer is not kept", where="Idempotency-Key", hint="leave it out")
        request, is_urgent = _fingerprint(scope, body), self._is_urgent(scope["path"], body)
        client = asked_by(scope).client
        try:
            async with asyncio.timeout(KEPT_SECONDS if is_urgent else None):
                before = await asyncio.to_thread(partial(self._replies.begin, key, request, client=client))
        except (Transient, TimeoutError):
            if not is_urgent:
                raise
            await self._app(scope, receive, send)
            return
        if before is not None:
            await _send(send, before)
            return
        caught = _Caught()
        try:
            await self._app(scope, receive, caught)
        finally:
            # Kept before it is sent: an answer that somebody saw is the answer that every repeat gets. What ended
            # without an answer stays taken, since nobody knows how far it came.
            if caught.reply is not None:
                with suppress(*[Transient] if is_urgent else ()):
                    if caught.reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
                        await asyncio.to_thread(partial(self._replies.release, key, client=client))
                    else:
                        await asyncio.to_thread(
                            partial(self._replies.finish, key, caught.reply, client=client)
                        )
                await _send(send, caught.reply)


def identify(authenticator: Authenticator, scope: MutableMapping[str, Any]) -> Identity:
    """Return whose a request is, by its token or its session, with the rights of now."""
    given = _headers(scope, b"authorization")
    # A token counts more than a cookie, which a browser sends by itself.
    secret = "" if given else session_secret(scope)
    found = authenticator.identify_session(secret) if secret else None
    return found or authenticator.identify(given)


def asked_by(scope: MutableMapping[str, Any]) -> Identity:
    """Return whose request it is, which the guard let in."""
    return scope[_IDENTITY]


def note_refused(
    authenticator: Authenticator,
    scope: MutableMapping[str, Any],
    error: LinewrightError,
    *,
    is_route: bool = True,
) -> None:
    """Take note of a request that was refused for want of a right or a token; of a path without a route, only that it has none."""
    identity: Identity | None = scope.get(_IDENTITY)
    client = scope.get("client")
    authenticator.refused.note(
        error,
        server="control-plane",
        who="" if identity is None else identity.actor,
        what=f"{scope['method']} {scope['path']}" if is_route else "no route",
        address=client[0] if client else "",
    )


class _Refused(Exception):  # noqa: N818 -- an answer, not an error of ours
    """An answer whose status says more than the class of the error."""

    def __init__(self, status: int, error: LinewrightError) -> None:
        super().__init__(str(error))
        self.status, self.error = status, error


class _Caught:
    """Takes an answer in place of the client."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self._status, self._type, self._body = 0, "", b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message.get("headers", ()))
            self._status, self._type = message["status"], headers.get(b"content-type", b"").decode("latin-1")
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self.reply = Reply(self._status, self._type, self._body)


def _origins(scope: MutableMapping[str, Any]) -> list[str]:
    """Return the origins that a request names.

    Since our pages tell nobody their address, browsers send ``null`` with their forms, and say by ``Sec-Fetch-Site``, which no page can
    set, that it is ours.
    """
    given = _headers(scope, b"origin")
    is_own_form = takes_form(scope["path"]) and _headers(scope, b"sec-fetch-site") == ["same-origin"]
    return [] if is_own_form and given == ["null"] else given


def _check_content_type(scope: MutableMapping[str, Any]) -> None:
    given = _headers(scope, b"content-type")
    allowed = _FORM if takes_form(scope["path"]) else _JSON
    if [each.partition(";")[0].strip().lower() for each in given] != [allowed]:
        found = ", ".join(given)
        what = "a write is JSON" if allowed == _JSON else "this page takes its form"
        error = RequestError(what, where="Content-Type", found=found, allowed=allowed)
        raise _Refused(415, error)


def _idempotency_key(scope: MutableMapping[str, Any]) -> str | None:
    given = _headers(scope, b"idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        allowed = "one, of 1 to 200 visible ASCII characters"
        raise RequestError("not a key", where="Idempotency-Key", found=", ".join(given)[:80], allowed=allowed)
    return given[0]


def _fingerprint(scope: MutableMapping[str, Any], body: bytes) -> str:
    head = [
        asked_by(scope).actor,
        scope["method"],
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
    ]
    return hashlib.sha256(msgspec.json.encode(head) + b"\n" + body).hexdigest()


def _headers(scope: MutableMapping[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _whole(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def receive_whole() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_whole


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            if message["status"] == HTTPStatus.INTERNAL_SERVER_ERROR:
                # uvicorn closes the connection after an unforeseen error, so the client must not use it again.
                given.append((b"connection", b"close"))
            message["headers"] = [*given, *(each for each in SECURITY_HEADERS if each[0] not in names)]
        await send(message)

    return send_with_headers


async def _send(send: Send, reply: Reply, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    headers = [
        *more,
        (b"content-type", reply.content_type.encode("latin-1")),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    if reply.status == HTTPStatus.REQUEST_TIMEOUT:
        headers.append((b"connection", b"close"))  # else the rest of the body would be waited for
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
