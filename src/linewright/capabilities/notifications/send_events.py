"""The thread of `up` that sends events to their destinations. A receiver that hangs delays no other."""

import time
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from linewright.capabilities.notifications.destinations import Declared, Destination
from linewright.engine.context import Progress
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.polling import PollingThread
from linewright.people.messages import Message
from linewright.people.outbox import Outbox, Place
from linewright.people.send import Sender, Undelivered, open_sender
from linewright.store.clock import text_of
from linewright.store.files.stamps import Lasting

LOOK_S = 1.0
"""How often it is looked whether something has happened: news goes out at most so much later."""
_FILES_S = 5.0
"""How often it is looked whether somebody else is to be told."""
LONGEST_PAUSE_S = 600.0
"""Longest pause between two tries: a receiver that is back is not left waiting, and one that is gone for a day is asked some 150 times."""
_AT_ONCE = 8
"""Receivers that are sent to at a time; those that hang take a place for some seconds each."""
_TURN_S = 5.0
"""After how long a receiver with much to take lets others have its place."""
_KEPT_S = 0.2
"""How often the place of a receiver is kept while it takes one event after the other: what a kill repeats."""
PATIENCE = 12
"""Tries in a row after which an event that its receiver calls wrong is set aside, so that it does not hold back those after it for
ever: the pauses before add up to half an hour, in which a receiver can be mended."""
_MUCH = 1000
"""Events that do not concern a receiver, after which its place is kept all the same."""


def pause_s(failures: int) -> float:
    """Return how long a receiver is left alone after so many failures in a row, in seconds.

    Examples
    --------
    >>> [pause_s(failures) for failures in (1, 2, 3, 10, 11, 99)]
    [1.0, 2.0, 4.0, 512.0, 600.0, 600.0]
    """
    return min(2.0 ** min(failures - 1, 20), LONGEST_PAUSE_S)


def opened(to: Destination, factory: Factory) -> Sender:
    """Return what sends to a destination; raise `SpecError` where a secret is not there."""
    return open_sender(to.spec, to.recipient, root=factory.root, where=to.where, at=factory.now())


class Courier:
    """Tells one destination, in order, what it has not been told yet. It is used by one thread at a time."""

    def __init__(self, factory: Factory, outbox: Outbox, to: Destination, place: Place) -> None:
        self._factory, self._outbox, self.to = factory, outbox, to
        self.seq = self._kept = place.seq
        """Number of the last event that needs no more telling. The outbox may know of fewer."""
        self.failures, self.trouble = place.failures, place.trouble
        self.next_at = 0.0
        """When it may be tried again, by the monotonic clock. A process that starts tries at once."""

    def deliver(self, *, is_over: Callable[[], bool] = lambda: False) -> int:
        """Send what waits until all is told, a try fails, or the time is over; return how many events were taken.

        What went wrong is in `trouble` then, and in the outbox.
        """
        taken = 0
        try:
            for number in self._deliver(is_over):
                taken += number
        except Undelivered as why:
            self._fail(why)
        except (
            LinewrightError
        ) as error:  # the record or the outbox; what was taken is known here, and not sent again
            self._fail(Undelivered(str(error)))
        return taken

    def _deliver(self, is_over: Callable[[], bool]) -> Iterator[int]:
        newest = self._factory.metadata.newest_seq()
        messages = self.to.messages(self._factory, after=self.seq)
        first = list(islice(messages, 1))
        if first:
            yield from self._send(first[0], messages, is_over)
        if not is_over():
            self.seq = max(self.seq, newest)
            self._keep(0)

    def _send(self, first: Message, rest: Iterator[Message], is_over: Callable[[], bool]) -> Iterator[int]:
        taken, kept_at, some, was_patient = 0, time.monotonic(), [first], False
        try:
            with closing(self._opened()) as sender:
                while some:
                    most = 1 if self.failures else sender.most
                    some += islice(rest, most - len(some))
                    try:
                        sender.send(some)
                    except Undelivered as why:
                        # One of them in a turn: where the next is refused too, it is the receiver that is to blame.
                        if was_patient or not self._is_hopeless(some, why):
                            raise
                        was_patient = True
                        self._outbox.set_aside(self.to.name, some[0].seq, why.why, at=self._factory.now())
                    else:
                        self.failures, self.trouble, taken = 0, "", taken + len(some)
                        yield len(some)
                    self.seq = some[-1].seq
                    if time.monotonic() - kept_at >= _KEPT_S:
                        self._keep(taken)
                        taken, kept_at = 0, time.monotonic()
                    some = [] if is_over() else list(islice(rest, 1))
        finally:
            self._keep(taken)

    def _opened(self) -> Sender:
        try:
            return opened(self.to, self._factory)
        except LinewrightError as error:
            raise Undelivered(str(error)) from error

    def _is_hopeless(self, some: list[Message], why: Undelivered) -> bool:
        return why.is_refused and len(some) == 1 and self.failures >= PATIENCE

    def _keep(self, taken: int) -> None:
        if taken or self.seq - self._kept >= _MUCH:
            self._outbox.move(self.to.name, self.seq, delivered=taken, at=self._factory.now())
            self._kept = self.seq

    def _fail(self, why: Undelivered) -> None:
        self.failures, self.trouble = self.failures + 1, why.why
        pause = max(pause_s(self.failures), why.pause_s)
        self.next_at = time.monotonic() + pause
        now = self._factory.now()
        next_at = text_of(datetime.fromisoformat(now) + timedelta(seconds=pause))
        with suppress(LinewrightError):  # it may be the outbox that cannot be written
            self._outbox.fail(self.to.name, why.why, at=now, next_at=next_at)


