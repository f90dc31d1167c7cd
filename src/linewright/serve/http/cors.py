"""Pages of other sites that `factory.yaml` names: their requests are a program's, which brings a token (CORS)."""

from collections.abc import Awaitable, Callable, Collection, Iterable

from linewright.serve.http.request import HEADERS, SEND_AT_ONCE, Header, Message, Receive, Send

MAX_AGE_S = 600
"""Seconds for which a browser need not ask again whether a page may send a request."""
_ALLOWED = b"authorization, content-type, idempotency-key"
"""Headers that a page may send."""
_EXPOSED = b"retry-after"
_OF_BROWSERS = frozenset({b"origin", b"cookie", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})
"""Headers that are taken off: a cookie lets no page of another site in, and nothing but the name of its origin is looked at."""
_AUTHORIZATION, _ORIGIN, _ASKS_FOR = b"authorization", b"origin", b"access-control-request-method"
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Cors:
    """ASGI middleware: lets pages of named origins ask by a token, never by a cookie; all other requests pass as they came."""

    def __init__(self, app: App, origins: Iterable[str], methods: Callable[[str], Collection[str]]) -> None:
        self._app, self._methods = app, methods
        # Browsers leave the port of the scheme out.
        self._origins = frozenset(
            origin.removesuffix(":443" if origin.startswith("https") else ":80").encode()
            for origin in origins
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection event of ASGI."""
        page = _page(scope) if scope["type"] == "http" else b""
        if page not in self._origins:
            await self._app(scope, receive, send)
            return
        allowed = self._methods(scope["path"])
        if scope["method"] == "OPTIONS" and _asks_for(scope) in allowed:
            await _answer_preflight(send, page, allowed)
        elif scope["method"] in allowed:
            _take_for_a_program(scope)
            await self._app(scope, receive, _telling(send, page))
        else:
            await self._app(scope, receive, send)


def _page(scope: Message) -> bytes:
    """Return the origin of the page that sends a request; empty if there is not exactly one."""
    given = [value for name, value in scope["headers"] if name == _ORIGIN]
    return given[0] if len(given) == 1 else b""


def _asks_for(scope: Message) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == _ASKS_FOR), "")


def _take_for_a_program(scope: Message) -> None:
    # In its place: the server tells more of the request in this very scope.
    kept: list[Header] = [each for each in scope["headers"] if each[0] not in _OF_BROWSERS]
    if _AUTHORIZATION not in dict(kept):
        kept.append((_AUTHORIZATION, b""))  # one that lets nobody in: a page never asks without a token
    scope["headers"] = kept
    scope.pop(SEND_AT_ONCE, None)
    if HEADERS in scope:
        scope[HEADERS] = dict(kept)


def _telling(send: Send, page: bytes) -> Send:
    async def send_to_page(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_told(page)]
        await send(message)

    return send_to_page


def _told(page: bytes) -> list[Header]:
    return [
        (b"access-control-allow-origin", page),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


async def _answer_preflight(send: Send, page: bytes, methods: Collection[str]) -> None:
    headers = [
        *_told(page),
        (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
        (b"access-control-allow-headers", _ALLOWED),
        (b"access-control-max-age", b"%d" % MAX_AGE_S),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
