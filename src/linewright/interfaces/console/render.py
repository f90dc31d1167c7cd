"""How values become a page: templates, and the few ways in which times, numbers and names are written."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from linewright.charts import Chart, rows_to_csv, to_csv, to_html
from linewright.interfaces.console import charts
from linewright.interfaces.console.fields import name_of, view_of, words_of
from linewright.interfaces.console.page import Rows
from linewright.interfaces.console.saved_page import place_of
from linewright.line.loop.waiting import wait_in_words
from linewright.line.loop.worst_slice_text import worst_slice_in_words
from linewright.line.predict.find_answers import positive_of
from linewright.line.problem import problem_in_words
from linewright.operations.table import CAPABILITIES
from linewright.text.numbers import bytes_in_words, in_words

HOME = "linewright.interfaces.console"
LANGUAGE = "en"
_COMMAND = re.compile(r"[:;,.] *`linewright [^`]*`[^;:]*$")
NONE = Markup("&ndash;")
"""Stands for a missing value."""


@cache
def static(name: str) -> bytes:
    """Return a file of ours that pages load: the style, the script, the icon."""
    return files(HOME).joinpath("static", name).read_bytes()


@cache
def version_of(name: str) -> str:
    """Return what changes with a file's bytes, for its address: browsers keep each version for ever."""
    return hashlib.sha256(static(name)).hexdigest()[:12]


@cache
def texts(language: str = LANGUAGE) -> Mapping[str, str]:
    """Return the catalogue of a language: English text → its text there."""
    return json.loads(files(HOME).joinpath("texts", f"{language}.json").read_bytes())


@cache
def words() -> Mapping[str, str]:
    """Return the words that a page explains on the spot."""
    return json.loads(files(HOME).joinpath("texts", "words.json").read_bytes())


def translate(text: str) -> str:
    """Return a text of ours in the reader's language; what the catalogue lacks stays English."""
    return texts().get(text, text)


def instant(text: str | None) -> Markup:
    """Write an instant, RFC 3339; the script writes it in the reader's zone.

    Examples
    --------
    >>> instant("2026-06-01T12:30:05.000000Z")
    Markup('<time datetime="2026-06-01T12:30:05Z">2026-06-01 12:30 UTC</time>')
    """
    if not text:
        return NONE
    at = datetime.fromisoformat(text)
    return Markup('<time datetime="{}">{}</time>').format(
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M} UTC"
    )


def number(value: float | None, digits: int | None = None) -> Markup:
    """Write a number; the script writes it as the reader's language does.

    Examples
    --------
    >>> number(12345), number(0.51234)
    (Markup('<data value="12345">12,345</data>'), Markup('<data value="0.51234">0.512</data>'))
    """
    if value is None:
        return NONE
    shown = f"{value:,}" if isinstance(value, int) else in_words(value)
    if digits is not None:
        shown = f"{value:,.{digits}f}"
    return Markup('<data value="{}">{}</data>').format(value, shown)


def percent(share: float | None, digits: int = 1) -> Markup:
    """Write a share as per cent."""
    if share is None:
        return NONE
    return Markup('<data value="{}" data-style="percent">{}</data>').format(share, f"{share:.{digits}%}")


def money(amount: float | None, currency: str | None = "") -> Markup:
    """Write an amount of money, rounded to whole units."""
    if amount is None:
        return NONE
    unit = f" {currency}" if currency else ""
    return Markup('<data value="{}">{}</data>{}').format(round(amount), f"{round(amount):,}", unit)


def bytes_of(size: float | None) -> str:
    """Write a number of bytes."""
    return NONE if size is None else bytes_in_words(size)


def digest(text: str | None, line: str = "") -> Markup:
    """Write the beginning of a digest or an id, with the whole of it on hover, and a link to what it stands for."""
    if not text:
        return NONE
    query = f"?line={quote(line, safe='')}" if line else ""
    link = f"/evidence/{quote(text, safe=':@')}{query}"
    return Markup('<a class="digest" href="{}" title="{}">{}</a>').format(link, text, short(text))


def short(digest: str) -> str:
    """Return the beginning of a digest.

    Examples
    --------
    >>> short("sha256:0123456789abcdef")
    '0123456789'
    """
    return digest.removeprefix("sha256:")[:10]


def model(name: str | None) -> Markup:
    """Write a model's name as a link to its version."""
    if not name or "@" not in name:
        return NONE if not name else escape(name)
    line, _, version = name.rpartition("@")
    return Markup('<a href="/lines/{}/versions/{}">{}</a>').format(line, version, name)


