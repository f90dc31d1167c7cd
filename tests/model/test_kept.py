"""Finished fits: a training that begins again does only what is missing, and gives what it would have given."""

import re
from threading import Lock

import numpy as np
import pytest

from linewright.features.facts import Category, Encoder, Number
from linewright.model.spec import TrainSpec, TrialsBudget
from linewright.model.train.fit import TrainingRows, train
from linewright.store.files.fit_files import LocalFits
from linewright.testing.trainers import CODES, TASKS, class_count, mixed_rows


class Died(BaseException):
    """Stands for the end of the process."""


class Mortal:
    """`Fits` in memory whose owner dies at the n-th fit, right after that was kept or before."""

    def __init__(self, held, *, dies_at=0, keeps_last=True):
        self.held, self.dies_at, self.keeps_last = held, dies_at, keeps_last
        self.puts = 0
        self._lock = Lock()

    def get(self, key):
        return self.held.get(key)

    def put(self, key, data):
        with self._lock:
            if 0 < self.dies_at <= self.puts:
                raise Died
            self.puts += 1
            if self.puts != self.dies_at or self.keeps_last:
                self.held[key] = data
            if self.puts == self.dies_at:
                raise Died


def run(task, *, budget="quick", seen=None, n=240, seed=11, c0=0.0, **changes):
    x, target, weight = mixed_rows(task, n=n)
    x[0, 0] += c0
    kinds = [Category(column=f"c{i}", levels=()) if i in CODES else Number(column=f"c{i}") for i in range(6)]
    part = np.arange(n) % 3
    rows = TrainingRows(
        x=x,
        target=target,
        weight=weight,
        encoder=Encoder(encodings=tuple(kinds)),
        task=task,
        classes=tuple("abc"[: class_count(task)]),
        folds=[(np.flatnonzero(part != i), np.flatnonzero(part == i)) for i in range(3)],
        seed=seed,
    )
    report = (lambda _: None) if seen is None else seen.append
    return train(rows, TrainSpec(budget=budget), report=report, **changes)


def about_fits(seen):
    """Return what was told of fits; the others tell the loss of a trial."""
    return [one for one in seen if one.trial is None]


def same(one, other):
    """Whether two trainings gave the same, bit for bit."""
    return (
        one.native == other.native
        and one.trials == other.trials
        and one.reason == other.reason
        and one.calibration == other.calibration
        and one.executed == other.executed
        and one.out_of_fold.tobytes() == other.out_of_fold.tobytes()
    )


@pytest.mark.parametrize("task", TASKS)
def test_what_comes_out_does_not_depend_on_what_was_kept(task):
    """A result is named by its digest; how often the power failed is no part of it."""
    held, seen = {}, []
    plain = run(task, budget="normal", n=90)
    keeping = run(task, budget="normal", n=90, fits=Mortal(held))
    found = run(task, budget="normal", n=90, fits=Mortal(held), seen=seen, workers=1)

    assert same(plain, keeping)
    assert same(plain, found)
    told = about_fits(seen)
    said = [
        re.fullmatch("found done: ([0-9]+) fits?, by a training that did not end", one.says) for one in told
    ]
    assert len(held) == sum(int(one[1]) for one in said)
    assert (len(held), len(held), True) == (told[-1].done, told[-1].of, all(one.stays for one in told))


@pytest.mark.parametrize("keeps_last", [True, False])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_died_at_any_fit_does_the_missing_ones_alone(workers, keeps_last):
    """Whoever was at the 90th of 100 fits does not begin at the first."""
    whole = Mortal({})
    plain = run("binary", fits=whole)
    for dies_at in range(1, whole.puts + 1):
        held, seen = {}, []
        with pytest.raises(Died):
            run("binary", fits=Mortal(held, dies_at=dies_at, keeps_last=keeps_last), workers=workers)
        at_death = len(held)
        again = Mortal(held)

        assert dies_at - (not keeps_last) == at_death
        assert same(plain, run("binary", fits=again, workers=workers, seen=seen))
        assert whole.puts - at_death == again.puts == sum(not one.stays for one in about_fits(seen))


def test_settings_that_are_sought_near_the_best_are_found_as_well():
    """A search that goes on where it was proposes what it had proposed."""
    held, budget = {}, TrialsBudget(trials=8)
    plain = run("binary", budget=budget)
    with pytest.raises(Died):
        run("binary", budget=budget, fits=Mortal(held, dies_at=23))
    again = Mortal(held)

    assert same(plain, run("binary", budget=budget, fits=again))
    assert 0 < again.puts < len(held)


def test_another_table_or_seed_finds_nothing():
    """A fit is that of its rows, to the last bit."""
    held = {}
    run("binary", fits=Mortal(held))
    fits = len(held)
    for changes in ({"seed": 12}, {"c0": 1e-3}, {"n": 243}):
        other = Mortal(held)
        run("binary", fits=other, **changes)

        assert fits == other.puts


def test_the_time_that_is_left_is_told_from_the_fits_that_were_done():
    """Two seconds a fit, of which the last is under way."""
    seen, now = [], iter(range(0, 1000, 2))
    run("binary", seen=seen, clock=lambda: float(next(now)))

    first, *others = about_fits(seen)
    assert first.seconds_left is None
    assert [(one.of - one.done) * 2 * (one.done + 1) / one.done for one in others] == [
        one.seconds_left for one in others
    ]


def test_a_damaged_file_is_one_that_is_not_there(tmp_path):
    """A torn or altered fit is computed again, not believed."""
    fits = LocalFits(tmp_path / "fits").part("sha256:" + "a" * 64)
    plain = run("binary", fits=fits)
    files = list(fits.files())
    whole = {path: path.read_bytes() for path in files}
    files[0].write_bytes(b"")
    files[1].write_bytes(whole[files[1]][:-1] + bytes([whole[files[1]][-1] ^ 1]))
    files[2].write_bytes(whole[files[2]][:40])
    files[3].write_bytes(whole[files[4]])
    seen = []

    assert same(plain, run("binary", fits=fits, seen=seen))
    assert 4 == sum(not one.stays for one in about_fits(seen))
    assert whole == {path: path.read_bytes() for path in fits.files()}


def test_a_folder_holds_one_computation_and_none_where_it_cannot(tmp_path):
    """Disk is bounded, and a place that cannot be written costs the saving alone."""
    fits = LocalFits(tmp_path / "fits")
    first, second = ("sha256:" + digit * 64 for digit in "ab")
    fits.part(first).put(first, b"old")
    fits.part(second).put(first, b"new")

    assert [b"new"] == [fits.part(second).get(first), *(one.read_bytes() for one in fits.part(first).files())]
    assert fits.part(second).get(first) is None

    fits.drop()
    blocked = tmp_path / "file"
    blocked.write_text("")
    LocalFits(blocked / "fits").put(first, b"lost")

    assert LocalFits(blocked / "fits").get(first) is None
    assert [] == list(fits.files())
