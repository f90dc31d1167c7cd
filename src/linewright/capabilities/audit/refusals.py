"""Refused attempts become entries of the record: at most one an identity, right and minute."""

from linewright.line.factory import Factory
from linewright.people.facts import AccessRefused
from linewright.serve.access.refused import Attempt, minutes
from linewright.store.files.disk import explained


def record_refused(factory: Factory) -> int:
    """Enter what was refused in minutes that are over, and return how many entries that are.

    A kill between the entries of a minute and the removal of its files enters them twice.
    """
    entered = 0
    with explained(factory.state, "what was refused"):
        for minute in minutes(factory.state, now=factory.now()):
            events = [
                _event(factory.now(), minute.at, attempt, number) for attempt, number in minute.attempts
            ]
            if events:
                factory.metadata.record_all(events)
            entered += len(events)
            for path in minute.files:
                path.unlink(missing_ok=True)
    return entered


def _event(now: str, minute: str, attempt: Attempt, number: int) -> AccessRefused:
    return AccessRefused(
        at=now,
        by=attempt.who or "nobody known",
        because="lacks the right" if attempt.permission else "no token that lets anybody in",
        # A client without rights does not choose whose history this is.
        line="",
        permission=attempt.permission,
        operation=attempt.what,
        server=attempt.server,
        about=attempt.line,
        address=attempt.address,
        since=minute,
        count=number,
    )
