"""`new`: from a table to a line file that runs, with its reasons; on failure nothing is written."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import drawn
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

from linewright.capabilities.drafts.write import NewLine, new_line
from linewright.data.contract.check import Checked, check
from linewright.data.finding_text import finding_in_words
from linewright.data.profile.roles import GivenRoles
from linewright.data.read.sample import sample
from linewright.data.read.source import read_source
from linewright.data.table.build import build_table
from linewright.errors import Conflict, ContractBreach, RequestError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line, read_line, unsupported
from linewright.line.predict.batch import refuse_precious
from linewright.line.predict.input_file import read_handed
from linewright.line.spec import LineSpec
from linewright.text.quoting import quoted, quoted_sentence, widened
from linewright.watch.spec import WatchSpec

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TABLES = {
    "adult_income.csv": "income",
    "ai4i_2020.csv": "Machine.failure",
    "air_quality_uci.csv": "C6H6(GT)",
    "bearing_cwru_features.csv": "fault",
    "bike_sharing_hour.csv": "cnt",
    "cmapss_fd001_test.csv.gz": "s_2",
    "cmapss_fd001_test_rul.csv": "rul",
    "cmapss_fd001_train.csv.gz": "s_2",
    "compas_two_years.csv": "two_year_recid",
    "credit_default_taiwan.csv": "default payment",
    "creditcard_fraud_subset.csv": "Class",
    "electricity_elec2.csv": "class",
    "german_credit.csv": "class-label",
    "house_prices_ames.csv": "SalePrice",
    "insurance_fraud.csv": "FraudFound",
    "movielens_small_items.csv": "year",
    "movielens_small_ratings.csv.gz": "rating",
    "online_retail_dec2010_feb2011.csv.gz": "Quantity",
    "sms_spam.csv": "label",
    "telco_churn.csv": "Churn",
    "wine_quality.csv": "quality",
}
DESERVED: dict[str, tuple[set[str], set[str]]] = {
    "adult_income.csv": ({"fnlwgt"}, set()),
    "ai4i_2020.csv": ({"UDI", "TWF", "HDF", "PWF", "OSF", "RNF"}, set()),
    "bearing_cwru_features.csv": (set(), {"sorted"}),
    "german_credit.csv": (set(), set()),
    "house_prices_ames.csv": (set(), {"near-constant", "year-month"}),
    "telco_churn.csv": (set(), set()),
    "wine_quality.csv": (set(), {"few-rows"}),
}
"""What `new` leaves out of a table, and what `check` still says of its line: what was left out it says no more."""


def breast_cancer(folder: Path) -> Path:
    """Write the table that scikit-learn ships, with a key, as a CSV file."""
    bunch: Any = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    key = pl.Series("sample", [f"S{row:04}" for row in range(len(bunch.target))])
    answer = pl.Series("diagnosis", [str(bunch.target_names[code]) for code in bunch.target])
    frame = pl.DataFrame(bunch.data, schema=names).insert_column(0, key).with_columns(answer)
    path = folder / "data" / "tumours.csv"
    path.parent.mkdir(parents=True)
    frame.write_csv(path)
    return path


def checked(root: Path, name: str) -> tuple[LineSpec, Checked]:
    path = root / "lines" / f"{name}.yaml"
    spec = read_line(path)
    assert [] == unsupported(spec, path)
    raws = [read_source(source, how, root) for source, how in spec.sources.items()]
    return spec, check(build_table(raws, spec), spec)


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    pl.DataFrame(columns, strict=False).write_csv(path)
    return path


def drafted(folder: Path, columns: dict[str, list[Any]], **given: Any) -> tuple[NewLine, str]:
    """Write a line of a table as `new` does; return it and its text."""
    made = new_line(folder, "a", write(folder / "a.csv", columns), GivenRoles(**{"label": "y"} | given))
    return made, (folder / "lines" / "a.yaml").read_text()


def small(**columns: list[Any]) -> dict[str, list[Any]]:
    rng = np.random.default_rng(4)
    return {
        "x": rng.normal(size=200).round(3).tolist(),
        "y": rng.choice(["no", "yes"], 200).tolist(),
        **columns,
    }


def test_a_new_line_parses_and_its_contract_accepts_its_data(tmp_path: Path):
    """The first `run` after `new` must not stumble over what `new` itself wrote."""
    data = breast_cancer(tmp_path)

    made = new_line(tmp_path, "tumours", data, GivenRoles(label="diagnosis", positive="malignant"))
    spec, result = checked(tmp_path, "tumours")

    assert ((), None) == (result.breaches, result.stop)
    assert ("binary", 569, 32, "sample", "random") == (
        made.task,
        made.rows,
        made.columns,
        made.key,
        made.split,
    )
    assert ("malignant", "sample", "average_precision") == (
        spec.label.positive,
        spec.table.key,
        spec.train.metric,
    )
    assert {"tumours": "data/tumours.csv"} == {
        name: getattr(source, "file", "") for name, source in spec.sources.items()
    }
    assert spec.contract.columns["sample"].unique


def test_the_text_reads_in_the_order_of_the_grammar_with_a_reason_beside_each_choice(tmp_path: Path):
    """People learn the grammar from this file."""
    new_line(tmp_path, "tumours", breast_cancer(tmp_path), GivenRoles(label="diagnosis"))
    text = (tmp_path / "lines" / "tumours.yaml").read_text()

    sections = [line.split(":")[0] for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert ["line", "about", "sources", "table", "label", "contract", "train", "gates"] == sections
    assert "# no time: no column holds dates" in text
    assert re.search(r"key: sample +# a text of its own in every row", text)
    assert re.search(r"task: binary +# diagnosis has two values, 'benign' and 'malignant'", text)
    assert re.search(r"by: random, test: 0.2\} +# a salted hash of sample decides", text)


def test_suggestions_in_comments_are_right_once_they_are_uncommented(tmp_path: Path):
    """A suggestion that does not parse is worse than none."""
    columns = small(
        sex=["f", "m"] * 100, year=[2020 + i % 3 for i in range(200)], month=[1 + i % 12 for i in range(200)]
    )
    _, text = drafted(tmp_path, columns)

    opened = re.sub(
        r"^( *)# (- \{|release:|value:|watch:|retrain:|sql:|time: month_began)",
        r"\1\2",
        text,
        flags=re.MULTILINE,
    )
    spec = parse_line(opened, name="a.yaml")

    assert 3 == len(spec.gates)
    assert (spec.watch, spec.retrain and spec.retrain.when) == (WatchSpec(), ("drift", "performance"))
    assert not unsupported(spec)
    assert "select *, make_date(year, month, 1) as month_began from a" == spec.table.sql
    assert "month_began" == spec.table.time


@pytest.mark.parametrize("is_heavy", [True, False])
def test_a_label_that_a_few_rows_dominate_is_offered_a_metric_that_counts_all_alike(
    tmp_path: Path, is_heavy: bool
):
    """A median error of 22 and an rmse of 73: the comment called it the typical error."""
    normal = np.random.default_rng(4).normal(size=400)
    columns = {"size": [f"{one:.3f}" for one in normal[::-1]]}
    columns["hours"] = [f"{one:.3f}" for one in (np.exp(1.5 * normal) if is_heavy else normal)]
    _, text = drafted(tmp_path, columns, label="hours")

    assert re.search(r"metric: rmse +# in the unit of the label; large errors weigh most\n", text)
    says = r"\n  # metric: mae  # counts all errors alike: the largest hundredth of hours has \d\d(\.\d)? % of its squared"
    assert is_heavy == bool(re.search(says, text))


def test_a_bad_cell_is_named_with_its_line_and_set_aside(tmp_path: Path):
    """A number that became a category without a word cost a user the column."""
    columns = small(
        width=[f"{n % 70 / 8}" for n in range(200)], made=[f"2024-03-{1 + n % 28:02}" for n in range(200)]
    )
    columns["width"][57], columns["made"][99], columns["made"][120] = "oops", "soon", "soon"

    made, text = drafted(tmp_path, columns)
    spec, result = checked(tmp_path, "a")

    assert ("number", "date") == (spec.contract.columns["width"].type, spec.contract.columns["made"].type)
    assert ("made", 3, None) == (spec.table.time, len(result.quarantined), result.stop)
    says = "1 of 200 values is no number, but 'oops' (line 59); its row is set aside (quarantine)"
    assert f"width: bad-cells: {says}" in result_text(made)
    assert re.search(rf"width: .* # .*; bad-cells: {re.escape(says)}", text)
    assert "2 of 200 values are no dates, but 'soon' (lines 101 and 122); if it means" in text


def test_words_for_no_value_are_missing_and_no_bad_cells(tmp_path: Path):
    """Both in one column: what means "no value" keeps its row."""
    columns = small(width=[f"{n % 70 / 8}" for n in range(200)])
    columns["width"][57], columns["width"][58], columns["width"][59] = "oops", "-", "NA"

    drafted(tmp_path, columns)
    spec, result = checked(tmp_path, "a")

    assert ("", "NA", "-") == spec.sources["a"].missing
    assert ("number", 1) == (spec.contract.columns["width"].type, len(result.quarantined))


def test_a_bad_cell_in_the_label_makes_no_classes_of_numbers(tmp_path: Path):
    """It would be refused as too many classes, or trained as some."""
    columns = small(price=[f"{n % 70 / 8}" for n in range(200)])
    columns["price"][57] = "oops"

    made, _ = drafted(tmp_path, columns, label="price")

    assert "regression" == made.task
    assert 1 == len(checked(tmp_path, "a")[1].quarantined)


def test_a_key_counts_as_it_is_spelled(tmp_path: Path):
    """Nearly all digits, and yet a name: no row is set aside for it."""
    columns = small(code=[str(1_000 + n * 37) for n in range(200)])
    columns["code"][3] = "spare"

    drafted(tmp_path, columns, key="code")
    spec, result = checked(tmp_path, "a")

    assert ("category", 0) == (spec.contract.columns["code"].type, len(result.quarantined))


def test_a_key_that_repeats_only_with_its_whole_row_says_how_to_read_each_row_once(tmp_path: Path):
    """An export that was appended to twice: the key is one, and the hint leads to a line that runs."""
    columns = small(name=[f"n{number}" for number in range(200)])
    twice = {name: [*values, *values[:30]] for name, values in columns.items()}
    with pytest.raises(RequestError, match="this one repeats") as refused:
        drafted(tmp_path, twice, key="name")
    _, text = drafted(tmp_path, twice)
    assert "30 rows repeat another one exactly" in refused.value.hint

    source = next(iter(parse_line(text, name="a.yaml").sources))
    hint = refused.value.hint
    added = [one for one in re.findall("`([^`]+)`", hint) if ": " in one]
    made = text.replace(
        "table:\n", "table:\n" + "".join(f"  {one}\n" for one in added).replace("SOURCE", source)
    )
    spec = parse_line(made, name="a.yaml")

    assert ("name", source) == (spec.table.key, str(spec.table.sql).removeprefix("select distinct * from "))


def test_a_file_that_is_broken_off_stops(tmp_path: Path):
    """Half of a delivery reads as well as all of it, and a run trained on it without a word."""
    path = write(tmp_path / "a.csv", small(n=[f"{n % 97}" for n in range(200)]))
    new_line(tmp_path, "a", path, GivenRoles(label="y"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 5])
    with Factory.create(tmp_path) as factory, pytest.raises(ContractBreach) as caught:
        check_line(factory, "a")

    assert "rows: {min: 100}  # half of the 200 rows seen" in (tmp_path / "lines" / "a.yaml").read_text()
    assert "the table must have at least 100 rows, and " in caught.value.what
    assert "see whether the source is whole" in caught.value.hint


@pytest.mark.parametrize(("rows", "least"), [(99, None), (100, 50), (199, 99), (250, 120)])
def test_the_fewest_rows_are_half_of_those_seen_in_two_digits(tmp_path: Path, rows: int, least: int | None):
    """A small table may lose half of its rows by itself."""
    columns = {name: (values * 2)[:rows] for name, values in small().items()}
    columns["x"] = [n * 37 % 1009 / 8 for n in range(rows)]
    drafted(tmp_path, columns)

    assert (least or 1) == read_line(tmp_path / "lines" / "a.yaml").contract.rows.min


def marks(**bad: int) -> dict[str, list[Any]]:
    """Give a column of 1 to 6, some of which are replaced: `v99=3` makes 3 of them 99, `m999=1` makes one -999."""
    mark = [1 + n * 5 % 6 for n in range(600)]
    for number, (name, rows) in enumerate(bad.items()):
        value = int(name[1:]) * (-1 if name[0] == "m" else 1)
        mark[number * 100 + 10 : number * 100 + 10 + rows] = [value] * rows
    return {**{name: values * 3 for name, values in small().items()}, "mark": mark}


@pytest.mark.parametrize(
    ("bad", "says", "limits"),
    [
        (
            {"m999": 1},
            "-999 in 1 row (line 12) lie far outside of all others (1 to 6); a contract's range sets",
            (0, 9),
        ),
        (
            {"m999": 1, "v99": 2},
            "-999 and 99 in 3 rows (lines 12, 112 and 113) lie far outside of all others",
            (0, 9),
        ),
        (
            {"v99": 49},
            "99 stands in 49 rows (8.2 %), far from all other values (1 to 6): if it means missing",
            (0, 150),
        ),
        (
            {"v99": 20, "m999": 1},
            "-999 in 1 row (line 112) lie far outside of all others (1 to 99)",
            (0, 150),
        ),
        ({"v9": 1}, "", (0, 13)),
    ],
)
def test_a_number_far_outside_makes_no_range(
    tmp_path: Path, bad: dict[str, int], says: str, limits: tuple[int, int]
):
    """One -999 let everything through from -1500 to 600."""
    made, _ = drafted(tmp_path, marks(**bad))
    spec, result = checked(tmp_path, "a")
    rule = spec.contract.columns["mark"]

    found = [one for one in made.findings if "mark" in one.columns]
    assert says in "".join(map(finding_in_words, found))
    assert bool(says) == bool(found)
    assert limits == (rule.min, rule.max)
    assert sum(rows for name, rows in bad.items() if name == "m999" or (name, rows) == ("v99", 2)) == len(
        result.quarantined
    )


@pytest.mark.parametrize("tail", ["income", "amount", "count", "change"])
def test_honest_tails_have_no_outliers(tmp_path: Path, tail: str):
    """The richest of ten thousand people is no typing error."""
    rng = np.random.default_rng(6)
    many = {
        "income": rng.lognormal(10, 1.5, 9_000).round(),
        "amount": (100 * rng.pareto(1.2, 9_000)).round(2),
        "count": rng.negative_binomial(0.3, 0.05, 9_000),
        "change": rng.standard_t(2, 9_000).round(4),
    }[tail]
    columns = {"x": many.tolist(), "y": rng.choice(["no", "yes"], 9_000).tolist()}
    made, _ = drafted(tmp_path, columns)

    assert () == made.findings
    assert 0 == len(checked(tmp_path, "a")[1].quarantined)


def test_repeats_may_go(tmp_path: Path):
    """The query that `new` itself proposes must not break the promise that it wrote."""
    path = write(tmp_path / "a.csv", {name: values * 2 for name, values in small().items()})
    new_line(tmp_path, "a", path, GivenRoles(label="y"))

    assert 90 < read_line(tmp_path / "lines" / "a.yaml").contract.rows.min <= 100


@pytest.mark.parametrize(
    ("when", "is_suggested"),
    [
        ([f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(200)], True),
        (list(range(200)), False),
        (None, False),
    ],
)
def test_a_delay_of_the_label_is_suggested_where_time_can_be_counted(tmp_path: Path, when, is_suggested):
    """Where truth comes late and nobody says so, the labels that come early decide how good a model is."""
    columns = small() if when is None else small(when=when)
    time = None if when is None else "when"
    _, text = drafted(tmp_path, columns, positive="yes", time=time)

    said = re.search(r"^# (label: .*delay.*)$", text, flags=re.MULTILINE)
    assert is_suggested == (said is not None)
    if said is not None:
        spec = parse_line(re.sub(r"^label: .*$", said[1], text, flags=re.MULTILINE), name="a.yaml")
        assert ("y", "yes", "7d") == (spec.label.column, spec.label.positive, spec.label.delay)


@pytest.mark.parametrize("key", ["text", "number"])
def test_no_value_that_may_be_somebodys_is_in_a_line_file(tmp_path: Path, key: str):
    """The file is put into version control, where `forget` does not reach: a person's number or name would stay for ever."""
    columns = small(
        customerID=[f"QX{i * 7919 % 9000}" if key == "text" else 700_001 + i * i for i in range(200)],
        user=[f"ZV{i // 2}" for i in range(200)],
        last_name=["Zweig", "Zorn"] * 100,
        passport=[f"ZP{max(i, 9)}" for i in range(200)],
        town=[f"town {i % 40}" for i in range(200)],
    )
    _, text = drafted(tmp_path, columns, key="customerID")

    assert re.search(r"customerID: .*  # 200 values$", text, flags=re.MULTILINE)
    assert re.search(r"user: .*  # 100 values$", text, flags=re.MULTILINE)
    assert re.search(r"last_name: {type: category, nullable: warn} +# 2 values;", text)
    assert [] == [one for one in ("QX", "700001", "739602", "ZV", "Zweig", "Zorn", "ZP") if one in text]
    assert "40 values such as 'town" in text


