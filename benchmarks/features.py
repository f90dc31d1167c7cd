"""How exact and how fast rows get the columns of feature views, beside plain as-of joins of polars and DuckDB.

    python benchmarks/features.py [--events 10000000] [--requests 1000000] [--entities 200000] [--peers PYTHON]

Events of a year have a time and a moment up to three days later from which on they are known, in no order, in a Parquet file. Each request asks
for the five values of the newest event of an entity that was known then. The plain joins take the newest event by its time alone, or by
`known` alone; how many of their rows differ from the exact ones, which `--checked` requests computed event by event confirm.
After it, windows over the same events. With --peers, the Python of an environment with ``benchmarks/peers-feast.txt``, 17,000 requests are joined with
200 events of each of 1,000 entities too, by a view and by Feast's ``get_historical_features``. Each way runs in a process of its own that reads the Parquet files; seconds are those from the files to the columns.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from linewright.features.spec import ViewSpec
from linewright.line.views.point_in_time_join import ViewColumns
from linewright.line.views.read_events import read_events

DAY = 86_400_000_000
YEAR = 365 * DAY
VALUES = tuple(f"x{number}" for number in range(5))
LAST = {f"last_{name}": f"last({name})" for name in VALUES}
WINDOWS = {
    "sum_30d": "sum(x0) over 30d",
    "count_7d": "count() over 7d",
    "mean_30d": "mean(x1) over 30d",
    "max_90d": "max(x2) over 90d",
    "share_30d": "share(x3 > 0) over 30d",
    "distinct_30d": "distinct(kind) over 30d",
}


def write_data(folder: Path, *, events: int, requests: int, entities: int) -> None:
    """Write the events and the requests; the same for the same sizes."""
    chance = np.random.default_rng(7)
    at = chance.integers(0, YEAR, events)
    pl.DataFrame(
        {
            "entity": chance.integers(0, entities, events),
            "at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
            "known": pl.Series(at + chance.integers(0, 3 * DAY, events)).cast(pl.Datetime("us", "UTC")),
            **{name: chance.normal(size=events) for name in VALUES},
            "kind": chance.integers(0, 50, events),
        }
    ).write_parquet(folder / "events.parquet")
    pl.DataFrame(
        {
            "entity": chance.integers(0, entities, requests),
            "at": pl.Series(chance.integers(0, YEAR, requests)).cast(pl.Datetime("us", "UTC")),
        }
    ).write_parquet(folder / "requests.parquet")


def by_view(folder: Path, columns: Mapping[str, str]) -> pl.DataFrame:
    """Return the columns as a line gets them."""
    view = ViewSpec.model_validate(
        {
            "view": "bench",
            "entity": "entity",
            "source": {"file": "events.parquet"},
            "time": "at",
            "known": "known",
            "columns": columns,
        }
    )
    rows = pl.read_parquet(folder / "requests.parquet")
    return ViewColumns([read_events(view, folder, forgotten={})], "at").of(rows)


def by_polars(folder: Path, on: str) -> pl.DataFrame:
    """Return the newest event by one of its times, with a plain as-of join of polars."""
    events = pl.scan_parquet(folder / "events.parquet").select("entity", on, *VALUES).sort(on)
    rows = pl.scan_parquet(folder / "requests.parquet").with_row_index("row").sort("at")
    joined = rows.join_asof(
        events, left_on="at", right_on=on, by="entity", strategy="backward", check_sortedness=False
    )
    return _named(joined.sort("row").collect())


def by_duckdb(folder: Path, on: str) -> pl.DataFrame:
    """Return the same with a plain as-of join of DuckDB."""
    with duckdb.connect(config={"threads": 2}) as database:
        database.execute("set timezone = 'UTC'")
        values = ", ".join(f"e.{name}" for name in VALUES)
        joined = database.sql(
            f"select row_number, {values} from (select *, row_number() over () as row_number from '{folder}/requests.parquet') r "  # noqa: S608
            f"asof left join '{folder}/events.parquet' e on r.entity = e.entity and r.at >= e.{on} order by row_number"
        ).to_arrow_table()
    return _named(pl.DataFrame(pl.from_arrow(joined)))


def _named(joined: pl.DataFrame) -> pl.DataFrame:
    return joined.select(pl.col(name).alias(f"last_{name}") for name in VALUES)


WAYS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    "exact: a view with last()": lambda folder: by_view(folder, LAST),
    "polars as-of on the time": lambda folder: by_polars(folder, "at"),
    "polars as-of on `known`": lambda folder: by_polars(folder, "known"),
    "DuckDB as-of on the time": lambda folder: by_duckdb(folder, "at"),
    "DuckDB as-of on `known`": lambda folder: by_duckdb(folder, "known"),
    "exact: a view with windows": lambda folder: by_view(folder, WINDOWS),
}


def by_definition(folder: Path, rows: list[int]) -> pl.DataFrame:
    """Return the values of some requests, looked up event by event."""
    events = pl.read_parquet(folder / "events.parquet")
    requests = pl.read_parquet(folder / "requests.parquet")[rows]
    events = events.with_row_index("position").filter(pl.col("entity").is_in(requests["entity"].implode()))
    of_entity = events.partition_by("entity", as_dict=True)
    found: list[dict[str, Any]] = []
    for entity, at in requests.iter_rows():
        own = of_entity.get((entity,), events.clear())
        known = own.filter((pl.col("known") <= at) & (pl.col("at") <= at)).sort("at", "known", "position")
        newest = known.tail(1).to_dicts()
        found.append({f"last_{name}": newest[0][name] if newest else None for name in VALUES})
    return pl.DataFrame(found, schema=dict.fromkeys(LAST, pl.Float64))


def differing(left: pl.DataFrame, right: pl.DataFrame) -> int:
    """Return how many rows differ in any value."""
    equal = [left[name].eq_missing(right[name]) for name in left.columns]
    return int((~pl.select(pl.all_horizontal(equal)).to_series()).sum())


def measured(way: str, folder: Path) -> dict[str, float]:
    """Run one way in a process of its own, and keep its columns."""
    return _run([sys.executable, __file__, "--one", way, "--folder", str(folder)])


def _run(command: list[str]) -> dict[str, Any]:
    # A child's peak memory would begin with that of who forked it: a small process starts it.
    starter = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    done = subprocess.run(
        [sys.executable, "-c", starter, *command], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_one(way: str, folder: Path) -> None:
    """Run one way here, and print what it took."""
    start, cpu = time.perf_counter(), time.process_time()
    columns = WAYS[way](folder)
    took = {"s": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    columns.write_parquet(_kept(folder, way))
    print(json.dumps({**took, "mb": peak}))


def _kept(folder: Path, way: str) -> Path:
    return folder / f"{list(WAYS).index(way)}.parquet"


def compare(folder: Path, *, checked: int) -> list[dict[str, Any]]:
    """Run all ways over the files of a folder, and return a row for each."""
    exact, *others = WAYS
    found: list[dict[str, Any]] = []
    for way in WAYS:
        row = {"way": way, **measured(way, folder)}
        columns = pl.read_parquet(_kept(folder, way))
        row["rows"] = columns.height
        if way == exact:
            rows = list(range(0, columns.height, max(columns.height // checked, 1)))[:checked]
            row["wrong"] = differing(columns[rows], by_definition(folder, rows))
        elif columns.columns == list(LAST):
            row["wrong"] = differing(columns, pl.read_parquet(_kept(folder, exact)))
        found.append(row)
    assert len(others) == len(found) - 1
    return found


def beside_feast(python: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Give a row for a view and one for Feast, over the files of a folder."""
    exact = next(iter(WAYS))
    found = measured(exact, folder)
    right = pl.read_parquet(_kept(folder, exact))
    yield {"way": exact, **found, "rows": right.height, "wrong": 0}
    kept, script = folder / "feast.parquet", Path(__file__).parent / "contestants" / "with_feast.py"
    found = _run([python, str(script), str(folder), str(kept)])
    given = pl.read_parquet(kept).cast(dict.fromkeys(LAST, pl.Float64)).fill_nan(None)
    columns = given.select(list(LAST))
    wrong = differing(columns, right[given["row"].to_list()])
    yield {"way": f"Feast {found['version']}", **found, "rows": columns.height, "wrong": wrong}


