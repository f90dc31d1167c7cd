"""The endpoint as a program that imports little: ``python -m linewright.serve [--model-memory=SIZE] STATE HOST PORT [READY]``.

READY is the descriptor of a pipe, which is written to once it listens.
"""

import sys
from pathlib import Path

from linewright.errors import LinewrightError
from linewright.serve.address import say_ready
from linewright.serve.memory import to_bytes
from linewright.serve.server import serve
from linewright.store.disk import faults_explained

MODEL_MEMORY = "--model-memory="


def main(*arguments: str) -> int:
    """Serve the lines of a factory, given its state folder, and return the exit code."""
    sizes = [each.removeprefix(MODEL_MEMORY) for each in arguments if each.startswith(MODEL_MEMORY)]
    state, host, port, *rest = (each for each in arguments if not each.startswith(MODEL_MEMORY))
    ready = rest[0] if rest else ""

    def told(_address: str) -> None:
        say_ready(int(ready))

    try:
        with faults_explained(Path(state)):
            serve(
                Path(state),
                host,
                int(port),
                model_memory=to_bytes(sizes[-1]) if sizes else None,
                started=told if ready else None,
            )
    except LinewrightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
