"""The steps ``train`` and ``package``: from training rows to a model that can serve."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
import polars as pl

from linewright.data.dataset.row_id import hash_in_parts, identity_text
from linewright.data.dataset.split import folds
from linewright.errors import RequestError, SpecError
from linewright.features.encode import encode
from linewright.features.encode_table import encode_table
from linewright.features.facts import Encoder, ViewFacts
from linewright.features.learn import Look, learn, to_columns
from linewright.line.engines import engine_of, file_and_function, is_plugged, trainers_of
from linewright.line.predict.batch import json_rows
from linewright.line.run_context import CODE_FILE, Work, chosen_by, missing_texts, optional_columns
from linewright.line.split_rows import label_text, weights
from linewright.line.steps.compare_trainings import compare, row_losses
from linewright.line.steps.imported.adopt import adopt, adopted_graph, parity_of_adopted
from linewright.line.steps.ingest import moments_of_rows
from linewright.line.steps.other_sites import PeerRows, compared, peer_rows
from linewright.line.steps.tasks.anomaly import train_anomaly
from linewright.line.steps.tasks.forecast import train_forecast
from linewright.line.steps.tasks.pictures import MOST_COMPARED, ComparedRows, choose_pictures
from linewright.line.steps.tasks.recommend import train_recommender
from linewright.model.column_readers import readers_of
from linewright.model.export.parity import parity, refused_by
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import (
    Estimated,
    Parity,
    PicturesRead,
    RequestColumn,
    Sample,
    SentenceEncoderChoice,
    Shared,
    Trained,
)
from linewright.model.families.trainer import TRAINERS, read_native
from linewright.model.forecast.parity import parity_of_steps
from linewright.model.metrics.definitions import metric
from linewright.model.package.model import Model, build, keep_package, load, open_model
from linewright.model.recommend.parity import parity_of_lists
from linewright.model.sentence_encoder import sentence_encoder_of
from linewright.model.spec import FEW_LABELS, TrainSpec, TrialsBudget
from linewright.model.tasks.links import HAZARD
from linewright.model.train.fit import Training, TrainingRows, train
from linewright.model.train.sample import MOST_CELLS, Drawn, draw, most_rows
from linewright.model.train.scored_rows import Scored, to_bytes
from linewright.serve.rows.body.request_columns import source_columns
from linewright.serve.rows.scorer import Scorer
from linewright.text.numbers import count

GOLDEN_ROWS = 16
"""Rows that an endpoint tries after it has loaded a package."""
PARITY_ROWS = 4096


def train_step(work: Work) -> Trained:
    """Learn the encoder and the model from the training rows alone, or adopt the model that was given."""
    if work.adopts is not None:
        return adopt(work, work.adopts)
    if work.spec.recommend is not None:
        return train_recommender(work, work.spec.recommend)
    if work.spec.forecast is not None:
        return train_forecast(work, work.spec.forecast)
    if work.spec.anomaly is not None:
        return train_anomaly(work)
    rules, context = work.rules, work.factory.context
    seed = context.seed(work.known["split"])
    taught = _taught(work, seed)
    training, shared, sentence_encoder = _trained(work, taught, seed)
    own = slice(len(taught.rows))
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=rules.name,
        classes=taught.classes,
        encoder=training.encoder,
        trials=training.trials,
        chosen=training.chosen,
        reason=training.reason,
        native=context.artifacts.put(training.native),
        calibration=training.calibration,
        half_width=training.half_width,
        baseline=rules.baseline(
            taught.target,
            np.where(training.learned[own], taught.weight, 0.0),
            taught.classes,
            metric=chosen_by(work),
        ),
        rows=len(training.weight) if training.recent is None else int(training.learned.sum()),
        seed=seed,
        libraries=training.libraries,
        executed=training.executed,
        recent=training.recent,
        sample=taught.sample,
        estimated=_estimated(work, training),
        band=training.band,
        scored=context.artifacts.put(_scored(training, taught.rows)) if rules.has_positive else None,
        shared=shared,
        sentence_encoder=sentence_encoder,
        pictures=_pictures(work, taught, seed)[1],
    )


def _trained(
    work: Work, taught: "_Taught", seed: int
) -> tuple[Training, Shared | None, SentenceEncoderChoice | None]:
    """Train in the way that the line file says, or in two ways; return what serves better, and what decided."""
    if work.spec.train.share != "alone":
        return *_trained_at_site(work, taught, seed), None
    if work.spec.train.sentences != "never":
        training, sentence_encoder = _trained_on_texts(work, taught, seed)
        return training, None, sentence_encoder
    return _train(work, taught, seed), None, None


def _trained_on_texts(work: Work, taught: "_Taught", seed: int) -> tuple[Training, SentenceEncoderChoice]:
    """Train with an encoder of sentences, without, or both ways."""
    if not any(column.type == "text" for column in work.features):
        raise SpecError(
            "an encoder of sentences has nothing to read: no column that the model may read is a text",
            where="train.sentences",
            allowed="a column with `type: text` in the contract",
            hint="declare which column is a text, or write `sentences: never`",
        )
    choice, labels = work.spec.train.sentences, len(taught.rows)
    if choice == "always":
        return _train(work, taught, seed, with_sentences=True), SentenceEncoderChoice(
            choice="sentences", labels=labels
        )
    if labels > FEW_LABELS:
        return _train(work, taught, seed), SentenceEncoderChoice(choice="grams", labels=labels)
    without, training = _train(work, taught, seed), _train(work, taught, seed, with_sentences=True)
    groups = _groups_of(work)
    found = compare(
        without.out_of_fold,
        training.out_of_fold,
        taught.target,
        None if groups is None else groups[np.searchsorted(work.rows.train, taught.rows)],
        weight=taught.weight,
    )
    # Not by more than a standard error: of few labels that is wide, and on the tables of the benchmark it was better or as good.
    is_better = found.gain > 0
    return training if is_better else without, SentenceEncoderChoice(
        choice="sentences" if is_better else "grams",
        labels=labels,
        compared=found.rows,
        loss_grams=found.loss,
        loss_sentences=found.other_loss,
        gain=found.gain,
        standard_error=found.standard_error if np.isfinite(found.standard_error) else None,
    )


def _trained_at_site(work: Work, taught: "_Taught", seed: int) -> tuple[Training, Shared]:
    """Train on the site's own rows, with those of other sites, or both ways."""
    share = work.spec.train.share
    columns = work.features
    most = most_rows((column.type for column in columns), 2**62, most_cells=MOST_CELLS) - len(taught.rows)
    peers = peer_rows(work, taught.classes, most=most, seed=seed)
    if peers is None:
        return _train(work, taught, seed), Shared(choice="alone", sites=0, rows=0)
    together = _train(work, taught, seed, peers)
    if share == "together":
        return together, Shared(choice="together", sites=peers.sites, rows=len(peers.target))
    alone = _train(work, taught, seed)
    shared = compared(alone, together, target=taught.target, weight=taught.weight, peers=peers)
    return together if shared.choice == "together" else alone, shared


