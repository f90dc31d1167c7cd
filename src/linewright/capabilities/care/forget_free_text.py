"""Taking a person out of what people wrote: comments go, and what stays in the record is counted."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from linewright.line.erasure import NamedInRecord
from linewright.line.factory import Factory
from linewright.line.record.comments import put_words, words_of
from linewright.people.annotations import Annotations
from linewright.people.facts import Commented
from linewright.people.outbox import Outbox
from linewright.people.preferences import forget_views
from linewright.text.whole_words import WholeWords

_SHORTEST, _FEWEST_DIGITS = 3, 5
"""Characters of a text, and of one of digits alone, that can be looked for in sentences: a shorter one stands there for something else."""
INSTRUCTIONS = "instructions for annotators"
"""A kind of what names a person: the batches of questions whose instructions or consent do so."""


def words_for(texts: Collection[str]) -> WholeWords:
    """Return what finds some texts in sentences; ones that are too short are not looked for."""
    return WholeWords(
        [one for one in texts if len(one) >= (_FEWEST_DIGITS if one.isdecimal() else _SHORTEST)]
    )


def find_comments(
    factory: Factory, line: str, *, subject: str, keys: Collection[str] = (), about: Collection[str] = ()
) -> set[str]:
    """Return the digests of the words of comments about a person: of other lines, as far as who asks manages them, those that name them."""
    everywhere, here = words_for([subject]), words_for([subject, *keys])
    found, subjects = set[str](), {subject, *keys, *about} - {""}
    for one in factory.metadata.events(Commented):
        if not one.text or not (one.line == line or factory.may("manage", one.line)):
            continue
        said = words_of(factory, one).text
        names = here if one.line == line else everywhere
        if said and (names.are_in(said) or (one.line == line and one.about in subjects)):
            found.add(one.text)
    return found


def forget_beside(factory: Factory, texts: Collection[str]) -> None:
    """Remove saved views whose name or address has some texts, and replies of receivers of notifications that have them."""
    words = words_for(texts)
    forget_views(factory.state, lambda view: any(map(words.are_in, view.values)))
    Outbox(factory.state).forget_texts(words.are_in)


def emptied_comments(factory: Factory, digests: Collection[str]) -> dict[str, str]:
    """Keep what is to be in the place of the words of comments; return it by their digests."""
    return {one: put_words(factory.artifacts, "") for one in sorted(digests)}


def named_in_record(factory: Factory, texts: Collection[str]) -> tuple[NamedInRecord, ...]:
    """Count the entries of the record in whose sentences and names some texts stand, and the batches of questions with such instructions."""
    words, found = words_for(texts), Counter[str]()
    entries = chain(
        ((one.kind, one.body) for one in factory.metadata.links()),
        ((kind, body) for _, kind, body in factory.metadata.results()),
    )
    for kind, body in entries:
        if words.are_in(body) and any(map(words.are_in, _texts_in(msgspec.json.decode(body)))):
            found[kind] += 1
    for line in sorted(Annotations.queued(factory.state)):
        with Annotations.of(factory.state, line).reading() as held:
            named = [one for one in held.batches() if words.are_in(f"{one.instructions}\n{one.consent}")]
        found.update({INSTRUCTIONS: len(named)} if named else {})
    return tuple(NamedInRecord(kind=kind, entries=found[kind]) for kind in sorted(found))


def _texts_in(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            yield from chain.from_iterable(map(_texts_in, chain.from_iterable(value.items())))
        case list():
            yield from chain.from_iterable(map(_texts_in, value))
        case _:
            return
