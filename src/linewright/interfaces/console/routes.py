"""The routes of the console: pages, the forms that ask for an operation, and the files that pages load."""

import asyncio
import gzip
import secrets
import traceback
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cached_property, partial
from time import monotonic
from types import ModuleType
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from linewright.errors import (
    Denied,
    LinewrightError,
    NotFound,
    RequestError,
    Transient,
    Unauthenticated,
    panics_explained,
)
from linewright.interfaces.console.fleet import Fleet
from linewright.interfaces.console.forms import ClientFiles, Form, own_path, read_form
from linewright.interfaces.console.inbox_cache import InboxCache, Seen
from linewright.interfaces.console.page import Ask, Page, Route
from linewright.interfaces.console.saved_page import whole_page
from linewright.interfaces.console.table import find, routes, view_address
from linewright.model.spec import AUTO
from linewright.model.task_facts import TaskFacts, task_facts
from linewright.operations.declare import Operation
from linewright.serve.access.one_time import OneTime
from linewright.serve.access.rights import Identity, owner
from linewright.serve.access.shares import Shares, Turns
from linewright.store.files.disk import faults_explained

DO = "/do/"
"""Before the name of an operation: where forms go."""
STATIC = {
    "linewright.css": "text/css; charset=utf-8",
    "linewright.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
}
"""Files that pages load, none of which tells anything of the factory."""
OPEN_FILES = frozenset({"/favicon.ico", *(f"/static/{name}" for name in STATIC)})
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HTML, _EVENTS = "text/html; charset=utf-8", "text/event-stream"
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
_LOOK_S = 1.0
"""How often a page that is watched is made again."""
_AROUND_S = 10.0
"""How often it is looked whether the saved views are others, which another machine may have changed."""
_WATCHED_S = 600.0
"""How long one page is watched; the browser asks again."""
_MOST_WATCHED, _MOST_FOLLOWED = 50, 500
"""Pages that change, and all pages with what stands around them."""
_WATCHED_EACH, _FOLLOWED_EACH = 15, 60
"""The same of one client: a browser keeps no more than six connections to a server."""
_NOTE_S = 600.0
_PART_S = 60.0
"""How long a page that is saved waits for a part of it."""
_SHOWN_S = 300.0
"""How long what was worked out for a page is kept for the files of it, and of how many pages."""
_MOST_SHOWN = 32
_WORTH_IT = 2_000
"""Bytes from which an answer is compressed."""
_WATCHED = "watched"
_PART = "main"
"""What our script asks for to put it into a page, at its place."""
_FRAGMENTS = frozenset({_PART, "page", _WATCHED})
"""What our script asks for: a part, or what takes the place of the page that is shown, with what stands around it; or, of one that is
watched, the main part alone."""
_Around = Literal["inbox", "views", "tabs", "saved", "later"]
"""What stands around the main part of a page: how many things wait and what came, saved views, and the other pages of the line; or a part of
it that is saved with it."""
_NOTHING_AROUND: Mapping[str, Any] = {"seen": None, "saved_views": (), "view_address": "", "lacking": ()}
_NOTHING_SEEN = Seen(0, ())
_MOST_TOLD = 100
"""Different errors of what stands around pages that are told of, each once."""
_EVERY_PAGE = ("note", "save", "data", "whole", "have")
"""Values that each page takes: what a form has just done; whether the page is to be one file; which of its charts is wanted as data;
whether it is to come with what takes long; and the fingerprint of what a browser that watches it has."""

T = TypeVar("T")
OpenFactory = Callable[[Identity], Any]
CarryOut = Callable[..., Awaitable[bytes]]
"""Runs an operation in a separate process: takes it, its arguments, ``identity`` and ``hung_up``; returns its result as JSON."""


