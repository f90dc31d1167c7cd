from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.data.breach_text import breach_in_words, breaches_in_words, row_in_words
from linewright.data.contract.check import Checked, breach, check
from linewright.data.contract.pattern import flaw
from linewright.data.ingest import check_sources
from linewright.data.read.batches import Batch
from linewright.data.read.source import Raw, open_source, read_source
from linewright.data.spec import DataSpec, FileSource
from linewright.data.table.build import build_table
from linewright.errors import ContractBreach, SpecError


def line(columns: dict[str, Any] | None = None, **parts: Any) -> DataSpec:
    contract = {"max_quarantined": 1, **parts.pop("contract", {}), "columns": columns or {}}
    return DataSpec.model_validate(
        {"sources": {"a": {"file": "a.csv"}}, "label": {"column": "y"}, "contract": contract, **parts}
    )


def checked(folder: Path, text: str, columns: dict[str, Any] | None = None, **parts: Any) -> Checked:
    (folder / "a.csv").write_text(text)
    data = line(columns, **parts)
    return check(build_table([read_source("a", FileSource(file="a.csv"), folder)], data), data)


def caught(result: Checked) -> list[tuple[Any, ...]]:
    return [
        (row["line"], row["column"], row["rule"], row["found"])
        for row in map(row_in_words, result.quarantined)
    ]


def test_rows_that_break_a_rule_are_kept_out_with_line_rule_and_value(tmp_path):
    """An annotator finds the record, sees what is wrong, and nothing else is lost."""
    result = checked(
        tmp_path,
        "age,job,y\n20,a,0\n\n12,b,1\nx,a,0\n,a,1\n130,q,0\n30,z,1\n",
        {
            "age": {"type": "integer", "min": 16, "max": 110, "nullable": False},
            "job": {"type": "category", "allowed": ["a", "b", "z"]},
            "y": {"type": "integer"},
        },
    )

    assert [(20, "a", 0), (30, "z", 1)] == result.frame.rows()
    assert [
        (4, "age", "at least 16", "12"),
        (5, "age", "type integer", "x"),
        (6, "age", "not missing", None),
        (7, "age", "at most 110", "130"),
    ] == caught(result)
    assert {"age": "130", "job": "q", "y": "0"} == result.quarantined[-1]["values"]
    assert ("a", 5) == (result.quarantined[-1]["source"], result.quarantined[-1]["row"])
    assert 6 == result.rows_read


def test_findings_count_every_rule_even_where_an_earlier_one_caught_the_row(tmp_path):
    """A person who mends one rule wants to know what comes next."""
    result = checked(
        tmp_path,
        "age,job,y\n12,q,0\n13,q,1\n20,a,1\n",
        {
            "age": {"type": "integer", "min": 16},
            "job": {"type": "category", "allowed": ["a"]},
            "y": {"type": "integer"},
        },
    )

    assert [("age", "at least 16", 2, 3, "12"), ("job", "one of a", 2, 3, "q")] == [
        (f.column, f.rule, f.failed, f.rows, f.first) for f in breaches_in_words(result.breaches)
    ]
    assert 2 == len(result.quarantined)


def test_a_warning_keeps_the_row_and_a_stop_stops(tmp_path):
    """What a breach does is said for each column, else for the contract."""
    text = "a,b,y\n1,1,0\n9,1,1\n"
    rule = {"type": "integer", "max": 5}
    warned = checked(
        tmp_path, text, {"a": {**rule, "on_breach": "warn"}, "y": {"type": "integer"}}, on_new_column="ignore"
    )
    stopped = checked(
        tmp_path,
        text,
        {"a": rule, "y": {"type": "integer"}},
        contract={"on_breach": "stop"},
        on_new_column="ignore",
    )

    assert (2, None, ["warn"]) == (warned.frame.height, warned.stop, [f.action for f in warned.breaches])
    assert "column 'a': 'at most 5' fails for 1 of 2 rows, first with '9' at line 3" == stopped.stop
    assert [(3, "a", "at most 5", "9")] == caught(stopped)
    with pytest.raises(ContractBreach, match="at most 5") as error:
        raise breach(stopped)
    assert [("a", "stop")] == [(f["column"], f["action"]) for f in error.value.details["findings"]]


