"""What was decided about a model and what was left open: standing, certificate, limits."""

from collections.abc import Iterator

from linewright.model.card.parts import CardFacts, Section, Statement, Table, Text, say, that_hold
from linewright.model.facts import Certificate, GroupRates
from linewright.model.gate_reasons import BeatsFound, FairnessFound
from linewright.model.gates.text import gate_in_words, outcome_in_words
from linewright.model.task_facts import has_classes, learns_good, task_facts
from linewright.store.values import Event


def status_of(facts: CardFacts) -> tuple[Text, str]:
    """Return the model's status, and the mark by which it is coloured."""
    if facts.champion == facts.version:
        return say("standing.is_halted" if facts.halted else "standing.is_champion"), "champion"
    if _has(facts, "promoted") or _has(facts, "forced"):
        return say("standing.is_former"), "former"
    return say("standing.is_candidate"), "candidate"


def standing(facts: CardFacts) -> Section:
    """Return whether it serves, and what happened to it."""
    if facts.champion == facts.version:
        kind = "halted" if facts.halted else "champion"
    else:
        kind = "without" if facts.champion is None else "behind"
    stands = say(f"standing.{kind}", line=facts.line, champion=facts.champion)
    return Section(name="standing", statements=(stands, *(_happened(*one) for one in _own_events(facts))))


def certificate(facts: CardFacts) -> Section:
    """Return what the gates found."""
    found = facts.certificate
    if found is None:
        return Section(name="certificate", statements=(say("certificate.absent"),))
    return Section(
        name="certificate",
        statements=(
            say("certificate.verdict", facts.certificate_digest, found=found),
            *_set_aside(facts, found.verdict),
            *_compared(facts, found),
        ),
        table=Table(
            head=("Result", "Gate", "What was found", "Rows"),
            rows=tuple(
                (one.status, gate_in_words(one), outcome_in_words(one), f"{one.n:,}")
                for one in found.outcomes
            ),
            marks=tuple(one.status for one in found.outcomes),
        ),
    )


def _set_aside(facts: CardFacts, verdict: str) -> tuple[Statement, ...]:
    is_held, is_withdrawn = facts.verdict not in {"", verdict}, _has(facts, "withdrawn")
    return that_hold(
        (facts.promoted_on, say("certificate.earlier", facts.promoted_on)),
        (facts.gates_changed, say("certificate.gates_changed", facts.declared)),
        (is_held and is_withdrawn, say("certificate.withdrawn")),
        (is_held and not is_withdrawn, say("certificate.set_aside", verdict=facts.verdict)),
    )


def _compared(facts: CardFacts, found: Certificate) -> Iterator[Statement]:
    rival = None if found.rival == "baseline" else found.rival
    is_alone = not any(isinstance(one.found, BeatsFound) for one in found.outcomes)
    rows = "alone" if is_alone else "rival unknown" if facts.rival_adopted else "neither"
    rows = "unknown" if facts.trained.adopted else rows
    if is_alone:
        yield say("certificate.alone", facts.certificate_digest, rival, found=found, rows=rows)
    else:
        name = task_facts(facts.package.task).baseline_name
        yield say(
            "certificate.compared", facts.certificate_digest, rival, found=found, rows=rows, baseline=name
        )
    if facts.unequal:
        command = None if facts.champion == facts.version else facts.in_spite
        yield say("certificate.unequal", rival, facts.declared, how=facts.unequal, command=command)


def fairness(facts: CardFacts) -> Iterator[Section]:
    """Return how the groups of each fairness gate were answered."""
    outcomes = facts.certificate.outcomes if facts.certificate else ()
    gates = {one.found.column: one for one in outcomes if one.groups and isinstance(one.found, FairnessFound)}
    for number, (column, one) in enumerate(gates.items(), 1):
        yield Section(
            name=f"groups-{number}",
            title=say("groups.title", column=column),
            statements=(say("groups.rates", facts.certificate_digest, column=column),),
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
    return Section(name="limits", statements=tuple(_unexamined(facts)))


def _unexamined(facts: CardFacts) -> Iterator[Statement]:
    split, parts = facts.split, facts.trained.split
    tested, trained = facts.certificate_digest, facts.package.trained
    outcomes = facts.certificate.outcomes if facts.certificate else ()
    is_fair = any(isinstance(one.found, FairnessFound) for one in outcomes)
    yield from that_hold(
        (facts.trained.adopted, say("limits.imported", trained)),
        (not is_fair, say("limits.fairness", tested)),
        *((one.status == "undecided", say("limits.undecided", tested, outcome=one)) for one in outcomes),
        (split.by != "time", say("limits.later", parts, by=split.by)),
        (split.embargo, say("limits.embargo", parts, rows=split.embargo)),
        (split.unlabelled, say("limits.unlabelled", parts, rows=split.unlabelled)),
        (split.copies, say("limits.copies", parts, rows=split.copies)),
        (facts.evaluation is None, say("limits.evaluation")),
        (facts.explanation is None, say("limits.explanation")),
        (facts.parity is None, say("limits.parity")),
    )
    if found := facts.evaluation:
        has_interval, is_class = facts.package.half_width is not None, has_classes(facts.package.task)
        yield from that_hold(
            (has_interval and not found.coverage, say("limits.coverage", facts.evaluation_digest)),
            (
                is_class and not learns_good(facts.package.task) and not found.reliability,
                say("limits.reliability", facts.evaluation_digest),
            ),
        )
    if not (facts.dropped or facts.forgotten or _has(facts, "rebuilt")):
        yield say("limits.rebuilt", trained)
    yield say("limits.chance")


# Events


def _own_events(facts: CardFacts) -> Iterator[tuple[str, Event]]:
    """Yield what happened to this model, with its kind."""
    for event in facts.events:
        kind = str(type(event).__struct_config__.tag)
        before = getattr(event, "before", None) if kind == "rolled_back" else None
        if facts.version in {getattr(event, "model", None), before}:
            yield "forced" if getattr(event, "forced", False) else kind, event


def _has(facts: CardFacts, kind: str) -> bool:
    return any(kind == one for one, _ in _own_events(facts))


def _happened(kind: str, event: Event) -> Statement:
    cited = getattr(event, "certificate", None) or getattr(event, "package", None)
    return say(f"standing.{kind}", cited, event=event)
