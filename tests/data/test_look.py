"""Looking at a table: types, parts, and what tells the label too well."""

import re
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.metrics import roc_auc_score

from linewright.data.profile.association import Truth, cells, roc_auc, strength
from linewright.data.quality.report import Profile, look
from linewright.data.read.sniff import missing_spellings, sniff
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


def verdicts(profile: Profile, name: str) -> list[str]:
    return [verdict.verdict for verdict in profile.column(name).verdicts]


def leaks(profile: Profile) -> set[str]:
    return {column.name for column in profile.columns if "leak" in verdicts(profile, column.name)}


def from_bunch(bunch: Any) -> pl.DataFrame:
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    frame = pl.DataFrame(bunch.data, schema=names).with_columns(
        pl.Series("target", [str(bunch.target_names[code]) for code in bunch.target])
    )
    return frame.with_columns(pl.all().cast(pl.String))


def shared(file: str, **options: Any) -> Profile:
    if not (SHARED / file).exists():
        pytest.skip("needs the data in ../shared/data")
    frame = read_source("data", FileSource(file=file), SHARED).frame
    return look(frame, **options)


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


def test_honest_columns_that_are_very_good_are_no_leaks():
    """Breast cancer diagnoses: several measurements reach an area of 0.97 each, and all are honest."""
    profile = look(from_bunch(load_breast_cancer()), label="target", positive="malignant")

    assert set() == leaks(profile)
    assert 0.95 < max(column.strength or 0 for column in profile.columns)
    assert [] == [column.name for column in profile.columns if column.exclude]


def test_petals_are_no_leaks():
    """Iris: one class is told perfectly by one petal, and the flower is not cheating."""
    profile = look(from_bunch(load_iris()), label="target")

    assert "classes" == profile.label.form
    assert set() == leaks(profile)


def test_the_label_in_other_words_is_a_leak():
    """The commonest mistake of all: the outcome stands in the table twice."""
    frame = table(outcome=lambda _, y: np.where(y == 1, "paid", "open"))

    profile = look(frame, label="y")

    assert {"outcome"} == leaks(profile)
    assert "it is the label" in profile.column("outcome").verdicts[0].evidence


def test_what_is_filled_in_after_the_fact_is_a_leak():
    """A date of the second offence exists only where there was one."""

    def when(rng: np.random.Generator, y: np.ndarray) -> list[str | None]:
        return [f"{rng.integers(1, 99)}" if one and rng.random() < 0.5 else None for one in y]

    profile = look(table(days_to_second=when), label="y")

    assert {"days_to_second"} == leaks(profile)
    assert "100 % of them are '1'" in profile.column("days_to_second").verdicts[0].evidence


def test_values_that_are_missing_for_other_reasons_are_no_leak():
    """Most gaps are honest, and some even help."""

    def gaps(rng: np.random.Generator, y: np.ndarray) -> list[str | None]:
        return [None if rng.random() < 0.2 + 0.3 * one else "5" for one in y]

    assert set() == leaks(look(table(lab=gaps), label="y"))


