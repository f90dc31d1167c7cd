"""Model cards: one page about one model, in Markdown and HTML, each figure of which comes from the record."""

import re
from functools import cache

import msgspec
from jinja2 import Environment
from markupsafe import Markup, escape

from linewright.charts import to_svg
from linewright.model.card.parts import CardFacts, Plot, short
from linewright.model.card.sections import card_of
from linewright.model.card.words import environment, text_of

__all__ = [
    "CardFacts",
    "CardSection",
    "CardTable",
    "Said",
    "card_html",
    "card_markdown",
    "card_sections",
    "escape_markdown",
]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence of a card, and what it rests on."""

    text: str
    evidence: tuple[str, ...] = ()
    """Digests of the results."""


class CardTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of a card, as text."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marks: tuple[str, ...] = ()
    """One word a row, such as ``pass``; empty where rows are not marked."""


class CardSection(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a card, as text."""

    name: str
    """Such as ``weak``: a place on a page."""
    title: str
    statements: tuple[Said, ...]
    tables: tuple[CardTable, ...]


def card_sections(facts: CardFacts) -> tuple[CardSection, ...]:
    """Return the sections of the card as plain text, each sentence with its evidence, for pages that show them in their own way."""
    return tuple(
        CardSection(
            name=section.name,
            title=text_of(section.heading),
            statements=tuple(Said(text=text_of(one), evidence=one.evidence) for one in section.statements),
            tables=tuple(
                CardTable(
                    head=table.head,
                    rows=tuple(tuple(text_of(cell) for cell in row) for row in table.rows),
                    marks=table.marks,
                )
                for table in (section.lead, section.table or section.plain)
                if table and table.rows
            ),
        )
        for section in card_of(facts).sections
    )


_PLOT_WIDTH = 400
"""In pixels: two stand side by side."""


def card_markdown(facts: CardFacts) -> str:
    """Return the card as Markdown (CommonMark with tables). Text that users wrote appears as text."""
    return _markdown().get_template("card.md.jinja").render(card=card_of(facts))


def card_html(facts: CardFacts) -> str:
    """Return the card as one self-contained page: no script, nothing loaded from elsewhere."""
    return _html().get_template("card.html.jinja").render(card=card_of(facts))


@cache
def _html() -> Environment:
    found = environment("templates", autoescape=True)
    found.filters |= {"short": short, "coded": _coded, "drawn": _drawn}
    return found


@cache
def _markdown() -> Environment:
    found = environment("templates", finalize=_as_text, keep_trailing_newline=True)
    found.filters["short"] = short
    return found


def _as_text(value: object) -> str:
    return str(value) if isinstance(value, Markup) else escape_markdown(str(value))


_OWN_CODE = re.compile(r"`((?:linewright [a-z]|train: \{|\{beats: )[\w@ .,:{}\"-]*)`")
"""What our own sentences quote: a command, or words of a line file. Nothing in it means anything to Markdown or HTML, whoever wrote it."""
_ENTITIES = {"&": "&amp;", "<": "&lt;"}
_MARKUP = re.compile(r"&|<(?![\s=\d])")
"""Before a space, ``=`` or a digit ``<`` opens nothing; ``>`` closes nothing that is not open, and quotes only at the start of a line."""
_SPECIAL = re.compile(r"[\\`*\[\]|#~!$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK = re.compile(r"^(\s*)([-+]|=+|\d{1,9}[.)])(?=\s|$)|^(\s*)(>)")


def escape_markdown(text: str) -> str:
    r"""Return Markdown that shows `text` as it is, on one line; what our own sentences quote is code.

    Examples
    --------
    >>> print(escape_markdown("<b> [x](y) | snake_case _a_"))
    &lt;b> \[x\](y) \| snake_case \_a\_
    >>> print(escape_markdown("rows with n > 1 and `x`: `train: {prefer: small}`"))
    rows with n > 1 and \`x\`: `train: {prefer: small}`
    """
    line = " ".join(text.split())
    # Every second part is what a pair of backticks of ours holds.
    parts = _OWN_CODE.split(line)
    safe = "".join(f"`{part}`" if place % 2 else _plain(part) for place, part in enumerate(parts))
    return _BLOCK.sub(_without_block, safe)


def _plain(text: str) -> str:
    return _MARKUP.sub(lambda found: _ENTITIES[found[0]], _SPECIAL.sub(r"\\\g<0>", text))


def _without_block(found: re.Match[str]) -> str:
    start = found[0]
    return f"{start[:-1]}\\{start[-1]}"


def _drawn(plot: Plot) -> Markup:
    """Return the picture of a chart, which escapes what it shows."""
    chart = msgspec.structs.replace(plot.chart, title=text_of(plot.says))
    return Markup(to_svg(chart, width=_PLOT_WIDTH))  # noqa: S704


def _coded(text: str) -> Markup:
    """Return a sentence for a page, with what our own sentences quote as code."""
    parts = (escape(part) for part in _OWN_CODE.split(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )
