"""The process that `up` starts beside the endpoint: control plane and worker.

    python -m linewright.interfaces.http FOLDER HOST PORT

It holds the factory's executor lock, resumes runs that were interrupted, and carries out those that are asked for.
"""

import os
import sys
from contextlib import closing, suppress
from pathlib import Path

from linewright.engine.context import Progress
from linewright.engine.durable import DurableEngine
from linewright.engine.lock import ExecutorLock
from linewright.errors import LinewrightError
from linewright.interfaces.http.app import control_app, serve_control
from linewright.interfaces.http.replies import SqliteReplies
from linewright.line.factory import Factory
from linewright.line.run import workflows
from linewright.line.tending import Tending
from linewright.operations import OPERATIONS

_PATIENCE_S = 5.0
"""How long a worker that was killed may hold the lock while its training ends."""


def main(root: Path, host: str, port: int) -> int:
    """Serve the control plane and carry out runs until SIGTERM; return the exit code."""
    try:
        with (
            Factory.open(root, report=_say) as factory,
            ExecutorLock(factory.state / "executor.lock", patience=_PATIENCE_S),
            closing(DurableEngine(factory.engine_url, workflows(factory))) as engine,
            closing(Tending(lambda: Factory.open(root, report=_say, actor="linewright"), engine)),
        ):
            replies = SqliteReplies(factory.state / "replies.sqlite")
            app = control_app(lambda: Factory.open(root, report=_say), OPERATIONS, replies=replies)
            serve_control(app, host, port)
    except LinewrightError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _say(progress: Progress) -> None:
    with suppress(OSError, ValueError):  # nobody may be reading any more; the run goes on all the same
        sys.stderr.write(f"{progress.station}: {progress.says}\n")


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    sys.stderr.flush()
    # A station that is still at work (training, say) would hold the process until it is done; its run is resumed later.
    os._exit(code)
