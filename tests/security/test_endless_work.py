"""SQL and models without end are ended: by a deadline that counts from the last sign of progress, and by memory."""

import subprocess
import sys
from pathlib import Path
from time import monotonic

import polars as pl
import pytest

from linewright.data.questions import answers
from linewright.data.read import read_source
from linewright.data.spec import ContractSpec, DataSpec, FileSource
from linewright.data.table import build_table
from linewright.errors import RequestError, SpecError

ENDLESS = [
    "select count(*) as n from range(1000000) a, range(1000000) b, range(1000000) c",
    "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as m from n",
    "select count(*) as n from range(100000000000)",
    "select sum(a.id::int * b.range) as n from s a, range(1000000000000) b where a.id::int + b.range < 0",
]

PROGRAM = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))
from linewright.data.duck import select
from linewright.data.spec import QueryLimits
from linewright.errors import LinewrightError
try:
    select(sys.argv[1], {}, where="table.sql", allowed="", limits=QueryLimits())
except LinewrightError as error:
    print(error)
"""


def joined(folder: Path, sql: str, **limits: float) -> pl.DataFrame:
    (folder / "s.csv").write_text("id,y\n" + "".join(f"{i},{i % 2}\n" for i in range(100)))
    data = DataSpec.model_validate(
        {
            "sources": {"s": {"file": "s.csv"}},
            "table": {"sql": sql, "limits": limits},
            "label": {"column": "y"},
        }
    )
    table = build_table([read_source("s", FileSource(file="s.csv"), folder)], data)
    return pl.concat([batch.frame for batch in table.batches()])


@pytest.mark.parametrize("sql", ENDLESS)
def test_sql_without_end_is_ended(tmp_path, sql):
    """A cross join that was meant otherwise is the usual way to hold a worker for ever."""
    began = monotonic()

    with pytest.raises(SpecError) as caught:
        joined(tmp_path, sql, seconds=1)

    assert caught.value.where == "table.sql"
    assert "the SQL gave no row for 1 s" in str(caught.value)
    assert "table.limits.seconds" in caught.value.hint
    assert monotonic() - began < 10


def test_a_check_without_end_is_ended():
    """A contract's checks are SQL as well."""
    check = {"name": "never ends", "sql": ENDLESS[0], "limits": {"seconds": 1}}
    contract = ContractSpec.model_validate({"checks": [check]})

    with pytest.raises(SpecError) as caught:
        list(answers(pl.DataFrame({"x": [1]}), contract))

    assert caught.value.where == "contract.checks[0].sql"
    assert "contract.checks[0].limits.seconds" in caught.value.hint


def test_sql_that_gives_rows_without_end_is_ended(tmp_path):
    """Each row is progress, and each is held: their number has a limit of its own."""
    with pytest.raises(RequestError, match="more than 100,000 rows") as caught:
        joined(tmp_path, "select range as y from range(100000000000)", rows=100_000)

    assert "table.limits.rows" in caught.value.hint


def test_sql_that_gives_rows_slowly_goes_on(tmp_path):
    """The deadline counts from the last row: what makes progress is not ended, however long it takes."""
    slow = (
        "select a.range as y, (select sum(sqrt(b.range)) from range(3000000) b where b.range <> a.range) as x "
        "from range(40) a"
    )

    assert 40 == joined(tmp_path, slow, seconds=20).height


def test_an_answer_of_sql_is_as_it_was(tmp_path):
    """Reading an answer bit by bit keeps its rows in their order, and their types."""
    frame = joined(
        tmp_path, "select id::int as id, y, id::int / 4 as q from s, range(1000) order by id desc, range"
    )

    assert 100_000 == frame.height
    assert [pl.Int32, pl.Int64, pl.Float64] == frame.dtypes
    assert frame["id"].to_list() == sorted(frame["id"].to_list(), reverse=True)


@pytest.mark.parametrize(
    "sql",
    [
        "select list(range) as y from range(100000000000)",
        "select repeat('x', 1000000) as y from range(1000000)",
        "select range as y, repeat('x', 10000) as z from range(1000000)",
    ],
)
def test_sql_takes_no_more_memory_than_its_share(tmp_path, sql):
    """DuckDB would take four fifths of the machine, and its answers come on top of that."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, sql],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("table.sql: "), done
