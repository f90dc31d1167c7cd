"""Carries out runs on the factory's one executor: this process, or the one that is up."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, cast

from linewright.engine.context import Progress
from linewright.engine.inline import InlineEngine
from linewright.engine.lock import ProcessLock
from linewright.engine.protocol import Engine, Json, Observe, ignore
from linewright.engine.run_notes import may_be_unfinished
from linewright.errors import ContractBreach, LinewrightError, NotFound, RequestError, Transient
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished, Plan, RunResult
from linewright.line.file.read import placed
from linewright.line.file.view_file import view_path
from linewright.line.runs.attempts import PROGRAM, Attempts, record_cancelled
from linewright.line.runs.cancel import ask_to_cancel, forget_cancellation, require_id
from linewright.line.runs.record import WORKFLOW, end_of, last_declared, prepare, trains_anew
from linewright.line.spec import LineSpec
from linewright.line.views.sources import all_sources
from linewright.store.values import digest_of

if TYPE_CHECKING:
    from linewright.engine.durable import DurableEngine, EngineClient
    from linewright.line.steps.table import LineStep

_LOOK_S = 1.0
"""How often a run that another process carries out is checked for a dead executor."""
_OPENING_S = 30.0
"""How long another process may take between its lock and a database that runs can be asked of."""
_PAUSE_S = 0.1
_CANCEL_S = 10.0
"""How long it is waited for that a run which was cancelled has ended."""


def execute(
    factory: Factory,
    line: str,
    *,
    plan: str | None = None,
    as_of: str | None = None,
    observe: Observe = ignore,
    program: Sequence[str] = PROGRAM,
) -> RunResult:
    """Finish what was interrupted, then plan a line and carry the plan out.

    On SQLite a factory has one executor, which holds a lock. Where another process holds it (`up`, say), the run is
    put into its queue and followed.
    """
    lock = ProcessLock(factory.state / "executor.lock")
    while (client := _client(factory, lock)) is not None:
        with closing(client), suppress(_ExecutorEnded):
            follow = partial(_follow, factory, client, lock)
            return _carry_out(factory, line, partial(_begun, client, line, follow), plan=plan, as_of=as_of)
    resumed = _Resumed()
    watch = partial(resumed.observe, observe)
    try:
        with closing(Attempts(factory, program)) as attempts, ExitStack() as opened:

            @cache
            def engine() -> "DurableEngine":
                return opened.enter_context(open_executor(factory, watch, only=line, attempts=attempts))

            def begin(run: str, request: Mapping[str, Json]) -> Json:
                return _begun(engine(), line, engine().follow, run, request)

            is_unfinished = may_be_unfinished(factory.engine_url, line)
            if not is_unfinished:
                factory.line(line)  # one that there is not, or that cannot be read, opens no engine
            asked = attempts if _will_run(factory, line) else None
            if asked is not None and _may_train(factory, line):
                attempts.warm()
            # The engine takes long to import and to open: who has nothing to do, and nothing to finish, does without.
            if asked is not None or is_unfinished:
                for run in engine().unfinished(line):
                    resumed.follow(engine(), run)
            return _carry_out(factory, line, begin, plan=plan, as_of=as_of, resumed=resumed, attempts=asked)
    finally:
        lock.release()


def cancel_run(factory: Factory, run: str, because: str) -> dict[str, Any]:
    """Cancel a run, and wait for up to `_CANCEL_S` seconds until that is recorded.

    Where no process carries out the runs of the factory, it is recorded here.
    """
    require_id(run)
    accepted = factory.metadata.newest_with(Accepted, "run", run)
    if accepted is None or not factory.may("run", accepted.line):
        raise NotFound("no such run was accepted", found=run, hint="`linewright runs` lists them")
    line = accepted.line
    if end_of(factory, line, run) is None:
        ask_to_cancel(factory, run, because)
    deadline = time.monotonic() + _CANCEL_S
    lock = ProcessLock(factory.state / "executor.lock")
    while (ended := end_of(factory, line, run)) is None and time.monotonic() < deadline:
        if lock.acquire():
            try:
                record_cancelled(factory, line, run)
            finally:
                lock.release()
        time.sleep(_PAUSE_S)
    if ended is None:
        return {"run": run, "line": line, "state": "asked"}
    forget_cancellation(factory, run)
    return {"run": run, "line": line, "state": ended.outcome, "promoted": ended.promoted}


def _will_run(factory: Factory, line: str) -> bool:
    """Guess, before anything is read, whether there is something to do: a file of the line is newer than its last run."""
    last = factory.metadata.events(Finished, line=line, newest_first=True, limit=1)
    if not last:
        return True
    ended = datetime.fromisoformat(last[0].at).timestamp()
    with suppress(LinewrightError, OSError):
        spec = factory.line(line)
        return factory.path_of(line).stat().st_mtime > ended or _may_have_moved(factory, spec, ended)
    return False


def _may_train(factory: Factory, line: str) -> bool:
    """Guess, before anything is read, whether a process should load what trains: other amounts or gates alone need none of it."""
    last = factory.metadata.events(Finished, line=line, newest_first=True, limit=1)
    before = last_declared(factory, line) if last and last[0].outcome == "done" else None
    if before is None:
        return True
    ended = datetime.fromisoformat(last[0].at).timestamp()
    with suppress(LinewrightError, OSError):
        spec = factory.line(line)
        return trains_anew(spec, before) or _may_have_moved(factory, spec, ended)
    return True


def _may_have_moved(factory: Factory, spec: LineSpec, since: float) -> bool:
    """Guess whether a source changed after an instant, in seconds of Unix time: one of no file may have, a file tells."""
    files = [source.local_files for source in all_sources(factory, spec).values()]
    if not all(files):
        return True
    files.append(tuple(str(view_path(factory.root, name)) for name in spec.features))
    paths = [factory.root / written for written in chain.from_iterable(files)]
    return any(path.is_file() and path.stat().st_mtime > since for path in paths)


@contextmanager
def open_executor(
    factory: Factory,
    observe: Observe = ignore,
    *,
    only: str | None = None,
    attempts: Attempts | None = None,
) -> "Generator[DurableEngine]":
    """Open the factory's executor; the caller holds its lock."""
    from linewright.engine.durable import DurableEngine  # noqa: PLC0415 -- DBOS takes most of a second to import

    file = factory.state / "engine.sqlite"
    says = f"another process holds {file} (fuser -v {file} names it); runs go on once it has ended"

    def held() -> None:
        factory.report(Progress(step="engine", says=says, stays=True))

    with ExitStack() as closes:
        works = attempts or closes.enter_context(closing(Attempts(factory)))
        engine = DurableEngine(
            factory.engine_url, works.workflows, observe, held=held, only=only, give_up=works.stop
        )
        closes.enter_context(closing(engine))
        yield engine


