from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linewright.data.contract.check import check
from linewright.data.read.source import Raw, open_source, read_source
from linewright.data.spec import DataSpec, FileSource
from linewright.data.table.build import Table, build_table
from linewright.errors import ContractBreach, SpecError

CLAIMS = (
    "Id,Year,Month,Fraud,code,seen\n2,1995,Jan,No,007,2020-01-02 10:00\n1,1994,Dec,Yes,010,2020-01-01 09:00\n"
)


def line(**parts: object) -> DataSpec:
    return DataSpec.model_validate(
        {"sources": {"a": {"file": "a.csv"}}, "label": {"column": "Fraud"}, **parts}
    )


def raw(name: str, folder: Path, text: str) -> Raw:
    (folder / f"{name}.csv").write_text(text)
    return read_source(name, FileSource(file=f"{name}.csv"), folder)


def table(folder: Path, text: str = CLAIMS, **parts: object) -> Table:
    return build_table([raw("a", folder, text)], line(**parts))


def frame_of(made: Table) -> pl.DataFrame:
    return pl.concat([part.frame for part in made.parts()])


def types(made: Table) -> dict[str, str]:
    return {column.name: column.type for column in made.columns}


def test_without_a_contract_every_column_gets_its_narrowest_type(tmp_path):
    """A line of three words works."""
    made = table(tmp_path)

    assert {
        "Id": "integer",
        "Year": "integer",
        "Month": "category",
        "Fraud": "category",
        "code": "category",
        "seen": "datetime",
    } == types(made)
    assert datetime(2020, 1, 2, 10, tzinfo=UTC) == frame_of(made)["seen"][0]


def test_texts_of_a_source_with_types_are_prose_or_a_category(tmp_path):
    """Only texts of several words are looked at as a whole; dates that are texts there stay texts."""
    rows = 60
    pl.DataFrame(
        {
            "said": [f"it was number {n} today" for n in range(rows)],
            "again": ["it was the same today"] * rows,
            "name": [f"name {n}" for n in range(rows)],
            "day": ["2024-05-01"] * rows,
            "none": pl.Series([None] * rows, dtype=pl.String),
            "Fraud": ["yes", "no"] * (rows // 2),
        }
    ).write_parquet(tmp_path / "a.parquet")
    source = open_source("a", FileSource(file="a.parquet"), tmp_path)
    made = build_table([source], line(sources={"a": {"file": "a.parquet"}}))

    others = dict.fromkeys(("again", "name", "day", "none", "Fraud"), "category")
    assert {"said": "text", **others} == types(made)


def test_the_contract_decides_the_types(tmp_path):
    """A code that looks like a number is a category where the contract says so, spelled as in the file."""
    made = table(
        tmp_path,
        contract={
            "columns": {
                "Year": {"type": "category"},
                "code": {"type": "integer"},
                "Fraud": {"type": "category"},
            }
        },
    )

    assert {"Year": ["1995", "1994"], "Fraud": ["No", "Yes"], "code": [7, 10]} == frame_of(made).to_dict(
        as_series=False
    )


def test_columns_that_the_contract_does_not_name_are_kept_out_and_reported(tmp_path):
    """A new column upstream must not become a feature by surprise, nor change the dataset."""
    contract = {"columns": {"Fraud": {"type": "category"}, "Year": {"type": "integer"}}}
    warned, ignored, stopped = (
        (table(tmp_path, **parts), line(**parts))
        for parts in (
            {"contract": contract, "table": {"key": "Id"}},
            {"contract": contract, "on_new_column": "ignore"},
            {"contract": contract, "on_new_column": "stop"},
        )
    )

    assert ["Id", "Year", "Fraud"] == frame_of(warned[0]).columns
    assert [("Month", "Jan", "warn"), ("code", "007", "warn")] == [
        (f.column, f.first, f.action) for f in check(*warned).breaches[:2]
    ]
    assert () == check(*ignored).breaches
    assert {"stop"} == {finding.action for finding in check(*stopped).breaches}


def test_sql_joins_sources_and_makes_columns(tmp_path):
    """The line's table need not lie in one file."""
    (tmp_path / "b.csv").write_text("Month,n\nJan,1\nDec,12\n")
    made = build_table(
        [raw("a", tmp_path, CLAIMS), raw("b", tmp_path, "Month,n\nJan,1\nDec,12\n")],
        line(
            table={
                "sql": "select Id, Fraud, code, make_date(Year, n, 1) as month, n / 2 as half from a join b using (Month) order by Id"
            }
        ),
    )

    assert [
        (1, "Yes", "010", date(1994, 12, 1), 6.0),
        (2, "No", "007", date(1995, 1, 1), 0.5),
    ] == frame_of(made).rows()
    assert made.is_joined


def test_sql_sees_the_spelling_of_categories_and_of_the_label(tmp_path):
    """`positive: "True"` must name the class as the file spells it, with SQL or without."""
    text = "Fraud,flag,code\nTrue,True,1\nFalse,False,2\n"
    made = table(
        tmp_path,
        text,
        table={"sql": "select *, flag and true as both from a"},
        contract={
            "columns": {"Fraud": {"type": "category"}, "code": {"type": "text"}, "both": {"type": "boolean"}}
        },
    )
    bare = table(tmp_path, text, table={"sql": "select * from a"})

    assert [("True", "1", True), ("False", "2", False)] == frame_of(made).rows()
    assert [("True", True, 1), ("False", False, 2)] == frame_of(bare).rows()


def test_naive_times_get_the_zone_of_the_table_with_sql_or_without(tmp_path):
    """The zone is that of `time` and `known`; other times are UTC."""
    text = "Fraud,t,u\nNo,2020-07-01 12:00,2020-07-01 12:00\n"
    parts = {"time": "t", "zone": "Europe/Paris"}
    plain = table(tmp_path, text, table=parts)
    joined = table(tmp_path, text, table={**parts, "sql": "select * from a"})

    assert [10, 12] == [frame_of(plain)["t"].dt.hour()[0], frame_of(plain)["u"].dt.hour()[0]]
    assert frame_of(plain).equals(frame_of(joined))


def test_times_with_offsets_stay_instants_in_sql(tmp_path):
    """The machine's own zone has no say."""
    made = table(
        tmp_path,
        "Fraud,t\nNo,2020-07-01 20:30-02:00\n",
        table={"sql": "select *, t::date as day from a", "zone": "Asia/Tokyo", "time": "t"},
    )

    assert [("No", datetime(2020, 7, 1, 22, 30, tzinfo=UTC), date(2020, 7, 1))] == frame_of(made).rows()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select nope from a", r'column "nope".*a\(Id, Year, Month'),
        ("selec 1", "syntax error"),
        ("select * from read_csv('a.csv')", "disabled by configuration"),
        ("select * from raws", "does not exist"),
        ("copy a to 'out.csv'", "one SELECT"),
        ("select 1; select 2", "one SELECT"),
        ("set threads = 4", "one SELECT"),
        ("", "one SELECT"),
        ("select *, Id as Fraud from a", "same column twice: 'Fraud'"),
        ("select *, interval 1 day as i from a", "type that the table cannot hold"),
        ("select Fraud, [1] as l from a", "'l' has a type that the table cannot hold"),
    ],
)
def test_sql_that_is_wrong_or_reaches_outside_is_refused(tmp_path, sql, says):
    """A line file from elsewhere must not read the machine's files; a wrong one is explained."""
    with pytest.raises(SpecError, match=says):
        table(tmp_path, table={"sql": sql})