class Notifying(PollingThread):
    """A thread that tells all destinations of a factory what happens, until it is closed.

    What happened while nothing ran is told when it runs again.
    """

    def __init__(
        self, open_factory: Callable[[], AbstractContextManager[Factory]], *, every_s: float = LOOK_S
    ) -> None:
        self._couriers: dict[str, Courier] = {}
        self._wanted: dict[str, int] = {}
        """Number of the newest event that may concern a destination."""
        self._turns: dict[str, Future[None]] = {}
        self._newest: int | None = None
        """Number of the newest event that was looked at."""
        self._files_at = 0.0
        super().__init__(
            "notifying", open_factory, every_s=every_s, not_done="nobody is told of anything now"
        )

    @contextmanager
    def _looking(self, factory: Factory) -> Generator[Callable[[], None]]:
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="notify")
        seq = Lasting[int](lambda: factory.metadata.stamp())  # noqa: PLW0108 -- opened by the first look, which tells what is wrong
        yield partial(self._look, factory, Declared(factory), Outbox(factory.state), pool, seq)
        pool.shutdown(cancel_futures=True)  # what the tries that are under way have sent is kept

    def _look(
        self,
        factory: Factory,
        declared: Declared,
        outbox: Outbox,
        pool: ThreadPoolExecutor,
        seq: Lasting[int],
    ) -> None:
        newest = seq.get(factory.metadata.newest_seq)
        if self._newest is None:
            self._newest = newest
        if time.monotonic() >= self._files_at:
            self._files_at = time.monotonic() + _FILES_S
            self._declare(factory, declared, outbox)
        if newest > self._newest:
            self._mark(factory, newest)
        for name, courier in self._couriers.items():
            turn = self._turns.get(name)
            if turn is None or turn.done():
                if self._wanted[name] <= courier.seq:
                    courier.seq = max(courier.seq, newest)
                elif time.monotonic() >= courier.next_at:
                    self._turns[name] = pool.submit(self._turn, factory, courier)

    def _declare(self, factory: Factory, declared: Declared, outbox: Outbox) -> None:
        """Take up destinations that are new or changed, and leave those that are gone."""
        found = declared.read()
        for path, says in declared.wrong.items():
            self._say(f"error: whom {path.name} names is told as before: {says}\n")
        if all(name in self._couriers and self._couriers[name].to == one for name, one in found.items()):
            gone = self._couriers.keys() - found.keys()
        else:
            places = outbox.places()
            for name in found.keys() - places.keys():
                outbox.begin(name, found[name].first(factory))
            places = outbox.places()
            for name, one in found.items():
                before = self._couriers.get(name)
                if before is None or (before.to != one and self._is_idle(name)):
                    self._couriers[name] = Courier(factory, outbox, one, places[name])
                    self._wanted[name] = self._newest or 0
            gone = (self._couriers.keys() | places.keys()) - found.keys()
        if gone and not declared.wrong:
            outbox.forget(gone)
            for name in gone:
                self._couriers.pop(name, None)

    def _is_idle(self, name: str) -> bool:
        turn = self._turns.get(name)
        return turn is None or turn.done()

    def _mark(self, factory: Factory, newest: int) -> None:
        """Note which destinations the events since the last look may concern."""
        kinds = {name: frozenset(one.to.kinds) for name, one in self._couriers.items()}
        every = frozenset[str]().union(*kinds.values())
        for link in factory.metadata.links(after=self._newest or 0, kinds=every) if every else ():
            for name, courier in self._couriers.items():
                if courier.to.line in {None, link.line} and link.kind in kinds[name]:
                    self._wanted[name] = link.seq
        self._newest = newest

    def _turn(self, factory: Factory, courier: Courier) -> None:
        until, trouble = time.monotonic() + _TURN_S, courier.trouble
        try:
            courier.deliver(is_over=lambda: self._closed.is_set() or time.monotonic() >= until)
        except Exception:  # noqa: BLE001 -- as above
            courier.next_at = time.monotonic() + LONGEST_PAUSE_S
            self._say(traceback.format_exc())
            return
        name = courier.to.name
        if courier.trouble and not trouble:
            says = f"{name} is not told what happens, and is tried again and again: {courier.trouble}"
            factory.report(Progress(step="notify", says=says, stays=True))
        elif trouble and not courier.trouble:
            factory.report(Progress(step="notify", says=f"{name} is notified again", stays=True))
