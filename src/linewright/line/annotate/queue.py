"""Which predictions of a line are to be labelled: drawing them, and ending that."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from linewright.errors import NotFound, RequestError
from linewright.line.annotate.sample import STRATA, draw, features_of, strata_of, uncertainty_of
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.model.facts import Package
from linewright.people.annotations import Annotations, Batch, Drawn, Question
from linewright.people.facts import QuestionsQueued
from linewright.serve.facts import Prediction
from linewright.serve.feedback.apply import text_of
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


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """Questions that were queued, or closed."""

    line: str
    batch: int | None
    """Number of the batch; `None` where nothing was queued."""
    questions: int
    gold: int
    """Gold questions, whose label is known; fewer than wanted where too few predictions are labelled."""
    pool: int
    """Predictions without a label that they were drawn from."""
    closed: int = 0
    """Questions that were closed."""


def make_queue(factory: Factory, line: str, settings: QueueSettings, *, rows: Path | None = None) -> Queued:
    """Queue predictions that have no label.

    Parameters
    ----------
    rows
        A file of rows: the champion predicts them first, and they alone are drawn from.

    Raises
    ------
    RequestError
        If a column is none of the line's, or each prediction has a label.
    NotFound
        If the line has no champion.
    """
    version = find_model(factory, line)
    package = factory.metadata.get(version.digest, Package)
    _require_columns(settings.columns, package)
    only = None if rows is None else _predicted(factory, line, rows)
    store = Annotations.of(factory.state, line)
    now, seed = factory.now(), factory.context.seed
    with store.transaction() as held:
        # In the transaction: two who queue at once draw no prediction twice.
        queued = held.predictions()
        number = len(held.batches()) + 1
        chance = random.Random(seed(digest_of([line, number, version.digest])))  # noqa: S311 -- draws rows, and guards nothing
        pool, known = _pool(factory, line, queued, only, chance)
        if not pool:
            raise _nothing_to_label(line, only=only is not None)
        gold = chance.sample(known, min(len(known), round(settings.size * settings.gold_share)))
        batch = Batch(
            number=number,
            at=now,
            by=factory.actor,
            package=version.digest,
            annotators=settings.annotators,
            gold_share=settings.gold_share if gold else 0.0,
            tolerance=settings.tolerance,
            consent=settings.consent,
            instructions=settings.instructions,
            columns=msgspec.json.encode(settings.columns).decode() if settings.columns else "",
            pool="[]",
            closed=None,
        )
        drawn, strata = _drawn(pool, package, settings, seed(digest_of([line, number])))
        batch = batch._replace(pool=msgspec.json.encode(strata).decode())
        place = held.end_place()
        asked = [
            *(new_question(factory, record.id, how, stratum) for record, how, stratum in drawn),
            *(
                new_question(factory, record.id, "gold", -1)._replace(gold=text_of(label))
                for record, label in gold
            ),
        ]
        held.add_batch(batch, [one._replace(batch=number, place=place + at) for at, one in enumerate(asked)])
        factory.metadata.record(
            QuestionsQueued(
                at=now,
                by=factory.actor,
                because="asked for",
                line=line,
                batch=number,
                package=version.digest,
                questions=len(drawn),
                gold=len(gold),
                annotators=settings.annotators,
                consent=consent_digest(settings.consent),
            )
        )
    return Queued(line=line, batch=number, questions=len(drawn), gold=len(gold), pool=len(pool))


def close_queue(factory: Factory, line: str) -> Queued:
    """Ask nobody any more; what was labelled stays."""
    store = Annotations.of(factory.state, line)
    if not store.is_there():
        raise no_queue(line)
    with store.transaction() as held:
        closed = held.close_batches(factory.now())
    return Queued(line=line, batch=None, questions=0, gold=0, pool=0, closed=closed)


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


def _require_columns(columns: Sequence[str], package: Package) -> None:
    known = [one.name for one in package.columns if one.name != package.label]
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
) -> tuple[list[Prediction], list[tuple[Prediction, str | float]]]:
    """Return predictions without a label and some with one, those of very many at random; the log is read once."""
    unlabelled, labelled = list[Prediction](), list[tuple[Prediction, str | float]]()
    seen = [0, 0]
    log = factory.labels_of(line).labelled(known_by=factory.now())
    for record, label in log:
        if record.id in queued or not record.row or record.arm == "shadow":
            continue
        if label is None and (only is None or record.id in only):
            _reserve(unlabelled, record, seen[0], _POOL, chance)
            seen[0] += 1
        elif label is not None:
            _reserve(labelled, (record, label.label), seen[1], _GOLD_POOL, chance)
            seen[1] += 1
    return unlabelled, labelled


def _reserve(kept: list[Any], one: Any, seen: int, most: int, chance: random.Random) -> None:
    """Keep one of very many with the chance that each has: algorithm R of Vitter (1985)."""
    if len(kept) < most:
        kept.append(one)
    elif (place := chance.randrange(seen + 1)) < most:
        kept[place] = one


def _drawn(
    pool: Sequence[Prediction], package: Package, settings: QueueSettings, seed: int
) -> tuple[list[tuple[Prediction, Drawn, int]], list[int]]:
    """Return what is drawn of a pool with how and its stratum, and how many of the pool each stratum has."""
    uncertainty = np.array([uncertainty_of(one.answer) for one in pool])
    features = features_of([one.row for one in pool], _types(package))
    found = draw(uncertainty, features, settings.size, seed=seed)
    strata = strata_of(uncertainty)
    asked: list[tuple[Prediction, Drawn, int]] = [
        (pool[at], "random" if at in found.at_random else "chosen", int(strata[at])) for at in found.places
    ]
    return asked, np.bincount(strata, minlength=STRATA).tolist()


def _types(package: Package) -> Mapping[str, str]:
    """Return the types of the columns that the model reads."""
    return {one.name: one.type for one in package.columns if one.role != "carried"}


def _nothing_to_label(line: str, *, only: bool) -> RequestError:
    return RequestError(
        "no prediction waits for a label",
        where=line,
        found="each row of the file has a label or is queued already"
        if only
        else "each logged prediction has a label or is queued already",
        hint=f"predict more rows, e.g. linewright predict {line} FILE; or give --rows FILE",
    )
