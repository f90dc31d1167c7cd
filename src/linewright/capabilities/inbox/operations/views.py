"""Operations about saved views: pages of the console with their filters, each under a name, that a member keeps for themselves."""

from importlib import import_module
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.capabilities.inbox.operations.own_preferences import change_own, read_own
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.people.preferences import MOST_ADDRESS, MOST_NAME, SavedView

_PAGES = "linewright.interfaces.console.table"
"""Knows which addresses pages have. It stands above operations, so that it is loaded by name, and only to save a view."""
Name = Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]
Address = Annotated[str, Meta(min_length=1, max_length=MOST_ADDRESS)]


class Views(msgspec.Struct, frozen=True, kw_only=True):
    """The saved views of the caller, by name."""

    views: tuple[SavedView, ...]


@operation(permission="view", effect="read", checks_lines=True)
def views(factory: Factory) -> Views:
    """List the pages that you have saved; nobody else can read them."""
    return Views(views=read_own(factory).views)


@operation(permission="view", effect="act", checks_lines=True)
def save_view(factory: Factory, name: Name, page: Address, /) -> Views:
    """Save a page of the console with its filters under a name, for yourself.

    Saving the same page again renames it; saving another page under the same name replaces it. You may save 20.

    Parameters
    ----------
    name
        What to call it, at most 60 characters.
    page
        Its path and query, as in ``/?q=fraud&need=alert``.
    """
    name = name.strip()
    if not name or not name.isprintable():
        allowed = f"1 to {MOST_NAME} printable characters, not blanks alone"
        raise RequestError(
            "this cannot be the name of a view", where="name", found=name[:80], allowed=allowed
        )
    view = SavedView(name=name, address=import_module(_PAGES).view_address(page))
    return Views(views=change_own(factory, lambda now: now.with_view(view)).views)


@operation(permission="view", effect="act", checks_lines=True)
def delete_view(factory: Factory, name: Name, /) -> Views:
    """Delete one of your saved views.

    Parameters
    ----------
    name
        Name of the view.
    """
    return Views(views=change_own(factory, lambda now: now.without_view(name)).views)
