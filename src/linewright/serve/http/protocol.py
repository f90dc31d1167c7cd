"""How an endpoint or a control plane reads requests: with deadlines, and with bounds on what one client takes."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from linewright.errors import LinewrightError, RequestError, Transient
from linewright.serve.http.connections import Connections, Room, raise_file_limit
from linewright.serve.http.request import BODY_IS_HERE, HEADERS, SEND_AT_ONCE, Header
from linewright.serve.operator_log import tell_stderr
from linewright.serve.reach import Reach

HEAD_DEADLINE_S = 15.0
"""From the first byte of a request (or the connection) to the end of its headers."""
MAX_HEAD = 65_536
"""Bytes of a request's line and headers."""
MAX_MESSAGE = 64 * 2**20
"""Bytes of a whole request as sent, with the framing of its chunks."""
WHOLE = 2048
"""Bytes that are understood at one time where no more came: most requests with their head and body."""
PART = 512
"""Of more than that, bytes of heads that are understood at one time; a body that tells its length is one part. What comes after a part in
which one request waits for another is understood once none waits: so no client has more requests in memory than `WHOLE` holds, about 60."""
LINGER_S = 30.0
"""How long a client may take to read an answer that fills the connection, or the rest of one after it was closed."""
LAST_LINGER_S = 5.0
"""The same once the server is being stopped."""
REFUSED_S = 1.0
"""How long what a refused client still sends is thrown away, so that it can read the refusal."""
GRACE_S = 20
"""Longest time for the requests that have begun when the endpoint is stopped."""
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 0)
"""Time after which the system gives up a client that takes no byte, also once the connection is no longer ours; Linux has it."""
_FORGET = struct.pack("ii", 1, 0)
"""As SO_LINGER: close without keeping what was not sent."""
_ONCE = {
    name.lower().encode(): name
    for name in (
        *("Host", "Origin", "Sec-Fetch-Site", "Authorization"),
        *("Content-Type", "Idempotency-Key", "Transfer-Encoding"),
    )
}
"""Headers that decide who may ask for what, or where a body ends: readers do not agree on which one of two counts."""
_HOST, _CODING = b"host", b"transfer-encoding"


