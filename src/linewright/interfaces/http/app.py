"""The control plane: operations as HTTP routes, with their OpenAPI description."""

import gc
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from http import HTTPStatus
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, cast

import msgspec
import uvicorn
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from linewright import __version__
from linewright.errors import LinewrightError, NotFound, RequestError, Transient, panics_explained
from linewright.interfaces.console.routes import CarryOut, Console, is_for_people
from linewright.interfaces.http.client_files import Files, Staged
from linewright.interfaces.http.describe import (
    DescribedRoute,
    document,
    route_of,
    route_of_files,
    route_outside,
)
from linewright.interfaces.http.expensive import Bug, Expensive
from linewright.interfaces.http.guard import Guard, Routes, asked_by, identify, note_refused
from linewright.interfaces.http.metrics import PATH, metrics_route
from linewright.interfaces.http.open_routes import OPEN_ROUTES, SECRETS
from linewright.interfaces.http.provider_sign_in import Provider, ProviderSignIn
from linewright.interfaces.http.rate_limit import RateLimit
from linewright.interfaces.http.replies import Replies
from linewright.interfaces.http.sign_in import SignIn, refuse_repeated
from linewright.operations.declare import Entry, Operation, load, to_json
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import Identity
from linewright.serve.access.shares import Turns
from linewright.serve.http.cors import Cors
from linewright.serve.http.loop import FOLLOW_TICKS, LOOP
from linewright.serve.http.protocol import bounded
from linewright.serve.http.relative_paths import Relative
from linewright.serve.listener import bind
from linewright.serve.reach import Reach
from linewright.store.files.disk import faults_explained, is_out_of_files, too_many_files

OpenFactory = Callable[[Identity], AbstractContextManager[Any]]
"""Opens what operations work on, for an identity; called once a request, in a thread, and closed after it."""

_JSON = "application/json"
_DOCUMENT = "/openapi.json"
FILES = "/files/{name}"
"""What follows the path of an operation that takes or gives files."""
_DRAIN_S = 20
_SETTLED = (50, 600, 6_000)
"""Tenths of a second after the start at which what was loaded by then is left out of garbage collection: looking through it takes a fifth
of a second every two, in which no page is made. Later, since much is loaded when it is first wanted."""
_READERS = 16
"""Reads that run at once; more wait."""
_WRITERS = 4
"""Writing requests of one operation that run at once; more wait."""
_WAITERS = 100
"""The same of one that waits for runs: those of a line that hangs must not keep other lines from being asked for."""
_FIRST = 64
"""Requests at once for what must not wait."""