def print_beside_feast(python: str) -> None:
    """Print the table of 17,000 requests."""
    with tempfile.TemporaryDirectory() as name:
        write_data(Path(name), events=200_000, requests=17_000, entities=1_000)
        print("\n200,000 events, 17,000 requests, 1,000 entities")
        print("| way | s | CPU s | peak MB | rows given | wrong among these |")
        print("|---|---:|---:|---:|---:|---:|")
        for row in beside_feast(python, Path(name)):
            print(
                f"| {row['way']} | {row['s']:.1f} | {row['cpu']:.1f} | {row['mb']:,.0f} | {row['rows']:,} | {row['wrong']:,} |"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument(
        "--checked", type=int, default=2_000, help="requests that are computed event by event"
    )
    parser.add_argument("--peers", help="Python of an environment with benchmarks/peers-feast.txt")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        run_one(asked.one, asked.folder)
        return
    if asked.peers:
        print_beside_feast(asked.peers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, events=asked.events, requests=asked.requests, entities=asked.entities)
        print(f"{asked.events:,} events, {asked.requests:,} requests, {asked.entities:,} entities")
        print("| way | s | CPU s | peak MB | wrong rows |")
        print("|---|---:|---:|---:|---:|")
        for row in compare(folder, checked=asked.checked):
            wrong = f"{row['wrong']:,}" if "wrong" in row else ""
            of = f" of {asked.checked:,} checked" if row["way"] == next(iter(WAYS)) else ""
            print(f"| {row['way']} | {row['s']:.1f} | {row['cpu']:.1f} | {row['mb']:,.0f} | {wrong}{of} |")


if __name__ == "__main__":
    main()
