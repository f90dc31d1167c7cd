"""The world of card payments: the same from the same seed, and its truth is true."""

import re
from dataclasses import asdict, replace
from datetime import datetime, time, timedelta
from functools import lru_cache
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import chi2
from sklearn.metrics import average_precision_score

from linewright.errors import RequestError
from linewright.store.values import digest_of
from linewright.worlds.fraud.payments import AGES, CATEGORIES, CHANNELS, COUNTRIES, DEVICES, HOMES, SEXES
from linewright.worlds.fraud.world import LABEL_DELAY, RANGES, START, FraudWorld, Ranges, draw
from linewright.worlds.shop import world as shop

SEEDS = (1, 2, 3)
FEATURES = (
    "hour",
    "amount",
    "usual_amount_ratio",
    "channel",
    "device",
    "merchant_category",
    "merchant_country",
    "merchant_risk",
    "home_country",
    "account_age_days",
    "payments_last_24h",
    "age_group",
    "sex",
)
LEVELS = {
    "channel": CHANNELS,
    "device": DEVICES,
    "merchant_category": CATEGORIES,
    "merchant_country": COUNTRIES,
    "home_country": HOMES,
    "age_group": AGES,
    "sex": SEXES,
}


def small(seed, *, attack=True, **changes):
    """Return a world of few payments and days."""
    changes = {
        "payments": 60.0,
        "customers": 200,
        "history_days": 6,
        "live_days": 8,
        "attack_after": 2,
        **changes,
    }
    return FraudWorld(seed, attack=attack, parameters=replace(draw(seed), **changes))


@lru_cache(maxsize=len(SEEDS))
def days_of(seed):
    """Return all days of a world with its attack; nobody changes them, and several tests look at the same."""
    world = FraudWorld(seed)
    return [world.day(number) for number in range(world.days)]


def truth(days):
    return tuple(
        np.concatenate([getattr(day, name) for day in days]) for name in ("fraud", "p_true", "is_attack")
    )


def table(days):
    return pl.concat([day.payments for day in days])


