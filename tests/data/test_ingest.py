import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from linewright.data.breach_text import row_in_words
from linewright.data.contract.check import check
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested, Quarantine
from linewright.data.ingest import ingest
from linewright.data.read.source import read_source
from linewright.data.spec import ColumnRule, ContractSpec, DataSpec
from linewright.data.table.build import build_table
from linewright.data.types import infer
from linewright.errors import ContractBreach

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS = "id,when,age,y\n3,2020-01-02,30,1\n1,2020-01-02,12,0\n2,2020-01-01,40,0\n1,2020-01-03,50,1\n4,2020-01-01,60\n"


def line(file: str = "a.csv", **parts: Any) -> DataSpec:
    return DataSpec.model_validate(
        {
            "sources": {"a": {"file": file}},
            "label": {"column": "y"},
            "table": {"key": "id", "time": "when"},
            "contract": {
                "columns": {"age": {"type": "integer", "min": 16}, "y": {"type": "integer"}},
                "max_quarantined": 0.7,
            },
            **parts,
        }
    )


def test_sources_become_a_kept_dataset(context, reports, tmp_path):
    """Everything later starts from what is kept here: rows in order (time, key), quarantine and findings beside."""
    (tmp_path / "a.csv").write_text(ROWS)
    ingested = ingest(context, line(), tmp_path)
    dataset = context.metadata.get(ingested.dataset, Dataset)
    quarantine = context.metadata.get(str(ingested.quarantine), Quarantine)
    kept_out = [json.loads(record) for record in context.artifacts.get(quarantine.blob).splitlines()]

    assert ("when", "id") == dataset.order
    assert [(2, 40, 0), (3, 30, 1), (1, 50, 1)] == read_dataset(
        dataset, context.artifacts, context.metadata, ["id", "age", "y"]
    ).rows()
    assert [(6, None, "4 fields"), (3, 2, "at least 16")] == [
        (r["line"], r["row"], r["rule"]) for r in map(row_in_words, kept_out)
    ]
    assert {"id": "1", "when": "2020-01-02", "age": "12", "y": "0"} == kept_out[1]["values"]
    assert (5, 2) == (ingested.rows_read, quarantine.rows)
    told = [(report.done, report.of) for report in reports]
    assert [(1, 3), (2, 3), (3, 3)] == sorted(set(told))
    assert sorted(told) == told
    assert {"ingest"} == {report.step for report in reports}


