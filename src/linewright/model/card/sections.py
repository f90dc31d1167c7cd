"""What a card says, section by section: sentences with their evidence, tables and bars, ready for any template."""

from collections.abc import Iterator

from linewright.data.breach_text import breaches_in_words
from linewright.data.facts import Ingested, Split
from linewright.data.finding_text import evidence_in_words
from linewright.data.split_text import split_in_words
from linewright.model.card.classes import confusion
from linewright.model.card.decisions import decisions
from linewright.model.card.explanation import moved, needed, plotted, weak
from linewright.model.card.leaderboard import leaderboard
from linewright.model.card.linear_baseline import plain_in_words
from linewright.model.card.parts import (
    Bar,
    Card,
    CardFacts,
    Section,
    Sentence,
    Table,
    Tile,
    cite,
    placed,
    sentence_of,
    short,
)
from linewright.model.card.record import certificate, fairness, limits, standing, status_of
from linewright.model.facts import Metric, Task
from linewright.model.metrics.definitions import find_metric
from linewright.model.tasks import task as rules_of
from linewright.store.clock import said
from linewright.text.numbers import count, in_words, listed

MOST_NAMED = 40


def card_of(facts: CardFacts) -> Card:
    """Put a card together; a section without content is left out."""
    made = (
        _purpose(facts),
        standing(facts),
        certificate(facts),
        *fairness(facts),
        _metrics(facts),
        confusion(facts),
        weak(facts),
        needed(facts),
        moved(facts),
        plotted(facts),
        _data(facts),
        _features(facts),
        leaderboard(facts),
        decisions(facts),
        limits(facts),
        _reproduction(facts),
    )
    status, mark = status_of(facts)
    return Card(
        name=facts.name,
        about=facts.about,
        owner=facts.owner,
        status=status,
        mark=mark,
        tiles=_tiles(facts),
        sections=tuple(section for section in made if section.sentences or section.table or section.bars),
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


def _tiles(facts: CardFacts) -> tuple[Tile, ...]:
    tiles = [Tile(title="Task", value=facts.package.task, note=f"of {facts.package.label}")]
    if facts.evaluation and facts.evaluation.metrics:
        first = facts.evaluation.metrics[0]
        tiles.append(Tile(title=first.name, value=in_words(first.value), note=_interval(first)))
    if facts.certificate:
        tiles.append(
            Tile(
                title="Certificate",
                value=facts.verdict or facts.certificate.verdict,
                note=f"{facts.certificate.n:,} test rows",
            )
        )
    elsewhere = Tile(title="Made", value="elsewhere", note="rows not known")
    here = Tile(title="Trained on", value=f"{facts.trained.rows:,}", note="rows")
    tiles.append(elsewhere if facts.trained.adopted else here)
    return tuple(tiles)


def _interval(metric: Metric) -> str:
    return f"{_range(metric)}, 95 %"


def _range(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return "interval not known"
    return f"{in_words(metric.low)} to {in_words(metric.high)}"


def _purpose(facts: CardFacts) -> Section:
    package = facts.package
    answer = rules_of(package.task).purpose(package.label, package.classes)
    sentences = [Sentence(text=answer, evidence=(facts.digest,))]
    if package.classes:
        sentences.append(
            Sentence(text=f"Classes: {listed(package.classes, MOST_NAMED)}.", evidence=(facts.digest,))
        )
    return Section(name="purpose", title="What it predicts", sentences=tuple(sentences))


def _metrics(facts: CardFacts) -> Section:
    evaluation = facts.evaluation
    if evaluation is None:
        return Section(name="metrics", title="How good it is")
    kind = {"group": "groups", "block": "blocks of neighbours in time", "equal": "sets of equal rows"}[
        evaluation.cluster_kind
    ]
    drawn = f"{evaluation.clusters:,} {kind} drawn whole" if evaluation.clusters else "rows"
    text = f"Measured on {evaluation.n:,} test rows; the 95 % intervals are from a bootstrap of {drawn}."
    baseline = {metric.name: metric for metric in evaluation.baseline}
    return Section(
        name="metrics",
        title="How good it is",
        sentences=(
            Sentence(text=text, evidence=cite(facts.evaluation_digest)),
            *_beside_plain(facts),
        ),
        plain=Table(
            head=("Metric", "This model", "95 % interval", "Without features", "95 % interval"),
            rows=tuple(_metric_row(metric, baseline.get(metric.name)) for metric in evaluation.metrics),
        ),
        bars=tuple(
            _metric_bar(metric, baseline.get(metric.name), facts.package.task)
            for metric in evaluation.metrics
        ),
    )


def _beside_plain(facts: CardFacts) -> Iterator[Sentence]:
    """Say what a plain linear model reaches on the test rows."""
    if facts.evaluation and facts.evaluation.plain:
        found = facts.evaluation.plain
        learned = (
            f" It learned from {found.rows:,} of the {facts.trained.rows:,} training rows."
            if found.rows < facts.trained.rows
            else ""
        )
        text = f"{sentence_of(plain_in_words(found))}{learned}"
        yield Sentence(text=text, evidence=cite(facts.evaluation_digest))


def _metric_row(metric: Metric, baseline: Metric | None) -> tuple[str, ...]:
    own = (metric.name, in_words(metric.value), _range(metric))
    if baseline is None:
        return (*own, "undefined", "")
    return (*own, in_words(baseline.value), _range(baseline))


def _metric_bar(metric: Metric, baseline: Metric | None, task: Task) -> Bar:
    rule = find_metric(metric.name, (task,))
    own, other = _ends(metric), _ends(baseline) if baseline else None
    ends = [*own, *(other or ())]
    low, high = (0.0, 1.0) if rule and rule.is_bounded else (min(0.0, *ends), max(0.0, *ends) * 1.05)
    beside = f"; without features {in_words(baseline.value)} ({_range(baseline)})" if baseline else ""
    better = "more is better" if rule and rule.greater_is_better else "less is better"
    return Bar(
        name=metric.name,
        note=better,
        text=f"{in_words(metric.value)} ({_range(metric)}){beside}",
        at=placed(own, low, high),
        beside=placed(other, low, high) if other else None,
        ends=(in_words(low), in_words(high)),
    )


def _ends(metric: Metric) -> tuple[float, float, float]:
    """Return low, value and high; an end that is not known is drawn at the value."""
    low, high = (metric.value if end is None else end for end in (metric.low, metric.high))
    return low, metric.value, high


def _data(facts: CardFacts) -> Section:
    dataset, split, ingested = facts.dataset, facts.split, facts.ingested
    held = (facts.trained.dataset,)
    sentences = [
        Sentence(text=f"{dataset.rows:,} rows of {len(dataset.columns)} columns.", evidence=held),
        Sentence(
            text=f"Split by {split.by}: {split.train:,} rows to train, {split.test:,} to test. {sentence_of(split_in_words(split))}",
            evidence=(facts.trained.split,),
        ),
    ]
    if facts.asked:
        text = f"The training was asked for by monitoring or a schedule: {sentence_of(facts.asked)}"
        sentences.append(Sentence(text=text, evidence=cite(facts.proposal)))
    if facts.as_of:
        text = f"Rows that were answered, and whose truth was known at {said(facts.as_of)}, are among them."
        sentences.insert(1, Sentence(text=text, evidence=held))
    if facts.time_range:
        sentences.insert(1, Sentence(text="From {} to {}.".format(*facts.time_range), evidence=held))
    if facts.dropped:
        text = f"Its rows are kept no longer (dataset dropped by retention on {facts.dropped[:10]}), so that it cannot be rebuilt."
        sentences.append(Sentence(text=text, evidence=held))
    if facts.forgotten:
        text = f"Rows of somebody who was forgotten on {facts.forgotten[:10]} are gone from it, so that it cannot be rebuilt."
        sentences.append(Sentence(text=text, evidence=held))
    if ingested is None:
        return Section(name="data", title="Data", sentences=tuple(sentences))
    kept_out = ingested.rows_read - dataset.rows
    sentences.append(
        Sentence(
            text=f"{ingested.rows_read:,} rows were read; the contract kept out {max(kept_out, 0):,}.",
            evidence=(*cite(facts.ingested_digest), *cite(ingested.quarantine)),
        )
    )
    broken = tuple(
        (one.column or "whole table", one.rule, f"{one.failed:,} of {one.rows:,}", one.first, one.action)
        for one in breaches_in_words(ingested.breaches)
    )
    sentences += [
        Sentence(text=text, evidence=cite(facts.ingested_digest)) for text in _found(ingested, split)
    ]
    table = Table(head=("Column", "Rule that did not hold", "Rows", "First value", "Action"), rows=broken)
    return Section(name="data", title="Data", sentences=tuple(sentences), table=table if broken else None)


def _found(ingested: Ingested, split: Split) -> Iterator[str]:
    """Say what the checks of the data found that a run says, as far as the split leaves it so."""
    for one in ingested.findings:
        told = f"{', '.join(one.columns)}: {one.check}: {evidence_in_words(one.check, one.evidence)}."
        if one.check in {"order", "year-month"}:
            if split.by != "time":
                yield f"The test rows are not the latest: {told}"
        elif one.severity == "ask":
            yield f"A question of the data that a person answers. {told}"
        else:
            yield f"A model of these rows may see what was known only with the label. {told}"


def _features(facts: CardFacts) -> Section:
    used = facts.package.encoder.columns
    carried = [column.name for column in facts.package.columns if column.role == "carried"]
    rest = [
        column.name
        for column in facts.dataset.columns
        if column.name not in {*used, *carried, facts.package.label}
    ]
    cited = (facts.digest,)
    sentences = [
        Sentence(text=f"It uses {count(len(used), 'column')} of a row: {', '.join(used)}.", evidence=cited)
    ]
    if carried:
        text = f"A request may carry these, which the model never uses: {listed(carried, MOST_NAMED)}."
        sentences.append(Sentence(text=text, evidence=cited))
    if facts.excluded:
        text = (
            f"The line keeps these from every model (table.exclude): {listed(facts.excluded, MOST_NAMED)}. Why stands beside each in "
            f"{facts.file}."
        )
        sentences.append(Sentence(text=text, evidence=cite(facts.declared)))
    if rest:
        sentences.append(
            Sentence(text=f"Left out of the features: {listed(rest, MOST_NAMED)}.", evidence=cited)
        )
    return Section(name="features", title="What it looks at", sentences=tuple(sentences))


def _reproduction(facts: CardFacts) -> Section:
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(facts.trained.libraries.items()))
    adopted = facts.trained.adopted
    same = (
        "rows, the same line file and the same model file"
        if adopted
        else "rows, split alike, the same line file and the same libraries"
    )
    if facts.trained.estimated and facts.trained.estimated.code:
        same = (
            "rows, split alike, the same line file, the same file of the user's code and the same libraries"
        )
    again = f"The same {same} give this digest again, in any folder."
    if facts.as_of:
        again += f" The rows were split by what was known at its instant (here {said(facts.as_of)})."
    fitted = (
        f"The file says that it was written by {libraries or 'nobody'}."
        if adopted
        else f"Seed {facts.trained.seed}; fitted by {libraries or 'no outside library'}."
    )
    sentences = [
        Sentence(text=again),
        Sentence(text=fitted, evidence=(facts.package.trained,)),
    ]
    parity = facts.parity
    if parity:
        source = "the file as it was given" if adopted else "the library that trained it"
        flips = f"{parity.flips:,} decisions differ" if parity.flips else "no decision differs"
        text = (
            f"On {parity.rows:,} rows the package is within {in_words(parity.largest)} of {source} "
            f"({in_words(parity.allowed)} is allowed), and {flips}."
        )
        sentences.append(Sentence(text=text, evidence=cite(facts.parity_digest)))
    return Section(name="reproduction", title="How to reproduce it", sentences=tuple(sentences))
