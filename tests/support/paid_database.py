"""The factory of `paid` whose feature view reads newer rows of a table of SQLite only."""

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

from paid import VIEW, write_factory

_SOURCE = '{sql: "select * from payments", at: "sqlite:///payments.db", key: id, cursor: loaded_at, known: loaded_at, lag: 1d}'


def write_database_factory(root: Path, *, every: str = "1h") -> None:
    """Write the files of a factory as `paid.write_factory` does; its payments are in the table ``payments`` of ``payments.db``."""
    write_factory(root)
    said = VIEW.replace("{file: payments.csv}", _SOURCE).replace(
        "known: loaded_at\nkey: id\ndeleted: gone\n", ""
    )
    (root / "features" / "customer_30d.yaml").write_text(f"{said}every: {every}\n")
    with (root / "payments.csv").open(newline="") as file:
        rows = {one["id"]: [*one.values()] for one in csv.DictReader(file)}
    with closing(sqlite3.connect(root / "payments.db")) as database, database:
        database.execute("pragma journal_mode = wal")
        database.execute(
            "create table payments (id text primary key, customer text, paid_at timestamp, loaded_at timestamp, amount real, "
            "method text, merchant text, gone text)"
        )
        database.executemany("insert into payments values (?, ?, ?, ?, ?, ?, ?, ?)", rows.values())
    (root / "payments.csv").unlink()
