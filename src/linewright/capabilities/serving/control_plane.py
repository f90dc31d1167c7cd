"""The process that `up` starts beside the endpoint: control plane and worker.

    python -m linewright.capabilities.serving.control_plane FOLDER HOST PORT REACH WORD

It waits for a `run` that is at work; then it holds the factory's executor lock, resumes runs that were interrupted, and
carries out those that are asked for. REACH is what `Reach.to_json` returned. WORD is for
`under_supervision`.
"""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from threading import Event

from linewright.capabilities.serving.tagging import Tagging
from linewright.capabilities.serving.worker import Tending
from linewright.engine.context import Progress
from linewright.engine.lock import ProcessLock
from linewright.engine.supervise import under_supervision
from linewright.errors import LinewrightError
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.interfaces.http.expensive import Expensive
from linewright.interfaces.http.provider_sign_in import open_provider
from linewright.interfaces.http.rate_limit import RateLimit
from linewright.interfaces.http.replies import SqliteReplies
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.line.loop.reference import make_reference_in_child
from linewright.line.runs.attempts import Attempts
from linewright.line.runs.execute import open_executor
from linewright.operations.table import CAPABILITIES, OPERATIONS
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.control_token import control_token
from linewright.serve.access.rights import Identity, owner
from linewright.serve.reach import Reach
from linewright.store.files.disk import faults_explained
from linewright.store.files.rights import owner_only


def main(root: Path, host: str, port: int, reach: Reach, listens: Callable[[bool], None]) -> int:
    """Serve the control plane and carry out runs until SIGTERM; return the exit code."""
    try:
        with (
            faults_explained(root),
            Factory.open(root, report=_say) as factory,
            bound(host, port, reach) as listening,
            closing(Tagging(lambda: Factory.open(root, identity=owner("linewright")))),
        ):
            lock = ProcessLock(factory.state / "executor.lock")
            lock.wait(_waiting)
            with lock:
                _work(factory, listening, reach, listens)
    except LinewrightError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _work(factory: Factory, listening: socket.socket, reach: Reach, listens: Callable[[bool], None]) -> None:
    root, stopping = factory.root, Event()
    with closing(Attempts(factory, of_all_lines=True)) as attempts, ExitStack() as background:

        def opened(identity: Identity) -> Factory:
            other = Factory.open(root, report=_say, identity=identity)
            other.attempts = attempts
            other.waits = lambda: not stopping.is_set()
            return other

        for each in CAPABILITIES:
            for name in each.background:
                background.enter_context(closing(each.load(name)(lambda: opened(owner("linewright")))))
        with (
            open_executor(factory, attempts=attempts) as engine,
            closing(
                Tending(
                    lambda: opened(owner("linewright")),
                    engine,
                    make_reference=partial(make_reference_in_child, is_stopped=stopping.is_set),
                )
            ),
        ):
            app = control_app(
                opened,
                OPERATIONS,
                authenticator=Authenticator(
                    control_token(factory.state), state=factory.state, actor=factory.actor
                ),
                expensive=Expensive(root, report=_say),
                root=root,
                stopping=stopping,
                replies=SqliteReplies(factory.state / "replies.sqlite"),
                hosts=reach.hosts,
                provider=open_provider(root, factory.now),
                rate_limit=RateLimit(read_factory_file(root).limits.control_requests_per_second),
            )
            # Whoever started this process starts it again, and then it resumes what has no end yet.
            serve_control(
                app,
                listening,
                reach,
                ready=lambda _: listens(True),
                is_stopped=lambda: engine.trouble is not None,
            )
            if engine.trouble is not None:
                raise engine.trouble


def _waiting(holder: int | None) -> None:
    says = f"the control plane waits for process {holder}, which is at work in this factory"
    _say(Progress(step="up", says=says))


def _say(progress: Progress) -> None:
    with suppress(OSError, ValueError):  # nobody may be reading any more; the run goes on all the same
        sys.stderr.write(f"{progress.step}: {progress.says}\n")


if __name__ == "__main__":
    with owner_only():
        code = main(
            Path(sys.argv[1]),
            sys.argv[2],
            int(sys.argv[3]),
            Reach.of(sys.argv[4]),
            under_supervision(sys.argv[5]),
        )
    sys.stderr.flush()
    # A step that is still at work (training, say) would hold the process until it is done; its run is resumed later.
    os._exit(code)