def assert_same(one, other):
    assert_frame_equal(one.labelled, other.labelled, check_exact=True)
    for name in ("fraud", "p_true", "label_at", "is_attack"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


# --- The same from the same seed -------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(14)))
def test_a_day_is_the_same_whatever_was_asked_for_before(seed, order):
    """A resumed run asks for days that another process has asked for already."""
    forward = [small(seed).day(number) for number in (0, 7, 13)]
    world = small(seed)
    asked = {number: world.day(number) for number in order}

    for day in forward:
        assert_same(day, asked[day.number])


def test_the_customers_are_those_who_pay_and_known_before_they_do():
    """A line that looks customers up learns the same as one whose payments say it all."""
    world = small(1, history_days=400, live_days=8)
    paid = pl.concat([world.day(number).payments for number in (0, 200, 407)])
    found = paid.join(world.customers, on="customer", how="left", maintain_order="left", suffix="_looked_up")
    same = ("home_country", "age_group", "sex")

    assert world.customers["customer"].is_unique().all()
    assert [paid[name].to_list() for name in same] == [found[f"{name}_looked_up"].to_list() for name in same]
    assert paid["account_age_days"].equals((found["paid_at"] - found["opened_at"]).dt.total_days())
    assert (found["registered_at"] < found["opened_at"]).all()
    assert found["customer"].str.ends_with("-1").any()


def test_another_seed_is_another_world():
    assert draw(1) != draw(2)
    assert not small(1).day(0).payments.equals(small(2).day(0).payments)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_the_attack_all_other_payments_are_the_same(seed):
    """Else the difference that a factory makes could not be told from chance."""
    attacked, calm = FraudWorld(seed), FraudWorld(seed, attack=False)

    for number in (0, attacked.attack_day - 1, attacked.attack_day, attacked.attack_day + 9):
        one, other = attacked.day(number), calm.day(number)
        kept = ~one.is_attack

        assert not other.is_attack.any()
        assert_frame_equal(one.labelled.filter(kept), other.labelled, check_exact=True)
        assert np.array_equal(one.label_at[kept], other.label_at)
        assert kept.all() == (number < attacked.attack_day)


def test_the_attack_changes_the_truth_only_where_it_strikes():
    """What the attackers leave alone is as safe as before."""
    attacked, calm = FraudWorld(1), FraudWorld(1, attack=False)
    numbers = range(attacked.attack_day, attacked.days)
    ones, others = ([world.day(number) for number in numbers] for world in (attacked, calm))
    _, after, is_attack = truth(ones)
    _, before, _ = truth(others)
    alike = after[~is_attack] == before
    changed = table(others).filter(~alike)

    assert 0 < changed.height < 2 * len(numbers), "rare before"
    assert (before[~alike] < 0.05).mean() > 0.9, "harmless before"
    assert {"online"} == set(changed["channel"])
    assert changed["hour"].max() < 6
    assert changed["amount"].is_between(0.5, attacked.parameters.attack_amount + 0.01).all()


# --- The truth is true -----------------------------------------------------------------------------------------------


def test_labels_follow_the_stated_probabilities():
    """The oracle is only as good as this: labels in bins of `p_true`, by chi-square, over three seeds."""
    days = [day for seed in SEEDS for day in days_of(seed)[FraudWorld(seed).go_live :]]
    fraud, p, _ = truth(days)
    bins = np.searchsorted([0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9], p)
    seen, expected, spread = (np.bincount(bins, weights=w) for w in (fraud, p, p * (1 - p)))
    statistic = float(np.sum((seen - expected) ** 2 / spread))

    assert chi2.sf(statistic, seen.size) > 1e-3, f"seeds {SEEDS}: {statistic:.1f} on {seen.size} bins"


@pytest.mark.parametrize(
    "column", ["hour", "device", "merchant_category", "age_group", "sex", "home_country", "account_age_days"]
)
def test_labels_follow_the_probabilities_within_every_feature_where_the_attack_strikes(column):
    """A density that forgets a feature is right on average and wrong within it."""
    days = [day for seed in SEEDS for day in days_of(seed)[FraudWorld(seed).attack_day :]]
    fraud, p, _ = truth(days)
    frame = table(days).with_columns(fraud=fraud, p=p)
    struck = (pl.col("hour") < 6) & (pl.col("channel") == "online") & (pl.col("amount") < 12)
    of = pl.col(column) // 1000 if column == "account_age_days" else pl.col(column)
    parts = (
        frame.filter(struck)
        .group_by(of)
        .agg(
            seen=pl.col("fraud").sum(),
            expected=pl.col("p").sum(),
            spread=(pl.col("p") * (1 - pl.col("p"))).sum(),
        )
        .filter(pl.col("expected") > 5)
    )
    statistic = ((parts["seen"] - parts["expected"]) ** 2 / parts["spread"]).sum()

    assert parts.height > 1
    assert chi2.sf(statistic, parts.height) > 1e-3, f"seeds {SEEDS}: {parts}"


@pytest.mark.parametrize("seed", range(1, 9))
def test_fraud_is_rare_before_the_attack_and_multiplied_after(seed):
    """1 to 2 % before; after the ramp as many more frauds as the parameters say."""
    world = FraudWorld(seed)
    days = days_of(seed)
    before, after = (truth(part)[0] for part in (days[: world.attack_day], days[world.attack_day + 3 :]))
    times = (after.sum() / (world.days - world.attack_day - 3)) / (before.sum() / world.attack_day)

    assert 0.010 < before.mean() < 0.020, f"seed {seed}"
    assert times == pytest.approx(world.parameters.attack_factor, rel=0.2), f"seed {seed}"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_is_worth_more_than_blocking_nothing(seed):
    """There is money to be saved, before and after."""
    world = FraudWorld(seed)
    days = days_of(seed)
    for part in (days[: world.go_live], days[world.attack_day + 3 :]):
        fraud, p, _ = truth(part)
        nothing = world.stakes.value(fraud, np.zeros_like(fraud))
        best = world.stakes.value(fraud, world.stakes.best_decision(p))

        assert -12_000 * int(fraud.sum()) == nothing
        assert nothing < 2 * best < 0


# --- Labels arrive ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_fraud_is_known_soon_and_the_rest_when_the_delay_is_over(seed):
    """Labels of one class come first: a training set that forgets this sees too much fraud among the newest rows."""
    world = FraudWorld(seed)
    days = [world.day(d) for d in range(world.attack_day, world.attack_day + 5)]
    paid = table(days)["paid_at"].to_numpy()
    fraud = truth(days)[0]
    wait = np.concatenate([day.label_at for day in days]) - paid

    assert (wait[~fraud] == np.timedelta64(LABEL_DELAY)).all()
    assert (wait[fraud] >= np.timedelta64(1, "D")).all()
    assert (wait[fraud] < np.timedelta64(3, "D")).all()
    assert np.unique(wait[fraud]).size > 0.9 * fraud.sum()


def test_every_label_arrives_exactly_once():
    """A label that is lost or comes twice would be a fault of the world, and be blamed on the factory."""
    world = small(5)
    arrived = pl.concat([world.labels_during(number) for number in range(world.days + 6)])
    given_out = pl.concat([world.day(number).labels for number in range(world.days)])

    assert_frame_equal(given_out.sort("payment"), arrived.sort("payment"))
    assert world.labels_during(world.days + 6).is_empty()


def test_labels_of_a_day_arrive_on_that_day_in_order():
    world = small(5)
    arrived = world.labels_during(9)["label_at"]
    begin = datetime.combine(START, time()) + timedelta(days=9)

    assert arrived.is_sorted()
    assert arrived.is_between(begin, begin + timedelta(days=1), closed="left").all()


# --- What a user sees ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_payments_are_a_table_as_a_bank_has_it(seed):
    """Unique keys, in the order of time, on their day, nothing missing, and no word about the attack."""
    world = FraudWorld(seed)
    days = [world.day(d) for d in range(world.attack_day - 2, world.attack_day + 3)]
    frame = table(days)

    assert ["payment", "paid_at", "customer", *FEATURES] == frame.columns
    assert frame["payment"].is_unique().all()
    assert frame["paid_at"].is_sorted()
    assert [day.date for day in days for _ in range(day.payments.height)] == frame[
        "paid_at"
    ].dt.date().to_list()
    assert (frame["paid_at"].dt.hour() == frame["hour"]).all()
    assert 0 == sum(frame.null_count().row(0))
    assert ["no", "yes"] == sorted(days[0].labelled["fraud"].unique())


@pytest.mark.parametrize("seed", SEEDS)
def test_in_calm_no_column_drifts(seed):
    """A monitor that alarms here alarms falsely: whole weeks, five at the start and five at the end, without the attack."""
    world = FraudWorld(seed, attack=False)
    first, last = (table([world.day(d) for d in days]) for days in (range(35), range(70, 105)))

    shifts = {name: psi(first[name], last[name]) for name in FEATURES}

    assert {} == {name: shift for name, shift in shifts.items() if shift > 0.02}, f"seed {seed}"


def psi(first, last):
    """Return the population stability index, in tenths for numbers."""
    if first.dtype.is_numeric() and first.n_unique() > 30:
        edges = np.quantile(first.to_numpy(), np.linspace(0.1, 0.9, 9))
        first, last = (pl.Series(np.searchsorted(edges, part.to_numpy())) for part in (first, last))
    levels = sorted(set(first))
    a, b = (
        np.array([0.5 + (part == level).sum() for level in levels]) / part.len() for part in (first, last)
    )
    return float(np.sum((b - a) * np.log(b / a)))


def test_customers_keep_what_they_are():
    """A customer who changes sex or home from day to day is not one."""
    world = small(3, live_days=400)
    traits = (
        table([world.day(d) for d in range(0, world.days, 7)])
        .group_by("customer")
        .agg(
            pl.col("home_country", "age_group", "sex").n_unique(),
            opened=(pl.col("paid_at").dt.date() - pl.duration(days=pl.col("account_age_days"))).n_unique(),
            generation=pl.col("customer").first().str.slice(-1),
        )
    )

    assert {1} == set(traits.select("home_country", "age_group", "sex", "opened").to_numpy().ravel().tolist())
    assert {"0", "1"} <= set(traits["generation"]), "some leave, others come"


@pytest.mark.parametrize("number", [-1, 14])
def test_a_day_that_the_world_does_not_have_is_refused(number):
    with pytest.raises(RequestError, match="0 to 13"):
        small(1).day(number)


def test_more_payments_than_keys_are_refused():
    with pytest.raises(RequestError, match="too many"):
        small(1, payments=1e6)


# --- What was committed ----------------------------------------------------------------------------------------------


def test_the_committed_ranges_are_those_that_policies_were_tried_on():
    """Ranges are fixed before a policy is tuned. Whoever moves them says so here, and results before are void."""
    assert "sha256:bcaf17f6fb6b91dedba6f142b0f4cd458f57930aa322b960ee2c5b179e8430e8" == digest_of(
        RANGES.model_dump()
    )


@given(seed=st.integers(0, 2**32))
def test_parameters_lie_in_their_ranges(seed):
    for name, value in asdict(draw(seed)).items():
        bounds = getattr(RANGES, name)

        assert bounds.low <= value <= bounds.high


@pytest.mark.parametrize("name", Ranges.model_fields)
def test_every_range_has_a_unit_and_a_reason(name):
    bounds = getattr(RANGES, name)

    assert bounds.unit
    assert bounds.because


# --- What it is for --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_learns_is_blind_to_the_attack_and_learns_again(seed):
    """Without this story the world would show nothing: learnable, then missed, then found by a retrained model."""
    world, days = FraudWorld(seed), days_of(seed)
    begin = world.attack_day
    calm, struck = days[world.go_live : begin], days[begin + 16 :]
    old, new = fit(days[: world.go_live]), fit(days[: begin + 11])

    assert 0.3 < precision(old, calm) < 0.65
    assert precision(old, struck) < 0.35
    assert precision(new, struck) > 0.6
    assert saved(world, calm, old) > 0.8
    assert saved(world, struck, old) < 0.5
    assert saved(world, struck, new) > 0.85


def matrix(days):
    frame = table(days).select(FEATURES)
    return frame.with_columns(
        pl.col(name).replace_strict({level: i for i, level in enumerate(levels.tolist())})
        for name, levels in LEVELS.items()
    ).to_numpy()


def fit(days):
    settings = {"num_leaves": 15, "learning_rate": 0.05, "feature_fraction": 0.7, "lambda_l2": 5, "seed": 1}
    fixed = {"objective": "binary", "num_threads": 1, "deterministic": True, "verbose": -1}
    return lgb.train(settings | fixed, lgb.Dataset(matrix(days), truth(days)[0]), num_boost_round=120)


def precision(model, days):
    return average_precision_score(truth(days)[0], model.predict(matrix(days)))


def saved(world, days, model):
    """Return the share of what the oracle saves that a model saves."""
    fraud, p, _ = truth(days)
    best, mine = (world.stakes.best_decision(chance) for chance in (p, model.predict(matrix(days))))
    nothing = world.stakes.value(fraud, np.zeros_like(fraud))
    return (world.stakes.value(fraud, mine) - nothing) / (world.stakes.value(fraud, best) - nothing)


def test_the_page_about_worlds_has_the_committed_ranges():
    """A table written by hand is wrong a month later."""
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "worlds.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| (.+) \|$", page, flags=re.MULTILINE)
    bounds = [
        (name, getattr(ranges, name))
        for ranges in (RANGES, shop.RANGES)
        for name in type(ranges).model_fields
    ]

    assert {(name, b.low, b.high, b.unit) for name, b in bounds} == {
        (name, float(low), float(high), unit) for name, low, high, unit in rows
    }