class _Flow(FlowControl):
    """Reads on only once everything that was read is understood."""

    def __init__(self, transport: asyncio.Transport, is_behind: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._is_behind = is_behind

    def resume_reading(self) -> None:
        if self.read_paused and not self._is_behind():
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an absolute deadline for the head of a request, and bounds on what one client takes.

    uvicorn has neither: a client that sends a byte now and then would hold a connection for ever, and one that sends
    requests without reading answers would fill the memory. The deadline of the body is the app's, which sees in the scope
    whether it is here already.
    """

    __slots__ = (
        *(
            "_because",
            "_default_headers",
            "_default_lines",
            "_has_body_left",
            "_head",
            "_head_timer",
            "_is_between",
        ),
        *(
            "_is_leaving",
            "_last_timer",
            "_linger_s",
            "_places",
            "_read_timer",
            "_received",
            "_refused",
            "_running",
            "_unread",
            "holder",
            "room",
        ),
    )
    """Beside uvicorn's own attributes: with more than 30 in its dict an object of Python 3.11 loses the quick way to all of them."""
    # What is called in each request names the class: `super()` takes longer.
    scope: dict[str, Any]  # type: ignore[assignment] -- with keys of our own

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = connections
        self._head_timer: asyncio.TimerHandle | None = None
        self._last_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._received = self._head = 0
        self._refused = False
        self._because: tuple[int, str, str] | None = None
        """Status, what is wrong and where, of a head that is refused though it is HTTP."""
        self._unread = b""
        """What came and is not understood yet, since requests before it wait."""
        self._running: RequestResponseCycle | None = None
        """The request that is answered now; `cycle` is the last one that came."""
        self._linger_s = LINGER_S
        self._has_body_left = self._is_between = False
        """Whether the last head is complete and its body is not; whether the last message is, and no other has begun."""
        self._is_leaving = False
        self._default_headers: Sequence[Header] = ()
        self._default_lines = b""
        self.holder = ""
        self.room: Room | None = None
        """Whether there is room for it, if it was counted during its handshake."""

    @property
    def places(self) -> Connections:
        """The connections of the server."""
        return self._places

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, where there is room for one more client."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self._is_behind)
        room = self.room or self._places.enter(self, transport.get_extra_info("peername"))
        if room is Room.DROPPED:
            self._refused = True
            self._abort()
            return
        self._set(socket.IPPROTO_TCP, _USER_TIMEOUT, int(LINGER_S * 1000))
        if room is Room.REFUSED:
            self._refuse(503, Transient("too many connections at one time", hint="try again in a moment"))
            return
        self._places.mark_idle(self)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and answer nothing more."""
        self._places.leave(self)
        self._disarm()
        for timer in (self._last_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        self._forget()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read; the answer is in memory until then, so not for ever."""
        super().pause_writing()
        self._places.mark_stalled(self)
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(self._linger_s, self._reset)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        self._places.mark_busy(self)
        if self._has_body_left:
            self._places.mark_stalled(self)
        elif not self.cycle or self.cycle.response_complete:
            self._places.mark_idle(self)
        super().resume_writing()

    def _take_in_parts(self, data: bytes) -> None:
        """Understand what came, in parts; what follows requests that wait for others is left for later."""
        start = 0
        while start < len(data) and not (self.pipeline or self._refused or self.transport.is_closing()):
            end = start + max(PART, self._rest_of_body())
            self.data_received(data[start:end], is_part=True)
            start = end
        if self.pipeline and not self._refused:
            self._unread = data[start:]

    def _rest_of_body(self) -> int:
        """Return how much of a body is still to come, by its length; by less than `PART` it may be too much."""
        if not self._has_body_left:
            return 0
        length = dict(self.scope["headers"]).get(b"content-length", b"")
        return int(length) - self._received if length.isdigit() else 0

    def _is_behind(self) -> bool:
        if not self.pipeline:
            (self._places.mark_pipelining if self._unread else self._places.unmark_pipelining)(self)
        return bool(self.pipeline or self._unread)

    def read_on(self) -> None:
        """Understand what was left, now that no request waits."""
        data, self._unread = self._unread, b""
        if data and not self.transport.is_closing():
            self.data_received(data)
        self.flow.resume_reading()
        if not self._unread and not self.pipeline:
            self._places.unmark_pipelining(self)

    def data_received(self, data: bytes, *, is_part: bool = False) -> None:
        """Count the bytes, and understand them."""
        if self._refused:
            return
        size = len(data)
        if size > WHOLE and not is_part:
            self._take_in_parts(data)
            return
        self._received += size
        was_between = self._is_between
        HttpToolsProtocol.data_received(self, data)
        if self._has_body_left or not self.cycle or self.cycle.response_complete:
            self._wait_for_more(was_between)

    def _wait_for_more(self, was_between: bool) -> None:
        """Bound what is still to come of a request, or how long the next one may take to begin."""
        if self._refused or self.transport.is_closing():
            return
        is_answered = not self.cycle or self.cycle.response_complete
        if not is_answered or self._has_body_left:
            if self._has_body_left:
                self._places.mark_stalled(self)
            if self._received > MAX_MESSAGE:
                self._abort()
            elif is_answered and self._head_timer is None:
                self._arm()
            return
        self._places.mark_idle(self)
        if self._is_between and not was_between:
            # The rest of a body that was answered before it came: the connection is idle from here on.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif self._received > MAX_HEAD:
            self._refuse(431, RequestError("the head of the request is too large"))
        elif self._head_timer is None:
            self._arm()

    def on_message_begin(self) -> None:
        """Count from here."""
        self._received = self._head = 0
        self._is_between = False
        HttpToolsProtocol.on_message_begin(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the headers; those that follow a body count too."""
        self._head = head = self._head + len(name) + len(value) + 4
        if head > MAX_HEAD:
            raise self._unfit(431, "the head of the request is too large")
        HttpToolsProtocol.on_header(self, name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock: the head is here. Refuse one that readers understand differently."""
        given = dict(self.headers)
        if len(given) < len(self.headers):
            self._refuse_twice()
        if _CODING in given:
            self._look_at_coding(given[_CODING])
        version = self.parser.get_http_version()  # pyright: ignore[reportOptionalMemberAccess] -- None once the connection is lost
        if version != "1.1":
            self._look_at_version(version, given)
        elif _HOST not in given:
            raise self._unfit(400, "HTTP/1.1 needs this header", "Host")
        if self._head_timer is not None:
            self._disarm()
        self._has_body_left = True
        HttpToolsProtocol.on_headers_complete(self)
        self.headers = []  # takes what follows the body: no header is among that (RFC 9112, 7.1.2)
        self.scope[HEADERS] = given
        self.scope[SEND_AT_ONCE] = partial(self._send_at_once, self.cycle)
        if not self.pipeline:
            self._running = self.cycle
        if self._is_leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Stop the clock: the body is here, also where it was answered before."""
        if self._head_timer is not None:
            self._disarm()
        if not self.flow.write_paused:
            self._places.mark_busy(self)
        self._has_body_left, self._is_between = False, True
        self.scope[BODY_IS_HERE] = True
        HttpToolsProtocol.on_message_complete(self)

    def on_response_complete(self) -> None:
        """Go on, or end within `LINGER_S` also where the client does not read its answer."""
        if self.pipeline:
            self._running = self.pipeline[-1][0]
        HttpToolsProtocol.on_response_complete(self)
        if self.transport.is_closing():
            self._places.mark_stalled(self)
            self._end_within(self._linger_s)
        elif self.flow.write_paused:
            self._places.mark_stalled(self)
        elif self.cycle.response_complete:
            self._places.mark_idle(self)

    def _send_at_once(
        self, cycle: RequestResponseCycle, status: int, headers: Sequence[Header], body: bytes
    ) -> bool:
        """Write a whole answer, and say whether that could be done: as `RequestResponseCycle.send` does, in one piece."""
        if self.flow.write_paused or cycle.response_started:
            return False
        if cycle.disconnected or self.transport.is_closing():
            return True
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        if (b"connection", b"close") in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers = [*headers, (b"connection", b"close")]
        if cycle.default_headers is not self._default_headers:  # uvicorn makes them anew each second
            self._default_headers = cycle.default_headers
            self._default_lines = _lines(self._default_headers)
        lines = self._default_lines + _lines(headers)
        content = b"" if cycle.scope["method"] == "HEAD" else body
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], lines, content))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def leave(self) -> None:
        """Let the next answer be the last one, and say so in it.

        A connection that is idle is not closed for it: a request may be on its way, and would be lost.
        """
        self._is_leaving = True
        if self.cycle and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End after the request that has begun; a client that does not read or send is not waited for until the last moment."""
        self._linger_s = LAST_LINGER_S
        if self.pipeline:
            # None of these has begun: the answer to the one before is the last, and says so.
            self.pipeline.clear()
            self._refused, self._unread, self.cycle = True, b"", cast("RequestResponseCycle", self._running)
        super().shutdown()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = self.loop.call_later(self._linger_s, self._reset)
        if self.transport.is_closing():
            self._end_within(self._linger_s)
        else:
            # Before uvicorn would cancel it: that answers 500 and prints a stack for each.
            self._last_timer = self.loop.call_later(GRACE_S - 1, self._cut_off)

    def _cut_off(self) -> None:
        if self._has_body_left or self.flow.write_paused:
            self._abort()

    def make_room(self) -> None:
        """Close at once, for a client that came later."""
        self._abort()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._end_within(self._linger_s)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or not the HTTP that is spoken here."""
        status, what, where = self._because or (400, msg, "")
        self._refuse(status, RequestError(what, where=where))

    def _refuse_twice(self) -> None:
        for name, times in Counter(name for name, _ in self.headers).items():
            if times > 1 and name in _ONCE:
                raise self._unfit(400, "this header came more than once; send one", _ONCE[name])

    def _look_at_coding(self, coding: bytes) -> None:
        if coding.strip().lower() != b"chunked":
            raise self._unfit(501, "this coding is not read; send 'chunked' alone", "Transfer-Encoding")

    def _look_at_version(self, version: str, given: dict[bytes, bytes]) -> None:
        if version != "1.0":
            raise self._unfit(505, "this version of HTTP is not spoken; send HTTP/1.1")
        if _CODING in given:
            raise self._unfit(400, "HTTP/1.0 has no chunks; send HTTP/1.1", "Transfer-Encoding")

    def _unfit(self, status: int, what: str, where: str = "") -> ValueError:
        """Return what ends the parser, and remember how to say why."""
        self._because = (status, what, where)
        return ValueError(what)

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self._give_up)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._received and not self._has_body_left:
            self._refuse(408, RequestError("the head of the request did not come in time"))
        else:
            self.transport.close()

    def _refuse(self, status: int, error: LinewrightError) -> None:
        self._refused, self._unread = True, b""
        self._places.note(str(status))
        last = self.cycle if self.cycle and not self.cycle.response_complete else None
        if last is not None and last.more_body and not last.response_started:
            if not self.pipeline:
                self._forget()
                last = None
            else:
                # The one that is refused waited for others: those are answered.
                self.pipeline.popleft()
                last = self.pipeline[0][0] if self.pipeline else self._running
        if last is not None:
            # The requests before get their answers, and then the connection ends.
            last.keep_alive = False
            return
        self._places.mark_busy(self)
        body = msgspec.json.encode(error.to_json())
        later = "retry-after: 1\r\n" if isinstance(error, Transient) else ""
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{later}connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # Closing with bytes unread would reset the connection, and the client could not read why.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_within(REFUSED_S)

    def _reset(self) -> None:
        """End, and have the system forget what the client did not read: it would keep it as long as the client pretends to."""
        self._set(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
        self._abort()

    def _abort(self) -> None:
        self._forget()
        self.transport.abort()

    def _forget(self) -> None:
        """Answer nothing more: what is being answered has nobody who reads it."""
        self.pipeline.clear()
        self._unread = b""
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _set(self, level: int, option: int, value: int | bytes) -> None:
        connection = self.transport.get_extra_info("socket")
        if connection is not None and option:
            with suppress(OSError):
                connection.setsockopt(level, option, value)

    def _end_within(self, seconds: float) -> None:
        if self._last_timer is not None:
            self._last_timer.cancel()
        self._last_timer = self.loop.call_later(seconds, self._abort)


def bounded(
    reach: Reach = Reach(),  # noqa: B008 -- it is frozen
    tell: Callable[[dict[str, object]], None] = tell_stderr,
) -> type[asyncio.Protocol]:
    """Return what makes the protocol of one server, for uvicorn, and let this process open as many files as it may."""
    raise_file_limit()
    connections = Connections(tell, reach.admits, reach.forwards)
    return cast("type[asyncio.Protocol]", partial(BoundedProtocol, connections))


def _lines(headers: Sequence[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
