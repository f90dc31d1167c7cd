"""The page about databases is followed, command by command, with a PostgreSQL that starts here."""

import os
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from databases import at_postgres
from pages import blocks, examples

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "sources.md"


@pytest.mark.slow
def test_a_reader_comes_from_a_table_to_a_model(postgres, tmp_path, monkeypatch):
    """The commands are those of the page, but for the place of the database and the budget."""
    with at_postgres(postgres, monkeypatch) as database:
        database.execute("create table customers (id int primary key, plan text, calls int, churned boolean)")
        database.execute("select setseed(0.5)")
        chance = "case when i % 3 = 0 then 'plus' else 'basic' end, floor(random() * 10), false"
        database.execute(f"insert into customers select i, {chance} from generate_series(1, 300) as i")  # noqa: S608
        database.execute("update customers set churned = calls + random() * 4 > 7")
    path = os.pathsep.join(map(str, (commands.folder(), Path(sys.executable).parent, os.environ["PATH"])))
    typed = [
        command
        for language, block in blocks(PAGE.read_text())
        if language == "console"
        for command, _ in examples(block)
    ]
    install, export, *rest = typed

    assert "linewright[postgresql]" in install
    assert "CLAIMS_DB=" in export

    environment = {**os.environ, "PATH": path, "CLAIMS_DB": postgres.url("shop")}
    printed = ""
    for command in rest:
        quick = "sed -i 's/budget: normal/budget: quick/' lines/*.yaml; " if "run" in command.split() else ""
        done = subprocess.run(
            ["bash", "-c", quick + command.replace("db.example.com", "localhost")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        printed = done.stdout

        assert 0 == done.returncode, f"$ {command}\n{done.stdout}{done.stderr}"

    assert "churn@1" in printed
    assert 'sql: "select * from customers order by id"' in (tmp_path / "lines" / "churn.yaml").read_text()
