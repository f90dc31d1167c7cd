"""Operations that hold the terminal: the whole factory, or its endpoint alone."""

import os
import shlex
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from linewright.capabilities.members.operations.console import console_link
from linewright.capabilities.serving.tagging import tag_lines
from linewright.capabilities.sites.folder import ready_to_serve
from linewright.engine.context import Progress
from linewright.engine.lock import ProcessLock
from linewright.engine.supervise import Child, supervise
from linewright.errors import LinewrightError, RequestError, Transient
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE, read_factory_file
from linewright.line.predict.example_request import curl
from linewright.line.record.checkpoint import checkpoint_all, head_in_words
from linewright.operations.declare import NextProgram, operation
from linewright.people.facts import MemberInvited
from linewright.release.halt_file import unguarded
from linewright.release.promotion import project, record_pending
from linewright.serve.access.accounts import read_accounts
from linewright.serve.access.control_token import TOKEN_FILE, control_token
from linewright.serve.access.sign_in import FIRST_ADMIN, INVITATION_MICROS, first_invitation
from linewright.serve.limits import AllLimits
from linewright.serve.listener import Announced, Announcement, announced_as, listening
from linewright.serve.models.memory import to_bytes
from linewright.serve.peers import shared
from linewright.serve.reach import Reach
from linewright.serve.workers import MOST, endpoint_child, program_arguments
from linewright.store.clock import later

MOST_EXAMPLES = 3
_GUARD_S = 1.0
"""How long an endpoint that starts waits for others who hold the record, in seconds."""

Port = Annotated[int, Meta(ge=0, le=65535)]


def _option(about: str, *, ge: int | None = None, le: int | None = None) -> Meta:
    """Describe an option that `up` and `serve` both have."""
    return Meta(ge=ge, le=le, extra={"help": about})


Host = Annotated[
    str,
    _option(
        "Address to listen on; others than this machine's own need TLS or a declared proxy, and then each request needs a token."
    ),
]
Workers = Annotated[
    int,
    _option(
        "Processes of the endpoint. SIGHUP puts fresh ones in their place, without losing a request.",
        ge=1,
        le=MOST,
    ),
]
ModelMemory = Annotated[
    str | None,
    _option(
        "What the loaded models of all lines may take in all workers, e.g. 2GiB; else what factory.yaml says, or half of the memory of "
        "this machine or control group."
    ),
]
TlsCert = Annotated[
    Path | None,
    _option("File with the certificate and those above it, PEM; it is read again when it was renewed."),
]
TlsKey = Annotated[Path | None, _option("File with its private key, PEM.")]
Proxies = Annotated[
    tuple[str, ...],
    _option(
        "Addresses of the proxies that end TLS, separated by commas, such as 127.0.0.1 or 10.0.0.0/8: nobody else may connect, and "
        "nobody else's forwarded headers are believed."
    ),
]
Names = Annotated[
    tuple[str, ...],
    _option("Names that clients ask for in ``Host``, separated by commas, beside those of the certificate."),
]


@operation(permission="manage", effect="act", local=True)
def up(
    factory: Factory,
    /,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    control_port: Port = 8080,
    workers: Workers = 1,
    model_memory: ModelMemory = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    behind_proxy: Proxies = (),
    server_name: Names = (),
) -> None:
    """Serve the factory: endpoint, control plane and worker, until stopped.

    The endpoint serves at once; control plane and worker wait for a `run` that is at work in the factory.

    Parameters
    ----------
    port
        Port of the endpoint.
    control_port
        Port of the control plane.
    """
    reach = _reach(factory, tls_cert, tls_key, behind_proxy, server_name)
    reach.require_safe(host)
    budget = _budget(factory, model_memory)
    # A second `up` is refused before it starts an endpoint, whose end would take the first one's address away.
    lock = ProcessLock(factory.state / "up.lock")
    if not lock.acquire():
        raise Transient(
            "this factory is up already",
            where=str(factory.root),
            found=f"process {lock.holder()}",
            hint="use that one (`status` names its address), or stop it first",
        )
    with lock:
        _up(factory, host, port, control_port, workers, budget, reach)


