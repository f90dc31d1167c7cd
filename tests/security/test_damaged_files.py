"""A damaged file is an error of ours that names it: no panic of a library, no signal, no bug."""

import json
import sys

import commands
import pytest

MUTATIONS = 150
"""Damaged files of each kind; thousands were tried once."""
LOOP = """\
import io, json, random, resource, sys
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from linewright.data.read.source import open_source, whole
from linewright.data.spec import FileSource
from linewright.errors import LinewrightError

folder, kind, seed, many = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance, rows = random.Random(seed), 600
table = pa.table({
    "id": pa.array(range(rows)),
    "x": pa.array([None if i % 7 == 0 else i / 3 for i in range(rows)]),
    "kind": pa.array([["red", "green", None, "blue"][i % 4] for i in range(rows)]),
    "note": pa.array([f"note {i} \\u00e9" for i in range(rows)]),
    "day": pa.array([date(2024, 1, 1 + i % 28) for i in range(rows)]),
    "at": pa.array([datetime(2024, 1, 1, i % 24) for i in range(rows)]),
    "is": pa.array([i % 3 == 0 for i in range(rows)]),
    "d": pa.array(range(rows)).cast(pa.decimal128(24, 2)),
    "l": pa.array([[i, i + 1] for i in range(rows)]),
})
file = io.BytesIO()
if kind == "polars":
    pl.DataFrame(table).with_columns(pl.col("kind").cast(pl.Categorical)).write_parquet(file, row_group_size=200)
elif kind == "pyarrow":
    pq.write_table(table, file, row_group_size=250, compression="snappy")
else:
    pq.write_table(table.drop_columns(["l"]), file, compression="none", data_page_version="2.0",
                   use_dictionary=["kind"], column_encoding={"note": "DELTA_BYTE_ARRAY", "id": "DELTA_BINARY_PACKED"})
sound = file.getvalue()
ends, target = dict(), folder / "a.parquet"
for number in range(many):
    damaged = bytearray(sound)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(len(damaged))
        match chance.randrange(4):
            case 0:
                damaged[place] ^= 1 << chance.randrange(8)
            case 1:
                damaged[place] = chance.choice((0, 255, 127, 128))
            case 2:
                del damaged[place : place + chance.randrange(1, 40)]
            case 3:
                damaged[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
    if chance.random() < 0.6:  # most of what matters stands in the footer
        damaged = bytearray(sound)
        place = len(sound) - 9 - chance.randrange(int.from_bytes(sound[-8:-4], "little"))
        damaged[place] = chance.randrange(256)
    target.write_bytes(damaged)
    try:
        whole(open_source("s", FileSource(file="a.parquet"), folder))
        how = "read"
    except LinewrightError as error:
        how = "refused" if "a.parquet" in str(error) or "sources.s" in str(error) else f"unnamed: {error}"
    except BaseException as error:
        how = f"{type(error).__name__}: {error}"[:300]
    ends[how] = ends.get(how, 0) + 1
print(json.dumps(ends))
"""


@pytest.mark.parametrize("kind", ["pyarrow", "polars", "pages of version 2"])
def test_damaged_parquet_is_refused_or_read(tmp_path, kind):
    """A panic of polars is no `Exception`: a request was never answered for it, and a run never ended."""
    program = [sys.executable, "-c", LOOP, str(tmp_path), kind, "7", str(MUTATIONS)]
    start = commands.programs("linewright.data.read.source")
    done = commands.run(program, of=start, text=True, timeout=120)

    assert done.returncode == 0, done.stderr[-2000:]
    ends = json.loads(done.stdout)
    assert ends.keys() <= {"read", "refused"}, ends
    assert ends["refused"] > MUTATIONS / 4, ends
