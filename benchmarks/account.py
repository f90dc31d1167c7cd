"""Whether a line's value account says what the world says: lives of a world whose truth is known, seed after seed.

    python benchmarks/account.py [--seeds N] [--seed-from K]
    python benchmarks/account.py --coverage [--draws N]

Each life is the demo: a line is made, serves, is attacked, retrains. Its account is made of its prediction log and of the labels that
came. *Own* is what it says of the decisions whose label is due, *world* what the world says of the same: equal to the cent. *Estimate*
is what the account says of all decisions of the life with its 95 % interval, *all* what the world says of them: within the interval.

*Coverage* needs no life: days are drawn whose rate of positives wanders from day to day, and it is counted how often the 95 % interval of
the gain holds what is gained on average at these rates.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from linewright.line.factory import Factory
from linewright.people.account import account_of, of_all_answers
from linewright.people.facts import DaySums, Sums
from linewright.worlds.demo.operations import Demo, demo

RATE, FALSE = 0.02, 0.03
"""Share of positives, all of which are found, and of false alarms among the others."""
FOUND, FALSE_ALARM = 180.0, -40.0
"""What each gains, in the currency."""
DAYS = (
    (5, 0.0, 0.0),
    (9, 0.3, 0.0),
    (10, 0.0, 0.0),
    (10, 0.5, 0.0),
    (30, 0.5, 0.0),
    (30, 0.5, 0.6),
    (90, 0.5, 0.6),
    (365, 0.5, 0.8),
)
"""Days; how far the rate wanders, as the standard deviation of its logarithm; how much of that is left on the next day."""
A_DAY = 300


def lived(seed: int) -> Demo:
    """Return the demo of a seed; its folder goes."""
    with tempfile.TemporaryDirectory() as folder:
        return demo(Factory(Path(folder) / "factory"), "fraud", seed=seed)


def drawn(chance: np.random.Generator, days: int, spread: float, left: float) -> tuple[list[DaySums], float]:
    """Draw the sums of some days, and return them with what is gained on average at their rates."""
    mood, truth, sums = float(chance.normal()), 0.0, list[DaySums]()
    for day in range(days):
        mood = left * mood + math.sqrt(1 - left**2) * float(chance.normal())
        rate = min(RATE * math.exp(spread * mood - spread**2 / 2), 1.0)
        n = int(chance.poisson(A_DAY))
        found = int(chance.binomial(n, rate))
        false = int(chance.binomial(n - found, FALSE))
        gain, squared = found * FOUND + false * FALSE_ALARM, found * FOUND**2 + false * FALSE_ALARM**2
        own = Sums(currency="EUR", matured=n, value=gain, value_squared=squared, gain_squared=squared)
        sums.append(DaySums(day=f"{day:05}", spans={}, sums=(own,)))
        truth += n * (RATE * FOUND + (1 - RATE) * FALSE * FALSE_ALARM)
    return sums, truth


def coverage(draws: int) -> None:
    """Print how often intervals hold the truth."""
    chance = np.random.default_rng(1)
    print("| days | rate wanders by | of that left a day later | unit | holds |")
    print("|---:|---:|---:|---|---:|")
    for days, spread, left in DAYS:
        held, unit = 0, ""
        for _ in range(draws):
            sums, truth = drawn(chance, days, spread, left)
            account = account_of("line", "EUR", "never", sums)
            unit = account.unit
            held += (account.low or 0.0) <= truth <= (account.high or 0.0)
        print(f"| {days} | {spread:.0%} | {left:.0%} | {unit} | {held / draws:.1%} |", flush=True)


def main() -> int:
    """Print a row for each seed; return 1 where one is not as it should be."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=20)
    arguments.add_argument("--seed-from", type=int, default=1)
    arguments.add_argument("--coverage", action="store_true")
    arguments.add_argument("--draws", type=int, default=1000)
    asked = arguments.parse_args()
    if asked.coverage:
        coverage(asked.draws)
        return 0
    print(
        "| seed | answers | matured | own | world | equal | gain (95 %) | estimate (95 %) | all | within | s |"
    )
    print("|---:|---:|---:|---:|---:|---|---:|---:|---:|---|---:|")
    equal = within = 0
    for seed in range(asked.seed_from, asked.seed_from + asked.seeds):
        began, told = time.monotonic(), lived(seed)
        account = told.account
        found = None if account is None else of_all_answers(account)
        if account is None or found is None or found.low is None or found.high is None:
            print(f"| {seed} | no account |", flush=True)
            continue
        is_equal, all_ = round(100 * account.value) == told.due, told.value / 100
        is_within = found.low <= all_ <= found.high
        equal, within = equal + is_equal, within + is_within
        print(
            f"| {seed} | {account.answers:,} | {account.matured:,} | {account.value:,.0f} | {told.due / 100:,.0f} "
            f"| {'yes' if is_equal else 'NO'} | {account.gain:,.0f} ({account.low:,.0f} to {account.high:,.0f}) "
            f"| {found.value:,.0f} ({found.low:,.0f} to {found.high:,.0f}) | {all_:,.0f} | {'yes' if is_within else 'NO'} "
            f"| {time.monotonic() - began:.0f} |",
            flush=True,
        )
    print(f"\nequal in {equal} of {asked.seeds} seeds, within the interval in {within} of {asked.seeds}")
    return int(min(equal, within) < asked.seeds)


if __name__ == "__main__":
    sys.exit(main())
