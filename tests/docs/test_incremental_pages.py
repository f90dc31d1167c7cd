"""The pages about incremental reads and schedules are followed, command by command, with a PostgreSQL that starts here."""

import subprocess
from pathlib import Path

import commands
import polars as pl
import pytest
from databases import Server, allow, at_postgres
from pages import blocks, examples

from linewright.line.factory import Factory
from linewright.store.clock import now_utc

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
REST = """
line: claims
table: {key: id, exclude: [updated_at]}
label: {column: paid}
train: {budget: quick}
"""


def parts_of(page: str) -> tuple[list[str], list[str]]:
    """Return the parts of a line file that a page shows, and its commands."""
    said = blocks((HOW_TO / page).read_text())
    typed = [command for language, block in said if language == "console" for command, _ in examples(block)]
    return [block for language, block in said if language == "yaml"], typed


def test_what_the_pages_say_happens(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a first read to the rows of the past and to predictions in a table, with the parts of line files that the pages have."""
    (source,), typed = parts_of("incremental.md")
    (predict, on_a_schedule), jobs = parts_of("schedule.md")

    def do(command: str, code: int = 0) -> str:
        done = subprocess.run(
            [*commands.python(), "-m", *command.split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout

    with at_postgres(postgres, monkeypatch) as database:
        monkeypatch.setenv("CLAIMS_DB", postgres.url("shop"))
        database.execute(
            "create table claims as select i as id, i * 7919 % 101 as amount, i * 7919 % 101 + i % 20 > 55 as paid,"
            " now() - i * interval '1 hour' as updated_at from generate_series(1, 300) as i"
        )
        Factory.create(tmp_path).close()
        allow(tmp_path)
        (tmp_path / "lines" / "claims.yaml").write_text(source + REST)
        first, plan, look, repair, past = typed

        assert "claims@1" in do(first)
        assert "no changes" in do(plan)
        database.execute("delete from claims where id = 5")
        assert "deleted  1 row: 5" in do(look, code=4)
        assert "repaired" in do(repair)
        assert "299 rows" in do(past.replace("2026-12-01T08:00:00Z", now_utc()))
        assert 299 == pl.read_parquet(tmp_path / "then.parquet").height

        monkeypatch.setenv("SCORES_DB", postgres.url("shop"))
        database.execute("create table open_claims as select id, amount, updated_at from claims where id < 5")
        (tmp_path / "lines" / "claims.yaml").write_text(on_a_schedule + REST + predict)
        make, show = jobs

        assert "4 rows" in do(make)
        assert "nightly" in do(show)
        assert [(1, "claims@1")] == database.execute(
            "select id::int, model from claim_scores where id::int = 1"
        ).fetchall()
