"""Looking at a table: types, parts, and what tells the label too well."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from linewright.data.checks.look import Profile, look
from linewright.data.profile.association import Truth, cells, roc_auc, strength
from linewright.data.profile.roles import GivenRoles
from linewright.data.read.file.sniff import missing_spellings, sniff
from linewright.data.read.source import read_source
from linewright.data.spec import FileSource
from linewright.errors import RequestError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS = 2_000


def table(**columns: Any) -> pl.DataFrame:
    """Text columns, as a CSV file gives them, beside an honest number and a label that it half explains."""
    rng = np.random.default_rng(7)
    signal = rng.normal(size=ROWS)
    label = (signal + rng.normal(size=ROWS) > 0.5).astype(int)
    base = {"signal": signal.round(3), "noise": rng.normal(size=ROWS).round(3), "y": label}
    frame = pl.DataFrame({**base, **{name: make(rng, label) for name, make in columns.items()}}, strict=False)
    return frame.with_columns(pl.all().cast(pl.String))


def checks(profile: Profile, name: str) -> list[str]:
    return [finding.check for finding in profile.column(name).findings]


def leaks(profile: Profile) -> set[str]:
    return {
        column.name
        for column in profile.columns
        if any(one.startswith("leak") for one in checks(profile, column.name))
    }


def shared(file: str, label: str) -> Profile:
    if not (SHARED / file).exists():
        pytest.skip("needs the data in ../shared/data")
    frame = read_source("data", FileSource(file=file), SHARED).frame
    return look(frame, GivenRoles(label=label))


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    """Every verdict on leaks rests on this number."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        scores, truth = rng.integers(0, 9, 300) / 9, rng.integers(0, 2, 300)

        assert roc_auc_score(truth, scores) == pytest.approx(roc_auc(truth, scores), abs=1e-12)


def test_a_column_of_random_names_tells_nothing():
    """Fitted on the rows it is judged by, a column of many names looks perfect; that must not happen here."""
    rng = np.random.default_rng(5)
    names = pl.Series([f"n{code}" for code in rng.integers(0, 700, 1_400)])
    codes = rng.integers(0, 2, 1_400)
    truth = Truth(form="two", codes=codes, ranks=np.zeros(1_400), classes=("0", "1"))

    assert 0.5 == pytest.approx(strength(cells(names), truth), abs=0.05)


@pytest.mark.parametrize("form", ["two", "classes", "number"])
def test_a_copy_of_the_label_has_the_full_strength_in_every_form(form: Any):
    """The scale of each form must end at 1, or a threshold near 1 would never be reached."""
    codes = np.random.default_rng(1).integers(0, 2 if form == "two" else 5, 5_000)
    ranks = np.random.default_rng(2).permutation(5_000) / 5_000
    truth = Truth(form=form, codes=codes, ranks=ranks, classes=tuple("01234")[: codes.max() + 1])
    column = pl.Series(ranks if form == "number" else codes)

    assert 0.98 < strength(cells(column), truth) <= 1.0


def test_a_second_id_is_excluded():
    """Only one can be the key; the other must not become a feature."""
    profile = look(
        table(udi=lambda _, y: np.arange(len(y)), product_id=lambda _, y: [f"M{i}" for i in range(len(y))]),
        GivenRoles(label="y"),
    )

    assert "product_id" == profile.roles.key
    assert ["udi"] == [column.name for column in profile.columns if column.exclude]


@pytest.mark.parametrize(
    ("odd", "is_own", "is_told"),
    [(646, True, False), (646, False, True), (9999, True, True), (-200, True, True)],
    ids=["its own", "of many", "nines", "below 0"],
)
def test_a_number_that_one_thing_has_is_its_own_and_stands_for_nothing(odd: int, is_own: bool, is_told: bool):
    """One chain has 646 places; a reading that fails in several rows of it is another matter."""
    shops = [n % 40 for n in range(1_200)]
    places = [odd if shop == 7 else 1 + (shop if is_own else n % 37) for n, shop in enumerate(shops)]
    frame = pl.DataFrame(
        {
            "shop_name": [f"Shop {shop}" for shop in shops],
            "places": places,
            "y": ["no", "yes", "no"] * 400,
        }
    ).with_columns(pl.all().cast(pl.String))
    found = checks(look(frame, GivenRoles(label="y")), "places")

    assert is_told == ("sentinel" in found)