def _client(factory: Factory, lock: ProcessLock) -> "EngineClient | None":
    """Return a client of the process that holds the lock; `None` once this one holds it.

    Who took the lock a moment ago is still making the database: it is waited for.
    """
    deadline = time.monotonic() + _OPENING_S
    while not lock.acquire():
        from linewright.engine.durable import EngineClient  # noqa: PLC0415 -- as in `open_executor`

        try:
            return EngineClient(factory.engine_url)
        except Transient as error:
            if time.monotonic() > deadline:
                raise Transient(
                    "another command is at work in this factory",
                    where=str(factory.root),
                    found=f"process {lock.holder()}",
                    hint="wait until it has ended, then try again",
                ) from error
            time.sleep(_PAUSE_S)
    return None


def execute_inline(
    factory: Factory, line: str, *, as_of: str | None = None, proposal: str | None = None
) -> RunResult:
    """Plan a line and carry the plan out in this process, without a durable engine: for worlds and tests."""
    engine = InlineEngine(import_module("linewright.line.runs.workflow").workflows(factory))
    begin = partial(_begun, engine, line, engine.follow)
    return _carry_out(factory, line, begin, plan=None, as_of=as_of, proposal=proposal)


def start(factory: Factory, line: str, engine: Engine, *, as_of: str, proposal: str) -> str | None:
    """Start the run that answers a proposal, on the engine of this process; return its id."""
    spec = factory.line(line)
    plan = _asked(factory).plan(spec, as_of=as_of)
    if not plan.changes:
        return None
    run, request = prepare(factory, spec, plan, proposal=proposal)
    engine.start(WORKFLOW, run, request, group=line)
    return run


def _carry_out(
    factory: Factory,
    line: str,
    begin: Callable[[str, Mapping[str, Json]], Json],
    *,
    plan: str | None,
    resumed: "_Resumed | None" = None,
    as_of: str | None = None,
    proposal: str | None = None,
    attempts: Attempts | None = None,
) -> RunResult:
    spec, asked = factory.line(line), _asked(factory, attempts)
    try:
        now = asked.plan(spec, as_of=as_of)
        if plan is not None:
            _same(factory, plan, now)
        if not now.changes:
            return asked.found(spec, **(resumed.of(line) if resumed is not None else {}))
        run, request = prepare(factory, spec, now, proposal=proposal)
        done = cast("dict[str, Any]", begin(run, request))
    except (RequestError, ContractBreach) as error:
        raise placed(error, factory.path_of(line), line) from error
    return asked.result(spec, run=run, did=done["did"])


