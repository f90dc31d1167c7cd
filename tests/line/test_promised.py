"""A line whose source changes from day to day, by the commands: what check, plan, run and datasets say and exit with."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import pytest

from linewright.data.spec import ContractSpec
from linewright.errors import LinewrightError
from linewright.interfaces.cli.build import run
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.runs.execute import execute_inline
from linewright.line.steps.table import _asked_of_rows
from linewright.operations.table import OPERATIONS

Say = Callable[..., tuple[int, str]]
HEAD = "id,when,shop,age,plan,y"
LINE = """line: a
sources:
  t: {file: t.csv}
  shops: {file: shops.csv}
table: {key: id, time: when}
label: {column: y, positive: "yes"}
contract:
  columns:
    id: {type: integer}
    when: {type: date}
    shop: {type: category, references: shops.id}
    age: {type: integer, min: 0}
    plan: {type: category, pattern: "[a-c]"}
    y: {type: category}
  fresh: 2d
  rows: {change: 0.5}
  checks:
    - {name: plan b is for the young, sql: "select * from rows where plan = 'b' and age > 90"}
train: {budget: quick}
"""


def rows(number: int = 300) -> list[str]:
    return [
        f"{i},2026-11-{20 + i // 100:02},{'NSEW'[i % 4]},{20 + i % 50},{'ab'[i % 2]},{'yes' if i % 50 > 25 else 'no'}"
        for i in range(number)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lines").mkdir()
    (tmp_path / "factory.yaml").write_text("format: 1\n")
    (tmp_path / "lines" / "a.yaml").write_text(LINE)
    (tmp_path / "shops.csv").write_text("id,town\nN,a\nS,b\nE,c\nW,d\n")
    return tmp_path


def deliver(folder: Path, lines: list[str], head: str = HEAD) -> None:
    (folder / "t.csv").write_text("\n".join([head, *lines]) + "\n")


@pytest.fixture
def say(folder: Path, capsys: Any) -> Say:
    """Give a function that carries out a command at an instant, and returns its exit code and what it printed."""

    def carry_out(*words: str, now: str = "2026-11-23T12:00:00.000000Z") -> tuple[int, str]:
        if words[0] == "run":
            return carried_out(folder, now)
        code = run(
            [*words, "--factory", str(folder), "--quiet"],
            OPERATIONS,
            lambda root, report, *_: Factory.open(root, report=report, now=lambda: now),
        )
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return carry_out


def carried_out(folder: Path, now: str) -> tuple[int, str]:
    """Run the line in this process at an instant."""
    with Factory.open(folder, now=lambda: now) as factory:
        try:
            result = execute_inline(factory, "a")
        except LinewrightError as error:
            return error.exit_code, str(error)
        return result.exit_code, result_text(result)


def test_a_stale_table_ends_the_command_with_three(folder):
    """Whoever starts runs by cron looks at the exit code alone."""
    deliver(folder, [row.replace("2026-11", "2026-01") for row in rows()])
    ended = subprocess.run(
        [*commands.python(), "-m", "linewright", "run", "a", "--factory", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert 3 == ended.returncode, ended.stderr
    assert "the newest 'when' is 2026-01-22" in ended.stderr


def stops(say: Say, *texts: str, now: str = "2026-11-23T12:00:00.000000Z") -> None:
    """Assert that a check and a run exit with 3 and say the same."""
    for command in ("check", "run"):
        code, text = say(command, "a", now=now)
        flat = " ".join(text.split())

        assert 3 == code, text
        assert [] == [one for one in texts if one not in flat], text


def test_a_line_from_day_to_day(folder, say):
    """Every promise is asked at each run, against the last version that kept them, and no result depends on the day."""
    deliver(folder, rows())
    code, text = say("run", "a")
    assert code in {0, 4}, text
    first = dataset(say)

    # Unchanged, and nobody has delivered for days: the plan is empty, and the run says so all the same.
    assert (0, "a: no changes\n") == say("plan", "a", now="2026-11-28T12:00:00.000000Z")
    stale = "the newest 'when' is 2026-11-22, 5 days old at 2026-11-28T12:00Z, and the contract allows 2d"
    stops(say, stale, "contract.fresh", now="2026-11-28T12:00:00.000000Z")
    warned = LINE.replace("fresh: 2d", "fresh: {within: 2d, on_breach: warn}")
    (folder / "lines" / "a.yaml").write_text(warned)
    code, text = say("check", "a", now="2026-11-28T12:00:00.000000Z")
    assert (0, True) == (code, stale in text), text
    (folder / "lines" / "a.yaml").write_text(LINE)

    # Half of the delivery is missing; a second run does not take it for the version before.
    deliver(folder, rows()[200:])
    few = "100 rows would be kept, 66.7 % fewer than the 300 of dataset"
    stops(say, few, "set contract.rows.change to 0.67 for this run")
    stops(say, few)

    # A column is gone.
    deliver(
        folder, [",".join([*row.split(",")[:4], row.split(",")[5]]) for row in rows()], "id,when,shop,age,y"
    )
    gone = f"column 'plan' was there in dataset {first[7:19]} of 2026-11-23, and is gone"
    stops(say, gone, "bring it back in the source")
    assert gone in say("plan", "a")[1]

    # A question in SQL has an answer.
    deliver(folder, [*rows(), "300,2026-11-22,N,95,b,no"])
    stops(say, "'plan b is for the young' fails for 1 of 301 rows, first with 'id=300")

    # Wrong rows are shown in a table, with their lines.
    deliver(
        folder,
        [*rows(), "300,2026-11-22,Q,33,b,no", "301,2026-11-22,N,unknown,a,no", "302,2026-11-22,N,9,bb,no"],
    )
    code, text = say("check", "a")
    assert 0 == code
    assert [
        "column rule failed of rows first value line what happens",
        "shop one of shops.id 1 303 Q 302 quarantine",
        "age type integer 1 303 unknown 303 quarantine",
        "plan all of it matches [a-c] 1 303 bb 304 quarantine",
    ] == [" ".join(row.split()) for row in text.splitlines()[1:5]]
    assert "Next: mend the rows of 'quarantine'" in text
    fields = json.loads(say("check", "a", "--json")[1])["lines"][0]
    assert [("shop", 302), ("age", 303), ("plan", 304)] == [
        (f["column"], f["line"]) for f in fields["breaches"]
    ]

    # What was read on another day is the same dataset version, and its quarantine has the lines.
    code, text = say("run", "a", now="2026-11-24T12:00:00.000000Z")
    assert code in {0, 4}, text
    assert first == dataset(say)
    assert "t:303: age: type integer, found 'unknown'" in say("datasets", "a", "--quarantine")[1]

    # Two versions are compared by key.
    deliver(folder, [row.replace(",a,", ",c,") if row.startswith("1") else row for row in [*rows(310)[5:]]])
    assert say("run", "a")[0] in {0, 4}
    text = say("datasets", "a", "--diff", first, dataset(say))[1]
    assert "rows 300 -> 305; by id: 10 added, 5 removed, 55 changed (plan in 55)" in " ".join(text.split())


def dataset(say: Say) -> str:
    return json.loads(say("datasets", "a", "--json")[1])["datasets"][0]["dataset"]


def test_a_line_without_contract_warns_of_columns_that_changed(folder, say):
    """Nothing is promised, so nothing stops; a person still hears it from check and from the run."""
    (folder / "lines" / "a.yaml").write_text(
        'line: a\nsources: {t: {file: t.csv}}\ntable: {key: id, time: when}\nlabel: {column: y, positive: "yes"}\n'
        "train: {budget: quick}\n"
    )
    deliver(folder, rows())
    assert say("run", "a")[0] in {0, 4}
    changed = [row.replace(",30,", ",unknown,") for row in rows()]
    deliver(folder, [f"{row},1" for row in changed], HEAD + ",colour")
    said = [
        "column 'colour' is new",
        "column 'age' was integer in dataset",
        "now holds text in 6 of 300 rows, first 'unknown' at line 12",
    ]
    _, checked = say("check", "a")
    _, ran = say("run", "a")

    assert [] == [one for one in said if one not in checked], checked
    assert [] == [one for one in said if one not in ran], ran
    assert "column 'colour' is new" not in say("check", "a")[1]
    with Factory.open(folder) as factory:
        newest = factory.metadata.events(Finished, line="a", newest_first=True)[0]
        assert ["colour", "age"] == [one.column for one in newest.breaches if "copies" not in one.kind]


def test_what_is_promised_beyond_the_rows_reads_no_source_again():
    """Freshness and the change since the version before are asked of each run, of rows that were read once."""
    columns = {"columns": {"x": {"type": "integer"}}}
    plain = ContractSpec.model_validate(columns)
    promised = ContractSpec.model_validate({**columns, "fresh": "2d", "rows": {"change": 1}})

    assert _asked_of_rows(plain) == _asked_of_rows(promised)
