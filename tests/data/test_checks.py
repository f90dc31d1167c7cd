"""Each check finds what it is for, and leaves an honest neighbour of the same form alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest

from linewright.data.checks.look import look
from linewright.data.checks.registry import COLUMN_CHECKS, ROW_CHECKS, check_rows
from linewright.data.checks.rows import Rows
from linewright.data.facts import Finding
from linewright.data.finding_text import check_ids, finding_in_words
from linewright.data.profile.column import see_all
from linewright.data.profile.roles import GivenRoles
from linewright.data.spec import DataSpec, SplitSpec

ROWS = 2_000
Rng = np.random.Generator
Make = Callable[[Rng, Any], Any]
"""Makes a column of a source of chance and the label."""
DAY = pl.date(2020, 1, 1)
GRADES = np.random.default_rng(1).integers(1, 9, ROWS)
SEEN, SPANS = np.random.default_rng(2).integers(0, 30, (2, ROWS)) + 2
A = np.random.default_rng(3).integers(100, 900, ROWS).astype(float)
B = np.random.default_rng(4).integers(3, 99, ROWS).astype(float)
SHOPS = np.random.default_rng(5).integers(0, 90, ROWS)
MANY = np.random.default_rng(6).integers(0, 1_700, ROWS) * 97
OF_TYPE = "unusable"
OF_THE_FILE = (
    *("view-known", "view-absent", "view-future", "view-changed"),
    *("unused-missing", "likely-missing", "margin", "fairness-rows", "unused-setting"),
    *("old-model-file", "free-alarm", "currency", "unknown-goal"),
    *("unknown-approver", "few-approvers"),
)


def days(offset: Make) -> Make:
    """Return what makes dates so many days after the first."""

    def make(rng: Rng, y: Any) -> Any:
        told = offset(rng, y)
        return pl.select(DAY + pl.duration(days=pl.Series(told))).to_series().cast(pl.String).to_list()

    return make


def table(
    task: str = "binary", *, rows: int = ROWS, share: float = 0.36, **columns: Make | Any
) -> pl.DataFrame:
    """Text columns, as a CSV file gives them: four honest numbers, and a label that one of them half explains."""
    rng = np.random.default_rng(7)
    signal = rng.normal(size=rows)
    noisy = signal + rng.normal(size=rows)
    y: Any = (noisy > np.quantile(noisy, 1 - share)).astype(int)
    if task == "multiclass":
        y = np.array([f"k{one}" for one in np.digitize(noisy, [-1.2, 0.0, 1.2])])
    if task == "regression":
        y = (40 + 10 * noisy).round(3)
    base = {
        "signal": signal.round(3),
        **{name: rng.normal(size=rows).round(3) for name in ("n1", "n2", "n3")},
    }
    made = {name: make(rng, y) if callable(make) else make for name, make in columns.items()}
    frame = pl.DataFrame({**base, "y": y, **made}, strict=False)
    return frame.with_columns(pl.all().cast(pl.String))


@dataclass(kw_only=True)
class Case:
    """A table with columns that a check shall find, and honest ones beside them."""

    check: str
    bad: Mapping[str, Make]
    honest: Mapping[str, Make] = field(default_factory=dict)
    task: str = "binary"
    share: float = 0.36
    says: str = ""
    """Part of the sentence."""
    options: Mapping[str, Any] = field(default_factory=dict)
    also: frozenset[str] = frozenset()
    """Honest columns of which another check may say something else."""


def flag(share: float, of: int = 1) -> Make:
    """Make a flag that is up in a share of the rows of one class, and in no other row."""
    return lambda rng, y: ((y == of) & (rng.random(len(y)) < share)).astype(int)


def gaps(share: float, where: Make = lambda _, y: y == 1) -> Make:
    """Make numbers that have a value in a share of some rows."""
    return lambda rng, y: [
        int(rng.integers(1, 9)) if is_there and rng.random() < share else None for is_there in where(rng, y)
    ]


def chance(*values: Any) -> Make:
    """Make values that say nothing of the label."""
    return lambda rng, y: rng.choice(values, len(y))


def some(share: float, value: Any, other: Any) -> Make:
    """Make a value that stands in a share of the rows."""
    return lambda rng, y: np.where(rng.random(len(y)) < share, value, other)


def words(text: str) -> Make:
    return lambda rng, y: [f"{text}{i}" for i in rng.permutation(len(y))]


COLUMN_CASES = [
    Case(check="constant", bad={"bad": lambda _, y: ["mm"] * len(y)}, honest={"fine": chance("mm", "cm")}, says="'mm'"),
    Case(check="constant", bad={"bad": lambda _, y: [None] * len(y)}, says="no value in any row"),
    Case(check="near-constant", bad={"bad": lambda _, y: ["mm" if i % 200 else "cm" for i in range(len(y))]},
         honest={"fine": lambda _, y: ["mm" if i % 20 else "cm" for i in range(len(y))]}, says="only 10 of 2,000"),
    Case(check="id", bad={"row": lambda _, y: np.arange(1, len(y) + 1)}, honest={"length": lambda rng, y: rng.choice(10**9, len(y), replace=False)},
         says="a running number from 1 to 2,000"),
    Case(check="id", bad={"shuffled_no": lambda rng, y: rng.permutation(len(y)) * 3 + 17}, says="named as one"),
    Case(check="id", bad={"code": words("C")}, honest={"few": chance(*"abc")}, says="a text of its own"),
    Case(check="id", bad={"who": lambda rng, y: rng.permutation(len(y)) % 1_500}, honest={"amount": lambda rng, y: rng.integers(0, 3_000, len(y))},
         says="with hardly a gap"),
    Case(check="weight", bad={"fnlwgt": lambda rng, y: rng.integers(100, 10**6, len(y))}, honest={"weight": lambda rng, y: rng.integers(40, 120, len(y))}),
    Case(check="twin", bad={"again": lambda _, y: GRADES[: len(y)]}, honest={"grade": lambda _, y: GRADES[: len(y)]}, says="equals 'grade'"),
    Case(check="twin", bad={"word": lambda _, y: ["abcdefghij"[one] for one in GRADES[: len(y)]]}, honest={"grade": lambda _, y: GRADES[: len(y)]}, says="one to one"),
    Case(check="leak-perfect", bad={"said": lambda _, y: np.where(y == 1, "paid", "open")}, honest={"fine": chance("s", "t")}, says="the label in other words"),
    Case(check="leak-perfect", task="regression", bad={"cents": lambda _, y: (y**3).round(1)}, says="ranks the rows as the label does"),
    Case(check="leak-one-class", bad={"bad": gaps(0.6)}, honest={"fine": gaps(0.5, lambda _, y: y >= 0)}, says="it has a value in"),
    Case(check="leak-one-class", bad={"bad": gaps(1.0, lambda rng, y: (y == 0) | (rng.random(len(y)) < 0.02))}, says="it has no value in"),
    Case(check="leak-one-class", bad={"up": flag(0.6)}, honest={"any": some(0.2, 1, 0)}, says="where it is '1'"),
    Case(check="leak-one-class", bad={"paid": lambda rng, y: y * rng.integers(0, 900, len(y))},
         honest={"late": lambda rng, y: rng.poisson(0.2 + 0.6 * y)}, says="it is not 0"),
    Case(check="leak-one-class", share=0.5, bad={"bed": lambda rng, y: [int(rng.integers(1, 9)) if one == 0 and rng.random() < 0.5 else None for one in y]},
         says="rows"),
    Case(check="leak-one-class", task="regression", bad={"bad": lambda _, y: [1 if one > 40 else None for one in y]}, says="explains"),
    Case(check="leak-late-date", bad={"released": days(lambda rng, y: rng.integers(5, 40, len(y)) + 25 * y)},
         honest={"seen": days(lambda rng, y: rng.integers(0, 30, len(y)))}, options={"time": "seen"}, says="later than 'seen'"),
    Case(check="leak-counted-days", bad={"span": lambda _, y: SPANS + 20 * y}, honest={
        "seen": days(lambda *_: SEEN), "left": days(lambda _, y: SEEN + SPANS + 20 * y), "born": lambda rng, y: rng.integers(0, 900, len(y))}, options={"time": "seen"},
        also=frozenset({"left"}), says="from 'seen' to 'left'"),
    Case(check="leak-family", share=0.1, bad={"TXF": lambda rng, y: (rng.random(len(y)) < 0.03).astype(int)},
         honest={"TWF": flag(0.3), "HDF": flag(0.4), "PWF": flag(0.5), "other": some(0.04, 1, 0)}, also=frozenset({"TWF", "HDF", "PWF", "signal"}), says="which are leaks"),
    Case(check="leak-parts", task="regression", bad={"a": lambda *_: A, "rest": lambda _, y: y - A}, honest={"near": lambda rng, y: A + rng.normal(0, 3, len(y))},
         says="a + rest"),
    Case(check="leak-parts", task="regression", bad={"rate": lambda _, y: 10_000 * y / B, "heads": lambda *_: B}, says="/ 10,000"),
    Case(check="leak-parts", task="regression", bad={"whole": lambda _, y: y * B, "by": lambda *_: B}, says="whole / by"),
    Case(check="leak-parts", task="regression", bad={"a": lambda *_: A, "b": lambda *_: B, "c": lambda _, y: y - A + B},
         honest={"d": lambda rng, _: A + rng.integers(0, 40, ROWS)}, says="- b"),
    Case(check="strong", bad={"end": lambda rng, y: (np.where(y == 1, 300, 700) + rng.normal(0, 130, len(y))).round(1)}, honest={"fine": lambda rng, y: rng.normal(size=len(y))},
         says="far above the others; was it known"),
    Case(check="strong", task="multiclass", bad={"dose": lambda rng, y: (50 * (y == "k2") + rng.normal(0, 4, len(y))).round(1)}, says="tells 'k2' from all others"),
    Case(check="name", bad={"last_name": chance("Ito", "Roy"), "rec_tat": lambda rng, y: rng.integers(0, 50, len(y))}, honest={"prev_outcome": chance("a", "b")}),
    Case(check="few-groups", bad={"site": chance(*"abcd")}, options={"group": "site"}, says="only 4 groups"),
    Case(check="doubtful-time", bad={"size": lambda rng, y: rng.integers(0, 10**6, len(y))}, options={"time": "size"}, says="is it a time?"),
    Case(check="bad-cells", bad={"age": lambda __, y: ["oops" if i == 3 else 20 + i % 50 for i in range(len(y))]}, says="1 of 2,000 values is no whole number"),
    Case(check="outlier", bad={"mark": lambda _, y: [-999 if i == 3 else 1 + i % 6 for i in range(len(y))]},
         honest={"income": lambda rng, y: rng.lognormal(10, 1, len(y)).round(2)}, says="-999 in 1 row"),
    Case(check="sentinel", bad={"temp": lambda rng, y: np.where(rng.random(len(y)) < 0.05, -200, rng.integers(5, 40, len(y)))},
         honest={"change": lambda rng, y: rng.integers(-40, 40, len(y))}, says="-200 stands in"),
]  # fmt: skip


@pytest.mark.parametrize("case", COLUMN_CASES, ids=lambda case: f"{case.check}: {', '.join(case.bad)}")
def test_a_check_of_columns_finds_the_bad_ones_alone(case: Case):
    """A false alarm throws away an honest column, or teaches people to read none."""
    frame = table(case.task, share=case.share, **case.honest, **case.bad)

    given = GivenRoles(label="y", **case.options)
    found = [one for column in look(frame, given).columns for one in column.findings]

    mine = [one for one in found if one.check == case.check and one.columns[0] not in case.also]
    assert {*case.bad} == {name for one in mine for name in one.columns}
    assert {name for one in found for name in one.columns} <= {*case.bad, *case.also}
    assert case.says in finding_in_words(mine[0])


def test_a_list_in_a_table_is_unusable():
    """It is left out, and the line file says why."""
    frame = table().with_columns(tags=pl.Series([["a"]] * ROWS))

    assert {OF_TYPE} == {one.check for one in look(frame, GivenRoles(label="y")).column("tags").findings}


HONEST = [
    ("gap of a common class", table(share=0.9, fine=gaps(0.5, lambda _, y: y >= 0))),
    ("purity of a few rows", table(fine=lambda _, y: ["x" if i in {*np.flatnonzero(y)[:9]} else "ab"[i % 2] for i in range(len(y))])),
    ("product that is nothing", table("regression", a=chance(0, 0, 0, 1), b=chance(0, 0, 0, 2))),
    ("nearly a sum", table("regression", a=lambda *_: A, b=lambda rng, y: y - A + rng.normal(0, 2, len(y)))),
    ("a good column", table(fine=lambda rng, y: y + rng.normal(0, 0.6, len(y)))),
]  # fmt: skip


@pytest.mark.parametrize("frame", [frame for _, frame in HONEST], ids=[name for name, _ in HONEST])
def test_honest_columns_are_left_alone(frame: pl.DataFrame):
    """Each of them once was a false alarm."""
    assert [] == [one for column in look(frame, GivenRoles(label="y")).columns for one in column.findings]


def test_a_very_strong_column_is_asked_about_and_stays():
    """One honest number of an area of 0.96 was left out, and the model knew nothing."""
    profile = look(
        table(best=lambda rng, y: y + rng.normal(0, 0.38, len(y))).drop("signal"), GivenRoles(label="y")
    )
    (finding,) = profile.column("best").findings

    assert ("strong", "ask", False) == (finding.check, finding.severity, profile.column("best").exclude)
    assert 0.94 < float(str(finding.evidence["strength"])) < 0.98
    assert finding_in_words(finding).endswith(
        "was it known before the label was?; if not, add best to table.exclude"
    )


def test_one_leak_hides_no_other():
    """Each is judged without those before it, those that a person left out, and rows of rare classes."""

    def near(noise: float) -> Make:
        return lambda rng, y: (y + rng.normal(0, noise, len(y))).round(3)

    frame = table(first=near(0.05), second=near(0.4)).drop("signal")
    strays = frame.with_columns(y=pl.Series(["maybe", "na", "Y", *frame["y"].to_list()[3:]]))
    for rows, exclude in ((frame, []), (frame, ["first"]), (strays, [])):
        found = {
            one.name: one.findings[0].check
            for one in look(rows, GivenRoles(label="y", exclude=exclude)).columns
            if one.findings
        }
        assert {"first": "leak-perfect", "second": "strong"} == found


def data(**line: Any) -> DataSpec:
    return DataSpec.model_validate({"sources": {"a": {"file": "a.csv"}}, "label": {"column": "y"}, **line})


def rows_found(frame: pl.DataFrame, *, split: Mapping[str, Any] | None = None, **line: Any) -> list[Finding]:
    """Return what the checks of rows find of a table."""
    spec = data(**line)
    is_class = look(frame, GivenRoles(label="y")).label.form != "regression"
    seen = see_all(frame)
    return [
        *check_rows(
            Rows(seen=seen, data=spec, split=SplitSpec.model_validate(split or {}), is_class=is_class)
        )
    ]


def blocks(size: int, name: str = "P") -> Make:
    return lambda _, y: [f"{name}{i // size:04}" for i in range(len(y))]


def labelled(frame: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(y=pl.when(where).then("y"))


KIND = {"kind": lambda _, y: ["abcd"[i % 4] for i in range(len(y))]}
COPIED = pl.concat([table(rows=300)] * 3).sample(fraction=1, shuffle=True, seed=1)
STRAY = table().with_columns(y=pl.Series(["abc", *table()["y"].to_list()[1:]]))
READ = pl.DataFrame(
    {
        "machine": [f"m{i // 60}" for i in range(480)],
        "at": [f"2026-03-{1 + i % 60 // 24:02}T{i % 60 % 24:02}:00:00Z" for i in range(480)],
        "heat": [
            40.5 if i // 60 == 2 and i % 60 >= 30 else 40 + round(float(x), 3)
            for i, x in enumerate(np.random.default_rng(4).normal(size=480))
        ],
        "y": [str(i % 7 % 2) for i in range(480)],
    }
)
RARE_CLASS = table("multiclass").with_columns(
    y=pl.Series(["odd"] * 6 + table("multiclass")["y"].to_list()[6:])
)
MONTHS = {
    "Year": lambda rng, y: rng.integers(2009, 2012, len(y)),
    "Month": lambda rng, y: rng.integers(1, 13, len(y)),
}
ROW_CASES: list[tuple[str, pl.DataFrame, dict[str, Any], str, str]] = [
    ("repeats", COPIED.with_row_index("no").with_columns(pl.col("no").cast(pl.String)), {"table": {"key": "no"}}, "all but the key", "group by all"),
    ("repeats", COPIED.with_columns(extra=pl.int_range(pl.len()).cast(pl.String)), {"table": {"exclude": ["extra"]}}, "made a group", "as alike"),
    ("sorted", table().sort("y"), {}, "from '0' to '1'", "random"),
    ("sorted", table("regression").with_columns(pl.col("y").cast(pl.Float64)).sort("y"), {}, "sorted by the label", "random"),
    ("order", table(pan_day=lambda _, y: np.arange(len(y)) // 9), {}, "from 0 to 222", "pan_day"),
    ("year-month", table(**MONTHS), {}, "in 36 different months", "make_date(Year, Month, 1) as month_began"),
    ("stray-classes", STRAY, {}, "abc in 1 row", "allowed"),
    ("few-rows", RARE_CLASS, {}, "'odd' has 6 rows", "y::text not in ('odd')"),
    ("one-sided", table(rows=200, share=0.006), {}, "a run would stop there", ""),
    ("group", table(bed=blocks(6), size=lambda _, y: [i // 6 * 37 % 50 for i in range(len(y))]), {}, "in 6 rows", "bed"),
    ("group", table(shop_id=lambda *_: SHOPS, town=lambda *_: SHOPS % 7), {}, "with the name of a thing", "shop_id"),
    ("sensor-fault", READ, {"table": {"group": "machine", "time": "at"}, "label": {"column": "y", "event": "failed"}}, "it stays at one number in 30 rows of 1 group ('machine' m2), first on 2026-03-02: a sensor that fails, and not what it measures; no contract tells", ""),
    ("group", table(nr=lambda *_: MANY, sex=lambda *_: MANY % 2, site=lambda *_: MANY % 9), {}, "rows each", "nr"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "frame", "line", "says", "writes"),
    ROW_CASES,
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_check_of_rows_finds_it_and_gives_what_mends_it(
    check: str, frame: pl.DataFrame, line: dict[str, Any], says: str, writes: str
):
    """The remedy is a value, so that a program can write it too."""
    found = [one for one in rows_found(frame, **line) if one.check == check]

    assert 1 == len(found)
    assert says in finding_in_words(found[0])
    assert writes in str([edit.value for edit in found[0].remedy])
    assert bool(writes) == bool(found[0].remedy)


@pytest.mark.parametrize(("is_cross_fitted", "found"), [(True, ["one-sided"]), (False, [])])
def test_labels_that_come_too_late_for_folds_are_found_where_there_are_folds(
    is_cross_fitted: bool, found: list[str]
):
    """Nothing is fitted of a model that is imported."""
    at = pl.datetime(2026, 1, 1) + pl.duration(hours=3 * pl.int_range(400))
    spec = data(table={"time": "at"}, label={"column": "y", "delay": "38d"})
    seen = see_all(table(rows=400).with_columns(at=at.cast(pl.String)))
    rows = Rows(seen=seen, data=spec, is_cross_fitted=is_cross_fitted)

    assert found == [one.check for one in check_rows(rows) if one.check == "one-sided"]


SOUND: list[tuple[str, pl.DataFrame, dict[str, Any]]] = [
    ("plain", table(), {}),
    ("labels missing by chance", labelled(table(**KIND), pl.col("n1").cast(pl.Float64) > -1), {}),
    (
        "coarse rows meet by chance",
        table(rows=900, a=chance(*"ab"), b=chance(*"ab")).select("a", "b", "y"),
        {},
    ),
    ("a week that measures", table(week=lambda rng, y: rng.integers(1, 53, len(y))), {}),
    (
        "an order that no name calls a time",
        table(depth=lambda rng, y: np.sort(rng.integers(0, 400, len(y)))),
        {},
    ),
    ("the year of a house", table(built_year=MONTHS["Year"], month=MONTHS["Month"]), {}),
    ("amounts that repeat", table(amount=lambda rng, y: rng.integers(1, 999, len(y)) * 5), {}),
    ("texts that repeat", table(colour=chance(*(f"c{i}" for i in range(60)))), {}),
]


@pytest.mark.parametrize(("frame", "line"), [one[1:] for one in SOUND], ids=[one[0] for one in SOUND])
def test_rows_that_mislead_nobody_are_left_alone(frame: pl.DataFrame, line: dict[str, Any]):
    """Each of them once was a false alarm, or nearly."""
    assert [] == rows_found(frame, **line)


def test_who_says_how_rows_are_split_is_not_asked_for_a_time():
    """The answer stands in the line file."""
    frame = table(pan_day=lambda _, y: np.arange(len(y)) // 9)

    assert [] == rows_found(frame, split={"by": "random"})
    assert [] == [one for one in rows_found(frame, table={"time": "pan_day"}) if one.check == "order"]


def test_every_check_has_an_id_a_sentence_and_a_case():
    """What cannot be named cannot be silenced, and what has no case is not known to work."""
    ids = [one.id for one in (*COLUMN_CHECKS, *ROW_CHECKS)]
    cases = {*(case.check for case in COLUMN_CASES), *(case[0] for case in ROW_CASES), OF_TYPE}

    assert sorted({*ids, *OF_THE_FILE}) == sorted(check_ids())
    assert len(ids) == len({*ids})
    assert cases == {*ids}


def test_a_check_that_is_disabled_finds_nothing():
    """A person has the last word."""
    frame = table().sort("y")

    assert ["sorted"] == [one.check for one in rows_found(frame)]
    assert [] == rows_found(frame, checks={"disable": ["sorted"]})


def test_checks_see_the_same_table_the_same_way():
    """Findings are stored; two runs of one table give one digest."""
    frame = table(said=lambda _, y: y, code=words("C"))

    assert look(frame, GivenRoles(label="y")) == look(frame, GivenRoles(label="y"))
