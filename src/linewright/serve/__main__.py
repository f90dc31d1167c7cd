"""The endpoint as a program that imports little.

``python -m linewright.serve [--model-memory=SIZE] [--limits=JSON] [--reach=JSON] [--json] STATE HOST PORT [WORKERS]`` serves. With more behind it, it is one of several
processes that a supervisor starts: ``python -m linewright.serve [...] STATE HOST PORT LISTENER FOLDER WORD``, where HOST and PORT
are for people who look at the list of processes, LISTENER is the descriptor of the socket, FOLDER what the processes share, and
WORD for `under_supervision`.
"""

import socket
import sys
from importlib import import_module
from pathlib import Path

import msgspec

from linewright.engine.supervise import under_supervision
from linewright.errors import LinewrightError
from linewright.serve.limits import AllLimits, Capacity
from linewright.serve.models.memory import to_bytes
from linewright.serve.no_pickle import forbid_pickles
from linewright.serve.peers import Siblings
from linewright.serve.reach import Reach
from linewright.serve.workers import AS_JSON, LIMITS, MODEL_MEMORY, REACH, serve_lines
from linewright.store.files.disk import faults_explained
from linewright.store.files.rights import owner_only


def main(*arguments: str) -> int:
    """Serve the lines of a factory, given its state folder, and return the exit code."""
    forbid_pickles()
    as_json, arguments = AS_JSON in arguments, tuple(each for each in arguments if each != AS_JSON)
    sizes = [each.removeprefix(MODEL_MEMORY) for each in arguments if each.startswith(MODEL_MEMORY)]
    limits = [each.removeprefix(LIMITS) for each in arguments if each.startswith(LIMITS)]
    reaches = [each.removeprefix(REACH) for each in arguments if each.startswith(REACH)]
    state, host, port, *more = (
        each for each in arguments if not each.startswith((MODEL_MEMORY, LIMITS, REACH))
    )
    try:
        with faults_explained(Path(state)):
            budget = to_bytes(sizes[-1]) if sizes else None
            asked = AllLimits.of(limits[-1]) if limits else AllLimits()
            reach = Reach.of(reaches[-1]) if reaches else Reach()
            if len(more) > 1:
                _work(Path(state), *more, capacity=Capacity(model_memory=budget, limits=asked), reach=reach)
            else:
                serve_lines(
                    Path(state),
                    host,
                    int(port),
                    workers=int(more[0]) if more else 1,
                    model_memory=budget,
                    limits=asked,
                    reach=reach,
                )
    except LinewrightError as error:
        if as_json:
            sys.stdout.write(msgspec.json.encode(error.to_json()).decode() + "\n")
        else:
            sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _work(state: Path, listener: str, folder: str, word: str, *, capacity: Capacity, reach: Reach) -> None:
    listens = under_supervision(word)
    server = import_module(
        "linewright.serve.http.server"
    )  # here alone: the supervisor of several does without it
    siblings = Siblings(Path(folder))
    server.work(socket.socket(fileno=int(listener)), state, siblings, listens, capacity=capacity, reach=reach)


if __name__ == "__main__":
    with owner_only():
        sys.exit(main(*sys.argv[1:]))
