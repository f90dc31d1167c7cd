"""Answers that are lists of items: which are popular, and what the lists are worth by what was taken of those that were shown."""

from collections.abc import Iterator

from linewright.model.card.parts import CardFacts, Section, Statement, Table, say

_POPULAR = 10


def lists(facts: CardFacts) -> Section | None:
    """Return the worth of the lists and the popular items; `None` if answers are of another form."""
    items = facts.package.encoder.items
    if not items:
        return None
    order = sorted(range(len(items)), key=lambda code: (-facts.trained.baseline[code], code))[:_POPULAR]
    return Section(
        name="lists",
        statements=tuple(_statements(facts)),
        table=Table(
            head=("Popular item", "Users who took it"),
            rows=tuple((items[code], f"{facts.trained.baseline[code]:.1%}") for code in order),
        ),
    )


def _statements(facts: CardFacts) -> Iterator[Statement]:
    yield say("lists.popular", facts.package.trained, items=len(facts.package.encoder.items))
    if facts.lists is None:
        return
    event, found = facts.lists, facts.lists.found
    if found.value is None:
        yield say("lists.few", event.package, event=event, found=found)
        return
    yield say("lists.value", event.package, event=event, found=found)
    yield say("lists.assumed", event.package, found=found)
