"""Monitors on simulated lines: silence when nothing happens, and the true cause when something does."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from linewright.store.clock import said
from linewright.store.values import digest_of
from linewright.watch.facts import Performance
from linewright.watch.finding_text import finding_in_words
from linewright.watch.histograms import Tally, reference_of
from linewright.watch.monitors import alpha_of, find, monitors
from linewright.watch.spec import PerformanceSpec, WatchSpec

START = datetime(2026, 11, 1, tzinfo=UTC)
WATCH = WatchSpec()
SEEN = {"color": frozenset({"red", "green", "blue"})}


def rows(random, n, *, columns=1, move=0.0, missing=0.02, unseen=0.005):
    """Return columns and predictions of n rows: numbers a0, a1…, each third one a count, and a color."""
    made = {}
    for i in range(columns):
        values = random.normal(move, 1, n) if i % 3 else random.poisson(2, n) + np.round(move)
        made[f"a{i}"] = np.where(random.uniform(size=n) < missing, np.nan, values)
    made["color"] = random.choice(
        np.array(["red", "green", "blue", "new"], dtype=object), n, p=[0.6 - unseen, 0.3, 0.1, unseen]
    )
    return made, random.beta(2, 5, n)


def reference(random, n=4000, **options):
    made, predictions = rows(random, n, **options)
    return reference_of("sha256:aa", made, predictions, seen=SEEN)


def window(base, made, predictions, number, *, breaches=None, hours=1):
    tally = Tally(base, seen=SEEN)
    tally.add(made, predictions, breaches=breaches)
    return tally.window("claims", instant(number), instant(number + hours))


def instant(number):
    return (START + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def series(random, base, numbers, n=500, **options):
    return [window(base, *rows(random, n, **options), number) for number in numbers]


@pytest.mark.parametrize("seed", [11, pytest.param(12, marks=pytest.mark.slow)])
def test_a_line_on_which_nothing_happens_is_silent(seed):
    """500 windows of 20 columns, with a weekly rhythm of the mix and of the traffic: no finding at the default budget."""
    print("seed", seed)
    random = np.random.default_rng(seed)
    base = reference(random, columns=19)
    windows, found = [], []
    for i in range(500):
        weekend = i % 7 >= 5
        made = rows(random, 150 if weekend else 300, columns=19, move=0.2 * weekend, missing=0.03)
        windows = [*windows[-55:], window(base, *made, i)]
        found += find(base, windows, WATCH)

    assert found == []


@pytest.mark.parametrize(
    ("change", "monitor", "column", "says"),
    [
        ({"move": 1.0}, "drift", "a0", "'a0' has drifted: PSI "),
        ({"missing": 0.3}, "missing", "a0", "'a0' is missing in "),
        ({"unseen": 0.2}, "unseen", "color", "'color' has values that the model never saw in "),
    ],
)
@pytest.mark.parametrize("seed", [21, 22, 23])
def test_a_real_shift_is_found_in_three_windows_under_its_own_name(seed, change, monitor, column, says):
    print("seed", seed)
    random = np.random.default_rng(seed)
    base = reference(random)
    before = series(random, base, range(10))
    after = series(random, base, range(10, 13), **change)
    early = find(base, [*before, *after[:2]], WATCH)
    found = find(base, [*before, *after], WATCH)

    assert early == ()
    assert [(finding.monitor, finding.column) for finding in found] == [(monitor, column)]
    assert found[0].since == after[0].start
    assert finding_in_words(found[0]).startswith(says)
    assert finding_in_words(found[0]).endswith(", at least 0.2 in 3 windows in a row")
    assert found[0].value >= found[0].bar == 0.2


def test_breaches_are_found_and_their_end_is_not():
    random = np.random.default_rng(31)
    base = reference(random)
    bad = [window(base, *rows(random, 500), i, breaches={"age": 60}) for i in range(3)]
    (finding,) = find(base, bad, WATCH)
    breaching = msgspec.structs.replace(base, breaches={"age": 1000})
    good = [
        msgspec.structs.replace(each, reference=digest_of(breaching))
        for each in series(random, base, range(3))
    ]

    assert finding_in_words(finding) == (
        f"'age' breaks its contract in 12 % of rows, in the reference 0 %: PSI {finding.value:.2f}, "
        "at least 0.2 in 3 windows in a row"
    )
    assert find(breaching, good, WATCH) == ()


def test_predictions_that_move_are_found():
    random = np.random.default_rng(32)
    base = reference(random)
    moved = [window(base, rows(random, 500)[0], random.beta(5, 2, 500), i) for i in range(3)]
    (finding,) = find(base, moved, WATCH)

    assert (finding.monitor, finding.column) == ("prediction", None)
    assert finding_in_words(finding).startswith("the predictions have drifted: PSI ")


def test_windows_without_rows_count_neither_way():
    random = np.random.default_rng(33)
    base = reference(random)
    moved = series(random, base, range(3), move=1.0)
    empty = series(random, base, [3], n=0)
    with_gaps = [moved[0], *empty, moved[1], *empty, *empty, moved[2], *empty]

    assert find(base, with_gaps, WATCH) == find(base, moved, WATCH) != ()
    assert find(base, empty * 10, WATCH) == ()
    assert find(base, [], WATCH) == ()


def test_few_rows_are_never_sure():
    random = np.random.default_rng(34)
    base = reference(random)

    assert find(base, series(random, base, range(10), n=4, move=1.0), WATCH) == ()


def test_windows_of_another_model_are_not_judged():
    random = np.random.default_rng(35)
    base = reference(random)
    old = [
        msgspec.structs.replace(each, package="sha256:00", reference="sha256:00")
        for each in series(random, base, range(2), move=1.0)
    ]

    assert find(base, [*old, *series(random, base, [2], move=1.0)], WATCH) == ()


def test_a_dead_line_is_found_in_one_window():
    random = np.random.default_rng(36)
    base = reference(random)
    usual = series(random, base, range(30), n=100)
    (finding,) = find(base, [*usual, *series(random, base, [30], n=0)], WATCH)

    assert (finding.monitor, finding.value, finding.bar) == ("traffic", 0.0, 100.0)
    assert finding_in_words(finding) == "no rows came in 1h, 100 are usual"
    assert finding.since == instant(30)


@pytest.mark.parametrize("n", [0, 900])
def test_a_window_that_holds_what_a_pause_missed_says_nothing_about_traffic(n):
    """Nine hours of rows are not nine times the usual; and of the rows of a night without power none could come."""
    random = np.random.default_rng(36)
    base = reference(random)
    usual = series(random, base, range(30), n=100)
    pause = window(base, *rows(random, n), 30, hours=9)
    (finding,) = find(base, [*usual, pause, *series(random, base, [39], n=0)], WATCH)

    assert find(base, [*usual, pause], WATCH) == ()
    assert find(base, [*usual, pause, *series(random, base, [39], n=100)], WATCH) == ()
    assert (finding.bar, finding.since) == (100.0, instant(39))


def test_rows_of_windows_of_another_length_are_no_history():
    """Who changes `every` from a day to an hour, or back, has not lost or won traffic."""
    random = np.random.default_rng(36)
    base = reference(random)
    days = [window(base, *rows(random, 2400), 24 * i, hours=24) for i in range(30)]

    assert find(base, [*days, *series(random, base, range(720, 722), n=100)], WATCH) == ()


def performance(**parts):
    usual = {
        "line": "claims",
        "package": "sha256:aa",
        "start": instant(0),
        "end": instant(24),
        "metric": "roc_auc",
        "value": 0.61,
        "error": 0.015,
        "low": 0.58,
        "high": 0.64,
        "labelled": 1400,
        "predictions": 2000,
        "certified": 0.8,
    }
    return Performance(**(usual | parts))


@pytest.mark.parametrize(
    ("bars", "parts", "says"),
    [
        (
            {"at_least": 0.7},
            {},
            ["roc_auc is 0.61 on 1,400 labelled predictions, surely below 0.7"],
        ),
        ({"at_least": 0.7}, {"labelled": 29}, []),
        ({"at_least": 0.7}, {"error": 0.05}, []),
        ({"at_least": 0.7}, {"error": None}, []),
        ({"at_least": 0.7}, {"value": None}, []),
        ({"at_least": 0.7}, {"error": float("nan")}, []),
        ({"at_least": 0.61}, {"error": 0.0}, []),
        ({"at_least": 0.6}, {}, []),
        (
            {"at_most": 12.0},
            {"metric": "rmse", "value": 15.25, "error": 0.5},
            ["rmse is 15.25 on 1,400 labelled predictions, surely above 12"],
        ),
        ({}, {}, []),
    ],
)
def test_performance_is_found_when_it_is_surely_beyond_its_bar(bars, parts, says):
    watch = WatchSpec(performance=PerformanceSpec(**bars))
    base = reference(np.random.default_rng(37))

    assert [finding_in_words(finding) for finding in find(base, [], watch, performance(**parts))] == says
    assert performance().matured == 0.7


def test_the_budget_is_shared_by_all_tests_of_its_period():
    base = reference(np.random.default_rng(38), columns=19)
    watch = WatchSpec(every="10s", alert_budget="2 per 1d")

    assert monitors(base, WATCH) == 19 * 3 + 4 + 2 + 2
    assert alpha_of(watch, 63) == pytest.approx(2 / 8640 / 63)
    assert alpha_of(WatchSpec(every="1w", alert_budget="900 per 1h"), 1) == 0.05


def test_labels_that_came_as_they_come_are_told_by_when_they_came():
    """Without a delay nobody knows what share of the labels is there, nor when the predictions were made."""
    found, base = performance(arrived=True), reference(np.random.default_rng(37))
    watch = WatchSpec(performance=PerformanceSpec(at_least=0.7))
    (told,) = find(base, [], watch, found)

    assert found.matured is None
    assert finding_in_words(told) == (
        f"roc_auc is 0.61 on 1,400 labels that came from {said(instant(0))} to {said(instant(24))}, surely below 0.7"
    )