def _train(
    work: Work,
    taught: "_Taught",
    seed: int,
    peers: PeerRows | None = None,
    *,
    with_sentences: bool = False,
) -> Training:
    spec, rules, context = work.spec, work.rules, work.factory.context
    look = _pictures(work, taught, seed)[0]
    encoder, x = _encoded(work, taught.rows, look, peers, with_sentences=with_sentences)
    happened = moments_of_rows(work)
    target, weight, pairs = taught.target, taught.weight, _fold_positions(work, taught)
    if peers is not None:  # every fold learns from all of them, and none validates on them
        others = np.arange(len(target), len(target) + len(peers.target))
        target, weight = np.concatenate([target, peers.target]), np.concatenate([weight, peers.weight])
        pairs = [(np.concatenate([learned, others]), validated) for learned, validated in pairs]
    rows = TrainingRows(
        x=x,
        target=target,
        weight=weight,
        encoder=encoder,
        task=rules.name,
        classes=taught.classes,
        folds=pairs,
        at=None if happened is None else happened[taught.rows],
        seed=seed,
    )
    return train(
        rows,
        spec.train,
        report=context.report,
        metric=metric(chosen_by(work), rules.name),
        trainers={**TRAINERS, **trainers_of(spec.train)},
        workers=context.workers,
        fits=work.factory.fits_of(spec.line).part(work.known["split"]),
        engine=engine_of(work),
    )