def test_a_key_is_there_and_occurs_once(tmp_path):
    """Feedback by key would otherwise reach the wrong row; the first of a repeated key stays."""
    result = checked(tmp_path, "id,y\n1,0\n2,1\n1,1\n,0\n1,0\n", table={"key": "id"})

    assert [(1, 0), (2, 1)] == result.frame.rows()
    assert [(4, "id", "unique", "1"), (5, "id", "not missing", None), (6, "id", "unique", "1")] == caught(
        result
    )


def test_a_repeated_key_stays_where_its_first_row_is_kept_out(tmp_path):
    """A mended record is sent again below the broken one: it must not be lost with it."""
    result = checked(
        tmp_path,
        "id,age,y\n1,-5,0\n1,30,0\n1,31,0\n",
        {"id": {"type": "integer"}, "age": {"type": "integer", "min": 0}, "y": {"type": "integer"}},
        table={"key": "id"},
    )

    assert [(1, 30, 0)] == result.frame.rows()


def test_weights_times_and_keys_are_demanded_even_where_breaches_only_warn(tmp_path):
    """Training, splitting and feedback rely on them."""
    result = checked(
        tmp_path,
        "w,t,y\n1,2020-01-01,0\n-1,2020-01-01,0\n,2020-01-01,0\n0,,0\n0,2020-01-02,1\n",
        table={"weight": "w", "time": "t"},
        contract={"on_breach": "warn"},
    )

    assert [(1, date(2020, 1, 1), 0), (0, date(2020, 1, 2), 1)] == result.frame.rows()
    assert ["at least 0", "not missing", "not missing"] == [
        row["rule"] for row in map(row_in_words, result.quarantined)
    ]


def test_a_missing_label_breaks_nothing(tmp_path):
    """It has not come yet; the row waits without a label."""
    result = checked(
        tmp_path, "x,y\n1,0\n2,\n", {"x": {"type": "integer"}, "y": {"type": "integer", "nullable": False}}
    )

    assert [(1, 0), (2, None)] == result.frame.rows()
    assert () == result.breaches
    assert [True, True] == [column.nullable for column in result.columns]


def test_a_label_that_cannot_be_read_is_a_breach(tmp_path):
    """It did come, and is wrong."""
    result = checked(tmp_path, "x,y\n1,0\n2,maybe\n", {"x": {"type": "integer"}, "y": {"type": "integer"}})

    assert [(3, "y", "type integer", "maybe")] == caught(result)


def test_ragged_rows_are_quarantined_with_their_lines(tmp_path):
    """They are part of the source, and of the share that may be kept out."""
    result = checked(tmp_path, "x,y\n1,0\n2\n3,1,9\n4,1\n")
    strict = checked(tmp_path, "x,y\n1,0\n2\n3,1\n4,1\n", contract={"max_quarantined": 0.24})
    fair = checked(tmp_path, "x,y\n1,0\n2\n3,1\n4,1\n", contract={"max_quarantined": 0.25})

    assert [(3, "", "2 fields", "1 fields"), (4, "", "2 fields", "3 fields")] == caught(result)
    assert (4, 2) == (result.rows_read, result.frame.height)
    assert [("", 2, 4, "2")] == [(f.column, f.failed, f.rows, f.first) for f in result.breaches]
    assert str(strict.stop).startswith(
        "1 of 4 rows would be quarantined, more than max_quarantined 0.24 allows"
    )
    assert fair.stop is None


@pytest.mark.parametrize(
    ("text", "is_cut"),
    [
        ("x,y\n1,0\n2,1\n3", True),
        ("x,y\r\n1,0\r\n2,1\r\n3", True),
        ("x,y\n1,0\n2,1\n3\n", False),  # a short row that ends
        ("x,y\n1,0\n2,1\n3,", False),  # perhaps a row without a label
        ("x,y\n1,0\n2\n3,1", False),
        ("x,y\n1,0\n2,1\n3,1,4", False),
    ],
)
def test_a_file_that_ends_within_a_row_is_said_to_be_broken_off(tmp_path, text, is_cut):
    """Above half of its rows nothing else shows that the others are missing."""
    findings = checked(tmp_path, text, contract={"max_quarantined": 0.5}).breaches
    told = [one for one in findings if one.kind == "broken-off"]

    assert is_cut is bool(told)
    for one in told:
        assert ("warn", 4, "3") == (one.action, one.line, one.first)
        assert (
            "'a' ends within a row (line 4), of 1 in place of 2 fields and without a line end"
            in breach_in_words(one)
        )


