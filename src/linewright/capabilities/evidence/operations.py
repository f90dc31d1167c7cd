"""Operations that answer for a model: its card, what an id stands for, what a claim rests on."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from linewright.capabilities.evidence.card import card_facts
from linewright.capabilities.evidence.lineage import unknown_column
from linewright.capabilities.evidence.lookup import look_up
from linewright.capabilities.evidence.rebuild.compare import Rebuilding
from linewright.capabilities.evidence.rebuild.worker import rebuild_apart
from linewright.capabilities.evidence.replay import Replayed, replay_prediction
from linewright.data.facts import MASK
from linewright.errors import NotFound
from linewright.line.factory import Factory
from linewright.line.loop.worst_slice import WorstSlice
from linewright.line.loop.worst_slice import worst_slice as find_worst_slice
from linewright.line.personal import hidden_columns
from linewright.line.record.evidence import Claim, explain
from linewright.line.record.line_of_result import is_of
from linewright.line.record.monitoring.alerts import find_alert, find_visible_alert
from linewright.line.record.registry import find_model
from linewright.model.card.render import CardSection, card_html, card_markdown, card_sections
from linewright.model.card.simplest import Rival, simplest
from linewright.model.explanation_text import explanation_in_words
from linewright.model.facts import Plain, Reliability
from linewright.operations.declare import operation
from linewright.serve.models.memory import to_bytes


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A model card."""

    model: str
    markdown: str
    html: str | None
    """The card as one self-contained page, where it was asked for."""
    explanation: dict[str, Any] | None = None
    """What the model makes of its columns and where it is weak, in figures; `None` where it was not judged."""
    reliability: Reliability | None = None
    """Whether its probabilities can be taken at their word, in figures; `None` where answers are numbers."""
    simpler: Rival | None = None
    """The simplest setting that was tried and whose loss is not surely above the chosen one's, row by row, where one is simpler."""
    plain: Plain | None = None
    """What a plain linear model reaches on the test rows; `None` where the model is one."""
    sections: tuple[CardSection, ...] = ()
    """What it says, section by section, each sentence with the digests of its evidence."""


class CardPage(Card, frozen=True, kw_only=True):
    """A model card that a notebook shows."""

    page: str
    """The card as one self-contained page."""


def in_notebook(told: Card) -> CardPage:
    """Return a card that was asked for as a page as one that was not, and that a notebook shows."""
    fields: dict[str, Any] = {name: getattr(told, name) for name in told.__struct_fields__}
    fields |= {"html": None, "page": told.html}
    return CardPage(**fields)


