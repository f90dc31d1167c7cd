"""A card, section by section: statements with their evidence, tables and bars, ready for any template."""

from collections.abc import Iterator

from linewright.data.breach_text import breaches_in_words
from linewright.data.facts import Finding
from linewright.model.card.classes import confusion, misread
from linewright.model.card.decisions import decisions
from linewright.model.card.explanation import moved, needed, plotted, weak
from linewright.model.card.forecast_chart import forecast
from linewright.model.card.leaderboard import leaderboard
from linewright.model.card.list_section import lists
from linewright.model.card.parts import (
    Card,
    CardFacts,
    Section,
    Statement,
    Table,
    Text,
    Tile,
    interval,
    say,
    short,
    that_hold,
)
from linewright.model.card.record import certificate, fairness, limits, standing, status_of
from linewright.model.card.survival_section import survival
from linewright.model.facts import Metric, Task
from linewright.model.metrics.definitions import find_metric
from linewright.model.task_facts import has_classes, task_facts
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import in_words


def card_of(facts: CardFacts) -> Card:
    """Put a card together; a section that says nothing is left out."""
    made = (
        _purpose(facts),
        standing(facts),
        certificate(facts),
        *fairness(facts),
        _metrics(facts),
        confusion(facts),
        misread(facts),
        survival(facts),
        forecast(facts),
        lists(facts),
        weak(facts),
        needed(facts),
        moved(facts),
        plotted(facts),
        Section(name="data", statements=tuple(_data(facts)), table=_breaches(facts)),
        Section(name="features", statements=_features(facts)),
        leaderboard(facts),
        decisions(facts),
        limits(facts),
        Section(name="reproduction", statements=_reproduction(facts)),
    )
    status, mark = status_of(facts)
    return Card(
        name=facts.name,
        about=facts.about,
        owner=facts.owner,
        status=status,
        mark=mark,
        tiles=tuple(_tiles(facts)),
        sections=tuple(section for section in made if section and section.statements),
        evidence=tuple((word, digest, short(digest)) for word, digest in _evidence(facts)),
    )


def _evidence(facts: CardFacts) -> Iterator[tuple[str, str]]:
    known = (
        ("package", facts.digest),
        ("graph", facts.package.graph),
        ("golden rows", facts.package.golden),
        ("certificate", facts.certificate_digest),
        ("promoted on", facts.promoted_on),
        ("line file before training", facts.declared),
        ("evaluation", facts.evaluation_digest),
        ("explanation", facts.explanation_digest),
        ("parity", facts.parity_digest),
        ("decision", facts.decision_digest),
        ("trained", facts.package.trained),
        ("split", facts.trained.split),
        ("dataset", facts.trained.dataset),
        ("ingested", facts.ingested_digest),
        ("quarantine", facts.ingested.quarantine if facts.ingested else None),
    )
    return ((word, digest) for word, digest in known if digest)


def _tiles(facts: CardFacts) -> Iterator[Tile]:
    yield Tile(title="Task", value=facts.package.task, note=say("tiles.label", name=facts.package.label))
    if facts.evaluation and facts.evaluation.metrics:
        first = facts.evaluation.metrics[0]
        yield Tile(title=first.name, value=in_words(first.value), note=say("tiles.interval", metric=first))
    if facts.certificate:
        verdict = facts.verdict or facts.certificate.verdict
        yield Tile(title="Certificate", value=verdict, note=say("tiles.test_rows", rows=facts.certificate.n))
    if facts.trained.adopted:
        yield Tile(title="Made", value=say("tiles.elsewhere"), note=say("tiles.not_known"))
    else:
        yield Tile(title="Trained on", value=f"{facts.trained.rows:,}", note=say("tiles.rows"))


def _purpose(facts: CardFacts) -> Section:
    package, cited = facts.package, facts.digest
    says = rules_of(package.task).purpose(package.label, package.classes)
    statements = that_hold(
        (True, say("purpose.answer", cited, says=says)),
        (has_classes(package.task), say("purpose.classes", cited, names=package.classes)),
    )
    return Section(name="purpose", statements=statements)


# Metrics


