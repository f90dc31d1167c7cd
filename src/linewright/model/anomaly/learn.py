"""Learning how odd rows are from those that are good, and choosing how by those that are known to be faulty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from linewright.engine.context import Progress
from linewright.errors import SpecError
from linewright.model.facts import Executed, MemberOf, Trial
from linewright.model.families.anomaly.empirical_cdf import EmpiricalCdf, learn_cdf
from linewright.model.families.anomaly.fitted import Isolation, Method, Nearest, OddityFitted, OddityNative
from linewright.model.families.anomaly.prepared import prepare, typical_row
from linewright.model.families.forest import Forest
from linewright.model.families.tree_arrays import to_grown
from linewright.model.metrics.definitions import metric
from linewright.model.metrics.estimate import measure_of, spreads
from linewright.model.reasons import ChosenReason, FoundMost, NothingFaulty
from linewright.model.tasks.links import ODDITY, Floats, Matrix

TREES = 100
SAMPLE = 256
"""Rows that each tree is grown from."""


def grow(rows: Matrix, *, seed: int) -> Isolation:
    """Grow trees from good rows."""
    sample: Any = min(SAMPLE, len(rows))
    made = IsolationForest(n_estimators=TREES, max_samples=sample, random_state=seed, n_jobs=1)
    made.fit(rows)
    parts = [one.tree_ for one in made.estimators_]
    sizes = [one.node_count for one in parts]
    starts = np.cumsum([0, *sizes[:-1]])
    yes, no, depth = [], [], []
    for tree, start in zip(parts, starts.tolist(), strict=True):
        left, right = tree.children_left, tree.children_right
        yes.append(np.where(left < 0, -1, left + start))
        no.append(np.where(right < 0, -1, right + start))
        level = np.zeros(tree.node_count)
        for node in range(tree.node_count):  # a node stands before those below it
            if left[node] >= 0:
                level[[left[node], right[node]]] = level[node] + 1
        depth.append(level)
    at = np.concatenate([one.threshold for one in parts])
    # Rows are float32: a bound between two such numbers is that of the lower one.
    bound = at.astype(np.float32)
    bound = np.where(bound > at, np.nextafter(bound, np.float32(-np.inf)), bound)
    node_rows = np.concatenate([one.n_node_samples for one in parts])
    is_leaf = np.concatenate(yes) < 0
    splits = np.concatenate(depth) + path_length(node_rows)
    n = int(sum(sizes))
    forest = Forest(
        tree=np.repeat(np.arange(len(sizes)), sizes),
        yes=np.concatenate(yes),
        no=np.concatenate(no),
        column=np.where(is_leaf, 0, np.concatenate([one.feature for one in parts])).astype(np.int64),
        at_most=np.where(is_leaf, 0.0, bound.astype(np.float64)),
        codes={},
        missing_is_yes=np.zeros(n, dtype=np.bool_),
        rows=node_rows.astype(np.float64),
        value=np.where(is_leaf, -splits / TREES, 0.0),
        output=np.zeros(n, dtype=np.int64),
        offset=np.zeros(1),
    )
    native = to_grown(forest, task="anomaly", width=rows.shape[1], link="margin", refuses=())
    return Isolation(trees=native)


def path_length(rows: Floats) -> Floats:
    """Return how many splits it takes on average to part so many rows by chance: those that a leaf still holds.

    Examples
    --------
    >>> path_length(np.array([1.0, 2.0, 256.0])).round(2).tolist()
    [0.0, 1.0, 10.24]
    """
    many = np.maximum(rows, 3.0)
    long = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(rows <= 1, 0.0, np.where(rows <= 2, 1.0, long))


Family = Literal["isolation_forest", "nearest_neighbours"]
FAMILIES: tuple[Family, ...] = ("nearest_neighbours", "isolation_forest")
"""The first is taken where too few rows are known to be faulty to compare them."""
FEWEST_FAULTY = 10
"""Faulty training rows from which on families are compared."""
FEWEST_GOOD = 30
MOST_GOOD, MOST_FAULTY = 50_000, 5_000
"""Rows that are learned from, or compared by: of more, so many are drawn."""
BANK, CELLS = 2_000, 400_000
"""Good rows that a model of distances keeps, and the most numbers that it has: of wide tables fewer rows, but at least `FEWEST_KEPT`."""
FEWEST_KEPT = 200
NEIGHBOURS = 5
_FORGET = EmpiricalCdf(at=(0.0,), share=(0.0,), scale=1.0)
Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TaughtRows:
    """Training rows, encoded, and which are known to be faulty."""

    x: Matrix
    """float32, shape (n, width)."""
    is_faulty: NDArray[np.bool_]
    categorical: tuple[int, ...]
    folds: Sequence[Fold]
    """Positions to learn from and to method; no row is scored twice."""
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """What was learned."""

    native: bytes
    trials: tuple[Trial, ...]
    """Best first."""
    chosen: str
    reason: ChosenReason
    executed: Executed
    score: Floats
    """Scores of the training rows by models that did not learn from them, shape (n,); NaN of rows that none scored."""
    rows: int
    """Good rows that it learned from."""


def learn_anomaly(rows: TaughtRows, *, report: Callable[[Progress], None]) -> Learned:
    """Learn how odd rows are."""
    require_good(int((~rows.is_faulty).sum()))
    chance = np.random.default_rng(rows.seed)
    is_kept = np.zeros(len(rows.x), dtype=np.bool_)
    for places, most in (
        (np.flatnonzero(~rows.is_faulty), MOST_GOOD),
        (np.flatnonzero(rows.is_faulty), MOST_FAULTY),
    ):
        is_kept[chance.permutation(places)[:most]] = True
    faulty = int((is_kept & rows.is_faulty).sum())
    families = FAMILIES if faulty >= FEWEST_FAULTY else FAMILIES[:1]
    fits = len(families) * len(rows.folds) + 1
    done = 0

    def fitted(family: Family, taken: Rows) -> OddityFitted:
        nonlocal done
        report(Progress(step="train", says=f"{family}: {len(taken):,} rows", done=done, of=fits))
        done += 1
        return _fitted(family, rows, taken)

    scored = [_scored(family, rows, is_kept, fitted) for family in families]
    ranked = sorted(
        ((_trial(family, oddity, rows, is_kept), oddity) for family, oddity in scored),
        key=lambda one: one[0].loss,
    )
    trials, oddity = tuple(trial for trial, _ in ranked), ranked[0][1]
    family: Family = next(one for one in families if one == trials[0].family)
    good = np.flatnonzero(is_kept & ~rows.is_faulty)
    final = fitted(family, good)
    cdf = learn_cdf(oddity[good][np.isfinite(oddity[good])])
    whole = OddityFitted(replace(final.native, cdf=cdf))
    score = np.full(len(rows.x), np.nan)
    score[good] = cdf.scores(oddity[good])
    places = np.flatnonzero(is_kept & rows.is_faulty)
    score[places] = whole.scores(rows.x[places])[:, 1]
    return Learned(
        native=whole.to_native(),
        trials=trials,
        chosen=family,
        reason=reason_of(trials, faulty=faulty, rows=int(np.isfinite(score).sum())),
        executed=Executed(
            folds=len(rows.folds),
            of=len(rows.folds),
            members=(MemberOf(trial=family, weight=1.0, rounds=0),),
        ),
        score=score,
        rows=len(good),
    )


def require_good(good: int) -> None:
    """Refuse to learn what is good from too few rows."""
    if good < FEWEST_GOOD:
        raise SpecError(
            "too few good training rows to learn what is usual",
            where="table",
            found=f"{good:,} good rows",
            allowed=f"at least {FEWEST_GOOD}",
            hint="bring more good rows, or make train.split.test smaller",
        )


def reason_of(trials: Sequence[Trial], *, faulty: int, rows: int) -> ChosenReason:
    """Return why the first of some trials was chosen."""
    if faulty < FEWEST_FAULTY:
        return ChosenReason(choice=NothingFaulty(faulty=faulty, needed=FEWEST_FAULTY, rows=rows))
    return ChosenReason(
        choice=FoundMost(
            value=1 - trials[0].loss,
            faulty=faulty,
            rows=rows,
            next=None if len(trials) == 1 else trials[1].name,
            next_value=None if len(trials) == 1 else 1 - trials[1].loss,
        )
    )


def _scored(
    family: Family,
    rows: TaughtRows,
    is_kept: NDArray[np.bool_],
    fit: Callable[[Family, Rows], OddityFitted],
) -> tuple[Family, Floats]:
    oddity = np.full(len(rows.x), np.nan)
    faulty = np.flatnonzero(is_kept & rows.is_faulty)
    of_faulty: list[Floats] = []
    for taught, held in rows.folds:
        taken = taught[is_kept[taught] & ~rows.is_faulty[taught]]
        if len(taken) < FEWEST_GOOD // 2:
            continue  # the first blocks of time
        method = fit(family, taken)
        asked = held[is_kept[held] & ~rows.is_faulty[held]]
        oddity[asked] = method.oddity(rows.x[asked])
        of_faulty.append(method.oddity(rows.x[faulty]))
    if not of_faulty:
        require_good(0)
    oddity[faulty] = np.mean(of_faulty, axis=0)
    return family, oddity


def _trial(family: Family, oddity: Floats, rows: TaughtRows, is_kept: NDArray[np.bool_]) -> Trial:
    asked = np.flatnonzero(is_kept & np.isfinite(oddity))
    settings = (
        {"trees": 100, "sample": 256}
        if family == "isolation_forest"
        else {"rows": BANK, "neighbours": NEIGHBOURS}
    )
    return trial_of(family, oddity[asked], rows.is_faulty[asked], settings=settings, seed=rows.seed)


def trial_of(
    name: str,
    oddity: Floats,
    is_faulty: NDArray[np.bool_],
    *,
    settings: dict[str, int],
    seed: int,
) -> Trial:
    """Return a trial whose loss is 1 less the average precision, with its interval; 1 where too few rows are faulty."""
    low = high = value = 0.0
    if is_faulty.sum() >= FEWEST_FAULTY:
        rule, codes, weight = (
            metric("average_precision", "anomaly"),
            is_faulty.astype(np.int64),
            np.ones(len(oddity)),
        )
        said = ODDITY.to_scores(oddity)
        (spread,) = spreads(
            [measure_of(rule, codes, said, weight=weight, clusters=None)],
            units=[int(is_faulty.sum())],
            weight=weight,
            clusters=None,
            seed=seed,
        )
        value, low, high = spread.value, spread.lower(0.975), spread.upper(0.975)
    return Trial(
        name=name,
        family=name,
        settings=settings,
        loss=float(f"{1 - value:.10g}"),
        low=float(f"{1 - high:.10g}"),
        high=float(f"{1 - low:.10g}"),
        rounds=0,
    )


def _fitted(family: Family, rows: TaughtRows, taken: Rows) -> OddityFitted:
    x = rows.x[taken]
    prepared = prepare(x, rows.categorical)
    numbers = prepared.apply(x)
    return OddityFitted(
        OddityNative(
            task="anomaly",
            width=rows.x.shape[1],
            prepared=prepared,
            method=_method(family, numbers, rows.seed),
            cdf=_FORGET,
            typical=typical_row(x, rows.categorical),
        )
    )


def _method(family: Family, numbers: Matrix, seed: int) -> Method:
    if family == "isolation_forest":
        return grow(numbers, seed=seed)
    most = min(BANK, max(FEWEST_KEPT, CELLS // numbers.shape[1]))
    kept = np.sort(np.random.default_rng(seed).permutation(len(numbers))[:most])
    return Nearest(rows=numbers[kept].astype("<f4").tobytes(), neighbours=min(NEIGHBOURS, len(kept)))
