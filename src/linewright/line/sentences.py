"""Sentences of results, beside the values that they are made of: results hold no sentence."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import convert

from linewright.data.facts import Split
from linewright.data.split_text import split_in_words


def with_sentences(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a result with the sentences that people read of it.

    Parameters
    ----------
    body
        As the metadata store has it, with its ``kind``.
    """
    return body | _SENTENCES.get(body["kind"], lambda _: {})(body)


def _split(body: dict[str, Any]) -> dict[str, Any]:
    return {"why": split_in_words(convert(body, Split))}


_SENTENCES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"split": _split}
