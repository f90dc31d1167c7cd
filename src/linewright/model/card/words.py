"""The words of a card: each statement is a macro of `templates/card/`, which makes a plain text of its values."""

from collections.abc import Callable
from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined

from linewright.data.finding_text import evidence_in_words
from linewright.data.split_text import split_in_words
from linewright.model.card.missed_classes import unfound_in_words
from linewright.model.card.parts import Text
from linewright.model.card.plots import said_answer
from linewright.model.evaluate.coverage_text import (
    beyond_in_words,
    bias_in_words,
    coverage_in_words,
    parts_in_words,
)
from linewright.model.evaluate.decision_changes import redecided_in_words
from linewright.model.evaluate.per_class import apart_by_class
from linewright.model.evaluate.reliability_text import reliability_in_words
from linewright.model.explanation_text import NOT_EXPLAINED, where_in_words
from linewright.model.gates.text import certificate_in_words, gate_in_words, incomparable_in_words
from linewright.model.reason_text import (
    chosen_in_words,
    recent_in_words,
    sample_in_words,
    threshold_in_words,
)
from linewright.store.clock import said
from linewright.text.numbers import count, few_in_words, in_words, listed

_SHARED: tuple[Callable[..., object], ...] = (
    apart_by_class,
    beyond_in_words,
    bias_in_words,
    certificate_in_words,
    chosen_in_words,
    coverage_in_words,
    evidence_in_words,
    few_in_words,
    gate_in_words,
    incomparable_in_words,
    parts_in_words,
    recent_in_words,
    redecided_in_words,
    reliability_in_words,
    sample_in_words,
    split_in_words,
    threshold_in_words,
    unfound_in_words,
    where_in_words,
)
"""Sentences that other commands say too: filters of the same names."""


def text_of(text: Text) -> str:
    r"""Return plain text on one line; a text that is known already stays as it is.

    Parameters
    ----------
    text
        A statement has a kind, ``"page.macro"``: the macro of `templates/card/page.jinja` that says it.

    Raises
    ------
    jinja2.UndefinedError, TypeError
        If the macro needs a value that the statement does not have, or does not know one that it has.

    Examples
    --------
    >>> from linewright.model.card.parts import say
    >>> text_of(say("standing.without", line="churn")), text_of("as\nit is")
    ('It is not the champion; churn has none.', 'as\nit is')
    """
    if isinstance(text, str):
        return text
    page, macro = text.kind.split(".")
    worded = getattr(_words().get_template(f"{page}.jinja").module, macro)(**text.values)
    return " ".join(worded.split())


def sentence_of(reason: str) -> str:
    """Return a reason as a sentence: a capital letter, and one full stop.

    Examples
    --------
    >>> sentence_of("it was the best."), sentence_of("")
    ('It was the best.', '')
    """
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}." if reason else ""


@cache
def _words() -> Environment:
    environment = Environment(  # noqa: S701 -- plain text, which the page that it becomes a part of escapes
        loader=PackageLoader("linewright.model", "templates/card"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        **{one.__name__: one for one in _SHARED},
        "counted": count,
        "instant": said,
        "integer": "{:,}".format,
        "listed": listed,
        "not_explained": NOT_EXPLAINED.__getitem__,
        "number": in_words,
        "percent": partial(said_answer, is_share=True),
        "quoted": repr,
        "sentence": sentence_of,
        "whole_percent": "{:.0%}".format,
        "words": text_of,
    }
    environment.filters.update(filters)
    return environment
