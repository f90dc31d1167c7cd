"""The data plane: which route answers what. Raw ASGI, since it is the price of every request."""

import asyncio
import gc
import os
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import Literal, TypeVar
from urllib.parse import SplitResult

import msgspec

from linewright import __version__
from linewright.errors import Denied, LinewrightError, NotFound, RequestError, Transient
from linewright.features.facts import ViewFacts
from linewright.model.facts import RequestColumn
from linewright.serve import answers
from linewright.serve import process_metrics as process
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.control_token import TOKEN_FILE, read_token
from linewright.serve.access.rights import Permission
from linewright.serve.access.shares import client_by_address
from linewright.serve.feedback.store import Feedback
from linewright.serve.http import oip, oip_binary, openapi
from linewright.serve.http import predict as answer
from linewright.serve.http.batching import Together
from linewright.serve.http.gates import LOOK_S as LIMITS_LOOK_S
from linewright.serve.http.gates import Gate, Gates, LogUse
from linewright.serve.http.health import (
    as_one,
    is_answering,
    is_ready,
    to_disk_gauges,
    to_gauges,
    to_health,
    to_memory_gauges,
    to_view_samples,
)
from linewright.serve.http.predict import Loaded
from linewright.serve.http.relative_paths import Relative
from linewright.serve.http.request import (
    BUG,
    HEADERS,
    HUNG_UP,
    SEND_AT_ONCE,
    Budget,
    Gone,
    Message,
    Receive,
    Refusal,
    Request,
    Response,
    Send,
    SendAtOnce,
    to_refusal,
    to_response,
)
from linewright.serve.limits import Capacity
from linewright.serve.log.outages import Outages
from linewright.serve.log.segments import Damage
from linewright.serve.log.writer import PredictionLog
from linewright.serve.metrics import Metrics, add_tallies
from linewright.serve.models.canary import Guard
from linewright.serve.models.follow import LOAD_WAIT_S, Get, Lines
from linewright.serve.models.probe import Probe
from linewright.serve.models.shadow import Mirrors
from linewright.serve.models.state import Live
from linewright.serve.origin import our_host, require_own_page
from linewright.serve.peers import LISTEN_S, Siblings, Told, added
from linewright.serve.rows.body import multipart
from linewright.serve.rows.lookup.feature_lookup import FeatureLookup
from linewright.serve.rows.scorer import RequestForm
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.clock import now_utc
from linewright.store.files.disk import is_out_of_files, too_many_files
from linewright.store.files.names import file_of, is_line_name, line_path
from linewright.store.pushed_rows import PushedRows

INLINE_BYTES = 32_768
"""Larger requests are computed in a thread, as are those that wait for the disk or are explained, so that small ones beside
them do not wait."""
GC_THRESHOLD = (5_000, 10, 10)
"""Objects after which cycles are looked for. The rows of one large request are thousands, and are gone with its answer: at Python's
own 700 they would be looked through again and again."""
CATCH_UP_S, LOOK_S = 10.0, 0.5
"""Time between two times that the log is indexed, and between two looks whether much is waiting before."""
MOST_WAITING = 16 * 2**20
"""Bytes of a log from which on it is indexed at once: about 40,000 predictions that came alone, a third of a second of work."""
MOST_TOLD = 20
"""Places of a damaged log that are told one by one."""
_PROTOCOL = "/v2/"
"""What is below it is the Open Inference Protocol's."""

T = TypeVar("T")
Handler = Callable[["App", Request, tuple[str, ...]], Awaitable[Response]]