def test_the_same_rows_give_the_same_fact_from_any_file(context, tmp_path):
    """Digests do not depend on the folder, the packing, or the order of rows that the line orders itself."""
    header, *rows = ROWS.splitlines()[:-1]
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "b.csv").write_text("\r\n".join([header, *reversed(rows)]))
    free = {
        "contract": {
            "columns": {"age": {"type": "integer"}, "y": {"type": "integer"}, "id": {"type": "integer"}}
        }
    }
    a = ingest(context, line(table={"time": "when"}, **free), tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.csv").rename(tmp_path / "sub" / "a.csv")
    again = ingest(context, line(table={"time": "when"}, **free), tmp_path / "sub")
    unique = {"table": {"key": "age", "time": "when"}, **free}

    assert a == again
    assert (
        ingest(context, line("sub/a.csv", **unique), tmp_path).dataset
        == ingest(context, line("b.csv", **unique), tmp_path).dataset
    )


def test_a_breach_keeps_what_it_caught(context, tmp_path):
    """A person must be able to look at the rows of the run that stopped."""
    (tmp_path / "a.csv").write_text(ROWS)
    spec = line(contract={"columns": {"age": {"type": "integer", "min": 16}, "y": {"type": "integer"}}})
    with pytest.raises(ContractBreach, match="2 of 5 rows would be quarantined") as caught:
        ingest(
            context, spec.model_copy(update={"table": spec.table.model_copy(update={"time": None})}), tmp_path
        )
    details = caught.value.details

    assert 2 == context.metadata.get(details["quarantine"], Quarantine).rows
    assert [("age", "at least 16"), ("", "4 fields, as the header of 'a' has")] == [
        (finding["column"], finding["rule"])
        for finding in details["findings"]
        if finding["action"] == "quarantine"
    ]


def test_one_table_in_four_files_is_one_dataset(context, tmp_path):
    """CSV, packed CSV and Parquet are ways of writing, not data."""
    text = "id,when,age,y\n1,2020-01-01,20,0\n2,2020-01-02,30,1\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.encode()))
    pl.read_csv(tmp_path / "a.csv", try_parse_dates=True).write_parquet(tmp_path / "c.parquet")
    pl.read_csv(tmp_path / "a.csv", infer_schema=False).write_parquet(tmp_path / "d.parquet")
    typed = {
        "columns": {
            "id": {"type": "integer"},
            "when": {"type": "date"},
            "age": {"type": "number"},
            "y": {"type": "integer"},
        }
    }
    datasets = [
        ingest(context, line(file, contract=typed), tmp_path).dataset
        for file in ("a.csv", "b.csv.gz", "c.parquet", "d.parquet")
    ]

    assert 1 == len(set(datasets))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize("file", sorted(path.name for path in SHARED.glob("*.csv*")))
def test_real_files_keep_the_contract_that_is_inferred_from_them(context, file):
    """Real files have warts: BOMs, blanks, CRLF, codes that look like numbers, dates of several kinds."""
    sources = {"a": {"file": file, "missing": ("", "?", "NA")}}
    raw = read_source("a", DataSpec(sources=sources, label={"column": "y"}).sources["a"], SHARED)
    inferred = {name: infer(raw.frame[name]) for name in raw.frame.columns}
    columns = {name: ColumnRule(type=one.type, format=one.format) for name, one in inferred.items()}
    data = DataSpec(
        sources=sources, label={"column": raw.frame.columns[-1]}, contract=ContractSpec(columns=columns)
    )
    checked = check(build_table([raw], data), data)
    ingested = ingest(context, data, SHARED)

    assert ((), 0, None) == (checked.breaches, len(checked.quarantined), checked.stop)
    assert raw.rows == checked.frame.height == context.metadata.get(ingested.dataset, Dataset).rows
    assert raw.frame.null_count().equals(checked.frame.null_count())
    assert isinstance(context.metadata.get(context.metadata.keep(ingested), Ingested), Ingested)
    assert len(raw.lines(range(raw.frame.height))) == raw.frame.height
    assert raw.lines([0])[0] is not None


def test_later_rows_make_only_the_last_chunk_anew(context, tmp_path):
    """Wherever they stand in the file: by its time a row is put after those that are kept already."""
    rows = [f"{n},2025-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02},{n % 2}" for n in range(41_000)]
    data = DataSpec.model_validate(
        {
            "sources": {"a": {"file": "a.csv"}},
            "table": {"key": "n", "time": "at"},
            "label": {"column": "y"},
        }
    )
    (tmp_path / "a.csv").write_text("\n".join(["n,at,y", *rows[:40_000]]))
    before = context.metadata.get(ingest(context, data, tmp_path).dataset, Dataset).chunks
    (tmp_path / "a.csv").write_text("\n".join(["n,at,y", *rows[40_000:], *rows[:40_000]]))
    after = context.metadata.get(ingest(context, data, tmp_path).dataset, Dataset).chunks

    assert [16_384, 16_384, 8_232] == [chunk.rows for chunk in after]
    assert before[:2] == after[:2]
    assert before[2] != after[2]


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_a_stream_that_grew_shares_all_full_chunks_with_the_version_before(context, tmp_path):
    """Rows come in every day; keeping each version whole would fill the disk with the same rows."""
    lines = (SHARED / "electricity_elec2.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(lines))
    (tmp_path / "b.csv").write_text("\n".join([*lines, *lines[1:1001]]))
    data = [DataSpec(sources={"a": {"file": name}}, label={"column": "class"}) for name in ("a.csv", "b.csv")]
    before, after = (
        context.metadata.get(ingest(context, one, tmp_path).dataset, Dataset).chunks for one in data
    )

    assert 1_000 == sum(chunk.rows for chunk in after) - sum(chunk.rows for chunk in before)
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]
