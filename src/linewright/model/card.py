"""Model cards: one page about one model, in Markdown and HTML, each figure of which comes from the record."""

import re
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from linewright.model.card_parts import CardFacts, short
from linewright.model.card_sections import card_of

__all__ = ["CardFacts", "card_html", "card_markdown", "escape_markdown"]


def card_markdown(facts: CardFacts) -> str:
    """Return the card as Markdown (CommonMark with tables). Text that users wrote appears as text."""
    return _markdown().get_template("card.md.jinja").render(card=card_of(facts))


def card_html(facts: CardFacts) -> str:
    """Return the card as one self-contained page: no script, nothing loaded from elsewhere."""
    return _html().get_template("card.html.jinja").render(card=card_of(facts))


@cache
def _html() -> Environment:
    environment = Environment(
        loader=PackageLoader("linewright.model", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    return environment


@cache
def _markdown() -> Environment:
    environment = Environment(  # noqa: S701 -- `finalize` escapes every value, for Markdown
        loader=PackageLoader("linewright.model", "templates"),
        finalize=_as_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"short": short, "cells": _cells, "rules": _rules}
    return environment


def _cells(row: Sequence[str]) -> Markup:
    return Markup(" | ".join(escape_markdown(cell) for cell in row))  # noqa: S704 -- each cell is escaped


def _rules(head: Sequence[str]) -> Markup:
    return Markup(" | ".join("---" for _ in head))  # noqa: S704 -- no user's text in it


def _as_text(value: object) -> str:
    return str(value) if isinstance(value, Markup) else escape_markdown(str(value))


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"[\\`*\[\]|#~!$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK = re.compile(r"^(\s*)([-+]|=+|\d{1,9}[.)])(?=\s|$)")


def escape_markdown(text: str) -> str:
    r"""Return Markdown that shows `text` as it is, on one line.

    Examples
    --------
    >>> print(escape_markdown("<b> [x](y) | snake_case _a_"))
    &lt;b&gt; \[x\](y) \| snake_case \_a\_
    """
    line = " ".join(text.split())
    safe = re.sub(r"[&<>]", lambda found: _ENTITIES[found[0]], _SPECIAL.sub(r"\\\g<0>", line))
    return _BLOCK.sub(lambda found: f"{found[1]}{found[2][:-1]}\\{found[2][-1]}", safe)