@pytest.mark.parametrize(("odd", "told"), [(0.0, []), (200.0, ["x", "log_x"])])
def test_of_a_column_and_its_logarithm_both_have_a_sentinel_or_neither_has(odd, told):
    """A person who mends one of two believes that the table is clean; and the logarithm of nothing is no code."""
    rng = np.random.default_rng(5)
    x = np.where(rng.random(ROWS) < 0.05, odd, rng.integers(1, 60, ROWS) / 2)
    frame = table(x=lambda *_: x).with_columns(log_x=pl.Series(np.log(x + 0.1)).cast(pl.String))
    profile = look(frame, GivenRoles(label="y"))
    found = {
        name: [one.evidence for one in profile.column(name).findings if one.check == "sentinel"]
        for name in ("x", "log_x")
    }

    assert told == [name for name, evidence in found.items() if evidence]
    if told:
        assert ("twin", "x", "200.0") == tuple(found["log_x"][0][part] for part in ("form", "of", "there"))


def some_days(rng: np.random.Generator, y: np.ndarray) -> list[str]:
    months, days = rng.integers(1, 13, len(y)), rng.integers(1, 29, len(y))
    return [f"2023-{month:02}-{day:02}" for month, day in zip(months, days, strict=True)]


@pytest.mark.parametrize(
    ("columns", "part", "name"),
    [
        ({"patient_id": lambda rng, y: rng.integers(0, 200, len(y))}, "group", "patient_id"),
        ({"birth_date": some_days, "sold_at": some_days}, "time", "sold_at"),
        (
            {"timestamp": lambda rng, y: 1_500_000_000 + rng.integers(0, 10**7, len(y))},
            "time",
            "timestamp",
        ),
    ],
    ids=["rows of one patient in both parts", "no birth dates", "Unix seconds"],
)
def test_a_part_is_known_by_name_and_values(columns: dict[str, Any], part: str, name: str):
    """These are what people forget to say, and without them a model looks better than it is."""
    assert name == getattr(look(table(**columns), GivenRoles(label="y")).roles, part)


