"""Counting into cells: windows add up, batches may come in any order, memory does not grow."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.errors import Conflict
from linewright.store.values import canonical_json, decode, digest_of
from linewright.watch.facts import Reference, Window
from linewright.watch.histograms import Tally, pooled, reference_of, summarise

SEEN = {"sex": frozenset({"f", "m", "x"})}


def texts(*values):
    return np.array(values, dtype=object)


def reference():
    random = np.random.default_rng(1)
    columns = {
        "age": random.normal(40, 10, 500),
        "sex": random.choice(texts("f", "m", None, "zz"), 500, p=[0.5, 0.4, 0.05, 0.05]),
    }
    return reference_of("sha256:aa", columns, random.uniform(size=500), seen=SEEN)


numbers = st.floats(allow_infinity=True, allow_nan=True)
rows = st.lists(st.tuples(numbers, st.sampled_from(["f", "m", "x", "q", None]), st.floats(0, 1)), max_size=30)
at = "2026-11-25T{:02d}:00:00.000000Z".format


def add(tally, batch):
    tally.add(
        {"age": np.array([row[0] for row in batch]), "sex": texts(*(row[1] for row in batch))},
        np.array([row[2] for row in batch], dtype=float),
        breaches={"age": sum(not np.isfinite(row[0]) for row in batch)},
    )


def window_of(*batches, hour=1):
    tally = Tally(reference(), seen=SEEN)
    for batch in batches:
        add(tally, batch)
    return tally.window("claims", at(hour), at(hour + 1))


@given(rows, rows)
def test_windows_add_up(one, two):
    together = window_of(one + two)
    sum_of_both = pooled([window_of(two, hour=2), window_of(one, hour=1)])

    assert (sum_of_both.start, sum_of_both.end) == (at(1), at(3))
    assert msgspec.structs.replace(sum_of_both, end=at(2)) == together


@given(st.lists(rows, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_batches_is_irrelevant(batches, random):
    shuffled = random.sample(batches, len(batches))

    assert window_of(*batches) == window_of(*shuffled)


@given(rows)
def test_each_row_is_in_one_cell(batch):
    window = window_of(batch)

    for counts in (*window.columns, window.prediction):
        assert sum(counts.counts) + counts.missing + counts.other + counts.unseen == window.n == len(batch)


def test_a_tally_holds_no_rows():
    tally = Tally(reference(), seen=SEEN)
    add(tally, [(1.0, "f", 0.5)])
    size = len(canonical_json(tally.window("claims", at(1), at(2))))
    for i in range(50):
        add(tally, [(float(j), f"new {i} {j}", 0.5) for j in range(200)])

    assert len(canonical_json(tally.window("claims", at(1), at(2)))) < size + 100


def test_unseen_other_and_missing_are_told_apart():
    columns = {"sex": texts("f", "m", "zz", None)}
    sex = reference_of("sha256:aa", columns, np.ones(4), seen=SEEN).columns[0]
    tally = Tally(reference_of("sha256:aa", columns, np.ones(4), seen=SEEN), seen=SEEN)
    tally.add({"sex": texts("f", "x", "x", "new", "zz", None, float("nan"))}, np.ones(7))
    counts = tally.window("claims", at(1), at(2)).columns[0]

    assert (sex.values, sex.counts.unseen, sex.counts.missing) == (("f", "m"), 1, 1)
    assert (counts.counts, counts.other, counts.unseen, counts.missing) == ((1, 0), 2, 2, 2)


def test_a_column_that_is_not_there_is_missing():
    tally = Tally(reference(), seen=SEEN)
    tally.add({"sex": texts("f", "m")}, np.array([0.1, 0.2]))

    assert tally.window("claims", at(1), at(2)).columns[0].missing == 2


def test_windows_of_two_models_do_not_add_up():
    other = msgspec.structs.replace(window_of([]), reference="sha256:bb")

    with pytest.raises(Conflict, match="different references"):
        pooled([window_of([]), other])


@given(st.lists(st.one_of(numbers, st.sampled_from([0.0, 1.0])), max_size=60))
def test_there_are_at_most_ten_bins_and_they_are_in_order(values):
    summary = summarise("x", np.array(values, dtype=float))

    assert len(summary.edges) <= 9
    assert list(summary.edges) == sorted(set(summary.edges))
    assert len(summary.counts.counts) == len(summary.edges) + 1
    assert np.isfinite(summary.edges).all()


@pytest.mark.parametrize(
    ("values", "edges", "counts"),
    [
        ([0.0, 1.0] * 10, (1.0,), (10, 10)),
        ([0.0] * 95 + [3.0, 4.0, 5.0, 6.0, 7.0], (3.0,), (95, 5)),
        ([2.0] * 5, (2.0, float(np.nextafter(2.0, 3.0))), (0, 5, 0)),
        ([], (), (0,)),
        ([float("nan")] * 3, (), (0,)),
        (list(range(100)), tuple(range(10, 100, 10)), (10,) * 10),
    ],
)
def test_ties_have_bins_of_their_own(values, edges, counts):
    summary = summarise("x", np.array(values, dtype=float))

    assert (summary.edges, summary.counts.counts) == (edges, counts)


def test_many_categories_are_cut_at_fifty():
    column = texts(*(f"c{i:03d}" for i in range(80) for _ in range(80 - i)))
    summary = summarise("c", column)

    assert len(summary.values) == 50
    assert summary.values[0] == "c000"
    assert summary.counts.other == sum(range(1, 31))


def test_facts_keep_their_digest_through_json():
    window = window_of([(1.0, "f", 0.5)])
    for kind, fact in ((Reference, reference()), (Window, window)):
        assert decode(kind, canonical_json(fact), digest=digest_of(fact)) == fact
