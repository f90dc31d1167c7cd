"""When something that is done again and again is due."""

from datetime import datetime, timedelta

from linewright.data.spec import EveryTrigger, Schedule
from linewright.store.clock import text_of
from linewright.text.durations import duration_micros
from linewright.text.schedule import read_schedule


def due_after(when: Schedule, last: str) -> str | None:
    """Return the first instant after another one at which something is due, UTC, RFC 3339; `None` if it never is.

    What came several times since is due once.

    Examples
    --------
    >>> from linewright.data.spec import AtTrigger
    >>> due_after((AtTrigger(at="02:30 Europe/Berlin"), EveryTrigger(every="2d")), "2026-03-28T12:00:00.000000Z")
    '2026-03-29T01:30:00.000000Z'
    """
    since = datetime.fromisoformat(last)
    found = [
        since + timedelta(microseconds=duration_micros(one.every))
        if isinstance(one, EveryTrigger)
        else read_schedule(one.at).following(since)
        for one in when
    ]
    return min((text_of(at) for at in found if at is not None), default=None)
