"""One HTTP request of the data plane: reading its body within bounds, and answering."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from typing import Any, Self, TypeVar

import msgspec

from linewright.errors import LinewrightError, RequestError, TooMany, Transient
from linewright.serve.access.shares import Shares
from linewright.serve.limits import BODY_DEADLINE_S, BODY_MEMORY, BODY_SHARE
from linewright.store.values import decoder
from linewright.text.suggest import nearest

MAX_BODY = 10 * 2**20
BODY_IS_HERE = "linewright.body_is_here"
"""Key of a scope: set once the whole body was received, so that nothing has to be waited for."""
HEADERS = "linewright.headers"
"""Key of a scope: its headers by name; of those that decide anything there is one of a name."""
SEND_AT_ONCE = "linewright.send_at_once"
"""Key of a scope: what writes a whole answer in one piece, a `SendAtOnce`."""
AT_ONCE = 65_536
"""Bytes of an answer that the connection buffers without being asked to wait; uvicorn's high-water mark."""
SMALL = 4 << 10
"""Bytes of each body that no share counts: what most requests are, at no price."""
_DRAIN = 32 * 2**20
"""Bytes that are read and thrown away so that a client which sends too much can still read why it is refused."""
_DRAIN_OF_SHARE = 2**20
"""The same of a client that holds its share already: reading on would cost the others."""
_BYTE = re.compile(r"\(byte (\d+)\)")
_NO_NUMBER = re.compile(rb"(?:NaN|Infinity)(?![0-9A-Za-z_])")
"""What many programs write for a number that is none, and no JSON has."""
_MARK = b"\xef\xbb\xbf"
"""The byte order mark, as UTF-8."""
_JSON = b"application/json"
_PATH = re.compile(r" - at `\$\.?(.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_OTHER_TYPE = re.compile(r"Expected `(.+)`, got `(.+)`")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
SendAtOnce = Callable[[int, Sequence[Header], bytes], bool]
"""Takes status, headers and body; says whether it has written them, or the client must be waited for."""
T = TypeVar("T")


class Refusal(Exception):  # noqa: N818 -- reads as what happened
    """An error with the HTTP status that says it more exactly than its class does."""

    def __init__(self, status: int, error: LinewrightError, **headers: str) -> None:
        self.status, self.error = status, error
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
        super().__init__(str(error))


class Gone(Exception):  # noqa: N818
    """The client hung up; nobody waits for an answer."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, complete."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    headers: dict[str, str] = {}
    error: str = ""
    """Class of the error that it tells of, where it does; for metrics."""

    def send_at_once(self, at_once: SendAtOnce) -> bool:
        """Write a small answer in one piece, and say whether that could be done; it is then out of our memory."""
        return len(self.body) <= AT_ONCE and at_once(self.status, self._head(), self.body)

    async def send(self, send: Send) -> None:
        """Send it by the ASGI application's function; when this returns, at most `AT_ONCE` bytes of it are still in memory."""
        await send({"type": "http.response.start", "status": self.status, "headers": self._head()})
        if len(self.body) <= AT_ONCE:
            await send({"type": "http.response.body", "body": self.body})
            return
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        # This one waits until the client has read what came before: then the answer is out of memory.
        await send({"type": "http.response.body", "body": b""})

    def _head(self) -> list[Header]:
        length = (b"content-length", b"%d" % len(self.body))
        head = [(b"content-type", self.media_type.encode()), length]
        if self.headers:
            head += [(name.encode(), text.encode()) for name, text in self.headers.items()]
        return head


HUNG_UP = Response(body=b"", status=499, error="Gone")
BUG = Response(body=b"", status=500, error="Bug")
"""What is counted where nothing of ours was sent: the client left before its request was whole, or we failed and the server said so."""


def to_response(value: object, status: int = 200) -> Response:
    """Return `value` as a JSON answer."""
    return Response(body=msgspec.json.encode(value), status=status)


def to_refusal(error: LinewrightError | Refusal, *, in_words: bool = False) -> Response:
    """Return an error as a JSON answer."""
    status, headers = error_status(error)
    inner = error.error if isinstance(error, Refusal) else error
    told = inner.to_json()
    if in_words:
        told |= {"error": told["message"], "kind": told["error"]}
    body = msgspec.json.encode(told)
    return Response(body=body, status=status, headers=headers, error=type(inner).__name__)


def error_status(error: LinewrightError | Refusal) -> tuple[int, dict[str, str]]:
    """Return the HTTP status and headers of an error."""
    if isinstance(error, Refusal):
        return error.status, error.headers
    return error.http_status, {"retry-after": "2"} if isinstance(error, Transient) else {}


class Budget:
    """Counts the bytes of bodies and answers in memory, of all and of each client, so that what is too much at one time is refused, not swallowed."""

    def __init__(self, limit: int = BODY_MEMORY) -> None:
        self.left = limit
        """Bytes that are free."""
        self.each = limit // BODY_SHARE
        self.shares = Shares("bytes of requests and unread answers", each=self.each, most=limit)

    def take(self, client: Callable[[], str]) -> "Take":
        """Give what takes bytes of the budget; all are given back at the end of its block."""
        return Take(self, client)


class Take:
    """Bytes of a budget, for a block; call it to take more."""

    __slots__ = ("_budget", "_client", "_of_share", "_taken", "_who")

    def __init__(self, budget: Budget, who: Callable[[], str]) -> None:
        self._budget, self._who = budget, who
        self._client = ""
        self._taken = self._of_share = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.left += self._taken
        if self._of_share:
            self._budget.shares.give(self._client, self._of_share)

    def __call__(self, size: int) -> None:
        """Take bytes; raise `Transient` if there are not so many left, `TooMany` if this client holds its share.

        One answer may be more than a share: it then is the whole of it.
        """
        if self._taken + size > SMALL:
            self._client = self._client or self._who()
            more = min(self._taken + size, self._budget.each) - self._of_share
            self._budget.shares.take(self._client, more)
            self._of_share += more
        if size > self._budget.left:
            raise Transient(
                "too many large requests at one time",
                hint="send fewer beside each other, and read the answers as they come",
            )
        self._budget.left -= size
        self._taken += size


class Request(msgspec.Struct, kw_only=True):
    """A request whose head was read."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    receive: Receive
    scope: Mapping[str, Any] = {}
    """What the server knows of it; it may learn more while the request is looked at."""
    line: str = ""
    """Name of the line that it is about, once known; for metrics."""
    version: str = ""

    def header(self, name: bytes) -> str | None:
        """Return a header's text, or `None`."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def read_body(
        self,
        take: Callable[[int], None],
        deadline_s: float = BODY_DEADLINE_S,
        *,
        also: Collection[str] = (),
    ) -> Awaitable[bytes]:
        """Return the body."""
        self._check_media_type(("application/json", *also))
        if BODY_IS_HERE in self.scope:
            return self._receive_what_is_here(take)
        return self._receive_in_time(take, deadline_s)

    async def _receive_what_is_here(self, take: Callable[[int], None]) -> bytes:
        message = await self.receive()
        body: bytes = message.get("body", b"")
        # Nearly always: the whole of a small body at once.
        if (
            message["type"] == "http.request"
            and len(body) <= MAX_BODY
            and not message.get("more_body", False)
        ):
            take(len(body))
            return body
        return await self._receive_body(take, message)

    async def _receive_in_time(self, take: Callable[[int], None], deadline_s: float) -> bytes:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._receive_body(take)
        except TimeoutError:
            raise Refusal(
                408,
                RequestError(
                    "the body did not come in time", where="body", allowed=f"within {deadline_s:g} seconds"
                ),
                connection="close",
            ) from None

    def _check_media_type(self, allowed: Collection[str]) -> None:
        if self.headers.get(b"content-type") == _JSON and b"content-encoding" not in self.headers:
            return
        media_type = (self.header(b"content-type") or "").partition(";")[0].strip().lower()
        if media_type not in allowed:
            raise _unsupported("content-type", media_type or "none", ", ".join(filter(None, allowed)))
        encoding = (self.header(b"content-encoding") or "identity").strip().lower()
        if encoding != "identity":
            raise _unsupported("content-encoding", encoding, "identity")

    async def _receive_body(self, take: Callable[[int], None], message: Message | None = None) -> bytes:
        length = self.header(b"content-length")
        # Nothing was read yet, so a client that waits for "100 Continue" is spared the sending.
        if length is not None and len(length) > 18:
            raise _too_large()
        excessive = length is not None and int(length) > MAX_BODY
        if excessive and (b"expect" in self.headers or int(length or 0) > _DRAIN):
            raise _too_large()
        parts: list[bytes] = []
        size = 0
        refused = _too_large() if excessive else None
        while True:
            message = message or await self.receive()
            if message["type"] == "http.disconnect":
                parts.clear()  # a traceback may be kept for a while
                raise Gone
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > _DRAIN:
                raise _too_large()
            # What is refused is read to its end and thrown away, so that the client can read why.
            refused = refused or _refused(size, len(part), take)
            if refused is None:
                parts.append(part)
            else:
                parts.clear()
                if isinstance(refused, TooMany) and not 0 <= int(length or -1) - size <= _DRAIN_OF_SHARE:
                    raise Refusal(429, refused, retry_after="1", connection="close")
            if not message.get("more_body", False):
                break
            message = None
        if refused is not None:
            raise refused
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _refused(size: int, part: int, take: Callable[[int], None]) -> Refusal | Transient | None:
    """Take a part of a body of `size` bytes so far, and return why it may not be kept."""
    if size > MAX_BODY:
        return _too_large()
    try:
        take(part)
    except Transient as error:
        return error
    return None


