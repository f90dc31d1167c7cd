"""What the step ``train`` does of a line that looks for anomalies."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from threadpoolctl import threadpool_limits

from linewright.data.dataset.split import folds
from linewright.data.facts import Column
from linewright.errors import SpecError
from linewright.features.encode_table import encode_table
from linewright.features.facts import LOOKS, Encoder, Picture, PicturePart
from linewright.features.learn import learn
from linewright.line.run_context import Work
from linewright.line.split_rows import label_text
from linewright.model.anomaly.learn import Learned, TaughtRows, learn_anomaly, require_good
from linewright.model.anomaly.patches import TaughtPictures, detector, learn_patches
from linewright.model.facts import Calibration, Trained
from linewright.model.pictures import patches_of
from linewright.model.train.scored_rows import Scored, to_bytes

_LIBRARIES = ("numpy", "onnx", "scikit-learn")
_OF_PICTURES = ("numpy", "onnx", "onnxruntime", "pillow")


def train_anomaly(work: Work) -> Trained:
    """Learn what good rows are like; rows that are known to be faulty choose the model and the threshold, and teach nothing."""
    rows, spec, rules = work.rows.train, work.spec, work.rules
    classes = rules.classes(work.ingested.labels, spec.label.positive)
    target = rules.target(label_text(work.rows.frame[rows], spec.label.column), classes)
    require_good(int((target == 0).sum()))
    columns = work.features
    files = [column for column in columns if column.type == "file"]
    if len(files) > 1 or (files and len(columns) > 1):
        raise SpecError(
            "anomalies are looked for in one column of pictures, or in a table without any",
            where="table.exclude",
            found=", ".join(column.name for column in columns)[:200],
            hint="exclude the other columns, or make a line for each",
        )
    learn_from = _of_pictures if files else _of_table
    # Sums of several threads would round otherwise on another number of processors.
    with threadpool_limits(1):
        encoder, learned = learn_from(work, columns, rows, target == 1)
    context = work.factory.context
    return Trained(
        dataset=work.ingested.dataset,
        split=work.known["split"],
        task=rules.name,
        classes=classes,
        encoder=encoder,
        trials=learned.trials,
        chosen=learned.chosen,
        reason=learned.reason,
        native=context.artifacts.put(learned.native),
        calibration=Calibration(),
        half_width=None,
        baseline=rules.baseline(target, np.ones(len(target)), classes),
        rows=learned.rows,
        seed=_seed(work),
        libraries={name: version(name) for name in (_OF_PICTURES if files else _LIBRARIES)},
        executed=learned.executed,
        scored=context.artifacts.put(_scored(learned, rows)),
    )


def _seed(work: Work) -> int:
    return work.factory.context.seed(work.known["split"])


def _of_table(
    work: Work, columns: Sequence[Column], rows: np.ndarray, is_faulty: np.ndarray
) -> tuple[Encoder, Learned]:
    spec = work.spec
    features = work.rows.frame.select([*(column.name for column in columns), spec.label.column])[rows]
    encoder = learn(features.filter(~is_faulty), columns)
    x = encode_table(encoder, features)
    place = np.full(work.rows.frame.height, -1)
    place[rows] = np.arange(len(rows))
    pairs = folds(work.rows.frame, work.split, spec, spec.train.fold_count, parts=work.rows.parts)
    taught = TaughtRows(
        x=x,
        is_faulty=is_faulty,
        categorical=encoder.categorical,
        folds=[(place[learned], place[held]) for learned, held in pairs],
        seed=_seed(work),
    )
    return encoder, learn_anomaly(taught, report=work.factory.context.report)


def _of_pictures(
    work: Work, columns: Sequence[Column], rows: np.ndarray, is_faulty: np.ndarray
) -> tuple[Encoder, Learned]:
    context, (column,) = work.factory.context, columns
    digests = label_text(work.rows.frame[rows], column.name)
    if (missing := digests.count(None)) > 0:  # pyright: ignore[reportArgumentType] -- a cell may be empty
        raise SpecError(
            "a picture that is not there is neither good nor faulty",
            where=f"contract.columns.{column.name}",
            found=f"{missing:,} training rows without one",
            hint=f"declare contract.columns.{column.name}: {{type: file, nullable: false}}",
        )
    group = work.spec.table.group
    groups = digests if group is None else _named(label_text(work.rows.frame[rows], group))
    patches, reader, grid = patches_of(column.name, context.artifacts, work.factory.features_of)
    found = learn_patches(
        TaughtPictures(
            digests=digests,
            is_faulty=is_faulty,
            groups=np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64),
            grid=grid,
            seed=_seed(work),
        ),
        lambda some: reader.read(some)[:, len(LOOKS) :],
        report=context.report,
    )
    graph = detector(context.artifacts.get(patches.backbone), found.bank, grid=grid)
    width = grid * grid
    picture = Picture(
        column=column.name,
        backbone=context.artifacts.put(graph),
        side=patches.side,
        width=width,
        grid=grid,
    )
    encoder = Encoder(
        encodings=tuple(PicturePart(column=column.name, part=len(LOOKS) + place) for place in range(width)),
        pictures=(picture,),
    )
    return encoder, found.learned


def _named(groups: Sequence[str | None]) -> list[str]:
    """Return the groups of rows; a row of none known is alone."""
    return [f"row {row}" if group is None else f"group {group}" for row, group in enumerate(groups)]


def _scored(learned: Learned, rows: np.ndarray) -> bytes:
    """Return the rows that the threshold will be chosen by."""
    scored = np.flatnonzero(np.isfinite(learned.score))
    return to_bytes(
        Scored(
            rows=rows[scored].astype(np.int64),
            probability=learned.score[scored],
            weight=np.ones(len(scored)),
        )
    )