def test_too_few_and_too_many_rows_stop(tmp_path):
    """An empty delivery is the commonest breach of all."""
    empty = checked(tmp_path, "x,y\n")
    all_out = checked(tmp_path, "x,y\n-1,0\n", {"x": {"type": "integer", "min": 0}, "y": {"type": "integer"}})
    short = checked(
        tmp_path,
        "x,y\n-1,0\n2,0\n",
        {"x": {"type": "integer", "min": 0}, "y": {"type": "integer"}},
        contract={"rows": {"min": 5}},
    )
    many = checked(tmp_path, "x,y\n1,0\n2,0\n", contract={"rows": {"max": 1}})

    assert "the table must have at least 1 row, and 0 rows would be kept" == empty.stop
    assert str(short.stop).startswith("the table must have at least 5 rows, and 1 row would be kept")
    assert "most are lost" not in str(short.stop)  # with it there would be 2
    assert (
        "the table must have at least 1 row, and 0 rows would be kept; most are lost to this: "
        "column 'x': 'at least 0' fails for 1 of 1 row, first with '-1' at line 2"
    ) == all_out.stop
    assert "the table must have at most 1 row, and 2 rows would be kept" == many.stop


def test_bounds_are_in_the_terms_of_the_column(tmp_path):
    """Dates bound dates and times; a naive bound is UTC."""
    result = checked(
        tmp_path,
        "d,t,y\n01/02/2020,2020-01-02 00:00,0\n01/01/2020,2020-01-02,0\n01/03/2020,2020-01-01 23:59:59.999999,1\n",
        {
            "d": {"type": "date", "format": "%m/%d/%Y", "min": "2020-01-02"},
            "t": {"type": "datetime", "min": "2020-01-02"},
            "y": {"type": "integer", "allowed": ["0", "1"]},
        },
    )

    assert [date(2020, 1, 2)] == result.frame["d"].to_list()
    assert [
        (3, "d", "at least 2020-01-02", "01/01/2020"),
        (4, "t", "at least 2020-01-02", "2020-01-01 23:59:59.999999"),
    ] == caught(result)


@pytest.mark.parametrize(
    "rule",
    [{"type": "category", "min": 1}, {"type": "integer", "max": "2020-01-01"}, {"type": "date", "min": 3}],
)
def test_bounds_that_mean_nothing_are_refused(tmp_path, rule):
    """A rule that can never hold or never fail is a mistake in the line file."""
    with pytest.raises(SpecError, match=r"contract\.columns\.x"):
        checked(tmp_path, "x,y\n2020-01-01,0\n", {"x": rule, "y": {"type": "integer"}})


def test_new_columns_can_stop_the_run(tmp_path):
    """Some lines want to know before anything is learned."""
    result = checked(tmp_path, "x,y\n1,0\n", {"y": {"type": "integer"}}, on_new_column="stop")

    assert "column 'x' is not named in the contract, so it is never a feature; first value '1'" == result.stop


