"""What was decided about a model and what was left open: standing, certificate, limits."""

from collections.abc import Iterator

import msgspec

from linewright.model.card.parts import CardFacts, Section, Sentence, Table, cite
from linewright.model.facts import Certificate, GroupRates
from linewright.model.gate_reasons import BeatsFound, FairnessFound
from linewright.model.gates.text import (
    certificate_in_words,
    gate_in_words,
    incomparable_in_words,
    outcome_in_words,
)
from linewright.store.values import Event


def status_of(facts: CardFacts) -> tuple[str, str]:
    """Return the model's status in words, and the mark by which it is coloured."""
    if facts.champion == facts.version:
        return ("Champion, halted" if facts.halted else "Champion"), "champion"
    if any(_kind(event) == "promoted" for event in _own_events(facts)):
        return "Former champion", "former"
    return "Not promoted", "candidate"


def standing(facts: CardFacts) -> Section:
    """Say whether it serves, and what happened to it."""
    if facts.champion == facts.version:
        stands = f"It is the champion of {facts.line}: an endpoint of this factory answers with it."
        if facts.halted:
            stands = f"It is the champion of {facts.line}, which a person has halted: no endpoint of this factory answers."
    elif facts.champion is None:
        stands = f"It is not the champion; {facts.line} has none."
    else:
        stands = f"It is not the champion; {facts.line}@{facts.champion} is."
    told = [Sentence(text=_told(event), evidence=_cited(event)) for event in _own_events(facts)]
    return Section(name="standing", title="Where it stands", sentences=(Sentence(text=stands), *told))


def certificate(facts: CardFacts) -> Section:
    """Say what the gates found."""
    found = facts.certificate
    if found is None:
        return Section(
            name="certificate",
            title="Certificate",
            sentences=(Sentence(text="There is none: no gate has judged this model."),),
        )
    cited = cite(facts.certificate_digest)
    rival_cited = () if found.rival == "baseline" else (found.rival,)
    return Section(
        name="certificate",
        title="Certificate",
        sentences=(
            Sentence(text=f"Verdict: {found.verdict}. {certificate_in_words(found)}", evidence=cited),
            *_set_aside(facts),
            Sentence(
                text=_compared(found, facts),
                evidence=(*cited, *rival_cited),
            ),
            *_unequal(facts, (*rival_cited, *cite(facts.declared))),
        ),
        table=Table(
            head=("Result", "Gate", "What was found", "Rows"),
            rows=tuple(
                (one.status, gate_in_words(one), outcome_in_words(one), f"{one.n:,}")
                for one in found.outcomes
            ),
            marks=tuple(one.status for one in found.outcomes),
        )
        if found.outcomes
        else None,
    )


def _unequal(facts: CardFacts, evidence: tuple[str, ...]) -> Iterator[Sentence]:
    if facts.unequal:
        way = (
            ""
            if facts.champion == facts.version
            else f" If it should serve all the same: `{facts.in_spite}`."
        )
        yield Sentence(text=f"{facts.unequal[0].upper()}{facts.unequal[1:]}.{way}", evidence=evidence)


def fairness(facts: CardFacts) -> Iterator[Section]:
    """Say how the groups of each fairness gate were answered."""
    outcomes = facts.certificate.outcomes if facts.certificate else ()
    told = {one.found.column: one for one in outcomes if one.groups and isinstance(one.found, FairnessFound)}
    positive = facts.package.classes[-1] if facts.package.classes else ""
    for number, (column, one) in enumerate(told.items(), 1):
        text = (
            f"How the rows of each value of {column!r} were answered; a difference is not yet a wrong, and leaving the column "
            "out does not end one, since others can stand in for it."
        )
        yield Section(
            name=f"groups-{number}",
            title=f"Groups by {column}",
            sentences=(Sentence(text=text, evidence=cite(facts.certificate_digest)),),
            table=Table(
                head=(
                    column,
                    "Rows",
                    f"Truly {positive!r}",
                    f"Answered {positive!r}",
                    "… of these who truly are",
                    "… of those who are not",
                ),
                rows=tuple(_rates(group) for group in one.groups),
            ),
        )


def _rates(group: GroupRates) -> tuple[str, ...]:
    rates = (group.selection_rate, group.true_positive_rate, group.false_positive_rate)
    return (
        group.group,
        f"{group.n:,}",
        f"{group.positives:,}",
        *("too few rows" if rate is None else f"{rate:.1%}" for rate in rates),
    )


def _set_aside(facts: CardFacts) -> Iterator[Sentence]:
    if facts.promoted_on:
        text = "It was promoted on an earlier certificate; the gates have judged it anew since."
        yield Sentence(text=text, evidence=(facts.promoted_on,))
    if facts.gates_changed:
        text = "The gates were changed after it was trained."
        yield Sentence(text=text, evidence=cite(facts.declared))
    if facts.certificate and facts.verdict not in {"", facts.certificate.verdict}:
        tried = any(_kind(event) == "withdrawn" for event in _own_events(facts))
        what = (
            "it was taken back when it was tried" if tried else f"the verdict of the run was {facts.verdict}"
        )
        yield Sentence(text=f"In spite of that {what}; the reason is above.")


