"""How all lines stand is worked out once for all who look, and where it takes long in another process."""

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest

from linewright.errors import BackendError
from linewright.interfaces.console import fleet
from linewright.interfaces.console.fleet import Fleet
from linewright.serve.access.rights import owner

ME = owner("ada")


class Reads:
    """Counts what is asked of it, and waits before it answers until it may."""

    def __init__(self, name: str) -> None:
        self.name, self.times, self.may = name, 0, Event()
        self.may.set()
        self.error: Exception | None = None

    def __call__(self) -> Any:
        self.times += 1
        assert self.may.wait(30)
        if self.error is not None:
            raise self.error
        return f"{self.name} {self.times}"


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def no_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken for new, so that each viewer has it worked out again."""
    monkeypatch.setattr(fleet, "LEAST_S", 0.0)
    monkeypatch.setattr(fleet, "SHARE", 1e9)


def test_what_takes_long_is_worked_out_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "SHORT_S", -1.0)
    here, aside = Reads("here"), Reads("aside")
    seen = Fleet(here, read_aside=aside)
    aside.may.clear()
    assert [seen.seen_by(ME) for _ in range(3)] == ["here 1"] * 3, "nobody waits for what is known"
    aside.may.set()
    eventually(lambda: seen.seen_by(ME).startswith("aside"))
    assert here.times == 1


def test_what_is_short_is_worked_out_here() -> None:
    here, aside = Reads("here"), Reads("aside")
    seen = Fleet(here, read_aside=aside)
    seen.seen_by(ME)
    eventually(lambda: seen.seen_by(ME) != "here 1")
    assert aside.times == 0


def test_what_was_changed_meanwhile_is_not_shown_as_it_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "SHORT_S", -1.0)
    here, aside = Reads("here"), Reads("aside")
    seen = Fleet(here, read_aside=aside)
    seen.seen_by(ME)
    aside.may.clear()
    seen.seen_by(ME)
    eventually(lambda: aside.times == 1)
    seen.forget()
    assert seen.seen_by(ME) == "here 2"
    aside.may.set()
    shown = {seen.seen_by(ME)}
    while aside.times == 1:  # until it is worked out once more, which is after the first one ended
        shown.add(seen.seen_by(ME))
    assert "aside 1" not in shown


def test_the_next_viewer_learns_why_it_cannot_be_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "SHORT_S", -1.0)
    here, aside = Reads("here"), Reads("aside")
    seen = Fleet(here, read_aside=aside)
    seen.seen_by(ME)
    here.error = aside.error = BackendError("the record cannot be read")

    def fails() -> bool:
        try:
            return seen.seen_by(ME) is None
        except BackendError:
            return True

    eventually(fails)
    here.error = None
    assert seen.seen_by(ME).startswith("here")


def test_it_is_kept_fresh_while_somebody_looks_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "SHORT_S", -1.0)
    here, aside = Reads("here"), Reads("aside")
    seen = Fleet(here, read_aside=aside)
    seen.keep_fresh()
    assert here.times == aside.times == 0, "nobody has asked for it yet"
    seen.seen_by(ME)
    seen.keep_fresh()
    eventually(lambda: aside.times == 1)
    eventually(lambda: seen.seen_by(ME).startswith("aside"))


def test_what_was_changed_while_a_viewer_waits_is_worked_out_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "LEAST_S", 60.0)
    here = Reads("here")
    here.may.clear()
    seen = Fleet(here)
    first: list[Any] = []
    waits = Thread(target=lambda: first.append(seen.seen_by(ME)))
    waits.start()
    eventually(lambda: here.times == 1)
    seen.forget()
    here.may.set()
    waits.join(30)

    assert (["here 1"], "here 2", "here 2") == (first, seen.seen_by(ME), seen.seen_by(ME))
