"""From where servers are reached: TLS, declared proxies, names in `Host`, and nothing in the clear beyond this machine."""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event

import pytest
import trustme

from linewright.errors import Denied, RequestError
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.http import connections
from linewright.serve.http.server import serve
from linewright.serve.listener import announced_as, listening
from linewright.serve.reach import Certificate, Reach

TOKEN = "lw_owner_of_the_factory"  # noqa: S105 -- a test's


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issued(
    authority: trustme.CA, folder: Path, *names: str, until: datetime | None = None
) -> tuple[str, str]:
    """Write a certificate and its key, and return the files."""
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made = authority.issue_cert(*names, not_after=until)
    certificate.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    key.chmod(0o600)
    return str(certificate), str(key)


@contextmanager
def running(plane: str, state: Path, reach: Reach) -> Iterator[int]:
    """Run a server in a thread and return its port."""
    ports, ending = Queue[int](), Event()
    if plane == "control":
        app = control_app(
            lambda _: nullcontext(None), OPERATIONS, authenticator=Authenticator(TOKEN), hosts=reach.hosts
        )
        listening = bound("127.0.0.1", 0, reach)
        work = partial(serve_control, app, listening, reach, ready=ports.put, is_stopped=ending.is_set)
    else:
        work = partial(
            serve,
            state,
            port=0,
            reach=reach,
            started=lambda address: ports.put(int(address.rpartition(":")[2])),
            is_stopped=ending.is_set,
            tell=lambda _: None,
        )
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield ports.get(timeout=60)
    finally:
        ending.set()
        thread.join(60)


def ask(
    port: int, path: str = "/", *, tls: ssl.SSLContext | None = None, to: str = "127.0.0.1", **headers: str
) -> tuple[int, dict[str, object]]:
    """Return status and JSON of an answer."""
    connection = (
        http.client.HTTPConnection(to, port, timeout=30)
        if tls is None
        else http.client.HTTPSConnection(to, port, timeout=30, context=tls)
    )
    try:
        connection.request(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "factory.example.org"])
def test_nothing_listens_in_the_clear_beyond_this_machine(host):
    """Ray's CVE-2023-48022: open to all, and said to be somebody else's matter."""
    with pytest.raises(Denied, match="could read what is sent"):
        Reach().require_safe(host)
    with pytest.raises(Denied):
        Reach(names=("factory.example.org",)).require_safe(host)

    Reach(proxies=("10.0.0.1",)).require_safe(host)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"tls_cert": "cert.pem"}, "belong together"),
        ({"tls_key": "key.pem"}, "belong together"),
        ({"tls_cert": "nothing.pem", "tls_key": "key.pem"}, "cannot be read"),
        ({"tls_cert": "key.pem", "tls_key": "key.pem"}, "cannot be used"),
        ({"proxies": ("example.org",)}, "no address of a proxy"),
    ],
)
def test_what_is_wrong_about_it_is_said_before_anything_starts(wrong, says, authority, tmp_path):
    """Not by the first client."""
    issued(authority, tmp_path, "localhost")
    files = {k: str(tmp_path / v) if k.startswith("tls") else v for k, v in wrong.items()}

    with pytest.raises(RequestError, match=says):
        Reach(**files).require_safe("127.0.0.1")


def test_a_certificate_says_its_names_and_is_refused_where_it_cannot_serve(authority, tmp_path):
    """Expired, with the key of another, or with a key that everybody can read."""
    certificate, key = issued(authority, tmp_path, "factory.example.org", "*.plants.example.org", "192.0.2.7")
    assert ("factory.example.org", "*.plants.example.org", "192.0.2.7") == Certificate(certificate, key).names

    other = issued(authority, tmp_path / "other", "localhost")[1]
    with pytest.raises(RequestError, match="cannot be used"):
        Certificate(certificate, other)
    Path(key).chmod(0o644)
    with pytest.raises(Denied, match="can read the private key"):
        Certificate(certificate, key)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(RequestError, match="expired"):
        Certificate(*issued(authority, tmp_path / "old", "localhost", until=long_ago))


@pytest.mark.usefixtures("processes")
def test_an_address_is_shown_by_a_name_that_the_certificate_has(authority, tmp_path):
    """Who copies it has no error of a certificate. Only a name of this machine leads to its loopback; behind a proxy it is the proxy's."""
    certificate, key = issued(authority, tmp_path, "*.example.org", "factory.example.org", "localhost")
    tls = Reach(tls_cert=certificate, tls_key=key)
    proxied = Reach(names=("factory.example.org",), proxies=("127.0.0.1",))

    assert [
        f"https://{name}:8000" for name in ("factory.example.org", "factory.example.org", "localhost")
    ] == [tls.url(host, 8000) for host in ("0.0.0.0", "192.0.2.9", "127.0.0.1")]
    with listening("127.0.0.1", 0, proxied) as listener:
        said = announced_as(listener, proxied, needs_token=False)
        port = listener.getsockname()[1]
    assert (f"127.0.0.1:{port}", "https://factory.example.org", True) == (
        said.address, said.url, said.needs_token,
    )  # fmt: skip
    with listening("127.0.0.1", 0) as listener:
        assert not announced_as(listener, Reach(), needs_token=False).needs_token


