"""The endpoint as a program that imports little.

``python -m linewright.serve STATE HOST PORT [WORKERS]`` serves. With more behind it, it is one of several processes that a
supervisor starts: ``python -m linewright.serve STATE HOST PORT LISTENER FOLDER WORD``, where HOST and PORT are for people who
look at the list of processes, LISTENER is the descriptor of the socket, FOLDER what the processes share, and WORD for
`under_supervision`.
"""

import socket
import sys
from importlib import import_module
from pathlib import Path

from linewright.engine.supervise import under_supervision
from linewright.errors import LinewrightError
from linewright.serve.pickles import forbid_pickles
from linewright.serve.siblings import Siblings
from linewright.serve.workers import serve_lines
from linewright.store.disk import faults_explained


def main(state: str, host: str, port: str, *more: str) -> int:
    """Serve the lines of a factory, given its state folder, and return the exit code."""
    forbid_pickles()
    try:
        with faults_explained(Path(state)):
            if len(more) > 1:
                _work(Path(state), *more)
            else:
                serve_lines(Path(state), host, int(port), workers=int(more[0]) if more else 1)
    except LinewrightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _work(state: Path, listener: str, folder: str, word: str) -> None:
    listens = under_supervision(word)
    server = import_module("linewright.serve.server")  # here alone: the supervisor of several does without it
    server.work(socket.socket(fileno=int(listener)), state, Siblings(Path(folder)), listens)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