def test_a_flag_that_only_one_class_raises_is_a_leak():
    """A failure mode is a name of the failure."""

    def mode(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return ((y == 1) & (rng.random(len(y)) < 0.2)).astype(int)

    profile = look(table(heat_failure=mode), label="y")

    assert {"heat_failure"} == leaks(profile)


def test_a_flag_of_a_common_class_proves_nothing():
    """Where 97 % are negative anyway, a flag without positives is what chance gives."""
    rng = np.random.default_rng(11)
    frame = pl.DataFrame(
        {"flag": rng.integers(0, 2, 1_000).astype(str), "y": np.where(rng.random(1_000) < 0.03, "yes", "no")}
    )

    assert set() == leaks(look(frame, label="y"))


@pytest.mark.parametrize(
    ("kinds", "says", "asks"),
    [
        (
            ["unknown", "no", "yes"],
            "where it is 'unknown' (",
            "was that value written before the label was known?",
        ),
        ([None, "no", "yes"], "it has no value in ", "was it left open before the label was known?"),
    ],
)
def test_a_rare_value_of_one_class_is_asked_about_and_stays(kinds: list[str | None], says: str, asks: str):
    """A column was left out as another name of the label for 81 of its 2,571 rows, and the others told hardly anything."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, ROWS)
    is_rare = (rng.random(ROWS) < 0.06) & ((y == 0) | (rng.random(ROWS) < 0.03))
    urban = [kinds[0] if one else kinds[rng.integers(1, 3)] for one in is_rare]
    frame = table().with_columns(y=pl.Series(y.astype(str)), urban=pl.Series(urban))
    profile = look(frame, label="y")
    (verdict,) = profile.column("urban").verdicts

    assert ("strong", False) == (verdict.verdict, verdict.exclude)
    assert says in verdict.evidence
    assert verdict.evidence.endswith(f" overall): {asks}")


@pytest.mark.parametrize("strays", [["Y", "maybe", "na"], ["Y"] * 3, ["Y"] * 9])
def test_a_few_rows_of_other_labels_hide_no_leak(strays: list[str]):
    """Three typing errors made a label of several classes, and the outcome was a column like any other."""

    def outcome(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return np.where((y == 1) & (rng.random(len(y)) < 0.8), "buried", "home")

    frame = table(outcome=outcome)
    told = look(frame, label="y").column("outcome").verdicts
    spoilt = frame.with_columns(y=pl.Series([*strays, *frame["y"].to_list()[len(strays) :]]))
    profile = look(spoilt, label="y")

    assert "classes" == profile.label.form
    assert ["leak"] == [one.verdict for one in told]
    assert [True] == [one.exclude for one in profile.column("outcome").verdicts]
    assert "the label is '1' in 100 % of them" in profile.column("outcome").verdicts[0].evidence


def test_a_number_far_above_all_others_is_a_leak():
    """An almost perfect number in a world where everything else is weak."""

    def end(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return (np.where(y == 1, 300, 700) + rng.normal(0, 130, len(y))).round(1)

    profile = look(table(end=end).drop("signal"), label="y")

    assert {"end"} == leaks(profile)
    assert "too far above the others" in profile.column("end").verdicts[0].evidence


def test_dates_after_the_row_happened_are_a_leak_where_they_tell_the_label():
    """The release date of a prisoner is not known at the screening."""
    day = pl.date(2020, 1, 1)

    def later(rng: np.random.Generator, y: np.ndarray) -> pl.Series:
        days = pl.Series(rng.integers(5, 40, len(y)) + 25 * y)
        return pl.select(day + pl.duration(days=days)).to_series().cast(pl.String)

    def any_day(rng: np.random.Generator, y: np.ndarray) -> pl.Series:
        return (
            pl.select(day + pl.duration(days=pl.Series(rng.integers(0, 30, len(y)))))
            .to_series()
            .cast(pl.String)
        )

    profile = look(table(screened=any_day, released=later), label="y", time="screened")

    assert {"released"} == leaks(profile)
    assert "later than 'screened'" in profile.column("released").verdicts[0].evidence


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("row", lambda _, y: np.arange(1, len(y) + 1)),
        ("shuffled_no", lambda rng, y: rng.permutation(len(y)) * 3 + 17),
        ("code", lambda rng, y: [f"C{i:05}" for i in rng.permutation(len(y))]),
    ],
)
def test_a_number_of_its_own_in_every_row_is_an_id(name: str, make: Any):
    """A model that learns the row's name has learned nothing."""
    profile = look(table(**{name: make}), label="y")

    assert ["id"] == verdicts(profile, name)
    assert name == profile.roles.key


def test_a_second_id_is_excluded():
    """Only one can be the key; the other must not become a feature."""
    profile = look(
        table(udi=lambda _, y: np.arange(len(y)), product_id=lambda _, y: [f"M{i}" for i in range(len(y))]),
        label="y",
    )

    assert "product_id" == profile.roles.key
    assert ["udi"] == [column.name for column in profile.columns if column.exclude]


def test_a_unique_measurement_is_no_id():
    """Nanometres and salaries may all differ and still measure something."""
    profile = look(table(length=lambda rng, y: rng.choice(10**9, len(y), replace=False)), label="y")

    assert [] == verdicts(profile, "length")


def test_constants_gaps_and_twins_are_named():
    """They cost attention and carry nothing."""
    profile = look(
        table(
            unit=lambda _, y: ["mm"] * len(y),
            empty=lambda _, y: [None] * len(y),
            grade=lambda rng, y: rng.integers(1, 9, len(y)),
        ).with_columns(
            again=pl.col("grade"),
            word=pl.col("grade").replace_strict({str(i): "abcdefghi"[i] for i in range(1, 9)}),
        ),
        label="y",
    )

    assert (["constant"], ["empty"], ["twin"]) == tuple(
        verdicts(profile, name) for name in ("unit", "empty", "again")
    )
    assert "it equals 'grade' in every row" == profile.column("again").verdicts[0].evidence
    assert not profile.column("word").exclude
    assert "one to one" in profile.column("word").verdicts[0].evidence


def test_a_number_that_stands_for_missing_is_named():
    """-200 degrees are no temperature."""
    profile = look(
        table(temp=lambda rng, y: np.where(rng.random(len(y)) < 0.05, -200, rng.integers(5, 40, len(y)))),
        label="y",
    )

    assert ["sentinel"] == verdicts(profile, "temp")
    assert profile.column("temp").verdicts[0].evidence.startswith("-200 stands in ")


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
    verdicts = look(frame, label="y").column("places").verdicts

    assert is_told == ("sentinel" in {verdict.verdict for verdict in verdicts})


def test_the_area_of_a_perfect_number_is_not_rounded_off():
    """Its cells said 0.999 of a column that is never wrong."""
    days = np.random.default_rng(2).normal(270, 14, 800).round(2)
    is_early = days < np.quantile(days, 0.09)
    frame = pl.DataFrame({"days": days, "early": np.where(is_early, "yes", "no")})
    (verdict,) = look(frame.with_columns(pl.all().cast(pl.String)), label="early").column("days").verdicts

    assert ("leak", True) == (verdict.verdict, "(ROC AUC of 1.000)" in verdict.evidence)


def test_a_sentinel_is_named_as_the_file_spells_it():
    """What is declared missing is compared as text: 7300 would match nothing where the file says 7300.0."""
    days = table(
        days=lambda rng, y: np.where(
            rng.random(len(y)) < 0.05, "7300.0", rng.integers(5, 40, len(y)).astype(str)
        )
    )
    evidence = look(days, label="y").column("days").verdicts[0].evidence

    assert evidence.startswith("7300.0 stands in ")
    assert evidence.endswith("""add "7300.0" to the source's 'missing'""")


@pytest.mark.parametrize(("odd", "told"), [(0.0, []), (200.0, ["x", "log_x"])])
def test_of_a_column_and_its_logarithm_both_have_a_sentinel_or_neither_has(odd, told):
    """A person who mends one of two believes that the table is clean; and the logarithm of nothing is no code."""
    rng = np.random.default_rng(5)
    x = np.where(rng.random(ROWS) < 0.05, odd, rng.integers(1, 60, ROWS) / 2)
    frame = table(x=lambda *_: x).with_columns(log_x=pl.Series(np.log(x + 0.1)).cast(pl.String))
    profile = look(frame, label="y")
    found = {
        name: [v.evidence for v in profile.column(name).verdicts if v.verdict == "sentinel"]
        for name in ("x", "log_x")
    }

    assert told == [name for name, evidence in found.items() if evidence]
    if told:
        assert found["log_x"][0].startswith(f"{np.log(200.1)} stands where 'x' has 200.0")


def test_a_twin_says_what_to_do_about_it():
    grade = table(grade=lambda rng, y: rng.integers(1, 9, len(y)))
    profile = look(grade.with_columns(word="w" + pl.col("grade").cast(pl.String)), label="y")

    assert "; --exclude word (table.exclude) loses nothing" in profile.column("word").verdicts[0].evidence


def test_a_group_is_known_by_its_name_and_its_repetition():
    """Rows of one patient in both parts make a model look better than it is."""
    profile = look(table(patient_id=lambda rng, y: rng.integers(0, 200, len(y))), label="y")

    assert "patient_id" == profile.roles.group


def test_a_date_without_gaps_becomes_the_time():
    """Birth dates are dates too, and not when the row happened."""

    def days(rng: np.random.Generator, y: np.ndarray) -> list[str]:
        return [
            f"2023-{m:02}-{d:02}"
            for m, d in zip(rng.integers(1, 13, len(y)), rng.integers(1, 29, len(y)), strict=True)
        ]

    profile = look(table(birth_date=days, sold_at=days), label="y")

    assert "sold_at" == profile.roles.time


def test_unix_seconds_are_a_time():
    """Recommendation data tell the time in seconds since 1970."""
    profile = look(table(timestamp=lambda rng, y: 1_500_000_000 + rng.integers(0, 10**7, len(y))), label="y")

    assert "timestamp" == profile.roles.time


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["yes", "no"], "two"),
        (["0", "1"], "two"),
        (["3", "4", "5"], "classes"),
        (["red", "green", "blue"], "classes"),
        ([str(i) for i in range(40)], "number"),
        (["0.5", "1.0", "1.5"], "number"),
    ],
)
def test_the_label_says_its_form(values: list[str], form: str):
    """The user names a column; what kind of answer it asks for is seen."""
    frame = table().with_columns(y=pl.Series((values * ROWS)[:ROWS]))

    assert form == look(frame, label="y").label.form