class ControlApp(Starlette):
    """Starlette behind the guard, with an OpenAPI description of the operations."""

    def __init__(
        self,
        operations: list[Operation],
        *,
        authenticator: Authenticator,
        root: Path | None,
        stopping: Event,
        replies: Replies | None,
        hosts: Iterable[str],
        rate_limit: RateLimit | None,
        console: Console,
    ) -> None:
        super().__init__(
            exception_handlers={
                LinewrightError: self._refused,
                HTTPException: self._no_route,
                OSError: self._fault,
                Exception: _bug,
            },
        )
        self.router.redirect_slashes = False
        self.add_route(_DOCUMENT, self._show_document, methods=["GET"])
        self._operations, self._authenticator, self._console = operations, authenticator, console
        self._relative = bytes if root is None else Relative(root)
        self._replies, self._hosts, self._rate_limit = replies, tuple(hosts), rate_limit or RateLimit(None)
        self._rate_limit.free = frozenset(each.path for each in operations if each.first is not None)
        self.stopping = stopping
        self.permissions = {(each.method, each.path): str(each.permission) for each in operations}
        """What each route asks for; a route that is not here is not added."""
        for each in operations:
            if each.files:
                methods = ("PUT", "GET") if _takes_files(each) else ("GET",)
                self.permissions |= {
                    (method, f"{each.path}{FILES}"): str(each.permission) for method in methods
                }
        self.permissions |= {("GET", PATH): "metrics", ("GET", _DOCUMENT): "view"}

    def build_middleware_stack(self) -> ASGIApp:
        """Put the guard around everything, so that also an unforeseen error passes through it."""
        routes = Routes(
            permission_of=self._permission_of,
            secret=SECRETS.union(each.path for each in self._operations if each.secret),
            is_urgent=self._is_urgent,
            console=self._console,
        )
        return Guard(
            super().build_middleware_stack(),
            authenticator=self._authenticator,
            routes=routes,
            replies=self._replies,
            hosts=self._hosts,
            relative=self._relative,
            rate_limit=self._rate_limit,
        )

    def methods_of_pages(self, path: str) -> tuple[str, ...]:
        """Return the methods that pages of named other sites may use on a path: those of an operation."""
        return tuple(each.method for each in self._operations if each.path == path)

    def _permission_of(self, method: str, path: str) -> str | None:
        of_files, found, _ = path.partition("/files/")
        asked = (method, f"{of_files}{FILES}" if found else path)
        return self.permissions.get(asked) or self._console.permission_of(method, path)

    async def _refused(self, request: Request, error: Exception) -> Response:
        problem = error if isinstance(error, LinewrightError) else LinewrightError(str(error))
        note_refused(self._authenticator, request.scope, problem)
        retry_s = str(problem.details.get("retry_s", 1))
        headers = {"retry-after": retry_s} if isinstance(error, Transient) else {}
        body = self._relative(to_json(problem.to_json()))
        return Response(body, problem.http_status, headers=headers, media_type=_JSON)

    async def _no_route(self, request: Request, error: Exception) -> Response:
        status, headers = 500, {}
        if isinstance(error, HTTPException):
            status, headers = error.status_code, dict(error.headers or {})
        path, is_seen = request.url.path[:80], is_for_people(request.scope)
        if status == HTTPStatus.NOT_FOUND:
            what = "this page is not there" if is_seen else "no such path"
            hint = "the factory leads to all pages" if is_seen else "GET / lists the operations"
            problem: LinewrightError = NotFound(what, found=path, hint=hint)
        elif status == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers["Allow"] = ", ".join(self._methods_of(request.url.path))
            problem = RequestError("wrong method", where=path, found=request.method, allowed=allowed)
        else:
            problem = RequestError(HTTPStatus(status).phrase, where=path)
        if is_seen and status == HTTPStatus.NOT_FOUND:
            return await self._console.refused(problem, request, asked_by(request.scope))
        return Response(to_json(problem.to_json()), status, headers=headers, media_type=_JSON)

    def _methods_of(self, path: str) -> list[str]:
        found = {
            method
            for route in self.routes
            if isinstance(route, Route) and route.path_regex.fullmatch(path)
            for method in route.methods or ()
        }
        return sorted(found | ({"HEAD"} if "GET" in found else set()))

    async def _fault(self, request: Request, error: Exception) -> Response:
        if isinstance(error, OSError) and is_out_of_files(error):
            return await self._refused(request, too_many_files())
        raise error

    def _is_urgent(self, path: str, body: bytes) -> bool:
        for operation in self._operations:
            if operation.first is not None and operation.writes and operation.path == path:
                try:
                    return operation.urgent(operation.check(msgspec.json.decode(body, type=dict))) is not None
                except (LinewrightError, ValueError):
                    return False
        return False

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description, with the schemas of all results."""
        return document(self.routes, self._operations)

    @cached_property
    def _document(self) -> bytes:
        return bytes(JSONResponse(self.openapi()).body)

    async def _show_document(self, _: Request) -> Response:
        return Response(self._document, media_type=_JSON)


def control_app(
    open_factory: OpenFactory,
    operations: Mapping[str, Entry],
    *,
    authenticator: Authenticator,
    expensive: Expensive | None = None,
    root: Path | None = None,
    stopping: Event | None = None,
    replies: Replies | None = None,
    hosts: Iterable[str] = (),
    rate_limit: RateLimit | None = None,
    provider: Provider | None = None,
) -> ControlApp:
    """Return the control plane of a factory."""
    loaded = [
        each.without_files() for each in (load(name, operations) for name in operations) if not each.local
    ]
    files, stopping = None if root is None else Files(root), stopping or Event()
    console = Console(
        open_factory,
        {each.name: each for each in loaded},
        asked_by=asked_by,
        asks_now=partial(identify, authenticator),
        carry_out=None if expensive is None else _in_process(expensive, stopping),
        carry_out_aside=None if expensive is None else partial(expensive.carry_out_aside, stopping=stopping),
        files=files,
        relative=bytes if root is None else Relative(root),
        name="" if root is None else root.name,
    )
    app = ControlApp(
        loaded,
        console=console,
        authenticator=authenticator,
        root=root,
        stopping=stopping,
        replies=replies,
        hosts=hosts,
        rate_limit=rate_limit,
    )
    index = to_json(
        {
            "name": "linewright",
            "version": __version__,
            "openapi": _DOCUMENT,
            "operations": [{"method": o.method, "path": o.path, "summary": o.summary} for o in loaded],
        }
    )

    async def show_index(request: Request) -> Response:
        return (
            await console.show_home(request)
            if is_for_people(request.scope)
            else Response(index, media_type=_JSON)
        )

    readers, urgent = CapacityLimiter(_READERS), CapacityLimiter(_FIRST)
    said = route_outside("show_index__get", "List the operations.", _JSON, "text/html", is_open=True)
    app.routes.append(DescribedRoute("/", show_index, "GET", said))
    summary = "Tell how all lines stand, as Prometheus reads it."
    said = route_outside("answer_metrics_get", summary, "text/plain")
    app.routes.append(DescribedRoute(PATH, metrics_route(open_factory), "GET", said))
    for each in loaded:
        if each.files and (files is None or expensive is None):
            continue  # a path of this machine is taken from no client
        answer = (
            # Whoever waits for a run keeps a thread: neither a read nor a rollback may have to wait for that one.
            _apart(each, expensive, app.stopping, files)
            if each.expensive and expensive is not None
            else _endpoint(
                each,
                open_factory,
                CapacityLimiter(_WAITERS if each.waits else _WRITERS) if each.writes else readers,
                root or Path(),
                urgent,
                turns=console.turns,
            )
        )
        app.routes.append(DescribedRoute(each.path, answer, each.method, route_of(each)))
        if each.files and files is not None:
            _add_files(app, each, files)
    console.add_to(app)
    doors = SignIn(open_factory, authenticator, provider="" if provider is None else provider.spec.host)
    doors.add_to(app)
    ProviderSignIn(provider, doors).add_to(app)
    for route in app.routes:
        for method in getattr(route, "methods", None) or {"GET"}:
            path = getattr(route, "path", "")
            known = {*app.permissions, *OPEN_ROUTES}
            if method != "HEAD" and (method, path) not in known and not console.has_route(method, path):
                raise TypeError(f"the route {method} {getattr(route, 'path', route)} has no permission")
    return app


def bound(host: str, port: int, reach: Reach = Reach()) -> socket.socket:  # noqa: B008 -- it is frozen
    """Take a port, without listening on it yet: who connects is refused."""
    reach.require_safe(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bind(taken, (host, port))
    except (OSError, OverflowError) as error:
        taken.close()
        raise RequestError(
            f"cannot listen: {getattr(error, 'strerror', error)}",
            where=f"{host}:{port}",
            hint="take another port",
        ) from error
    return taken


def serve_control(
    app: ControlApp,
    listening: socket.socket,
    reach: Reach = Reach(),  # noqa: B008 -- it is frozen
    *,
    ready: Callable[[int], None] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Serve until SIGTERM or SIGINT; then take no new connections, finish what is under way, and return."""
    server = _Server(
        uvicorn.Config(
            Cors(app, reach.origins, app.methods_of_pages) if reach.origins else app,
            http=bounded(reach),
            loop=LOOP,
            log_config=None,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            **reach.server_options(),
            timeout_keep_alive=5,
            timeout_graceful_shutdown=_DRAIN_S,
        ),
        started=partial(ready, listening.getsockname()[1]) if ready else lambda: None,
        is_stopped=is_stopped,
        stopping=app.stopping,
        reach=reach,
    )
    listening.listen(128)
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Returns after SIGTERM or SIGINT, where uvicorn would raise the signal again and so die of it."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        started: Callable[[], None],
        is_stopped: Callable[[], bool],
        stopping: Event,
        reach: Reach,
    ) -> None:
        super().__init__(config)
        self._reach, self._tell_started = reach, started
        self._is_stopped, self._stopping = is_stopped, stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell_started()

    async def on_tick(self, counter: int) -> bool:
        if counter % FOLLOW_TICKS == 0:
            self._reach.follow()
        if counter in _SETTLED:
            gc.collect()
            gc.freeze()
        return await super().on_tick(counter) or self._is_stopped()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._captured_signals.clear()


