"""`python -m MODULE` without the imports: a process that has done them forks one for each command.

Such a command is a process of its own as ever, with its own folder, environment, streams and exit code, and may be killed by itself;
it only spares the second or two in which each would import the same. It is not told of signals, reads no `PYTHON…` but PYTHONPATH, with
the `sitecustomize` there, and preloads nothing: what is about those is started as users start it, and so is `serve`.

What carries out a run is a child of whoever follows it (`linewright.engine.child`). Such children, and `up` with its own, can be forked
likewise (`Forked`): they are children of that process as ever, told of its signals and ended with it.
"""

import atexit
import ctypes
import fcntl
import gc
import json
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from linewright.engine import child, supervise

_MOST_BYTES = 2**20
"""Of what a command is given: its words and its environment."""
_MOST_STREAMS = 8
_MOST_WORDS = 4096
"""Bytes of what is shown of a command where processes are listed."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_FOLLOWS_RUNS = {"linewright.capabilities.serving.control_plane", "linewright.testing.faults"}
"""Modules that have runs carried out, beside the commands `run` and `up`."""
_FIRST = (
    "alembic.command", "linewright.engine.durable", "linewright.interfaces.cli", "linewright.interfaces.http.app",
    "linewright.line.runs.workflow", "scipy.cluster.hierarchy",
)  # fmt: skip
"""What commands import, beside what their operations do."""
_FORKS = "LINEWRIGHT_TESTS_FORK"
"""Variable of the environment; where it is set, what carries out a run for a command is forked too."""


@cache
def folder() -> Path:
    """Return a folder with a `linewright` of this kind; put it before others in PATH."""
    made = _served()
    program = made / "linewright"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(_words(made))} -m linewright "$@"\n')
    program.chmod(0o755)
    return made


def _served(environment: dict[str, str] | None = None, modules: tuple[str, ...] = ()) -> Path:
    """Start a server, and return the folder of its socket; it ends with this process.

    Parameters
    ----------
    modules
        What the server imports (default: all that commands need).
    """
    made = Path(tempfile.mkdtemp(prefix="commands-"))
    made.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, _address(made), *modules, " " * _MOST_WORDS],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(_end, server, made)
    return made


class Forked(subprocess.Popen[Any]):
    """``python -m MODULE …`` as a child of this process, forked by a server that has this process among its ancestors."""

    _lock = threading.Lock()
    _server: str | None = None
    """Address of that server; `None`: the one of `folder`."""

    def _execute_child(self, args: list[str], *given: Any) -> None:
        pass_fds, folder_, environment, pipes, umask = given[3], given[4], given[5], given[9:15], given[19]
        streams = [own if end < 0 else end for own, end in enumerate((pipes[0], pipes[3], pipes[5]))]
        asked = {
            "words": args[1:],
            "folder": str(folder_ or os.getcwd()),  # noqa: PTH109 -- as the server has it
            "umask": _umask() if umask < 0 else umask,
            "environment": dict(os.environ if environment is None else environment),
            "numbers": [0, 1, 2, *pass_fds],
            "parent": os.getpid(),
        }
        address = self._server or _address(folder())
        with self._lock, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            _take_in_orphans(True)
            try:
                connection.connect(address)
                socket.send_fds(connection, [json.dumps(asked).encode()], [*streams, *pass_fds])
                self.pid = int(connection.recv(16))
            finally:
                _take_in_orphans(False)
        self._child_created = True
        self._close_pipe_fds(*pipes)


class Subprocess:
    """Stands for the module `subprocess` where children are started that may be forked; `serve` is started as users start it."""

    @staticmethod
    def Popen(words: list[str], **how: Any) -> "subprocess.Popen[Any]":  # noqa: N802 -- as it is called there
        is_light = words[1:3] == ["-m", "linewright.serve"]
        return (subprocess.Popen if is_light else Forked)(words, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


def fork_children(*, does: bool) -> None:
    """Say whether children of this process, and of runs that it has carried out by commands, are forked."""
    child.subprocess = Subprocess() if does else subprocess
    if does:
        os.environ[_FORKS] = "yes"
    else:
        os.environ.pop(_FORKS, None)


@contextmanager
def forking() -> Iterator[None]:
    """Have them forked for a while."""
    before = child.subprocess
    fork_children(does=True)
    try:
        yield
    finally:
        fork_children(does=isinstance(before, Subprocess))


def begin(
    words: list[str], *, env: dict[str, str] | None = None, of: type[Forked] = Forked, **how: Any
) -> Forked:
    """Begin a command by `Forked`, with all that it starts but the endpoint forked too."""
    return of(words, **how, env={**(env or os.environ), _FORKS: "yes"})


def preloaded(environment: dict[str, str]) -> type[Forked]:
    """Return a `Forked` of a server that was started in an environment: what is preloaded is of all that it forks."""
    return type("Preloaded", (Forked,), {"_server": _address(_served(environment))})


@cache
def programs(*modules: str) -> type[Forked]:
    """Return a `Forked` of a server that has imported these modules and no others.

    It runs ``python -c CODE …`` and ``python -m MODULE …``. It is for programs whose memory counts, and for small ones.
    """
    return type("Program", (Forked,), {"_server": _address(_served(modules=modules))})


def run(
    words: list[str], *, of: type[Forked], timeout: float, **how: Any
) -> "subprocess.CompletedProcess[Any]":
    """Run a program to its end by a kind of `Forked`, as `subprocess.run` does; what it writes is captured.

    Raises
    ------
    subprocess.TimeoutExpired
        If it has not ended within `timeout` seconds; it is killed then.
    """
    with of(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def _take_in_orphans(does: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(does), 0, 0, 0)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


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

    def __init__(self, address: str, *, ends_with_stdin: bool = True) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(address)
        self._listening.listen()
        self._watched = selectors.DefaultSelector()
        self._watched.register(self._listening, selectors.EVENT_READ, None)
        if ends_with_stdin:
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

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()
        self._watched.close()

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
        data, streams, _, _ = socket.recv_fds(connection, _MOST_BYTES, _MOST_STREAMS)
        asked: dict[str, Any] = json.loads(data)
        pid = os.fork()
        if pid:
            if "parent" in asked:
                os.waitpid(pid, 0)
                connection.close()
            else:
                self._watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
            for stream in streams:
                os.close(stream)
            return None
        if "parent" in asked:
            _become_child_of(asked["parent"], connection)
        for key in self._watched.get_map().values():
            if key.data is not None:
                os.close(key.fd)
                key.data[1].close()
        connection.close()
        self.close()
        _put_at(streams, asked["numbers"])
        os.chdir(asked["folder"])
        os.umask(asked["umask"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        return asked["words"]


def _become_child_of(parent: int, connection: socket.socket) -> None:
    """Go on in a process whose parent is the one that asked, which takes in what loses its own; tell it the number."""
    if os.fork():
        os._exit(0)
    while os.getppid() != parent:
        time.sleep(0.001)
    os.setsid()
    connection.send(str(os.getpid()).encode())


def _put_at(streams: list[int], numbers: list[int]) -> None:
    """Give open files the numbers that they are to have."""
    above = max(*streams, *numbers) + 1
    moved = [fcntl.fcntl(stream, fcntl.F_DUPFD, above) for stream in streams]
    for stream in streams:
        os.close(stream)
    for stream, number in zip(moved, numbers, strict=True):
        os.dup2(stream, number)
        os.close(stream)


def _carried_out(words: list[str], address: str) -> int:
    """Carry out ``-m MODULE …`` and return the exit code, once all has happened that happens at the end of a process."""
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115 -- those of the command
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    option, module, *arguments = words
    sys.argv[1:], sys.path[0] = arguments, os.getcwd()  # noqa: PTH109 -- as `-m` has it
    if _FORKS in os.environ and (module in _FOLLOWS_RUNS or arguments[:1] in (["run"], ["up"])):
        _serve_children(f"{address}-{os.getpid()}")
    _show(words)
    _take_paths(os.environ.get("PYTHONPATH", ""))
    sys.modules.pop(module, None)  # `runpy` warns where it was imported
    code = 0
    try:
        if option == "-c":
            _run_text(module)
        else:
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


def _run_text(program: str) -> None:
    sys.argv[0] = "-c"
    sys.modules["__main__"] = main = ModuleType("__main__")
    exec(compile(program, "<string>", "exec"), vars(main))  # noqa: S102 -- `-c` of a test


def _show(words: list[str]) -> None:
    """Have this process listed by its own words, by which tests find processes, in place of those of the server."""
    begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    shown = b"".join(os.fsencode(word) + b"\0" for word in (sys.executable, *words))
    ctypes.memmove(begin, shown[: end - begin - 1].ljust(end - begin, b"\0"), end - begin)


def _take_paths(paths: str) -> None:
    """Look for modules there too, and carry out the first `sitecustomize`, as the interpreter does when it starts."""
    folders = [folder for folder in paths.split(os.pathsep) if folder]
    sys.path[1:1] = folders
    customs = [file for folder in folders if (file := Path(folder, "sitecustomize.py")).exists()]
    for file in customs[:1]:
        runpy.run_path(str(file))


def _serve_children(address: str) -> None:
    """Have the children of this command forked by a process of its own, which ends with it."""
    server = _Server(address, ends_with_stdin=False)
    if os.fork():
        server.close()
        Forked._server, child.subprocess, supervise.subprocess = address, Subprocess(), Subprocess()
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    words = server.until_asked()
    assert words is not None
    os._exit(_carried_out(words, address))


def _serve(address: str, *modules: str) -> None:
    for module in modules:
        import_module(module)
    if not modules:
        _import_commands()
    gc.freeze()
    server = _Server(address)
    os.write(1, b"ready\n")
    words = server.until_asked()
    if words is not None:
        os._exit(_carried_out(words, address))


def _import_commands() -> None:
    from linewright.line.steps import environment
    from linewright.line.steps.table import load_steps
    from linewright.operations.table import OPERATIONS

    for module in (*_FIRST, *(entry.module for entry in OPERATIONS.values())):
        import_module(module)
    load_steps()
    # Of all that a process notes of where it computes, what follows from the files that it has imported.
    environment._code()
    environment._libraries()


if __name__ == "__main__":
    _serve(*sys.argv[1:-1])