def line(name: str) -> Markup:
    """Write a line's name as a link to its page."""
    return Markup('<a href="/lines/{}">{}</a>').format(name, name)


def by_size(parts: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return named numbers, the largest first, whatever their sign.

    Examples
    --------
    >>> by_size({"age": 0.1, "sex": -0.4})
    [('sex', -0.4), ('age', 0.1)]
    """
    return sorted(parts.items(), key=lambda each: (-abs(each[1]), each[0]))


def fingerprint(text: str) -> str:
    """Return what changes with a text: a page says it of itself, so that its browser learns of what changed since.

    Examples
    --------
    >>> fingerprint("a")
    'ca978112ca1bbdca'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plainly(text: str) -> str:
    """Return a reason without the command that it ends with, for those who read pages.

    Examples
    --------
    >>> plainly("the line file wants approval by ada: `linewright approve 1`")
    'the line file wants approval by ada'
    """
    return _COMMAND.sub("", text)


def term(word: str, shown: str = "") -> Markup:
    """Write a word of the field with its meaning, on hover and on focus."""
    meaning = words().get(word)
    if meaning is None:
        return escape(shown or translate(word))
    return Markup('<abbr tabindex="0" title="{}">{}</abbr>').format(meaning, shown or translate(word))


@pass_context
def chart(context: Context, shown: Chart) -> Markup:
    """Draw a chart, with the table behind it and a link to its data."""
    number, here = len(context["charts"]), context["here"]
    context["charts"].append(shown)
    place = f"{here}{'&' if '?' in here else '?'}data="
    link = Markup('<p class="soft"><a href="{}{}.csv" data-plain>{}</a></p>').format(
        place, number, translate("Data as CSV")
    )
    made = Markup(to_html(shown, summary=translate("Table")))  # noqa: S704 -- each text of it is escaped there
    return made if context["saves"] else made + link


@pass_context
def download(context: Context, rows: Rows, address: str, text: str) -> Markup:
    """Write a link to rows as CSV, at an address of the page."""
    if context["saves"]:
        return Markup("")
    number, joint = len(context["charts"]), "&" if "?" in address else "?"
    context["charts"].append(rows)
    return Markup('<a href="{}{}data={}.csv" data-plain>{}</a>').format(address, joint, number, text)


def data_of(shown: Chart | Rows) -> str:
    """Return the data of a chart, or rows, as CSV."""
    return rows_to_csv(shown.headings, shown.rows) if isinstance(shown, Rows) else to_csv(shown)


@cache
def environment() -> Environment:
    """Return what loads templates; texts in them are in the catalogue, and all else is escaped."""
    made = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader(HOME, "templates"),
                PrefixLoader(
                    {
                        each.home.rpartition(".")[2]: PackageLoader(each.home, "templates")
                        for each in CAPABILITIES
                        if each.pages
                    }
                ),
            ]
        ),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    made.install_gettext_callables(translate, _plural, newstyle=True)  # pyright: ignore[reportAttributeAccessIssue] -- the extension adds it
    writers: dict[str, Callable[..., Any]] = {
        "instant": instant,
        "number": number,
        "percent": percent,
        "money": money,
        "bytes": bytes_of,
        "digest": digest,
        "model": model,
        "line": line,
        "chart": chart,
        "download": download,
        "words": words_of,
        "field": name_of,
        "short": short,
        "view": view_of,
        "wait": wait_in_words,
        "worst_slice": worst_slice_in_words,
        "problem": problem_in_words,
        "by_size": by_size,
        "fingerprint": fingerprint,
        "positive": positive_of,
        "plainly": plainly,
    }
    made.filters.update(writers)
    given: dict[str, Any] = made.globals  # pyright: ignore[reportAssignmentType] -- of what Jinja puts there by itself
    given.update(draw=charts, term=term, version_of=version_of, style_digest=style_digest, place_of=_place_of)
    return made


def _place_of(number: int) -> Markup:
    return Markup(place_of(number))  # noqa: S704 -- of a number


def _plural(one: str, many: str, n: int) -> str:
    return translate(one if n == 1 else many)


@cache
def style_digest() -> str:
    """Return what the policy of a saved page names its style by."""
    return base64.b64encode(hashlib.sha256(static("linewright.css")).digest()).decode()
