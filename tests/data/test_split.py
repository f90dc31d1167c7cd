from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.data.breach_text import breach_in_words
from linewright.data.dataset.duplicates import contents_of, repeat_seldom
from linewright.data.dataset.row_id import content_text
from linewright.data.dataset.served_rows import Logged
from linewright.data.dataset.split import breaches_of, folds, foreseen_useless, identities, split
from linewright.data.dataset.version import write_dataset
from linewright.data.facts import EMBARGO, TEST, TRAIN, ByHash, Column, Split, SplitReason
from linewright.data.spec import DataSpec, SplitSpec
from linewright.data.split_text import split_in_words
from linewright.engine.context import Context
from linewright.errors import SpecError
from linewright.store.values import digest_of

TYPES = {
    pl.Int64: "integer",
    pl.Float64: "number",
    pl.String: "category",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Datetime: "datetime",
}
DAYS = [date(2020, 1, 1) + timedelta(days=day) for day in range(400)]


def line(**parts: Any) -> DataSpec:
    label = {"column": "y", **parts.pop("label", {})}
    return DataSpec.model_validate({"sources": {"a": {"file": "a.csv"}}, "label": label, "table": parts})


@dataclass
class Parting:
    """Splits frames, all in one store."""

    context: Context

    def __call__(self, frame: pl.DataFrame, data: DataSpec, **spec: Any) -> tuple[Split, np.ndarray]:
        columns = [Column(name=name, type=TYPES[dtype.base_type()]) for name, dtype in frame.schema.items()]
        artifacts, metadata = self.context.artifacts, self.context.metadata
        dataset = write_dataset(frame, columns, (), artifacts, metadata)
        rows = spec.pop("logged", None)
        made = split(self.context, "sha256:d", dataset, SplitSpec(**spec), data, logged=rows)
        parts = np.frombuffer(artifacts.get(made.parts), dtype=np.uint8)
        counts = (made.train, made.test, made.embargo + made.unlabelled + (made.copies or 0))
        assert counts == tuple(int((parts == code).sum()) for code in (TRAIN, TEST, EMBARGO))
        assert made == metadata.get(digest_of(made), Split)
        return made, parts


@pytest.fixture(scope="module")
def part(lasting: Context) -> Parting:
    return Parting(lasting)


