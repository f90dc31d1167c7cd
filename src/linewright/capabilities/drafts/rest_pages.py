"""A page of a REST service as the data of a new line: the place of its rows, and what leads to the next page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from linewright.data.spec import RestSource
from linewright.errors import RequestError
from linewright.text.suggest import listed

_DEEP = 3
"""How many names a path in a page has, at most."""
_NEXT = frozenset(
    {"next", "next_url", "nexturl", "next_page_url", "nextpageurl", "next_link", "nextlink", "next_page"}
)
"""Fields that hold the URL of the next page, in small letters."""
_MORE = frozenset(
    {
        "has_more",
        "hasmore",
        "next_cursor",
        "nextcursor",
        "cursor",
        "total_pages",
        "totalpages",
        "page",
        "offset",
    }
)
"""Fields of pages that are not found by a URL."""


def rest_source(url: str, at: str | None, file: Path) -> RestSource | None:
    """Return the source of a service, by its first page; `None` if the URL is that of a file."""
    if not url.startswith(("https:", "http:")) or "." in urlsplit(url).path.rpartition("/")[2]:
        return None
    try:
        page = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return None  # JSON lines, or a table of another form
    if isinstance(page, list):
        return RestSource(rest=url, at=at)
    if not isinstance(page, dict):
        return None
    fields = dict(_fields(cast("Mapping[str, Any]", page)))
    lists = [path for path, value in fields.items() if _are_rows(value)]
    if len(lists) != 1:
        raise _unclear(
            "a page of the service has several lists"
            if lists
            else "a page of the service has no list of rows",
            url,
            "write the line file by hand, with `items`: "
            + (listed(lists) if lists else "the path of the list"),
        )
    links = [path for path, value in fields.items() if _last(path) in _NEXT and _may_be_url(value)]
    more = [path for path in fields if _last(path) in _MORE and not path.startswith(f"{lists[0]}.")]
    if more and not links:
        raise _unclear(
            "a page of the service does not say how the next one is found",
            url,
            f"write the line file by hand, with `parameter`, and `next` for a cursor; a page has {listed(more)}",
        )
    return RestSource(rest=url, at=at, items=lists[0], next=links[0] if links else "")


def _fields(page: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, value in page.items():
        if "." in name or not name:
            continue  # no path leads there
        path = (*before, name)
        yield ".".join(path), value
        if isinstance(value, dict) and len(path) < _DEEP:
            yield from _fields(cast("Mapping[str, Any]", value), path)


def _last(path: str) -> str:
    return path.rpartition(".")[2].lower()


def _are_rows(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) for one in cast("list[Any]", value))
    )


def _may_be_url(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith(("http:", "https:", "/", "?")))


def _unclear(what: str, url: str, hint: str) -> RequestError:
    return RequestError(what, where="--data", found=url.partition("?")[0], hint=hint)