def _pictures(work: Work, taught: "_Taught", seed: int) -> tuple[Look, PicturesRead | None]:
    """Return how pictures become numbers: decided once, on the line's own rows."""
    return work.once(
        "pictures",
        lambda: choose_pictures(
            work, partial(_losses, work, taught, seed), partial(_compared_rows, work, taught, seed)
        ),
    )


def _some(taught: "_Taught", seed: int) -> np.ndarray:
    """Return the places of the rows that sizes of pictures are compared on."""
    return np.sort(np.random.Generator(np.random.PCG64(seed)).permutation(len(taught.rows))[:MOST_COMPARED])


def _compared_rows(work: Work, taught: "_Taught", seed: int) -> ComparedRows:
    groups, kept = _groups_of(work), _some(taught, seed)
    return ComparedRows(
        units=None if groups is None else groups[np.searchsorted(work.rows.train, taught.rows[kept])],
        weight=taught.weight[kept],
    )


def _losses(work: Work, taught: "_Taught", seed: int, look: Look) -> np.ndarray:
    """Return the out-of-fold losses of one quick model, of all rows that are learned from or a part of very many."""
    kept = _some(taught, seed)
    place = np.full(len(taught.rows), -1)
    place[kept] = np.arange(len(kept))
    pairs = [
        tuple(part[part >= 0] for part in (place[a], place[b])) for a, b in _fold_positions(work, taught)
    ]
    encoder, x = _encoded(work, taught.rows[kept], look, None)
    rows = TrainingRows(
        x=x,
        target=taught.target[kept],
        weight=taught.weight[kept],
        encoder=encoder,
        task=work.rules.name,
        classes=taught.classes,
        folds=[(learned, held) for learned, held in pairs if len(learned) and len(held)],
        seed=seed,
    )
    context = work.factory.context
    training = train(
        rows,
        TrainSpec(
            budget=TrialsBudget(trials=1),
            folds=work.spec.train.folds,
            max_seconds=work.spec.train.max_seconds,
        ),
        report=context.report,
        workers=context.workers,
        fits=work.factory.fits_of(work.spec.line).part(work.known["split"]),
    )
    return row_losses(training.out_of_fold, rows.target)


def _scored(training: Training, rows: np.ndarray) -> bytes:
    """Return what the threshold will be chosen by: the rows that some fold judged."""
    judged = np.flatnonzero(np.isfinite(training.out_of_fold[:, 1]))
    return to_bytes(
        Scored(
            rows=rows[judged].astype(np.int64),
            probability=training.out_of_fold[judged, 1],
            weight=training.weight[judged],
        )
    )


def _estimated(work: Work, training: Training) -> Estimated | None:
    """Return what chose the model where it was not the built-in engine."""
    train = work.spec.train
    if not is_plugged(train):
        return None
    estimator = str(training.trials[0].settings.get("estimator", ""))
    if train.python is None:
        return Estimated(engine=train.engine, estimator=estimator)
    function = file_and_function(train.python)[1]
    return Estimated(engine="python", estimator=estimator, function=function, code=work.sources[CODE_FILE])


@dataclass(frozen=True, eq=False)
class _Taught:
    """What is learned from."""

    rows: np.ndarray
    """Row numbers of the dataset, ascending, shape (n,)."""
    target: np.ndarray
    weight: np.ndarray
    classes: tuple[str, ...]
    strata: np.ndarray | None
    """The class of each training row, learned from or not, shape (training rows,); none where numbers are learned."""
    sample: Sample | None


