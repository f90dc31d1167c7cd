"""Addresses that somebody else chose: no request makes the factory connect anywhere, and its own destinations lead where they say."""

import http.server
import threading

import pytest

from linewright.capabilities.lines.operations import check
from linewright.errors import LinewrightError, RequestError
from linewright.line.factory import Factory
from linewright.people.send import Post, Undelivered
from linewright.serve.reach import Reach

METADATA = "http://169.254.169.254/latest/meta-data/"
LINE = "line: claims\nsources: {{t: {source}}}\nlabel: {{column: y, positive: 'yes'}}\n"


@pytest.mark.parametrize(
    "source",
    [
        f'{{file: "{METADATA}"}}',
        '{file: "https://example.org/t.csv"}',
        '{file: "s3://bucket/t.csv"}',
        f'{{sqlite: "{METADATA}", query: "select 1 as y"}}',
        '{sqlite: "file:x.db?vfs=http", query: "select 1 as y"}',
        f'{{sql: "select 1 as y", at: "{METADATA}"}}',
        '{sql: "select 1 as y", at: "postgresql://169.254.169.254/x"}',
        '{sql: "select 1 as y", at: "file:url"}',
    ],
)
def test_a_source_is_no_url(source, tmp_path):
    """ShellTorch, CVE-2023-43654: an address that a caller gives is fetched by the server."""
    with Factory.create(tmp_path / "factory") as factory:
        (factory.root / "lines" / "claims.yaml").write_text(LINE.format(source=source))
        (factory.root / "url").write_text("mysql://169.254.169.254:80/latest")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.socket.connect", lambda *_: pytest.fail("it connects"))
            try:
                found = check(factory).exit_code
            except LinewrightError as error:
                found = error.exit_code

    assert 0 != found


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    "peer",
    [
        "169.254.169.254",
        "fd00:ec2::254",
        "::ffff:100.100.100.200",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
    ],
)
def test_no_secret_of_a_cloud_is_asked_for_by_any_name(monkeypatch, peer):
    """A name may lead to a link-local address only once it is resolved, so the connection itself is looked at."""
    monkeypatch.setattr("socket.socket.getpeername", lambda _self: (peer, 80))
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(Undelivered, match="link-local"):
            Post(f"http://127.0.0.1:{server.server_address[1]}/", where="notify").send(b"{}", {})
        thread.join(10)

    assert not asked


def test_an_address_of_ipv6_without_a_port_is_asked_at_the_usual_one():
    """Cut at its last colon it is another address, or none: that was answered as a bug."""
    with pytest.raises(Undelivered, match=r"refused|unreachable|not be assigned|Address"):
        Post("http://[::ffff:127.0.0.2]/", where="notify").send(b"{}", {})


def test_a_network_of_proxies_with_bits_of_a_host_is_refused():
    """One that is admitted and not believed would make all clients one, and their cookies travel in the clear."""
    with pytest.raises(RequestError, match="no address of a proxy"):
        Reach(proxies=("10.0.0.5/8",)).require_safe("0.0.0.0")
