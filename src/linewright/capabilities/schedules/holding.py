"""What schedules keep of each task: compared with the events of predictions."""

import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from linewright.capabilities.schedules.task_state import FOLDER, TaskState
from linewright.capabilities.schedules.undelivered import seen_rows_in
from linewright.errors import Transient
from linewright.line.factory import Factory
from linewright.line.facts import PredictionsMade
from linewright.line.holding import Archive, Check, Holding
from linewright.line.problem import Problem
from linewright.store.clock import later, micros_of
from linewright.store.files.names import LINE
from linewright.store.pushed_rows import SOURCE

_MOVES_S = 0.5
"""Between a change of a state and its event there is much less."""
_AHEAD_MICROS = 300_000_000
"""How far clocks may differ."""


class Schedules(Holding):
    """The state of scheduled tasks, answers that are made and not delivered, and which rows sources had the last time."""

    name = "schedules"
    files = (f"{FOLDER}/*",)
    kept = rf"{FOLDER}/{LINE}/predict\.{SOURCE}/[0-9A-Za-z-]+\.npy"

    def verify(self, check: Check) -> None:
        """Compare each with the record; look again after a moment, since the file changes before its event is recorded."""
        found = check.guarded(lambda: list(_check_schedules(check.factory)))
        if found:
            time.sleep(_MOVES_S)
            found = check.guarded(lambda: list(_check_schedules(check.factory)))
        check.problems += found or ()

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy which rows sources had; without it all rows are new."""
        for path in seen_rows_in(factory.state):
            archive.add(path)


def _check_schedules(factory: Factory) -> Iterator[Problem]:
    ahead = later(factory.now(), _AHEAD_MICROS)
    for path in sorted((factory.state / FOLDER).glob("*/*.json")):
        line, (what, _, name) = path.parent.name, path.stem.partition(".")
        with suppress(FileNotFoundError):
            for wrong in _wrong_in_schedule(
                factory, line, name if what == "predict" else "", path.read_bytes(), ahead
            ):
                yield Problem(
                    what=wrong,
                    where=str(path),
                    next="remove the file: its schedule then counts from now",
                    exit_code=Transient.exit_code,
                )


def _wrong_in_schedule(factory: Factory, line: str, job: str, body: bytes, ahead: str) -> Iterator[str]:
    try:
        state = msgspec.json.decode(body, type=TaskState)
        instants = [one for one in (state.since, state.began, state.failed) if one is not None]
        latest = max(map(micros_of, instants))
    except (msgspec.MsgspecError, ValueError):
        yield "the state of the schedule cannot be read"
        return
    if latest > micros_of(ahead):
        yield "the schedule is said to have been served in the future, so that nothing would be done until then"
    elif job and state.began is not None:
        events = [one for one in factory.metadata.events(PredictionsMade, line=line) if one.job == job]
        if not any((one.began, one.rows, one.to) == (state.began, state.rows, state.to) for one in events):
            yield "the record does not tell of the predictions that the schedule says were made last"
