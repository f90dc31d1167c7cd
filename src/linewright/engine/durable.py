"""Runs that survive kill -9, on DBOS: SQLite in the factory's folder, or PostgreSQL.

The only module that imports `dbos`, which takes most of a second: import it lazily.
"""

import json
import logging
import math
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypedDict

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, Serializer, WorkflowStatus
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from linewright.engine.protocol import (
    TOGETHER,
    Interrupted,
    Json,
    NotEnded,
    Observe,
    Workflow,
    bug,
    capture,
    check_json,
    find_workflow,
    ignore,
    release,
)
from linewright.errors import Conflict, LinewrightError, NotFound, Terminal, Transient
from linewright.store.files.disk import is_busy
from linewright.store.files.stamps import Lasting, lasting_stamp
from linewright.store.metadata.database import explain, open_database, reading, set_pragmas, writing

_APPLICATION = "linewright"
_EXECUTOR = "factory"
_VERSION = "linewright-1"
"""Of the form of runs: a run that was begun under one version is resumed under that version only."""
_QUEUE = "runs-by-line"
_WORKFLOW = "run"
_POLL_S = 0.2
_QUEUE_POLL_S = 0.5
"""How often the queue is looked at."""
_POLLED = (
    "list_queues",
    "get_queue",
    "list_schedules",
    "get_queue_partitions",
    "start_queued_workflows",
    "transition_delayed_workflows",
    "cancel_timed_out_workflows",
)
"""What DBOS asks of its database again and again. The time changes no answer, since no run of ours has a delay or a deadline."""
_ASKED_S = 30.0
"""How often it is asked all the same."""
_MOST_BEGUN = 200
"""Runs that are taken out of the queue at a time; each has a thread, in which it may wait for its turn."""
_GIVEN_UP_S = 2.0
"""How long steps may take to end once they were told to give up."""
_HELD_S = 60.0
"""How often it is told that another process holds the database."""
_LOCKED, _FULL = "database is locked", "database or disk is full"
_IN_A_LOOP = "called from a running asyncio event loop"
"""What SQLite says where another process holds the file, and where there is no space."""
_WAITING = ["ENQUEUED", "DELAYED"]
_UNFINISHED = [*_WAITING, "PENDING"]


class _Bug(Exception):  # noqa: N818
    """An exception that was no `LinewrightError`, read back as text."""


class _JsonSerializer(Serializer):
    """JSON instead of pickle, for what DBOS keeps."""

    def name(self) -> str:
        return "linewright-json"

    def serialize(self, data: Any) -> str:
        if isinstance(data, Exception):
            data = {"bug": traceback.format_exception_only(data)[-1].strip()}
        return json.dumps(data, allow_nan=False)

    def deserialize(self, serialized_data: str) -> Any:
        value = json.loads(serialized_data)
        return _Bug(value["bug"]) if isinstance(value, dict) and "bug" in value else value


def is_news(record: logging.LogRecord) -> bool:
    """Return whether what DBOS logs is shown."""
    # The traceback of a bug was shown already, and that the database is held, or its disk full, is told in our words. In a notebook
    # a loop runs, and is meant to wait for its cell.
    said = record.getMessage()
    error = str(record.exc_info[1]) if record.exc_info else ""
    is_told = any(words in text for words in (_LOCKED, _FULL, _IN_A_LOOP) for text in (said, error))
    return not said.startswith("Exception encountered in background workflow") and not is_told


def nothing() -> None:
    """Do nothing."""


class _Database(TypedDict, total=False):
    system_database_url: str
    system_database_engine: sa.Engine


def _database(url: str) -> _Database:
    """Return how DBOS reaches the database: its own engine on PostgreSQL, and on SQLite one with our settings."""
    if not url.startswith("sqlite"):
        return {"system_database_url": url}
    engine = sa.create_engine(url, pool_size=20, max_overflow=0, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _on_connect)
    return {"system_database_engine": engine}


def _on_connect(connection: Any, _record: object) -> None:
    set_pragmas(connection)
    # What DBOS sets on the engines that it makes itself: its transactions rely on it.
    connection.isolation_level = "IMMEDIATE"


@contextmanager
def _explained(url: str) -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        explained = explain(error, sa.make_url(url).render_as_string(hide_password=True))
        if explained is None:
            raise
        raise explained from error


def _require_database(url: str, *, schema: bool = False) -> None:
    """Raise if the database cannot be written: DBOS would log a traceback first, or wait longer, or for ever.

    With `schema`, raise if it cannot be read, or if no executor has made its tables yet.
    """
    engine = open_database(url)
    place = "dbos" if engine.dialect.name == "postgresql" else None
    try:
        with (reading if schema else writing)(engine) as connection:
            is_made = sa.inspect(connection).has_table("workflow_status", schema=place)
    finally:
        engine.dispose()
    if schema and not is_made:
        hint = "wait until `linewright up` has started, then try again"
        raise Transient(
            "no executor has opened this factory yet", where=engine.url.render_as_string(), hint=hint
        )


