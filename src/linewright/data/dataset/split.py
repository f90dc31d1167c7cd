"""Which rows train and which test: a pure function of each row, or a cut in time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, cast

import numpy as np
import polars as pl

from linewright.data.dataset.duplicates import come_again, contents_of, repeat_seldom, share_repeating
from linewright.data.dataset.event_time import known_at, moments
from linewright.data.dataset.row_id import hash_in_parts, identity_text
from linewright.data.dataset.served_rows import ENOUGH, ENOUGH_NUMBERS, Logged, can_judge, latest_with
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import (
    EMBARGO,
    TEST,
    TRAIN,
    Breach,
    ByGroup,
    ByHash,
    ByTime,
    ClassShares,
    Dataset,
    Split,
    SplitReason,
    Staying,
)
from linewright.data.spec import DataSpec, SplitSpec
from linewright.data.split_text import called, reason_in_words
from linewright.engine.context import Context
from linewright.errors import SpecError
from linewright.store.clock import micros_of, text_of

_WHOLE = float(1 << 64)
_POINTS, _RELATIVE, _FEW = 0.05, 0.25, 10
"""How far apart the shares of a class must be to be told: in points, or of its share, if so many training rows are of it."""
_MOSTLY = 0.5
"""Share of the rows without a label, and of the test rows that repeat a training row, from which it is told."""


@dataclass(frozen=True)
class _Cut:
    parts: np.ndarray
    """TRAIN or TEST for each row, before anything is embargoed."""
    because: ByGroup | ByHash | ByTime
    cutoff: Any = None
    """First time value of the test part."""
    since: str | None = None
    """When the shift began since which the test rows were answered."""
    older: int = 0
    """Rows from before it that would be test rows."""

    @property
    def cutoff_text(self) -> str | None:
        """The first time value of the test part, as text."""
        return None if self.cutoff is None else _text_of(self.cutoff)


def split(
    context: Context,
    dataset_digest: str,
    dataset: Dataset,
    spec: SplitSpec,
    data: DataSpec,
    *,
    as_of: str | None = None,
    times_enough: int = 1,
    logged: Logged | None = None,
) -> Split:
    """Part the rows of a dataset into training and test.

    A random or group split takes a row into the test part if a salted hash of its group (else key, else content) is
    small: no other row matters, so a row once in the test part stays there, and rows that are alike stay together.
    A time split takes the latest rows: the cut-off is the time value that leaves nearest to `test` of the labelled
    rows at or after it; rows of the same time are never split apart. Training rows that were not known at the cut-off, or
    whose truth was not, are in neither part, and so are rows without a label. Where rows seldom repeat, a test row that
    says what a training row says is in neither part either (see `data.dataset.duplicates`).
    """
    frame = read_dataset(dataset, context.artifacts, context.metadata)
    label = frame[data.label.column]
    has_label = label.is_not_null().to_numpy() & _was_known(frame, data, as_of)
    if not has_label.any():
        raise SpecError("no row has a label", where="label.column", found=data.label.column)
    parted = _parted(frame, has_label, spec, data, as_of=as_of, times_enough=times_enough, logged=logged)
    cut, parts, copies = parted.cut, parted.parts, parted.copies
    is_class = _is_class(label, data)
    _refuse_useless(parted, label, is_class=is_class)
    result = Split(
        dataset=dataset_digest,
        by=parted.by,
        reason=SplitReason(
            cut=cut.because,
            older=cut.older,
            staying=parted.staying,
            apart=_shares_apart(parts, label) if is_class else None,
        ),
        cutoff=cut.cutoff_text,
        train=int((parts == TRAIN).sum()),
        test=int((parts == TEST).sum()),
        embargo=int(((parts == EMBARGO) & has_label).sum()) - copies,
        unlabelled=int((~has_label).sum()),
        parts=context.artifacts.put(parts.tobytes()),
        fold_salt=f"fold:{spec.salt}",
        is_mixed=as_of is not None,
        since=cut.since,
        copies=copies,
    )
    context.metadata.keep(result)
    return result


@dataclass(frozen=True)
class _Parted:
    by: Literal["random", "group", "time"]
    cut: _Cut
    parts: np.ndarray
    """TRAIN, TEST or EMBARGO for each row, after copies were left out."""
    copies: int
    staying: Staying | None


def _parted(
    frame: pl.DataFrame,
    has_label: np.ndarray,
    spec: SplitSpec,
    data: DataSpec,
    *,
    as_of: str | None = None,
    times_enough: int = 1,
    logged: Logged | None = None,
) -> _Parted:
    """Part rows as `split` does, whatever becomes of the parts; keep nothing."""
    by = _kind(spec, data)

    def cut_of(counted: np.ndarray, *, without_repeats: bool = False) -> tuple[_Cut, np.ndarray]:
        if by == "time":
            shares = None if as_of is None else _enough(frame, counted, data, times_enough)
            cut = _cut_in_time(frame, counted, spec, data, without_repeats=without_repeats, recent=shares)
        else:
            cut = _cut_by_hash(frame, spec, data)
            if logged is not None:
                cut = _since_shift(cut, frame, data, logged, times_enough)
        return cut, np.where(has_label, cut.parts, EMBARGO).astype(np.uint8)

    cut, parts = cut_of(has_label)
    contents, copies, staying = contents_of(frame, data), 0, None
    is_train = parts == TRAIN
    if logged is not None and len(logged.identities):
        is_train &= ~np.isin(identities(frame, data), logged.identities)
    if repeat_seldom(contents[is_train]):
        again = _again(frame, contents, has_label, data) if by == "time" else np.zeros(len(parts), dtype=bool)
        if again.any():
            # Rows that cannot judge make no test part.
            cut, parts = cut_of(has_label & ~again, without_repeats=True)
        is_copy = (parts == TEST) & np.isin(contents, contents[parts == TRAIN])
        parts[is_copy], copies = EMBARGO, int(is_copy.sum())
    elif stay := int(((parts == TEST) & np.isin(contents, contents[is_train])).sum()):
        staying = Staying(rows=stay, share=float(share_repeating(contents[is_train])))
    return _Parted(by, cut, parts, copies, staying)


def _again(frame: pl.DataFrame, contents: np.ndarray, has_label: np.ndarray, data: DataSpec) -> np.ndarray:
    """Return which labelled rows say what a labelled row of an earlier time says."""
    again = np.zeros(frame.height, dtype=bool)
    again[has_label] = come_again(contents[has_label], moments(frame[str(data.table.time)])[has_label])
    return again


def foreseen(frame: pl.DataFrame, spec: SplitSpec, data: DataSpec) -> np.ndarray:
    """Return the part that `split` would give to each row before it leaves out copies, without keeping anything."""
    has_label = frame[data.label.column].is_not_null().to_numpy()
    is_by_time = _kind(spec, data) == "time"
    cut = _cut_in_time(frame, has_label, spec, data) if is_by_time else _cut_by_hash(frame, spec, data)
    return np.where(has_label, cut.parts, EMBARGO).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Useless:
    """A part that is empty, or holds one class only: no model is learned from it, or judged on it."""

    part: Literal["training", "test"]
    labels: pl.Series
    """Of its rows."""


def foreseen_useless(
    frame: pl.DataFrame, spec: SplitSpec, data: DataSpec, *, with_copies: bool = False, k: int | None = None
) -> Useless | None:
    """Return the part for which `split` would refuse rows, none of which came from the log; `None` where it would not."""
    label = frame[data.label.column]
    if with_copies:
        parts = foreseen(frame, spec, data)
    else:
        parts = _parted(frame, label.is_not_null().to_numpy(), spec, data).parts
    found = _useless(parts, label, is_class=_is_class(label, data))
    if found is None and k is not None and _kind(spec, data) == "time":
        _chain(frame, np.flatnonzero(parts == TRAIN), data, k)
    return found


def is_hashed_to_test(frame: pl.DataFrame, spec: SplitSpec, data: DataSpec) -> np.ndarray:
    """Return which rows a split that is not by time takes for its test part, labelled or not."""
    return _cut_by_hash(frame, spec, data).parts == TEST


def identities(frame: pl.DataFrame, data: DataSpec) -> np.ndarray:
    """Return a number for each row that stays the same in every version of the dataset."""
    return hash_in_parts(frame, lambda part: identity_text(part, data), salt="")


def folds(
    frame: pl.DataFrame,
    split: Split,
    data: DataSpec,
    k: int,
    *,
    parts: np.ndarray,
    strata: np.ndarray | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Part the training rows into folds for cross-fitting.

    Group and random splits: identities are dealt to `k` folds in the order of a salted hash, so that each identity is
    in one fold and the folds are about alike in size. With `strata` they are dealt class by class, the rarest first, so
    that the folds are alike in classes too; identities with rows of several classes go by the rarest. Time splits: forward chaining over consecutive blocks of time;
    fold i trains on the blocks before block i, as far as their rows and truth were known when it began, and validates
    on block i. The first block is never validated. For a retraining (`Split.is_mixed`) they are dealt like the others.
    Where rows seldom repeat, a row that says what a row of its fold's training says is not validated (see `data.dataset.duplicates`): else the
    settings would be chosen, and the probabilities calibrated, by what a model was told.
    """
    rows = np.flatnonzero(parts == TRAIN)
    is_chained = split.by == "time" and not split.is_mixed
    pairs = _chain(frame, rows, data, k) if is_chained else _dealt(frame, rows, split, data, k, strata=strata)
    contents = contents_of(frame, data)
    return _without_copies(pairs, contents) if repeat_seldom(contents[rows]) else pairs