def test_leaks_ids_weights_and_constants_are_named_beside_their_column(tmp_path: Path):
    """The reason must stand where the eye is."""
    columns = small(
        row=list(range(1, 201)),
        code=[f"C{i}" for i in range(200)],
        unit=["mm"] * 200,
        fnlwgt=[10_000 + 37 * i % 90_000 for i in range(200)],
        outcome=["paid" if answer == "yes" else "open" for answer in small()["y"]],
    )
    made, text = drafted(tmp_path, columns)

    assert ("row", "unit", "fnlwgt", "outcome") == made.excluded
    assert re.search(r"- row +# id: a running number from 1 to 200 in the order of the file", text)
    assert re.search(r"- unit +# constant: every row with a label has the same value, 'mm'", text)
    assert re.search(r"- outcome +# leak-perfect: each of its 2 values goes with one label only", text)
    assert "--weight fnlwgt" in text
    assert {*made.excluded} == {*read_line(tmp_path / "lines" / "a.yaml").table.exclude}
    assert (("outcome",), "leak-perfect") in [(one.columns, one.check) for one in made.findings]
    assert "outcome" in result_text(made)


def test_what_a_person_says_is_written_down(tmp_path: Path):
    """Options win over guesses."""
    columns = small(
        when=[f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(200)],
        who=[f"p{i % 40}" for i in range(200)],
        w=[1.5] * 100 + [2.5] * 100,
        z=[i % 7 for i in range(200)],
        name=[f"n{i}" for i in range(200)],
    )
    made, _ = drafted(
        tmp_path, columns, positive="no", time="when", group="who", key="name", weight="w", exclude=["z"]
    )
    spec, result = checked(tmp_path, "a")

    assert () == result.breaches
    assert ("no", "when", "who", "name", "w", ("z",)) == (
        spec.label.positive,
        spec.table.time,
        spec.table.group,
        spec.table.key,
        spec.table.weight,
        spec.table.exclude,
    )
    assert ("time", "time") == (made.split, spec.train.split.by)


