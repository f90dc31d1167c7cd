"""Which predictions of a line, or rows of its dataset versions, are to be labelled: drawing them, and ending that."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from linewright.capabilities.annotation.allowed_labels import allowed_labels, champion_of
from linewright.capabilities.annotation.label_dataset import keep_labels
from linewright.capabilities.annotation.sample import STRATA, draw, features_of, strata_of, uncertainty_of
from linewright.capabilities.annotation.table_rows import TableRows, read_rows, uncertainties
from linewright.errors import NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.model.task_facts import has_times
from linewright.people.annotations import Annotations, Batch, Drawn, Question
from linewright.people.facts import QuestionsQueued
from linewright.serve.facts import Prediction
from linewright.serve.feedback.apply import text_of
from linewright.serve.feedback.parse import AllowedLabels
from linewright.store.protocols import Version
from linewright.store.values import digest_of, digest_of_bytes

MOST = 10_000
"""Questions of one batch."""
_POOL, _GOLD_POOL = 20_000, 2_000
"""Predictions that a batch is drawn from, and labelled ones that gold questions are: of more of them so many, at random."""


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of questions is to be; see `operations.annotate.annotate_queue`."""

    size: int
    annotators: int = 1
    gold_share: float = 0.0
    tolerance: float = 0.0
    consent: str = ""
    instructions: str = ""
    columns: tuple[str, ...] = ()


class Candidate(NamedTuple):
    """What may be asked: a prediction, or a row of a dataset version."""

    name: str
    """Id of the prediction, or what `row_name` returns."""
    row: Mapping[str, Any]
    uncertainty: float
    dataset: str | None = None
    place: int | None = None


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """Questions that were queued, or closed."""

    line: str
    batch: int | None
    """Number of the batch; `None` where nothing was queued."""
    questions: int
    gold: int
    """Gold questions, whose label is known; fewer than wanted where too few predictions are labelled."""
    pool: int
    """Predictions or rows without a label that they were drawn from."""
    closed: int = 0
    """Questions that were closed."""
    dataset: str | None = None
    """Digest of the dataset version whose rows were queued; after closing, of that which has the labelled rows, if there are some."""
    labels: int = 0
    """Rows of that one, after closing."""


def make_queue(
    factory: Factory,
    line: str,
    settings: QueueSettings,
    *,
    rows: Path | None = None,
    dataset: str | None = None,
) -> Queued:
    """Queue predictions, or rows of a dataset version, that have no label."""
    champion = champion_of(factory, line) if dataset is not None else find_model(factory, line)
    package = champion.digest if champion else ""
    allowed = allowed_labels(factory, line)
    _refuse_times(allowed.task, line)
    _require_columns(settings.columns, allowed)
    only = None if rows is None else _predicted(factory, line, rows)
    table = None if dataset is None else read_rows(factory, line, dataset)
    store = Annotations.of(factory.state, line)
    now, seed = factory.now(), factory.context.seed
    # Read before the transaction: a line of which nothing can be asked gets no file of annotations.
    queued, number = _asked_before(store)
    chance = random.Random(seed(digest_of([line, number, package])))  # noqa: S311 -- draws rows, and guards nothing
    if table is not None:
        pool, known = _pool_of_table(factory, table, allowed, queued, champion=champion, chance=chance)
    else:
        pool, known = _pool(factory, line, queued, only, chance)
    if not pool:
        raise _nothing_to_label(line, only=only is not None, is_table=table is not None)
    with store.transaction() as held:
        # Again in the transaction: two who queue at once draw no prediction twice.
        queued, number = held.predictions(), len(held.batches()) + 1
        pool = [one for one in pool if one.name not in queued]
        known = [each for each in known if each[0].name not in queued]
        if not pool:
            raise _nothing_to_label(line, only=only is not None, is_table=table is not None)
        gold = chance.sample(known, min(len(known), round(settings.size * settings.gold_share)))
        batch = Batch(
            number=number,
            at=now,
            by=factory.actor,
            package=package,
            annotators=settings.annotators,
            gold_share=settings.gold_share if gold else 0.0,
            tolerance=settings.tolerance,
            consent=settings.consent,
            instructions=settings.instructions,
            columns=msgspec.json.encode(settings.columns).decode() if settings.columns else "",
            pool="[]",
            closed=None,
        )
        drawn, strata = _drawn(pool, allowed, settings, seed(digest_of([line, number])))
        batch = batch._replace(pool=msgspec.json.encode(strata).decode())
        place = held.end_place()
        asked = [
            *(_question(factory, one, how, stratum) for one, how, stratum in drawn),
            *(_question(factory, one, "gold", -1)._replace(gold=text_of(label)) for one, label in gold),
        ]
        held.add_batch(batch, [one._replace(batch=number, place=place + at) for at, one in enumerate(asked)])
        factory.metadata.record(
            QuestionsQueued(
                at=now,
                by=factory.actor,
                because="asked for",
                line=line,
                batch=number,
                package=package,
                questions=len(drawn),
                gold=len(gold),
                annotators=settings.annotators,
                consent=consent_digest(settings.consent),
                dataset=table.digest if table else "",
            )
        )
    return Queued(
        line=line,
        batch=number,
        questions=len(drawn),
        gold=len(gold),
        pool=len(pool),
        dataset=table.digest if table else None,
    )