@operation(permission="manage", effect="act", local=True, anywhere=True)
def serve(
    factory: Factory,
    /,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Workers = 1,
    model_memory: ModelMemory = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    behind_proxy: Proxies = (),
    server_name: Names = (),
    detached: Path | None = None,
) -> NextProgram:
    """Serve the endpoint alone, without control plane and worker.

    Parameters
    ----------
    port
        Port of the endpoint; 0 takes a free one.
    detached
        Serve the model of a folder that ``linewright detach`` wrote, here where its factory is not, to this machine alone. Answers and labels
        stay in the folder, until ``linewright sync`` takes them over.
    """
    if detached is not None:
        return _detached(detached, host, port, workers, model_memory)
    factory.require_factory()
    reach = _reach(factory, tls_cert, tls_key, behind_proxy, server_name)
    reach.require_safe(host)
    budget, limits = _budget(factory, model_memory), _limits(factory)
    _guard_older(factory)
    with suppress(LinewrightError):  # then tags of lines give no right
        tag_lines(factory)
    arguments = program_arguments(
        factory.state, host, port, workers=workers, model_memory=budget, limits=limits, reach=reach
    )
    return NextProgram(module="linewright.serve", arguments=arguments)


def _detached(folder: Path, host: str, port: int, workers: int, model_memory: str | None) -> NextProgram:
    reach = Reach()
    if reach.needs_token(host):
        raise RequestError(
            "a detached endpoint serves this machine alone: it has no members and no tokens",
            where="--host",
            found=host,
            allowed="127.0.0.1",
            hint="let a proxy on this machine ask for sign-in, or serve from the factory",
        )
    arguments = program_arguments(
        ready_to_serve(folder),
        host,
        port,
        workers=workers,
        model_memory=None if model_memory is None else to_bytes(model_memory),
        limits=AllLimits(),
        reach=reach,
    )
    return NextProgram(module="linewright.serve", arguments=arguments)


def _budget(factory: Factory, option: str | None) -> int | None:
    """Return the bytes that models may take, as the option or else the factory's file says; `None` where neither does."""
    if option is not None:
        return to_bytes(option)
    path = factory.root / FACTORY_FILE
    declared = read_factory_file(factory.root).model_memory
    return None if declared is None else to_bytes(declared, where=f"{path}: model_memory")


def _limits(factory: Factory, *, needs_token: bool = False) -> AllLimits:
    """Return how much clients may ask of the endpoint, by the file of the factory and by who can reach it."""
    limits = read_factory_file(factory.root).limits.to_limits(where=f"{factory.root / FACTORY_FILE}: limits")
    return msgspec.structs.replace(limits, needs_token=limits.needs_token or needs_token)


def _reach(
    factory: Factory,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: tuple[str, ...],
    server_name: tuple[str, ...],
) -> Reach:
    certificate, key = (str(file.absolute()) if file else "" for file in (tls_cert, tls_key))
    origins = read_factory_file(factory.root).cors.origins
    return Reach(tls_cert=certificate, tls_key=key, names=server_name, proxies=behind_proxy, origins=origins)


