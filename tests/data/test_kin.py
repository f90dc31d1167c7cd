"""Leaks that no figure of their own gives away, each beside an honest neighbour of the same form."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from linewright.data.quality.report import Profile, look

ROWS = 3_000


def claims(seed: int = 3, **columns: object) -> pl.DataFrame:
    """Text columns as in a CSV file: an honest number, and a label of which a tenth is positive."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=ROWS)
    label = (size + rng.normal(size=ROWS) > 1.8).astype(int)
    made = {name: make(rng, label) if callable(make) else make for name, make in columns.items()}
    frame = pl.DataFrame({"size": size.round(3), **made, "y": label}, strict=False)
    return frame.with_columns(pl.all().cast(pl.String))


def leaks(profile: Profile) -> dict[str, str]:
    return {
        column.name: verdict.evidence
        for column in profile.columns
        for verdict in column.verdicts
        if verdict.verdict == "leak"
    }


def flag(share: float, of: int = 1):
    """Make a flag that is up in a share of the rows of one class, and in no other row."""
    return lambda rng, y: ((y == of) & (rng.random(ROWS) < share)).astype(int)


def rare(share: float):
    """Make a flag that is up in a share of all rows, whatever their class."""
    return lambda rng, _: (rng.random(ROWS) < share).astype(int)


def test_a_number_of_days_to_a_date_that_is_known_later_is_a_leak():
    """It tells little alone, and is not known when the row happens all the same."""
    rng = np.random.default_rng(1)
    y = claims()["y"].cast(pl.Int64).to_numpy()
    days = np.where(rng.random(ROWS) < 0.5, 0, 3 + rng.integers(0, 30, ROWS) + 60 * y)
    began = [date(2023, 1, 1) + timedelta(int(day)) for day in rng.integers(0, 300, ROWS)]
    closed = [at + timedelta(int(day)) for at, day in zip(began, days, strict=True)]
    age = rng.integers(0, 90, ROWS)

    found = leaks(look(claims(opened_at=began, closed_on=closed, duration=days, age=age), label="y"))

    assert {"closed_on", "duration"} == found.keys()
    assert "it is the days from 'opened_at' to 'closed_on', which is a leak" in found["duration"]


def test_days_between_two_dates_that_are_known_are_no_leak():
    """How long someone has been a customer is known, and may even help."""
    rng = np.random.default_rng(2)
    began = [date(2023, 1, 1) + timedelta(int(day)) for day in rng.integers(0, 300, ROWS)]
    days = rng.integers(0, 900, ROWS)
    joined = [at - timedelta(int(day)) for at, day in zip(began, days, strict=True)]

    assert {} == leaks(look(claims(happened_at=began, joined_on=joined, customer_for=days), label="y"))


def test_flags_that_are_each_too_rare_to_judge_are_leaks_together():
    """Forty causes of failure, each a few times: that one of them is up is the failure."""
    rng = np.random.default_rng(4)
    y = claims()["y"].cast(pl.Int64).to_numpy()
    cause = np.where(y == 1, rng.integers(0, 20, ROWS), -1)
    causes = {f"cause_{'abcdefghijklmnopqrst'[i]}": (cause == i).astype(int) for i in range(20)}

    found = leaks(look(claims(**causes, holiday=rare(0.01)), label="y"))

    assert len(found) >= 18
    assert found.keys() <= causes.keys()
    assert "together they are the label in other words" in "".join(found.values())


def test_rare_flags_that_say_little_are_no_leaks_together():
    """Chance raises some of them in one class only; the other half of the rows says that it was chance."""
    flags = {f"option_{number}": rare(0.002) for number in range(40)}

    assert {} == leaks(look(claims(**flags), label="y"))


@pytest.mark.parametrize(
    ("name", "make", "is_leak"),
    [
        ("RNF", rare(0.004), True),
        ("RNF", rare(0.4), False),
        ("new_driver", rare(0.004), False),
    ],
    ids=["as rare and named alike", "common", "another name"],
)
def test_a_rare_flag_in_a_row_of_leaks_is_one_of_their_family(name: str, make, is_leak: bool):
    """Failure modes come in a list; one that never showed is a failure mode all the same."""
    modes = {mode: flag(0.25) for mode in ("TWF", "HDF", "PWF", "OSF")}

    found = leaks(look(claims(**modes, **{name: make}), label="y"))

    assert ({*modes, name} if is_leak else {*modes}) == found.keys()
    if is_leak:
        assert "it stands beside TWF, HDF, PWF, OSF, which are leaks" in found[name]


