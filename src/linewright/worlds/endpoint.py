"""An endpoint on a free port of this machine, for worlds that send requests."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from time import monotonic, sleep

from linewright.client import Client
from linewright.errors import Terminal
from linewright.line.factory import Factory
from linewright.serve.http.server import serve


@contextmanager
def endpoint(factory: Factory) -> Generator[str]:
    """Serve the factory on a free port of this machine, by the world's clock."""
    address: list[str] = []
    started, stopped = threading.Event(), threading.Event()

    def tell(where: str) -> None:
        address.append(where)
        started.set()

    thread = threading.Thread(
        target=serve,
        args=(factory.state,),
        kwargs={"port": 0, "started": tell, "is_stopped": stopped.is_set, "now": factory.now, "tell": _quiet},
        name="endpoint",
    )
    thread.start()
    try:
        if not started.wait(timeout=30.0):
            raise Terminal("the endpoint did not start")
        yield f"http://{address[0]}"
    finally:
        stopped.set()
        thread.join()


def wait_for(client: Client, model: str) -> None:
    """Wait until the endpoint serves a model: a simulated night is shorter than the moment that this takes."""
    line, deadline = model.partition("@")[0], monotonic() + 10.0
    while monotonic() < deadline:
        with suppress(Terminal):  # it serves no model of the line yet
            if client.model(line) == model:
                return
        sleep(0.02)
    raise Terminal("the endpoint does not serve what was promoted", where=line, allowed=model)


def _quiet(_: dict[str, object]) -> None:
    """Tell nothing: what matters is among the moments."""