def _asked_before(store: Annotations) -> tuple[set[str], int]:
    """Return the predictions and rows that are queued, and the number of the next batch."""
    if not store.is_there():
        return set(), 1
    with store.reading() as held:
        return held.predictions(), len(held.batches()) + 1


def close_queue(factory: Factory, line: str) -> Queued:
    """Ask nobody any more; what was labelled stays, and labels of rows become a dataset version."""
    store = Annotations.of(factory.state, line)
    if not store.is_there():
        raise no_queue(line)
    with store.transaction() as held:
        closed = held.close_batches(factory.now())
    kept = keep_labels(factory, line)
    return Queued(
        line=line,
        batch=None,
        questions=0,
        gold=0,
        pool=0,
        closed=closed,
        dataset=kept.dataset if kept else None,
        labels=kept.labels if kept else 0,
    )


def consent_digest(text: str) -> str:
    """Return the digest of a text of consent; empty if there is none."""
    return digest_of_bytes(text.encode()) if text else ""


def no_queue(line: str) -> NotFound:
    """Say that nothing of a line is to be labelled."""
    return NotFound(
        "the line has no questions for annotators",
        where=line,
        hint=f"queue some: linewright annotate queue {line}",
    )


def new_question(factory: Factory, prediction: str, drawn: Drawn, stratum: int) -> Question:
    """Return a question about a prediction, of no batch yet."""
    # The end of a new id is chance: it says neither which prediction it is nor whether the question is a gold one.
    name = factory.context.new_id().replace("-", "")[-12:]
    return Question(
        id=name,
        batch=0,
        place=0,
        prediction=prediction,
        drawn=drawn,
        stratum=stratum,
        gold=None,
        state="open",
        label=None,
        kept=None,
        at=None,
        recorded=0,
    )


def _question(factory: Factory, asked: Candidate, drawn: Drawn, stratum: int) -> Question:
    made = new_question(factory, asked.name, drawn, stratum)
    return made._replace(dataset=asked.dataset, row=asked.place)


def _refuse_times(task: str, line: str) -> None:
    if has_times(task):
        raise RequestError(
            "annotators label classes and numbers, and the labels of this line are times",
            where=line,
            found=task,
            allowed="lines of other tasks",
            hint=f"times come by key or id, with a + if it had not happened yet: linewright feedback {line} FILE",
        )


def _require_columns(columns: Sequence[str], allowed: AllowedLabels) -> None:
    known = [one.name for one in allowed.columns if one.name != allowed.label]
    for name in columns:
        if name not in known:
            raise RequestError(
                "the rows of the line have no such column that annotators may see",
                where="--columns",
                found=name,
                allowed=", ".join(known)[:1000],
            )


def _predicted(factory: Factory, line: str, rows: Path) -> set[str]:
    """Predict the rows of a file, and return the ids under which they are logged."""
    factory.scratch.mkdir(parents=True, exist_ok=True)
    out = factory.scratch / f"annotate-{factory.context.new_id()}.parquet"
    try:
        predict_file(factory, line, rows, out)
        frame = pl.read_parquet(out)
        name = "prediction_id" if "prediction_id" in frame.columns else "id"
        return set(frame[name].to_list())
    finally:
        for made in (out, out.with_name(f"{out.stem}.quarantine.csv")):
            made.unlink(missing_ok=True)