class App:
    """Answers the requests of one endpoint."""

    def __init__(
        self,
        state: Path,
        get: Get,
        *,
        tell: Callable[[dict[str, object]], None],
        capacity: Capacity = Capacity(),  # noqa: B008 -- it is frozen
        now: Callable[[], str] = now_utc,
        siblings: Siblings | None = None,
        hosts: Collection[str] = (),
    ) -> None:
        self._state, self._tell, self._now = state, tell, now
        self._our_host = lru_cache(maxsize=256)(partial(_our_host, frozenset(hosts)))
        self._body_deadline_s = min(capacity.body_deadline_s, 60.0)
        self._authenticator, self._needs_token = (
            Authenticator(_owners(state), state=state),
            capacity.limits.needs_token,
        )
        self._artifacts = LocalArtifacts(state / "artifacts")
        self._siblings = siblings
        self._relative = Relative(state.parent)
        self._probe = Probe(state)
        self._lines = Lines(
            state / "serving", get, tell=tell, probe=self._probe, budget=capacity.model_memory
        )
        self._guard = Guard(self._lines.drop_canary)
        self._mirrors = Mirrors(state, self._guard, tell=tell)
        self._views = FeatureLookup(state, now=now)
        self._metrics = Metrics()
        self._document = openapi.Document(needs_token=self._needs_token)
        self._logs: dict[str, PredictionLog] = {}
        self._outages: dict[str, Outages] = {}
        self._together = Together(self._log)
        self._damage: dict[str, list[Damage]] = {}
        self._indexed: dict[str, int] = {}
        """By line, the bytes of its log that labels surely find."""
        self._budget = Budget(capacity.body_memory)
        self._log_use = LogUse(state / "log", now, self._written_bytes)
        self._gates = Gates(capacity.limits, self._log_use)
        # One: beside each other, large requests would take turns at the interpreter and at its caches, and be no sooner done.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._aside = ThreadPoolExecutor(2, thread_name_prefix="aside")
        # What waits for the disk alone, so that it does not wait for explanations too.
        self._durable = ThreadPoolExecutor(2, thread_name_prefix="durable")
        self._labelling = ThreadPoolExecutor(2, thread_name_prefix="label")

    def __call__(self, scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or live through the server's life."""
        return self._http(scope, receive, send) if scope["type"] == "http" else self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await _in_thread(None, self._lines.start)
        await _in_thread(None, lambda: self._views.refresh(self._views_served()))
        # What is here now stays; looking through it again and again would cost each request a tenth of its time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        if self._siblings is not None:
            self._siblings.enter()
        if self._gates.are_of_bytes:
            await _in_thread(None, self._log_use.look)
        works = (self._keep_catching_up(), self._keep_telling(), self._keep_looking_at_the_log())
        tasks = [asyncio.create_task(work) for work in works]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await _in_thread(None, self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _close(self) -> None:
        self._lines.close()
        self._probe.close()
        self._computing.shutdown()
        self._aside.shutdown()
        self._durable.shutdown()
        self._mirrors.close()
        self._views.close()
        self._labelling.shutdown()
        for log in self._logs.values():
            log.close()
        for outages in self._outages.values():
            outages.close()
        if self._siblings is not None:
            with suppress(OSError):  # a full disk: its counts end where it last told them
                self._siblings.tell(self._told())
            self._siblings.close()

    async def _keep_telling(self) -> None:
        """Tell the other processes of this endpoint what was counted here, when one of them is asked."""
        if self._siblings is None:
            return
        heard = 0
        while True:
            number = self._siblings.rung()
            if number != heard:
                heard = number
                with suppress(OSError):  # a full disk: the others go by what was told last
                    self._siblings.tell(self._told(number))
            await asyncio.sleep(LISTEN_S)

    async def _keep_looking_at_the_log(self) -> None:
        """Count what all processes have logged today, where that is limited."""
        while self._gates.are_of_bytes:
            await asyncio.sleep(LIMITS_LOOK_S)
            with suppress(OSError):  # the next look may tell more
                await _in_thread(None, self._log_use.look)

    def _written_bytes(self, line: str) -> int:
        return self._logs[line].written_bytes if line in self._logs else 0

    def _told(self, number: int = 0) -> Told:
        gauges = to_gauges(self._lines.live, self._logs, self._damage, self._indexed, self._outages)
        memory = to_memory_gauges(self._lines.live, self._lines.use_of_memory)
        return Told(
            number=number,
            tallies=add_tallies([self._metrics.tallies]),  # a copy: it goes on counting
            samples=[
                *gauges,
                *memory,
                *self._mirrors.to_samples(),
                *to_view_samples(self._views.damaged),
                *self._gates.to_samples(),
                *to_disk_gauges(self._state),
                *process.to_samples(),
            ],
            health=self._own_health(),
        )

    async def _told_by_all(self) -> list[Told]:
        own = self._told()
        return [own] if self._siblings is None else await _in_thread(None, partial(self._siblings.ask, own))

    def _own_health(self) -> answers.Health:
        return to_health(self._lines.live, self._logs, self._damage, self._outages)

    async def _health_of_all(self) -> answers.Health:
        if self._siblings is None:
            return self._own_health()
        return as_one([told.health for told in await self._told_by_all() if told.health])

    @property
    def is_ready(self) -> bool:
        """Whether every line that should have a model has one."""
        return is_ready(self._lines.live)

    async def _keep_catching_up(self) -> None:
        """Index what was logged at the start and now and then, so that no label ever waits for a long log."""
        seen: dict[str, int] = {}
        while True:
            for line in [line for line in _folders(self._state / "log") if line in self._lines.live]:
                written = self._logs[line].written_bytes if line in self._logs else 0
                if seen.get(line) != written:
                    seen[line] = written
                    await self._catch_up(line, written)
            for log in list(self._logs.values()):
                if log.fails:
                    await _in_thread(self._labelling, log.look_again)
            for facts in self._views_served():
                self._views.of(facts)
            until = monotonic() + CATCH_UP_S
            is_due = False
            while not is_due:  # it sleeps in any case: what cannot be indexed now is tried again
                await asyncio.sleep(min(CATCH_UP_S, LOOK_S))
                waiting = (log.written_bytes - seen.get(line, 0) for line, log in self._logs.items())
                is_due = monotonic() >= until or max(waiting, default=0) > MOST_WAITING

    def _views_served(self) -> list[ViewFacts]:
        """Return the feature views of the models that are loaded."""
        scorers = [live.scorer for live in list(self._lines.live.values())]
        return [facts for one in scorers if one is not None for facts in one.model.package.views]

    async def _catch_up(self, line: str, written: int) -> None:
        try:
            damage = await _in_thread(self._labelling, self._labels_of(line).catch_up)
        except (LinewrightError, OSError) as error:
            self._tell({"event": "labels-not-indexed", "line": line, "because": str(error)})
            return
        self._indexed[line] = written
        new = [each for each in damage if each not in self._damage.get(line, ())]
        self._damage[line] = damage
        for each in new[:MOST_TOLD]:
            self._tell({"event": "log-damaged", "line": line, "places": len(damage), **each._asdict()})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        begun = perf_counter()
        request = Request(
            method=scope["method"],
            path=scope["path"],
            headers=scope.get(HEADERS) or dict(scope["headers"]),
            receive=receive,
            scope=scope,
        )
        sent = BUG
        try:
            try:
                _require_ours(request, scope["scheme"], self._our_host)
                response = await self._respond(request)
            except (LinewrightError, Refusal) as error:
                refusal = to_refusal(error, in_words=request.path.startswith(_PROTOCOL))
                response = msgspec.structs.replace(refusal, body=self._relative(refusal.body))
            except OSError as error:
                if not is_out_of_files(error):
                    raise
                response = to_refusal(too_many_files(), in_words=request.path.startswith(_PROTOCOL))
            sent = await self._send(request, response, send)
        except Gone:
            sent = HUNG_UP
        finally:
            seconds = perf_counter() - begun
            self._metrics.count(request.line, request.version, sent.status, seconds, error=sent.error)

    async def _send(self, request: Request, response: Response, send: Send) -> Response:
        """Send an answer that the budget has room for, else a refusal; return what was sent."""
        at_once: SendAtOnce | None = request.scope.get(SEND_AT_ONCE)
        if at_once is not None and response.send_at_once(at_once):
            return response
        with self._budget.take(partial(self._client_of, request)) as take:
            try:
                take(len(response.body))
            except Transient as error:
                response = to_refusal(error)
            await response.send(send)
        return response

    def _respond(self, request: Request) -> Awaitable[Response]:
        found = _find(request.path) if len(request.path) <= 200 else None
        if found is None:
            raise NotFound("there is no such path", where=request.path[:200], hint="see /")
        method, handler, permission, arguments = found
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            allowed = "POST" if method == "POST" else "GET, HEAD"
            error = RequestError(
                "not a method of this path", where=request.path, found=request.method, allowed=allowed
            )
            raise Refusal(405, error, allow=allowed)
        if permission != OPEN:
            # Several lines may read a source.
            self._admit(request, permission, arguments[0] if arguments and permission != "push" else None)
        return handler(self, request, arguments)

    def _admit(self, request: Request, permission: str, line: str | None) -> None:
        """Refuse a request whose token does not cover it; without a token it passes if none is needed."""
        given = request.header(b"authorization")
        if given is None and not self._needs_token:
            return
        if given is not None and self._authenticator.remembers(given, permission, line):
            return
        who = ""
        try:
            identity = self._authenticator.identify(() if given is None else (given,))
            who = identity.actor
            if not identity.allows(permission, line):
                raise identity.refusal(permission, line)
            if given is not None:
                self._authenticator.remember(given, permission, line)
        except LinewrightError as error:
            client, route = request.scope.get("client"), request.path
            if line is not None:
                route = route.replace(f"/{line}", "/{line}", 1)
            self._authenticator.refused.note(
                error,
                server="endpoint",
                who=who,
                what=f"{request.method} {route}",
                address=client[0] if client else "",
            )
            raise

    def _client_of(self, request: Request) -> str:
        """Return whose request it is that was admitted: a member, or an address."""
        given = request.header(b"authorization")
        if given is not None:
            with suppress(LinewrightError):  # its right has ended since
                identity = self._authenticator.identify((given,))
                return f"member {identity.member or identity.actor}"
        return client_by_address(request.scope)

    # Lines

    def _line(self, name: str, request: Request) -> Live:
        live = self._lines.live.get(name)
        if live is not None:
            request.line = name
            return live
        if sites := sorted(line for line in self._lines.live if line.startswith(f"{name}.")):
            raise NotFound(
                "this is a template, whose lines are those of its sites",
                found=name[:100],
                allowed=", ".join(sites)[:1000],
                hint="ask the line of a site",
            )
        if is_line_name(name) and file_of(self._state.parent / "lines", name).is_file():
            raise _no_model(name)
        raise NotFound(
            "no line of that name is served here",
            found=name[:100],
            allowed=", ".join(sorted(self._lines.live))[:1000] or "(none yet)",
            hint="a line serves once `linewright run LINE` has promoted a model",
        )

    def _serving(self, request: Request, name: str, version: str | None = None) -> Live:
        """Return a line that has a model, whether it rests or not."""
        live = self._line(name, request)
        if live.arm is None:
            raise _no_model(name, live.refused)
        serves = str((live.front or live.arm).model)
        if version is not None and version != serves:
            raise NotFound("this version does not serve", where=name, found=version[:100], allowed=serves)
        request.version = serves
        return live

    def _answering(self, request: Request, name: str, version: str | None = None) -> Live:
        live = self._serving(request, name, version)
        if live.halt:
            raise Transient(
                "a person halted this line; it does not answer",
                where=name,
                hint=f"`linewright halt {name} --off` lets it answer again",
            )
        return live

    async def _form(self, live: Live) -> RequestForm:
        """Return the form of requests to a line that has a model; to tell of it, it need not be loaded."""
        try:
            read = partial(self._lines.form, live)
            form = await self._compute(read, small=live.scorer is not None, aside=True)
        except LinewrightError as error:
            raise _no_model(live.line, f"{type(error).__name__}: {error}") from error
        if form is None:
            raise _no_model(live.line, live.refused)
        return form

    async def _loaded(
        self,
        request: Request,
        arguments: tuple[str, ...],
        live: Live,
        work: Callable[[Loaded], Awaitable[T]],
    ) -> T:
        """Have a line's models answer, which are loaded first where it rests, and stay until it is done."""
        name = arguments[0]
        waiting = self._lines.hold(name)
        try:
            if waiting is not None:
                await _at_most(waiting, LOAD_WAIT_S, name)
            if self._lines.live.get(name) is not live:
                live = self._answering(request, *arguments)
            if live.arm is None or live.scorer is None:
                raise _loading(name)
            loaded = Loaded(
                name,
                live.generation,
                live.arm,
                live.scorer,
                self._now,
                live.canary,
                self._guard,
                live.shadow,
                self._mirrors,
                self._outages_of(name).count if live.answers_unlogged else None,
                self._artifacts,
                live.explore,
                live.series,
                self._views,
                "" if live.tried is None else self._client_of(request),
            )
            return await work(loaded)
        finally:
            self._lines.release(name)

    def _log(self, line: str) -> PredictionLog:
        if line not in self._logs:
            say = self._outages_of(line).say
            self._logs[line] = PredictionLog(line_path(self._state / "log", line), say=say)
        return self._logs[line]

    def _labels_of(self, line: str) -> Feedback:
        return Feedback.of(self._state, line, now=self._now)

    def _outages_of(self, line: str) -> Outages:
        if line not in self._outages:
            serving = self._state / "serving"
            self._outages[line] = Outages(serving, line, tell=self._tell, now=self._now)
        return self._outages[line]

    # Routes

    async def index(self, _request: Request, _arguments: tuple[str, ...]) -> Response:
        """Say what there is."""
        routes = [f"{method} {path}" for path, method, _, _ in _ROUTES]
        lines = [] if self._needs_token else sorted(self._lines.live)
        return to_response(answers.Index(linewright=__version__, lines=lines, routes=routes))

    async def server(self, _request: Request, _arguments: tuple[str, ...]) -> Response:
        """Describe the server, as the protocol wants."""
        return to_response(
            answers.Server(name="linewright", version=__version__, extensions=list(oip.EXTENSIONS))
        )

    async def health(self, _request: Request, _arguments: tuple[str, ...]) -> Response:
        """Say how each line is."""
        return to_response(await self._health_of_all())

    async def live(self, _request: Request, _arguments: tuple[str, ...]) -> Response:
        """Say that the process runs."""
        return to_response(answers.Live(live=True))

    async def ready(self, _request: Request, _arguments: tuple[str, ...]) -> Response:
        """Say whether requests should come here."""
        ready = self.is_ready if self._siblings is None else (await self._health_of_all())["ready"]
        return to_response(answers.Ready(ready=ready), 200 if ready else 503)

    async def model(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Describe the model of a line."""
        live = self._serving(request, *arguments)
        form = await self._form(live)
        return to_response(oip.to_metadata(live.line, request.version, form.package))

    async def model_ready(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Say whether a line answers."""
        live = self._line(arguments[0], request)
        if live.arm is not None:
            self._serving(request, *arguments)
        ready = is_answering(live, self._outages.get(live.line))
        return to_response(answers.ModelReady(name=live.line, ready=ready), 200 if ready else 503)

    async def schema(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Give the JSON Schema of a request row."""
        live = self._serving(request, *arguments)
        schema = openapi.row_schema(await self._form(live), live.model or "")
        return Response(body=msgspec.json.encode(schema), media_type="application/schema+json")

    async def openapi(self, request: Request, _arguments: tuple[str, ...]) -> Response:
        """Describe the data plane, with the columns of each line."""
        name = openapi.line_of(request.scope["query_string"])
        if name is None:
            work = partial(self._document.body, self._lines.live, self._lines.form)
        else:
            live = self._serving(request, name)
            form = await self._form(live)
            work = partial(openapi.to_body, {name: live}, lambda _: form, needs_token=self._needs_token)
        return Response(body=await self._compute(work, small=False, aside=True))

    async def predict(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Answer rows."""
        live = self._answering(request, *arguments)
        with self._budget.take(partial(self._client_of, request)) as take:
            # Only a whole request is worth loading a model, and keeping it: a body may take half a minute to come.
            columns: Sequence[RequestColumn] = ()
            if multipart.is_form(request.headers.get(b"content-type")):
                columns = await self._columns_of_a_form(live)
            also = (multipart.MEDIA_TYPE,) if columns else ()
            body = await request.read_body(take, self._body_deadline_s, also=also)
            if columns:
                take(2 * len(body))
                kind = request.header(b"content-type") or ""
                work = partial(multipart.to_json, body, kind, columns)
                body = await self._compute(work, small=len(body) <= INLINE_BYTES)
            with self._gates.of(live.line) as gate:
                if len(body) <= INLINE_BYTES:
                    ask = answer.read_ask(body, live.alone)
                    rows = len(ask.rows)
                    gate.take(rows)
                    response = await self._loaded(request, arguments, live, partial(self._predict, ask))
                else:
                    gate.take(0)  # to know how many it has takes as long as many small requests
                    many = partial(self._predict_many, body)
                    rows, response = await self._loaded(request, arguments, live, many)
                    gate.owe(rows)
        self._metrics.count_rows(request.line, request.version, rows)
        return response

    async def _columns_of_a_form(self, live: Live) -> Sequence[RequestColumn]:
        """Return the columns of a line with pictures, which a form with files may have; none of another line."""
        columns = (await self._form(live)).columns
        return columns if any(column.type == "file" for column in columns) else ()

    def _predict(self, ask: answer.Ask, loaded: Loaded) -> Awaitable[Response]:
        aside = ask.durable or ask.explain
        if 0 < len(ask.rows) <= loaded.quick_rows and not aside:
            return self._together.predict(loaded, ask)
        work = partial(answer.predict, loaded, self._log(loaded.line), ask)
        if loaded.is_slow:
            return self._compute(work, small=False, aside=aside)
        if ask.durable and not ask.explain and ask.rows:
            return _in_thread(self._durable, work)
        return self._compute(work, small=not ask.rows, aside=aside)

    async def _predict_many(self, body: bytes, loaded: Loaded) -> tuple[int, Response]:
        """Read and answer a large request in one thread, which also frees the rows: the loop would wait for that."""
        log = self._log(loaded.line)

        work = partial(answer.predict_many, loaded, log, body)
        done = await self._compute(work, small=False)
        if isinstance(done, answer.Ask):
            return len(done.rows), await self._predict(done, loaded)
        return done

    async def similar(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Answer which items go with some items."""
        live = self._answering(request, *arguments)
        with self._budget.take(partial(self._client_of, request)) as take:
            body = await request.read_body(take, self._body_deadline_s)
            with self._gates.of(live.line) as gate:
                gate.take(1)

                async def work(loaded: Loaded) -> Response:
                    return await self._compute(partial(answer.similar, body, loaded), small=True)

                return await self._loaded(request, arguments, live, work)

    async def infer(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Answer tensors."""
        live = self._answering(request, *arguments)
        with self._budget.take(partial(self._client_of, request)) as take:
            # The protocol's own clients name no type of what they send.
            body = await request.read_body(take, self._body_deadline_s, also=("", oip_binary.MEDIA_TYPE))
            with self._gates.of(live.line) as gate:
                gate.take(0)
                return await self._loaded(request, arguments, live, partial(self._infer, request, body, gate))

    async def _infer(self, request: Request, body: bytes, gate: Gate, loaded: Loaded) -> Response:
        json_length = request.header(oip_binary.HEADER.encode())
        work = partial(oip.read_infer, body, loaded.scorer.form.columns, json_length)
        asked = await self._compute(work, small=len(body) <= INLINE_BYTES)
        gate.owe(len(asked.rows))
        work = partial(answer.infer, loaded, self._log(loaded.line), asked)
        aside = asked.durable or asked.explain
        is_small = len(asked.rows) <= loaded.quick_rows and not aside
        if loaded.is_slow:
            response = await self._compute(work, small=False, aside=aside)
        elif asked.durable and not asked.explain:
            response = await _in_thread(self._durable, work)
        else:
            response = await self._compute(work, small=is_small, aside=aside)
        self._metrics.count_rows(request.line, request.version, len(asked.rows))
        return response

    async def _compute(self, work: Callable[[], T], *, small: bool, aside: bool = False) -> T:
        """Do what is small at once, and the rest in a thread: after other large requests, or aside, so that those do not wait for it."""
        return work() if small else await _in_thread(self._aside if aside else self._computing, work)

    async def feedback(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Keep labels."""
        live = self._serving(request, *arguments)
        package = (await self._form(live)).package
        labels = self._labels_of(live.line)
        idempotency_key = request.header(b"idempotency-key")
        with self._budget.take(partial(self._client_of, request)) as take:
            body = await request.read_body(take, self._body_deadline_s)
            work = partial(answer.accept, labels, body, package, idempotency_key)
            with self._gates.of(live.line):
                return await _in_thread(self._labelling, work)

    async def push(self, request: Request, arguments: tuple[str, ...]) -> Response:
        """Keep rows of a source."""
        pushed = PushedRows.of(self._state, arguments[0], now=self._now)
        if not await _in_thread(self._durable, lambda: pushed.is_open):
            raise NotFound(
                "no source of that name takes rows here",
                found=arguments[0],
                hint=f"name it in a line file (`push: {arguments[0]}`), and let a command read it: linewright check LINE",
            )
        with self._budget.take(partial(self._client_of, request)) as take:
            body = await request.read_body(take, self._body_deadline_s)
            return await _in_thread(
                self._durable, partial(answer.push, pushed, body, self._views.reading(arguments[0]))
            )

    async def metrics(self, _request: Request, _arguments: tuple[str, ...]) -> Response:
        """Give counts and times, as Prometheus reads them."""
        told = added(await self._told_by_all())
        text = Metrics(told.tallies).exposition(told.samples)
        return Response(body=text.encode(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _in_thread(pool: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def _folders(where: Path) -> list[str]:
    """Return the names of the folders in one; none where it is not there."""
    with suppress(FileNotFoundError), os.scandir(where) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())
    return []


async def _at_most(waiting: "Future[None]", seconds: float, line: str) -> None:
    """Wait for models that are being loaded, which goes on when nobody waits any more."""
    try:
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(waiting)), seconds)
    except TimeoutError:
        raise _loading(line) from None


def _owners(state: Path) -> str:
    """Return the owner's token; empty without one, so that nothing matches it."""
    with suppress(OSError, Denied):
        return read_token(state / TOKEN_FILE)
    return ""


def _require_ours(request: Request, scheme: str, ours: Callable[[bytes], SplitResult]) -> None:
    """Refuse what a page that is not ours made a browser send."""
    headers = request.headers
    given = headers.get(b"host")
    if given is not None:  # HTTP/1.0 has none, as some health checks speak it; browsers always send one
        ours(given)
    # A read too: it costs, and a page need not see the answer to have it made.
    if b"origin" in headers or b"sec-fetch-site" in headers:
        origin, site = request.header(b"origin"), request.header(b"sec-fetch-site")
        origins, sites = [origin] if origin is not None else [], [site] if site is not None else []
        require_own_page(ours(given or b""), scheme=scheme, origins=origins, sites=sites)


def _our_host(hosts: frozenset[str], given: bytes) -> SplitResult:
    return our_host([given.decode("latin-1")], hosts)


def _no_model(line: str, refused: str | None = None) -> Transient:
    because = f": the newest one was refused ({refused})" if refused else ""
    return Transient(
        f"this line has no model that serves yet{because}",
        where=line,
        hint=f"`linewright run {line}` makes one, and promotes it if it passes its gates",
    )


def _loading(line: str) -> Transient:
    return Transient(
        "the models of this line are still being loaded",
        where=line,
        hint="try again in a moment; a larger --model-memory keeps more lines loaded",
    )


OPEN: Literal["open"] = "open"
"""Of a route that anybody may ask who reaches the port: it says that a server is here, and nothing of what it serves."""
_ROUTES: tuple[tuple[str, str, Handler, Permission | Literal["open"]], ...] = (
    ("/", "GET", App.index, OPEN),
    ("/metrics", "GET", App.metrics, "metrics"),
    ("/openapi.json", "GET", App.openapi, "view"),
    ("/v2", "GET", App.server, OPEN),
    ("/v2/health", "GET", App.health, "metrics"),
    ("/v2/health/live", "GET", App.live, OPEN),
    ("/v2/health/ready", "GET", App.ready, OPEN),
    ("/v2/models/{line}", "GET", App.model, "predict"),
    ("/v2/models/{line}/ready", "GET", App.model_ready, "predict"),
    ("/v2/models/{line}/infer", "POST", App.infer, "predict"),
    ("/v2/models/{line}/versions/{version}", "GET", App.model, "predict"),
    ("/v2/models/{line}/versions/{version}/ready", "GET", App.model_ready, "predict"),
    ("/v2/models/{line}/versions/{version}/infer", "POST", App.infer, "predict"),
    ("/v1/lines/{line}/predict", "POST", App.predict, "predict"),
    ("/v1/lines/{line}/similar", "POST", App.similar, "predict"),
    ("/v1/lines/{line}/feedback", "POST", App.feedback, "label"),
    ("/v1/lines/{line}/schema", "GET", App.schema, "predict"),
    ("/v1/sources/{source}/rows", "POST", App.push, "push"),
)
"""Each path with its method, its handler, and the right that it requires, on the line of the path if it has one."""
_PATTERNS = tuple(
    (re.compile(re.sub(r"\{\w+\}", "([^/]+)", path)), method, handler, permission)
    for path, method, handler, permission in _ROUTES
)


_FOR_PAGES = frozenset({"predict", "label"})
"""The rights of routes that pages of named other sites may ask."""


def methods_of_pages(path: str) -> tuple[str, ...]:
    """Return the methods that pages of named other sites may use on a path: to predict, and to send labels."""
    found = _find(path) if len(path) <= 200 else None
    return (found[0],) if found is not None and found[2] in _FOR_PAGES else ()


@lru_cache(maxsize=1024)
def _find(path: str) -> tuple[str, Handler, str, tuple[str, ...]] | None:
    """Return the method, handler, permission and arguments of a path, or `None`."""
    for pattern, method, handler, permission in _PATTERNS:
        match = pattern.fullmatch(path)
        if match:
            return method, handler, permission, match.groups()
    return None