def test_a_renewed_certificate_is_used_without_a_restart(authority, tmp_path):
    """One that is broken is not: the one before goes on."""
    certificate = Certificate(*issued(authority, tmp_path, "localhost"))
    assert not certificate.follow()

    (tmp_path / "cert.pem").write_text("half")
    assert not certificate.follow()
    issued(authority, tmp_path, "localhost", "again")

    assert certificate.follow()
    assert not certificate.follow()


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("plane", ["control", "data"])
def test_clients_ask_by_tls_and_by_the_names_of_the_certificate(plane, authority, tmp_path):
    """A name that is not the factory's may be a rebound one (MLflow's CVE-2025-14279), with TLS or without."""
    reach = Reach(
        **dict(
            zip(
                ("tls_cert", "tls_key"),
                issued(authority, tmp_path, "localhost", "*.plants.example.org"),
                strict=True,
            )
        )
    )
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with running(plane, tmp_path / "state", reach) as port:
        assert 200 == ask(port, tls=trusting, to="localhost")[0]
        assert 200 == ask(port, tls=trusting, to="localhost", Host=f"lyon.plants.example.org:{port}")[0]
        for host in ("evil.example", "plants.example.org", "a.b.plants.example.org", "xplants.example.org"):
            status, told = ask(port, tls=trusting, to="localhost", Host=f"{host}:{port}")
            assert (403, "this host name is not ours") == (status, told["what"]), host
        status, told = ask(port, tls=trusting, to="localhost", Origin="https://evil.example")
        assert (403, "a request must not come from another site's page") == (status, told["what"])
        old = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        for context in (ssl.create_default_context(), old):
            with pytest.raises(ssl.SSLError):
                ask(port, tls=context, to="localhost")
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(port)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("plane", ["control", "data"])
def test_handshakes_that_do_not_end_make_room_for_others(plane, sent, authority, tmp_path, monkeypatch):
    """A connection counted once its handshake was done: until then each took a file, for ten seconds."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 20)
    certificate, key = issued(authority, tmp_path, "localhost")
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with (
        running(plane, tmp_path / "state", Reach(tls_cert=certificate, tls_key=key)) as port,
        ExitStack() as stack,
    ):
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(60)
        ]
        for one in held:
            with suppress(OSError):
                one.sendall(sent)
        assert [200] * 3 == [ask(port, tls=trusting, to="localhost")[0] for _ in range(3)]
        for one in held[:30]:
            with suppress(ConnectionError):
                while one.recv(4096):  # where it is no TLS it is told so first
                    pass
        assert [200] * 30 == [ask(port, tls=trusting, to="localhost")[0] for _ in range(30)]


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("plane", ["control", "data"])
def test_a_declared_proxy_is_believed_and_nobody_else(plane, tmp_path):
    """What a proxy says of TLS makes a page our own; the same words of a client do not."""
    page = {
        "Host": "factory.example.org",
        "Origin": "https://factory.example.org",
        "X_Forwarded_Proto": "https",
    }
    foreign = {**page, "Origin": "http://factory.example.org"}
    for proxies, status in ((("127.0.0.1",), 403), (("192.0.2.9",), 200)):
        reach = Reach(names=("factory.example.org",), proxies=proxies)
        with running(plane, tmp_path / "state", reach) as port:
            assert 200 == ask(port, **page)[0]
            # Who sees https has no page of http: it is known only where the proxy's word counts.
            assert status == ask(port, **foreign)[0], proxies


@pytest.mark.usefixtures("processes")
def test_behind_a_proxy_the_endpoint_wants_a_token(tmp_path):
    """Others than this machine's users can send it requests."""
    with running("data", tmp_path / "state", Reach(proxies=("127.0.0.1",))) as port:
        assert 401 == ask(port, "/metrics")[0]
        assert 200 == ask(port, "/v2/health/live")[0]
    with running("data", tmp_path / "other", Reach()) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/metrics")
        assert 200 == connection.getresponse().status
        connection.close()


def test_only_the_proxy_and_this_machine_connect_in_the_clear():
    """What the proxy would refuse does not get past it."""
    behind = Reach(proxies=("10.1.0.0/16", "2001:db8::1"))

    assert [True, True, True, True, True, False, False, False, False] == [
        behind.admits(peer)
        for peer in (
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "2001:db8::1",
            "127.0.0.1",
            "::1",
            "10.2.0.1",
            "2001:db8::2",
            "",
            "x",
        )
    ]
    assert Reach().admits("10.2.0.1")