def test_rows_made_by_sql_have_no_line(tmp_path):
    """No number is better than a wrong one."""
    result = checked(
        tmp_path,
        "x,y\n-1,0\n1,1\n",
        {"x": {"type": "integer", "min": 0}, "y": {"type": "integer"}},
        table={"sql": "from a"},
    )

    assert [(None, "x", "at least 0", -1)] == caught(result)
    assert (None, 1) == (result.quarantined[0]["source"], result.quarantined[0]["row"])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 4), st.sampled_from(["a", "b", "c"])), max_size=20),
)
def test_kept_and_quarantined_rows_are_all_rows(rows):
    """No row is lost or counted twice, and what is kept keeps every rule."""
    text = "id,n,c,y\n" + "".join(f"{i},{n},{c},0\n" for i, n, c in rows)
    data = line(
        {
            "id": {"type": "integer"},
            "n": {"type": "integer", "min": 0, "max": 3},
            "c": {"type": "category", "allowed": ["a", "b"]},
            "y": {"type": "integer"},
        },
        table={"key": "id"},
    )
    result = check(build_table([in_memory(text)], data), data)
    kept = result.frame.rows()

    assert len(rows) == len(kept) + len(result.quarantined) == result.rows_read
    assert all(0 <= n <= 3 and c in "ab" for _, n, c, _ in kept)
    assert len({row[0] for row in kept}) == len(kept)
    fit = {i for i, n, c in rows if 0 <= n <= 3 and c in "ab"}
    assert fit == {row[0] for row in kept}


def in_memory(text: str) -> Raw:
    header, *rows = [row.split(",") for row in text.splitlines()]
    return Raw(
        name="a",
        frame=pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row"),
        is_text=True,
    )


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(-2, 4), st.sampled_from(["a", "b", "x"])), max_size=20),
    st.integers(1, 5),
)
def test_a_table_that_comes_in_parts_is_judged_as_if_it_came_whole(rows, size):
    """How much of a file fits into memory must not decide what is kept, or what is said about the rest."""
    text = "id,n,c,y\n" + "".join(f"{i},{n},{c},0\n" for i, n, c in rows)
    data = line(
        {
            "id": {"type": "integer"},
            "n": {"type": "integer", "min": 0, "max": 3, "unique": True, "on_breach": "warn"},
            "c": {"type": "number"},
        },
        table={"key": "id"},
    )
    whole = build_table([in_memory(text)], data)
    frame = whole.sources[0].frame
    parted = replace(
        whole,
        batches=lambda: (Batch(frame=frame.slice(i, size)) for i in range(0, max(frame.height, 1), size)),
    )
    one, other = check(whole, data), check(parted, data)

    assert one.frame.equals(other.frame)
    assert (one.breaches, one.stop, one.rows_read) == (other.breaches, other.stop, other.rows_read)
    assert one.quarantined.to_bytes() == other.quarantined.to_bytes()


def test_the_whole_of_a_value_matches_its_pattern_as_it_is_spelled(tmp_path):
    """Half a match is how a wrong code slips in, and 007 is not 7."""
    result = checked(
        tmp_path,
        "code,zip,y\nA1,007,0\nxA1,07,0\nA1x,0071,0\n,,1\n",
        {
            "code": {"type": "category", "pattern": "A[0-9]|B"},
            "zip": {"type": "integer", "pattern": r"\d{3}"},
            "y": {"type": "integer"},
        },
    )

    assert [
        (3, "code", "all of it matches A[0-9]|B", "xA1"),
        (4, "code", "all of it matches A[0-9]|B", "A1x"),
    ] == (caught(result))
    assert [("code", 2, 3), ("zip", 2, 3)] == [(f.column, f.failed, f.line) for f in result.breaches]
    assert 2 == result.frame.height


@pytest.mark.parametrize("pattern", ["a(", "(a)\\1", "a(?!b)", "a)(b", "*"])
def test_what_is_no_pattern_has_a_flaw(pattern):
    """It would fail in the middle of a run, or hold where nobody meant it."""
    assert flaw(pattern)


def two_sources(folder: Path, shops: str, sales: str, **rule: Any) -> Checked:
    (folder / "shops.csv").write_text(shops)
    (folder / "a.csv").write_text(sales)
    columns = {"shop": {"type": "integer", "references": "shops.id", **rule}, "y": {"type": "integer"}}
    data = line(columns, sources={"shops": {"file": "shops.csv"}, "a": {"file": "a.csv"}})
    return check_sources([open_source(name, one, folder) for name, one in data.sources.items()], data)


def test_values_are_among_those_of_the_source_they_refer_to(tmp_path):
    """A sale of a shop that there is not belongs to nobody; types decide what is equal, not spellings."""
    result = two_sources(tmp_path, "id,town\n01,x\n2,y\n,z\n", "shop,y\n1,0\n2,1\n3,0\n,0\n")

    assert [(4, "shop", "one of shops.id", "3")] == caught(result)
    assert [(1, 0), (2, 1), (None, 0)] == result.frame.rows()
    assert 4 == result.rows_read