@pytest.mark.parametrize(("name", "is_doubtful"), [("size", True), ("day", False)])
def test_a_time_of_plain_numbers_gets_a_doubt_unless_its_name_says_time(
    tmp_path: Path, name: str, is_doubtful: bool
):
    """A split by it would test on the largest, not on the latest."""
    columns = small(**{name: [i * 37 % 101 for i in range(200)]})
    _, text = drafted(tmp_path, columns, time=name)

    assert is_doubtful == bool(re.search(rf"time: {name} +# you named it; is it a time\?", text))


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_a_running_day_has_no_largest_value(tmp_path: Path, is_shuffled: bool):
    """The rows of the next two months would have been set aside, each of them."""
    days = [4 + i // 2 for i in range(200)]
    columns = small(pan_day=[days[i * 37 % 200] for i in range(200)] if is_shuffled else days)
    drafted(tmp_path, columns)
    rule = read_line(tmp_path / "lines" / "a.yaml").contract.columns["pan_day"]

    assert (0, 160 if is_shuffled else None) == (rule.min, rule.max)


def test_a_label_of_three_values_becomes_one_of_two_as_the_refusal_says(tmp_path: Path):
    """What is to be pasted was not said, and it takes four places."""
    columns = small(y=[["negative", "positive", "invalid", None][i % 4] for i in range(200)])
    data = write(tmp_path / "a.csv", columns)
    with pytest.raises(RequestError, match="a positive value is for a label of two values") as refused:
        new_line(tmp_path, "late-test", data, GivenRoles(label="y", positive="positive"))
    hint = refused.value.hint
    new_line(tmp_path, "late-test", data, GivenRoles(label="y"))
    path = tmp_path / "lines" / "late-test.yaml"

    said = re.search(
        r"under table: (sql: \".*\"); (label: .*?); under contract.columns: (.*?); under train: (task: binary), (.*)$",
        hint,
    )
    assert said is not None
    text = re.sub(r"\ntable:.*\n", lambda _: f"\ntable:\n  {said[1]}\n", path.read_text())
    text = re.sub(r"\nlabel: .*\n", lambda _: f"\n{said[2]}\n", text)
    text = re.sub(r"\n    \"?y\"?: \{.*\n", lambda _: f"\n    {said[3]}\n", text)
    text = text.replace("task: multiclass", said[4]).replace("metric: log_loss", said[5])
    path.write_text(text)
    with Factory.create(tmp_path) as factory:
        sound = check_line(factory, "late-test")
    assert (200, 0) == (sound.rows, sound.quarantined)
    with pytest.raises(RequestError) as refused:
        new_line(tmp_path, "b", data, GivenRoles(label="y", positive="positiv"))
    assert (
        "did you mean 'positive'? Then too, leave --positive out: each value is a class of its own"
        == refused.value.hint
    )


def test_a_time_at_whose_end_one_class_is_alone_does_not_split(tmp_path: Path):
    """A test part of one class judges nothing; the reason is written down."""
    columns = small(when=[f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(200)])
    columns["y"] = ["no", "yes"] * 75 + ["no"] * 50
    made, text = drafted(tmp_path, columns)

    assert ("when", "random") == (made.time, made.split)
    assert "the label is 'no' only" in text


def test_words_for_missing_become_missing(tmp_path: Path):
    """One "NA" in a number makes it a category, and a model worse, unless it is said."""
    columns = small(age=["NA" if i % 10 == 0 else str(20 + i % 50) for i in range(200)])
    drafted(tmp_path, columns)
    spec, result = checked(tmp_path, "a")

    assert () == result.breaches
    assert ("integer", None) == (spec.contract.columns["age"].type, spec.contract.columns["age"].nullable)


def test_a_value_that_was_never_missing_in_a_sample_may_be_missing_with_a_warning(tmp_path: Path):
    """A thousand rows say little about the next ones: one gap in 7,000 rows must not cost that row, nor go unseen."""
    file = write(
        tmp_path / "a.csv", small(part=[f"N{i}" for i in range(200)], age=[f"{i % 50}" for i in range(200)])
    )
    new_line(tmp_path, "a", file, GivenRoles(label="y", key="part"))
    spec, _ = checked(tmp_path, "a")
    header, first, *rows = file.read_text().splitlines()
    at = header.split(",").index("age")
    gap = ["" if place == at else cell for place, cell in enumerate(first.split(","))]
    file.write_text("\n".join([header, ",".join(gap), *rows, ""]))
    _, result = checked(tmp_path, "a")
    told = [(one.column, one.kind, one.failed, one.action) for one in result.breaches]

    assert ("warn", False) == tuple(spec.contract.columns[name].nullable for name in ("age", "part"))
    assert [("age", "missing", 1, "warn")] == told
    assert (200, 0) == (result.frame.height, len(result.quarantined))


def test_two_columns_of_one_name_get_names_apart_and_so_do_files_of_rows(tmp_path: Path):
    """A spreadsheet that was joined by hand is no reason to stop, and its next export has the same header."""
    columns = small(score=[f"{i % 50}" for i in range(200)])
    file = write(tmp_path / "a.csv", columns)
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{header},score", *(f"{row},{i / 7:.3f}" for i, row in enumerate(rows)), ""]))
    made = new_line(tmp_path, "a", file, GivenRoles(label="y"))
    spec, result = checked(tmp_path, "a")
    (tmp_path / "ask.csv").write_text("score,score\n1,2.5\n")
    (tmp_path / "other.csv").write_text("score_2\n2.5\n")
    with Factory.create(tmp_path) as factory:
        asked = [read_handed(factory, "a", tmp_path / name).columns for name in ("ask.csv", "other.csv")]

    assert (*header.split(","), "score_2") == spec.sources["a"].names
    assert ("integer", "number") == tuple(spec.contract.columns[name].type for name in ("score", "score_2"))
    assert [("score_2",)] == [one.columns for one in made.findings if one.check == "renamed"]
    assert () == result.breaches
    assert [("score", "score_2"), ("score_2",)] == asked


def test_parquet_keeps_its_types(tmp_path: Path):
    """What a file says about its types is better than what its values look like."""
    frame = pl.DataFrame(small(flag=[True, False] * 100, zip=["01234", "99999"] * 100))
    frame.with_columns(pl.lit([[1, 2]]).alias("tags")).write_parquet(tmp_path / "a.parquet")

    new_line(tmp_path, "a", tmp_path / "a.parquet", GivenRoles(label="y"))
    spec, result = checked(tmp_path, "a")

    assert ["warn"] == [finding.action for finding in result.breaches]
    assert ("boolean", "category") == (spec.contract.columns["flag"].type, spec.contract.columns["zip"].type)
    assert "tags is left out" in (tmp_path / "lines" / "a.yaml").read_text()


def test_data_outside_the_folder_are_named_by_their_whole_path(tmp_path: Path):
    """A copied folder is a copied factory, unless its data lie elsewhere; that is said."""
    root = tmp_path / "factory"
    new_line(root, "a", write(tmp_path / "a.csv", small()), GivenRoles(label="y"))
    text = (root / "lines" / "a.yaml").read_text()

    assert str(tmp_path / "a.csv") in text
    assert "outside the factory's folder" in text


def test_a_relative_path_starts_where_the_person_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The shell completes file names from the current folder."""
    (tmp_path / "here").mkdir()
    write(tmp_path / "here" / "a.csv", small())
    monkeypatch.chdir(tmp_path / "here")

    new_line(tmp_path, "a", Path("a.csv"), GivenRoles(label="y"))

    assert 'file: "here/a.csv"' in (tmp_path / "lines" / "a.yaml").read_text()


def test_a_line_is_never_overwritten(tmp_path: Path):
    """A person's hours are in that file."""
    data = write(tmp_path / "a.csv", small())
    new_line(tmp_path, "a", data, GivenRoles(label="y"))
    path = tmp_path / "lines" / "a.yaml"
    path.write_text("mine")

    with pytest.raises(Conflict, match="never overwritten"):
        new_line(tmp_path, "a", data, GivenRoles(label="y"))

    assert "mine" == path.read_text()


@pytest.mark.parametrize(
    ("name", "file", "options", "message"),
    [
        ("My Line", "a.csv", {}, "'my-line' could"),
        ("a", "b.csv", {}, "there is no such file"),
        ("a", "../voter.csv", {}, r"did you mean '\S*\.\./voters\.csv'"),
        ("a", ".", {}, "gzip file is damaged.*broken.csv.gz"),
        ("a", "empty.csv", {}, "the file is empty"),
        ("a", "header.csv", {}, "no rows"),
        ("a", "zip.csv", {}, "ZIP"),
        ("a", "broken.csv.gz", {}, "gzip"),
        ("a", "a.csv", {"label": "Y"}, "did you mean 'y'"),
        ("a", "a.csv", {"time": "wenn"}, "no such column"),
        ("a", "a.csv", {"positive": "YES"}, "did you mean 'yes'"),
        ("a", "a.csv", {"positive": "maybe"}, "allowed: '(no|yes)' or '(no|yes)'"),
        ("a", "one.csv", {}, "one value only"),
        ("a", "none.csv", {}, "missing in every row"),
    ],
)
def test_a_failed_new_leaves_nothing_behind(
    tmp_path: Path, name: str, file: str, options: dict[str, Any], message: str
):
    """A half-made line would be found later and trusted."""
    write(tmp_path / "voters.csv", small())
    tmp_path = tmp_path / "here"
    tmp_path.mkdir()
    write(tmp_path / "a.csv", small())
    write(tmp_path / "one.csv", small(y=["x"] * 200))
    write(tmp_path / "none.csv", small(y=[None] * 200))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("x,y\n")
    (tmp_path / "zip.csv").write_bytes(b"PK\x03\x04" + b"x" * 100)
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8b" + b"x" * 100)

    with pytest.raises(RequestError, match=message):
        new_line(tmp_path, name, tmp_path / file, GivenRoles(**{"label": "y"} | options))

    assert not (tmp_path / "lines").exists()


@pytest.mark.parametrize(
    ("low", "high", "whole"),
    [("0", "1", True), ("-5", "-1", True), ("0.001", "0.002", False), ("-1e-9", "1e300", False)],
)
def test_a_widened_range_holds_the_seen_one_and_keeps_its_sign(low: str, high: str, whole: bool):
    """A contract must accept its own data, and lengths do not become negative."""
    least, most = widened(low, high, whole=whole)

    assert float(least) <= float(low) <= float(high) <= float(most)
    assert (float(low) >= 0) == (float(least) >= 0)
    assert (float(high) <= 0) == (float(most) <= 0)


def test_whole_numbers_at_the_end_of_64_bits_get_no_bounds():
    """A bound that the column cannot hold would be an error in itself."""
    assert ("", "") == widened("0", str(2**63 - 1), whole=True)
    assert ("", "") == widened("0", "1.2e308", whole=False)


_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(_NAMES)
def test_any_name_can_stand_in_a_line_file(name: str):
    """Column names come from spreadsheets: with colons, quotes, hashes and line ends."""
    text = (
        f"line: a\nsources: {{a: {{file: a.csv}}}}\nlabel: {{column: {quoted(name)}, positive: {quoted_sentence(name)}}}\n"
        f"contract:\n  columns:\n    {quoted(name)}: {{type: category}}\n"
    )
    spec = parse_line(text, name="a.yaml")

    assert (name, name, [name]) == (spec.label.column, spec.label.positive, list(spec.contract.columns))


_CELLS = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.dates().map(str),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12),
    st.sampled_from(["NA", "?", "None", "-", "1", "0", "yes", "true", "007", "1e5", "null"]),
)


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(st.tuples(_CELLS, _CELLS), min_size=4, max_size=30),
    label=st.lists(st.sampled_from(["a", "b"]), min_size=30, max_size=30),
    header=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=8).filter(
            lambda name: name == name.strip().strip("\ufeff") and name != "label"
        ),
        min_size=2,
        max_size=2,
        unique=True,
    ),
)
def test_whatever_the_table_holds_its_line_parses_and_accepts_it(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple[str | None, str | None]],
    label: list[str],
    header: list[str],
):
    """The law of `new`: what it writes is a line, and its contract fits the very data."""
    root = tmp_path_factory.mktemp("new")
    columns = {header[i]: pl.Series([row[i] for row in cells], dtype=pl.String) for i in (0, 1)}
    labels = ["a", "b", *label[: len(cells) - 2]]
    pl.DataFrame({**columns, "label": labels}).write_csv(root / "t.csv", quote_style="always")

    new_line(root, "t", root / "t.csv", GivenRoles(label="label"))
    _, result = checked(root, "t")

    assert [] == [finding for finding in result.breaches if finding.action != "warn"]


