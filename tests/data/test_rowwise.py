"""Columns that SQL makes of one row are told from those that need another source, other rows, the clock or chance."""

from pathlib import Path

import duckdb
import msgspec
import pytest

from linewright.data.facts import RawColumn, RowExpression, RowSql
from linewright.data.read.source import open_source
from linewright.data.spec import DataSpec
from linewright.data.table.build import build_table
from linewright.data.table.expressions import Evaluator, Failed, again, connect
from linewright.errors import Corrupt

CLAIMS = """\
id,year,month,amount,make,n,happened,region,bad
1,1994,Jan,1.25, fiat,1,2020-01-01T05:00:00,a,0
2,1995,Feb,0.1,Opel,2,2020-01-02T06:00:00,b,1
3,1996,Mar,,"  ",3,2020-01-03T07:30:00,a,0
4,1996,Apr,7,NONE,4,2020-01-04T00:00:00,b,1
"""
REGIONS = "region,risk,n\na,0.1,7\nb,0.2,8\n"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Give a function that returns what is found of a SELECT over claims and regions."""
    root: Path = tmp_path_factory.mktemp("sources")
    (root / "claims.csv").write_text(CLAIMS)
    (root / "regions.csv").write_text(REGIONS)

    def find(sql: str, **line) -> RowSql:
        sources = {name: {"file": f"{name}.csv"} for name in ("claims", "regions") if name in sql}
        line.setdefault("table", {})["sql"] = sql
        data = DataSpec.model_validate({"sources": sources, "label": {"column": "bad"}, **line})
        table = build_table([open_source(name, one, root) for name, one in data.sources.items()], data)
        assert table.row_sql is not None
        return table.row_sql

    return find


def made(rows: RowSql) -> dict[str, tuple[str, ...]]:
    """Return the columns that are made of others, by name."""
    return {one.name: one.reads for one in rows.expressions}


def sent(rows: RowSql) -> dict[str, str]:
    """Return the columns that must be sent, with the reason."""
    return {one.name: one.because for one in rows.must_be_sent}


OF_THE_ROW = [
    ("strptime(year || ' ' || month, '%Y %b')::date", {"year", "month"}),
    ("n * 0.1", {"n"}),
    ("n / 7", {"n"}),
    ("upper(make)", {"make"}),
    ("coalesce(make, 'none')", {"make"}),
    ("case when n > 2 then 'hi' when n is null then 'no' else 'lo' end", {"n"}),
    ("case month when 'Jan' then 1 end", {"month"}),
    ("happened + interval 1 day", {"happened"}),
    ("date '2021-01-01' - happened::date", {"happened"}),
    ("extract(hour from happened)", {"happened"}),
    ("make like 'F%' or make ilike 'o%' and not make in ('a', 'b')", {"make"}),
    ("n between 1 and 2", {"n"}),
    ("n is distinct from id", {"n", "id"}),
    ("month[1]", {"month"}),
    ("-(-n)", {"n"}),
    ("amount::decimal(10, 2)", {"amount"}),
    ("n::float", {"n"}),
    ("try_cast(make as integer)", {"make"}),
    ("regexp_extract(make, '[a-z]+')", {"make"}),
    ("claims.n + 1", {"n"}),
    ("'it''s'", set()),
]
"""Expressions, and which columns each reads."""
OF_MORE = [
    ("sum(n) over ()", "rows"),
    ("row_number() over (order by id)", "rows"),
    ("(select max(n) from claims)", "source"),
    ("n in (select n from claims where id > 1)", "source"),
    ("random()", "function"),
    ("now()", "function"),
    ("current_date", "function"),
    ("current_timestamp", "function"),
    ("current_setting('TimeZone')", "function"),
    ("repeat(make, 3)", "function"),
    ("list_transform([n], lambda e: e + 1)[1]", "form"),
    ("n::hugeint", "type"),
    ("make collate nocase", "form"),
]
"""Expressions, and why a request cannot give what they are."""


@pytest.fixture(scope="module")
def all_found(found):
    """Return what is found of a SELECT with all these expressions."""
    columns = [f"{one} as made{number}" for number, (one, _) in enumerate([*OF_THE_ROW, *OF_MORE])]
    return found(f"select *, {', '.join(columns)} from claims")  # noqa: S608 -- what it is about


@pytest.mark.parametrize(
    ("number", "reads"),
    [(number, reads) for number, (_, reads) in enumerate(OF_THE_ROW)],
    ids=[one for one, _ in OF_THE_ROW],
)
def test_an_expression_of_one_row_is_carried_out_to_the_bit(all_found, number, reads):
    """It is tried on the rows of the source, as a request would be read, before anybody relies on it."""
    assert reads == set(made(all_found)[f"made{number}"])
    assert f"made{number}" not in sent(all_found)


@pytest.mark.parametrize(
    ("number", "because"),
    [(len(OF_THE_ROW) + number, why) for number, (_, why) in enumerate(OF_MORE)],
    ids=[one for one, _ in OF_MORE],
)
def test_what_does_not_surely_follow_from_the_row_must_be_sent(all_found, number, because):
    """Listed are parts that are known; whatever else SQL has, now or later, is not carried out on a request."""
    assert f"made{number}" not in made(all_found)
    assert because == sent(all_found)[f"made{number}"]


def test_no_other_column_is_made_or_must_be_sent(all_found):
    assert {f"made{number}" for number in range(len(OF_THE_ROW))} == made(all_found).keys()
    assert {f"made{len(OF_THE_ROW) + number}" for number in range(len(OF_MORE))} == sent(all_found).keys()


def test_a_join_gives_what_must_be_sent_and_the_first_source_what_is_made(found):
    """The issue's own case: training sees the join, a request has the row alone."""
    rows = found(
        "select c.*, c.amount / c.n as ratio, r.risk, r.risk * c.amount as weighed, r.n as rank from claims c "
        "left join regions r using (region) where c.n < 4 order by id"
    )

    assert ("claims", {"ratio": ("amount", "n")}) == (rows.source, made(rows))
    assert {"risk": "source", "weighed": "source", "rank": "source"} == sent(rows)


