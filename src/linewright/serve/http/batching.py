"""Requests that have come at one moment are answered together: one matrix, one run of the model, one write to the log.

What arrived while the loop was busy is there already when it turns to its sockets, and a model and a disk take hardly longer
for ten rows than for one. So as long as each turn of the loop brings another request, the next turn is waited for; a lone request
waits for one empty turn, some microseconds.
"""

import asyncio
from collections.abc import Callable

import msgspec

from linewright.serve.http.predict import Ask, Loaded, answer, predict, to_predictions
from linewright.serve.http.request import Response
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.scorer import Scorer

MOST_ROWS = 256
"""Rows that are answered at one time; more would keep the loop from its sockets."""
ENOUGH_ROWS = 64
"""Rows that are answered without waiting for others: the first of a crowd does not wait for all of it."""


_Key = tuple[str, int, Scorer, type, str]
"""Line, generation, model, the type of the rows, and the client while a candidate is tried."""


class _Waiting(msgspec.Struct, frozen=True):
    ask: Ask
    answered: "asyncio.Future[Response]"


class Together:
    """Gathers requests that come one upon the other. Used from the loop's thread alone."""

    def __init__(self, log: Callable[[str], PredictionLog]) -> None:
        self._log = log
        self._waiting: dict[_Key, tuple[Loaded, list[_Waiting]]] = {}
        self._loop: asyncio.AbstractEventLoop

    def predict(self, loaded: Loaded, ask: Ask) -> "asyncio.Future[Response]":
        """Answer a small request that has neither to be durable nor explained, with those that came beside it.

        What is returned raises what `answer.predict` does for this request alone.
        """
        key = (loaded.line, loaded.generation, loaded.scorer, type(ask.rows[0]), loaded.client)
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = (loaded, [])
            # Each time that one asks for it costs a system call.
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._turn, key, 0)
        one = _Waiting(ask, self._loop.create_future())
        waiting[1].append(one)
        return one.answered

    def _turn(self, key: _Key, before: int) -> None:
        """Answer, unless this turn of the loop has brought more rows than there were before it, and not yet enough."""
        rows = sum(len(one.ask.rows) for one in self._waiting[key][1])
        if before < rows < ENOUGH_ROWS:
            self._loop.call_soon(self._turn, key, rows)
        else:
            self._answer(key)

    def _answer(self, key: _Key) -> None:
        loaded, waiting = self._waiting.pop(key)
        start = rows = 0
        for end, one in enumerate(waiting):
            rows += len(one.ask.rows)
            if rows > MOST_ROWS and end > start:
                self._answer_these(loaded, waiting[start:end])
                start, rows = end, len(one.ask.rows)
        self._answer_these(loaded, waiting[start:])

    def _answer_these(self, loaded: Loaded, waiting: list[_Waiting]) -> None:
        log = self._log(loaded.line)
        if len(waiting) > 1 and _answer_as_one(loaded, log, waiting):
            return
        for one in waiting:
            try:
                response = predict(loaded, log, one.ask)
            except Exception as error:  # noqa: BLE001 -- whoever waits for it decides
                _set(one.answered, error)
            else:
                _set(one.answered, response)


def _answer_as_one(loaded: Loaded, log: PredictionLog, waiting: list[_Waiting]) -> bool:
    """Answer requests together; where one of them is wrong do nothing, since each gets then what it gets alone."""
    try:
        rows = [row for one in waiting for row in one.ask.rows]
        to_log = [row for one in waiting for row in one.ask.to_log]
        answered = answer(loaded, log, rows, in_rows, to_log=to_log)
    except Exception:  # noqa: BLE001 -- asked alone, whichever raised it raises it again
        return False
    start = 0
    for one in waiting:
        end = start + len(one.ask.rows)
        _set(one.answered, to_predictions(loaded, answered, start, end))
        start = end
    return True


def _set(answered: "asyncio.Future[Response]", outcome: Response | Exception) -> None:
    if answered.done():
        return  # whoever waited for it has gone
    if isinstance(outcome, Exception):
        answered.set_exception(outcome)
    else:
        answered.set_result(outcome)
