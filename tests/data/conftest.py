"""A context whose store is in memory."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from web_server import Asked, Serve, WebServer

from linewright.engine.context import Context, Progress
from linewright.store.artifacts.memory import MemoryArtifacts
from linewright.store.clock import now_utc, seed_of, uuid7
from linewright.store.metadata.sql import SqlMetadata

# The same examples in every run, however busy the machine is.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture
def serve(processes: None) -> Iterator[Serve]:
    """Give a function that starts a server of the test's own."""
    del processes
    pytest.importorskip("httpx")
    started: list[WebServer] = []

    def serve(answer: Callable[[Asked], None]) -> WebServer:
        started.append(WebServer(answer).__enter__())
        return started[-1]

    yield serve
    for server in started:
        server.__exit__()


@pytest.fixture
def reports() -> list[Progress]:
    """Collect what steps say while they work."""
    return []


@pytest.fixture
def context(reports: list[Progress]) -> Iterator[Context]:
    with SqlMetadata("sqlite://") as metadata:
        yield _context(metadata, reports)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Context]:
    """Give all tests of a file one context, where opening a store for each example would take long."""
    with SqlMetadata("sqlite://") as metadata:
        yield _context(metadata, [])


def _context(metadata: SqlMetadata, reports: list[Progress]) -> Context:
    return Context(
        now=now_utc,
        seed=seed_of,
        new_id=uuid7,
        actor="test",
        metadata=metadata,
        artifacts=MemoryArtifacts(),
        report=reports.append,
    )
