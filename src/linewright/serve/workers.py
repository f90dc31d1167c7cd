"""The endpoint of a factory in one process or several, on one socket, and its restart while clients ask.

One process serves alone, without a parent, until a restart is asked for: then it starts a fresh one on its socket and stays
as its supervisor. Several have a supervisor from the beginning.
"""

import os
import socket
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import msgspec

from linewright.engine.supervise import Child, Group, Signals, end, look_after
from linewright.serve.limits import AllLimits, Capacity
from linewright.serve.listener import Announcement, announced_as, listening
from linewright.serve.models.memory import SMALLEST, usual_budget
from linewright.serve.operator_log import tell_stderr
from linewright.serve.peers import Siblings, fold, shared
from linewright.serve.reach import Reach

MOST = 256
"""Processes of one endpoint."""
MODEL_MEMORY = "--model-memory="
"""The option of the program that says how many bytes the models loaded in one process may take."""
AS_JSON = "--json"
"""The option that has an error be a document on stdout."""
LIMITS = "--limits="
"""The option that says how much clients may ask of one process, as `AllLimits.to_json` does."""
REACH = "--reach="
"""The option that says how clients reach it, as `Reach.to_json` does."""


def serve_lines(
    state: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    workers: int = 1,
    model_memory: int | None = None,
    limits: AllLimits = AllLimits(),  # noqa: B008 -- it is frozen
    reach: Reach = Reach(),  # noqa: B008 -- it is frozen
) -> None:
    """Serve the lines of a factory until SIGTERM or SIGINT; SIGHUP puts fresh processes in the place of those that serve."""
    # Imported before anybody can connect. A supervisor of several needs neither numpy nor onnxruntime.
    serve_on = import_module("linewright.serve.http.server").serve_on if workers == 1 else None
    limits = limits if not reach.needs_token(host) else msgspec.structs.replace(limits, needs_token=True)
    capacity = Capacity(model_memory=model_memory, limits=limits)
    with shared(state) as folder, listening(host, port, reach) as listener:
        announcement = Announcement(state, announced_as(listener, reach, needs_token=limits.needs_token))
        child = endpoint_child(
            state,
            listener,
            folder,
            workers=workers,
            model_memory=model_memory,
            limits=limits,
            reach=reach,
            listens=announcement.make,
        )
        group = Group(child, _tell)
        with Signals() as signals:
            try:
                if serve_on is None:
                    group.start()
                elif not _serve_here(
                    partial(serve_on, capacity=capacity, reach=reach), state, folder, group, signals
                ):
                    return
                look_after([group], signals)
            finally:
                end([group])
                announcement.withdraw()


def program_arguments(
    state: Path,
    host: str,
    port: int,
    *,
    workers: int,
    model_memory: int | None,
    limits: AllLimits,
    reach: Reach,
) -> tuple[str, ...]:
    """Return what ``python -m linewright.serve`` takes to serve as `serve_lines` does, which explains the parameters."""
    memory = () if model_memory is None else (f"{MODEL_MEMORY}{model_memory}",)
    options = (*memory, f"{LIMITS}{limits.to_json()}", f"{REACH}{reach.to_json()}")
    return (*options, str(state), host, str(port), str(workers))


def endpoint_child(
    state: Path,
    listener: socket.socket,
    folder: Path,
    *,
    workers: int,
    model_memory: int | None = None,
    limits: AllLimits = AllLimits(),  # noqa: B008 -- it is frozen
    reach: Reach = Reach(),  # noqa: B008 -- it is frozen
    news: tuple[str, ...] = (),
    listens: Callable[[], None],
) -> Child:
    """Describe the processes of an endpoint on a socket, for a supervisor."""
    host, port = listener.getsockname()[:2]
    share = max((usual_budget() if model_memory is None else model_memory) // workers, SMALLEST)
    options = (
        f"{MODEL_MEMORY}{share}",
        f"{LIMITS}{limits.share(workers).to_json()}",
        f"{REACH}{reach.to_json()}",
    )
    words = (*options, str(state), host, str(port), str(listener.fileno()), str(folder))
    return Child(
        name="endpoint",
        arguments=("linewright.serve", *words),
        count=workers,
        inherits=(listener.fileno(),),
        gives_way=True,
        news=news,
        kept="limits and model memory stay as they were when this command was started: stop and start it to change them",
        listens=listens,
        ended=partial(fold, folder),
        stops=listener.close,
    )


def _serve_here(
    serve_on: Callable[..., bool], state: Path, folder: Path, group: Group, signals: Signals
) -> bool:
    """Serve in this process; return whether others serve now in its place."""

    def started(is_well: bool) -> None:
        group.is_well = is_well
        group.child.listens()

    def is_replaced() -> bool:
        if signals.take_restart():
            group.restart()
        group.look()
        return group.has_taken_over

    (listener,) = group.child.inherits
    return serve_on(
        socket.socket(fileno=os.dup(listener)),
        state,
        Siblings(folder),
        started=started,
        is_replaced=is_replaced,
        is_stopped=lambda: signals.stop,
        stopping=group.child.stops,
    )


def _tell(says: str) -> None:
    tell_stderr({"event": "supervisor", "says": says})