@pytest.mark.parametrize(
    ("values", "positive"),
    [(["no", "yes"], "yes"), (["0", "1"], "1"), (["True", "False"], "True"), (["a", "b", "b"], "a")],
)
def test_the_positive_is_the_usual_name_else_the_rarer_value(values: list[str], positive: str):
    """The question is nearly always about the rarer, worse outcome."""
    frame = table().with_columns(y=pl.Series((values * ROWS)[:ROWS]))

    assert positive == look(frame, label="y").label.positive


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
        look(frame, **options)


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

    profile = look(frame, label="b")

    assert "unusable" == profile.column("l").type
    assert ("two", "true") == (profile.label.form, profile.label.positive)


def test_the_same_table_is_seen_the_same_way_twice():
    """`new` must not depend on chance, even where it looks at a sample."""
    frame = pl.concat([table()] * 30)

    assert look(frame, label="y") == look(frame, label="y")
    assert 50_000 == look(frame, label="y").looked_at


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
    known_later = {"is_recid", "is_violent_recid", "event", "end", "start", "in_custody", "out_custody"}

    assert again | violent | known_later <= leaks(profile)
    assert {"violent_recid", "decile_score.1", "priors_count.1", "screening_date"} <= out
    assert not {"age", "priors_count", "decile_score", "sex", "c_charge_degree", "juv_fel_count"} & out
    assert ("id", "compas_screening_date") == (profile.roles.key, profile.roles.time)