def _too_large() -> Refusal:
    error = RequestError(
        "the body is too large",
        where="body",
        allowed=f"{MAX_BODY:,} bytes",
        hint="send it in several requests",
    )
    return Refusal(413, error, connection="close")


def _unsupported(header: str, found: str, allowed: str) -> Refusal:
    error = RequestError(
        "this form of body is not read",
        where=header,
        found=found[:100],
        allowed=allowed,
        hint="send the header 'Content-Type: application/json'" if header == "content-type" else "",
    )
    return Refusal(415, error)


def read_json(body: bytes, kind: type[T], *, form: str) -> T:
    """Decode a JSON body.

    Numbers beyond the range of a double become infinite, so that whoever reads the value can name its place.
    """
    try:
        return decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        _refuse_broken(body, form)
        if "out of range" in str(error):
            return _read_wide(body, kind, form)
        raise _other_form(error, form, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(body, error, form) from None


def _refuse_broken(body: bytes, form: str) -> None:
    """Refuse what is no JSON at all: a decoder that knows a form may stumble over that before it comes to the place."""
    try:
        msgspec.json.Decoder(float_hook=float).decode(body)
    except (msgspec.ValidationError, RecursionError):
        return
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(body, error, form) from None


def _read_wide(body: bytes, kind: type[T], form: str) -> T:
    try:
        return msgspec.json.Decoder(kind, float_hook=float).decode(body)
    except msgspec.ValidationError as error:
        raise _other_form(error, form, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(body, error, form) from None


_IN_WORDS: Mapping[str, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
"""Types as the decoder calls them, as people do."""


def _other_form(error: msgspec.ValidationError, form: str, kind: Any) -> RequestError:
    """Say in words what the decoder found in a body of another form."""
    text = str(error)
    path = _PATH.search(text)
    where = (path and path[1]) or "body"
    text = text[: path.start()] if path else text
    if found := _UNKNOWN.fullmatch(text):
        name, known = found[1], _fields_of(kind) if where == "body" else ()
        near = nearest(name, known)
        hint = f"did you mean {near!r}?" if near else f"leave it out; send {form}"
        return RequestError(
            "unknown field", where=where, found=name[:100], allowed=", ".join(known), hint=hint
        )
    if found := _OTHER_TYPE.fullmatch(text):
        wanted, got = ([_IN_WORDS.get(one, one) for one in each.split(" | ")] for each in found.groups())
        hint = f"send {form}"
        if wanted == [_IN_WORDS["bool"]]:
            hint = f'send {{"{where.rpartition(".")[2]}": true}}, without quotes, or leave it out'
        allowed = " or ".join(wanted)
        return RequestError(f"not {allowed}", where=where, found=" or ".join(got), allowed=allowed, hint=hint)
    if found := _MISSING.fullmatch(text):
        return RequestError(f"{found[1]!r} is missing", where=where, hint=f"send {form}")
    return RequestError(text, where=where, hint=f"send {form}")


def _fields_of(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields of a form; none where it has no names."""
    return tuple(str(name) for name in getattr(kind, "__struct_encode_fields__", ()))


def _not_json(body: bytes, error: Exception, form: str) -> Refusal:
    match error:
        case RecursionError():
            return Refusal(400, RequestError("the body is nested too deeply", where="body"))
        case UnicodeDecodeError():
            return Refusal(400, RequestError("the body is not UTF-8", where=f"byte {_first_bad_byte(body)}"))
        case _:
            found = _BYTE.search(str(error))
            position = int(found[1]) if found else len(body)
            what, hint = f"the body is not JSON: {_BYTE.sub('', str(error)).strip()}", f"send {form}"
            if position == 0 and body.startswith(_MARK):
                what, hint = "the body begins with a byte order mark", "send UTF-8 without it"
            elif token := _NO_NUMBER.match(body, position):
                # The decoder has taken a sign for the beginning of a number.
                position -= body[:position].endswith(b"-")
                what = f"{body[position : token.end()].decode()} is not JSON"
                hint = "send null where a value is missing"
            return Refusal(
                400, RequestError(what, where=f"byte {position}", hint=hint, details={"byte": position})
            )


def _first_bad_byte(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(body)
