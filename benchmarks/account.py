"""Whether a line's value account says what the world says: lives of a world whose truth is known, seed after seed.

    python benchmarks/account.py [--seeds N] [--seed-from K]

Each life is the demo: a line is made, serves, is attacked, retrains. Its account is made of its prediction log and of the labels that
came. *Own* is what it says of the decisions whose label is due, *world* what the world says of the same: equal to the cent. *Estimate*
is what the account says of all decisions of the life with its 95 % interval, *all* what the world says of them: within the interval.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from linewright.line.factory import Factory
from linewright.operations.demo import Demo, demo
from linewright.people.account import of_all_answers


def lived(seed: int) -> Demo:
    """Return the demo of a seed; its folder goes."""
    with tempfile.TemporaryDirectory() as folder:
        return demo(Factory(Path(folder) / "factory"), "fraud", seed=seed)


def main() -> int:
    """Print a row for each seed; return 1 where one is not as it should be."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=20)
    arguments.add_argument("--seed-from", type=int, default=1)
    asked = arguments.parse_args()
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