@pytest.mark.shared
def test_the_failure_modes_of_machines_are_leaks():
    """Four of the five say that the machine failed; the fifth does not show it in the data and stands beside them."""
    profile = shared("ai4i_2020.csv", label="Machine.failure")

    assert {"TWF", "HDF", "PWF", "OSF", "RNF"} == leaks(profile)
    assert "Product_ID" == profile.roles.key
    assert ["id"] == verdicts(profile, "UDI")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "label", "strong"),
    [
        ("credit_default_taiwan.csv", "default payment", "PAY_0"),
        ("house_prices_ames.csv", "SalePrice", "OverallQual"),
        ("creditcard_fraud_subset.csv", "Class", "V14"),
        ("telco_churn.csv", "Churn", "Contract"),
        ("insurance_fraud.csv", "FraudFound", "PolicyType"),
        ("german_credit.csv", "class-label", "checking-account"),
        ("electricity_elec2.csv", "class", "nswprice"),
        ("bike_sharing_hour.csv", "cnt", "hr"),
        ("wine_quality.csv", "quality", "alcohol"),
        ("bearing_cwru_features.csv", "fault", "rms"),
    ],
)
def test_honest_tables_have_no_leaks(file: str, label: str, strong: str):
    """A false alarm would throw away the best column."""
    profile = shared(file, label=label)

    assert set() == leaks(profile)
    assert strong == max(profile.columns, key=lambda column: column.strength or -1).name


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "label", "column", "part"),
    [
        ("adult_income.csv", "income", "fnlwgt", "weight"),
        ("house_prices_ames.csv", "SalePrice", "Id", "key"),
        ("bike_sharing_hour.csv", "cnt", "instant", "key"),
        ("bike_sharing_hour.csv", "cnt", "dteday", "time"),
        ("telco_churn.csv", "Churn", "customerID", "key"),
        ("insurance_fraud.csv", "FraudFound", "PolicyNumber", "key"),
        ("cmapss_fd001_train.csv.gz", "s_2", "unit", "group"),
        ("online_retail_dec2010_feb2011.csv.gz", "Quantity", "CustomerID", "group"),
        ("movielens_small_ratings.csv.gz", "rating", "timestamp", "time"),
    ],
)
def test_columns_with_a_part_are_found(file: str, label: str, column: str, part: str):
    """These are what people forget to say."""
    profile = shared(file, label=label)
    verdict = {"key": "id", "weight": "weight"}.get(part)

    assert part == "weight" or column == getattr(profile.roles, part)
    assert verdict is None or verdict in verdicts(profile, column)


