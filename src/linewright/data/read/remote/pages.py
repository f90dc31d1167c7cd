"""Rows of a REST service, page after page."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, Self, cast
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from linewright.data.read.remote.remote_store import RemoteRequest
from linewright.data.spec import RestSource
from linewright.errors import RequestError, Transient
from linewright.text.suggest import listed

Row = Mapping[str, str | None]
"""A row by the names of its fields: plain values as they are spelled, others as JSON."""
_SHOWN = 80
"""Letters of a name that are shown."""
_MOST_OBJECTS = 2_000_000
"""Objects and lists of one page: each takes some 100 bytes of memory, and two of the page."""


class Answer(Protocol):
    """A page as it came."""

    @property
    def body(self) -> bytes:
        """JSON."""
        ...

    @property
    def link(self) -> str:
        """URL that the header ``Link`` names as the next page; empty without one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages of a service."""

    spec: RestSource
    request: RemoteRequest
    ask: Callable[[str], Answer]
    """Returns the page of a URL, which may lead to no other server."""

    def rows(self) -> Iterator[Sequence[Row]]:
        """Give the rows of each page; where pages move while they are read, some rows come again."""
        return self._numbered() if self.spec.parameter and not self.spec.next else self._linked()

    def _linked(self) -> Iterator[Sequence[Row]]:
        url, seen = self.spec.rest, set[str]()
        while url:
            if url in seen:
                raise self._wrong("the pages lead in a circle", hint="look at `next` and `parameter`")
            seen.add(url)
            page, body = self._page(url)
            yield self._rows_in(body)
            url = self._next(url, body) if self.spec.next else page.link

    def _next(self, url: str, body: Any) -> str:
        found = _at(body, self.spec.next)
        if found in (None, "", False):
            return ""
        if not isinstance(found, str | int):
            raise self._wrong("what `next` names is neither text nor a number", hint="look at `next`")
        try:
            if self.spec.parameter:
                return _with_parameter(self.spec.rest, self.spec.parameter, str(found))
            return urljoin(url, str(found))
        except ValueError as error:
            raise self._wrong("what `next` names is no URL", hint="look at `next`") from error

    def _numbered(self) -> Iterator[Sequence[Row]]:
        """Give the rows of pages by their numbers, each once no row can have slipped past its beginning.

        If rows before a page went, the page before it is another one when it is requested again. Then that one is read again, and so
        on back to the first page that is as it was. Time alone ends this where rows go all the time.
        """
        seen: list[bytes] = []
        while True:
            rows = self._numbered_page(len(seen) + 1)
            if seen and _digest(self._numbered_page(len(seen))) != seen[-1]:
                if self.spec.key is None:
                    raise Transient(
                        f"the pages of source {self.request.name!r} move while they are read",
                        where=f"{self.request.where}.rest",
                        found=self.request.url.place,
                        hint="nothing of this source was kept; name the column that tells rows apart as `key`",
                    )
                seen.pop()  # it is read once more, after the one before it was looked at
                continue
            if not rows:
                return
            if seen and _digest(rows) == seen[-1]:
                raise self._wrong(
                    "two pages are the same",
                    hint=f"look whether {self.spec.parameter!r} is what numbers pages",
                )
            yield rows
            seen.append(_digest(rows))

    def _numbered_page(self, number: int) -> Sequence[Row]:
        _, body = self._page(_with_parameter(self.spec.rest, self.spec.parameter, str(number)))
        return self._rows_in(body)

    def _page(self, url: str) -> tuple[Answer, Any]:
        page = self.ask(url)
        if page.body.count(b"{") + page.body.count(b"[") > _MOST_OBJECTS:
            hint = "ask for smaller pages, or save the rows as JSON lines and read that file"
            raise self._wrong(f"a page has more than {_MOST_OBJECTS:,} objects and lists", hint=hint)
        try:
            text = page.body.decode("utf-8-sig")
            return page, json.loads(
                text, parse_float=_Spelled, parse_constant=_CONSTANTS.get, object_pairs_hook=_fields
            )
        except (ValueError, RecursionError) as error:
            if isinstance(error, _TwiceError):
                raise self._wrong(f"an object has the same field twice: {error}", hint="") from error
            if page.body.lstrip()[:1] in {b"{", b"["}:
                raise self.request.unavailable_error(f"a page breaks off, or is not JSON: {error}") from error
            raise self._wrong("a page is not JSON", hint="look at the URL") from error

    def _rows_in(self, body: Any) -> Sequence[Row]:
        found = _at(body, self.spec.items) if self.spec.items else body
        if not isinstance(found, list):
            names = [*cast("Mapping[str, Any]", body)] if isinstance(body, dict) else []
            raise RequestError(
                "a page has no list of rows there",
                where=f"{self.request.where}.items",
                found=self.spec.items or None,
                allowed=f"the path of the list; a page has {listed(names)}"
                if names
                else "the path of the list",
            )
        items = cast("list[Any]", found)
        if not all(isinstance(item, dict) for item in items):
            raise self._wrong("a row is not an object", hint="look at `items`")
        return [{name: _text(value) for name, value in item.items()} for item in items]

    def _wrong(self, what: str, *, hint: str) -> RequestError:
        return RequestError(what, where=f"{self.request.where}.rest", found=self.request.url.place, hint=hint)


class _Spelled(float):
    """A number that is not whole, with its spelling."""

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


class _TwiceError(ValueError):
    """An object with two fields of one name."""


_CONSTANTS = {"NaN": None, "Infinity": "Infinity", "-Infinity": "-Infinity"}


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise _TwiceError(names.most_common(1)[0][0][:_SHOWN])
    return found


def _digest(rows: Sequence[Row]) -> bytes:
    return sha256(json.dumps(rows).encode()).digest()


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case _Spelled():
            return value.text
        case int():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _at(body: Any, path: str) -> Any:
    """Return what stands at a path of names; `None` for nothing."""
    for name in path.split("."):
        if not isinstance(body, dict):
            return None
        body = cast("Mapping[str, Any]", body).get(name)
    return body


def _with_parameter(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    kept = [(other, text) for other, text in parse_qsl(parts.query, keep_blank_values=True) if other != name]
    return parts._replace(query=urlencode([*kept, (name, value)])).geturl()
