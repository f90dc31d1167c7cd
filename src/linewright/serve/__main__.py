"""The endpoint as a program that imports little: ``python -m linewright.serve STATE HOST PORT [READY]``.

READY is the descriptor of a pipe, which is written to once it listens.
"""

import sys
from pathlib import Path

from linewright.errors import LinewrightError
from linewright.serve.address import say_ready
from linewright.serve.pickles import forbid_pickles
from linewright.serve.server import serve
from linewright.store.disk import faults_explained


def main(state: str, host: str, port: str, ready: str = "") -> int:
    """Serve the lines of a factory, given its state folder, and return the exit code."""

    def told(_address: str) -> None:
        say_ready(int(ready))

    forbid_pickles()
    try:
        with faults_explained(Path(state)):
            serve(Path(state), host, int(port), started=told if ready else None)
    except LinewrightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