def _dealt(
    frame: pl.DataFrame, rows: np.ndarray, split: Split, data: DataSpec, k: int, *, strata: np.ndarray | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    hashed = _hashed(frame[rows], data, salt=split.fold_salt)
    distinct, place = np.unique(hashed, return_inverse=True)
    if len(distinct) < k:
        raise SpecError(
            f"{len(distinct)} different {'groups' if data.table.group else 'rows'} cannot make {k} folds",
            where="train.folds",
            found=k,
            allowed=f"at most {len(distinct)}",
        )
    if strata is not None:
        place = _by_class(place, strata, len(distinct))[place]
    return [(rows[place % k != fold], rows[place % k == fold]) for fold in range(k)]


def _by_class(place: np.ndarray, strata: np.ndarray, distinct: int) -> np.ndarray:
    """Return where each of the `distinct` identities stands once they are sorted by their rarest class, the rarest class first."""
    _, code, counts = np.unique(strata, return_inverse=True, return_counts=True)
    rarest = np.full(distinct, len(counts))
    np.minimum.at(rarest, place, _ranks(counts)[code])
    return _ranks(rarest)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return which each is in ascending order; equal ones in the order in which they stand."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


def _without_copies(
    pairs: list[tuple[np.ndarray, np.ndarray]], contents: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take rows that repeat a training row out of the validated ones, unless none would be left."""
    kept = [~np.isin(contents[valid], contents[train]) for train, valid in pairs]
    return [
        (train, valid[is_own] if is_own.any() else valid)
        for (train, valid), is_own in zip(pairs, kept, strict=True)
    ]


def _kind(spec: SplitSpec, data: DataSpec) -> Literal["random", "group", "time"]:
    table = data.table
    if spec.by == "auto":
        return "time" if table.time else "group" if table.group else "random"
    for by, column in (("time", table.time), ("group", table.group)):
        if spec.by == by and column is None:
            raise SpecError(
                f"a {by} split needs table.{by}",
                where="train.split.by",
                found=by,
                hint=f"name the {by} column, e.g. table: {{{by}: COLUMN}}",
            )
    return spec.by


def _hashed(frame: pl.DataFrame, data: DataSpec, *, salt: str) -> np.ndarray:
    return hash_in_parts(frame, lambda part: identity_text(part, data, by_group=True), salt=salt)


def _cut_by_hash(frame: pl.DataFrame, spec: SplitSpec, data: DataSpec) -> _Cut:
    table = data.table
    hashed = _hashed(frame, data, salt=spec.salt)
    parts = np.where(hashed / _WHOLE < spec.test, TEST, TRAIN)
    if table.group:
        return _Cut(parts, ByGroup(column=table.group))
    return _Cut(parts, ByHash(key=table.key, is_asked=spec.by == "random"))


def _since_shift(cut: _Cut, frame: pl.DataFrame, data: DataSpec, logged: Logged, times: int) -> _Cut:
    """Take test rows from before a shift out of the test part, where enough were answered since then."""
    if logged.since is None:
        return cut
    is_new = logged.moments_of(identities(frame, data)) >= micros_of(logged.since)
    labels = frame[data.label.column].filter(pl.Series(is_new & (cut.parts == TEST)))
    if not can_judge(labels.drop_nulls().to_list(), times):
        return cut
    old = (cut.parts == TEST) & ~is_new
    return _Cut(np.where(old, EMBARGO, cut.parts), cut.because, since=logged.since, older=int(old.sum()))


def _was_known(frame: pl.DataFrame, data: DataSpec, as_of: str | None) -> np.ndarray:
    """Return which rows, with their truth, were known at an instant; all where the table has no times."""
    time = data.table.time
    if as_of is None or time is None or not frame[time].dtype.is_temporal():
        return np.ones(frame.height, dtype=bool)
    return known_at(frame, data) <= micros_of(as_of)


def _enough(frame: pl.DataFrame, has_label: np.ndarray, data: DataSpec, times: int) -> float:
    """Return the share of the labelled rows that the shortest latest part with enough rows holds; 1 where all are too few."""
    at, label = moments(frame[str(data.table.time)])[has_label], frame[data.label.column].filter(has_label)
    codes = label.to_physical().rank("dense").to_numpy()[np.argsort(-at, kind="stable")]
    is_class = len(np.unique(codes)) == 2
    latest = latest_with(codes, times * (ENOUGH if is_class else ENOUGH_NUMBERS), is_class=is_class)
    return 1.0 if latest is None else latest / len(codes)


def _cut_in_time(
    frame: pl.DataFrame,
    has_label: np.ndarray,
    spec: SplitSpec,
    data: DataSpec,
    *,
    without_repeats: bool = False,
    recent: float | None = None,
) -> _Cut:
    name = str(data.table.time)
    at = moments(frame[name])
    values, counts = np.unique(at[has_label], return_counts=True)
    if len(values) < 2:
        raise SpecError(
            f"all {called(without_repeats=without_repeats)} have the same {name!r}, so time cannot part them",
            where="train.split.by",
            found=str(frame[name][int(has_label.argmax())]),
            hint="write split: {by: random}",
        )
    shares = counts[::-1].cumsum()[::-1] / counts.sum()  # share of labelled rows at or after each value
    best = 1 + int(np.abs(shares[1:] - spec.test).argmin())
    if recent is not None and recent < shares[best]:
        best = int(np.flatnonzero(shares >= recent)[-1])
    is_test = at >= values[best]
    late = known_at(frame, data) > values[best]
    cutoff = frame[name][int((at == values[best]).argmax())]
    return _Cut(
        np.where(is_test, TEST, np.where(late, EMBARGO, TRAIN)),
        ByTime(
            column=name,
            share=float(shares[best]),
            asked=spec.test,
            is_shortest=recent is not None,
            without_repeats=without_repeats,
            group=data.table.group,
            straddling=_straddling(frame, is_test, data),
        ),
        cutoff,
    )


def _straddling(frame: pl.DataFrame, is_test: np.ndarray, data: DataSpec) -> int:
    """Count the groups with rows on both sides of a cut in time."""
    if data.table.group is None:
        return 0
    groups = frame[data.table.group]
    before, after = (set(groups.filter(pl.Series(side)).drop_nulls()) for side in (~is_test, is_test))
    return len(before & after)


def _is_class(label: pl.Series, data: DataSpec) -> bool:
    """Return whether a label has classes, as far as the table tells."""
    made = (data.recommend, data.forecast, data.anomaly, data.label.event)
    if any(one is not None for one in made):  # of anomalies good rows are enough
        return False
    return (
        data.label.positive is not None
        or isinstance(label.dtype, (pl.String, pl.Boolean))
        or label.drop_nulls().n_unique() <= 2
    )


def _shares_apart(parts: np.ndarray, label: pl.Series) -> ClassShares | None:
    """Return the class that the parts hold in the most different shares, where that is worth knowing.

    A hash parts rows whatever their label, so that no row moves when others come; shares differ by chance, and those
    of a cut in time by what changed. Folds are stratified (see `folds`).
    """
    named = label.alias("class")
    train, test = (named.filter(pl.Series(parts == code)).value_counts(name="rows") for code in (TRAIN, TEST))
    both = train.join(test, on="class", how="full", coalesce=True, suffix="_test").fill_null(0).sort("class")
    learned, judged = (both[name].to_numpy() / both[name].sum() for name in ("rows", "rows_test"))
    apart = np.abs(learned - judged)
    is_told = (apart > _POINTS) | ((apart > _RELATIVE * learned) & (both["rows"] >= _FEW).to_numpy())
    if not is_told.any():
        return None
    most = int(np.argmax(np.where(is_told, apart, -1.0)))
    return ClassShares(name=str(both["class"][most]), train=float(learned[most]), test=float(judged[most]))


def _refuse_useless(parted: _Parted, label: pl.Series, *, is_class: bool) -> None:
    parts, cut = parted.parts, parted.cut
    other = "" if parted.by == "random" else ", choose split.by: random"
    found = _useless(parts, label, is_class=is_class)
    if found is None:
        return
    why = reason_in_words(
        SplitReason(cut=cut.because, older=cut.older, staying=parted.staying),
        cutoff=cut.cutoff_text,
        since=cut.since,
        copies=parted.copies,
    )
    if found.labels.is_empty():
        raise SpecError(
            f"the {found.part} part is empty ({why})",
            where="train.split",
            found=f"{int((parts == EMBARGO).sum()):,} of {len(parts):,} rows have no label, were not known yet or are copies",
            hint=f"change split.test or split.salt{other}, or shorten label.delay",
        )
    raise SpecError(
        f"the {found.part} part holds one class only ({why})",
        where="train.split",
        found=str(found.labels[0]),
        hint=f"bring more rows, change split.test or split.salt{other}",
    )


def _useless(parts: np.ndarray, label: pl.Series, *, is_class: bool) -> Useless | None:
    named: tuple[tuple[int, Literal["training", "test"]], ...] = ((TRAIN, "training"), (TEST, "test"))
    for code, part in named:
        held = label.filter(pl.Series(parts == code))
        if held.is_empty() or (is_class and held.n_unique() < 2):
            return Useless(part=part, labels=held)
    return None


def _text_of(value: object) -> str:
    """Return a time value as text: RFC 3339 for instants."""
    if isinstance(value, datetime):
        return text_of(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _chain(
    frame: pl.DataFrame, rows: np.ndarray, data: DataSpec, k: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    training = frame[rows]
    at, known = moments(training[str(data.table.time)]), known_at(training, data)
    starts = _block_starts(at, k)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for i, start in enumerate(starts):
        is_valid = at >= start if i + 1 == len(starts) else (at >= start) & (at < starts[i + 1])
        before = (at < start) & (known <= start)
        if before.any():
            pairs.append((rows[before], rows[is_valid]))
    if not pairs:
        raise SpecError(
            "no block of time has training rows before it whose truth was known",
            where="train.folds",
            hint="bring a longer history, shorten label.delay, or choose split.by: random",
        )
    return pairs


def _block_starts(at: np.ndarray, k: int) -> list[Any]:
    """First moments of the blocks after the first: cuts nearest to equal counts, each at another moment."""
    values, counts = np.unique(at, return_counts=True)
    before = np.concatenate([[0], counts.cumsum()[:-1]]) / len(at)  # share of rows before each value
    starts: list[int] = []
    blocks = min(k + 1, len(values))
    for i in range(1, blocks):
        # Leave at least one value for each block before and after this one.
        low, high = (starts[-1] if starts else 0) + 1, len(values) - (blocks - 1 - i)
        starts.append(low + int(np.abs(before[low:high] - i / blocks).argmin()))
    return cast("list[Any]", values[starts].tolist())


def breaches_of(split: Split) -> Iterator[Breach]:
    """Say how many rows are in neither part as copies, and that most have no label where that is so."""
    rows = split.train + split.test + split.embargo + split.unlabelled + split.copies
    if split.unlabelled >= _MOSTLY * rows:
        yield Breach(
            column="",
            kind="unlabelled",
            failed=split.unlabelled,
            rows=rows,
            action="warn",
        )
    if split.copies:
        yield Breach(
            column="",
            kind="copies",
            failed=split.copies,
            rows=split.test + split.copies,
            action="warn",
        )


def known_by_heart(split: Split, frame: pl.DataFrame, parts: np.ndarray, data: DataSpec) -> Iterator[Breach]:
    """Say how many test rows repeat a training row and stay in the test part, where most do."""
    contents = contents_of(frame, data)
    stay = int(np.isin(contents[parts == TEST], contents[parts == TRAIN]).sum())
    if stay >= _MOSTLY * split.test:
        yield Breach(
            column="",
            kind="copies-stay",
            failed=stay,
            rows=split.test,
            action="warn",
        )