def test_a_name_that_means_something_else_in_the_table_is_never_read_as_the_source_has_it(found):
    """A request says one thing by a name: what the table means by it."""
    rows = found("select * replace (upper(make) as make), lower(make) as low, n + 1 as more from claims")

    assert {"more": ("n",)} == made(rows)
    assert {"make": "name", "low": "name"} == sent(rows)


def test_a_name_that_was_given_before_is_what_it_stands_for(found):
    """SQL lets an expression name one before it; of a request there is the source alone."""
    rows = found("select *, n + 1 as more, more * 2 as twice from claims")

    assert '(("n" + 1) * 2)' == rows.expressions[1].sql
    assert ("n",) == rows.expressions[1].reads


@pytest.mark.parametrize(
    "sql",
    [
        "select region, count(*) as n, max(bad) as bad from claims group by region",
        "with c as (select * from claims) select *, n + 1 as more from c",
        "select *, n + 1 as more from (select * from claims)",
        "select * from claims union all select * from claims",
    ],
)
def test_of_a_form_that_is_not_understood_all_must_be_sent(found, sql):
    """Nothing is guessed; then it is as it was before."""
    rows = found(sql)

    assert ("", ()) == (rows.source, rows.expressions)
    assert {"form"} == {*sent(rows).values()}


def test_what_fails_for_rows_that_the_query_leaves_out_must_be_sent(found):
    """A request may be such a row, and there is no telling what the table would have of it."""
    rows = found(
        "select *, strptime(make, '%Y') as made from claims where make = '1990'",
        contract={"rows": {"min": 0}},
    )

    assert {"made": "tried"} == sent(rows)


@pytest.mark.parametrize(
    "sql",
    [
        "read_text('/etc/passwd')",
        "(SELECT 1)",
        '"n"; DROP TABLE x',
        '"n" AS m',
        '"other"',
        "random()",
        "getenv('HOME')",
        '"n" + 1',
    ],
)
def test_a_package_that_was_made_elsewhere_brings_no_sql_but_listed_expressions(sql):
    """An endpoint runs nothing as a package writes it: the text has to be what its listed parts are rendered to."""
    rows = RowSql(
        source="claims",
        columns=(RawColumn(name="n", type="BIGINT"),),
        expressions=(RowExpression(name="made", sql=sql, reads=("n",), type="BIGINT"),),
    )

    with pytest.raises(Corrupt, match="no expression that reads one row"):
        Evaluator(rows)


def test_a_column_of_no_listed_type_is_refused():
    """A type is written into the statement too."""
    rows = RowSql(
        source="claims",
        columns=(RawColumn(name="n", type="BIGINT[]) FROM x; --"),),
        expressions=(RowExpression(name="made", sql='"n"', reads=("n",), type="BIGINT"),),
    )

    with pytest.raises(Corrupt, match="no type of a source's column"):
        Evaluator(rows)


def test_the_database_of_an_endpoint_reaches_nothing():
    """No file, no network, and nobody can allow it again."""
    with connect() as connection:
        for sql in (
            "SELECT * FROM read_csv('/etc/passwd')",
            "SET enable_external_access=true",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error, match=r"disabled|locked|denied|cannot|Permission"):
                connection.execute(sql)


def test_rendering_is_a_fixed_point_and_values_are_never_text(found):
    """What is stored is what is run; a value with quotes or a NUL stays a value."""
    rows = found("select *, make || ' \"''x' as made from claims")
    evaluator = Evaluator(msgspec.json.decode(msgspec.json.encode(rows), type=RowSql))
    with connect() as connection:
        assert rows.expressions[0].sql == again(connection, rows.expressions[0].sql, ["make"])

    assert [("a'\"\0; --; \"'x",)] == [
        (text.replace(" \"'x", " \"'x"),)
        for (text,) in evaluator.evaluate(["made"], {"make": ["a'\"\0; --;"]}, 1)
    ]


def test_what_cannot_be_carried_out_says_why(found):
    """The endpoint tells a client of its row, not of ours."""
    rows = found("select *, strptime(month, '%b') as made from claims")

    with pytest.raises(Failed, match="Could not parse"):
        Evaluator(rows).evaluate(["made"], {"month": ["Foo"]}, 1)