def _ask_once(database: object, file: str) -> None:
    """Have DBOS ask its database for nothing again while its file stays as it is: a worker that rests takes little of a core."""

    def stamp() -> object | None:
        written = lasting_stamp(file)
        return written and (written, time.monotonic() // _ASKED_S)

    for name in _POLLED:
        ask = getattr(database, name, None)
        if ask is not None:  # in another release of DBOS it may have another name, and is asked each time
            setattr(database, name, _asked_once(ask, stamp))


def _asked_once(ask: Callable[..., Any], stamp: Callable[[], object | None]) -> Callable[..., Any]:
    answers = Lasting[dict[object, Any]](stamp)

    def asked(*args: Any, **kwargs: Any) -> Any:
        if not all(isinstance(one, str | int | None) for one in kwargs.values()):
            return ask(*args, **kwargs)  # within a transaction, or about several
        # How many runs this process carries out is among what it is asked with: the answer depends on that too.
        about = (*(getattr(one, "name", one) for one in args), *sorted(kwargs.items()))
        known = answers.get(dict)
        if about not in known:
            known[about] = ask(*args, **kwargs)
        return known[about]

    return asked


class EngineClient:
    """Asks the executor of a factory, in another process, for runs, and follows them."""

    def __init__(self, url: str) -> None:
        self._url = url
        _require_database(url, schema=True)
        self._database = _database(url)
        self._client = DBOSClient(
            **self._database,
            serializer=_JsonSerializer(),
            application_name=_APPLICATION,
            retry_connection_errors=False,
        )

    def start(self, workflow: str, run: str, request: Json, *, group: str = TOGETHER) -> None:
        """Put a run into the queue of its group; it is kept once this returns. The id of a known run starts nothing."""
        check_json(request, "the request")
        with _explained(self._url):
            self._client.enqueue(
                {
                    "queue_name": _QUEUE,
                    "workflow_name": _WORKFLOW,
                    "workflow_id": run,
                    "app_version": _VERSION,
                    "queue_partition_key": group,
                },
                workflow,
                request,
                group,
            )

    def follow(self, run: str, *, timeout: float | None = None, pause: float = 0.02) -> Json:
        """Wait for the end of a run, and return what its workflow returned or raise what it raised.

        See `engine.protocol.Engine.follow`. Its status is looked at again after `pause` seconds, and then less and less often, down
        to twice a second; who goes on following says how often.
        """
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while (status := self._status(run)).status in _UNFINISHED:
            self._require_health()
            left = deadline - time.monotonic()
            if left <= 0:
                raise Transient(
                    "the run has not ended yet",
                    where=f"run {run}",
                    found=status.status.lower(),
                    hint="follow it again",
                    details={"unfinished": run},
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.5)
        return _end_of(status)

    def _require_health(self) -> None:
        """Raise where it is known that the run cannot end now."""

    def done(self, run: str) -> list[str]:
        """Return the names of the steps of a run that have been done, in their order."""
        with _explained(self._url):
            return [
                step["function_name"] for step in self._client.list_workflow_steps(run, load_output=False)
            ]

    def unfinished(self, group: str | None = None) -> list[str]:
        """Return the ids of the runs that have not reached their end, of one group or of all, oldest first."""
        with _explained(self._url):
            found = self._client.list_workflows(status=_UNFINISHED, load_input=False, load_output=False)
        return [
            status.workflow_id for status in found if group is None or status.queue_partition_key == group
        ]

    def give_up(self, run: str) -> bool:
        """Take a run that has not begun out of the queue, and return whether it was there; it then never begins."""
        if self._status(run).status not in _WAITING:
            return False
        with _explained(self._url):
            self._client.cancel_workflow(run)
        return True

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()
        if "system_database_engine" in self._database:
            self._database["system_database_engine"].dispose()

    def _status(self, run: str) -> WorkflowStatus:
        with _explained(self._url):
            found = self._client.list_workflows(workflow_ids=[run], load_input=False)
        if not found:
            raise NotFound("no such run", where=run)
        return found[0]


class DurableEngine(EngineClient):
    """The executor of a factory: carries out its runs, one of a group at a time, and resumes those that a crash interrupted.

    Two live executors of one factory would run steps twice: hold `engine.lock.ProcessLock` while one is open. A process
    has at most one. Runs begin within about half a second, also those that an `EngineClient` asks for.
    """

    _open: ClassVar[bool] = False

    def __init__(
        self,
        url: str,
        workflows: Mapping[str, Workflow],
        observe: Observe = ignore,
        *,
        held: Callable[[], None] = nothing,
        only: str | None = None,
        give_up: Callable[[], None] = nothing,
    ) -> None:
        if DurableEngine._open:
            raise Conflict(
                "this process executes runs already", where=_EXECUTOR, hint="close that engine first"
            )
        self._workflows = workflows
        self._observe, self._held, self._only, self._give_up = observe, held, only, give_up
        self._held_told = -math.inf
        self.trouble: LinewrightError | None = None
        """Why something about a run could not be written (a full disk, say); `None` where it always could. A run that was at
        work then has no end, nor will it have one before another executor resumes it."""
        self._closing = self._stopped = False
        self._working = 0
        self._changed = threading.Condition()
        _require_database(url)
        with _explained(url):
            DBOS.migrate(url)
        super().__init__(url)
        if "system_database_engine" in self._database:
            event.listen(self._database["system_database_engine"], "handle_error", self._on_error)
        self._launch()

    def close(self, *, grace: float = 2.0) -> None:
        """Stop: no step begins any more, and a step that is running has `grace` seconds to end and be recorded.

        A step that takes longer goes on in its thread, for which Python waits at exit, and is done again when the run is
        resumed. Its run, and all in the queue, stay unfinished.
        """
        if not DurableEngine._open:
            return
        self._closing = True
        if not self._rests(grace):
            self._give_up()
            self._rests(_GIVEN_UP_S)
        self._stopped = True
        DBOS.destroy(destroy_registry=True)
        super().close()
        DurableEngine._open = False

    def _rests(self, within_s: float) -> bool:
        """Wait until no run is going on, and return whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._working, timeout=within_s)

    @contextmanager
    def _at_work(self) -> Generator[None]:
        with self._changed:
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _on_error(self, context: sa.ExceptionContext) -> None:
        # DBOS tries again where the database is busy, and else lets the thread end that met the error.
        error = context.sqlalchemy_exception
        found = explain(error, self._url) if isinstance(error, DBAPIError) else None
        if is_busy(context.original_exception):
            self._tell_held()
        elif found is not None:
            self._have_trouble(found)

    def _tell_held(self) -> None:
        if time.monotonic() - self._held_told > _HELD_S:
            self._held_told = time.monotonic()
            self._held()

    def _have_trouble(self, found: LinewrightError) -> None:
        self.trouble = self.trouble or found

    def _require_health(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    def _launch(self) -> None:
        config = DBOSConfig(
            name=_APPLICATION,
            executor_id=_EXECUTOR,
            application_version=_VERSION,
            serializer=_JsonSerializer(),
            log_level="WARNING",
            enable_otlp=False,
            # Of its notifications we use none; and closing waits for this poll.
            use_listen_notify=False,
            notification_listener_polling_interval_sec=_POLL_S,
            **self._database,
        )
        logging.getLogger("dbos").addFilter(is_news)
        DurableEngine._open = True
        try:
            with _explained(self._url):
                # Before the launch: a queue that is registered later is noticed only after a second.
                self._client.register_queue(
                    _QUEUE,
                    worker_concurrency=_MOST_BEGUN,
                    partition_worker_concurrency=1,
                    polling_interval_sec=_QUEUE_POLL_S,
                )
                executor = DBOS(config=config)
                DBOS.workflow(name=_WORKFLOW)(self._workflow())
                DBOS.launch()
                if (url := sa.make_url(self._url)).database and "system_database_engine" in self._database:
                    _ask_once(getattr(executor, "_sys_db", None), str(url.database))
        except BaseException:
            self.close()
            raise

    def _workflow(self) -> Callable[[str, Json, str], dict[str, Json]]:
        # A plain function: DBOS would take a method for one of a class that it must know.
        def run(workflow: str, request: Json, group: str) -> dict[str, Json]:
            if self._only is not None and group != self._only:
                raise Interrupted
            with self._at_work():
                try:
                    return self._carry_out(workflow, request)
                except NotEnded as error:
                    self._have_trouble(error.because)
                    raise
                except Exception:
                    # Before DBOS records the end: whoever follows may exit at once.
                    traceback.print_exc()
                    raise

        return run

    def _carry_out(self, workflow: str, request: Json) -> dict[str, Json]:
        run = str(DBOS.workflow_id)

        def step(name: str, do: Callable[[], Json]) -> Json:
            if self._closing:
                raise Interrupted

            def once() -> dict[str, Json]:
                self._observe(run, name, "start")
                outcome = capture(do, f"the answer of step {name!r}")
                self._observe(run, name, "end")
                if self._stopped:
                    raise Interrupted
                return outcome

            try:
                outcome = DBOS.run_step({"name": name}, once)
            except DBAPIError as error:
                if self.trouble is None:
                    raise
                raise Interrupted from error
            return release(outcome)

        return capture(
            lambda: find_workflow(self._workflows, workflow)(step, request), "the answer of the workflow"
        )


def _end_of(status: WorkflowStatus) -> Json:
    match status.status:
        case "SUCCESS":
            return release(status.output)
        case "ERROR":
            raise bug(status.workflow_id, str(status.error))
        case other:
            raise Terminal("the run was given up", where=f"run {status.workflow_id}", found=other.lower())
