"""The proxy to the server of a source, and the class of a plug-in that speaks to it."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from linewright.data.read.hosts import addresses_of
from linewright.data.read.remote.credentials import Credentials
from linewright.data.read.remote.remote_store import RemoteRequest
from linewright.data.read.remote.single_server_proxy import SingleServerProxy
from linewright.errors import LinewrightError, RequestError


@contextmanager
def proxy_to_server(
    credentials: Credentials, root: Path, request: RemoteRequest
) -> Generator[SingleServerProxy]:
    """Give a proxy to the server of a source, and refuse what leads to another one."""
    word = f"{request.where}.{request.word}"
    server = credentials.endpoint
    addresses = addresses_of(server.name, root, port=server.port, where=word)
    with SingleServerProxy((server.name, server.port), addresses) as proxy:
        try:
            yield proxy
        except LinewrightError as error:
            if proxy.refused:
                raise request.elsewhere_error(proxy.refused[0]) from error
            raise


def client_class(module: str, kind: str, extra: str, request: RemoteRequest) -> Any:
    """Return a class of a plug-in."""
    try:
        return getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        raise RequestError(
            f"{request.url.scheme}:// is not read here",
            where=f"{request.where}.{request.word}",
            found=f"no {error.name}",
            hint=f"pip install 'linewright[{extra}]'",
        ) from error