def test_a_warning_lets_a_value_in_that_refers_to_nothing(tmp_path):
    result = two_sources(tmp_path, "id\n1\n", "shop,y\n1,0\n3,0\n", on_breach="warn")

    assert (2, ["warn"]) == (result.frame.height, [f.action for f in result.breaches])


def test_rows_that_no_table_holds_are_told_of_a_source_that_is_only_referred_to(tmp_path):
    """They are no rows of the table, and what they name is missing from it."""
    result = two_sources(tmp_path, "id,town\n1,x\n2\n", "shop,y\n1,0\n")

    assert [("2 fields, as the header of 'shops' has", "warn", 3)] == [
        (f.rule, f.action, f.line) for f in breaches_in_words(result.breaches)
    ]
    assert not result.quarantined


def test_a_row_of_a_source_of_several_files_is_named_by_its_file(tmp_path):
    """Line 3 alone would send a person through a whole folder."""
    (tmp_path / "a.csv").write_text("age,y\n20,0\n30,1\n")
    (tmp_path / "b.csv").write_text("age,y\n40,0\n-1,1\n7\n")
    data = line({"age": {"type": "integer", "min": 0}}, sources={"a": {"file": "*.csv"}})

    result = check_sources([open_source("a", data.sources["a"], tmp_path)], data)

    assert [("a", "b.csv", 4, None), ("a", "b.csv", 3, 4)] == [
        (row["source"], row["file"], row["line"], row["row"]) for row in result.quarantined
    ]
    assert [("b.csv", 3), ("b.csv", 4)] == [(found.file, found.line) for found in result.breaches]
    assert breach_in_words(result.breaches[0]).endswith("first with '-1' at line 3 in b.csv")


def test_a_reference_to_a_column_that_is_not_there_is_refused(tmp_path):
    """The near name is offered."""
    with pytest.raises(
        SpecError, match=r"source 'shops' has no column 'id'.*did you mean 'shops.id2'"
    ) as error:
        two_sources(tmp_path, "id2\n1\n", "shop,y\n1,0\n")

    assert "contract.columns.shop.references" == error.value.where


def test_sql_finds_what_no_rule_of_a_column_can(tmp_path):
    """It sees the rows that keep the other rules, in their types."""
    columns = {"id": {"type": "integer", "max": 8}, "paid": {"type": "number"}, "y": {"type": "integer"}}
    sql = "select * from rows where paid > 2 * (select avg(paid) from rows)"
    text = "id,paid,y\n1,1,0\n2,1,1\n3,9.5,0\n9,1000,0\n"
    stopped = checked(tmp_path, text, columns, contract={"checks": [{"name": "no odd payment", "sql": sql}]})
    warned = checked(
        tmp_path, text, columns, contract={"checks": [{"name": "odd", "sql": sql, "on_breach": "warn"}]}
    )
    sound = checked(tmp_path, text, columns, contract={"checks": [{"name": "n", "sql": f"{sql} and id > 3"}]})

    assert (
        "the table: 'no odd payment' fails for 1 of 3 rows, first with 'id=3, paid=9.5, y=0'" == stopped.stop
    )
    assert (None, "warn") == (warned.stop, warned.breaches[-1].action)
    assert ["at most 8"] == [finding.rule for finding in breaches_in_words(sound.breaches)]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select nope from rows", "the SQL fails"),
        ("select * from a", r"allowed: rows\(x, y\)"),
        ("select * from read_csv('a.csv')", "the SQL fails"),
        ("delete from rows", "is one SELECT"),
        ("select 1; select 2", "is one SELECT"),
    ],
)
def test_sql_of_a_check_reads_the_rows_and_nothing_else(tmp_path, sql, says):
    """A line file that came by mail must not read the disk."""
    with pytest.raises(SpecError, match=says) as error:
        checked(tmp_path, "x,y\n1,0\n", contract={"checks": [{"name": "n", "sql": sql}]})

    assert "contract.checks[0].sql" == error.value.where
