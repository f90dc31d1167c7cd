"""All kinds of sources keep one contract, those of the table and those of packages."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from toy_source import MAGIC, ListedSource, ToySource, install_toys

from linewright.data.read.reader import Cursor, reader_of
from linewright.data.spec import (
    SOURCES,
    DataSpec,
    FileSource,
    PushSource,
    SourceSpec,
    SqliteSource,
    source_specs,
)
from linewright.errors import RequestError, SpecError
from linewright.line.file.read import parse_line, schema
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.store.pushed_rows import Columns, NewRows, PushedRows
from linewright.testing.sources import SourceContract, Texts, Write


def rows_of(texts: Texts) -> list[tuple[str | None, ...]]:
    return list(zip(*texts.values(), strict=True))


class TestCsv(SourceContract):
    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            with (root / "a.csv").open("w", newline="") as file:
                csv.writer(file).writerows([tuple(texts), *rows_of(texts)])
            return FileSource(file="a.csv")

        return write


class TestCsvOfSeveralFiles(SourceContract):
    is_one_part = False

    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            rows = rows_of(texts)
            for number, part in enumerate((rows[:100], rows[100:])):
                with (root / f"{number}.csv").open("w", newline="") as file:
                    csv.writer(file).writerows([tuple(texts), *part])
            return FileSource(file="*.csv")

        return write


class TestJsonLines(SourceContract):
    names_columns = False

    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            rows = [dict(zip(texts, row, strict=True)) for row in rows_of(texts)]
            (root / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            return FileSource(file="a.jsonl")

        return write


class TestParquet(SourceContract):
    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String)).write_parquet(root / "a.parquet")
            return FileSource(file="a.parquet")

        return write


class TestSqlite(SourceContract):
    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            (root / "a.db").unlink(missing_ok=True)
            names = ", ".join(f'"{name}"' for name in texts)
            with closing(sqlite3.connect(root / "a.db")) as database, database:
                database.execute(f"CREATE TABLE t ({names})")
                marks = ", ".join("?" * len(texts))
                database.executemany(f"INSERT INTO t VALUES ({marks})", rows_of(texts))  # noqa: S608 -- marks alone
            return SqliteSource(sqlite="a.db", query="SELECT * FROM t ORDER BY rowid")

        return write


class TestPushed(SourceContract):
    names_columns = False

    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            state = root / ".linewright"
            state.mkdir(exist_ok=True)
            spec = PushSource(push="a", key=next(iter(texts)), known=False)
            pushed = PushedRows.of(state, spec.push)
            pushed.file.unlink(missing_ok=True)
            pushed.open_for(Columns(spec.key))
            rows = [dict(zip(texts, row, strict=True)) for row in rows_of(texts)]
            pushed.keep(to_new_rows(rows, pushed.columns) if rows else NewRows())
            return spec

        return write

    def test_a_column_that_stands_for_others_is_refused(self, write: Write, tmp_path: Path) -> None:
        """It is refused when it is sent: rows that are kept cannot be removed."""
        with pytest.raises(RequestError, match="stands for other columns"):
            write(tmp_path, {"id": ["1"], "^.*$": ["2"]})


def test_a_database_gives_only_its_rows_since_a_cursor(tmp_path):
    """Of a table of years, a day is read."""
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE t (id INTEGER, x TEXT)")
        database.executemany("INSERT INTO t VALUES (?, 'a')", [(number,) for number in range(1000)])
    spec = SqliteSource(sqlite="a.db", query="SELECT id, x FROM t -- all of it")

    def read(cursor: Cursor) -> list[int]:
        source = reader_of(spec).open("s", spec, tmp_path, size=1000, since=cursor)
        return [row for batch in source.batches() for row in batch.frame["id"]]

    assert [998, 999] == read(Cursor(column="id", value=998))
    assert [999] == read(Cursor(column="id", value=998.5))
    assert [] == read(Cursor(column="x", value="b' OR 'x' = 'x"))


@pytest.fixture
def packaged(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the kinds of `toy_source` as a package does."""
    place = tmp_path_factory.mktemp("site")
    install_toys(place)
    monkeypatch.syspath_prepend(place)


@pytest.mark.usefixtures("packaged")
class TestToy(SourceContract):
    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            with (root / "a.toy").open("w", newline="") as file:
                file.write(MAGIC)
                csv.writer(file, delimiter="|").writerows([tuple(texts), *rows_of(texts)])
            return ToySource(toy="a.toy")

        return write


@pytest.mark.usefixtures("packaged")
class TestListed(SourceContract):
    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            del root
            rows = ["|".join(text or "" for text in row) for row in [tuple(texts), *rows_of(texts)]]
            return ListedSource(listed=tuple(rows))

        return write


LINE = "line: a\nsources: {s: {%s}}\nlabel: {column: y}\n"


@pytest.mark.usefixtures("packaged")
def test_the_schema_and_mistakes_name_the_kinds_of_packages_too():
    """A person who installed a package finds its words where those of the others are."""
    with pytest.raises(SpecError, match=r"'toyy'.*did you mean 'toy'"):
        parse_line(LINE % "toyy: a.toy", name="lines/a.yaml")
    with pytest.raises(
        SpecError,
        match="allowed: one with 'file', 'files', 'sqlite', 'sql', 'push', 'rest', 'delta', 'dlt', 'listed' or 'toy'",
    ):
        parse_line(LINE % "x: 1", name="lines/a.yaml")

    assert {"FileSource", "SqliteSource", "ToySource", "ListedSource"} <= schema()["$defs"].keys()


def test_a_kind_of_no_package_is_refused_with_those_that_there_are():
    """A factory that was copied to another machine lacks the package there."""
    with pytest.raises(
        SpecError,
        match="allowed: one with 'file', 'files', 'sqlite', 'sql', 'push', 'rest', 'delta' or 'dlt'",
    ):
        parse_line(LINE % "toy: a.toy", name="lines/a.yaml")
    with pytest.raises(SpecError, match="install the package that brings it"):
        DataSpec.model_validate({"sources": {"s": {"toy": "a.toy"}}, "label": {"column": "y"}})


def test_a_table_that_is_extended_needs_no_package(monkeypatch):
    """A test, or a program around Linewright, adds a row and no more."""
    monkeypatch.setitem(SOURCES, "toy", ToySource)

    assert ToySource(toy="a.toy") == parse_line(LINE % "toy: a.toy", name="lines/a.yaml").sources["s"]


def test_a_package_that_cannot_be_loaded_is_named(tmp_path, monkeypatch):
    """Its word is in a line file, so the line cannot be read without it; others can."""
    install_toys(tmp_path)
    points = tmp_path / "toys-1.dist-info" / "entry_points.txt"
    monkeypatch.syspath_prepend(tmp_path)
    for target, why in (
        ("no_such_toy:ToySource", "No module named"),
        ("json:loads", "does not define a kind of source"),
    ):
        points.write_text(f"[linewright.sources]\ntoy = {target}\n")
        with pytest.raises(SpecError, match=why):
            parse_line(LINE % "toy: a.toy", name="lines/a.yaml")

        assert tuple(SOURCES.values()) == source_specs(("file",))
        assert FileSource(file="a.csv") == parse_line(LINE % "file: a.csv", name="lines/a.yaml").sources["s"]