def _endpoint(
    operation: Operation,
    open_factory: OpenFactory,
    threads: CapacityLimiter,
    root: Path,
    urgent: CapacityLimiter,
    *,
    turns: Turns,
) -> Callable[[Request], Awaitable[Response]]:
    def checked(arguments: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
        values = operation.check(arguments, text=not operation.writes)
        operation.authorize(identity, values)
        return values

    def carry_out(arguments: Mapping[str, Any], identity: Identity) -> bytes:
        values = checked(arguments, identity)
        with faults_explained(), panics_explained(), open_factory(identity) as factory:
            return to_json(operation.carry_out(factory, values))

    def do_first(arguments: Mapping[str, Any], identity: Identity) -> None:
        what = operation.urgent(checked(arguments, identity))
        if what is not None:
            with faults_explained(root):
                what(root, "")

    async def endpoint(request: Request) -> Response:
        arguments = await _body(request) if operation.writes else _query(request)
        if operation.first is not None:
            await run_sync(do_first, arguments, asked_by(request.scope), limiter=urgent)
        identity = asked_by(request.scope)
        # What waits for runs, or must not wait, has no turn.
        is_quick = not operation.waits and operation.first is None
        async with turns.of(identity.client) if is_quick else nullcontext():
            done = await run_sync(carry_out, arguments, identity, limiter=threads)
        return Response(done, media_type=_JSON)

    return endpoint


def _add_files(app: ControlApp, operation: Operation, files: Files) -> None:
    async def receive(request: Request) -> Response:
        return await files.receive(request, asked_by(request.scope), request.path_params["name"])

    async def send(request: Request) -> Response:
        return await files.send(request, asked_by(request.scope), request.path_params["name"])

    path = f"{operation.path}{FILES}"
    if _takes_files(operation):
        app.routes.append(DescribedRoute(path, receive, "PUT", route_of_files(operation, "PUT")))
    app.routes.append(DescribedRoute(path, send, "GET", route_of_files(operation, "GET")))


def _takes_files(operation: Operation) -> bool:
    return not {"in", "data"}.isdisjoint(operation.files.values())


def _apart(
    operation: Operation, expensive: Expensive, stopping: Event, files: Files | None
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        arguments = await _body(request) if operation.writes else _query(request)
        identity = asked_by(request.scope)
        # What is wrong is refused at once.
        operation.authorize(identity, operation.check(arguments, text=not operation.writes))

        async def hung_up() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        staged = Staged(arguments, ())
        if files is not None and operation.files:
            staged = await run_sync(files.stage, operation, arguments, identity)
        try:
            done = await expensive.carry_out(
                operation, staged.arguments, identity=identity, hung_up=hung_up, stopping=stopping
            )
        except BaseException:
            staged.undo()
            raise
        return Response(done if files is None else files.told(done), media_type=_JSON)

    return endpoint


def _in_process(expensive: Expensive, stopping: Event) -> CarryOut:
    async def carry_out(
        operation: Operation,
        arguments: Mapping[str, Any],
        *,
        identity: Identity,
        request: Request,
        text: bool,
    ) -> bytes:
        async def hung_up() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        return await expensive.carry_out(
            operation, arguments, identity=identity, hung_up=hung_up, stopping=stopping, text=text
        )

    return carry_out


def _query(request: Request) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    return found


async def _body(request: Request) -> dict[str, Any]:
    if request.url.query:
        raise RequestError(
            "arguments of a write come in the body", where="query", found=request.url.query[:80]
        )
    sent = await request.body()
    try:
        body = msgspec.json.decode(sent)
        json.loads(sent, object_pairs_hook=refuse_repeated)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"the body is not JSON: {error}", where="body", hint="{} where there are no arguments"
        ) from error
    if not isinstance(body, dict):
        raise RequestError(
            "the body is not a JSON object", where="body", allowed="an object of arguments by name"
        )
    return cast("dict[str, Any]", body)


async def _bug(_: Request, error: Exception) -> Response:
    name = error.name if isinstance(error, Bug) else type(error).__name__
    what = f"this is a bug in linewright, please report it: {name}"
    return Response(to_json({"error": "Bug", "message": what}), 500, media_type=_JSON)