def table(ids: Sequence[int], **columns: Sequence[Any]) -> pl.DataFrame:
    """Rows whose label alternates, so that parts of any size have both classes almost surely."""
    return pl.DataFrame({"id": ids, "y": [str(i // 7 % 2) for i in range(len(ids))], **columns})


def test_a_row_is_in_the_test_part_if_its_salted_hash_is_small(part):
    """Anybody can check where a row belongs, in any language, from its key alone."""
    frame = table(range(500))
    made, parts = part(frame, line(key="id"), test=0.3, salt="s")
    hashed = [int.from_bytes(blake2b(f"s{i}".encode()).digest()[:8], "big") / 2**64 for i in range(500)]

    assert [TEST if share < 0.3 else TRAIN for share in hashed] == parts.tolist()
    assert ("random", None, "fold:s") == (made.by, made.cutoff, made.fold_salt)


ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from("abcdefgh"), st.booleans()), min_size=1, max_size=30
)


@given(ROWS, ROWS, st.sampled_from(["key", "group", "content"]))
def test_a_row_keeps_its_part_whatever_other_rows_come(part, rows, more, identity):
    """Retraining on a grown table must never train on yesterday's test rows; at most one is left out as a copy."""
    named = {"key": {"key": "id"}, "group": {"group": "g"}, "content": {}}[identity]
    before = _hash_parts(part, rows, line(**named))
    after = _hash_parts(part, [*more, *rows], line(**named))

    both = [pair for pair in zip(before, after[len(more) :], strict=True) if EMBARGO not in pair]
    assert all(was == now for was, now in both)


@given(ROWS)
def test_groups_never_straddle_the_parts(part, rows):
    """A patient in both parts makes the test an exam whose answers were shown."""
    parts = _hash_parts(part, rows, line(group="g", key="id"))

    assert all(
        len({code for (_, g, _), code in zip(rows, parts, strict=True) if g == group} - {EMBARGO}) <= 1
        for _, group, _ in rows
    )


@given(ROWS)
def test_equal_rows_are_in_one_part_also_where_labels_differ(part, rows):
    """Duplicates on both sides leak; and a label that is mended must not move its row."""
    parts = _hash_parts(part, rows, line())
    where: dict[tuple[int, str], set[int]] = {}
    for (number, group, _), code in zip(rows, parts, strict=True):
        where.setdefault((number, group), set()).add(int(code))

    assert all(len(codes) == 1 for codes in where.values())


def _hash_parts(part: Parting, rows: Sequence[tuple[int, str, bool]], data: DataSpec) -> np.ndarray:
    """Parts of the rows; a pad of other rows sees to it that both parts exist."""
    pad = [(1000 + i, f"pad {i}", bool(i // 5 % 2)) for i in range(200)]
    numbers, groups, labels = zip(*rows, *pad, strict=True)
    frame = pl.DataFrame({"id": numbers, "g": groups, "y": labels})
    _, parts = part(frame, data, by="group" if data.table.group else "random", test=0.4)
    return parts[: len(rows)]


def test_identity_is_the_key_else_the_content():
    """Certificates count the rows that neither model has seen, by these numbers."""
    frame = table([1, 2, 3], x=[0.5, None, 0.5], t=[DAYS[0]] * 3)
    by_key, by_content = identities(frame, line(key="id")), identities(frame, line())
    shuffled = frame.select(reversed(frame.columns))[[2, 0, 1]]
    mended = frame.with_columns(y=pl.lit("1"))

    assert int.from_bytes(blake2b(b"2").digest()[:8], "big") == int(by_key[1])
    assert np.uint64 == by_key.dtype
    assert by_content[[2, 0, 1]].tolist() == identities(shuffled, line()).tolist()
    assert by_content.tolist() == identities(mended, line()).tolist()
    assert 3 == len(set(by_content.tolist()))


def test_a_number_is_named_alike_whether_another_row_misses_it_or_not():
    """Columns without missing values take a shorter way, and rows that come later must not move those before them."""
    numbers = [0.0, -0.0, 1.5, -1e300, 5e-324, float("inf"), float("nan")]
    whole = pl.DataFrame({"x": numbers, "y": numbers[::-1]})
    longer = pl.concat([whole, pl.DataFrame({"x": [None], "y": [2.5]}, schema=whole.schema)])

    assert content_text(whole, ["x", "y"]).to_list() == content_text(longer, ["x", "y"])[:-1].to_list()
    assert len(numbers) == content_text(whole, ["x", "y"]).n_unique()
    assert "4609434218613702656" == content_text(whole, ["x"])[2]


def test_missing_values_are_not_the_values_that_stand_for_them():
    """A null, an empty text and a zero are three rows."""
    frame = pl.DataFrame({"a": [None, 0], "b": ["", ""], "c": [None, 0.0], "y": ["0", "1"]})
    other = pl.DataFrame({"b": ["", None], "y": ["0", "1"]})

    assert 2 == len(set(identities(frame, line()).tolist()))
    assert 2 == len(set(identities(other, line()).tolist()))


def test_rows_without_a_group_go_their_own_way(part):
    """One group of all that is unknown would be the largest of all."""
    frame = table(range(400), g=["a", None] * 200)
    _, parts = part(frame, line(key="id", group="g"), by="group", test=0.5)

    assert {TRAIN, TEST} == set(parts[1::2].tolist())
    assert 1 == len(set(parts[::2].tolist()))


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=2, max_size=60),
    st.sampled_from([0.1, 0.2, 0.5]),
)
def test_every_test_row_is_at_or_after_the_cutoff_and_every_training_row_before(part, rows, test):
    """Nothing of the future may be known in training; the cut is the nearest to the share that was asked for."""
    labelled = [day for day, has_label in rows if has_label]
    if len(set(labelled)) < 3:
        return  # the label below would have two values, and a part might hold one of them only
    frame = pl.DataFrame(
        {"t": [DAYS[day] for day, _ in rows], "y": [float(day) if has else None for day, has in rows]}
    )
    cuts = sorted(set(labelled))[1:]
    off = {cut: abs(sum(day >= cut for day in labelled) / len(labelled) - test) for cut in cuts}
    made, parts = part(frame, line(time="t"), by="auto", test=test)
    cutoff = date.fromisoformat(str(made.cutoff))
    codes = [EMBARGO if not has else TEST if DAYS[day] >= cutoff else TRAIN for day, has in rows]

    assert codes == parts.tolist()
    assert min(off.values()) == pytest.approx(off[DAYS.index(cutoff)])
    assert (0, sum(not has for _, has in rows)) == (made.embargo, made.unlabelled)


def test_one_time_that_holds_too_much_is_said(part):
    """The person asked for 20 % and gets what time allows."""
    frame = table(range(100), t=[DAYS[0]] * 40 + [DAYS[1]] * 60)
    made, _ = part(frame, line(time="t"))

    assert (40, 60, "2020-01-02") == (made.train, made.test, made.cutoff)
    assert split_in_words(made).endswith(
        "60.0% of the labelled rows are at or after 2020-01-02 (not 20.0%, because many rows share a time)"
    )


def test_truth_that_was_not_known_at_the_cutoff_is_not_trained_on(part):
    """A claim is found to be a fraud weeks later; a model at the cut-off could not have learned from it."""
    frame = table(range(100), t=DAYS[:100])
    made, parts = part(frame, line(time="t", label={"delay": "10d"}))
    none, _ = part(frame, line(time="t", label={"delay": "0d"}))

    assert "2020-03-21" == made.cutoff == DAYS[80].isoformat()
    assert [TRAIN] * 71 + [EMBARGO] * 9 + [TEST] * 20 == parts.tolist()
    assert (71, 20, 9, 0) == (made.train, made.test, made.embargo, made.unlabelled)
    assert 0 == none.embargo


def test_columns_say_row_by_row_when_things_were_known(part):
    """`label.known` comes before the delay, and a row that arrived late was not there either."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    times = [start + timedelta(days=day) for day in range(10)]
    known = [times[9], None, *[None] * 8]
    arrived = [None, None, times[9], *times[3:]]
    frame = pl.DataFrame(
        {"t": times, "k": known, "a": arrived, "y": [float(i) for i in range(10)]},
        schema_overrides={
            "k": pl.Datetime("us", "UTC"),
            "a": pl.Datetime("us", "UTC"),
            "t": pl.Datetime("us", "UTC"),
        },
    )
    made, parts = part(frame, line(time="t", known="a", label={"known": "k", "delay": "1d"}))

    assert "2020-01-09T00:00:00.000000Z" == made.cutoff
    assert [EMBARGO, TRAIN, EMBARGO, *[TRAIN] * 5, TEST, TEST] == parts.tolist()


def test_numbers_can_be_times_but_take_no_delay(part):
    """A running number orders rows; it has no days."""
    frame = table(range(100), t=range(100))
    made, _ = part(frame, line(time="t"))

    assert ("80", 20) == (made.cutoff, made.test)
    with pytest.raises(SpecError, match=r"label\.delay.*plain numbers"):
        part(frame, line(time="t", label={"delay": "1d"}))
    with pytest.raises(SpecError, match=r"table\.known.*cannot be compared"):
        part(frame.with_columns(k=pl.Series(DAYS[:100])), line(time="t", known="k"))


def test_auto_takes_time_then_group_then_chance(part):
    """The most honest split that the table allows."""
    frame = table(range(100), t=DAYS[:100], g=[f"{i % 30}" for i in range(100)])
    kinds = [part(frame, line(**columns))[0] for columns in ({"time": "t", "group": "g"}, {"group": "g"}, {})]

    assert ["time", "group", "random"] == [made.by for made in kinds]
    assert "20 of the groups in 'g' have rows on both sides" in split_in_words(kinds[0])
    assert "'g' belong together" in split_in_words(kinds[1])
    assert "neither a time nor a group: rows are split by a salted hash of their content" in split_in_words(
        kinds[2]
    )


@pytest.mark.parametrize(
    ("columns", "spec", "says"),
    [
        ({}, {"by": "time"}, r"a time split needs table\.time"),
        ({}, {"by": "group"}, r"a group split needs table\.group"),
        ({"group": "one"}, {"by": "group"}, r"part is empty.*split\.by: random"),
        ({"time": "one"}, {}, r"same 'one'.*by: random"),
        ({"time": "t", "label": {"delay": "200d"}}, {}, r"training part is empty.*shorten label\.delay"),
        ({"time": "t", "label": {"column": "late"}}, {}, r"training part holds one class only.*'0'"),
        ({"time": "t", "label": {"column": "early"}}, {}, r"test part holds one class only.*'0'"),
        ({"label": {"column": "none"}}, {}, "no row has a label"),
    ],
)
def test_splits_that_could_teach_or_tell_nothing_are_refused(part, columns, spec, says):
    """The message says what to do; a metric on one class would be undefined."""
    frame = table(
        range(100),
        t=DAYS[:100],
        one=[1] * 100,
        late=["0"] * 90 + ["1"] * 10,
        early=["1"] * 10 + ["0"] * 90,
        none=pl.Series([None] * 100, dtype=pl.String),
    )
    with pytest.raises(SpecError, match=says):
        part(frame, line(**columns), **spec)


@given(
    ROWS,
    st.sampled_from([{"key": "id"}, {"group": "g"}, {}, {"time": "id"}]),
    st.sampled_from([0.01, 0.2, 0.9]),
)
def test_what_a_split_refuses_is_foreseen_without_keeping_anything(part, rows, columns, share):
    """`check` calls no line right that ends at its split, and warns of none that goes on; copies left out count."""
    frame = pl.DataFrame(rows, schema=["id", "g", "y"], orient="row").with_columns(
        pl.col("y").cast(pl.String)
    )
    try:
        part(frame, line(**columns), test=share)
        refused = ""
    except SpecError as error:
        refused = error.what
    try:
        found = foreseen_useless(frame, SplitSpec(test=share), line(**columns))
        said = f"the {found.part} part" if found else ""
    except SpecError as error:
        said = error.what

    assert bool(refused) == bool(said)
    assert refused.startswith(said)


def test_a_number_as_label_may_be_constant_in_a_part(part):
    """For regression that is dull, not impossible."""
    frame = pl.DataFrame({"t": DAYS[:10], "y": [1.0, 2.0, 3.0] + [0.0] * 7})
    made, _ = part(frame, line(time="t"))

    assert (8, 2) == (made.train, made.test)


@given(ROWS, st.integers(2, 5), st.sampled_from(["key", "group", "content"]))
def test_folds_partition_the_training_rows_and_keep_identities_together(rows, k, identity):
    """Out-of-fold predictions need each training row once; calibration on a seen twin would flatter."""
    named = {"key": {"key": "id"}, "group": {"group": "g"}, "content": {}}[identity]
    frame = pl.DataFrame(rows, schema=["id", "g", "y"], orient="row").with_columns(
        pl.col("y").cast(pl.String)
    )
    parts = np.array([TEST if i % 4 == 3 else TRAIN for i in range(len(rows))], dtype=np.uint8)
    training = np.flatnonzero(parts == TRAIN)
    name = {"key": ["id"], "group": ["g"], "content": ["id", "g"]}[identity]
    who = [tuple(row) for row in frame.select(name).rows()]
    distinct = {who[row] for row in training}
    if len(distinct) < k:
        with pytest.raises(SpecError, match=r"train\.folds"):
            folds(frame, made(by="random"), line(**named), k, parts=parts)
        return
    pairs = folds(frame, made(by="random"), line(**named), k, parts=parts)

    judged = sorted(int(row) for _, valid in pairs for row in valid)
    contents = contents_of(frame, line(**named))[training]
    are_copies = len(np.unique(contents)) < len(contents) and repeat_seldom(contents)
    assert are_copies or training.tolist() == judged
    for train, valid in pairs:
        assert are_copies or training.tolist() == sorted([*train.tolist(), *valid.tolist()])
        assert set() == {who[row] for row in train} & {who[row] for row in valid}
    sizes = [len({who[row] for row in valid}) for _, valid in pairs]
    assert are_copies or max(sizes) - min(sizes) <= 1


def made(by: str, salt: str = "fold:") -> Split:
    return Split(
        dataset="",
        by=by,
        reason=SplitReason(cut=ByHash(key=None, is_asked=True)),
        cutoff=None,
        train=0,
        test=0,
        embargo=0,
        unlabelled=0,
        parts="",
        fold_salt=salt,
    )


def test_folds_do_not_follow_the_split(part):
    """With the split's own hash the rows next to the test part would share a fold."""
    frame = table(range(2000))
    _, parts = part(frame, line(key="id"), test=0.5)
    pairs = folds(frame, made(by="random"), line(key="id"), 2, parts=parts)
    hashed = identities(frame, line(key="id")) / 2**64

    assert 0.75 == pytest.approx(hashed[pairs[0][1]].mean(), abs=0.02)
    assert [len(valid) for _, valid in pairs] == pytest.approx([parts.tolist().count(TRAIN) / 2] * 2, abs=1)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=60), st.integers(2, 5), st.integers(0, 4))
def test_time_folds_train_on_the_past_only(days, k, delay):
    """Forward chaining: each block is judged by what was known when it began."""
    frame = pl.DataFrame({"t": [DAYS[day] for day in days], "y": [float(day) for day in days]})
    parts = np.full(len(days), TRAIN, dtype=np.uint8)
    parts[::7] = TEST
    rows = np.flatnonzero(parts == TRAIN)
    data = line(time="t", label={"delay": f"{delay}d"})
    try:
        pairs = folds(frame, made(by="time"), data, k, parts=parts)
    except SpecError:
        distinct = sorted({days[row] for row in rows})
        assert all(not any(day + delay <= start for day in distinct) for start in _starts(days, rows, k))
        return
    seen: set[int] = set()
    for train, valid in pairs:
        start, last = min(days[row] for row in valid), max(days[row] for row in valid)
        assert [row for row in rows if days[row] + delay <= start and days[row] < start] == train.tolist()
        assert [row for row in rows if start <= days[row] <= last] == valid.tolist()
        assert set() == seen & set(valid.tolist())
        seen |= set(valid.tolist())
    if delay == 0:
        assert min(k, len({days[row] for row in rows}) - 1) == len(pairs)
        first = min(days[row] for row in pairs[0][1])
        assert [row for row in rows if days[row] >= first] == sorted(seen)


def _starts(days: list[int], rows: np.ndarray, k: int) -> list[int]:
    """First days of all blocks but the first, where nothing has to be known beforehand."""
    frame = pl.DataFrame({"t": [DAYS[day] for day in days], "y": [0.0] * len(days)})
    parts = np.full(len(days), TEST, dtype=np.uint8)
    parts[rows] = TRAIN
    if len({days[row] for row in rows}) < 2:
        return []
    pairs = folds(frame, made(by="time"), line(time="t"), k, parts=parts)
    return [min(days[row] for row in valid) for _, valid in pairs]


def test_blocks_of_time_are_about_alike():
    """A fold of three rows tells nothing."""
    frame = pl.DataFrame({"t": DAYS[:120], "y": [0.0] * 120})
    pairs = folds(frame, made(by="time"), line(time="t"), 5, parts=np.zeros(120, dtype=np.uint8))

    assert [20] * 5 == [len(valid) for _, valid in pairs]
    assert [20, 40, 60, 80, 100] == [len(train) for train, _ in pairs]


BEGAN = "1970-01-01T00:00:00.000005Z"


def logged(frame: pl.DataFrame, data: DataSpec, *, at: int = 0, since: str | None = None) -> Logged:
    """Say that rows came from the log, all at one moment."""
    return Logged(identities=identities(frame, data), at=np.full(frame.height, at), since=since)


def rich(rows: int, *, first: int = 0, start: int = 0) -> pl.DataFrame:
    """Rows of measurements, one a day, no two of which are alike."""
    chance = np.random.default_rng(5)
    x = chance.normal(size=rows)
    at = [DAYS[0] + timedelta(days=start + i // 4) for i in range(rows)]
    return pl.DataFrame(
        {"id": range(first, first + rows), "t": at, "x": x, "y": np.where(x > 0, "yes", "no")}
    )


@pytest.mark.parametrize("by", ["time", "random"])
def test_rows_that_come_again_under_other_keys_are_no_test_rows(part, by):
    """A model that is judged on what it was taught looks better than it is, and its certificate says that it never saw it."""
    first = rich(1000)
    again = rich(200, first=5000, start=300)
    data = line(key="id", time="t")
    known = logged(again, data) if by == "random" else None
    made, parts = part(pl.concat([first, again]), data, by=by, logged=known)
    taught = set(first["x"].gather(np.flatnonzero(parts[:1000] == TRAIN)).to_list())
    tested = pl.concat([first, again])["x"].gather(np.flatnonzero(parts == TEST)).to_list()

    assert made.copies
    assert not taught & set(tested)
    assert 150 <= len(tested)
    assert f"; {made.copies:,} " in split_in_words(made)
    assert "repeat a training row are in neither part" in split_in_words(made)
    assert made.copies == next(iter(breaches_of(made))).failed


@pytest.mark.parametrize(
    ("every", "told"), [(1, []), (3, ["666 of 1,000 rows have no label: they neither train nor test"])]
)
def test_that_most_rows_have_no_label_is_told(part, every, told):
    """A model learned from the tenth of a table that had a label, and no command said so."""
    labelled = pl.int_range(pl.len()) % every == 0
    made, _ = part(rich(1000).with_columns(y=pl.when(labelled).then("y")), line(key="id"), by="random")

    assert told == [breach_in_words(one) for one in breaches_of(made)]


@pytest.mark.parametrize("by", ["time", "random", "group"])
def test_a_fold_does_not_judge_by_copies_of_what_it_taught(by):
    """Settings, calibration and threshold are chosen by the folds: copies would choose what remembers best."""
    frame = pl.concat([rich(1000), rich(20, first=5000, start=300)])
    groups = {"group": pl.col("id") // 3} if by == "group" else {}
    frame, data = frame.with_columns(**groups), line(key="id", time="t", **{name: name for name in groups})
    parts = np.full(frame.height, TRAIN, dtype=np.uint8)
    pairs = folds(frame, made(by=by), data, 5, parts=parts)
    says = frame["x"].to_numpy()

    assert not any(np.isin(says[valid], says[train]).any() for train, valid in pairs)
    assert 800 <= sum(len(valid) for _, valid in pairs) < 1020


def test_where_few_categories_repeat_by_nature_folds_judge_all_rows():
    """As for the test part."""
    frame = table(range(600), a=["x", "y", "z"] * 200)
    parts = np.full(600, TRAIN, dtype=np.uint8)
    pairs = folds(frame, made(by="random"), line(key="id"), 5, parts=parts)

    assert 600 == sum(len(valid) for _, valid in pairs)


def test_where_few_categories_repeat_by_nature_nothing_is_left_out(part):
    """Else only rare combinations would be judged."""
    frame = table(range(600), a=["x", "y", "z"] * 200, t=[DAYS[i // 2] for i in range(600)])
    for by in ("time", "random"):
        made, _ = part(frame, line(key="id", time="t"), by=by)

        assert not made.copies
        assert [] == list(breaches_of(made))
        assert (
            f"; {made.test} test rows repeat a training row and stay, for 100% of the training rows repeat one"
            in split_in_words(made)
        )


def test_another_label_makes_another_row(part):
    """Of two equal rows with other outcomes the test part says something that training did not."""
    first = rich(1000)
    other = pl.col("y").replace({"yes": "no", "no": "yes"})
    again = rich(200, first=5000, start=300).with_columns(other)
    made, _ = part(pl.concat([first, again]), line(key="id", time="t"), by="time")

    assert not made.copies


def test_what_was_handed_in_again_does_not_make_repeats_look_usual(part):
    """Whoever hands in enough copies could else switch the guard off."""
    frame = pl.concat([rich(1000), rich(600, first=5000)]).drop("t")
    data = line(key="id")
    known = logged(frame[1000:], data)
    (blind, _), (made, _) = part(frame, data), part(frame, data, logged=known)

    assert not blind.copies
    assert made.copies > 100


def test_after_a_shift_rows_from_before_it_judge_no_more_once_enough_are_new(part):
    """Beside 200 test rows that say the opposite, what a model has learned of the new truth would not be seen."""
    frame, data = table(range(1400), x=range(1400)), line(key="id")
    known = [logged(frame[start:], data, at=7, since=BEGAN) for start in (1390, 1000)]
    (few, _), (enough, parts) = (part(frame, data, logged=one) for one in known)
    before, _ = part(frame, data, logged=logged(frame[1000:], data, at=3, since=BEGAN))

    assert not few.since
    assert not before.since
    assert few.test == before.test > enough.test
    assert enough.since == BEGAN
    assert (parts[:1000] != TEST).all()
    assert enough.train == few.train
    assert "judge, the " in split_in_words(enough)


def test_times_that_are_numbers_with_decimals_repeat_nothing(part):
    """Cut to whole numbers, each row would come after itself."""
    frame = rich(1000).with_columns(t=pl.int_range(1000).cast(pl.Float64) + 0.25)

    (made, _) = part(frame, line(time="t"))

    assert (800, 200) == (made.train, made.test)


@pytest.mark.parametrize("by", ["key", "group"])
def test_folds_are_alike_in_classes(by):
    """Five of the eight rows of a class in one fold would leave the others next to nothing to learn it from."""
    chance = np.random.default_rng(11)
    label = np.repeat([0, 1, 2], [600, 92, 8])
    frame = pl.DataFrame({"id": range(700), "x": chance.normal(size=700), "y": label.astype(str)})
    group = pl.Series("g", np.where(label == 2, 1000, 0) + np.arange(700) // 2)
    parts = np.full(700, TRAIN, dtype=np.uint8)
    named = {"key": "id"} if by == "key" else {"group": "g"}
    pairs = folds(frame.with_columns(group), made(by="random"), line(**named), 4, parts=parts, strata=label)
    held = np.array([np.bincount(label[valid], minlength=3) for _, valid in pairs])

    assert [600, 92, 8] == held.sum(axis=0).tolist()
    assert (held.max(axis=0) - held.min(axis=0) <= (1 if by == "key" else 2)).all()


def test_a_group_of_two_classes_goes_by_the_rarer_one():
    """Most rows of a card are no fraud: by its commonest class each card would be alike."""
    label = np.zeros(400, dtype=int)
    label[:100:10] = 1
    frame = pl.DataFrame({"g": np.arange(400) // 10, "y": label.astype(str)})
    parts = np.full(400, TRAIN, dtype=np.uint8)
    pairs = folds(frame, made(by="random"), line(group="g"), 5, parts=parts, strata=label)

    assert [2] * 5 == [int(label[valid].sum()) for _, valid in pairs]


@pytest.mark.parametrize("told", [True, False])
def test_parts_of_different_classes_say_so(part, told):
    """A cut in time cannot be stratified, and whoever reads the metric wants to know of what."""
    label = ["yes" if i % 2 else "no" for i in range(80)] + (
        ["yes"] * 15 + ["no"] * 5 if told else ["yes", "no"] * 10
    )
    made, _ = part(pl.DataFrame({"t": DAYS[:100], "y": label}), line(time="t"))

    assert told == ("'no' is 50.0% of the training rows and 25.0% of the test rows" in split_in_words(made))
    assert told == ("training rows and" in split_in_words(made))