def _taught(work: Work, seed: int) -> _Taught:
    """Choose the training rows that are learned from: all, or some of very many."""
    spec, rules, rows = work.spec, work.rules, work.rows.train
    columns = work.features
    labels = label_text(work.rows.frame[rows, [spec.label.column]], spec.label.column)
    classes = rules.classes(labels, spec.label.positive)
    target = rules.target(labels, classes)
    # Of hazards each row is one for each interval.
    most_cells = MOST_CELLS // rules.link.outputs(len(classes)) if rules.link is HAZARD else MOST_CELLS
    most = most_rows((column.type for column in columns), len(rows), most_cells=most_cells)
    drawn = draw(
        target,
        most=most,
        seed=seed,
        is_class=rules.is_class,
        groups=_groups_of(work) if most < len(rows) else None,
    )
    taken = rows[drawn.rows]
    return _Taught(
        rows=taken,
        target=target[drawn.rows],
        weight=weights(work.rows.frame, spec)[taken] * drawn.stands_for,
        classes=classes,
        strata=target if rules.is_class else None,
        sample=_sample(drawn, len(rows), work, most_cells=most_cells) if len(taken) < len(rows) else None,
    )


def _encoded(
    work: Work, rows: np.ndarray, look: Look, peers: PeerRows | None, *, with_sentences: bool = False
) -> tuple[Encoder, np.ndarray]:
    """Learn the encoder from rows, and encode them; beside their matrix no copy of them is left."""
    columns = work.features
    # With the label, so that a table without a feature has rows all the same.
    features = work.rows.frame.select([*(column.name for column in columns), work.spec.label.column])[rows]
    if peers is not None:
        features = pl.concat([features, peers.features], how="vertical_relaxed")
    artifacts = work.factory.artifacts
    kept = work.factory.features_of
    encoder = learn(
        features, columns, look, partial(sentence_encoder_of, artifacts=artifacts) if with_sentences else None
    )
    return encoder, encode_table(encoder, features, readers=readers_of(encoder, artifacts.get, kept))


def _groups_of(work: Work) -> np.ndarray | None:
    """Return a number for the group of each training row; `None` where rows are on their own."""
    if work.spec.table.group is None:
        return None
    frame = work.rows.frame[work.rows.train]
    return hash_in_parts(frame, lambda part: identity_text(part, work.spec, by_group=True), salt="")


def _sample(drawn: Drawn, of: int, work: Work, *, most_cells: int) -> Sample:
    return Sample(
        of=of,
        rows=len(drawn.rows),
        most_cells=most_cells,
        by_group=work.spec.table.group is not None,
        kept_whole=int((drawn.stands_for == 1).sum()),
        weight=float(drawn.stands_for.max()),
    )


