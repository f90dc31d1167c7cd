"""What `table.sql` makes of a row in training it makes of a request's row too, to the bit; what it cannot make has to be sent."""

import csv
import json
import random
from datetime import date

import numpy as np
import polars as pl
import pytest

from linewright.capabilities.evidence.replay import replay_prediction
from linewright.capabilities.lines.operations import check
from linewright.capabilities.predictions.operations import predict
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.data.spec import ColumnRule
from linewright.errors import Corrupt, RequestError
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.label_file import hand_in
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.steps.ingest import served_rows
from linewright.model.facts import Package, Trained
from linewright.model.package.model import load
from linewright.release.facts import Arm
from linewright.serve.http import oip
from linewright.serve.http.openapi import row_schema
from linewright.serve.http.predict import Loaded, read_ask
from linewright.serve.http.predict import infer as infer_answer
from linewright.serve.http.predict import predict as predict_answer
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.scorer import Scorer

LINE = """\
line: claims
sources:
  claims: {file: claims.csv, missing: ["", "?"]}
  regions: {file: regions.csv}
table:
  sql: >-
    select c.id, c.amount, c.income, c.amount / c.income as ratio, c.amount * 0.1 as tenth,
    upper(coalesce(c.make, 'none')) as maker, strptime(c.Year || ' ' || c.Month, '%Y %b')::date as month,
    c.old > 3 as is_old, r.risk, c.note, c.bad
    from claims c left join regions r using (region)
  key: id
label: {column: bad, positive: "yes"}
contract:
  columns:
    id: {type: category}
    amount: {type: number}
    income: {type: number, nullable: false}
    ratio: {type: number}
    tenth: {type: number}
    maker: {type: category}
    month: {type: date}
    is_old: {type: boolean}
    risk: {type: number}
    note: {type: category, nullable: true}
    bad: {type: category}
train: {task: binary, budget: quick, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.4}
"""
RAW = ("amount", "income", "make", "Year", "Month", "old")


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    """Give a factory whose line `claims` joins two sources, makes five columns of a row, and serves."""
    root = tmp_path_factory.mktemp("sql") / "factory"
    (root / "lines").mkdir(parents=True)
    chance = random.Random(3)
    rows = []
    for number in range(260):
        amount, income = round(chance.lognormvariate(6, 1), 2), chance.randrange(500, 5000)
        make = chance.choice([" fiat", "Opel", "FORD", "?", ""])
        month, old = chance.choice(["Jan", "Feb", "Dec"]), chance.choice([1, 2, 5, "?"])
        bad = "yes" if chance.random() < 0.2 + 0.5 * (amount / income > 0.2) else "no"
        found = amount if number % 50 else "?"
        year, region = chance.choice([1994, 1995]), chance.choice("abc")
        rows.append(
            (f"C{number:03}", found, income, make, year, month, old, region, chance.choice("xyz"), bad)
        )
    with (root / "claims.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "amount", "income", "make", "Year", "Month", "old", "region", "note", "bad"])
        writer.writerows(rows)
    (root / "regions.csv").write_text("region,risk\na,0.1\nb,0.25\nc,0.7\n")
    (root / "lines" / "claims.yaml").write_text(LINE)
    with Factory.create(root) as factory:
        ran = execute_inline(factory, "claims")
        assert ran.promoted
        (root / "said.txt").write_text(result_text(ran))
        yield factory


@pytest.fixture(scope="module")
def scorer(factory) -> Scorer:
    return Scorer(load(find_model(factory, "claims").digest, factory.artifacts.get))


@pytest.fixture(scope="module")
def raw(factory) -> list[dict]:
    """Give the rows of the first source as a client would send them, with what the other source says of them."""
    risk = {"a": 0.1, "b": 0.25, "c": 0.7}
    numbers = {"amount": float, "income": int, "Year": int, "old": int}
    with (factory.root / "claims.csv").open(newline="") as file:
        return [
            {name: numbers.get(name, str)(row[name]) if row[name] != "?" else None for name in RAW}
            | {"id": row["id"], "note": row["note"], "risk": risk[row["region"]]}
            for row in csv.DictReader(file)
        ]


@pytest.fixture
def asking(factory, scorer, tmp_path):
    """Give two functions that ask as the endpoint is asked: rows, and tensors."""
    version = find_model(factory, "claims")
    log = PredictionLog(tmp_path / "log")
    loaded = Loaded("claims", 1, Arm(model=version.version, package=version.digest), scorer)

    def rows(*rows):
        ask = read_ask(json.dumps({"rows": rows}).encode(), scorer)
        return json.loads(predict_answer(loaded, log, ask).body)["predictions"]

    def tensors(**columns):
        kinds = {column.name: oip.datatype_of(column) for column in scorer.form.columns}
        inputs = [
            {"name": name, "datatype": kinds[name], "shape": [1], "data": [value]}
            for name, value in columns.items()
        ]
        asked = oip.read_infer(json.dumps({"inputs": inputs}).encode(), scorer.form.columns)
        return json.loads(infer_answer(loaded, log, asked).body)

    yield rows, tensors
    log.close()


def table_of(factory) -> pl.DataFrame:
    package = factory.metadata.get(find_model(factory, "claims").digest, Package)
    trained = factory.metadata.get(package.trained, Trained)
    dataset = factory.metadata.get(trained.dataset, Dataset)
    return read_dataset(dataset, factory.artifacts, factory.metadata)


def test_a_raw_row_is_what_training_saw_of_it_to_the_bit(factory, scorer, raw):
    """A join or an expression that training has and serving has not makes answers wrong, and nothing says so."""
    table = table_of(factory)
    encoder = scorer.model.package.encoder
    seen = encode(encoder, to_columns(table, encoder.columns))
    in_order = {row["id"]: row for row in raw}
    rows = [in_order[one] for one in table["id"].to_list()]
    together, alone = scorer.matrix(rows), np.concatenate([scorer.matrix([row]) for row in rows[:20]])

    assert {"ratio", "tenth", "maker", "month", "is_old", "risk"} <= set(encoder.columns)
    assert seen.tobytes() == together.tobytes()
    assert seen[:20].tobytes() == alone.tobytes()


def test_a_row_of_the_table_is_answered_as_it_was(factory, asking, raw):
    """Clients that made the columns themselves, as they had to, go on; what they send is taken."""
    rows, _ = asking
    row = table_of(factory).row(0, named=True)
    table = {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
    table.pop("bad")
    sent = next(one for one in raw if one["id"] == row["id"])
    (of_table,), (of_raw,) = rows(table), rows(sent)
    (other,) = rows({**sent, "maker": "VOLVO"})

    assert of_table["probabilities"] == of_raw["probabilities"]
    assert ["maker: 'VOLVO' is new to the model, or was too rare to learn from"] == other["warnings"]
    assert row["id"] == of_raw["key"]


@pytest.mark.parametrize(
    ("left_out", "says"),
    [
        ("risk", "rows[1].risk: the column is needed"),
        ("Year", "rows[1].Year: the column is needed"),
        ("income", "rows[1].income: the column is needed"),
    ],
)
def test_a_column_that_is_left_out_is_refused_and_named(asking, raw, left_out, says):
    """A join column that nobody sends would be a missing value in each row, and the answers would be wrong for ever."""
    rows, tensors = asking
    row = {name: value for name, value in raw[1].items() if name != left_out}
    with pytest.raises(RequestError) as refused:
        rows(raw[0], row)
    with pytest.raises(RequestError) as in_tensors:
        tensors(**row)

    assert 422 == refused.value.http_status
    assert str(refused.value).startswith(says)
    assert [left_out] == [one["where"].rpartition(".")[2] for one in refused.value.details["errors"]]
    assert "expected number of inputs between 7 and 8 but got 7 inputs for model 'claims'" in str(
        in_tensors.value
    )
    assert f"missing required input(s) ['{left_out}']" in str(in_tensors.value)


def test_why_a_column_must_be_sent_is_said(factory, asking, raw):
    """By the check, the run, the schema, and to the client who forgot it."""
    rows, _ = asking
    told = "`table.sql` takes it from another source"
    with pytest.raises(RequestError, match=f"send it: {told}"):
        rows({name: value for name, value in raw[0].items() if name != "risk"})
    made = "made of each row of 'claims', in requests too: ratio (of amount, income), tenth (of amount), maker (of make)"

    for text in (result_text(check(factory, "claims")), (factory.root / "said.txt").read_text()):
        assert f"must be sent with a request: risk ({told})" in text
        assert made in text


def test_what_the_contract_names_nullable_may_be_left_out_and_nothing_else(asking, raw):
    """`nullable: true` is a decision of the person who wrote it; that a value may be missing is not."""
    rows, _ = asking
    (with_null,) = rows({**raw[0], "note": None})
    (without,) = rows({name: value for name, value in raw[0].items() if name != "note"})
    (no_risk,) = rows({**raw[0], "risk": None})

    assert with_null["probabilities"] == without["probabilities"]
    assert "prediction" in no_risk
    assert ColumnRule(type="text").may_lack
    assert ColumnRule(type="text").nullable is None


def test_the_schema_and_the_metadata_say_what_to_send(scorer):
    """A client that is generated from them sends rows that are answered."""
    schema = row_schema(scorer.form, "claims@1")
    metadata = oip.to_metadata("claims", "1", scorer.model.package)
    optional = {one["name"]: one.get("optional", False) for one in metadata["inputs"]}

    assert ["amount", "income", "risk"] == schema["required"]
    assert {"anyOf": [{"required": ["maker"]}, {"required": ["make"]}]} in schema["allOf"]
    assert (
        "must be sent: `table.sql` takes it from another source"
        == schema["properties"]["risk"]["description"]
    )
    assert {*RAW, "risk", "note"} == optional.keys()
    assert ["note"] == [name for name, is_so in optional.items() if is_so]


def test_a_row_that_the_sql_cannot_be_carried_out_on_is_named(asking, raw):
    """Of many rows the one that is wrong, with what it holds; the client can mend it."""
    rows, _ = asking
    bad = [*raw[:30], {**raw[30], "Month": "Foo"}, *raw[31:60]]
    with pytest.raises(RequestError) as refused:
        rows(*bad)
    with pytest.raises(
        RequestError, match=r"rows\[0\].Year: not a value of this column: found 19.5, allowed: an integer"
    ):
        rows({**raw[0], "Year": 19.5})

    assert "rows[30].Year" == refused.value.where
    assert "`table.sql` cannot make 'month' of this row" == refused.value.what
    assert "1994, Month: Foo" in refused.value.found or "1995, Month: Foo" in refused.value.found


def test_a_file_is_answered_as_the_endpoint_answers_its_rows(factory, scorer, raw):
    """Raw rows, in the spelling of the source: what is missing there is missing here."""
    table = pl.read_csv(factory.root / "claims.csv", infer_schema=False).drop("region", "bad").head(40)
    risk = pl.Series("risk", [str(row["risk"]) for row in raw[:40]])
    table.with_columns(risk).write_csv(factory.root / "ask.csv")
    predict(factory, "claims", factory.root / "ask.csv", out=factory.root / "answers.csv")
    answers = pl.read_csv(factory.root / "answers.csv")
    expected = [one["probabilities"]["yes"] for one in scorer.score(raw[:40])]
    table.write_csv(factory.root / "less.csv")
    with pytest.raises(RequestError, match="the file lacks 'risk'"):
        predict(factory, "claims", factory.root / "less.csv")
    table.with_columns(risk, Month=pl.lit("Foo")).write_csv(factory.root / "wrong.csv")
    with pytest.raises(
        RequestError, match=r"line 2, column 'Year': `table.sql` cannot make 'month' of this row"
    ):
        predict(factory, "claims", factory.root / "wrong.csv")

    assert expected == answers["probabilities_yes"].to_list()


def test_a_row_of_a_file_that_the_sql_cannot_be_carried_out_on_does_not_end_the_others(factory, raw):
    """It is kept with its place and the reason, as any other row that breaks the contract."""
    good = [{name: row[name] for name in ("id", *RAW, "risk", "note")} for row in raw[:40]]
    bad = [{**row, "Month": "Foo"} if number in (3, 17, 18) else row for number, row in enumerate(good)]
    answers = {}
    for name, rows in (("alone", [row for row in bad if row["Month"] != "Foo"]), ("mixed", bad)):
        pl.DataFrame(rows, infer_schema_length=None).write_csv(factory.root / f"{name}.csv")
        told = predict(factory, "claims", factory.root / f"{name}.csv", out=factory.root / f"{name}.out.csv")
        answers[name] = pl.read_csv(told.out).drop("prediction_id")
    kept = pl.read_csv(factory.root / "mixed.out.quarantine.csv")

    assert (37, 3) == (told.rows, told.quarantined)
    assert answers["alone"].equals(answers["mixed"], null_equal=True)
    assert [4, 18, 19] == kept["row"].to_list()
    assert all("`table.sql` cannot make 'month' of this row" in reason for reason in kept["reason"])
    with pytest.raises(
        RequestError, match=r"line 5, column 'Year': `table.sql` cannot make 'month'.*nothing was answered"
    ):
        predict(factory, "claims", factory.root / "mixed.csv", out=factory.root / "no.csv", strict=True)


def test_what_was_asked_is_logged_and_replayed_and_trains_as_the_table_has_it(factory, scorer, raw):
    """The log has the row as it came; a retraining has to see the columns that the model saw."""
    version = find_model(factory, "claims")
    log = PredictionLog(factory.state / "log" / "claims")
    loaded = Loaded("claims", 1, Arm(model=version.version, package=version.digest), scorer, factory.now)
    row = {**raw[5], "id": "N1"}
    ask = read_ask(json.dumps({"rows": [row]}).encode(), scorer)
    (answer,) = json.loads(predict_answer(loaded, log, ask).body)["predictions"]
    log.close()
    (factory.root / "truth.csv").write_text("key,label\nN1,yes\n")
    hand_in(factory, "claims", factory.root / "truth.csv")
    replayed = replay_prediction(factory, answer["id"])
    (served,) = (
        one for one in served_rows(factory, factory.line("claims"), factory.now()) if one["id"] == "N1"
    )
    seen = scorer.completed([row])[0]

    assert row == replayed.row
    assert 0 == replayed.difference
    assert {name: seen[name] for name in ("ratio", "tenth", "maker", "month", "is_old")} == {
        name: served[name] for name in ("ratio", "tenth", "maker", "month", "is_old")
    }
    assert "yes" == served["bad"]


def test_a_package_with_other_sql_is_not_loaded(factory):
    """A package is data: what it brings is looked at before it serves."""
    model = load(find_model(factory, "claims").digest, factory.artifacts.get)
    rows = model.package.row_sql
    bad = type(rows.expressions[0])(name="ratio", sql="read_text('/etc/passwd')", reads=(), type="VARCHAR")
    package = type(model.package)(
        **{name: getattr(model.package, name) for name in model.package.__struct_fields__}
        | {"row_sql": type(rows)(source="claims", expressions=(bad,))}
    )
    model.package = package

    with pytest.raises(Corrupt, match="no expression that reads one row"):
        Scorer(model)