def _pool(
    factory: Factory, line: str, queued: set[str], only: set[str] | None, chance: random.Random
) -> tuple[list[Candidate], list[tuple[Candidate, str | float]]]:
    """Return predictions without a label and some with one, those of very many at random; the log is read once."""
    unlabelled, labelled = list[Candidate](), list[tuple[Candidate, str | float]]()
    seen = [0, 0]
    log = factory.labels_of(line).labelled(known_by=factory.now())
    for record, label in log:
        if record.id in queued or not record.row or record.arm == "shadow":
            continue
        if label is None and (only is None or record.id in only):
            _reserve(unlabelled, _candidate(record), seen[0], _POOL, chance)
            seen[0] += 1
        elif label is not None:
            _reserve(labelled, (_candidate(record), label.label), seen[1], _GOLD_POOL, chance)
            seen[1] += 1
    return unlabelled, labelled


def _candidate(record: Prediction) -> Candidate:
    return Candidate(record.id, record.row, uncertainty_of(record.answer))


def _pool_of_table(
    factory: Factory,
    table: TableRows,
    allowed: AllowedLabels,
    queued: set[str],
    *,
    champion: Version | None,
    chance: random.Random,
) -> tuple[list[Candidate], list[tuple[Candidate, str | float]]]:
    """Return rows without a label and some with one, those of very many at random; what a champion is unsure of is known without logging it."""
    free = [at for at in table.unlabelled if table.names[at] not in queued]
    pool = sorted(chance.sample(free, min(len(free), _POOL)))
    open_names = {table.names[at] for at in free}
    labelled = [at for at in table.labelled if table.names[at] not in queued | open_names]
    known = sorted(chance.sample(labelled, min(len(labelled), _GOLD_POOL)))
    unsure = uncertainties(factory, champion, table, pool)
    return (
        [_row(table, at, one) for at, one in zip(pool, unsure, strict=True)],
        [(_row(table, at, 0.0), table.label(at, allowed)) for at in known],
    )


def _row(table: TableRows, at: int, uncertainty: float) -> Candidate:
    return Candidate(table.names[at], table.row(at), uncertainty, table.digest, at)


def _reserve(kept: list[Any], one: Any, seen: int, most: int, chance: random.Random) -> None:
    """Keep one of very many with the chance that each has: algorithm R of Vitter (1985)."""
    if len(kept) < most:
        kept.append(one)
    elif (place := chance.randrange(seen + 1)) < most:
        kept[place] = one


def _drawn(
    pool: Sequence[Candidate], allowed: AllowedLabels, settings: QueueSettings, seed: int
) -> tuple[list[tuple[Candidate, Drawn, int]], list[int]]:
    """Return what is drawn of a pool with how and its stratum, and how many of the pool each stratum has."""
    uncertainty = np.array([one.uncertainty for one in pool])
    features = features_of(
        [one.row for one in pool], {one.name: one.type for one in allowed.columns if one.role != "carried"}
    )
    found = draw(uncertainty, features, settings.size, seed=seed)
    strata = strata_of(uncertainty)
    asked: list[tuple[Candidate, Drawn, int]] = [
        (pool[at], "random" if at in found.at_random else "chosen", int(strata[at])) for at in found.places
    ]
    return asked, np.bincount(strata, minlength=STRATA).tolist()


def _nothing_to_label(line: str, *, only: bool, is_table: bool) -> RequestError:
    if is_table:
        return RequestError(
            "no row waits for a label",
            where=line,
            found="each row of the dataset version has a label or is queued already",
            hint=f"linewright annotate close {line} makes a dataset version of the labels; `annotate queue` queues predictions",
        )
    return RequestError(
        "no prediction waits for a label",
        where=line,
        found="each row of the file has a label or is queued already"
        if only
        else "each logged prediction has a label or is queued already",
        hint=f"predict more rows, e.g. linewright predict {line} FILE; or give --rows FILE",
    )