def _up(  # noqa: PLR0917 -- the options of `up`
    factory: Factory,
    host: str,
    port: int,
    control_port: int,
    workers: int,
    model_memory: int | None,
    reach: Reach,
) -> None:
    control_token(factory.state)  # one that others could read is refused before anything starts
    _project_all(factory)
    tag_lines(factory)

    def tell(says: str) -> None:
        factory.report(Progress(step="up", says=says, stays=True))

    # The socket is of this process: while an endpoint that died is started again, clients wait and are not refused.
    with listening(host, port, reach) as listener, shared(factory.state) as folder:
        limits = _limits(factory, needs_token=reach.needs_token(host))
        said = announced_as(listener, reach, needs_token=limits.needs_token)
        announcement = Announcement(factory.state, said)
        url, control = reach.url(*listener.getsockname()[:2]), "control plane and worker"
        asked_at = reach.url(host, control_port)
        of_endpoint, of_runs = _cores(read_factory_file(factory.root).runs.cores)
        endpoint = endpoint_child(
            factory.state,
            listener,
            folder,
            workers=workers,
            model_memory=model_memory,
            limits=limits,
            reach=reach,
            news=(f"endpoint on {url}", *_examples(factory, said)),
            listens=announcement.make,
        )
        worker = Child(
            name=control,
            arguments=(
                "linewright.capabilities.serving.control_plane",
                str(factory.root),
                host,
                str(control_port),
                reach.to_json(),
            ),
            cores=of_runs,
            news=(
                f"{control} on {asked_at}",
                f"try: {_ask_status(factory, asked_at)}",
                *(
                    _first_invitation(factory, reach.page_url(host, control_port))
                    if reach.needs_token(host)
                    else _console(factory, asked_at)
                ),
            ),
        )
        try:
            supervise(
                (replace(endpoint, cores=of_endpoint), worker), tell, ready="ready: both servers respond"
            )
        finally:
            announcement.withdraw()
    # Now that nothing is logged any more: what is edited while the factory is down is seen.
    try:
        head, trouble = checkpoint_all(factory)
    except LinewrightError as error:
        tell(f"no checkpoint: {error}")
        return
    for says in (*(f"no checkpoint: {error}" for error in trouble), head_in_words(head)):
        tell(says)


def _cores(of_runs: int | None) -> tuple[frozenset[int] | None, frozenset[int] | None]:
    """Return the processors of the endpoint and those of runs and control plane; `None` is all, also where none would be left."""
    here = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if of_runs is None or of_runs >= len(here):
        return None, None
    return frozenset(here[:-of_runs]), frozenset(here[-of_runs:])


def _examples(factory: Factory, said: Announced) -> tuple[str, ...]:
    commands = (
        curl(factory, line, said.url, needs_token=said.needs_token) for line in factory.metadata.lines()
    )
    return tuple(f"try: {command}" for command in islice((each for each in commands if each), MOST_EXAMPLES))


def _ask_status(factory: Factory, url: str) -> str:
    """Return the command that asks the control plane; the token itself stays in its file."""
    token = shlex.quote(str(factory.state / TOKEN_FILE))
    return f'curl -s -H @<(echo "Authorization: Bearer $(cat {token})") {url}/api/v1/status'


def _console(factory: Factory, url: str) -> tuple[str, ...]:
    """Return what to tell of the console: with a code that signs the owner in, as long as no member can sign in."""
    members = read_accounts(factory.state).members.values()
    if any(member.password or member.issuer for member in members):
        return (f"console: {url}/",)
    return (f"console, once, within 24 h: {console_link(factory, url)}",)


def _first_invitation(factory: Factory, url: str) -> tuple[str, ...]:
    """Invite a first admin, as long as no member can sign in, and return what to tell."""
    at = factory.now()
    code = first_invitation(factory.state, at)
    if code is None:
        return ()
    expires = later(at, INVITATION_MICROS)
    factory.metadata.record(
        MemberInvited(
            at=at,
            by=factory.actor,
            because="nobody can sign in",
            line="",
            member=FIRST_ADMIN,
            expires=expires,
        )
    )
    return (f"first admin: choose a password, once, within 24 h: {url}/join?invitation={code}",)


def _guard_older(factory: Factory) -> None:
    """Have the files of an older Linewright written anew, so that a halt needs nothing; without the record they serve as they are."""
    lines = unguarded(factory.serving)
    if lines:
        with suppress(LinewrightError, OSError), factory.in_a_hurry(_GUARD_S) as now:
            for line in lines:
                project(now.metadata, now.serving, line)


def _project_all(factory: Factory) -> None:
    # A kill between a promotion and the file that tells endpoints of it is repaired here.
    for line in factory.metadata.lines():
        record_pending(factory.context, factory.serving, line)
        project(factory.metadata, factory.serving, line)
