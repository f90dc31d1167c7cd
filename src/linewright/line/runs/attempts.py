"""Carries out runs in child processes, attempt by attempt: whatever a step does to its process, the factory lives and records it.

The child walks the steps of a run and asks here before each of them. What a step gave is kept by the engine, so a further attempt is
told what is done already and begins where the one before ended.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar, cast

import msgspec

from linewright.engine.child import Child, ChildEnded, End, end_in_words
from linewright.engine.context import Progress
from linewright.engine.fair_share import Turn, Turns
from linewright.engine.protocol import Interrupted, Json, NotEnded, Step, Workflow, release
from linewright.engine.usage import Usage
from linewright.errors import (
    BackendError,
    Conflict,
    LinewrightError,
    Terminal,
    Transient,
    UserCodeError,
    from_json,
)
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, AttemptEnded, Declared, Plan, RunResult
from linewright.line.file.factory_file import RunLimits, read_factory_file
from linewright.line.runs.cancel import Cancellation, cancellation_of, forget_cancellation
from linewright.line.runs.record import WORKFLOW, accept, declared, end_of, finish, usage_of_attempts
from linewright.line.runs.run_log import RunLog
from linewright.line.runs.usage import RunMeter
from linewright.line.spec import LineSpec
from linewright.serve.listener import endpoint
from linewright.store.values import decoder, to_builtins

MOST_ATTEMPTS = 3
"""How often the process may end at one step of a run before the run fails."""
MOST_ASKED = 4
"""How many plans are made at a time, or results looked at, each in a process of its own."""
START_S = 60.0
"""How long a child may take to load its libraries, at least: on a busy machine that takes longer than a step may be silent."""
WARM_S = 600.0
"""How long a spare process waits for a run."""
QUIET_S = 10.0
"""Seconds without news after which a run no longer keeps others from beginning."""
_TOO_LATE = frozenset({"release", "finish"})
"""Steps that are not cancelled: they take a moment, and what they do is an end of the run."""


PROGRAM = ("linewright.line.runs.attempt",)
"""The module that carries out one attempt, and its first arguments."""


T = TypeVar("T")

for _kind in (Plan, Progress, RunResult):
    decoder(_kind)  # their form is known before several threads ask for it


class BugInChildError(Exception):
    """An exception of the child that was no `LinewrightError`; its traceback went to stderr."""


class Children:
    """Starts the processes that carry out runs.

    One thread starts all of them and lives as long as this: the kernel ends a child together with the thread that started it.
    """

    def __init__(self, factory: Factory, limits: RunLimits, program: Sequence[str] = PROGRAM) -> None:
        self._root, self._state, self._limits, self._program = factory.root, factory.state, limits, program
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="children")
        self._lock = threading.Lock()
        self._spare: Future[Child] | None = None
        """One that waits for a run."""
        self._ending: threading.Timer | None = None
        """Ends the spare one; one timer at a time, since each is a thread."""

    def warm(self) -> None:
        """Start a spare one, unless one waits already: it loads its libraries meanwhile. It waits for `WARM_S` seconds."""
        with self._lock:
            if self._spare is None:
                self._keep(self._starter.submit(self._start))

    def take(self) -> Child:
        """Return one that waits, or a new one."""
        child = (self._without_spare() or self._starter.submit(self._start)).result()
        self.have_stand_back(child)
        if child.gives_way and not self._gives_way():  # which is for good
            child.kill()
            child = self._starter.submit(self._start).result()
        return child

    def have_stand_back(self, child: Child) -> None:
        """Have one stand back if runs do so now."""
        if not child.gives_way and self._gives_way():
            child.stand_back()

    def give_back(self, child: Child) -> None:
        """Have a child that has done its work wait for the next run, unless one waits already."""
        with self._lock:
            if self._spare is not None:
                child.kill()
                return
            spare = Future[Child]()
            spare.set_result(child)
            self._keep(spare)

    def close(self) -> None:
        """End the spare one; whoever took a child ends it."""
        self._end_spare()
        self._starter.shutdown(wait=False)

    def _keep(self, spare: Future[Child]) -> None:
        self._spare = spare
        self._ending = threading.Timer(WARM_S, self._end_spare, args=(spare,))
        self._ending.daemon = True
        self._ending.start()

    def _without_spare(self, only: Future[Child] | None = None) -> Future[Child] | None:
        """Return the spare one, which is none any more; not where it is another than `only`."""
        with self._lock:
            spare = self._spare
            if spare is None or (only is not None and spare is not only):
                return None
            self._spare = None
            if self._ending is not None:
                self._ending.cancel()
            return spare

    def _end_spare(self, only: Future[Child] | None = None) -> None:
        spare = self._without_spare(only)
        if spare is not None:
            with suppress(OSError):
                spare.result().kill()

    def _start(self) -> Child:
        module, *arguments = self._program
        words, limits = (*arguments, str(self._root)), self._limits
        return Child(module, words, memory=limits.bytes, cores=limits.cores, gives_way=self._gives_way())

    def _gives_way(self) -> bool:
        return self._limits.gives_way(is_beside_endpoint=endpoint(self._state) is not None)


class Attempts:
    """The workflows of a factory, each run in a child process, several lines at a time."""

    def __init__(
        self, factory: Factory, program: Sequence[str] = PROGRAM, *, of_all_lines: bool = False
    ) -> None:
        self._factory, self._of_all_lines = factory, of_all_lines
        self._limits = read_factory_file(factory.root).runs
        self._turns = Turns(self._limits.at_once)
        self._children = Children(factory, self._limits, program)
        self._stopped = threading.Event()
        self._asking = threading.Semaphore(MOST_ASKED)
        self.warm = self._children.warm

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """What an engine needs to carry out runs."""
        return {WORKFLOW: self._run_line}

    def plan(self, spec: LineSpec, *, as_of: str | None) -> Plan:
        """Make the plan of a line in a child: it reads sources, and has their databases carry out queries."""
        return self._ask("plan", spec, Plan, as_of=as_of)

    def result(self, spec: LineSpec, *, run: str, did: Sequence[str]) -> RunResult:
        """Return what a run gave, as `line.runs.known_result.result_of` does, in a child: it looks at sources too."""
        return self._ask("result", spec, RunResult, run=run, did=did)

    def found(
        self,
        spec: LineSpec,
        *,
        run: str | None = None,
        did: Sequence[str] = (),
        did_before: Sequence[str] = (),
    ) -> RunResult:
        """Return what there is already, as `line.runs.known_result.found` does, in a child."""
        return self._ask("found", spec, RunResult, run=run, did=did, did_before=did_before)

    def _ask(self, what: str, spec: LineSpec, kind: type[T], **arguments: object) -> T:
        with self._asking:
            said = self._asked(
                spec.line,
                {
                    "asks": what,
                    "spec": declared(spec).spec,
                    "by": self._factory.actor,
                    "arguments": arguments,
                },
            )
        return msgspec.convert(release(said), kind)

    def _asked(self, line: str, request: dict[str, Any]) -> dict[str, Any]:
        child = self._children.take()
        try:
            child.send(request)
            said = self._heard(child)
        except ChildEnded as ended:
            raise Terminal(
                "the process that looked at the line ended",
                where=line,
                found=end_in_words(ended.end),
                hint=f"see what keeps it from reading the sources: linewright check {line}",
            ) from ended
        except BaseException:
            child.kill()
            raise
        self._children.give_back(child)
        if "bug" in said:
            raise BugInChildError(said["bug"])
        return said

    def _heard(self, child: Child) -> dict[str, Any]:
        def look(_waited: float) -> None:
            if self._stopped.is_set():
                raise Transient("this process ends", hint="try again in a moment")

        while "progress" in (said := child.receive(idle_s=max(self._limits.idle_s, START_S), quiet=look)):
            self._factory.report(msgspec.convert(said["progress"], Progress))
        return said

    def stop(self) -> None:
        """Have each run that is at work stop where it is, without an end; it is resumed later."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and end the processes."""
        self.stop()
        self._children.close()

    def _run_line(self, step: Step, request: Json) -> Json:
        asked = cast("dict[str, Any]", request)
        ended = end_of(self._factory, asked["line"], asked["run"])
        if ended is not None and ended.error is not None and _OVER in ended.error.get("details", {}):
            raise from_json(ended.error)  # recorded, and then this process ended
        run = _Run(
            self._factory,
            step,
            asked,
            children=self._children,
            limits=self._limits,
            stopped=self._stopped,
            of_all_lines=self._of_all_lines,
        )
        run.accept()
        try:
            with self._turns.take(is_urgent=asked.get("proposal") is None, look=run.look) as turn:
                given = run.carry_out(turn)
        except _Over as over:
            # No child is needed to say so, and none may be left that could.
            run.fail(over.error)
            raise over.error from None
        if self._of_all_lines:
            self.warm()
        return given


