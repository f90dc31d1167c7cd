"""Answers for a file: those of the endpoint to the bit, whole or not there, in memory that does not grow with the file."""

import csv
import json
import signal
import struct
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import commands
import numpy as np
import polars as pl
import pytest

from linewright.data.read.batches import Ragged
from linewright.data.read.source import open_source
from linewright.data.spec import FileSource
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.predict.broken_rows import Fault, Places, to_table
from linewright.line.predict.input_file import Handed
from linewright.line.predict.request_rows import look_through
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.model.facts import Package
from linewright.serve.log.segments import read_log

ROWS = 300
LINES = {"yes-no": "bought", "kinds": "kind", "prices": "price"}
LINE = """\
line: {line}
sources: {{t: {{file: t.csv}}}}
table: {{key: number, exclude: [{others}]}}
label: {{column: {label}}}
contract: {{columns: {{size: {{type: number, nullable: true}}, colour: {{type: category, nullable: true}},
  seen: {{type: date, format: "%d.%m.%Y", nullable: true}}, ok: {{type: boolean, nullable: true}}}}}}
train: {{budget: quick}}
"""


def table() -> pl.DataFrame:
    """Make rows of all that a file can spell in a way of its own: blanks, dates, words for booleans, nothing at all."""
    chance = np.random.default_rng(5)
    size, colour = chance.normal(size=ROWS) * 1e3, chance.choice(["red", "blue", "pale green"], ROWS)
    pull = size / 1e3 + (colour == "red") + chance.normal(size=ROWS) / 3
    return pl.DataFrame(
        {
            "number": [f"n-{i:04}" for i in range(ROWS)],
            "size": ["" if i % 11 == 0 else f"{value:.17g}" for i, value in enumerate(size)],
            "colour": ["NA" if i % 13 == 0 else f" {value} " for i, value in enumerate(colour)],
            "seen": [
                "" if i % 7 == 0 else f"{date(2024, 1, 1) + timedelta(i):%d.%m.%Y}" for i in range(ROWS)
            ],
            "ok": [("yes", "F", "")[i % 3] for i in range(ROWS)],
            "bought": np.where(pull > 0.5, "yes", "no"),
            "kind": np.array(["a", "b", "c"])[np.digitize(pull, [-0.5, 1])],
            "price": pull * 1e3,
        }
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Make a factory with a line of each task on one table, and a file of rows with values that no training row had."""
    root = tmp_path_factory.mktemp("batch") / "factory"
    (root / "lines").mkdir(parents=True)
    frame = table()
    frame.write_csv(root / "t.csv")
    for line, label in LINES.items():
        others = ", ".join(set(LINES.values()) - {label})
        text = LINE.format(line=line, label=label, others=others)
        (root / "lines" / f"{line}.yaml").write_text(text)
    unseen = {"size": ["1e-300", "-9.9e15", "0.1"], "colour": ["ultraviolet", "Red", "blue"]}
    asked = frame.drop(*LINES.values())
    asked.head(3).with_columns(**{name: pl.Series(values) for name, values in unseen.items()}).vstack(
        asked[3:]
    ).write_csv(root / "ask.csv")
    with Factory.create(root) as factory:
        for line in LINES:
            assert execute_inline(factory, line).promoted
    return root


@pytest.fixture
def factory(root):
    with Factory.open(root) as factory:
        yield factory


@pytest.fixture(scope="module")
def endpoint(root, endpoint_at):
    made = endpoint_at(root / ".linewright")
    yield made
    made.close()


def as_json(root: Path) -> list[dict]:
    """Return the rows of the file as a client would send them: numbers as numbers, the rest as it is written."""
    with (root / "ask.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "size": float(row["size"]) if row["size"] else None} for row in rows]


def bits(values) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


def flat(prediction: dict) -> dict[str, object]:
    """Return an answer of the endpoint as the columns of a file."""
    found = {}
    for name, value in prediction.items():
        parts = value.items() if isinstance(value, dict) else ()
        if isinstance(value, list):
            parts = zip(("low", "high", "level"), value, strict=True) if name == "interval" else ()
        found |= flat({f"{name}_{part}": one for part, one in parts}) if parts else {name: value}
    return found


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("line", LINES)
def test_a_file_gets_the_answers_of_the_endpoint_to_the_bit(root, endpoint, tmp_path, line, ending):
    """Each number of each row, in the order of the file, however many rows are answered at one time."""
    out = tmp_path / f"out.{ending}"
    with Factory.open(root) as factory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("linewright.line.predict.batch.CHUNK", 77)
        done = predict_file(factory, line, root / "ask.csv", out)
    answers = pl.read_parquet(out) if ending == "parquet" else pl.read_csv(out)
    online = [flat(one) for one in endpoint.predict(*as_json(root), line=line)["predictions"]]
    warned = [row for row, one in enumerate(online) if "warnings" in one]
    numbers = [name for name, value in online[-1].items() if isinstance(value, float)]

    assert [one["key"] for one in online] == answers["number"].to_list()
    assert [one["prediction"] for one in online] == answers["prediction"].to_list()
    assert {"yes-no": 3, "kinds": 3, "prices": 4}[line] == len(numbers)
    for name in numbers:
        assert bits(one[name] for one in online) == bits(answers[name])
    assert (ROWS, len(warned)) == (done["rows"], done["warned"])
    assert warned == answers["warnings"].is_not_null().arg_true().to_list()
    assert ["; ".join(online[row]["warnings"]) for row in warned] == answers[
        "warnings"
    ].drop_nulls().to_list()
    assert {0, 1} <= set(warned)


@pytest.mark.parametrize("line", LINES)
def test_a_file_gets_the_explanations_of_the_endpoint(factory, root, endpoint, tmp_path, line):
    """As columns beside the answers, and not in the log."""
    out = tmp_path / "out.parquet"
    rows = pl.read_csv(root / "ask.csv", infer_schema=False).head(40)
    rows.write_csv(tmp_path / "few.csv")
    predict_file(factory, line, tmp_path / "few.csv", out, explain=True)
    answers = pl.read_parquet(out)
    body = {"rows": as_json(root)[:40], "explain": True}
    online = [flat(one) for one in endpoint.ask("POST", f"/v1/lines/{line}/predict", body)[2]["predictions"]]
    told = [name for name in online[-1] if name.startswith(("contributions_", "score", "base"))]
    numbers = [name for name in told if name != "score_unit"]
    logged = [each.record.answer for each in read_log(factory.log_of(line)) if each.record.via == "batch"]

    assert {"score_unit", "warnings"} < set(answers.columns)
    assert len(numbers) > 5
    for name in numbers:
        assert np.allclose([one[name] for one in online], answers[name], rtol=1e-9, atol=1e-12)
    assert not {"score", "contributions"} & set(logged[-1])


def test_the_key_may_stand_where_the_answer_would_and_a_file_may_be_empty(factory, tmp_path):
    """Only the columns that every file of answers has."""
    (tmp_path / "none.csv").write_text("size,colour,seen,ok\n")
    for ending in ("csv", "parquet"):
        done = predict_file(factory, "kinds", tmp_path / "none.csv", tmp_path / f"out.{ending}", explain=True)
        assert (0, (), 0) == (done["rows"], done["first"], done["warned"])

    assert ["row", "id", "warnings"] == pl.read_parquet(tmp_path / "out.parquet").columns
    assert "row,id,warnings\n" == (tmp_path / "out.csv").read_text()


# Rows that break the contract

BREACHES = {
    "size": ("many", "column 'size': not number: 'many'"),
    "seen": ("2024-01-05", "column 'seen': not date: '2024-01-05'"),
    "ok": ("perhaps", "column 'ok': not boolean: 'perhaps'"),
    "surplus": ("more", "fields in place of"),
}
"""A cell that a column cannot have, and what is said of it."""


def break_rows(rows: list[str], columns: list[str]) -> dict[int, tuple[str, str]]:
    """Return 20 of the rows, broken, by their numbers, and the reason that is given for each."""
    broken: dict[int, tuple[str, str]] = {}
    for number in range(20):
        column = list(BREACHES)[number % len(BREACHES)]
        cell, reason = BREACHES[column]
        at = number * 47 + number % 3
        cells = rows[at].split(",")
        if column == "surplus":
            cells.append(cell)
        else:
            cells[columns.index(column)] = cell
        broken[at] = ",".join(cells), reason
    return broken


@pytest.mark.parametrize("key", [["number"], []])
def test_a_batch_is_not_ended_by_rows_that_break_the_contract(factory, root, tmp_path, key):
    """980 of 1,000 rows are answered as if they stood alone, and 20 kept with place and reason: nobody has to mend files at night."""
    columns = [*key, "size", "colour", "seen", "ok"]
    frame = pl.read_csv(root / "ask.csv", infer_schema=False)
    many = pl.concat([frame] * 4).head(1000).with_columns(number=pl.format("k{}", pl.int_range(1000)))
    rows = many.select(columns).write_csv(include_header=False).splitlines()
    broken = break_rows(rows, columns)
    kept = [at for at in range(1000) if at not in broken]
    files = {
        "mixed": [broken.get(at, (row,))[0] for at, row in enumerate(rows)],
        "alone": [rows[at] for at in kept],
    }
    answers = {}
    for name, part in files.items():
        (tmp_path / f"{name}.csv").write_text("\n".join([",".join(columns), *part, ""]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("linewright.line.predict.batch.CHUNK", 77)
            done = predict_file(factory, "yes-no", tmp_path / f"{name}.csv", tmp_path / f"{name}.out.csv")
        answers[name] = pl.read_csv(tmp_path / f"{name}.out.csv", infer_schema=False).drop("id")
        assert (980, len(part) - 980) == (done["rows"], done["quarantined"])
    quarantine = pl.read_csv(tmp_path / "mixed.out.quarantine.csv")

    assert answers["mixed"].drop(*key or ["row"]).equals(answers["alone"].drop(*key or ["row"]))
    assert [f"k{at}" if key else str(at + 1) for at in kept] == answers["mixed"].to_series().to_list()
    assert (
        sorted(broken) == [row - 1 for row in quarantine["row"]] == [line - 2 for line in quarantine["line"]]
    )
    assert all(broken[row - 1][1] in reason for row, reason in quarantine.select("row", "reason").iter_rows())
    assert ["line", "row", "reason", *columns] == quarantine.columns
    assert not (tmp_path / "alone.out.quarantine.csv").exists()


def test_where_no_row_keeps_the_contract_or_one_must_not_break_it_the_file_is_refused(
    factory, root, tmp_path
):
    """A file that was read wrongly as a whole is not a success with no answers; `strict` is for those who want all or nothing."""
    header, *rows = (root / "ask.csv").read_text().splitlines()
    one, out = tmp_path / "one.csv", tmp_path / "out.csv"
    one.write_text("\n".join([header, *rows[:9], "n-1,many,red,,", ""]))
    stale = tmp_path / "out.quarantine.csv"
    stale.write_text("of an earlier call\n")
    with pytest.raises(RequestError, match=r"line 11, column 'size': not number.*nothing was answered"):
        predict_file(factory, "yes-no", one, out, strict=True)
    (tmp_path / "all.csv").write_text("\n".join([header, *["n-1,many,red,,"] * 7, ""]))
    with pytest.raises(RequestError, match=r"7 rows have such cells: line 2, .*nothing was answered"):
        predict_file(factory, "yes-no", tmp_path / "all.csv", out)
    assert not out.exists()
    assert "of an earlier call\n" == stale.read_text()

    predict_file(factory, "yes-no", root / "ask.csv", out)

    assert not stale.exists()


def test_rows_that_break_the_contract_never_overwrite_the_rows_that_were_asked(factory, root, tmp_path):
    """Who mends the kept rows and asks again names the same file of answers easily."""
    asked = tmp_path / "out.quarantine.csv"
    asked.write_bytes((root / "ask.csv").read_bytes())

    with pytest.raises(RequestError, match=r"out\.quarantine\.csv: answers would overwrite"):
        predict_file(factory, "yes-no", asked, tmp_path / "out.csv")


def test_columns_of_a_file_keep_their_names_beside_place_and_reason():
    """And a file that was broken off within a row says so."""
    places = Places({0: 2}, [3], [1])
    table = to_table(
        pl.DataFrame({"row": ["7"], "x": ["many"]}),
        [0],
        [[Fault("x", "not number", "many"), Fault("y", "a value is missing", None)]],
        ragged=[Ragged(fields=1, expected=2, text="8", is_cut=True)],
        first_ragged=0,
        places=places,
    )

    assert [
        (2, 1, "column 'x': not number: 'many'; column 'y': a value is missing", "7", "many"),
        (3, 2, "the file ends within this row: 1 fields in place of 2: '8'", None, None),
    ] == table.rows()
    assert ["line", "quarantine_row", "reason", "row", "x"] == table.columns


def asked_in_pieces(factory, file: Path, line: str = "yes-no", *, strict: bool = True):
    """Look through a file of which a few rows are read at one time."""
    package = factory.metadata.get(find_model(factory, line).digest, Package)
    source = open_source("t", FileSource(file=str(file)), file.parent, size=1500)
    assert 5 < len(list(source.batches()))
    return look_through(Handed(file, source), package, strict=strict)


def test_bad_cells_are_counted_over_the_whole_file_and_the_first_are_named(factory, root, tmp_path):
    """Though never more than a piece of it is in memory."""
    rows = (root / "ask.csv").read_text().splitlines()
    bad = [20, 90, 91, 150, 200, 250, 299]
    for number in bad:
        key, _, rest = rows[number].split(",", 2)
        rows[number] = f"{key},many,{rest}"
    (tmp_path / "bad.csv").write_text("\n".join(rows))
    with pytest.raises(
        RequestError, match=r"7 rows have such cells: line 21, line 91, .* and 2 more"
    ) as found:
        asked_in_pieces(factory, tmp_path / "bad.csv")

    assert ("many", {"row": 20, "column": "size", "failed": 7}) == (found.value.found, found.value.details)
    assert str(found.value.where).endswith("bad.csv: line 21, column 'size'")


def test_a_row_of_other_length_far_down_is_refused_with_its_line(factory, root, tmp_path):
    rows = (root / "ask.csv").read_text().splitlines()
    rows[250] += ",more"
    (tmp_path / "long.csv").write_text("\n".join(rows))

    with pytest.raises(RequestError, match=r"long\.csv: line 251: a row has another number of fields"):
        asked_in_pieces(factory, tmp_path / "long.csv")


def test_a_column_that_is_only_carried_stays_as_it_is_in_every_piece(factory, root, tmp_path):
    """One cell that is not of its type must not make half of a column numbers and half of it texts."""
    frame = pl.read_csv(root / "ask.csv", infer_schema=False)
    for last in ("7", "seven"):
        price = pl.Series("price", ["7"] * (ROWS - 1) + [last])
        frame.with_columns(price).write_csv(tmp_path / "carried.csv")
        asked = asked_in_pieces(factory, tmp_path / "carried.csv", "prices")
        types = {part.frame["price"].dtype for part in asked.parts()}

        assert {pl.Float64() if last == "7" else pl.String()} == types


def test_a_file_that_changes_while_it_is_answered_gets_no_answers(factory, root, tmp_path):
    """What was looked through must be what is answered."""
    file = tmp_path / "ask.csv"
    file.write_bytes((root / "ask.csv").read_bytes())
    asked = asked_in_pieces(factory, file)
    parts = asked.parts()
    next(parts)
    with file.open("a") as more:
        more.write("n-9999,1,red,,yes\n")

    with pytest.raises(RequestError, match="has changed while it was read"):
        list(parts)


# Interrupted


def begin(root: Path, out: Path, *, patience_s: float = 60.0) -> SimpleNamespace:
    """Start a command that answers one row at a time, and wait until some answers are written."""
    rows = (root / "ask.csv").read_text().splitlines()
    many = out.with_name("many.csv")
    many.write_text("\n".join([rows[0], *rows[1:] * 40]))
    code = (
        "import sys; from linewright.line.predict import batch; batch.CHUNK = 1; "
        "from linewright.interfaces.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "predict", "prices", str(many), "-o", str(out)]
    process = commands.Forked(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + patience_s
    draft = out.with_name(f".{out.name}.{process.pid}")
    while not (draft.exists() and draft.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.01)
    return SimpleNamespace(process=process, draft=draft)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing_half_written_and_says_so(root, tmp_path, how):
    begun = begin(root, tmp_path / "out.csv")
    begun.process.send_signal(how)
    _, said = begun.process.communicate(timeout=30)

    assert 130 == begun.process.returncode
    assert "rows were answered and logged, and" in said
    assert "out.csv was not written" in said
    assert ["many.csv"] == [path.name for path in tmp_path.iterdir()]


def test_a_killed_command_leaves_no_answers_and_the_next_one_no_draft(factory, root, tmp_path):
    """What nobody holds any more is removed; what another process writes is not."""
    out = tmp_path / "out.csv"
    out.write_text("as it was\n")
    killed = begin(root, out)
    killed.process.kill()
    killed.process.communicate(timeout=30)
    assert killed.draft.exists()
    assert "as it was\n" == out.read_text()
    other = begin(root, out)
    try:
        predict_file(factory, "prices", root / "ask.csv", out)
        drafts = list(tmp_path.glob(".out.csv.*"))
    finally:
        other.process.kill()
        other.process.communicate(timeout=30)

    assert [other.draft] == drafts
    assert ROWS == pl.read_csv(out).height


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_where_no_answers_can_be_written_the_command_says_so(root, tmp_path, ending):
    """However far it has come; nothing is left of it, and what was there stays."""
    out = tmp_path / f"out.{ending}"
    out.write_text("as it was\n")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
        "from linewright.line.predict import batch; batch.PredictionLog.append_request = lambda *_: None; "
        "from linewright.interfaces.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "predict", "prices", "ask.csv", "-o", str(out)]
    done = commands.run(command, of=commands.Forked, cwd=root, text=True, timeout=120)

    assert (2, "") == (done.returncode, done.stdout)
    assert "cannot write the answers: File too large" in done.stderr
    assert "Exception" not in done.stderr
    assert "as it was\n" == out.read_text()
    assert [out] == list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_file(root, tmp_path):
    """Nothing is kept of a row that was answered: six times the rows may not take what even their answers would."""
    peaks: list[float] = []
    header, *rows = (root / "ask.csv").read_text().splitlines()
    code = (
        "import resource, sys; from linewright.interfaces.cli.build import run; "
        "from linewright.interfaces.cli import OPERATIONS, _open_factory; run(sys.argv[1:], OPERATIONS, _open_factory); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    for times in (50, 400):
        file = tmp_path / "large.csv"
        file.write_text("\n".join([header, *rows * times]))
        command = ["predict", "prices", str(file), "-o", str(tmp_path / "out.parquet"), "--json"]
        done = subprocess.run(
            [sys.executable, "-c", code, *command], cwd=root, capture_output=True, text=True, check=True
        )
        said, _, peak = done.stdout.strip().rpartition("\n")
        assert (
            ROWS * times
            == json.loads(said)["rows"]
            == pl.scan_parquet(tmp_path / "out.parquet").select(pl.len()).collect().item()
        )
        peaks.append(float(peak))

    assert peaks[1] - peaks[0] < 60
