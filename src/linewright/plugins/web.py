"""Answers of web servers: files, and pages of REST services."""

import math
import ssl
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic, sleep
from typing import NamedTuple

import httpx

from linewright.data.read.remote.credentials import Credentials
from linewright.data.read.remote.remote_store import RemoteFile, RemoteRequest
from linewright.errors import RequestError
from linewright.store.clock import now_utc
from linewright.text.remote_url import read_remote_url

_CONNECT_S, _SILENT_S = 10.0, 30.0
_MOST_TRIES = 5
_FIRST_PAUSE_S, _MOST_PAUSE_S = 0.5, 30.0
_MOST_REDIRECTS = 5
_MOST_URL = 1 << 15
"""Letters of a URL that is requested; `httpx` knows none of twice as many."""
_BLOCK = 1 << 20
_GZIP = zlib.MAX_WBITS | 16
_ASKED: Mapping[str, str] = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_FILE_S = 86_400.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
_MOVED = frozenset({301, 302, 303, 307, 308})
_NO_HEAD = frozenset({400, 403, 405, 501})
"""What servers say that know no HEAD, or sign a URL for GET alone."""


class Page(NamedTuple):
    """One answer."""

    body: bytes
    link: str
    """What the header Link names as next, as a whole URL; empty if it names nothing."""


