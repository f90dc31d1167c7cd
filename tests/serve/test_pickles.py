"""A pickle is a program: nothing that an endpoint's process reads may be one."""

import pickle  # noqa: TID251 -- what is refused has to be made
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

READERS = {
    "pickle": "pickle.loads(Path(sys.argv[1]).read_bytes())",
    "pickle in Python": "pickle._loads(Path(sys.argv[1]).read_bytes())",
    "numpy": "np.load(sys.argv[1], allow_pickle=True)",
}


class Harm:
    """What touches a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def read_in_a_child(how: str, path: Path, *, forbidden: bool) -> "subprocess.CompletedProcess[str]":
    forbid = "from linewright.serve.no_pickle import forbid_pickles; forbid_pickles()" if forbidden else ""
    code = f"import pickle, sys; import numpy as np; from pathlib import Path\n{forbid}\n{READERS[how]}"
    return subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("how", READERS)
def test_whatever_reads_a_pickle_calls_nothing(tmp_path, how):
    """Whoever could place a file must not run code where customers' rows are."""
    harmed, path = tmp_path / "harmed", tmp_path / "table.npy"
    if how == "numpy":
        np.save(path, np.array([Harm(harmed)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Harm(harmed)))
    done = read_in_a_child(how, path, forbidden=True)

    assert "Terminal: " in done.stderr
    assert "a pickle was to be read in the process of an endpoint" in done.stderr
    assert not harmed.exists()
    assert 0 == read_in_a_child(how, path, forbidden=False).returncode
    assert harmed.exists()


PROGRAMS = {
    "endpoint": """
def read_and_stop():
    while endpoint(Path(sys.argv[2])) is None:
        time.sleep(0.02)
    try:
        read()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=read_and_stop).start()
program.main(sys.argv[2], "127.0.0.1", "0")
""",
    "probe": """
ours, theirs = socket.socketpair()

def read_and_stop():
    try:
        ours.recv(1)  # it is ready
        read()
    except BaseException:
        traceback.print_exc()
    finally:
        ours.close()

threading.Thread(target=read_and_stop).start()
program.main(sys.argv[2], f"{theirs.fileno()}:{os.getppid()}:0")
""",
}


@pytest.mark.parametrize(
    ("name", "module"), [("endpoint", "serve.__main__"), ("probe", "serve.models.probe")]
)
def test_the_programs_that_load_packages_read_none(claims, tmp_path, name, module):
    """It holds from before the first package on, and nothing that they do themselves needs one."""
    harmed, path = tmp_path / "harmed", tmp_path / "table.npy"
    path.write_bytes(pickle.dumps(Harm(harmed)))
    code = (
        "import os, pickle, signal, socket, sys, threading, time, traceback; from pathlib import Path\n"
        f"import linewright.{module} as program\nfrom linewright.serve.listener import endpoint\n"
        "def read():\n    pickle.loads(Path(sys.argv[1]).read_bytes())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + PROGRAMS[name], str(path), str(claims.state)],
        input="",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "a pickle was to be read in the process of an endpoint" in done.stderr
    assert '"refused"' not in done.stderr
    assert not harmed.exists()


@pytest.mark.parametrize("part", ["package", "graph", "golden"])
def test_a_package_that_is_a_pickle_is_refused_and_calls_nothing(claims, start, tmp_path, part):
    """Its digest is right, so that nothing but its form speaks against it."""
    harmed = tmp_path / "harmed"
    digest = claims.artifacts.put(pickle.dumps(Harm(harmed)))
    endpoint = start(claims.state)
    claims.point(2, digest=digest if part == "package" else claims.make(2, **{part: digest}))
    endpoint.wait_for(lambda: endpoint.ask("GET", "/v2/health")[2]["lines"][0]["refused"])

    assert "claims@1" == endpoint.predict({"Age": 41, "PolicyNumber": 7})["model"]
    assert not harmed.exists()