@pytest.mark.shared
def test_a_look_takes_about_a_second():
    """Thirty thousand rows of twenty-four columns, on one core: a person waits for this."""
    began = time.perf_counter()
    shared("credit_default_taiwan.csv", label="default payment")

    assert time.perf_counter() - began < 10


def test_a_marker_of_no_value_in_the_label_is_known_by_a_column_of_numbers():
    """A third sex named "NA" would be predicted, and every number with a gap would become a category."""
    sexes = [*["MALE"] * 10, *["FEMALE"] * 9, "NA"]
    frame = pl.DataFrame({"mass": ["3750", "NA", *["3800"] * 18], "sex": sexes})

    assert {"NA": 2} == missing_spellings(frame, "sex")
    assert {} == missing_spellings(frame.drop("mass"), "sex")


def flights(airborne: object, *others: str) -> Profile:
    """Look at 1,000 flights, each tenth of them without a delay, and so without the other columns."""
    rng = np.random.default_rng(6)
    came = np.arange(1_000) % 10 > 0
    delay = pl.Series(rng.normal(10, 20, 1_000).round()).set(pl.Series(~came), None)
    columns = {name: pl.Series(rng.integers(0, 50, 1_000)).set(pl.Series(~came), None) for name in others}
    frame = pl.DataFrame(
        {"miles": rng.integers(100, 900, 1_000), "airborne": airborne, **columns, "delay": delay}
    )
    return look(frame.with_columns(pl.all().cast(pl.String)), label="delay")