def _compared(found: Certificate, facts: CardFacts) -> str:
    is_adopted = facts.trained.adopted is not None
    if not any(isinstance(one.found, BeatsFound) for one in found.outcomes):
        return f"It was judged alone, on {found.n:,} {'test rows' if is_adopted else 'rows that it has not seen'}."
    against = "the prediction that uses no features" if found.rival == "baseline" else "the champion"
    because = f", because {incomparable_in_words(found.incomparable)}" if found.incomparable else ""
    left = f"; {found.excluded:,} more were left out, because the rival had been fitted on them"
    rows = "test rows" if is_adopted else "rows that neither has seen"
    if facts.rival_adopted and not is_adopted:
        rows = (
            "rows that it has not seen; whether the champion, which was imported, has seen them is not known"
        )
    return f"It was compared with {against}{because}, on {found.n:,} {rows}{left if found.excluded else ''}."


def limits(facts: CardFacts) -> Section:
    """Say what nobody looked at."""
    return Section(
        name="limits",
        title="What was not examined",
        sentences=tuple(Sentence(text=text, evidence=cited) for text, cited in _unexamined(facts)),
    )


def _unexamined(facts: CardFacts) -> Iterator[tuple[str, tuple[str, ...]]]:
    split = facts.split
    cited, split_cited = cite(facts.certificate_digest), (facts.trained.split,)
    outcomes = facts.certificate.outcomes if facts.certificate else ()
    if facts.trained.adopted:
        yield (
            "Which rows it has learned from is not known: if test rows are among them, it looks better than it is.",
            (facts.package.trained,),
        )
    if not any(isinstance(one.found, FairnessFound) for one in outcomes):
        yield "Whether groups of people are treated alike: no fairness gate is declared.", cited
    for one in outcomes:
        if one.status == "undecided":
            yield f"Undecided: {gate_in_words(one)}.", cited
    if split.by != "time":
        yield f"Whether it holds in later times: the split is by {split.by}, not by time.", split_cited
    for rows, which in (
        (split.embargo, "rows whose truth was not yet known at the cut-off"),
        (
            split.unlabelled,
            "rows without a label",
        ),
        (split.copies, "rows that repeat a training row, features and label alike,"),
    ):
        if rows:
            yield f"{rows:,} {which} are in neither part.", split_cited
    yield from _unproved(facts)
    yield (
        "Intervals tell the chance of the test rows alone: not that the world may change, nor that labels may be wrong.",
        (),
    )


def _unproved(facts: CardFacts) -> Iterator[tuple[str, tuple[str, ...]]]:
    for absent, what in (
        (facts.evaluation, "How good it is on rows that it has not seen."),
        (
            facts.explanation,
            "What it makes of its columns and where it is weak: nobody looked when it was judged.",
        ),
        (facts.parity, "Whether the package answers as the model that was trained."),
    ):
        if absent is None:
            yield what, ()
    if facts.evaluation and facts.package.half_width is not None and not facts.evaluation.coverage:
        yield (
            "Whether the interval of an answer holds what it is meant to: nobody counted when it was judged.",
            cite(facts.evaluation_digest),
        )
    if facts.evaluation and facts.package.classes and not facts.evaluation.reliability:
        yield (
            "Whether its probabilities can be taken at their word: nobody counted when it was judged.",
            cite(facts.evaluation_digest),
        )
    if not (facts.dropped or facts.forgotten) and not any(
        _kind(event) == "rebuilt" for event in _own_events(facts)
    ):
        yield "Whether it can be rebuilt from what is recorded of it.", (facts.package.trained,)


# Events


_DID = {
    "registered": "registered it",
    "promoted": "promoted it",
    "rolled_back": "rolled back",
    "refused": "did not promote it",
    "withdrawn": "took it back when it was tried",
    "rebuilt": "rebuilt it",
}


def _kind(event: Event) -> str:
    return str(type(event).__struct_config__.tag)


def _own_events(facts: CardFacts) -> list[Event]:
    return [event for event in facts.events if facts.version in _models(event)]


def _models(event: Event) -> set[object]:
    fields = msgspec.structs.asdict(event)
    return {fields.get("model"), fields.get("before") if _kind(event) == "rolled_back" else None}


def _told(event: Event) -> str:
    fields = msgspec.structs.asdict(event)
    did = _DID.get(_kind(event), _kind(event))
    if _kind(event) == "rolled_back":
        did = f"rolled back from version {fields['before']} to version {fields['model']}"
    if _kind(event) == "rebuilt":
        did = f"rebuilt it, {fields['level']}"
    if fields.get("forced"):
        did = "promoted it by force (no passing certificate was asked for)"
    return f"{event.at[:10]} {event.at[11:16]} UTC: {event.by} {did}: {event.because.rstrip('.')}."


def _cited(event: Event) -> tuple[str, ...]:
    fields = msgspec.structs.asdict(event)
    return cite(fields.get("certificate") or fields.get("package"))
