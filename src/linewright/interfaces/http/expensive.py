"""Expensive operations on behalf of clients: few at once, each in a process of its own, with limits, and gone with who asked.

What is expensive reads files, carries out SQL or hashes all that is stored. In this process it would take memory that it never gives
back, could not be stopped, and could take everything else along.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Any

import anyio
import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from linewright.engine.child import Child, ChildEnded, End, end_in_words
from linewright.engine.context import Progress
from linewright.errors import LinewrightError, Terminal, TooMany, Transient, from_json
from linewright.interfaces.http.operation_process import Asked, Told
from linewright.operations.declare import Operation
from linewright.serve.access.rights import Identity
from linewright.serve.models.memory import usual_budget

AT_ONCE = 2
"""Expensive operations that are carried out at once: each takes a processor, and a share of the memory."""
FOR_ACTS = 1
"""As many more of those that change something: what only looks never takes these places."""
MOST_WAITING = 32
"""Requests that wait for their turn, each of another client; more are refused, but for those that change something."""
LEAVES_S = 1.0
"""How long a request waits for another of its client to leave: a browser asks for the next page before it is seen to leave the last one."""
DEADLINE_S = 300.0
"""Seconds after which a request for an expensive operation has its answer, whatever that is: by then whoever asked has given up."""
LONG_S = 6 * 3600.0
"""The same of one that carries files of a client, which take as long as they are large: one at a time goes on beyond `DEADLINE_S`, and
ends with the connection of whoever asked."""
SHARE = 0.25
"""Of the memory that this machine could give, what each may take: all at once leave a quarter for runs and models."""
LEAST_MEMORY = 2**30
"""Bytes that each may have at least: less would not hold the libraries and a table."""
_CHANGES = frozenset({"act", "destroy"})
MODULE = "linewright.interfaces.http.operation_process"


class Bug(Exception):  # noqa: N818 -- not ours to raise: something went wrong that nobody foresaw
    """An exception that nobody foresaw ended the process; its traceback is on stderr."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Places:
    """Who is at work, and who waits for a place: of each client one and one, in the order in which they came.

    Since nobody waits twice, no client waits for more than one operation of each other client. All is done in the thread of the event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[bool, anyio.Event]] = {}
        """By client, oldest first: whether it changes something, and what is set once it has a place."""
        self._at_work: dict[str, bool] = {}

    @asynccontextmanager
    async def place(self, client: str, operation: Operation) -> AsyncGenerator[None, None]:
        """Wait for a place, and have it for a block."""
        acts, has_place = operation.effect in _CHANGES, anyio.Event()
        with anyio.move_on_after(LEAVES_S):
            while client in self._waiting:  # noqa: ASYNC110 -- a second at most
                await anyio.sleep(0.02)
        if client in self._waiting:
            raise TooMany(
                "an expensive operation of yours runs, and another waits for its turn",
                where=operation.name,
                hint="ask again once one has ended",
                details={"retry_s": 1},
            )
        if len(self._waiting) >= MOST_WAITING and not acts:
            raise Transient(
                f"{MOST_WAITING} expensive operations wait for their turn",
                where=operation.name,
                hint="ask again in a moment",
            )
        self._waiting[client] = (acts, has_place)
        self._give_places()
        try:
            await has_place.wait()
            yield
        finally:
            # Cancelled while it waited, it may have a place or not.
            (self._at_work if has_place.is_set() else self._waiting).pop(client)
            self._give_places()

    def _give_places(self) -> None:
        for client, (acts, has_place) in list(self._waiting.items()):
            looks = sum(not each for each in self._at_work.values())
            is_free = len(self._at_work) < AT_ONCE + FOR_ACTS and (acts or looks < AT_ONCE)
            if is_free and client not in self._at_work:
                self._at_work[client] = acts
                del self._waiting[client]
                has_place.set()


class Expensive:
    """Carries out expensive operations in processes of their own."""

    def __init__(
        self,
        root: Path,
        *,
        report: Callable[[Progress], None],
        deadline_s: float = DEADLINE_S,
        memory: int | None = None,
    ) -> None:
        self._root, self._report, self._deadline_s = root, report, deadline_s
        self._memory = memory or max(usual_budget(share=SHARE), LEAST_MEMORY)
        self._places, self._threads, self._long = Places(), CapacityLimiter(AT_ONCE + FOR_ACTS), Lock()

    async def carry_out(
        self,
        operation: Operation,
        arguments: Mapping[str, Any],
        *,
        identity: Identity,
        hung_up: Callable[[], Awaitable[None]],
        stopping: Event,
        text: bool | None = None,
    ) -> bytes:
        """Carry an operation out and return its result as JSON."""
        asked = Asked(
            operation=operation.name,
            arguments=dict(arguments),
            text=not operation.writes if text is None else text,
            identity=identity,
        )
        gone = Event()
        until = time.monotonic() + self._deadline_s
        follow = partial(
            self._outcome,
            asked,
            gone,
            stopping,
            until,
            may_be_long=bool(operation.files) and not identity.only_views,
        )
        outcome: bytes | Exception = Transient(
            "its turn did not come in time", where=operation.name, hint="ask again later"
        )
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await hung_up()
                gone.set()
                group.cancel_scope.cancel()  # while it waits for its turn; what is at work is seen to end

            group.start_soon(watch)
            with anyio.move_on_after(self._deadline_s):
                try:
                    async with self._places.place(identity.client, operation):
                        outcome = await run_sync(follow, limiter=self._threads)
                except Transient as refused:
                    outcome = refused
            group.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def carry_out_aside(self, operation: Operation, *, identity: Identity, stopping: Event) -> bytes:
        """Run for the control plane itself an operation without arguments, and return its result as JSON: now, in the thread that asks, ahead of clients that wait."""
        asked = Asked(operation=operation.name, arguments={}, text=False, identity=identity)
        outcome = self._outcome(
            asked, Event(), stopping, time.monotonic() + self._deadline_s, may_be_long=False
        )
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _outcome(
        self, asked: Asked, gone: Event, stopping: Event, until: float, *, may_be_long: bool
    ) -> bytes | Exception:
        """Return the result or the error, as a value: raised, it would come out of the group as a group."""
        is_long = False

        def may_go_on() -> bool:
            nonlocal is_long
            is_long = is_long or (may_be_long and self._long.acquire(blocking=False))
            return is_long and time.monotonic() < until - self._deadline_s + LONG_S

        def look(_: float = 0.0) -> None:
            if gone.is_set():
                raise Transient("whoever asked hung up", where=asked.operation)
            if stopping.is_set():
                hint = "ask again once it is back"
                raise Transient("the control plane ends", where=asked.operation, hint=hint)
            if time.monotonic() > until and not may_go_on():
                raise self._late(asked)

        try:
            look()
            return self._follow(asked, look)
        except ChildEnded as ended:
            return self._died(asked, ended.end)
        except Exception as error:  # noqa: BLE001 -- a value on its way
            return error
        finally:
            if is_long:
                self._long.release()

    def _follow(self, asked: Asked, look: Callable[..., None]) -> bytes:
        # In one thread: the kernel ends a child with the thread that started it.
        with Child(MODULE, (str(self._root),), memory=self._memory) as child:
            child.send(asked)
            while True:
                told = msgspec.convert(child.receive(quiet=look), Told)
                look()
                if told.progress is not None:
                    self._report(told.progress)
                elif told.done is not None:
                    return told.done.encode()
                elif told.error is not None:
                    raise from_json(told.error)
                else:
                    raise Bug(told.bug or "")

    def _late(self, asked: Asked) -> LinewrightError:
        return Terminal(
            f"it did not end within {self._deadline_s:g} s, and was ended",
            where=asked.operation,
            hint=f"on the machine of the factory the command has no deadline: linewright {asked.operation}",
        )

    def _died(self, asked: Asked, end: End) -> LinewrightError:
        hint = f"as a command it says more: linewright {asked.operation}"
        if end.how == "memory":
            hint = f"it may have {self._memory / 2**30:.1f} GiB here; as a command it has no limit: linewright {asked.operation}"
        return Terminal(
            f"its process ended before it was done: {end_in_words(end)}",
            where=asked.operation,
            found=end.last or None,
            hint=hint,
        )
