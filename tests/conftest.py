"""What many tests need: a private PostgreSQL, started once."""

import ctypes
import gc
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import commands
import psycopg
import pytest
import tiers
from _pytest.doctest import DoctestModule
from databases import ROOT, Server, mariadb_server, postgres_programs, postgres_server, run_as_nobody
from hypothesis import settings

# The same examples each time; `--hypothesis-profile default` looks for new ones.
settings.register_profile("repository", derandomize=True, deadline=None)
settings.load_profile("repository")

# Tests make little garbage and import much.
gc.set_threshold(20_000, 20, 20)
# Not at all before the first: nearly all that is imported stays.
gc.disable()

# Threads of OpenMP that wait for each other sleep; else, where workers share processors, they use up three times what they compute.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Those of OpenBLAS do not sleep; a product of the arrays of a test takes a few microseconds.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
if hasattr(_LIBC := ctypes.CDLL(None), "mallopt"):
    # A test makes thousands of arrays; memory that was given back after each would be got anew, page by page. Children give it back.
    _LIBC.mallopt(_M_TRIM_THRESHOLD, 2**29)
    _LIBC.mallopt(_M_TOP_PAD, 2**26)
    _LIBC.mallopt(_M_MMAP_THRESHOLD, 2**25)

_EXAMPLES = "_hypothesis_internal_use_settings"
"""Where `hypothesis.settings` puts what it is given, and `given` looks for it when the test is called."""
_TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take how many lives of a world are lived through: each goes for half a minute to two."""
    parser.addoption(
        "--lives",
        type=int,
        default=1,
        help="worlds of tests/worlds/test_lives.py with an attack, and without; seeds of tests/line/test_rings.py, at least two",
    )
    parser.addoption(
        "--most-examples", type=int, help="examples of a law, at most (default: what each law says)"
    )


def pytest_collection_finish() -> None:
    """Keep what was collected for good: each full search for garbage would go through thousands of tests."""
    gc.freeze()
    gc.enable()


class Examples:
    """Looks for examples in modules where there are some, and in no tests: each worker would spend four seconds on all of them."""

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(self) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
        return [one for one in (yield) if not isinstance(one, DoctestModule) or self._has_some(one.path)]

    @staticmethod
    def _has_some(path: Path) -> bool:
        return not path.is_relative_to(_TESTS) and ">>>" in path.read_text()


def pytest_configure(config: pytest.Config) -> None:
    """Have modules outside this folder looked at so too, which the hooks of this file are not told of."""
    config.pluginmanager.register(Examples())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tiers; put the slow ones first, so that at the end of a parallel run no worker waits for a long life of a world alone."""
    if items:
        items[0].config.stash[tiers.COLLECTED] = tuple(items)
    for item in items:
        if tiers.is_unit(item):
            item.add_marker(pytest.mark.unit)
        elif tiers.is_nightly(item):
            item.add_marker(pytest.mark.nightly)
        _limit_examples(item, item.config.getoption("--most-examples"))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _limit_examples(item: pytest.Item, most: int | None) -> None:
    law = item.function if isinstance(item, pytest.Function) else None
    said = getattr(law, _EXAMPLES, None)
    if most is not None and said is not None:
        setattr(law, _EXAMPLES, settings(said, max_examples=min(most, said.max_examples)))


_STARTED_AS_USERS_DO = {"benchmarks", "engine", "interfaces", "people", "security", "serve", "upgrades"}
"""Folders whose tests are about processes: how they are started, limited, found and ended."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have what carries out a run forked where that is not what a test is about: its imports take two seconds each time."""
    folder = item.path.relative_to(_TESTS).parts[0] if item.path.is_relative_to(_TESTS) else ""
    commands.fork_children(does=folder not in _STARTED_AS_USERS_DO)


GUARD = tiers.Guard()


@pytest.fixture(autouse=True)
def nothing_is_started(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep tests of the unit tier from starting processes and from listening, so that the tier stays what it is."""
    GUARD.is_on = request.node.get_closest_marker("unit") is not None
    yield
    GUARD.is_on = False


@pytest.fixture
def started_as_users_do() -> None:
    """Have what carries out a run started by itself, for a test that is about its memory or its interpreter."""
    commands.fork_children(does=False)


@pytest.fixture
def forked(request: pytest.FixtureRequest) -> None:
    """Have what carries out a run forked, for tests that are about its end and not about how it was started."""
    commands.fork_children(does="started_as_users_do" not in request.fixturenames)


@pytest.fixture
def processes() -> None:
    """Say of a test that it starts processes, where nothing that it names does."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a private PostgreSQL that listens on a Unix socket in a temporary folder only."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl (apt-get install postgresql)")
    # Not `tmp_path_factory`: its folders are closed to other users, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.getuid() == ROOT:
        shutil.chown(folder, "nobody")
    data = folder / "data"
    settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    run_as_nobody(
        programs / "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "-D", data
    )
    run_as_nobody(programs / "pg_ctl", "start", "-w", "-D", data, "-l", folder / "log", "-o", settings)
    try:
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        run_as_nobody(programs / "pg_ctl", "stop", "-w", "-m", "immediate", "-D", data)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Run a PostgreSQL that listens on the loopback address and asks for a password."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def adbc(postgres: Server) -> Server:
    """Return the same one, whose rows ADBC fetches."""
    return replace(postgres, driver="adbc")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """Run a MariaDB that does."""
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def sqlserver() -> Iterator[Any]:
    """Run a server of ours that speaks as SQL Server does."""
    from sqlserver import tds_server  # it takes a while to import

    with tds_server() as server:
        yield server


@pytest.fixture
def postgres_database(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a new, empty database on that server, dropped afterwards."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    server = postgres_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"'.encode())
        yield postgres_url.replace("@/postgres?", f"@/{name}?")
        connection.execute(f'drop database "{name}" with (force)'.encode())
