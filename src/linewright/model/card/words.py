"""The words of a card: each statement is a macro of `templates/card/`, which makes a plain text of its values."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from linewright.data import finding_text, split_text
from linewright.model import explanation_text, reason_text
from linewright.model.card import missed_classes
from linewright.model.card.parts import Text
from linewright.model.card.plots import said_answer
from linewright.model.evaluate import coverage_text, decision_changes, per_class, reliability_text
from linewright.model.gates import text as gate_text
from linewright.store.clock import said
from linewright.text import numbers

_SHARED = (
    coverage_text,
    explanation_text,
    finding_text,
    gate_text,
    missed_classes,
    numbers,
    reason_text,
    reliability_text,
    split_text,
)
"""Modules of the sentences that other commands say too: each function ``…_in_words`` is a filter of that name."""

_PARTS = (
    "templates/card",
    "templates/card/explanation",
    "templates/card/quality",
    "templates/card/record",
)
"""Folders of the macros: what all parts of a card say, and what one part says."""


def text_of(text: Text) -> str:
    r"""Return plain text on one line; a text that is known already stays as it is.

    Examples
    --------
    >>> from linewright.model.card.parts import say
    >>> text_of(say("groups.title", column="sex")), text_of("as\nit is")
    ('Groups by sex', 'as\nit is')
    """
    if isinstance(text, str):
        return text
    page, name = text.kind.split(".")
    macro = getattr(_words().get_template(f"{page}.jinja").module, name)
    if set(macro.arguments) != set(text.values):
        raise TypeError(f"{text.kind} says {sorted(macro.arguments)}, and was given {sorted(text.values)}")
    return " ".join(macro(**text.values).split())


def sentence_of(reason: str) -> str:
    """Return a reason as a sentence: a capital letter, and one full stop.

    Examples
    --------
    >>> sentence_of("it was the best."), sentence_of("")
    ('It was the best.', '')
    """
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}." if reason else ""


def environment(*folders: str, **settings: Any) -> Environment:
    """Return an environment of the templates in some folders, in which an unknown name is an error."""
    found = Environment(  # noqa: S701 -- plain text is not escaped: the page that it becomes a part of does that
        loader=ChoiceLoader([PackageLoader("linewright.model", folder) for folder in folders]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **settings,
    )
    found.filters["words"] = text_of
    return found


def _quoted(text: str) -> str:
    return repr(str(text))  # of an unknown name `repr` knows something to say


@cache
def _words() -> Environment:
    found = environment(*_PARTS)
    for module in _SHARED:
        found.filters.update({name: one for name, one in vars(module).items() if name.endswith("_in_words")})
    filters: dict[str, Callable[..., object]] = {
        "apart_by_class": per_class.apart_by_class,
        "redecided_in_words": decision_changes.redecided_in_words,
        "counted": numbers.count,
        "hardly_in_words": per_class.hardly_in_words,
        "instant": said,
        "integer": "{:,}".format,
        "listed": numbers.listed,
        "not_explained": explanation_text.NOT_EXPLAINED.__getitem__,
        "number": numbers.in_words,
        "percent": partial(said_answer, is_share=True),
        "quoted": _quoted,
        "sentence": sentence_of,
        "whole_percent": "{:.0%}".format,
    }
    found.filters.update(filters)
    return found