def test_several_sources_need_sql(tmp_path):
    """How they belong together is not ours to guess."""
    raws = [raw("a", tmp_path, CLAIMS), raw("b", tmp_path, CLAIMS)]

    with pytest.raises(SpecError, match=r"table\.sql: 2 sources"):
        build_table(raws, line())


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"label": {"column": "fraud"}}, r"label\.column.*'fraud'.*did you mean 'Fraud'"),
        ({"table": {"key": "ID"}}, r"table\.key.*did you mean 'Id'"),
        ({"table": {"exclude": ["monht"]}}, r"table\.exclude.*did you mean 'Month'"),
        ({"table": {"group": "xyz"}}, r"table\.group.*make it in table\.sql"),
        ({"label": {"column": "Fraud", "known": "sean"}}, r"label\.known.*'seen'"),
        ({"table": {"time": "Month"}}, r"table\.time.*category.*contract\.columns"),
        ({"table": {"weight": "Month"}}, r"table\.weight.*integer, number"),
        ({"table": {"zone": "Nowhere"}}, r"table\.zone"),
    ],
)
def test_columns_that_the_line_names_must_be_there_and_suit(tmp_path, parts, says):
    """Misspelling a column is the commonest mistake in a line file."""
    with pytest.raises(SpecError, match=says):
        table(tmp_path, **parts)


def test_a_column_of_the_contract_that_is_gone_breaks_the_contract(tmp_path):
    """Upstream dropped a column: the data is wrong, not the line."""
    with pytest.raises(ContractBreach, match=r"'Yeer'.*did you mean 'Year'") as caught:
        table(tmp_path, contract={"columns": {"Yeer": {"type": "integer"}}})

    assert ["Yeer"] == [finding["column"] for finding in caught.value.details["findings"]]


def test_a_file_with_another_separator_is_recognised(tmp_path):
    """One column with semicolons in its name is no table."""
    with pytest.raises(SpecError, match="say its separator"):
        table(tmp_path, "a;Fraud\n1;No\n")


def test_typed_columns_stand_beside_what_was_found(tmp_path):
    """A quarantined row is shown as the file has it."""
    made = table(tmp_path, "Fraud,n\nNo,x\n", contract={"columns": {"n": {"type": "integer"}}})

    assert [("No", "x")] == made.found(np.array([0])).rows()
    assert [("No", None)] == frame_of(made).rows()
    assert pl.Int64 == frame_of(made)["n"].dtype