@pytest.mark.shared
@pytest.mark.parametrize("file", sorted(TABLES))
def test_real_tables_become_lines_that_accept_them(tmp_path: Path, file: str):
    """Published data with all their warts."""
    if not (SHARED / file).exists():
        pytest.skip("needs the data in ../shared/data")
    name = re.sub(r"[^a-z0-9]+", "-", file.partition(".")[0])

    made: NewLine = new_line(tmp_path, name, SHARED / file, GivenRoles(label=TABLES[file]))
    _, result = checked(tmp_path, name)

    assert ((), None) == (result.breaches, result.stop)
    assert result.frame.height == made.rows
    if file in DESERVED:
        found = {one.check for one in check_line(Factory.create(tmp_path), name).findings}
        assert DESERVED[file] == ({*made.excluded}, found - {"sentinel"})


def _rows(count: int = 300) -> list[tuple[int, str, str]]:
    return [(number, f"a{number % 7}", "yes" if number % 3 else "no") for number in range(count)]


def _csv(rows: list[tuple[int, str, str]]) -> str:
    return "n,c,y\n" + "".join(f"{n},{c},{y}\n" for n, c, y in rows)


def test_a_folder_becomes_a_line(tmp_path: Path):
    """What `new` writes is what `check` reads, and answers are not written among the rows that they are about."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "b.csv").write_text(_csv(_rows()[200:]))
    (folder / "a.csv").write_text(_csv(_rows()[:200]))
    factory = Factory.create(tmp_path)
    for name, data in (("one", folder), ("two", folder / "*.csv")):
        made = new_line(tmp_path, name, data, GivenRoles(label="y"))

        assert 300 == made.rows
        assert 300 == check_line(factory, name).rows
    assert 'file: "data/*.csv"' in (tmp_path / "lines" / "two.yaml").read_text()
    for out in ("data/c.csv", "data/b.csv"):
        with pytest.raises(RequestError, match="answers would overwrite"):
            refuse_precious(factory, tmp_path / "ask.csv", tmp_path / out)


def test_of_a_large_table_some_rows_are_looked_at_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Memory must not grow with the file; who reads a range must know that other rows may lie outside."""
    rows = 20_000
    kinds = [f"k{number // 5000}" for number in range(rows)]
    data = write(tmp_path / "a.csv", {"n": [*range(rows)], "kind": kinds, "y": ["a", "b"] * (rows // 2)})
    monkeypatch.setattr("linewright.capabilities.drafts.write.sample", partial(sample, most=500_000))

    new = new_line(tmp_path, "large", data, GivenRoles(label="y"))

    assert 3_000 < new.rows < rows == new.of
    text = (tmp_path / "lines" / "large.yaml").read_text()
    for said in (result_text(new), text):
        assert f"{new.rows:,} of 20,000 rows" in said
        assert "linewright check large" in said
    assert all(f"k{number}" in text for number in range(4))


def with_commas(folder: Path, **columns: list[str]) -> Path:
    frame = pl.DataFrame({**columns, "y": ["a", "b"] * 50})
    frame.write_csv(folder / "a.csv", separator=";")
    return folder / "a.csv"


def test_decimal_commas_are_seen_and_their_numbers_are_numbers(tmp_path: Path):
    """Half of Europe writes them."""
    price, rows = [f"{n},{n % 10}5" for n in range(100)], [f"{n + 1},{n + 100}" for n in range(100)]

    new_line(tmp_path, "a", with_commas(tmp_path, price=price, rows=rows), GivenRoles(label="y"))

    text = (tmp_path / "lines" / "a.yaml").read_text()
    assert (
        'decimal: ","}  # numbers have a decimal comma in price, so it is taken for one in rows too' in text
    )
    spec, result = checked(tmp_path, "a")
    assert ["number", "number"] == [spec.contract.columns[name].type for name in ("price", "rows")]
    assert (0.05, 1.1) == result.frame.select("price", "rows").row(0)


def test_a_far_value_with_a_decimal_comma_is_found_in_the_file(tmp_path: Path):
    """The file spells it otherwise than the number is read."""
    mark = [f"{n % 6},{n % 10}5" for n in range(1000)]
    mark[57] = "-9999,5"
    frame = pl.DataFrame({"mark": mark, "y": ["ab"[n * 71 % 199 % 2] for n in range(1000)]})
    frame.write_csv(tmp_path / "a.csv", separator=";")

    made = new_line(tmp_path, "a", tmp_path / "a.csv", GivenRoles(label="y"))

    assert re.search(r"mark: outlier: .*line 59", result_text(made))


@pytest.mark.parametrize("other", [{}, {"share": [f"{n}.5" for n in range(100)], "x": ["1,5", "2,5"] * 50}])
def test_a_comma_that_may_part_thousands_is_told_and_not_guessed(tmp_path: Path, other: dict[str, list[str]]):
    """A thousand times too much is worse than a question."""
    rows = [f"{n + 1},{n + 100}" for n in range(100)]

    new = new_line(tmp_path, "a", with_commas(tmp_path, rows=rows, **other), GivenRoles(label="y"))

    spec, _ = checked(tmp_path, "a")
    assert "decimal" not in spec.sources["a"].model_fields_set
    for said in (result_text(new), (tmp_path / "lines" / "a.yaml").read_text()):
        assert "1,100 may be 1.100 or 1100" in said
        assert 'say decimal: ","' in said


def test_json_lines_become_a_line(tmp_path: Path):
    """What `new` writes is what `check` reads."""
    lines = [json.dumps({"n": n, "c": c, "y": y}) for n, c, y in _rows()]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    made = new_line(tmp_path, "a", tmp_path / "a.jsonl", GivenRoles(label="y"))

    assert "binary" == made.task
    assert 300 == check_line(Factory.create(tmp_path), "a").rows


def test_files_of_several_encodings_are_told(tmp_path: Path):
    """They cannot be read with one word."""
    (tmp_path / "a.csv").write_bytes(b"n;y\n1;x\n")
    (tmp_path / "b.csv").write_bytes(b"n;y\n1;\xe9\n")

    with pytest.raises(RequestError, match=r"a\.csv: utf-8 with ';', b\.csv: cp1252"):
        new_line(tmp_path, "a", tmp_path / "*.csv", GivenRoles(label="y"))


def test_a_file_without_a_header_is_told_how_to_write_it(tmp_path: Path):
    """The first row would be lost in the names."""
    (tmp_path / "a.csv").write_text("5.1,3.5,0\n4.9,3.0,1\n")

    with pytest.raises(RequestError, match=r"header: false, names: \[c1, c2, c3\]"):
        new_line(tmp_path, "a", tmp_path / "a.csv", GivenRoles(label="species"))


def test_a_file_that_is_handed_in_has_a_header_of_its_own(tmp_path: Path):
    """It lacks the label at least, so the names of the source's columns are not its own."""
    (tmp_path / "a.csv").write_text("".join(f"{n};{c};{y}\n" for n, c, y in _rows()))
    (tmp_path / "lines").mkdir()
    source = '{file: a.csv, separator: ";", header: false, names: [n, c, y]}'
    (tmp_path / "lines" / "a.yaml").write_text(f"line: a\nsources: {{a: {source}}}\nlabel: {{column: y}}\n")
    (tmp_path / "ask.csv").write_text("c;n\na1;5\n")
    factory = Factory.create(tmp_path)

    assert 300 == check_line(factory, "a").rows
    assert [{"c": "a1", "n": "5"}] == read_handed(factory, "a", tmp_path / "ask.csv").frame.to_dicts()


def test_a_folder_of_pictures_becomes_a_line_without_a_word_about_it(tmp_path):
    """The folders are the classes; that nothing says which pictures belong together is asked, for a score hangs on it."""
    drawn.draw_folder(tmp_path / "pictures", 40)
    for number, file in enumerate(sorted((tmp_path / "pictures").rglob("*.png"))):
        file.rename(file.with_name(f"{number}.png"))

    made = new_line(tmp_path, "shapes", tmp_path / "pictures", GivenRoles(label=""))

    spec = read_line(tmp_path / "lines" / "shapes.yaml")
    assert ("binary", "random", None) == (made.task, made.split, made.group)
    assert ["group"] == [one.check for one in made.findings]
    assert "belong together" in finding_in_words(made.findings[0])
    assert "pictures" == spec.sources["shapes"].files
    assert "file" == spec.contract.columns["file"].type


def test_the_group_of_pictures_is_found_in_their_names(tmp_path):
    """Two pictures of one part in both parts of the data would tell each other."""
    drawn.draw_folder(tmp_path / "pictures", 60)

    made = new_line(tmp_path, "shapes", tmp_path / "pictures", GivenRoles(label=""))

    assert ("thing", "group", ()) == (made.group, made.split, made.findings)


def test_the_group_of_pictures_may_be_their_folder(tmp_path):
    """As scans of patients lie: class/patient/scan."""
    for number in range(60):
        file = tmp_path / "pictures" / ("ill", "well")[number % 2] / f"patient{number // 6}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(drawn.encoded(drawn.drawn("circle", number)))

    made = new_line(tmp_path, "scans", tmp_path / "pictures", GivenRoles(label="", positive="ill"))

    spec = read_line(tmp_path / "lines" / "scans.yaml")
    assert ("thing", "group") == (made.group, made.split)
    assert ("label", "ill") == (spec.label.column, spec.label.positive)


def test_pictures_that_nothing_is_said_of_are_refused(tmp_path):
    """In words that say how to say it; and no line file is left."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "1.png").write_bytes(drawn.encoded(drawn.drawn("circle", 1)))

    with pytest.raises(RequestError, match="a folder for each class"):
        new_line(tmp_path, "shapes", folder, GivenRoles(label=""))
    with pytest.raises(RequestError, match="name, file and folder"):
        new_line(tmp_path, "shapes", folder, GivenRoles(label="", group="patient"))
    (folder / "1.png").write_bytes(b"x")
    with pytest.raises(RequestError, match=r"1\.png.*not a picture"):
        new_line(tmp_path, "shapes", folder, GivenRoles(label=""))

    assert not (tmp_path / "lines").exists()


def test_a_table_without_a_label_is_refused(tmp_path):
    """Only pictures say by themselves what is to be predicted."""
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n")

    with pytest.raises(RequestError, match="--label COLUMN"):
        new_line(tmp_path, "guess", tmp_path / "table.csv", GivenRoles(label=""))


def _numbered(folder: Path, *parts: str, each: int = 4) -> Path:
    for part in parts:
        for number in range(each):
            file = folder / part / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(drawn.encoded(drawn.drawn("circle", number)))
    return folder


@pytest.mark.parametrize("parts", [("train/cat", "train/dog", "test/cat", "test/dog"), ("Train", "val")])
def test_folders_of_a_split_are_no_classes(tmp_path: Path, parts: tuple[str, ...]):
    """Else a model would learn which picture is for training."""
    folder = _numbered(tmp_path / "pictures", *parts)

    with pytest.raises(RequestError, match="one folder for each class; the split is made here"):
        new_line(tmp_path, "pets", folder, GivenRoles(label=""))

    assert not (tmp_path / "lines").exists()


def test_folders_of_a_split_in_the_folder_of_a_class_are_no_things(tmp_path: Path):
    """Two groups are not enough for a test part."""
    folder = _numbered(tmp_path / "pictures", "cat/train", "cat/val", "dog/train", "dog/val")

    made = new_line(tmp_path, "pets", folder, GivenRoles(label=""))

    spec = read_line(tmp_path / "lines" / "pets.yaml")
    assert (None, "random", "binary") == (made.group, made.split, made.task)
    assert ["group"] == [one.check for one in made.findings]
    assert "label" == spec.label.column
    assert "split_part(name, '/', 1) as label" in spec.table.sql


def test_folders_that_are_called_by_numbers_are_classes(tmp_path: Path):
    """Number 3 is no better than number 1: it is the name of a part."""
    folder = _numbered(tmp_path / "pictures", *(str(one) for one in range(1, 13)))

    made = new_line(tmp_path, "parts", folder, GivenRoles(label=""))

    assert "multiclass" == made.task
    assert 12 == len(read_line(tmp_path / "lines" / "parts.yaml").contract.columns["folder"].allowed)