@pytest.mark.parametrize(
    ("formula", "make"),
    [
        ("a + b", lambda a, b: a + b),
        ("a - b", lambda a, b: a - b),
        ("b - a", lambda a, b: b - a),
        ("a * b", lambda a, b: a * b),
    ],
)
def test_parts_that_make_the_label_are_leaks(formula: str, make):
    """Casual and registered riders are all riders; an amount is a price times a quantity."""
    rng = np.random.default_rng(6)
    a, b, other = (rng.integers(1, 500, ROWS) for _ in range(3))
    frame = pl.DataFrame({"a": a, "b": b, "other": other, "y": make(a, b)})

    found = leaks(look(frame, label="y"))

    assert {"a", "b"} == found.keys()
    assert f"{formula} is the label in 100 % of rows" in found["a"]


@pytest.mark.parametrize("noise", [0, 40], ids=["exactly", "nearly"])
def test_more_numbers_that_add_up_to_the_label_are_leaks_where_they_do_so_exactly(noise: int):
    """The interest of a loan is all that was paid, without principal and fees."""
    rng = np.random.default_rng(8)
    interest, principal, fees, other = (rng.integers(1, 500, ROWS) for _ in range(4))
    fees = np.where(rng.random(ROWS) < 0.3, fees, 0)
    paid = interest + principal + fees + (rng.integers(-noise, noise, ROWS) if noise else 0)
    frame = pl.DataFrame(
        {"paid": paid, "principal": principal, "fees": fees, "other": other, "y": interest / 100}
    ).with_columns(pl.col("paid", "principal", "fees") / 100)

    found = leaks(look(frame, label="y"))

    assert (set() if noise else {"paid", "principal", "fees"}) == found.keys()
    if not noise:
        assert "paid - principal - fees is the label in 100 % of rows" in found["paid"]


def stars(rng: np.random.Generator, mean: np.ndarray) -> dict[str, np.ndarray]:
    """Give the share of each number of stars that a hundred people gave, in tens of percent, and a column that knows less."""
    given = np.stack(
        [rng.binomial(100, np.clip(one, 0, 1)) for one in np.exp(-((np.arange(1, 6)[:, None] - mean) ** 2))]
    )
    return {f"stars_{level}": (given[level - 1] / given.sum(axis=0)).round(1) for level in range(1, 6)}


def test_shares_of_the_levels_of_which_the_label_is_the_mean_are_leaks():
    rng = np.random.default_rng(11)
    size = rng.normal(size=ROWS)
    mean = 3 + 0.5 * size + rng.normal(scale=0.7, size=ROWS)
    frame = pl.DataFrame({"size": size.round(3), **stars(rng, mean), "rating": mean.round(2)})

    found = leaks(look(frame.with_columns(pl.all().cast(pl.String)), label="rating"))

    assert {f"stars_{level}" for level in range(1, 6)} == found.keys()
    assert "stars_1 to stars_5 have a mean that goes with the label" in found["stars_3"]


def test_numbered_columns_that_are_no_levels_are_honest():
    """What was sold in the weeks before is known, and tells well."""
    rng = np.random.default_rng(12)
    level = rng.gamma(4.0, 10.0, size=ROWS)
    weeks = {f"week_{back}": rng.poisson(level) for back in range(1, 6)}
    frame = pl.DataFrame({**weeks, "sold": rng.poisson(level)})

    assert {} == leaks(look(frame.with_columns(pl.all().cast(pl.String)), label="sold"))


