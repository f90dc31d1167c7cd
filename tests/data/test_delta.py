"""Delta tables: a version is read, whole, from a folder and from a bucket."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ports import free_port
from web_server import KEYS, allow_here, bucket_server

from linewright.capabilities.drafts.remote_data import Access
from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.data.read.reader import column_names, fingerprint
from linewright.data.read.source import open_source
from linewright.data.spec import DeltaSource, FileLimits, SourceSpec
from linewright.errors import RequestError, Transient
from linewright.line.factory import Factory
from linewright.testing.sources import SourceContract, Texts, Write

deltalake = pytest.importorskip("deltalake")

Put = Callable[..., None]


def put(table: Path, rows: pl.DataFrame, **options: Any) -> None:
    table.parent.mkdir(parents=True, exist_ok=True)
    deltalake.write_deltalake(str(table), rows.to_arrow(), **options)


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    pytest.importorskip("obstore")
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "plant").mkdir()
    with bucket_server(folder) as url:
        yield folder / "plant", url


class TestDelta(SourceContract):
    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            frame = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))
            put(root / "t", frame, mode="overwrite", schema_mode="overwrite")
            return DeltaSource(delta="t")

        return write


def rows_of(spec: SourceSpec, root: Path) -> list[dict[str, Any]]:
    return [row for batch in open_source("orders", spec, root).batches() for row in batch.frame.to_dicts()]


FIRST = pl.DataFrame({"id": [1, 2, 3], "town": ["Köln / a%b", None, "Ulm"], "day": [date(2026, 3, 1)] * 3})
SECOND = pl.DataFrame({"id": [4], "town": ["Ulm"], "day": [date(2026, 3, 2)], "paid": [True]})


def fill(table: Path) -> None:
    """Make a table of four versions: rows, a new column, a row that is deleted, and an end of the log that is packed."""
    put(table, FIRST, partition_by=["town", "day"])
    put(table, SECOND, mode="append", schema_mode="merge")
    deltalake.DeltaTable(str(table)).delete("id = 3")
    deltalake.DeltaTable(str(table)).create_checkpoint()


EXPECTED = [
    {"id": 1, "town": "Köln / a%b", "day": date(2026, 3, 1), "paid": None},
    {"id": 2, "town": None, "day": date(2026, 3, 1), "paid": None},
    {"id": 4, "town": "Ulm", "day": date(2026, 3, 2), "paid": True},
]


@pytest.fixture(params=["folder", "bucket"])
def spec(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[DeltaSource, Path]:
    """Return a table in a folder or a bucket, and the folder that it lies in."""
    if request.param == "folder":
        return DeltaSource(delta="tables/orders"), tmp_path / "tables" / "orders"
    folder, url = request.getfixturevalue("buckets")
    allow_here(tmp_path)
    (tmp_path / ".linewright").mkdir()
    monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS}))
    return DeltaSource(delta=f"s3://plant/{tmp_path.name}/t", at="env:PLANT"), folder / tmp_path.name / "t"


def test_the_rows_are_those_of_a_version(spec, tmp_path):
    """What was deleted is gone though its file lies there still; a column that is newer than a file is empty; a partition is a column."""
    source, table = spec
    fill(table)
    ids = {row["id"]: row for row in rows_of(source, tmp_path)}
    first = source.model_copy(update={"version": 0})
    seen = fingerprint(source, tmp_path, "sources.orders")

    assert {row["id"]: row for row in EXPECTED} == ids
    assert {1, 2, 3} == {row["id"] for row in rows_of(first, tmp_path)}
    assert seen != fingerprint(first, tmp_path, "sources.orders")
    assert column_names("orders", source, tmp_path) in {(), ("id", "town", "day", "paid")}

    deltalake.DeltaTable(str(table)).alter.set_table_properties(
        {"delta.logRetentionDuration": "interval 9 days"}
    )

    assert seen == fingerprint(source, tmp_path, "sources.orders")
    put(table, FIRST.head(1), mode="append", schema_mode="merge")
    assert seen != fingerprint(source, tmp_path, "sources.orders")
    assert [] == [*(tmp_path / ".linewright" / "scratch").glob("*/table")]


def test_what_would_be_read_wrongly_is_refused(spec, tmp_path):
    source, table = spec
    fill(table)

    def refusal(spec: DeltaSource, kind: type[Exception] = RequestError) -> Any:
        with pytest.raises(kind) as error:
            open_source("orders", spec, tmp_path)
        return error.value

    assert "sources.orders.version" == refusal(source.model_copy(update={"version": 77})).where
    assert "more than 1 rows" in refusal(source.model_copy(update={"limits": FileLimits(rows=1)})).what
    log = table / "_delta_log"
    last = log / f"{3:020}.json"
    wanted = {"minReaderVersion": 3, "minWriterVersion": 7}
    features = ["deletionVectors"]
    for action, says in (
        (
            {"protocol": {**wanted, "readerFeatures": features, "writerFeatures": features}},
            "it uses deletionVectors",
        ),
        ({"add": _add("../../../secrets.parquet")}, "a file of it lies elsewhere"),
        ({"add": _add("s3://other/x.parquet")}, "a file of it lies elsewhere"),
    ):
        last.write_text(json.dumps(action))
        error = refusal(source)

        assert says in error.what
        assert str(tmp_path) not in error.what
    last.write_text("{")
    assert "the Delta table cannot be read" in refusal(source).what
    last.write_text(json.dumps({"add": _add("gone.parquet")}))
    kind = Transient if source.at else RequestError
    assert kind is type(refusal(source, kind))


def _add(path: str) -> dict[str, Any]:
    fixed = {"town": "Ulm", "day": "2026-03-01"}
    return {"path": path, "partitionValues": fixed, "size": 1, "modificationTime": 1, "dataChange": True}


def test_a_bucket_that_is_not_there_is_named_and_its_keys_are_not(tmp_path, monkeypatch):
    allow_here(tmp_path)
    monkeypatch.setitem(pytest.importorskip("linewright.plugins.buckets")._RETRY, "max_retries", 0)
    monkeypatch.setenv("PLANT", json.dumps({"endpoint": f"http://127.0.0.1:{free_port()}", **KEYS}))
    with pytest.raises(Transient, match="source 'orders'") as error:
        open_source("orders", DeltaSource(delta="s3://plant/t", at="env:PLANT"), tmp_path)

    assert 6 == error.value.exit_code
    assert not any(secret in f"{error.value} {error.value.to_json()}" for secret in KEYS.values())


def test_a_line_is_made_of_a_table(spec, tmp_path, monkeypatch):
    """Its files are not taken for plain Parquet, which would have the rows that were deleted."""
    source, table = spec
    rows = pl.DataFrame(
        {"id": range(200), "plan": ["a", "b"] * 100, "churned": [False, True, False, False] * 50}
    )
    put(table, rows)
    deltalake.DeltaTable(str(table)).delete("id >= 160")
    monkeypatch.chdir(tmp_path)
    with Factory.create(tmp_path):
        allow_here(tmp_path)
        made = new_line(
            tmp_path,
            "churn",
            Path(source.delta),
            GivenRoles(label="churned", key="id"),
            access=Access(at=source.at),
        )

    at = ', "at": "env:PLANT"' if source.at else ""
    assert 160 == made.rows
    assert (
        f'churn: {{delta: "{source.delta}"{at.replace(chr(34) + "at" + chr(34), "at")}}}'
        in Path(made.path).read_text()
    )


def test_an_extra_that_is_missing_is_named(tmp_path, monkeypatch):
    put(tmp_path / "t", FIRST)
    monkeypatch.setitem(sys.modules, "deltalake", None)
    monkeypatch.delitem(sys.modules, "linewright.plugins.delta", raising=False)
    with pytest.raises(RequestError) as error:
        open_source("s", DeltaSource(delta="t"), tmp_path)

    assert "pip install 'linewright[delta]'" in error.value.hint