def test_a_column_that_is_known_just_where_the_label_is_is_told():
    minutes = pl.Series(np.random.default_rng(7).integers(30, 300, 1_000))
    bare = pl.Series(np.arange(1_000) % 10 == 0)
    (told,) = flights(minutes.set(bare, None)).column("airborne").verdicts

    assert ("later", False) == (told.verdict, told.exclude)
    assert (
        "a value in 100 % of the rows that have a label, and in 0 of the 100 that have none" in told.evidence
    )
    # Known for some flights that never came: then it is known before.
    assert () == flights(minutes.set(bare & (minutes > 60), None)).column("airborne").verdicts
    # Rows of another kind, which lack nearly everything.
    assert () == flights(minutes.set(bare, None), "gate", "crew").column("airborne").verdicts


def test_the_time_as_a_number_is_no_feature():
    """Of rows to come it holds values that no training row has had: a model that learned of it answers all of them wrong."""
    rng = np.random.default_rng(8)
    days = np.sort(rng.integers(0, 900, 2_000))
    arrival = [date(2021, 1, 1) + timedelta(int(day)) for day in days]
    price = rng.normal(100, 20, 2_000) + days / 20
    frame = pl.DataFrame(
        {
            "year": 2021 + days // 365,
            "arrival_num": (2021 + days / 365.25).round(4),
            "lead": rng.integers(0, 300, 2_000),
            "days_ago": 900 - days,
            "arrival": arrival,
            "price": price.round(1),
        }
    )
    profile = look(frame.with_columns(pl.all().cast(pl.String)), label="price")
    (told,) = (one for one in profile.column("arrival_num").verdicts if one.verdict == "twin")

    assert "arrival" == profile.roles.time
    assert told.exclude
    assert "it ranks the rows as 'arrival' does, which is the time" in told.evidence
    assert any(one.exclude and "in reverse" in one.evidence for one in profile.column("days_ago").verdicts)
    assert not any(one.exclude for name in ("year", "lead") for one in profile.column(name).verdicts)


def of_three(**columns: Any) -> pl.DataFrame:
    """Eight honest measurements of three classes, one of them rare, and what else is asked for."""
    rng = np.random.default_rng(11)
    kind = rng.choice(["negative", "positive", "invalid"], ROWS, p=[0.8, 0.12, 0.08])
    is_it = (kind == "positive").astype(float)
    honest = {f"m{n}": (0.5 * is_it + rng.normal(size=ROWS)).round(3) for n in range(8)}
    made = {name: make(rng, kind) for name, make in columns.items()}
    return pl.DataFrame({**honest, **made, "kind": kind}, strict=False).with_columns(pl.all().cast(pl.String))


