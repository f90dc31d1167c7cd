"""`python -m MODULE` without the imports: a process that has done them forks one for each command.

Such a command is a process of its own as ever, with its own folder, environment, streams and exit code, and may be killed by itself;
it only spares the second or two in which each would import the same. It is not told of signals, reads no `PYTHON…` and preloads nothing:
what is about those is started as users start it, and so are `up` and `serve`.
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import closing, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_MOST_BYTES = 2**20
"""Of what a command is given: its words and its environment."""


@cache
def folder() -> Path:
    """Return a folder with a `linewright` of this kind; put it before others in PATH."""
    made = Path(tempfile.mkdtemp(prefix="commands-"))
    made.chmod(0o755)
    program = made / "linewright"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(_words(made))} -m linewright "$@"\n')
    program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, _address(made)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(_end, server, made)
    return made


def python() -> list[str]:
    """Return what may stand in place of `sys.executable` before ``-m MODULE …``."""
    return _words(folder())


def _words(made: Path) -> list[str]:
    return [sys.executable, "-S", "-E", str(Path(__file__).with_name("command.py")), _address(made)]


def _address(made: Path) -> str:
    return str(made / "socket")


def _end(server: "subprocess.Popen[bytes]", made: Path) -> None:
    server.communicate()  # it ends with its stdin
    shutil.rmtree(made)


class _Server:
    """Forks a process for each command and says how it ended."""

    def __init__(self, address: str) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(address)
        self._listening.listen()
        self._watched = selectors.DefaultSelector()
        self._watched.register(self._listening, selectors.EVENT_READ, None)
        self._watched.register(sys.stdin, selectors.EVENT_READ, None)

    def until_asked(self) -> list[str] | None:
        """Serve until stdin ends, in the process that serves; in one that was forked return the words of its command."""
        while True:
            for key, _ in self._watched.select():
                if key.fileobj is sys.stdin:
                    return None
                if key.data is not None:
                    self._ended(key)
                elif (words := self._begun()) is not None:
                    return words

    def _ended(self, key: selectors.SelectorKey) -> None:
        pid, connection = key.data
        self._watched.unregister(key.fileobj)
        os.close(key.fd)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        with closing(connection), suppress(OSError):
            connection.send(str(code).encode())

    def _begun(self) -> list[str] | None:
        connection, _ = self._listening.accept()
        data, streams, _, _ = socket.recv_fds(connection, _MOST_BYTES, 3)
        pid = os.fork()
        if pid:
            self._watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
            for stream in streams:
                os.close(stream)
            return None
        asked: dict[str, Any] = json.loads(data)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        for key in self._watched.get_map().values():
            if key.data is not None:
                os.close(key.fd)
                key.data[1].close()
        connection.close()
        self._listening.close()
        self._watched.close()
        os.chdir(asked["folder"])
        os.umask(asked["umask"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        return asked["words"]


def _carried_out(words: list[str]) -> int:
    """Carry out ``-m MODULE …`` and return the exit code, once all has happened that happens at the end of a process."""
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 -- those of the command
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    _, module, *arguments = words
    sys.argv[1:], sys.path[0] = arguments, os.getcwd()  # noqa: PTH109 -- as `-m` has it
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 -- as the interpreter does at the end of a process
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _serve(address: str) -> None:
    from linewright.line.stations import load_steps
    from linewright.operations import OPERATIONS

    for module in ("linewright.interfaces.cli", *(entry.module for entry in OPERATIONS.values())):
        import_module(module)
    load_steps()
    gc.freeze()
    server = _Server(address)
    os.write(1, b"ready\n")
    words = server.until_asked()
    if words is not None:
        os._exit(_carried_out(words))


if __name__ == "__main__":
    _serve(sys.argv[1])
