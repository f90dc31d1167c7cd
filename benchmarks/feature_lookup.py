"""What it costs a request to get the columns of a feature view of 100 entities, from a million records."""

import argparse
import random
import tempfile
from pathlib import Path
from time import process_time_ns

import numpy as np

from linewright.features.facts import ViewColumn, ViewFacts, ViewInput
from linewright.features.views.records import Header, Records, aggregates_of, columns_of, write_records
from linewright.features.views.windows import Values, events_of

DAY = 86_400 * 10**6
NOW = 1_780_000_000 * 10**6
FACTS = ViewFacts(
    view="customer_30d",
    entity=("customer_id",),
    columns=tuple(
        ViewColumn(name=f"c{number}", text=text, type="number")
        for number, text in enumerate(
            (
                "sum(amount) over 30d",
                "count() over 7d",
                "mean(amount) over 30d",
                "max(amount) over 30d",
                "last(amount)",
                "since()",
            )
        )
    ),
    inputs=(ViewInput(name="amount", type="number"),),
    time="paid_at",
)


def write(path: Path, entities: int, events: int) -> Path:
    """Write the records of customers who pay some times a month."""
    chance = np.random.default_rng(5)
    many = entities * events
    made = events_of(
        entity=chance.integers(0, entities, many),
        time=NOW - chance.integers(0, 60 * DAY, many),
        known=np.full(many, NOW - DAY),
        columns={"amount": Values(kind="number", numbers=chance.gamma(2.0, 20.0, many))},
        entities=entities,
    )
    header = Header(facts=FACTS, known=NOW, words=((),), entities=entities, has_keys=False)
    write_records(path, header, made, [str(number) for number in range(entities)])
    return path


def lookups(path: Path, asked: int, requests: int, entities: int) -> list[float]:
    """Return the processor time of each request, in microseconds."""
    records, chance = Records(path), random.Random(5)  # noqa: S311
    took: list[float] = []
    for _ in range(requests):
        keys = [str(chance.randrange(entities)) for _ in range(asked)]
        begun = process_time_ns()
        found = records.find(keys)
        blobs = [found[key].events if key in found else b"" for key in keys]
        counts = [len(blob) // (8 * records.width) for blob in blobs]
        values = records.values_at(records.table(b"".join(blobs)), counts, NOW)
        _ = [column.to_list() for column in values.values()]
        took.append((process_time_ns() - begun) / 1e3)
    return sorted(took)


def main() -> None:
    """Print the table."""
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("--entities", type=int, default=1_000_000)
    asks.add_argument("--events", type=int, default=10, help="of each entity, in 60 days")
    asks.add_argument("--keys", type=int, default=100)
    asks.add_argument("--requests", type=int, default=2_000)
    given = asks.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begun = process_time_ns()
        path = write(Path(folder) / "records.sqlite", given.entities, given.events)
        wrote = (process_time_ns() - begun) / 1e9
        print(
            f"{given.entities:,} records of {given.events} events: {path.stat().st_size / 1e6:.0f} MB, written in {wrote:.1f} s of processor time"
        )
        took = lookups(path, given.keys, given.requests, given.entities)
    p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
    columns = len(aggregates_of(FACTS)), len(columns_of(FACTS))
    print(f"{given.keys} keys, {columns[0]} columns: p50 {p50:.0f} us, p99 {p99:.0f} us of processor time")


if __name__ == "__main__":
    main()
