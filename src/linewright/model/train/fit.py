"""Train: search a setting on folds, fit it to all rows that it may learn from, and calibrate it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.engine.context import Progress
from linewright.features.facts import Encoder
from linewright.model.facts import Band, Calibration, Executed, MemberOf, Recent, Task, Trial
from linewright.model.families.ensemble import EnsembleFitted, Member
from linewright.model.families.trainer import TRAINERS, Trainer, of_width, read_native
from linewright.model.metrics.definitions import MetricRule
from linewright.model.package.model import calibrate
from linewright.model.reasons import ChosenReason
from linewright.model.spec import TrainSpec
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.links import Floats, Matrix
from linewright.model.tasks.prediction_interval import fit_band, half_width
from linewright.model.train.calibrate import fit_calibration, goes_forward
from linewright.model.train.ensemble_selection import Blend
from linewright.model.train.feature_pairs import Pair, extended
from linewright.model.train.fit_cache import LIBRARIES, NO_FITS, Fits, Kept, version_of
from linewright.model.train.search import (
    Asked,
    Engine,
    Fold,
    Pace,
    Rows,
    Search,
    by_row,
    rows_of,
    trial_of,
    usable_folds,
)
from linewright.model.train.settings import PAIRS

_ALWAYS = ("numpy", "onnx", "scikit-learn", "skl2onnx")
"""What is passed on the way from any estimator to its package."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """What a model is trained on: rows with what is true of them, and the folds by which they judge what they did not teach."""

    x: Matrix
    """float32, shape (n, width): all rows, encoded. The encoder has seen them but no label, so folds need no encoder of their own."""
    target: npt.NDArray[Any]
    """Shape (n,): int64 codes into `classes`, or float64 numbers."""
    weight: Floats
    """Shape (n,), at least 0; rows of weight 0 are not learned from."""
    encoder: Encoder
    """Says which columns of `x` hold codes."""
    task: Task
    classes: tuple[str, ...]
    """As in `Trained`."""
    folds: Sequence[Fold]
    """Positions to learn from and to judge on. A row may be judged at most once; with forward chaining the earliest never are."""
    at: npt.NDArray[Any] | None = None
    """Shape (n,): when each row happened, in any unit. Given, older rows are left out where the latest ones are surely answered
    better without them (`linewright.model.train.recency`)."""
    seed: int
    """Of all that is drawn, in [0, 2**31)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """What training gives."""

    native: bytes
    """The fitted model, for `trainers.read_native`."""
    trials: tuple[Trial, ...]
    """Best first."""
    chosen: str
    reason: ChosenReason
    calibration: Calibration
    half_width: float | None
    band: Band | None
    out_of_fold: Floats
    """Calibrated scores of the training rows by models that did not see them, shape (n, classes) or (n,); NaN for
    rows that no fold judged."""
    weight: Floats
    """What each row counts, shape (n,)."""
    learned: npt.NDArray[np.bool_]
    """Which training rows it learned from, shape (n,)."""
    recent: Recent | None
    """Where older rows were left out: why."""
    executed: Executed
    """What was done, so that it can be done again."""
    encoder: Encoder
    """What makes the matrix that the model reads: the given one, or that and what pairs of its numbers are together."""
    libraries: dict[str, str]
    """Versions of what fitted it."""