def cycles(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """Give the result of which one of three classes was read; the two others it does not tell apart."""
    return np.where(kind == "positive", rng.uniform(14, 36, ROWS), rng.uniform(35.95, 45, ROWS)).round(2)


def verified(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """Give hours that another class takes longer, as everybody knows afterwards."""
    return (rng.normal(size=ROWS) + np.where(kind == "invalid", 2.4, 0)).round(3)


def test_a_column_that_says_one_of_several_classes_is_a_leak():
    """Of two classes it was one; of three it takes little of the entropy, and was called honest."""
    profile = look(of_three(ct_result=cycles), label="kind")

    assert {"ct_result"} == leaks(profile)
    assert "alone it tells 'positive' from all others almost without error (ROC AUC of " in (
        profile.column("ct_result").verdicts[0].evidence
    )


def test_one_leak_does_not_hide_the_next():
    """Beside a column that says the label, any other is only fairly good."""
    both = look(of_three(ct_result=cycles, ver_tat=verified), label="kind")
    assert {"ct_result"} == leaks(both)
    asked = both.column("ver_tat").verdicts[0]
    assert ("strong", False) == (asked.verdict, asked.exclude)
    assert re.match(
        r"alone it tells 'invalid' from all others \(ROC AUC of 0.9\d\d\), the next column 0.5",
        asked.evidence,
    )
    assert asked.evidence.endswith("far above the others; was it known before the label was?")

    def told(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return (y + rng.normal(size=ROWS) * 0.12).round(3)

    def half(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return (y * 1.9 + rng.normal(size=ROWS)).round(3)

    noise = {f"n{n}": lambda rng, _: rng.normal(size=ROWS).round(3) for n in range(8)}
    two = table(**noise, told=told, half=half).with_columns(
        signal=pl.Series(np.random.default_rng(2).normal(size=ROWS).round(3)).cast(pl.String)
    )
    assert {"told", "half"} == leaks(look(two, label="y"))
    assert {"half"} == leaks(look(two.drop("told"), label="y"))


def test_what_a_person_left_out_hides_no_leak():
    """The model sees the others, so they are compared with each other."""

    def strong(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return (y * 2.2 + rng.normal(size=ROWS)).round(3)

    noise = {f"n{n}": lambda rng, _: rng.normal(size=ROWS).round(3) for n in range(9)}
    frame = table(**noise, a=strong, b=strong, c=strong, d=strong).drop("signal")

    assert set() == leaks(look(frame, label="y"))
    assert {"d"} == leaks(look(frame, label="y", exclude=["a", "b", "c"]))


def test_no_figure_calls_a_strong_column_honest():
    """Only who knows where it comes from can, so that is asked."""
    for bunch, says in ((load_breast_cancer(), "ROC AUC"), (load_iris(), "share of the label's entropy")):
        profile = look(from_bunch(bunch), label="target")
        told = [
            one.evidence for column in profile.columns for one in column.verdicts if one.verdict == "strong"
        ]

        assert 1 == len(told)
        assert f"the best single column ({says} of " in told[0]
        assert told[0].endswith(": was it known before the label was?")


def test_classes_that_several_columns_say_are_told_and_kept():
    """Flowers, bearings: one class may be easy, and then several columns say it."""
    easy = {f"e{n}": lambda rng, kind: rng.normal(size=ROWS) + 6 * (kind == "invalid") for n in range(4)}
    profile = look(of_three(**easy), label="kind")

    assert set() == leaks(profile)
    assert "tells 'invalid' from all others almost without error" in profile.column("e2").verdicts[0].evidence


def leaves(many: int = 12, rows: int = 30, **columns: Any) -> pl.DataFrame:
    """Measurements of leaves of several species, shuffled, and what else is asked for of each row's species."""
    rng = np.random.default_rng(21)
    species = rng.permutation(np.repeat(np.arange(many), rows))
    size = (species + rng.normal(size=many * rows)).round(3)
    made = {name: make(rng, species) for name, make in columns.items()}
    frame = pl.DataFrame({"size": size, **made, "species": [f"s{one:02}" for one in species]}, strict=False)
    return frame.with_columns(pl.all().cast(pl.String))


def test_what_was_written_of_a_class_and_not_of_a_row_is_a_leak():
    """The shape of a species' leaves, out of a book: five of eight such columns went to the model."""

    def but_one(_: np.random.Generator, species: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(species)) == np.flatnonzero(species == 3)[0], "heart", shapes[species])

    def gaps(rng: np.random.Generator, species: np.ndarray) -> list[str | None]:
        return [None if rng.random() < 0.2 else str(one % 3) for one in species]

    shapes = np.array(["round", "needle", "heart", "round"] * 3)
    frame = leaves(
        shape=lambda _, species: shapes[species],
        lobed=lambda _, species: np.where(species == 5, "yes", "no"),
        mean_area=lambda _, species: species // 2 + 0.5,
        gaps=gaps,
        but_one=but_one,
        any=lambda rng, species: rng.choice(["a", "b"], len(species)),
    )
    profile = look(frame, label="species")

    assert {"shape", "lobed", "mean_area", "gaps"} == leaks(profile)
    assert profile.column("shape").exclude
    says = "never varies within a class: each of the 12 classes has one value of it, so it was written for the class"
    assert says == profile.column("shape").verdicts[0].evidence


def test_a_value_of_a_few_rows_is_not_written_for_their_class_by_chance():
    """Three rows of a rare kind are of one class soon, and the others of that class say that they are not its."""

    def rare(_: np.random.Generator, species: np.ndarray) -> np.ndarray:
        flag = np.full(len(species), "no")
        flag[np.flatnonzero(species == 5)[:3]] = "yes"
        return flag

    def few(_: np.random.Generator, species: np.ndarray) -> list[str | None]:
        said: list[str | None] = [None] * len(species)
        for one in range(12):
            for row in np.flatnonzero(species == one)[:4]:
                said[int(row)] = str(one % 2)
        return said

    assert set() == leaks(look(leaves(rare=rare, few=few), label="species"))


@pytest.mark.parametrize(("columns", "asked"), [(5, 5), (9, 3)])
def test_where_many_columns_tell_one_class_each_it_is_asked_of_the_best_alone(columns: int, asked: int):
    """Of 32 species some are easy: twenty such lines hid the finding that mattered."""
    easy = {
        f"e{n}": lambda rng, species, n=n: (rng.normal(size=len(species)) + (30 + n) * (species == 4)).round(
            3
        )
        for n in range(columns)
    }
    profile = look(leaves(rows=60, **easy), label="species")
    told = [
        one.evidence
        for column in profile.columns
        for one in column.verdicts
        if one.verdict == "strong" and "tells 's04'" in one.evidence
    ]

    assert set() == leaks(profile)
    assert asked == len(told)
    assert all(
        (f", as {columns - 1} other columns tell one class or another" in one) == (asked == 3) for one in told
    )


def people(rows: int = ROWS, many: int = 1_500) -> dict[str, np.ndarray]:
    """Give visits of people whose number, sex and street are their own."""
    rng = np.random.default_rng(6)
    who = np.concatenate([np.arange(many), rng.integers(0, many, rows - many)])
    who = rng.permutation(who)
    return {"who": who, "sex": rng.integers(0, 2, many)[who], "street": rng.integers(0, 40, many)[who]}


def test_a_number_that_names_most_rows_is_no_feature():
    """A number of the patient became the main column of a model."""
    made = people()
    frame = table(patient_id=lambda *_: made["who"] + 1)
    named = look(frame, label="y")
    bare = look(frame.rename({"patient_id": "mrn"}), label="y")

    assert "patient_id" == named.roles.group
    assert "by its name, rows of one belong together" in named.roles.group_because
    assert (None, True) == (bare.roles.group, bare.column("mrn").exclude)
    assert (
        "whole numbers from 1 to 1500 with hardly a gap in 2,000 rows"
        in bare.column("mrn").verdicts[0].evidence
    )


def test_amounts_of_many_values_stay_features():
    """Areas and prices are whole numbers too, and most rows have one of their own."""

    def area(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return rng.integers(1_000, 5_000, len(y))

    profile = look(table(area=area, client=area), label="y")

    assert [] == verdicts(profile, "area") == verdicts(profile, "client")
    assert profile.roles.group is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fake_first_name", "by its name it names people"),
        ("surname", "by its name it names people"),
        ("customer_name", "by its name it names people"),
        ("col_rec_tat", "it may be known only afterwards"),
        ("discharge_ward", "it may be known only afterwards"),
        ("clinic_name", ""),
        ("prior_outcome", ""),
        ("last", ""),
    ],
)
def test_a_name_gives_cause_to_ask_and_no_more(name: str, says: str):
    """Names prove nothing, and yet a person should look."""
    words = table(**{name: lambda rng, y: rng.choice(["ann", "bo", "cy"], len(y))})
    column = look(words, label="y").column(name)

    assert (bool(says), False) == ("name" in [one.verdict for one in column.verdicts], column.exclude)
    assert says in "".join(one.evidence for one in column.verdicts)