@pytest.mark.parametrize(
    ("formula", "make"),
    [
        ("people * rate / 10,000", lambda count, people: count * 10_000 / people),
        ("people / rate * 1,000", lambda count, people: 1_000 * people / np.maximum(count, 1)),
        ("rate / people * 100", lambda count, people: count * people / 100),
    ],
)
def test_a_rate_and_what_it_is_of_are_leaks_whatever_the_rate_is_per(formula: str, make):
    """Murders are the murders per 10,000 people times the people; the 10,000 hid it."""
    rng = np.random.default_rng(9)
    people = rng.integers(2_000, 900_000, ROWS)
    count = rng.poisson(people / 60_000 if "/ rate" not in formula else people / 6_000)
    count = np.maximum(count, 1) if "/ rate" in formula else count
    frame = pl.DataFrame(
        {
            "people": people,
            "rate": make(count, people).round(7),
            "logarithm": np.log(people).round(5),
            "other": rng.integers(0, 900, ROWS),
            "count": count,
        }
    )

    found = leaks(look(frame.with_columns(pl.all().cast(pl.String)), label="count"))

    assert {"people", "rate"} == found.keys()
    assert f"{formula} is the label in 100 % of rows: who knows both knows the label" == found["rate"]


def test_a_product_that_is_the_label_only_where_that_is_nothing_is_honest():
    """No count without people: where most rows hold 0, zeros alone make no product."""
    rng = np.random.default_rng(10)
    some = rng.random(ROWS) < 0.2
    a, b = (np.where(some, rng.integers(1, 500, ROWS), 0) for _ in range(2))
    frame = pl.DataFrame({"a": a, "b": b, "y": np.where(some, a + rng.integers(1, 900, ROWS), 0)})

    assert {} == leaks(look(frame.with_columns(pl.all().cast(pl.String)), label="y"))


def test_numbers_that_nearly_make_the_label_are_honest():
    """Rooms upstairs and downstairs explain a price, and are not the price."""
    rng = np.random.default_rng(7)
    a, b = rng.integers(1, 500, ROWS), rng.integers(1, 500, ROWS)
    frame = pl.DataFrame({"a": a, "b": b, "y": a + b + rng.integers(-40, 40, ROWS)})

    assert {} == leaks(look(frame, label="y"))


def test_an_amount_that_only_the_outcome_brings_is_a_leak():
    """What was recovered is 0 until something was lost."""

    def recovered(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return np.where((y == 1) & (rng.random(ROWS) < 0.6), rng.integers(1, 900, ROWS), 0)

    def paid(rng: np.random.Generator, _: np.ndarray) -> np.ndarray:
        return np.where(rng.random(ROWS) < 0.1, rng.integers(1, 900, ROWS), 0)

    found = leaks(look(claims(recovered=recovered, paid=paid), label="y"))

    assert {"recovered"} == found.keys()
    assert "it is not 0 in" in found["recovered"]


def test_what_the_rarer_class_never_has_is_a_leak_though_the_class_is_common():
    """Nine of ten loans are repaid, and those have a day of the last instalment."""

    def repaid(rng: np.random.Generator, y: np.ndarray) -> list[int | None]:
        return [int(rng.integers(1, 900)) if not one and rng.random() < 0.7 else None for one in y]

    def phone(rng: np.random.Generator, y: np.ndarray) -> list[int | None]:
        return [int(rng.integers(1, 900)) if rng.random() < 0.7 - 0.4 * one else None for one in y]

    found = leaks(look(claims(last_instalment=repaid, months_here=phone), label="y"))

    assert {"last_instalment"} == found.keys()
    assert "and in 0 of the" in found["last_instalment"]


def test_a_count_that_is_mostly_zero_and_tells_well_is_honest():
    """A word that nearly only spam has is what a filter learns from."""

    def word(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        return np.where(rng.random(ROWS) < np.where(y == 1, 0.6, 0.006), rng.integers(1, 9, ROWS), 0)

    assert {} == leaks(look(claims(money=word), label="y"))


@pytest.mark.parametrize(("others", "is_leak"), [(2, False), (8, True)])
def test_one_good_column_of_a_small_table_is_strong_and_no_leak(others: int, is_leak: bool):
    """A balance may well tell who pays late; beside eight columns that tell nothing it is a reason to ask."""
    rng = np.random.default_rng(9)
    y = rng.integers(0, 2, ROWS)
    noise = {f"n{number}": rng.normal(size=ROWS) for number in range(others)}
    frame = pl.DataFrame({"balance": rng.normal(size=ROWS) + 2.1 * y, **noise, "y": y})

    profile = look(frame, label="y")

    assert [("leak" if is_leak else "strong")] == [one.verdict for one in profile.column("balance").verdicts]
    assert "the next column 0.5" in profile.column("balance").verdicts[0].evidence
    assert is_leak == profile.column("balance").exclude