class Web:
    """Asks one server, again after a pause if it says that it is busy."""

    def __init__(self, credentials: Credentials, proxy: str, request: RemoteRequest) -> None:
        self._request, self._header = request, credentials.header
        self._client = httpx.Client(
            proxy=proxy,
            trust_env=False,
            # Without encryption, the way to the server takes one question a connection.
            limits=httpx.Limits(
                max_keepalive_connections=0 if credentials.endpoint.scheme == "http" else None
            ),
            verify=ssl.create_default_context(),
            timeout=httpx.Timeout(_SILENT_S, connect=_CONNECT_S),
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    @contextmanager
    def answer(
        self, url: str, *, until: float, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Generator[httpx.Response]:
        """Give the answer to a question once the server takes it, before its body is read."""
        for tried in range(1, _MOST_TRIES + 1):
            with self._sent(method, url, until, headers or {}) as answer:
                if answer.status_code not in _AGAIN:
                    if method == "GET":
                        self.refuse(answer)
                    yield answer
                    return
                said = f"it says {answer.status_code} {answer.reason_phrase}"
                pause = _pause(answer.headers.get("retry-after"), tried)
            if tried == _MOST_TRIES or monotonic() + pause > until:
                raise self._request.unavailable_error(said)
            sleep(pause)

    def page(self, url: str, *, until: float, most: int) -> Page:
        """Return one page; it is requested again if it breaks off."""
        for tried in range(1, _MOST_TRIES + 1):
            try:
                with self.answer(url, until=until, headers=_ASKED) as answer:
                    return Page(self._body(answer, most, until), self._link(answer))
            except httpx.HTTPError as error:
                pause = _pause(None, tried)
                if tried == _MOST_TRIES or monotonic() + pause > until:
                    raise self._request.unavailable_error(_said(error)) from None
                sleep(pause)
        raise AssertionError  # the last try has returned or raised

    def _body(self, answer: httpx.Response, most: int, until: float) -> bytes:
        body = bytearray()
        for block in self._unpacked(answer):
            body += block
            if len(body) > most:
                raise RequestError(
                    f"a page is larger than {most / 2**20:.0f} MiB",
                    where=f"{self._request.where}.{self._request.word}",
                    found=self._request.url.place,
                    hint="ask for fewer rows a page, if the service has a parameter for it",
                )
            if monotonic() > until:
                raise self._request.unavailable_error("it takes too long")
        return bytes(body)

    def _unpacked(self, answer: httpx.Response) -> Iterator[bytes]:
        """Give the bytes of an answer, at most `_BLOCK` at once, however much is packed in few."""
        packing = answer.headers.get("content-encoding", "identity").strip().lower()
        if packing not in {"identity", "gzip", "x-gzip", ""}:
            raise RequestError(
                "a page is packed as nobody asked for",
                where=f"{self._request.where}.{self._request.word}",
                found=packing[:80],
                allowed="gzip, or nothing",
                hint="have the service heed Accept-Encoding",
            )
        raw = answer.iter_raw()
        return _gunzipped(raw) if packing.endswith("gzip") else raw

    def _link(self, answer: httpx.Response) -> str:
        found = answer.links.get("next", {}).get("url")
        return self._joined(answer, found) if found else ""

    def _joined(self, answer: httpx.Response, url: str) -> str:
        """Return a URL that an answer names, as a whole one of the same server."""
        try:
            return self.here(str(answer.url.join(url)))
        except httpx.InvalidURL:
            return self.here("")

    @contextmanager
    def _sent(
        self, method: str, url: str, until: float, headers: Mapping[str, str]
    ) -> Generator[httpx.Response]:
        """Give the first answer that leads nowhere else."""
        own = dict([self._header]) if self._header else {}
        for _ in range(_MOST_REDIRECTS + 1):
            left = max(until - monotonic(), 0.001)
            timeout = httpx.Timeout(min(_SILENT_S, left), connect=min(_CONNECT_S, left))
            with self._client.stream(method, url, headers={**headers, **own}, timeout=timeout) as answer:
                if answer.status_code not in _MOVED or "location" not in answer.headers:
                    yield answer
                    return
                url = self._joined(answer, answer.headers["location"])
        raise self._request.unavailable_error("it leads in a circle")

    def here(self, url: str) -> str:
        """Return a URL that a server gave, if it is one of that server."""
        if len(url) > _MOST_URL:
            raise RequestError(
                "the server leads to a URL that is too long",
                where=f"{self._request.where}.{self._request.word}",
                found=f"{len(url):,} letters",
                allowed=f"at most {_MOST_URL:,}",
                hint="look at what names the next page",
            )
        try:
            found = read_remote_url(url.partition("#")[0])
            is_here = found.origin == self._request.url.origin
        except ValueError:
            found, is_here = None, False
        if not is_here:
            raise self._request.elsewhere_error(found.origin if found else "something else than a URL")
        return url.partition("#")[0]

    def refuse(self, answer: httpx.Response) -> None:
        """Raise what an answer means that is not the content."""
        match answer.status_code:
            case 401 | 403:
                raise self._request.login_error(f"it says {answer.status_code} {answer.reason_phrase}")
            case 404 | 410:
                raise self._request.absent_error()
            case 206:
                raise self._request.unavailable_error("it gives a part, not the whole")
            case status if not 200 <= status < 300:
                raise RequestError(
                    f"the server of source {self._request.name!r} does not take the question",
                    where=f"{self._request.where}.{self._request.word}",
                    found=f"{status} {answer.reason_phrase}",
                    hint="look at the URL",
                )
            case _:
                pass


class WebFile:
    """The file that a URL names; a `RemoteStore`."""

    def __init__(self, credentials: Credentials, proxy: str, request: RemoteRequest) -> None:
        self._web, self._request = Web(credentials, proxy, request), request
        self._url = f"{request.url.origin}{request.url.path}{request.url.query}"

    def files(self) -> Sequence[RemoteFile]:
        """Return the one file, with what its server says of it."""
        with self._asking("HEAD") as answer:
            if answer.status_code in _NO_HEAD:
                return [RemoteFile(_name(self._request), None, "")]
            self._web.refuse(answer)
            return [_file(self._request, answer)]

    def blocks(self, file: RemoteFile) -> Iterator[bytes]:
        """Give the contents of the file."""
        with self._asking("GET") as answer:
            now = _file(self._request, answer)
            if file.tag and now.tag and (file.size, file.tag) != (now.size, now.tag):
                raise self._request.changed_error(self._request.url.place)
            if now.size is None and answer.headers.get("transfer-encoding") != "chunked":
                raise self._request.unavailable_error("it does not say how long the file is")
            yield from answer.iter_raw(_BLOCK)

    def close(self) -> None:
        """Close its connections."""
        self._web.close()

    @contextmanager
    def _asking(self, method: str) -> Generator[httpx.Response]:
        headers = {"Accept-Encoding": "identity"}
        until = monotonic() + _FILE_S
        try:
            with self._web.answer(self._url, until=until, method=method, headers=headers) as answer:
                yield answer
        except httpx.HTTPError as error:
            raise self._request.unavailable_error(_said(error)) from None


def _gunzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        for block in blocks:
            left = block
            while left and not unpacking.eof:
                yield unpacking.decompress(left, _BLOCK)
                left = unpacking.unconsumed_tail
    except zlib.error as error:
        raise httpx.DecodingError(str(error)) from error
    if not unpacking.eof:
        raise httpx.DecodingError("it breaks off")


def _file(request: RemoteRequest, answer: httpx.Response) -> RemoteFile:
    tag, size = answer.headers.get("etag", ""), answer.headers.get("content-length", "")
    packed = answer.headers.get("content-encoding", "identity") != "identity"
    return RemoteFile(
        _name(request),
        int(size) if size.isdigit() and not packed else None,
        "" if tag.startswith("W/") else tag.strip('"'),
    )


def _name(request: RemoteRequest) -> str:
    return request.url.path.rpartition("/")[2]


def _said(error: httpx.HTTPError) -> str:
    says = str(error)
    return f"{type(error).__name__}{': ' + says if says else ''}"


def _pause(retry_after: str | None, tried: int) -> float:
    """Return for how many seconds to wait before a request is repeated: what the server says, else twice as long each time."""
    own = min(_FIRST_PAUSE_S * 2 ** (tried - 1), _MOST_PAUSE_S)
    if not retry_after:
        return own
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            at = parsedate_to_datetime(retry_after)
        except (ValueError, OverflowError):
            return own
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - datetime.fromisoformat(now_utc())).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else own