def _metrics(facts: CardFacts) -> Section | None:
    evaluation, cited = facts.evaluation, facts.evaluation_digest
    if evaluation is None:
        return None
    rows, learned, plain = evaluation.n, facts.trained.rows, evaluation.plain
    whole = say("metrics.whole", clusters=evaluation.clusters, kind=evaluation.cluster_kind)
    drawn = whole if evaluation.clusters else say("metrics.rows")
    statements = that_hold(
        (True, say("metrics.measured", cited, rows=rows, drawn=drawn)),
        (plain, say("metrics.linear", cited, found=plain, rows=learned)),
    )
    baseline = {metric.name: metric for metric in evaluation.baseline}
    held_against = task_facts(facts.package.task).baseline_name.capitalize()
    return Section(
        name="metrics",
        statements=statements,
        table=Table(
            head=("Metric", "This model", "95 % interval", held_against, "95 % interval"),
            rows=tuple(
                (_name(metric, facts.package.task), *_cells(metric), *_cells(baseline.get(metric.name)))
                for metric in evaluation.metrics
            ),
        ),
    )


def _name(metric: Metric, task: Task) -> Text:
    rule = find_metric(metric.name, (task,))
    return metric.name if rule and rule.greater_is_better else say("metrics.less", name=metric.name)


def _cells(metric: Metric | None) -> tuple[Text, Text]:
    if metric is None:
        return say("metrics.undefined"), ""
    return in_words(metric.value), interval(metric.low, metric.high)


# Data and features


def _data(facts: CardFacts) -> Iterator[Statement]:
    dataset, ingested, held = facts.dataset, facts.ingested, facts.trained.dataset
    yield from that_hold(
        (True, say("data.rows", held, dataset=dataset)),
        (facts.time_range, say("data.times", held, ends=facts.time_range)),
        (facts.as_of, say("data.as_of", held, at=facts.as_of)),
        (True, say("data.split", facts.trained.split, split=facts.split)),
        (facts.asked, say("data.asked", facts.proposal, because=facts.asked)),
        (facts.dropped, say("data.dropped", held, at=facts.dropped)),
        (facts.forgotten, say("data.forgotten", held, at=facts.forgotten)),
    )
    if ingested is None:
        return
    cited, out = facts.ingested_digest, max(ingested.rows_read - dataset.rows, 0)
    if facts.package.encoder.listed:
        kind = "data.events" if facts.package.encoder.items else "data.values"
        yield say(kind, cited, read=ingested.rows_read, rows=dataset.rows)
        return
    yield say("data.kept_out", cited, ingested.quarantine, read=ingested.rows_read, out=out)
    for one in ingested.findings:
        kind = _kind(one)
        if kind != "order" or facts.split.by != "time":
            yield say(f"data.{kind}", cited, one=one)


def _kind(one: Finding) -> str:
    if one.check in {"order", "year-month"}:
        return "order"
    return "question" if one.severity == "ask" else "leak"


def _breaches(facts: CardFacts) -> Table | None:
    if facts.ingested is None:
        return None
    return Table(
        head=("Column", "Rule that did not hold", "Rows", "First value", "Action"),
        rows=tuple(
            (
                one.column or say("data.whole_table"),
                one.rule,
                say("data.failed", failed=one.failed, rows=one.rows),
                one.first,
                one.action,
            )
            for one in breaches_in_words(facts.ingested.breaches)
        ),
    )


def _features(facts: CardFacts) -> tuple[Statement, ...]:
    used = facts.package.encoder.columns
    carried = [column.name for column in facts.package.columns if column.role == "carried"]
    known = {*used, *carried, facts.package.label}
    rest = [column.name for column in facts.dataset.columns if column.name not in known]
    return that_hold(
        (True, say("features.used", facts.digest, names=used)),
        (carried, say("features.carried", facts.digest, names=carried)),
        (facts.excluded, say("features.excluded", facts.declared, names=facts.excluded, file=facts.file)),
        (rest, say("features.left_out", facts.digest, names=rest)),
    )


def _reproduction(facts: CardFacts) -> tuple[Statement, ...]:
    trained, cited = facts.trained, facts.package.trained
    is_imported, is_coded = trained.adopted is not None, trained.estimated and trained.estimated.code
    made = "coded" if is_coded else "imported" if is_imported else "trained"
    parity = say("reproduction.parity", facts.parity_digest, found=facts.parity, is_imported=is_imported)
    return that_hold(
        (True, say("reproduction.again", made=made, as_of=facts.as_of)),
        (is_imported, say("reproduction.written", cited, libraries=trained.libraries)),
        (not is_imported, say("reproduction.fitted", cited, seed=trained.seed, libraries=trained.libraries)),
        (facts.parity, parity),
    )