@pytest.mark.parametrize(
    ("values", "form", "positive"),
    [
        (["no", "yes"], "two", "yes"),
        (["0", "1"], "two", "1"),
        (["True", "False"], "two", "True"),
        (["a", "b", "b"], "two", "a"),
        (["3", "4", "5"], "classes", None),
        (["red", "green", "blue"], "classes", None),
        ([str(i) for i in range(40)], "number", None),
        (["0.5", "1.0", "1.5"], "number", None),
    ],
)
def test_the_label_says_its_form_and_its_positive(values: list[str], form: str, positive: str | None):
    """The question is nearly always about the usual name, else about the rarer value, which is the worse outcome."""
    frame = table().with_columns(y=pl.Series((values * ROWS)[:ROWS]))
    label = look(frame, GivenRoles(label="y")).label

    assert (form, positive) == (label.form, label.positive)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "Signl"}, "did you mean 'signal'"),
        ({"label": "y", "exclude": ["nois"]}, "did you mean 'noise'"),
        ({"label": "y", "exclude": ["nodes"]}, "allowed: .*noise[^?]*$"),
        ({"label": "y", "positive": "yes"}, "allowed: '0' or '1'|allowed: '1' or '0'"),
        ({"label": "signal", "positive": "1"}, "a positive value is for a label of two values"),
        ({"label": "y", "key": "noise"}, "this one repeats"),
        ({"label": "y", "time": "word"}, "neither dates nor times"),
        ({"label": "y", "weight": "signal"}, "at least 0 in every row"),
        ({"label": "y", "weight": "word"}, "a weight is a number"),
        ({"label": "y", "time": "y"}, "one column has two parts"),
        ({"label": "y", "exclude": ["y"]}, "one column has two parts"),
        ({"label": "one"}, "two different values$"),
        ({"label": "flag"}, "200 of its cells are empty: if that is an answer"),
        ({"label": "gone"}, "missing in every row"),
        ({"label": "prose"}, "no class of the label comes twice"),
        ({"label": "verse"}, "neither a number nor a class"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(options: dict[str, Any], message: str):
    """Each of these is a slip of the finger with one obvious remedy."""
    frame = table(
        word=lambda rng, y: rng.choice(["a", "b"], len(y)),
        one=lambda _, y: ["x"] * len(y),
        flag=lambda _, y: ["x" if i >= 200 else None for i in range(len(y))],
        gone=lambda _, y: [None] * len(y),
        prose=lambda _, y: [f"text number {i}" for i in range(len(y))],
        verse=lambda _, y: [f"text number {i // 2}" for i in range(len(y))],
    )

    with pytest.raises(RequestError, match=message):
        look(frame, GivenRoles(**options))


def test_native_types_are_taken_as_they_are():
    """Parquet says what its columns are; lists are left out and named."""
    frame = pl.DataFrame(
        {
            "n": range(100),
            "b": [True, False] * 50,
            "l": [[1]] * 100,
            "c": pl.Series(["x", "y"] * 50, dtype=pl.Categorical),
        }
    ).with_columns(pl.col("c").cast(pl.String))

    profile = look(frame, GivenRoles(label="b"))

    assert "unusable" == profile.column("l").type
    assert ("two", "true") == (profile.label.form, profile.label.positive)


def test_a_file_is_read_as_it_was_written(tmp_path: Path):
    """Semicolons, tabs, code pages and UTF-16 come from spreadsheets every day."""
    rows = "name;town\nJosé;Köln\nAnn;Bonn\n"
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16"):
        path = tmp_path / encoding
        path.write_bytes(rows.encode(encoding))
        found = sniff(path, encoding)

        assert ";" == found.separator
        assert "Köln" == read_source("a", found, tmp_path).frame["town"][0]


@pytest.mark.parametrize(
    ("encoding", "cells"),
    [
        ("cp1250", ["Łódź", "Gdańsk", "inżynier", "księgowy", "Częstochowa", "pielęgniarka"]),
        ("iso-8859-7", ["Αθήνα", "Θεσσαλονίκη", "Πάτρα", "μηχανικός", "γιατρός", "λογιστής"]),
        ("shift_jis", ["東京", "大阪", "エンジニア", "医者", "会計士", "札幌"]),
        ("cp1251", ["Москва", "Казань", "Новосибирск", "Екатеринбург", "Самара", "Омск"]),
        ("cp1252", ["Orléans", "Besançon", "infirmière", "Nîmes", "Málaga", "Västerås"]),
        ("cp1252", ["£20", "20 °C", "½ ± 2 µm", "§ 7", "¥300", "«fine» €3"]),
    ],
)
@pytest.mark.parametrize("before", [0, 20_000])
def test_the_encoding_of_a_file_is_guessed_by_its_characters(tmp_path: Path, encoding, cells, before):
    """What is read as another country's letters is wrong in every level of a category, and nobody is told."""
    towns = [*["Bonn"] * before, *cells * 20]
    text = "".join(f"{number};{town}\n" for number, town in enumerate(towns))
    (tmp_path / "a.csv").write_bytes(f"number;town\n{text}".encode(encoding))
    found = sniff(tmp_path / "a.csv", "a.csv")

    assert towns == read_source("a", found, tmp_path).frame["town"].to_list(), found.encoding


def test_one_odd_byte_is_western_and_a_named_encoding_is_not_asked_about(tmp_path: Path):
    """One letter says nothing of a language; a person who knows says it in the line file."""
    (tmp_path / "a.csv").write_bytes(b"n;y\n1;\xe6\n")
    named = FileSource(file="a.csv", encoding="iso-8859-2", separator=";")

    assert "cp1252" == sniff(tmp_path / "a.csv", "a.csv").encoding
    assert "ć" == read_source("a", named, tmp_path).frame["y"][0]


def test_a_word_for_missing_that_is_a_class_stays_a_class():
    """A region may be called NA; a number may not."""
    frame = pl.DataFrame({"x": ["1", "NA", "3"], "region": ["NA", "EU", "EU"], "z": ["1", "-", "2"]})

    assert {"NA": 2, "-": 1} == missing_spellings(frame, "x")
    assert {"-": 1} == missing_spellings(frame, "region")


@pytest.mark.shared
def test_the_leaks_of_recidivism_are_found():
    """The best known table full of them."""
    profile = shared("compas_two_years.csv", label="two_year_recid")
    out = {column.name for column in profile.columns if column.exclude}
    again = {
        f"r_{part}"
        for part in (
            "charge_degree",
            "days_from_arrest",
            "offense_date",
            "charge_desc",
            "jail_in",
            "jail_out",
        )
    }
    violent = {f"vr_{part}" for part in ("charge_degree", "offense_date", "charge_desc")}
    known_later = {"is_recid", "is_violent_recid", "event", "start", "in_custody", "out_custody"}

    assert again | violent | known_later <= leaks(profile)
    assert {"violent_recid", "decile_score.1", "priors_count.1", "screening_date"} <= out
    assert not {"age", "priors_count", "decile_score", "sex", "c_charge_degree", "juv_fel_count"} & out
    assert ("id", "compas_screening_date") == (profile.roles.key, profile.roles.time)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "label", "leak", "strongest", "parts"),
    [
        ("adult_income.csv", "income", (), "", {"weight": "fnlwgt"}),
        ("ai4i_2020.csv", "Machine.failure", ("TWF", "HDF", "PWF", "OSF", "RNF"), "", {"key": "Product_ID"}),
        ("bearing_cwru_features.csv", "fault", (), "rms", {}),
        ("bike_sharing_hour.csv", "cnt", (), "hr", {"key": "instant", "time": "dteday"}),
        ("cmapss_fd001_train.csv.gz", "s_2", None, "", {"group": "unit"}),
        ("credit_default_taiwan.csv", "default payment", (), "PAY_0", {}),
        ("creditcard_fraud_subset.csv", "Class", (), "V14", {}),
        ("electricity_elec2.csv", "class", (), "nswprice", {}),
        ("german_credit.csv", "class-label", (), "checking-account", {}),
        ("house_prices_ames.csv", "SalePrice", (), "OverallQual", {"key": "Id"}),
        ("insurance_fraud.csv", "FraudFound", (), "PolicyType", {"key": "PolicyNumber"}),
        ("movielens_small_ratings.csv.gz", "rating", None, "", {"time": "timestamp"}),
        ("online_retail_dec2010_feb2011.csv.gz", "Quantity", None, "", {"group": "CustomerID"}),
        ("telco_churn.csv", "Churn", (), "Contract", {"key": "customerID"}),
        ("wine_quality.csv", "quality", (), "alcohol", {}),
    ],
)
def test_real_tables_have_the_leaks_and_parts_that_are_known(
    file: str, label: str, leak: tuple[str, ...] | None, strongest: str, parts: dict[str, str]
):
    """A false alarm would throw away the best column, and parts are what people forget to say."""
    profile = shared(file, label=label)
    proposed = {column.name for column in profile.columns if column.has("weight")}

    assert leak is None or {*leak} == leaks(profile)
    assert strongest in {"", max(profile.columns, key=lambda column: column.strength or -1).name}
    for part, column in parts.items():
        assert column in ({getattr(profile.roles, part)} if part != "weight" else proposed)
        assert part != "key" or "id" in checks(profile, column)


def test_a_marker_of_no_value_in_the_label_is_known_by_a_column_of_numbers():
    """A third sex named "NA" would be predicted, and every number with a gap would become a category."""
    sexes = [*["MALE"] * 10, *["FEMALE"] * 9, "NA"]
    frame = pl.DataFrame({"mass": ["3750", "NA", *["3800"] * 18], "sex": sexes})

    assert {"NA": 2} == missing_spellings(frame, "sex")
    assert {} == missing_spellings(frame.drop("mass"), "sex")
