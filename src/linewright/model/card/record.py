"""What was decided about a model and what was left open: standing, certificate, limits."""

from collections.abc import Iterator

from linewright.model.card.parts import CardFacts, Section, Statement, Table, Text, say
from linewright.model.facts import GroupRates
from linewright.model.gate_reasons import BeatsFound, FairnessFound
from linewright.model.gates.text import gate_in_words, outcome_in_words
from linewright.store.values import Event


def status_of(facts: CardFacts) -> tuple[Text, str]:
    """Return the model's status, and the mark by which it is coloured."""
    if facts.champion == facts.version:
        return say("standing.is_halted" if facts.halted else "standing.is_champion"), "champion"
    if "promoted" in _own_events(facts):
        return say("standing.is_former"), "former"
    return say("standing.is_candidate"), "candidate"


def standing(facts: CardFacts) -> Section:
    """Return whether it serves, and what happened to it."""
    if facts.champion == facts.version:
        stands = say("standing.halted" if facts.halted else "standing.champion", line=facts.line)
    elif facts.champion is None:
        stands = say("standing.without", line=facts.line)
    else:
        stands = say("standing.behind", line=facts.line, champion=facts.champion)
    events = [event for event in facts.events if facts.version in _models(event)]
    return Section(
        name="standing", title="Where it stands", sentences=(stands, *(_happened(event) for event in events))
    )


def certificate(facts: CardFacts) -> Section:
    """Return what the gates found."""
    name, title, found = "certificate", "Certificate", facts.certificate
    if found is None:
        return Section(name=name, title=title, sentences=(say("certificate.absent"),))
    outcomes = found.outcomes
    return Section(
        name=name,
        title=title,
        sentences=(
            say("certificate.verdict", facts.certificate_digest, found=found),
            *_set_aside(facts),
            *_compared(facts),
        ),
        table=Table(
            head=("Result", "Gate", "What was found", "Rows"),
            rows=tuple(
                (one.status, gate_in_words(one), outcome_in_words(one), f"{one.n:,}") for one in outcomes
            ),
            marks=tuple(one.status for one in outcomes),
        )
        if outcomes
        else None,
    )


def _set_aside(facts: CardFacts) -> Iterator[Statement]:
    if facts.promoted_on:
        yield say("certificate.earlier", facts.promoted_on)
    if facts.gates_changed:
        yield say("certificate.gates_changed", facts.declared)
    if facts.certificate and facts.verdict not in {"", facts.certificate.verdict}:
        if "withdrawn" in _own_events(facts):
            yield say("certificate.withdrawn")
        else:
            yield say("certificate.set_aside", verdict=facts.verdict)


def _compared(facts: CardFacts) -> Iterator[Statement]:
    found, is_imported = facts.certificate, facts.trained.adopted is not None
    if found is None:
        return
    rival = None if found.rival == "baseline" else found.rival
    is_alone = not any(isinstance(one.found, BeatsFound) for one in found.outcomes)
    rows = "alone" if is_alone else "rival unknown" if facts.rival_adopted else "neither"
    yield say(
        "certificate.alone" if is_alone else "certificate.compared",
        facts.certificate_digest,
        rival,
        found=found,
        rows="unknown" if is_imported else rows,
    )
    if facts.unequal and facts.champion == facts.version:
        yield say("certificate.unequal", rival, facts.declared, how=facts.unequal)
    elif facts.unequal:
        yield say(
            "certificate.unequal_and_held",
            rival,
            facts.declared,
            how=facts.unequal,
            command=facts.in_spite,
        )


def fairness(facts: CardFacts) -> Iterator[Section]:
    """Return how the groups of each fairness gate were answered."""
    outcomes = facts.certificate.outcomes if facts.certificate else ()
    judged = {
        one.found.column: one for one in outcomes if one.groups and isinstance(one.found, FairnessFound)
    }
    for number, (column, one) in enumerate(judged.items(), 1):
        yield Section(
            name=f"groups-{number}",
            title=say("groups.title", column=column),
            sentences=(say("groups.rates", facts.certificate_digest, column=column),),
            table=Table(
                head=(
                    column,
                    "Rows",
                    f"Truly {facts.positive!r}",
                    f"Answered {facts.positive!r}",
                    "… of these who truly are",
                    "… of those who are not",
                ),
                rows=tuple(_rates(group) for group in one.groups),
            ),
        )


def _rates(group: GroupRates) -> tuple[Text, ...]:
    rates = (group.selection_rate, group.true_positive_rate, group.false_positive_rate)
    cells = (say("groups.too_few") if rate is None else f"{rate:.1%}" for rate in rates)
    return (group.group, f"{group.n:,}", f"{group.positives:,}", *cells)


def limits(facts: CardFacts) -> Section:
    """Return what nobody looked at."""
    return Section(name="limits", title="What was not examined", sentences=tuple(_unexamined(facts)))


def _unexamined(facts: CardFacts) -> Iterator[Statement]:
    split, judged, parts = facts.split, facts.certificate_digest, facts.trained.split
    outcomes = facts.certificate.outcomes if facts.certificate else ()
    if facts.trained.adopted:
        yield say("limits.imported", facts.package.trained)
    if not any(isinstance(one.found, FairnessFound) for one in outcomes):
        yield say("limits.fairness", judged)
    yield from (say("limits.undecided", judged, outcome=one) for one in outcomes if one.status == "undecided")
    if split.by != "time":
        yield say("limits.later", parts, by=split.by)
    if split.embargo:
        yield say("limits.embargo", parts, rows=split.embargo)
    if split.unlabelled:
        yield say("limits.unlabelled", parts, rows=split.unlabelled)
    if split.copies:
        yield say("limits.copies", parts, rows=split.copies)
    yield from _unmeasured(facts)
    yield say("limits.chance")


def _unmeasured(facts: CardFacts) -> Iterator[Statement]:
    evaluation, package = facts.evaluation, facts.package
    if evaluation is None:
        yield say("limits.evaluation")
    if facts.explanation is None:
        yield say("limits.explanation")
    if facts.parity is None:
        yield say("limits.parity")
    if evaluation and package.half_width is not None and not evaluation.coverage:
        yield say("limits.coverage", facts.evaluation_digest)
    if evaluation and package.classes and not evaluation.reliability:
        yield say("limits.reliability", facts.evaluation_digest)
    if not (facts.dropped or facts.forgotten or "rebuilt" in _own_events(facts)):
        yield say("limits.rebuilt", package.trained)


# Events


def _kind(event: Event) -> str:
    return str(type(event).__struct_config__.tag)


def _own_events(facts: CardFacts) -> set[str]:
    """Return the kinds of events of this model."""
    return {_kind(event) for event in facts.events if facts.version in _models(event)}


def _models(event: Event) -> set[object]:
    return {
        getattr(event, "model", None),
        getattr(event, "before", None) if _kind(event) == "rolled_back" else None,
    }


def _happened(event: Event) -> Statement:
    kind = "forced" if getattr(event, "forced", False) else _kind(event)
    cited = getattr(event, "certificate", None) or getattr(event, "package", None)
    return say(f"standing.{kind}", cited, event=event)
