"""Operations that hold the terminal: the whole factory, or its endpoint alone."""

from linewright.errors import Denied
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.operations.supervise import Child, supervise
from linewright.release.pointer import project
from linewright.serve.server import serve as serve_endpoint

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@operation(writes=True, local=True)
def up(factory: Factory, /, *, host: str = "127.0.0.1", port: int = 8000, control_port: int = 8080) -> None:
    """Serve the factory: endpoint, control plane and worker, until stopped.

    Parameters
    ----------
    host
        Address to listen on; so far only this machine's own.
    port
        Port of the endpoint.
    control_port
        Port of the control plane.
    """
    _refuse_beyond_loopback(host)
    _project_all(factory)
    supervise(
        factory,
        (
            Child(
                name="endpoint",
                arguments=(
                    "linewright",
                    "--factory",
                    str(factory.root),
                    "serve",
                    "--host",
                    host,
                    "--port",
                    str(port),
                ),
                host=host,
                port=port,
            ),
            Child(
                name="control plane and worker",
                arguments=("linewright.interfaces.http", str(factory.root), host, str(control_port)),
                host=host,
                port=control_port,
            ),
        ),
    )


@operation(writes=True, local=True)
def serve(factory: Factory, /, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the endpoint alone, without control plane and worker.

    Parameters
    ----------
    host
        Address to listen on; so far only this machine's own.
    port
        Port of the endpoint; 0 takes a free one.
    """
    _refuse_beyond_loopback(host)
    serve_endpoint(factory.state, host=host, port=port)


def _refuse_beyond_loopback(host: str) -> None:
    if host not in LOOPBACK:
        raise Denied(
            "serving beyond this machine needs TLS or a declared proxy, which do not exist yet",
            where="--host",
            found=host,
            allowed=", ".join(sorted(LOOPBACK)),
            hint="put a reverse proxy with TLS on this machine in front of 127.0.0.1",
        )


def _project_all(factory: Factory) -> None:
    # A kill between a promotion and the file that tells endpoints of it is repaired here.
    for line in factory.metadata.lines():
        project(factory.metadata, factory.serving, line)