@operation(permission="view", effect="read", expensive=True)
def card(factory: Factory, model: str, /, *, html: bool = False) -> Card:
    """Show the model card of a model, as Markdown or as a page.

    Parameters
    ----------
    model
        Which model, as LINE@VERSION or LINE@challenger; LINE alone means its champion.
    html
        As one self-contained HTML page instead of Markdown.
    """
    version = find_model(factory, model)
    facts = card_facts(factory, version)
    return Card(
        model=facts.name,
        markdown=card_markdown(facts),
        html=card_html(facts) if html else None,
        explanation=None if facts.explanation is None else explanation_in_words(facts.explanation),
        reliability=facts.evaluation.reliability if facts.evaluation else None,
        simpler=simplest(facts.trained.trials, facts.trained.chosen),
        plain=facts.evaluation.plain if facts.evaluation else None,
        sections=card_sections(facts),
    )


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What an id stands for."""

    id: str
    kind: str
    body: dict[str, Any]


@operation(permission="view", effect="read", checks_lines=True)
def show(factory: Factory, id: str, /, *, line: str | None = None) -> Shown:  # noqa: A002 -- the word of the interface contract
    """Show what an id stands for: a prediction, a run, a result, an alert or a column.

    Parameters
    ----------
    id
        A prediction id, a run id, LINE@VERSION, the beginning of a digest or of an alert's id, or a column, as SOURCE.COLUMN, VIEW.COLUMN (which the
        feature view computes, or its source has) or LINE.COLUMN (of its table): what it is made of, and what is made of it, up to models.
    line
        Name of the line of a prediction, if it is known: then it is found sooner (default: all lines are looked through).
    """
    found = look_up(factory, id, line=line)
    # What somebody may not see is not there for them: an id tells nothing of other lines.
    # Of a column only those of their lines are found.
    if found is None or not (found.kind == "column" or _may_see(factory, found.id, found.line)):
        raise unknown_column(factory, id) or NotFound(
            "nothing has that id",
            found=id,
            hint="`linewright runs` and `linewright models LINE` list what there is",
        )
    if found.kind == "prediction":
        factory.identity.require("view-rows", [found.line] if found.line else [])
    return Shown(id=found.id, kind=found.kind, body=found.body)


@operation(permission="view-rows", effect="read", checks_lines=True, expensive=True)
def replay(factory: Factory, /, *, prediction: str, explain: bool = False) -> Replayed:
    """Compute a logged answer again with the model that gave it, and compare.

    The model is loaded by the digest in the log, whatever serves now, and reads the row as it was received. It also tells
    what turned out to be true, and what was held to be true before that was corrected.

    Parameters
    ----------
    prediction
        The id of the prediction: it is in each answer of an endpoint, and in a column of what `predict` writes.
    explain
        Say too what each column contributed to the answer, by the model that gave it.
    """
    return replay_prediction(factory, prediction, explain=explain)


class Because(msgspec.Struct, frozen=True, kw_only=True):
    """A claim and what it rests on."""

    id: str
    kind: str
    says: str
    rests_on: tuple["Because", ...]


@operation(permission="view", effect="read", checks_lines=True)
def why(factory: Factory, evidence: str, /) -> Because:
    """Follow a claim to its evidence.

    Parameters
    ----------
    evidence
        LINE@VERSION, LINE for its champion, or the beginning of an evidence id on a card or of an alert's id.
    """
    name = evidence.partition("@")[0]
    alert = find_alert(factory, evidence)
    line = name if "@" in evidence or name in factory.names() else alert.line if alert else None
    found = factory.metadata.find(evidence) if line is None and evidence else []
    if len(found) != 1 or not _may_see(factory, found[0][0], None):
        factory.identity.require("view", [] if line is None else [line])
    return _because(explain(factory, evidence))


def _may_see(factory: Factory, identity: str, line: str | None) -> bool:
    """Return whether somebody may see what has an id; a result names no line, and is seen with any line that rests on it."""
    if factory.may("view", line):
        return True
    if line is not None or not factory.metadata.find(identity):
        return False
    own = factory.identity.lines("view") or ()
    return any(is_of(factory, identity, each) for each in factory.names() if each in own)


def _because(claim: Claim) -> Because:
    return Because(
        id=claim.digest,
        kind=claim.kind,
        says=claim.says,
        rests_on=tuple(_because(part) for part in claim.rests_on),
    )


@operation(permission="plan", effect="act", expensive=True)
def rebuild(
    factory: Factory,
    model: str,
    /,
    *,
    workers: Annotated[int, Meta(ge=1, le=2)] = 2,
    max_seconds: Annotated[float, Meta(gt=0)] | None = None,
    max_memory: str | None = None,
) -> Rebuilding:
    """Compute a model again from its manifest, in a fresh process, and compare.

    It says R0 for the same bytes, R1 for the same predictions, R2 for the same metric within its interval; else what differs, and
    what may be why. No source file is read and no model is changed: only the event is recorded.

    Parameters
    ----------
    model
        Which model, as LINE@VERSION or LINE@challenger; LINE alone means its champion.
    workers
        Fits that may go on at a time; what comes out does not depend on it.
    max_seconds
        Most seconds that it may take (default: no limit).
    max_memory
        Most memory that its process may ask for, e.g. 8GiB (default: no limit).
    """
    return rebuild_apart(
        factory,
        find_model(factory, model),
        workers=workers,
        max_seconds=max_seconds,
        max_memory=None if max_memory is None else to_bytes(max_memory, where="max-memory"),
    )


@operation(permission="view", effect="read", expensive=True, checks_lines=True)
def worst_slice(factory: Factory, id: str, /) -> WorstSlice:  # noqa: A002 -- the word of the interface contract
    """Find the slice of rows in which what an alert found is worst, with an interval.

    A slice has one value, or a fifth of the numbers, of a column that the model reads. For an alert about data it is the slice whose rows
    moved most; for one about quality, the slice whose loss rose most. It is found on one half of the rows and measured on the other.

    Parameters
    ----------
    id
        The alert's id, or its beginning.
    """
    found_alert = find_visible_alert(factory, id)
    found, hidden = find_worst_slice(factory, found_alert), hidden_columns(factory, found_alert.line)
    if found.worst is None:
        return found
    is_about, columns = found.column in hidden, [one.column for one in found.worst.conditions]
    worst = replace(found.worst, cells=()) if is_about else found.worst
    if any(name in hidden for name in columns):
        worst = replace(worst, conditions=(), where=tuple(f"{name} = {MASK}" for name in columns))
    return replace(found, worst=worst)
