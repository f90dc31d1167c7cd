"""The page about sources is followed, command by command, with servers that start here."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from databases import at_postgres
from pages import blocks, examples
from web_server import KEYS, bucket_server

from linewright.line.file.read import parse_line

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "sources.md"


def commands_of(number: int) -> list[str]:
    """Return the commands of one block of the page."""
    consoles = [block for language, block in blocks(PAGE.read_text()) if language == "console"]
    return [command for command, _ in examples(consoles[number])]


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
    install, export, *rest = commands_of(0)

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


@pytest.mark.slow
def test_a_reader_comes_from_files_in_a_bucket_to_a_model(tmp_path):
    """The commands are those of the page, but for the place of the bucket and the budget."""
    chance = random.Random(7)
    (tmp_path / "buckets" / "plant" / "parts").mkdir(parents=True)
    for part in range(2):
        widths = [chance.random() for _ in range(150)]
        rows = [
            f"P{part}{number},{width:.3f},{'yes' if width + 0.2 * chance.random() > 0.6 else 'no'}"
            for number, width in enumerate(widths)
        ]
        (tmp_path / "buckets" / "plant" / "parts" / f"{part}.csv").write_text(
            "\n".join(["part,width,faulty", *rows]) + "\n"
        )
    factory = tmp_path / "factory"
    factory.mkdir()
    path = os.pathsep.join(map(str, (commands.folder(), Path(sys.executable).parent, os.environ["PATH"])))
    install, export, *rest = commands_of(1)
    with bucket_server(tmp_path / "buckets") as url:
        environment = {**os.environ, "PATH": path, "PLANT_S3": json.dumps({"endpoint": url, **KEYS})}

        assert "linewright[cloud]" in install
        assert "PLANT_S3=" in export

        for command in ("linewright init", *rest):
            quick = (
                "sed -i 's/budget: normal/budget: quick/' lines/*.yaml; " if "run" in command.split() else ""
            )
            done = subprocess.run(
                ["bash", "-c", quick + command.replace("s3.eu-central-1.amazonaws.com", "127.0.0.1")],
                cwd=factory,
                env=environment,
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )

            assert 0 == done.returncode, f"$ {command}\n{done.stdout}{done.stderr}"

    assert (
        'parts: {file: "s3://plant/parts/*.csv", at: env:PLANT_S3}'
        in (factory / "lines" / "parts.yaml").read_text()
    )


def test_the_sources_of_the_page_are_sources():
    """Each is at most three lines of a line file."""
    shown = [block for language, block in blocks(PAGE.read_text()) if language == "yaml"]

    assert 5 == len(shown)
    for block in shown:
        name = block.split()[1].rstrip(":")
        parsed = parse_line(f"line: a\n{block}label: {{column: y}}\n", name="lines/a.yaml")
        assert [name] == [*parsed.sources]
        assert [] == [*parsed.sources[name].mistakes()]