def train(
    on: TrainingRows,
    spec: TrainSpec,
    *,
    report: Callable[[Progress], None],
    metric: MetricRule | None = None,
    trainers: Mapping[str, Trainer] = TRAINERS,
    workers: int = 2,
    fits: Fits = NO_FITS,
    engine: Engine | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Training:
    """Train a model."""
    rules = rules_of(on.task)
    rows = rows_of(
        on.x, on.target, on.weight, encoder=on.encoder, task=on.task, classes=len(on.classes), seed=on.seed
    )
    pace = Pace(1, spec.max_seconds, report, clock)
    kept = Kept(
        fits,
        x=rows.x,
        target=rows.target,
        categorical=rows.categorical,
        task=rows.task,
        classes=rows.classes,
        seed=rows.seed,
        also=spec.also,
    )
    offered = None
    if engine is not None:
        asked = Asked(
            rows=rows,
            folds=usable_folds(rows, on.folds),
            names=on.encoder.names,
            budget=spec.budget,
            pace=pace,
        )
        offered, workers = engine(asked), 1
    search = Search(
        folds=on.folds,
        spec=spec,
        trainers=trainers,
        pace=pace,
        metric=metric,
        workers=workers,
        kept=kept,
        offered=offered,
    )
    windows = [] if on.at is None else search.windows(rows, on.at)
    found, recent = search.over(rows, then=len(windows)), None
    if (narrowed := search.narrowed(rows, found, windows)) is not None:
        rows, found, recent = narrowed
    blend, tried, judged = found.chosen, found.tried, found.judged
    truth, mass = rows.target[judged], rows.weight[judged]
    native, pairs = _refit(rows, blend, search, pace, kept)
    calibration = fit_calibration(
        blend.scores,
        truth,
        mass,
        kind=rows.task,
        seed=rows.seed,
        parts=np.repeat(np.arange(len(found.folds)), [len(held) for _, held in found.folds]),
        is_forward=goes_forward(on.folds),
    )
    scores = calibrate(calibration, blend.scores)
    return Training(
        native=native,
        trials=tuple(trial_of(one, found.rows, blend if found.by_loss else None) for one in tried),
        chosen=blend.name,
        reason=found.reason,
        calibration=calibration,
        half_width=half_width(np.abs(truth - scores), mass) if rules.has_interval else None,
        band=fit_band(scores, truth, mass) if rules.has_interval else None,
        out_of_fold=by_row(scores, judged, len(rows.x)),
        weight=rows.weight,
        learned=rows.learned,
        recent=recent,
        encoder=extended(on.encoder, pairs),
        executed=Executed(
            folds=len(found.folds),
            of=len(usable_folds(rows, on.folds)),
            members=tuple(
                MemberOf(trial=one.setting.name, weight=weight, rounds=one.rounds)
                for weight, one in blend.members
            ),
        ),
        # A family that a line asks for is called like its library.
        libraries={name: version_of(name) for name in (*LIBRARIES, *spec.also)}
        if offered is None
        else {name: version_of(name) for name in _ALWAYS} | dict(offered.libraries),
    )


def _refit(
    rows: Rows, blend: Blend, search: Search, pace: Pace, kept: Kept
) -> tuple[bytes, tuple[Pair, ...]]:
    """Fit each member once to all rows that may be learned from; return them, and the pairs of numbers that they read."""
    taken = np.flatnonzero(rows.learned)
    pace.more(len(blend.members) - 1)
    pairs = rows.pairs(taken, search.spec.budget) if blend.is_paired else ()
    width = rows.x.shape[1] + len(pairs)
    fitted: list[Member] = []
    for weight, one in blend.members:
        key = kept.key(one.setting, rows.weight, taken, rounds=one.rounds, width=width)
        if (native := kept.get(key)) is not None:
            pace.found()
            fitted.append(Member(weight, read_native(native)))
            continue
        pace.next(f"{one.setting.name}: all training rows")
        read = pairs if PAIRS in one.setting.settings else ()
        narrow = rows.fit(search.trainer(one.setting), taken, None, one.rounds, one.setting, pairs=read)
        # The members of a sum read one matrix, those without pairs the front of it.
        member = narrow if len(read) == len(pairs) else of_width(narrow, width)
        if key:
            kept.put(key, member.to_native())
        fitted.append(Member(weight, member))
    pace.tell_found()
    native = fitted[0].fitted.to_native() if len(fitted) == 1 else EnsembleFitted(fitted).to_native()
    return native, pairs