def _begun(
    engine: "Engine | EngineClient",
    line: str,
    follow: Callable[[str], Json],
    run: str,
    request: Mapping[str, Json],
) -> Json:
    """Start a run of a line, follow it to its end, and return what it returned."""
    engine.start(WORKFLOW, run, dict(request), group=line)
    return follow(run)


class _Asked(Protocol):
    """What plans a run, and looks at what it gave; see `line.runs.attempts.Attempts`."""

    def plan(self, spec: LineSpec, *, as_of: str | None) -> Plan: ...
    def result(self, spec: LineSpec, *, run: str, did: Sequence[str]) -> RunResult: ...
    def found(
        self,
        spec: LineSpec,
        *,
        run: str | None = None,
        did: Sequence[str] = (),
        did_before: Sequence[str] = (),
    ) -> RunResult: ...


def _asked(factory: Factory, attempts: Attempts | None = None) -> _Asked:
    return attempts or factory.attempts or _InThisProcess(factory)


@dataclass(frozen=True)
class _InThisProcess:
    """Does so here. What it needs takes a second to import, which a process that only follows runs does without."""

    factory: Factory

    def plan(self, spec: LineSpec, *, as_of: str | None) -> Plan:
        return import_module("linewright.line.runs.plan").plan_run(self.factory, spec, as_of=as_of)

    def result(self, spec: LineSpec, *, run: str, did: Sequence[str]) -> RunResult:
        return import_module("linewright.line.runs.known_result").result_of(
            self.factory, spec, run=run, did=tuple(did)
        )

    def found(
        self,
        spec: LineSpec,
        *,
        run: str | None = None,
        did: Sequence[str] = (),
        did_before: Sequence[str] = (),
    ) -> RunResult:
        of_run = import_module("linewright.line.runs.known_result").found
        return of_run(self.factory, spec, run=run, did=tuple(did), did_before=tuple(did_before))


@dataclass
class _Resumed:
    """The interrupted runs that were finished before anything else was planned."""

    ended: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """What the newest of each line returned."""
    _began: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Run and step of each step that really ran in this process."""

    def observe(self, tell: Observe, run: str, step: str, what: str) -> None:
        """Note a step that really runs, and tell whoever else wants to know."""
        self._began.add((run, step))
        tell(run, step, what)

    def follow(self, engine: Engine, run: str) -> None:
        """Follow an interrupted run to its end; how it failed is in its record, for those who asked for it."""
        with suppress(LinewrightError):
            done = cast("dict[str, Any]", engine.follow(run))
            self.ended[done["line"]] = done

    def of(self, line: str) -> dict[str, Any]:
        """Return run, steps and those that were computed before its interruption, of the last one of a line; empty if there is none."""
        if (done := self.ended.get(line)) is None:
            return {}
        before = tuple(name for name in done["did"] if (done["run"], name) not in self._began)
        return {"run": done["run"], "did": tuple(done["did"]), "did_before": before}


class _ExecutorEnded(Exception):  # noqa: N818 -- a signal between two functions, never seen outside
    """The process that carried out the run has ended, and this one holds its lock now."""


def _follow(factory: Factory, client: "EngineClient", lock: ProcessLock, run: str) -> Json:
    """Follow a run that another process carries out, and tell which step it is at."""
    told: Progress | None = None
    pause = 0.02
    while True:
        try:
            return client.follow(run, timeout=_LOOK_S, pause=pause)
        except Transient as error:
            if error.details.get("unfinished") != run:
                raise
        pause = _LOOK_S / 3  # many may follow, and each look is a query
        if not factory.waits():
            raise Transient(
                "the control plane ends before the run does; the run goes on once it is back",
                where=f"run {run}",
                hint=f"`linewright show {run}` says how it ended",
                details={"unfinished": run},
            )
        if lock.acquire():
            raise _ExecutorEnded
        done = client.done(run)
        steps: Sequence[LineStep] = import_module("linewright.line.steps.table").STEPS
        left = [step for step in steps if step.name not in done]
        now = Progress(step=left[0].name, says=left[0].doing) if done and left else None
        if now is not None and now != told:
            factory.report(now)
            told = now


def _same(factory: Factory, wanted: str, now: Plan) -> None:
    plan = factory.metadata.get(wanted, Plan)
    if digest_of(plan) != digest_of(now):
        moved = [name for name, print_ in plan.sources.items() if now.sources.get(name) != print_]
        raise Transient(
            "the plan is no longer what a run would do",
            where=wanted,
            found=f"source {', '.join(moved)} changed" if moved else "the line or the store changed",
            hint=f"plan again: linewright plan {now.line}",
        )
