"""The thread that enters refused attempts and publishes signed checkpoints, beside the work that they are about."""

import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from linewright.capabilities.audit.publish import publish, shown, withheld
from linewright.engine.context import Progress
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.polling import PollingThread
from linewright.people.facts import AccessRefused
from linewright.people.spec import AuditSpec
from linewright.serve.access.refused import Attempt, minutes
from linewright.store.files.disk import explained
from linewright.store.files.stamps import Stamp, stamp_at
from linewright.text.numbers import count


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


LOOK_S = 1.0


class Auditing(PollingThread):
    """A thread that looks after what others hold against the record, until it is closed; then it signs what is new."""

    def __init__(
        self, open_factory: Callable[[], AbstractContextManager[Factory]], *, every_s: float = LOOK_S
    ) -> None:
        self._stamp: Stamp | None = None
        self._spec: AuditSpec | None = None
        self._failing: set[str] = set()
        """Places that people were told of."""
        super().__init__(
            "auditing", open_factory, every_s=every_s, not_done="the record is not vouched for now"
        )

    @contextmanager
    def _looking(self, factory: Factory) -> Generator[Callable[[], None]]:
        yield partial(self._look, factory)
        try:
            self._look(factory, at_once=True)
        except LinewrightError as error:
            self._say(f"error: {self._not_done}: {error}\n")
        except Exception:  # noqa: BLE001 -- as in `PollingThread`
            sys.stderr.write(traceback.format_exc())

    def _look(self, factory: Factory, *, at_once: bool = False) -> None:
        try:
            record_refused(factory)
        finally:
            stamp = stamp_at(factory.root / FACTORY_FILE)
            if stamp != self._stamp:
                self._stamp = stamp
                self._spec = factory.file().audit
            spec = self._spec
            if spec is not None:
                self._publish(factory, spec, at_once=at_once)

    def _publish(self, factory: Factory, spec: AuditSpec, *, at_once: bool) -> None:
        try:
            publish(factory, spec, at_once=at_once)
        finally:
            ill = {one.to: one for one in withheld(factory, spec) if one.to}
            for to in sorted(ill.keys() - self._failing):
                says = f"{to} does not take {count(ill[to].waiting, 'signed checkpoint')}, and is tried again: {ill[to].trouble}"
                factory.report(Progress(step="audit", says=says, stays=True))
            for to in sorted(self._failing - ill.keys()):
                if to in {shown(one) for one in spec.to}:
                    factory.report(
                        Progress(step="audit", says=f"{to} has all signed checkpoints again", stays=True)
                    )
            self._failing = set(ill)
