"""What the index of the prediction log costs and gives, and what each of its layers does, beside one plain index of ids and keys.

    python benchmarks/log_index.py [--predictions N] [--folder FOLDER]

N predictions (default: a million) are logged with keys in no order, and indexed after each 20,000, as an endpoint does it beside its
answers. They come one by one, or in requests of 1,000 rows. Then the layers of the index are left out one by one: the parts of the key
index (all keys in one), the row that stands for a request (a row for each prediction). `plain` is what a simpler index would be: a table
of ids and one of hashed keys, filled with the same predictions.

CPU is that of the thread. What it writes is as the kernel counts it for the process, journals among it. Each way is a process of its own,
on a folder of its own.
"""

import argparse
import multiprocessing
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np

from linewright.serve.facts import Prediction, Predictions
from linewright.serve.feedback.store import Feedback
from linewright.serve.log import index
from linewright.serve.log.ids import first_of_many, id_of, ids_from, number_after, number_of
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7

STEP, MANY = 20_000, 1_000
ROW = {f"x{number}": number / 7 for number in range(10)}
ANSWER = {"prediction": "no", "probabilities": {"no": 0.75, "yes": 0.25}}
ABOUT = {"line": "a", "generation": 1, "model": 1, "digest": f"sha256:{'0' * 64}", "threshold": 0.5}
AT = "2026-01-01T00:00:00.000000Z"
BY_KEY = ("SELECT id FROM keyed WHERE key = ?", "SELECT id FROM keyed_in_requests WHERE key = ?")
PLAIN = ("SELECT id FROM keys WHERE hash = ?",)
WAYS = (
    *("singles", "singles, one part", "singles, plain"),
    *("requests", "requests, one part", "requests, row by row", "requests, plain"),
)


def written() -> int:
    """Return the bytes that this process has written to files."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"])


def bytes_of(identity: str) -> bytes:
    """Return an id as the index has it."""
    return number_of(identity) or b""


def requests(keys: list[str]) -> Iterator[Predictions]:
    """Give requests of 1,000 rows with these keys, answered."""
    for start in range(0, len(keys), MANY):
        some = keys[start : start + MANY]
        body = msgspec.Raw(msgspec.json.encode({"rows": [ROW] * len(some)}))
        answers, first = [ANSWER] * len(some), first_of_many(uuid7())
        yield Predictions(
            many=len(some), first=first, at=AT, keys=some, request=body, answers=answers, **ABOUT
        )


def alone(some: Predictions) -> list[Prediction]:
    """Return the predictions of a request as if each had come alone."""
    ids = (uuid7() for _ in range(some.many))
    return [
        Prediction(id=each, at=AT, key=key, row=ROW, answer=ANSWER, **ABOUT)
        for each, key in zip(ids, some.keys or (), strict=True)
    ]


def hash_of(key: str) -> bytes:
    """Return what stands for a key in the plain index."""
    return blake2b(key.encode(), digest_size=8).digest()


class Plain:
    """The index that would be simplest: a table of ids, and one of hashed keys."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.execute("PRAGMA synchronous = EXTRA")
        for columns in (
            "ids (id BLOB PRIMARY KEY, segment INTEGER, offset INTEGER",
            "keys (hash BLOB, id BLOB, PRIMARY KEY (hash, id)",
        ):
            self._database.execute(f"CREATE TABLE {columns}) WITHOUT ROWID")  # fmt: skip

    def take(self, rows: list[tuple[bytes, str]]) -> None:
        """Take predictions in, by id and key."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO ids VALUES (?, 1, 2)", [(number,) for number, _ in rows])
        hashed = [(hash_of(key), number) for number, key in rows]
        self._database.executemany("INSERT INTO keys VALUES (?, ?)", hashed)
        self._database.execute("COMMIT")


def measure(way: str, folder: Path, many: int) -> dict[str, float]:
    """Log and index so many predictions in one way, and look some up."""
    how, _, layer = way.partition(", ")
    if layer == "one part":
        index.PART = many + 1
    keys = [f"customer-{number:09}" for number in np.random.default_rng(1).permutation(many)]
    feedback = Feedback(folder / "labels.sqlite", folder / "log")
    plain = Plain(folder / "plain.sqlite") if layer == "plain" else None
    cpu, append, bytes_, slowest, waiting = 0.0, 0.0, 0, 0.0, list[tuple[bytes, str]]()
    asked: list[tuple[bytes, str]] = []
    with closing(PredictionLog(folder / "log")) as log:
        for some in requests(keys):
            records = alone(some) if how == "singles" or layer == "row by row" else []
            began = time.thread_time()
            for record in records:
                log.append([record])
            if not records:
                log.append_request(some)
            append += time.thread_time() - began
            told = [one.id for one in records] or ids_from(some.first, some.many)
            waiting += zip(map(bytes_of, told), some.keys or (), strict=True)
            asked.append(waiting[-MANY // 2])
            if len(waiting) >= STEP:
                before, began = written(), time.thread_time()
                if plain is None:
                    feedback.catch_up()
                else:
                    plain.take(waiting)
                took, waiting = time.thread_time() - began, []
                cpu, bytes_, slowest = cpu + took, bytes_ + written() - before, max(slowest, took)
    file = folder / ("labels.sqlite" if plain is None else "plain.sqlite")
    by_id, by_key = looked_up(file, asked, is_plain=plain is not None)
    one = {"append": 1e6 * append / many, "cpu": 1e6 * cpu / many, "written": bytes_ / many}
    one |= {"bytes": file.stat().st_size / many, "slowest": 1e3 * slowest, "id": by_id, "key": by_key}
    if way == WAYS[0]:
        wanted, began = id_of(asked[-1][0]), time.perf_counter()
        assert any(each.record.id == wanted for each in read_log(folder / "log"))
        one["scan"] = time.perf_counter() - began
    return one


def looked_up(file: Path, asked: list[tuple[bytes, str]], *, is_plain: bool) -> tuple[float, float]:
    """Return the microseconds of the processor that it takes to find a prediction by its id, and by its key."""
    with closing(sqlite3.connect(file)) as database:
        database.create_function("number_after", 2, number_after, deterministic=True)
        began = time.thread_time()
        for number, _ in asked:
            query = "SELECT * FROM ids WHERE id = ?"
            assert database.execute(query, (number,)).fetchone() if is_plain else index.place_of(database, number)  # fmt: skip
        by_id = time.thread_time() - began
        queries = PLAIN if is_plain else BY_KEY
        for number, key in asked:
            wanted = hash_of(key) if is_plain else key
            assert (number,) in {row for query in queries for row in database.execute(query, (wanted,))}
        both = time.thread_time() - began
    return 1e6 * by_id / len(asked), 1e6 * (both - by_id) / len(asked)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    print(
        "| predictions come | append µs | index: CPU µs | bytes written | bytes kept | longest 20,000, ms | by id µs | by key µs |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    digits = {"append": 1, "cpu": 2, "written": 0, "bytes": 0, "slowest": 0, "id": 0, "key": 0}
    for way in WAYS:
        with (
            tempfile.TemporaryDirectory(dir=args.folder) as folder,
            multiprocessing.get_context("spawn").Pool(1) as pool,
        ):
            one = pool.apply(measure, (way, Path(folder), args.predictions))
        print(f"| {way} | {' | '.join(f'{one[name]:,.{many}f}' for name, many in digits.items())} |", flush=True)  # fmt: skip
        if "scan" in one:
            last = f"Without an index, the last of {args.predictions:,} is found in the log in {one['scan']:.1f} s."
            sys.stderr.write(f"{last}\n")


if __name__ == "__main__":
    main()