class _Over(Exception):  # noqa: N818 -- a signal between two functions, never seen outside
    """The run ends with this error, whatever its child would say."""

    def __init__(self, error: LinewrightError) -> None:
        super().__init__(str(error))
        self.error = error


class _Run:
    """One run, through as many children as it takes."""

    def __init__(
        self,
        factory: Factory,
        step: Step,
        request: dict[str, Any],
        *,
        children: Children,
        limits: RunLimits,
        stopped: threading.Event,
        of_all_lines: bool,
    ) -> None:
        self._of_all_lines = of_all_lines
        self._factory, self._step, self._request = factory.asked_by(request["by"]), step, request
        self._children, self._limits, self._stopped = children, limits, stopped
        self._run, self._line = str(request["run"]), str(request["line"])
        self._done: dict[str, dict[str, Any]] = {}
        """By name of each step that is done how it went, as the engine keeps it."""
        self._at = "accept"
        self._child: Child | None = None
        self._meter = RunMeter(usage_of_attempts(factory, self._line, self._run), Usage)
        self._has_begun = False
        self._turn: Turn | None = None
        self._log = RunLog.of(factory, self._run)

    def accept(self) -> None:
        """Record that the run is accepted."""
        plan = self._factory.metadata.get(self._request["plan"], Plan)
        who: dict[str, Any] = {name: self._request.get(name, "") for name in ("by", "member")}
        proposal = self._request.get("proposal")
        accepted = self._step(
            "accept", lambda: accept(self._factory, plan, self._run, **who, proposal=proposal)
        )
        self._done["accept"] = {"returned": accepted}

    def carry_out(self, turn: Turn) -> Json:
        """Walk the steps and return what the run returned; raise what it raised."""
        self._turn = turn
        self.look(0.0)
        try:
            self._begin()
            while True:
                said = self._hear_or_begin_again()
                if "step" in said:
                    self._answer(said["step"])
                elif "bug" in said:
                    raise BugInChildError(said["bug"])
                else:
                    if not self._of_all_lines and self._child is not None:
                        self._child.hear(None)
                        self._children.give_back(self._child)  # it knows what the run gave
                        self._child = None
                    return release(said)
        finally:
            if self._child is not None:
                self._child.kill()
            self._log.close()

    def fail(self, error: LinewrightError) -> None:
        """Record that the run ended with an error, once all its processes are gone.

        It is no step of the engine: a run that is resumed may be cancelled before it has walked as far as it did before. Done
        twice it is done once.
        """
        known = {
            name: str(outcome["returned"]["digest"])
            for name, outcome in self._done.items()
            if isinstance(outcome.get("returned"), dict) and "digest" in outcome["returned"]
        }
        finish(
            self._factory,
            self._line,
            self._run,
            known=known,
            error=error.to_json(),
            usage=self._meter.total,
        )
        forget_cancellation(self._factory, self._run)

    def look(self, waited: float = 0.0) -> None:
        """Stop where the process ends or the run was cancelled, and let others begin where nothing was heard for long."""
        if self._stopped.is_set():
            raise Interrupted
        if self._at not in _TOO_LATE and (asked := cancellation_of(self._factory, self._run)) is not None:
            raise _Over(_cancelled(self._run, asked))
        if waited > QUIET_S and self._turn is not None:
            self._turn.rest()
        if self._child is not None:
            self._children.have_stand_back(self._child)

    @property
    def _spec(self) -> LineSpec:
        return LineSpec.model_validate(self._factory.metadata.get(self._request["declared"], Declared).spec)

    def _begin(self) -> None:
        if self._child is not None:
            self._child.kill()
        child = self._child = self._children.take()
        child.hear(self._log.output)
        self._has_begun = False
        measured = {"usage": self._meter.total, "begun": child.measure()}
        child.send({**self._request, **to_builtins(measured)})
        self._meter.begin(lambda: child.usage)

    def _hear(self) -> dict[str, Any]:
        """Return what the child says next, but for news, which are passed on."""
        assert self._child is not None  # noqa: S101 -- it was begun
        while True:
            idle_s = self._limits.idle_s if self._has_begun else max(self._limits.idle_s, START_S)
            said = self._child.receive(idle_s=idle_s, busy_s=self._limits.busy_s, quiet=self.look)
            self._has_begun = True
            if self._turn is not None:
                self._turn.go_on()
            if "progress" not in said:
                return said
            self._report(msgspec.convert(said["progress"], Progress))

    def _report(self, progress: Progress) -> None:
        self._log.news(progress)
        named = replace(progress, step=f"{self._line} {progress.step}") if self._of_all_lines else progress
        self._factory.report(named)

    def _hear_or_begin_again(self) -> dict[str, Any]:
        """Return what the child says between two steps; one that ended there is followed by another."""
        while True:
            try:
                return self._hear()
            except ChildEnded as ended:
                self._note(ended.end)
                self._begin()

    def _answer(self, name: str) -> None:
        """Have a step done, by the child, unless it was done before; tell the child how it went."""
        if name not in self._done:
            self._at = name
            try:
                answer = self._meter.follow(self._step, name, lambda: self._do(name))
                self._done[name] = {"returned": answer}
            except LinewrightError as error:
                self._done[name] = {"raised": error.to_json()}
                if error.details.get(_OVER):
                    raise _Over(error) from error
            except _Over:
                raise
            except Exception as error:  # noqa: BLE001 -- a bug: the child ends the run with it
                self._done[name] = {"bug": str(error)}
        assert self._child is not None  # noqa: S101 -- it has asked
        self._child.send({"outcome": self._done[name]})

    def _do(self, name: str) -> Json:
        assert self._child is not None  # noqa: S101 -- it has asked
        self._child.send({"do": name})
        while True:
            try:
                said = self._hear()
            except ChildEnded as ended:
                self._note_or_raise(ended.end)
                self._begin()
                continue
            except _Over as over:
                raise over.error from None
            if said.get("step") == name:
                self._child.send({"do": name})
            elif "step" in said:
                # A further attempt is told what those before it have done.
                self._child.send({"outcome": self._done[said["step"]]})
            elif "not_ended" in said:
                raise NotEnded(cast("BackendError", from_json(said["not_ended"])))
            elif "bug" in said["did"]:
                raise BugInChildError(said["did"]["bug"])
            else:
                return release(said["did"])

    def _note_or_raise(self, end: End) -> None:
        try:
            self._note(end)
        except _Over as over:
            raise over.error from None

    def _note(self, end: End) -> None:
        """Record how a child ended."""
        context = self._factory.context
        before = context.metadata.events(AttemptEnded, line=self._line)
        attempt = 1 + sum(one.run == self._run and one.step == self._at for one in before)
        context.metadata.record(
            AttemptEnded(
                at=context.now(),
                by=context.actor,
                because=f"{self._at}: {end_in_words(end)}",
                line=self._line,
                run=self._run,
                step=self._at,
                attempt=attempt,
                how=end.how,
                signal=end.signal,
                code=end.code,
                last=end.last,
                usage=self._child.usage if self._child is not None else None,
            )
        )
        says = f"{self._line}: the process of the run ended at step {self._at}: {end_in_words(end)}"
        if attempt >= MOST_ATTEMPTS:
            raise _Over(self._gave_up(end, attempt))
        self._report(
            Progress(
                step=self._at, says=f"{says}; attempt {attempt + 1} of {MOST_ATTEMPTS} begins", stays=True
            )
        )

    def _gave_up(self, end: End, attempts: int) -> LinewrightError:
        is_own_code = self._at == "train" and self._spec.train.python is not None
        kind = UserCodeError if is_own_code else Terminal
        hints = {
            "memory": "allow more (factory.yaml: runs: {memory: …}), or read fewer rows or columns",
            "deadline": "allow more (factory.yaml: runs: {idle_s: …}, or busy_s for one that computes), if it would have come to an end",
        }
        return kind(
            f"the process of the run ended {attempts} times at step {self._at}",
            where=f"{self._line}, run {self._run}",
            found=f"{end_in_words(end)}: {end.last}" if end.last else end_in_words(end),
            hint=hints.get(
                end.how,
                "see what it wrote above; what ends a process is often too little memory, or code that came with the line",
            ),
            details={_OVER: True, "run": self._run, "step": self._at, "how": end.how, "signal": end.signal},
        )


_OVER = "over"
"""Among the details of an error: the run ended with it, and no child is needed to record that."""


def _cancelled(run: str, asked: Cancellation) -> Conflict:
    because = f": {asked.because}" if asked.because else ""
    return Conflict(
        f"the run was cancelled by {asked.by}{because}",
        where=f"run {run}",
        details={_OVER: True, "run": run, "cancelled": asked.by},
    )


def record_cancelled(factory: Factory, line: str, run: str) -> None:
    """Record the end of a run that was cancelled while no process carries out runs; the caller holds the executor's lock."""
    asked = cancellation_of(factory, run)
    accepted = next((one for one in factory.metadata.events(Accepted, line=line) if one.run == run), None)
    if asked is not None and accepted is not None:
        error = _cancelled(run, asked).to_json()
        finish(factory, line, run, known={}, error=error)
