"""The way to the servers of a source, and what speaks to them."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from linewright.data.read.hosts import addresses_of
from linewright.data.read.remote.gate import Gate
from linewright.data.read.remote.login import Login
from linewright.data.read.remote.store import RemoteQuestion
from linewright.errors import LinewrightError, RequestError


@contextmanager
def through_gate(login: Login, root: Path, asked: RemoteQuestion) -> Generator[Gate]:
    """Give a way to the servers of a source; what a server leads to elsewhere is said as such.

    Raises
    ------
    SpecError
        If a host is not allowed, or the server leads to another one.
    """
    word = f"{asked.where}.{asked.word}"
    server = login.endpoint
    addresses = addresses_of(server.name, root, port=server.port, where=word)
    with Gate((server.name, server.port), addresses) as gate:
        try:
            yield gate
        except LinewrightError as error:
            if gate.refused:
                raise asked.elsewhere_error(gate.refused[0]) from error
            raise


def plugged(module: str, kind: str, extra: str, asked: RemoteQuestion) -> Any:
    """Return a class of a plug-in.

    Raises
    ------
    RequestError
        If its extra is not installed.
    """
    try:
        return getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        raise RequestError(
            f"{asked.url.scheme}:// is not read here",
            where=f"{asked.where}.{asked.word}",
            found=f"no {error.name}",
            hint=f"pip install 'linewright[{extra}]'",
        ) from error
