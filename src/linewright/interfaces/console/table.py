"""The pages of the console, which capabilities declare, in the order of the navigation."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

from linewright.errors import RequestError
from linewright.interfaces.console.page import Page, Route
from linewright.operations.table import CAPABILITIES

NAVIGATION = (
    *(
        "factory",
        "inbox",
        "alerts",
        "value",
        "runs",
        "sources",
        "features",
        "proposals",
        "people",
        "audit",
        "audit-verify",
    ),
    *(
        "line",
        "release",
        "line-value",
        "try",
        "file",
        "datasets",
        "monitors",
        "predictions",
        "label",
        "labels",
    ),
)
"""The pages of the navigation, then those of a line's tabs, in their order; others lead to the rest."""


@cache
def routes() -> tuple[Route, ...]:
    """Return the pages of all capabilities, each imported; the one of a fixed address comes before one whose address has values."""
    pages: list[Page] = [
        page for each in CAPABILITIES if each.pages for page in each.load(f"{each.pages}:PAGES")
    ]
    found = {entry.name: Route(entry, page) for page in pages for entry in page.at}
    in_order = [found[name] for name in dict.fromkeys((*NAVIGATION, *found))]
    return tuple(sorted(in_order, key=lambda route: route.entry.path.count("{")))  # the order within stays


class Place(NamedTuple):
    """What an address leads to."""

    route: Route
    path: Mapping[str, str]
    """Values of its path."""
    values: Mapping[str, str]
    """Those of its path and its query."""


def find(address: str) -> Place:
    """Return what an address of ours leads to, as a browser would ask for it; whether somebody may see that is not looked at.

    Examples
    --------
    >>> find("/lines/claims/release").path, find("/?q=eu").values["q"]
    ({'line': 'claims'}, 'eu')
    """
    parts = urlsplit(address) if address.isprintable() else urlsplit("")
    is_here = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.fragment
    for route in routes() if is_here else ():
        if match := route.pattern.fullmatch(parts.path):
            path = {name: unquote(value) for name, value in match.groupdict().items()}
            return Place(route, path, route.values(path, parse_qs(parts.query, keep_blank_values=True)))
    raise RequestError(
        "no page has that address",
        where="address",
        found=address[:80],
        allowed="path and query of a page, as in /lines/NAME or /?need=alert",
        hint="copy what follows the host in the browser's address bar",
    )


def view_address(address: str) -> str:
    """Return the address by which a page is saved: without the values that are empty, which is as if they were not there.

    Examples
    --------
    >>> view_address("/?q=&need=alert&page=")
    '/?need=alert'
    """
    page, parts = find(address).route.page, urlsplit(address)
    given = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in given if value or (page.fields and name.startswith(page.fields))]
    return parts.path + (f"?{urlencode(kept)}" if kept else "")