def _fold_positions(work: Work, taught: _Taught) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the folds as positions among the rows that are learned from; they are dealt over all training rows."""
    rows, spec = work.rows, work.spec
    position = np.full(rows.frame.height, -1)
    position[taught.rows] = np.arange(len(taught.rows))
    pairs = folds(rows.frame, work.split, spec, spec.train.fold_count, parts=rows.parts, strata=taught.strata)
    placed = [(position[train], position[valid]) for train, valid in pairs]
    return [(train[train >= 0], valid[valid >= 0]) for train, valid in placed]


def package_step(work: Work) -> Parity:
    """Export the model as a package, and prove that the package answers as the model does."""
    trained, context = work.trained, work.factory.context
    if trained.encoder.listed:
        return _package_graph(work)
    native = context.artifacts.get(trained.native)
    held_out = work.rows.frame[work.rows.test[:PARITY_ROWS]]
    x = encode(
        trained.encoder,
        to_columns(held_out, trained.encoder.columns),
        readers_of(trained.encoder, context.artifacts.get, work.factory.features_of),
    )
    graph = (
        adopted_graph(trained, native, x)
        if trained.adopted
        else to_onnx(native, width=len(trained.encoder.encodings))
    )
    fitted = None if trained.adopted else read_native(native)
    refused = () if fitted is None else refused_by(fitted)
    _require_values(trained, refused, x)
    needed = {trained.encoder.encodings[place].column for place in refused}
    package = partial(
        build,
        trained,
        label=work.spec.label.column,
        key=work.spec.table.key,
        columns=request_columns(work, trained, needed=needed),
        missing=missing_texts(work.spec),
        row_sql=work.ingested.row_sql,
        views=views_of_request(work, trained),
        graph=graph,
    )
    golden = _golden(
        work,
        open_model(package(golden=b""), graph, files=context.artifacts.get, kept=work.factory.features_of),
    )
    context.artifacts.put(graph)
    context.artifacts.put(golden)
    digest = keep_package(package(golden=golden), context.artifacts, context.metadata)
    model = load(digest, context.artifacts.get, work.factory.features_of)
    Scorer(model).check_golden(context.artifacts.get)
    if fitted is None:
        return parity_of_adopted(work, native, model, x, seed=context.seed(digest))
    return parity(fitted, model, x=x, seed=context.seed(digest))


def _package_graph(work: Work) -> Parity:
    """Package what was learned as a graph, and prove that it answers as its numbers say."""
    trained, context = work.trained, work.factory.context
    graph = context.artifacts.get(trained.native)
    package = partial(
        build,
        trained,
        label=work.spec.label.column,
        key=None,
        columns=request_columns(work, trained),
        missing=missing_texts(work.spec),
        graph=graph,
    )
    golden = _golden(work, open_model(package(golden=b""), graph))
    context.artifacts.put(golden)
    digest = keep_package(package(golden=golden), context.artifacts, context.metadata)
    model = load(digest, context.artifacts.get)
    Scorer(model).check_golden(context.artifacts.get)
    x = encode_table(trained.encoder, work.rows.frame, work.rows.test[:PARITY_ROWS])
    return (parity_of_lists if trained.encoder.items else parity_of_steps)(model, graph, x=x)


def _require_values(trained: Trained, refuses: Sequence[int], x: np.ndarray) -> None:
    """Require that an estimator that cannot answer without a number is not asked to, by rows that are here already."""
    for place in refuses:
        if without := int(np.isnan(x[:, place]).sum()):
            column = trained.encoder.encodings[place].column
            raise RequestError(
                f"the {'estimator' if trained.estimated else 'model'} does not answer rows without a value in {column!r}, and "
                f"{count(without, 'test row')} have none",
                where=f"contract.columns.{column}"
                if trained.estimated is None
                else "train.python"
                if trained.estimated.code
                else "train.engine",
                hint=f"declare contract.columns.{column}: {{nullable: false}}"
                if trained.estimated is None
                else f"put a step that fills missing numbers before the estimator, or declare contract.columns.{column}: {{nullable: false}}",
            )


def request_columns(
    work: Work, trained: Trained, *, needed: Collection[str] = ()
) -> tuple[RequestColumn, ...]:
    """Return the columns that a request row may have: those of the table, and those of the source that SQL makes some of.

    Of those that are `needed` a value is never missing, for the model has no answer without.
    """
    used, dataset, rows = set(trained.encoder.columns), work.dataset, work.ingested.row_sql
    made = {work.spec.table.group} - {*work.spec.table.groups}
    window = trained.encoder.window
    # A request that names a series alone gets the values that are known.
    known = set() if window is None else {window.recent, window.time}
    of_views = {column.name for view in work.views for column in view.columns}
    optional = ((used & (set(optional_columns(work.spec)) | of_views)) - set(needed)) | known
    of_table = tuple(
        RequestColumn(
            name=column.name,
            type=column.type,
            nullable=(column.nullable and column.name not in needed) or column.name in known,
            role="feature" if column.name in used else "carried",
            format=column.format,
            optional=column.name in optional,
        )
        for column in dataset.columns
        if column.name not in made
    )
    names = [column.name for column in dataset.columns]
    return of_table if rows is None else (*of_table, *source_columns(rows, names))


def views_of_request(work: Work, trained: Trained) -> tuple[ViewFacts, ...]:
    """Return the feature views of which the model reads a column."""
    used = set(trained.encoder.columns)
    return tuple(view for view in work.views if any(column.name in used for column in view.columns))


def _golden(work: Work, model: Model) -> bytes:
    """Rows of the test part as a client would send them, with the answers of the batch path."""
    encoder = model.package.encoder
    frame = work.rows.frame[work.rows.test[:GOLDEN_ROWS]].select(encoder.columns)
    answers = model.answers(model.scores(encode(encoder, to_columns(frame, encoder.columns), model.readers)))
    return msgspec.json.encode({"rows": json_rows(frame, encoder.lists), "predictions": answers})
