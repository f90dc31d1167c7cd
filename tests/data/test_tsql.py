"""Queries of SQL Server as they stand in other ones, and what of them would write."""

import pytest

from linewright.data.read.sql.column_types import INTEGER, TEXT, ColumnType, decimal
from linewright.data.read.sql.tsql import TSql, require_select

SQL = TSql()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select * from t order by id;", "select n from (\nselect * from t\n) as linewright_q"),
        (
            "select top 3 * from t order by id",
            "select n from (\nselect top 3 * from t order by id\n) as linewright_q",
        ),
        (
            "select * from t order by id offset 2 rows",
            "select n from (\nselect * from t order by id offset 2 rows\n) as linewright_q",
        ),
        (
            "with a as (select top 1 * from t order by x), b as (select 1 as y) select * from a, b order by y",
            "with a as (select top 1 * from t order by x), b as (select 1 as y) select n from (\nselect * from a, b\n) as linewright_q",
        ),
        (
            "select rank() over (order by id) as [order by] from t option (maxrecursion 0)",
            "select n from (\nselect rank() over (order by id) as [order by] from t\n) as linewright_q option (maxrecursion 0)",
        ),
        (
            "select 1 as x -- order by\n/* with ' /* ( */ */",
            "select n from (\nselect 1 as x -- order by\n/* with ' /* ( */ */\n) as linewright_q",
        ),
    ],
)
def test_a_query_in_a_query_has_no_order_and_its_tables_before_all(query, expected):
    """SQL Server takes neither ORDER BY without TOP nor WITH nor OPTION inside of brackets."""
    assert expected == SQL.wrapped(query, gives="n")


def test_names_texts_and_times_are_read_alike_whatever_a_session_is_set_to():
    assert "[a]]b].[order]" == SQL.quoted("a]b.order")
    assert "N'it''s'" == SQL.literal("it's")
    moment = SQL.since("q", "at", ColumnType(kind="instant"), "2024-05-01 12:00")
    assert "[at] >= cast('2024-04-30T11:59:59.996666' as datetime2) or [at] is null" in moment
    assert "[at] >= cast('2024-04-30' as date)" in SQL.since("q", "at", ColumnType(kind="date"), "2024-05-01")


def test_the_digest_of_a_row_is_of_all_digits_and_of_the_lengths_of_texts():
    """MONEY as text has two digits after the point, and a sum of BIGINT would have to be one."""
    digest = SQL.row_digest(
        {"id": INTEGER, "price": decimal(19, 4), "said": TEXT, "x": ColumnType(kind="number")}
    )

    assert "convert(nvarchar(60), cast([price] as decimal(19, 4)))" in digest
    assert "concat(datalength(cast([said] as nvarchar(max))), N':', cast([said] as nvarchar(max)))" in digest
    assert "convert(nvarchar(60), [x], 3)" in digest
    assert digest.endswith("as decimal(18, 0))")


@pytest.mark.parametrize(
    "query",
    [
        "select 1 as x option (merge join, use hint('X'))",
        "(select [update], \"drop\", 'delete ;' as x from t) union select 1, 2, 3",
        "with a as (select 1 as n) select n from a order by n offset 1 rows fetch next 3 rows only",
    ],
)
def test_a_query_that_reads_is_one(query):
    require_select(query)


@pytest.mark.parametrize(
    "query",
    [
        "select next value for counted",
        "select 1 as x merge t using u on 1 = 1 when matched then delete",
        "select 1.into t",
        "select 1 as x /* never ends",
        "select 1; select 2",
        "values (1)",
        "",
    ],
)
def test_a_query_that_would_write_is_refused(query):
    with pytest.raises(ValueError, match=r"SELECT|statement|comment"):
        require_select(query)