class Console:
    """Shows pages and takes their forms."""

    def __init__(
        self,
        open_factory: OpenFactory,
        operations: Mapping[str, Operation],
        *,
        asked_by: Callable[[MutableMapping[str, Any]], Identity],
        carry_out: CarryOut | None,
        carry_out_aside: Callable[..., bytes] | None = None,
        asks_now: Callable[[MutableMapping[str, Any]], Identity] | None = None,
        files: ClientFiles | None = None,
        relative: Callable[[bytes], bytes] = bytes,
        name: str = "",
    ) -> None:
        self._files, self._relative = files, relative
        self._open, self._operations, self._asked_by = open_factory, operations, asked_by
        self._carry_out, self.name = carry_out, name
        self._asks_now = asks_now or asked_by
        self._threads, self._writers = CapacityLimiter(8), CapacityLimiter(4)
        self._notes = OneTime[str](_NOTE_S)
        self._watched = Shares("changing pages that are watched", each=_WATCHED_EACH, most=_MOST_WATCHED)
        self._followed = Shares("pages that are watched", each=_FOLLOWED_EACH, most=_MOST_FOLLOWED)
        self.turns = Turns()
        """The pages of a client are made one after the other, watched ones too: those of others wait for one of them at most."""
        self._fleet = Fleet(
            self._status, read_aside=carry_out_aside and partial(self._status_aside, carry_out_aside)
        )
        self._inboxes = InboxCache(self._inbox)
        self._shown: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        """What was worked out for pages a moment ago: a file of what somebody sees holds just that, and is there at once."""
        self._told = set[str]()
        """Errors of what stands around pages that were told of."""

    def _status(self) -> Any:
        with faults_explained(), panics_explained(), self._open(owner("linewright")) as factory:
            return self._operations["status"].carry_out(factory, {"line": None, "sites": False})

    def _status_aside(self, carry_out: Callable[..., bytes]) -> Any:
        operation = self._operations["status"]
        return _decoded(carry_out(operation, identity=owner("linewright")), operation)

    def _inbox(self, identity: Identity) -> Any:
        with faults_explained(), panics_explained(), self._open(identity) as factory:
            return Ask(factory, identity, self._operations)("inbox")

    @property
    def routes(self) -> tuple[Route, ...]:
        """The pages."""
        return routes()

    @cached_property
    def _render(self) -> ModuleType:
        # When the first page is shown: programs need no templates.
        from linewright.interfaces.console import render  # noqa: PLC0415

        return render

    def _operation(self, name: str) -> Operation | None:
        """Return an operation by its name in an address: a dash may stand for a space."""
        return next(
            (each for each in self._operations.values() if name in (each.name, each.name.replace(" ", "-"))),
            None,
        )

    def is_page(self, path: str) -> bool:
        """Whether a path is that of a page."""
        return any(each.pattern.fullmatch(path) for each in self.routes)

    def permission_of(self, method: str, path: str) -> str | None:
        """Return the right that a page or a form asks for; `None` if neither is there."""
        if method == "POST" and path.startswith(DO):
            operation = self._operation(path.removeprefix(DO))
            return None if operation is None else str(operation.permission)
        if method != "GET" or path == "/":  # which is open to programs
            return None
        return next(
            (str(each.entry.permission) for each in self.routes if each.pattern.fullmatch(path)), None
        )

    def has_route(self, method: str, path: str) -> bool:
        """Whether a route as the framework has it, with values in braces, is one of a page or a form: `permission_of` says what it asks for."""
        is_page = method == "GET" and any(each.entry.path == path for each in self.routes)
        return is_page or (method, path) == ("POST", f"{DO}{{operation}}")

    def add_to(self, app: Starlette) -> None:
        """Add the routes; that of ``/`` is left to who answers programs there."""
        for path in OPEN_FILES:
            app.add_route(path, self._file, methods=["GET"])
        for route in self.routes:
            if route.entry.path != "/":
                app.add_route(route.entry.path, partial(self.show, route), methods=["GET"])
        app.add_route(f"{DO}{{operation}}", self._do, methods=["POST"])

    async def show_home(self, request: Request) -> Response:
        """Show the page of the whole factory."""
        return await self.show(next(each for each in self.routes if each.entry.path == "/"), request)

    async def show(self, route: Route, request: Request) -> Response:
        """Show a page."""
        identity = self._asked_by(request.scope)
        self._fleet.keep_fresh()
        query = parse_qs(request.url.query, keep_blank_values=True)
        own = {name: query.pop(name)[0] for name in _EVERY_PAGE if name in query}
        try:
            values = route.values(request.path_params, query)
            if _EVENTS in request.headers.get("accept", ""):
                return self._watch(route, request, values, own.get("have", ""))
            charts, parts = list[Any](), list[str]()
            if not own and self._has_frame(route.page, request, identity, values):
                html = await self._made(identity, partial(self._frame, route, request, identity, values))
            else:
                is_part, html = request.headers.get("x-fragment") == _PART, ""
                with self._costs_a_part("later", []) if is_part else nullcontext():
                    html = await self._html(route, request, identity, values, own, charts=charts, parts=parts)
                if not html:
                    heading, here = self._render.translate(route.entry.title), _here(request)
                    shown = {"heading": heading, "address": here, "is_broken": True}
                    html = await run_sync(
                        self._page, "missing_part.html.jinja", request, identity, shown, limiter=self._threads
                    )
            if "save" in own:
                html = await self._saved(html, parts, request, identity)
            if "data" in own:
                return self._data_of(charts, own["data"], route.name)
        except LinewrightError as error:
            return await self.refused(error, request, identity)
        headers = {"content-security-policy": POLICY}
        if "save" in own:
            name = quote(route.name + "".join(f"-{value}" for value in request.path_params.values()))
            headers["content-disposition"] = f"attachment; filename*=UTF-8''{name}.html"
        return _compressed(request, Response(html, headers=headers, media_type=_HTML))

    def _has_frame(self, page: Page, request: Request, identity: Identity, values: Mapping[str, str]) -> bool:
        """Whether a browser gets the frame of a page first, which loads the page into itself: one that takes long.

        Programs get the page as it is. So does our script when somebody has filled in a form, which stays in sight meanwhile.
        """
        is_visit = request.headers.get("x-fragment") == "page"
        if request.headers.get("sec-fetch-mode") != "navigate" and not is_visit:
            return False
        if is_visit and page.is_form and request.url.query:
            return False
        asked = [(self._operations[name], given) for name, given in page.apart(values).values()]
        try:
            for operation, given in asked:
                operation.authorize(identity, operation.check(given, text=True))
        except LinewrightError:
            return False  # the page says so
        return any(operation.expensive for operation, _ in asked)

    def _frame(self, route: Route, request: Request, identity: Identity, values: Mapping[str, str]) -> str:
        page = route.page
        heading = page.title(values) if page.title else self._render.translate(route.entry.title)
        with faults_explained(), panics_explained(), self._open(identity) as factory:
            ask = Ask(factory, identity, self._operations, self._fleet)
            return self._page("frame.html.jinja", request, identity, {**values, "heading": heading}, ask)

    async def _saved(self, html: str, addresses: Sequence[str], request: Request, identity: Identity) -> str:
        """Return a page as one file, with its parts as far as they can be made in time."""
        parts = await asyncio.gather(*(self._part(each, request, identity) for each in addresses))
        return whole_page(html, parts, address=str(request.base_url).rstrip("/"))

    async def _part(self, address: str, request: Request, identity: Identity) -> str:
        shown: dict[str, Any] = {"heading": "", "address": address, "error": None}
        try:
            route, asked, values = self._at(address, request)
            asked.scope["headers"] = [*request.scope["headers"], (b"x-fragment", b"main")]
            with self._costs_a_part("saved", []), suppress(TimeoutError):
                return await asyncio.wait_for(
                    self._html(route, asked, identity, values, {"save": "1"}), _PART_S
                )
        except LinewrightError as error:
            shown["error"] = error
        return await run_sync(
            self._page, "missing_part.html.jinja", request, identity, shown, limiter=self._threads
        )

    def _at(self, address: str, request: Request) -> tuple[Route, Request, Mapping[str, str]]:
        """Return the page at an address of ours, a request for it, and its values."""
        parts = urlsplit(address)
        route, path, values = find(address)
        at = {"method": "GET", "path": unquote(parts.path), "raw_path": parts.path.encode()}
        at |= {"query_string": parts.query.encode(), "path_params": path}
        return route, Request({**request.scope, **at}, request.receive), values

    def _data_of(self, charts: list[Any], wanted: str, page: str) -> Response:
        """Return a chart of a page as data: ``0.csv`` is the table behind the first."""
        number, _, kind = wanted.partition(".")
        if not number.isdecimal() or int(number) >= len(charts) or kind != "csv":
            allowed = f"a number below {len(charts)}, then .csv"
            raise NotFound("this page has no such chart", where="data", found=wanted[:80], allowed=allowed)
        headers = {"content-disposition": f"attachment; filename={page}-{number}.csv"}
        return Response(self._render.data_of(charts[int(number)]), headers=headers, media_type="text/csv")

    async def refused(self, error: LinewrightError, request: Request, identity: Identity | None) -> Response:
        """Show what went wrong, as a page."""
        shown = {"error": error, "heading": self._render.translate("This did not work")}
        html = await run_sync(self._page, "error.html.jinja", request, identity, shown, limiter=self._threads)
        headers = {"content-security-policy": POLICY}
        if isinstance(error, Transient):
            headers["retry-after"] = str(error.details.get("retry_s", 1))
        return Response(html, error.http_status, headers=headers, media_type=_HTML)

    async def explain(self, scope: MutableMapping[str, Any], error: LinewrightError) -> Response:
        """Return what tells a person that the guard let nobody in: by the page where they sign in, if that is what lacks."""
        if isinstance(error, Unauthenticated):
            return to_sign_in(scope)
        return await self.refused(error, Request(scope), None)

    async def _html(
        self,
        route: Route,
        request: Request,
        identity: Identity,
        values: Mapping[str, str],
        own: Mapping[str, str],
        *,
        charts: list[Any] | None = None,
        parts: list[str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> str:
        parts_ = dict(more or {})
        try:
            apart = await self._apart(route.page, request, identity, values, is_file="data" in own)
        except LinewrightError as error:
            if not route.page.is_form or isinstance(error, Denied):
                raise
            apart = dict[str, Any]()
            parts_ = {"problem": error} | parts_

        def make() -> str:
            with faults_explained(), panics_explained(), self._open(identity) as factory:
                ask = Ask(factory, identity, self._operations, self._fleet)
                page = route.page
                heading = page.title(values) if page.title else self._render.translate(route.entry.title)
                shown: dict[str, Any] = {**values, **apart, **page.read(ask, {**values}), "heading": heading}
                note = self._notes.take(own["note"]) if own.get("note") else None
                return self._page(
                    page.template,
                    request,
                    identity,
                    {
                        **shown,
                        **parts_,
                        "note": note,
                        "page": route.name,
                        "is_live": page.is_live,
                        "charts": [] if charts is None else charts,
                        "saves": "save" in own,
                        "saved": (factory.now(), factory.metadata.head()) if "save" in own else None,
                        "parts": parts,
                    },
                    ask,
                )

        return await self._made(identity, make)

    async def _made(self, identity: Identity, make: Callable[[], T]) -> T:
        """Make a page or a part of one, once no other of this client is being made."""
        async with self.turns.of(identity.client):
            return await run_sync(make, limiter=self._threads)

    async def _apart(
        self,
        page: Page,
        request: Request,
        identity: Identity,
        values: Mapping[str, str],
        *,
        is_file: bool = False,
    ) -> dict[str, Any]:
        found = dict[str, Any]()
        for name, (operation, arguments) in page.apart(values).items():
            wanted = self._operations[operation]
            known = self._known(wanted, arguments, identity) if is_file else None
            if known is None:
                known = await self._answer(wanted, arguments, request, identity, text=True)
                self._shown[_key(wanted.name, arguments, identity)] = monotonic(), known
                while len(self._shown) > _MOST_SHOWN:
                    self._shown.popitem(last=False)
            found[name] = known
        return found

    def _known(self, operation: Operation, arguments: Mapping[str, Any], identity: Identity) -> Any:
        """Return what an operation gave the viewer a moment ago, whom it is still open to; else `None`."""
        operation.authorize(identity, operation.check(arguments, text=True))
        at, known = self._shown.get(_key(operation.name, arguments, identity), (-_SHOWN_S, None))
        return known if monotonic() - at < _SHOWN_S else None

    async def _answer(
        self,
        operation: Operation,
        arguments: Mapping[str, Any],
        request: Request,
        identity: Identity,
        *,
        text: bool,
    ) -> Any:
        """Carry an operation out, and return its result as a value."""
        checked = operation.check(arguments, text=text)
        operation.authorize(identity, checked)
        if operation.expensive and self._carry_out is not None:
            done = await self._carry_out(operation, arguments, identity=identity, request=request, text=text)
            return _decoded(done, operation)

        def carry_out() -> Any:
            with faults_explained(), panics_explained(), self._open(identity) as factory:
                if operation.waits:
                    factory.waits = lambda: False
                return operation.carry_out(factory, checked)

        return await run_sync(carry_out, limiter=self._writers)

    def _page(
        self,
        template: str,
        request: Request,
        identity: Identity | None,
        shown: Mapping[str, Any],
        ask: Ask | None = None,
    ) -> str:
        asks = ask or Ask(None, identity or Identity(actor="", scopes=()), self._operations)
        nav = [] if identity is None else self._navigation(identity)
        line, tabs, lacking = request.path_params.get("line"), list[tuple[str, Route]](), list[_Around]()
        if identity is not None and line is not None:
            with self._costs_a_part("tabs", lacking):
                tabs = self._tabs(asks, identity, line)
        fragment = request.headers.get("x-fragment")
        defaults = dict[str, Any]()
        defaults |= {"note": None, "page": "", "is_live": False, "saves": False, "error": None, "charts": []}
        defaults |= {"problem": None, "answer": None, "typed": {}, "saved": None, "parts": None}
        defaults |= {"is_broken": False}
        is_alone = fragment == _WATCHED or shown.get("saves") or ask is None
        html = (
            self._render.environment()
            .get_template(template)
            .render(
                {
                    **defaults,
                    **(_NOTHING_AROUND if is_alone else self._around(request, asks, lacking, on_page=True)),
                    **shown,
                    "layout": "part.html.jinja" if fragment in _FRAGMENTS else "layout.html.jinja",
                    "factory_name": self.name,
                    "identity": identity,
                    "may": asks.may,
                    "nav": nav,
                    "tabs": tabs,
                    "path": request.url.path,
                    "server": str(request.base_url).rstrip("/"),
                    "here": _here(request),
                    "style": self._render.static("linewright.css").decode() if shown.get("saves") else "",
                }
            )
        )
        return self._relative(html.encode()).decode()

    @contextmanager
    def _costs_a_part(self, part: _Around, lacking: list[_Around]) -> Generator[None]:
        """Compute a part of a page: whatever fails in there costs that part, since the page itself is what they want."""
        try:
            yield
        except LinewrightError:
            raise
        except Exception as error:  # noqa: BLE001 -- the boundary between a page and what stands around it: a bug there must not take the page
            lacking.append(part)
            key = f"{part}: {error!r}"
            if key not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(key)
                traceback.print_exception(error)

    def _seen(self, identity: Identity, lacking: list[_Around], *, on_page: bool = False) -> Seen:
        seen: Seen | None = None
        with self._costs_a_part("inbox", lacking):
            seen = self._inboxes.of(identity, on_page=on_page)
        return seen or _NOTHING_SEEN

    def _around(self, request: Request, ask: Ask, lacking: list[_Around], *, on_page: bool) -> dict[str, Any]:
        """Return what stands around the main part of each page of somebody: how many things wait, what came, saved views.

        What cannot be read is left out.
        """
        found = {**_NOTHING_AROUND, "lacking": lacking}
        with suppress(LinewrightError):
            found |= {"seen": self._seen(ask.identity, lacking, on_page=on_page)}
            with self._costs_a_part("views", lacking):
                found |= {"saved_views": [one for one in ask("views").views if _leads_somewhere(one.address)]}
        if ask.identity.member or ask.identity.is_owner:  # a token that is nobody's saves none
            with suppress(RequestError):
                found |= {"view_address": view_address(_here(request))}
        return found

    def _navigation(self, identity: Identity) -> list[Route]:
        return [
            route
            for route in self.routes
            if route.entry.group
            and identity.allows_somewhere(route.entry.permission)
            and self._has_place(route, identity)
        ]

    def _has_place(self, route: Route, identity: Identity) -> bool:
        """Whether a page stands in the navigation of somebody, or the one does in whose place it would."""
        entries = (each.entry for each in self.routes if each.name == route.entry.instead_of)
        return all(
            identity.allows(route.entry.permission, None) and not identity.allows_somewhere(other.permission)
            for other in entries
        )

    def _tabs(self, ask: Ask, identity: Identity, line: str) -> list[tuple[str, Route]]:
        """Return the pages of a line that somebody may see and its task has a use for, with their addresses."""
        task = _task_of(ask, line)
        return [
            (route.entry.path.replace("{line}", quote(line)), route)
            for route in self.routes
            if route.entry.tab and identity.allows(route.entry.permission, line)
            if task is None or route.entry.fits is None or route.entry.fits(task)
        ]

    def _watch(self, route: Route, request: Request, values: Mapping[str, str], have: str) -> Response:
        """Tell a browser whenever a page that changes, or what stands around it, is another than before; rights are those of each look.

        At first it is what the browser says to `have`, by its fingerprint: nothing is lost between loading a page and watching it.
        """
        is_live = route.page.is_live
        client = self._asked_by(request.scope).client
        with ExitStack() as trial:  # what is refused is refused before the answer begins
            self._take_stream(trial, client, is_live=is_live)
        request.scope["headers"].append((b"x-fragment", _WATCHED.encode()))

        async def events() -> AsyncIterator[bytes]:
            with suppress(LinewrightError), ExitStack() as taken:  # the browser asks again, and learns why
                self._take_stream(taken, client, is_live=is_live)
                page, around, until = "", "", monotonic() + _WATCHED_S
                seen: Seen | None = None
                again = 0.0
                while (now := monotonic()) < until and not await request.is_disconnected():
                    identity = self._asks_now(request.scope)
                    identity.require_somewhere(route.entry.permission)
                    html = await self._html(route, request, identity, values, {}) if is_live else ""
                    before = seen
                    seen = await self._made(identity, partial(self._seen, identity, []))
                    placed = around
                    if seen != before or now >= again:
                        again = now + _AROUND_S
                        placed = await self._made(identity, partial(self._placed, request, identity))
                    if html != page if page else have and have not in html:
                        yield _event("page", html)
                    page = html
                    if placed != around:
                        yield _event("around", placed)
                    around = placed
                    await asyncio.sleep(_LOOK_S)

        return StreamingResponse(events(), media_type=_EVENTS, headers={"content-security-policy": POLICY})

    def _take_stream(self, taken: ExitStack, client: str, *, is_live: bool) -> None:
        if is_live:
            taken.enter_context(self._watched.taken(client))
        taken.enter_context(self._followed.taken(client))

    def _placed(self, request: Request, identity: Identity) -> str:
        """Return what stands around a page, each part with the id of its place."""
        with faults_explained(), panics_explained(), self._open(identity) as factory:
            around = self._around(request, Ask(factory, identity, self._operations), [], on_page=False)
        template = self._render.environment().get_template("placed.html.jinja")
        return template.render({**around, "here": _here(request)})

    async def _file(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2].replace("favicon.ico", "favicon.svg")
        found = Response(self._render.static(name), media_type=STATIC[name], headers=_FOREVER)
        return _compressed(request, found)

    async def _do(self, request: Request) -> Response:
        """Run what a form asks for, and go on to the page that it names, or show its own page again."""
        identity, operation = self._asked_by(request.scope), request.path_params["operation"]
        form: Form | None = None
        try:
            found = self._operation(operation)
            if found is None:
                raise NotFound("no operation has that name", found=operation[:80])
            form = read_form(await request.body(), found)
            self._fleet.forget()
            self._inboxes.forget(identity)
            try:
                result = await self._carried_out(found, form, request, identity)
            except Transient as error:
                unfinished = error.details.get("unfinished")
                if not isinstance(unfinished, str):
                    raise
                return _go(f"/runs/{quote(unfinished)}")
        except LinewrightError as error:
            if form is not None and form.page:
                more = {"problem": error}
                return await self._show_form(form.page, form, request, identity, more, error.http_status)
            return await self.refused(error, request, identity)
        if form.show and not form.next:
            return await self._show_form(form.show, form, request, identity, {"answer": result})
        from linewright.interfaces.console.result_notes import note_of  # noqa: PLC0415 -- with the first form

        to = form.next or "/"
        says = note_of(result, to)
        if found.secret:
            shown = {"heading": found.summary, "says": says, "result": result, "to": to}
            shown |= {"address": str(request.base_url).rstrip("/")}
            html = await run_sync(
                self._page, "secret.html.jinja", request, identity, shown, limiter=self._threads
            )
            return Response(html, headers={"content-security-policy": POLICY}, media_type=_HTML)
        client = request.client.host if request.client else ""
        key = secrets.token_urlsafe(16)
        self._notes.put(key, says, client)
        return _go(_with_query(to, note=key))

    async def _carried_out(
        self, operation: Operation, form: Form, request: Request, identity: Identity
    ) -> Any:
        if not operation.files:
            return await self._answer(operation, form.arguments, request, identity, text=False)
        operation.authorize(identity, operation.check({**form.arguments, **dict.fromkeys(form.written, "")}))
        files = self._files
        if files is None:
            raise RequestError("no files are taken here", where=operation.name)
        given = dict(form.arguments)
        for name, text in form.written.items():
            given[name] = await run_sync(files.keep, identity, text.name, text.data)
        staged = await run_sync(files.stage, operation, given, identity)
        try:
            return await self._answer(operation, staged.arguments, request, identity, text=False)
        except BaseException:
            staged.undo()
            raise

    async def _show_form(  # noqa: PLR0917 -- what a page is made of
        self,
        address: str,
        form: Form,
        request: Request,
        identity: Identity,
        more: Mapping[str, Any],
        status: int = 200,
    ) -> Response:
        """Show a page with what was filled in and what came of it."""
        try:
            route, asked, values = self._at(address, request)
            html = await self._html(route, asked, identity, values, {}, more={**more, "typed": form.typed})
        except LinewrightError as error:
            return await self.refused(more.get("problem", error), request, identity)
        headers = {"content-security-policy": POLICY, "x-page": address}
        return Response(html, status, headers=headers, media_type=_HTML)


def _compressed(request: Request, answer: Response) -> Response:
    """Compress an answer if the browser takes that.

    How short a page becomes tells nothing that is secret: none is in it, and what shows one is not compressed.
    """
    if "gzip" not in request.headers.get("accept-encoding", "") or len(answer.body) < _WORTH_IT:
        return answer
    answer.body = gzip.compress(bytes(answer.body), compresslevel=5, mtime=0)
    answer.headers.update(
        {"content-encoding": "gzip", "content-length": str(len(answer.body)), "vary": "Accept-Encoding"}
    )
    return answer


def _decoded(done: bytes, operation: Operation) -> Any:
    """Return a result as a value of its type; of several types, the first that fits."""
    problem: msgspec.ValidationError | None = None
    for kind in operation.result_kinds:
        try:
            return msgspec.json.decode(done, type=kind)
        except msgspec.ValidationError as error:
            problem = error
    raise problem or TypeError(f"{operation.name} has no result")


def _key(operation: str, arguments: Mapping[str, Any], identity: Identity) -> str:
    return repr((operation, sorted(arguments.items()), identity))


def _event(name: str, html: str) -> bytes:
    """Return an event as a browser's `EventSource` reads it."""
    lines = "".join(f"data: {each}\n" for each in html.splitlines())
    return f"event: {name}\n{lines}\n".encode()


def _here(request: Request) -> str:
    """Return the address of a page, without the values that each page takes."""
    query = parse_qs(request.url.query, keep_blank_values=True)
    kept = {name: given for name, given in query.items() if name not in _EVERY_PAGE}
    return request.url.path + (f"?{urlencode(kept, doseq=True)}" if kept else "")


def _leads_somewhere(address: str) -> bool:
    try:
        find(address)
    except RequestError:
        return False
    return True


def _with_query(path: str, **values: str) -> str:
    before, _, query = path.partition("?")
    kept = {name: given for name, given in parse_qs(query).items() if name not in values}
    return f"{before}?{urlencode({**kept, **values}, doseq=True)}"


def _go(to: str) -> Response:
    return Response(status_code=303, headers={"location": to})


def is_for_people(scope: Mapping[str, Any]) -> bool:
    """Whether a browser asks for something that a person is to look at, or sends a form of ours."""
    accepts = [value for name, value in scope["headers"] if name == b"accept"]
    is_place = scope["method"] == "GET" and not scope["path"].startswith("/api/")
    is_browser = any(b"text/html" in each or b"text/event-stream" in each for each in accepts)
    return (is_place or scope["path"].startswith(DO)) and is_browser


def to_sign_in(scope: Mapping[str, Any]) -> Response:
    """Return what leads somebody who is not signed in to where they do that, and back.

    A link of another site brings no cookie, since ours is kept from all that other sites begin: then our own page asks once more.
    """
    query = scope.get("query_string", b"").decode("latin-1")
    here = own_path(quote(scope["path"]) + (f"?{query}" if query else ""))
    sites = [value for name, value in scope["headers"] if name == b"sec-fetch-site"]
    if sites == [b"cross-site"]:
        html = f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={quote(here, safe="/?=&%")}"><title>Linewright</title>'
        return Response(html, headers={"content-security-policy": POLICY}, media_type=_HTML)
    return _go("/sign-in" if here == "/" else f"/sign-in?{urlencode({'next': here})}")


def _task_of(ask: Ask, line: str) -> TaskFacts | None:
    """Return the facts of the task of a line; `None` if its file leaves it open, or cannot be read."""
    with suppress(LinewrightError):
        name = AUTO if ask.factory is None else ask.factory.line(line).train.task
        return None if name == AUTO else task_facts(name)
    return None
