"""Servers of files and rows that are not there, are slow, break off, say no or lead elsewhere; secrets that nobody repeats."""

import gzip
import json
import socket
import ssl
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ports import free_port
from web_server import KEYS, Asked, allow_here

from linewright.data.read.reader import fingerprint
from linewright.data.read.remote import remote_files
from linewright.data.read.remote.single_server_proxy import SingleServerProxy
from linewright.data.read.source import open_source
from linewright.data.spec import FileSource, RestLimits, RestSource, SourceSpec
from linewright.errors import LinewrightError, RequestError, SpecError, Terminal, Transient

CSV = b"id,x\n" + b"1,a\n" * 5_000
LISTING = b"""<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.csv</Key>
<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag><Size>%d</Size></Contents></ListBucketResult>"""
TOKEN = "Pa55w0rd-token"  # noqa: S105 -- of a server that lives for a test


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less than for servers of others."""
    web, buckets = (import_module(f"linewright.plugins.{name}") for name in ("web", "buckets"))
    monkeypatch.setattr(web, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(web, "_SILENT_S", 0.3)
    monkeypatch.setitem(buckets._CLIENT, "read_timeout", timedelta(seconds=0.3))
    monkeypatch.setitem(buckets._RETRY, "max_retries", 1)


@pytest.fixture(params=["bucket", "pattern", "web", "rest"])
def at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SourceSpec]:
    """Return a source of each kind on a server."""

    def at(url: str) -> SourceSpec:
        monkeypatch.setenv("PLANT", json.dumps({"endpoint": url, **KEYS}))
        monkeypatch.setenv("TOKEN", TOKEN)
        match request.param:
            case "bucket":
                return FileSource(file="s3://plant/a.csv", at="env:PLANT")
            case "pattern":
                return FileSource(file="s3://plant/*.csv", at="env:PLANT")
            case "web":
                return FileSource(file=f"{url}/a.csv", at="env:TOKEN")
            case _:
                return RestSource(rest=f"{url}/rows", at="env:TOKEN")

    return at


def good(asked: Asked) -> None:
    """Answer as a server of each kind does."""
    headers = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    if asked.path.endswith("/rows"):
        asked.say([{"id": 1, "x": "a"}] * 2_000)
    elif "list-type" in asked.path:
        asked.say(LISTING % len(CSV))
    else:
        asked.say(CSV, headers=headers)


def refused(spec: SourceSpec, root: Path, kind: type[LinewrightError]) -> LinewrightError:
    """Return the error of a source; nothing of it stays on the disk, and no secret is in it."""
    allow_here(root)
    (root / ".linewright").mkdir(exist_ok=True)
    with pytest.raises(kind) as found:
        open_source("orders", spec, root)
    error = found.value
    shown = f"{error} {error.to_json()} {spec.describe()}"
    found.value.__traceback__ = None
    del found
    assert kind is type(error)
    assert not any(secret in shown for secret in (*KEYS.values(), TOKEN))
    assert [] == [path for path in (root / ".linewright").rglob("*.csv") if "remote" not in path.parts]
    return error


def test_a_good_server_is_read(serve, at, tmp_path):
    """So that the others fail for what they do."""
    allow_here(tmp_path)

    assert 0 < sum(batch.rows for batch in open_source("orders", at(serve(good).url), tmp_path).batches())


def test_a_server_that_is_not_there_may_be_back_later(at, tmp_path):
    spec = at(f"http://127.0.0.1:{free_port()}")
    error = refused(spec, tmp_path, Transient)

    assert 6 == error.exit_code
    assert "source 'orders'" in error.what
    with pytest.raises(Transient, match="source 'orders'"):
        fingerprint(spec, tmp_path, "sources.orders")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_goes_on_to_be_busy_is_left(serve, at, tmp_path, status):
    server = serve(lambda asked: asked.say(b"busy", status=status))
    error = refused(at(server.url), tmp_path, Transient)

    assert "source 'orders'" in error.what
    assert len(server.asked) > 1


def test_a_server_that_is_busy_for_a_while_is_asked_again(serve, at, tmp_path):
    """It says when; what it says is kept to."""
    busy = iter([503, 503])

    def answer(asked: Asked) -> None:
        status = next(busy, None)
        asked.say(b"", status=status, headers={"Retry-After": "0"}) if status else good(asked)

    allow_here(tmp_path)
    buckets = import_module("linewright.plugins.buckets")
    buckets._RETRY["max_retries"] = 3

    assert 0 < sum(batch.rows for batch in open_source("orders", at(serve(answer).url), tmp_path).batches())


@pytest.mark.parametrize("most", [0, 100, 15_000])
def test_an_answer_that_breaks_off_gives_no_half_of_the_rows(serve, at, tmp_path, most):
    def answer(asked: Asked) -> None:
        if asked.command == "HEAD" or "list-type" in asked.path:
            return good(asked)
        return asked.cut([{"id": 1, "x": "a"}] * 2_000 if asked.path.endswith("/rows") else CSV, most=most)

    error = refused(at(serve(answer).url), tmp_path, Transient)

    assert "source 'orders'" in error.what
    assert "nothing of this source was kept" in error.hint


@pytest.mark.parametrize("when", ["at once", "in the body"])
def test_a_server_that_falls_silent_is_left_in_time(serve, at, tmp_path, when):
    def answer(asked: Asked) -> None:
        if when == "in the body":
            if asked.command == "HEAD" or "list-type" in asked.path:
                return good(asked)
            asked.begin(len(CSV))
            asked.wfile.write(CSV[:1_000])
        return asked.stall()

    assert "source 'orders'" in refused(at(serve(answer).url), tmp_path, Transient).what


def test_a_service_that_never_ends_is_left_in_time(serve, tmp_path):
    """Each page comes at once, and there is always another one."""
    server = serve(lambda asked: asked.say([{"id": len(asked.server.asked)}] * 2))
    spec = RestSource(rest=f"{server.url}/rows", parameter="page", limits=RestLimits(seconds=0.3), key="id")

    assert "limits.seconds" in refused(spec, tmp_path, Transient).hint


@pytest.mark.parametrize(
    ("said", "kind", "says"),
    [
        (
            (429, {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, []),
            Transient,
            "it says 429",
        ),
        ((200, {"Link": '<http://[::1>; rel="next"'}, []), SpecError, "leads to another host"),
        ((206, {}, [{"id": 1}]), Transient, "it gives a part"),
        ((200, {}, {"rows": [{"id": 1}], "next": "http://[::1"}), RequestError, "`next` names is no URL"),
        ((200, {}, {"rows": [{"id": 1}], "next": "/" + "a" * 70_000}), RequestError, "too long"),
    ],
)
def test_a_service_that_says_nonsense_is_told_so(serve, tmp_path, said, kind, says):
    status, headers, body = said
    server = serve(lambda asked: asked.say(body, status=status, headers=headers))
    spec = RestSource(rest=f"{server.url}/rows")
    if isinstance(body, dict):
        spec = spec.model_copy(update={"items": "rows", "next": "next"})

    assert says in refused(spec, tmp_path, kind).what


@pytest.mark.parametrize("what", ["head", "body"])
def test_a_service_that_drips_is_left_in_time(serve, tmp_path, what):
    """It is never silent for long, and never done."""

    def answer(asked: Asked) -> None:
        asked.wfile.write(b"HTTP/1.1 200 OK\r\n")
        if what == "body":
            asked.wfile.write(b"Transfer-Encoding: chunked\r\n\r\n")
        while not asked.server.is_over.wait(0.02):
            asked.wfile.write(b"A: a\r\n" if what == "head" else b"1\r\n[\r\n")
            asked.wfile.flush()

    spec = RestSource(rest=f"{serve(answer).url}/rows", limits=RestLimits(seconds=0.5))

    assert "limits.seconds" in refused(spec, tmp_path, Transient).hint


def test_a_file_that_changes_while_it_is_read_gives_no_half_of_each(serve, at, tmp_path):
    """What is fetched is not what was listed."""

    def answer(asked: Asked) -> None:
        if asked.command == "HEAD" or "list-type" in asked.path:
            return good(asked)
        return asked.say(CSV, headers={"ETag": '"2"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})

    spec = at(serve(answer).url)
    if isinstance(spec, FileSource):
        assert "changed while it was read" in refused(spec, tmp_path, Transient).what


@pytest.mark.parametrize(
    ("status", "says"), [(401, "lets nobody in"), (403, "lets nobody in"), (404, "no such file")]
)
def test_what_will_fail_again_is_said_with_what_to_change(serve, at, tmp_path, status, says):
    server = serve(lambda asked: asked.say(b"", status=status))

    assert says in refused(at(server.url), tmp_path, RequestError).what


def test_a_file_of_a_server_that_has_no_head_is_read(serve, tmp_path):
    server = serve(lambda asked: asked.say(b"", status=405) if asked.command == "HEAD" else good(asked))
    allow_here(tmp_path)

    assert 5_000 == sum(
        batch.rows for batch in open_source("s", FileSource(file=f"{server.url}/a.csv"), tmp_path).batches()
    )


def test_a_server_that_leads_elsewhere_is_not_followed(serve, at, tmp_path):
    """Else whoever answers could have anything of this network asked, with the factory's word for it."""
    other = serve(good)
    server = serve(lambda asked: asked.say(b"", status=307, headers={"Location": f"{other.url}{asked.path}"}))
    error = refused(at(server.url), tmp_path, SpecError)

    assert "leads to another host" in error.what
    assert [] == other.asked


@pytest.mark.parametrize(
    "next_", ["http://169.254.169.254/x", "//localhost/x", "file:///etc/passwd", "http://127.0.0.1:1/x"]
)
def test_a_next_page_is_on_the_same_server(serve, tmp_path, next_):
    for headers, body in (
        ({}, {"rows": [{"id": 1}], "next": next_}),
        ({"Link": f'<{next_}>; rel="next"'}, []),
    ):
        server = serve(lambda asked, body=body, headers=headers: asked.say(body, headers=headers))
        said: dict[str, Any] = {"items": "rows", "next": "next"} if body else {}

        assert "another host" in refused(RestSource(rest=f"{server.url}/r", **said), tmp_path, SpecError).what


@pytest.mark.parametrize("most", ["_LIST_S", "_MOST_LISTED"])
@pytest.mark.parametrize("file", ["s3://plant/d/", "s3://plant/**/x.csv"])
def test_a_listing_that_does_not_end_is_left(serve, tmp_path, monkeypatch, most, file):
    """There is always another page: the run would last for ever, and hold ever more."""
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    listing = LISTING.replace(b"<IsTruncated>false</IsTruncated>", more) % len(CSV)
    server = serve(lambda asked: asked.say(listing))
    monkeypatch.setenv("PLANT", json.dumps({"endpoint": server.url, **KEYS}))
    monkeypatch.setattr(remote_files, most, 1, raising=False)
    error = refused(FileSource(file=file, at="env:PLANT"), tmp_path, Transient)

    assert "its listing does not end" in error.what


def test_a_tag_that_no_header_can_have_is_none(serve, tmp_path, monkeypatch):
    """The library for buckets ends in a panic where a listing has a line break in one, which no handler of errors takes."""
    listing = LISTING.replace(b'"1"', b'"a\nb"') % len(CSV)
    server = serve(lambda asked: asked.say(listing) if "list-type" in asked.path else asked.say(CSV))
    monkeypatch.setenv("PLANT", json.dumps({"endpoint": server.url, **KEYS}))

    allow_here(tmp_path)
    source = open_source("orders", FileSource(file="s3://plant/*", at="env:PLANT"), tmp_path)

    assert 0 < sum(batch.rows for batch in source.batches())


def test_only_hosts_that_factory_yaml_names_are_asked(serve, at, tmp_path):
    server = serve(good)
    spec = at(server.url)
    (tmp_path / "factory.yaml").write_text("format: 1\nhosts: [localhost]\n")
    with pytest.raises(SpecError, match="may not be read from") as error:
        open_source("orders", spec, tmp_path)

    assert "127.0.0.1" == error.value.found
    assert [] == server.asked


def test_a_name_that_comes_to_mean_this_machine_is_refused(serve, at, tmp_path, monkeypatch):
    server = serve(good)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, port, **__: [(None, None, None, "", ("127.0.0.1", port))]
    )
    (tmp_path / "factory.yaml").write_text("format: 1\nhosts: [files.example.com]\n")
    spec = at(f"https://files.example.com:{server.server_port}")
    with pytest.raises(SpecError, match="this machine or its link"):
        open_source("orders", spec, tmp_path)

    assert [] == server.asked


def test_a_secret_is_not_sent_in_the_open(at, tmp_path):
    (tmp_path / "factory.yaml").write_text("format: 1\nhosts: [files.example.com]\n")
    with pytest.raises(SpecError, match="without encryption"):
        open_source("orders", at("http://files.example.com"), tmp_path)


def test_certificates_are_checked(serve, at, tmp_path, monkeypatch):
    """All that is said to the server and by it is encrypted, the way to it notwithstanding."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    server = serve(good)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(secure)
    server.socket = secure.wrap_socket(server.socket, server_side=True)
    spec = at(f"https://localhost:{server.server_port}")
    (tmp_path / "factory.yaml").write_text("format: 1\nhosts: [localhost]\n")
    with pytest.raises(Transient, match=r"(?i)certificate"):
        open_source("orders", spec, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    assert 0 < sum(batch.rows for batch in open_source("orders", spec, tmp_path).batches())


def test_a_service_account_of_google_signs_by_itself(serve, tmp_path, monkeypatch):
    """Its key file is taken as it is."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    server = serve(good)
    held = {
        "type": "service_account",
        "private_key_id": "k7",
        "private_key": text,
        "client_email": "reader@plant.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "endpoint": server.url,
    }
    monkeypatch.setenv("PLANT", json.dumps(held))
    allow_here(tmp_path)
    for file in ("gs://plant/a.csv", "gs://plant/*.csv"):
        source = open_source("s", FileSource(file=file, at="env:PLANT"), tmp_path)

        assert 5_000 == sum(batch.rows for batch in source.batches())
    assert all(headers["authorization"].startswith("Bearer ey") for _, headers in server.asked)


HEADERS = (
    (TOKEN, "Authorization", f"Bearer {TOKEN}"),
    (f"Basic {TOKEN}", "Authorization", f"Basic {TOKEN}"),
    (f"X-Api-Key: {TOKEN}", "X-Api-Key", TOKEN),
)


@pytest.mark.parametrize("sent", HEADERS)
def test_a_token_is_sent_as_it_is_wanted(serve, tmp_path, monkeypatch, sent):
    text, name, value = sent
    server = serve(good)
    monkeypatch.setenv("TOKEN", text)
    allow_here(tmp_path)
    open_source("s", RestSource(rest=f"{server.url}/rows", at="env:TOKEN"), tmp_path)

    assert value == server.asked[0][1][name]


KEYRINGS = (
    "Pa55w0rd",
    '["Pa55w0rd"]',
    '{"key": "Pa55w0rd"}',
    '{"Pa55w0rd": "x"}',
    '{"key": "Pa55w0rd", "secret": 7}',
    '{"key": "Pa55w0rd", "secret": "Pa55w0rd", "endpoint": "Pa55w0rd"}',
    '{"key": "Pa55w0rd", "secret": "Pa55w0rd", "endpoint": "https://u:Pa55w0rd@h"}',
    '{"key": "Pa55w0rd", "secret": "Pa55w0rd", "endpoint": "s3://Pa55w0rd"}',
)


@pytest.mark.parametrize("text", KEYRINGS)
@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_nothing_of_what_at_holds_is_shown(tmp_path, monkeypatch, text, scheme):
    monkeypatch.setenv("PLANT", text)
    error = refused(FileSource(file=f"{scheme}://plant/a.csv", at="env:PLANT"), tmp_path, SpecError)

    assert "Pa55w0rd" not in f"{error} {error.to_json()}"


def test_secrets_of_other_clouds_are_taken(serve, tmp_path, monkeypatch):
    """Their servers are not here; what is sent to them is."""
    server = serve(lambda asked: asked.say(b"", status=403))
    held = {
        "az": {"account": "plant", "key": "UGE1NXcwcmQtdG9rZW4=", "endpoint": server.url},
        "gs": {"endpoint": server.url},
    }
    for scheme, said in held.items():
        monkeypatch.setenv("PLANT", json.dumps(said))
        spec = FileSource(file=f"{scheme}://plant/a.csv", at="env:PLANT")
        error = refused(spec, tmp_path, RequestError)

        assert "lets nobody in" in error.what
        assert "UGE1NXcwcmQ" not in f"{error}"
    assert "SharedKey plant:" in next(
        headers["authorization"] for _, headers in server.asked if "authorization" in headers
    )


@pytest.mark.parametrize(
    ("spec", "absent"),
    [
        (FileSource(file="s3://plant/a.csv"), ("obstore", "buckets", "cloud")),
        (FileSource(file="https://localhost/a.csv"), ("httpx", "web", "web")),
        (RestSource(rest="https://localhost/a"), ("httpx", "web", "web")),
    ],
)
def test_an_extra_that_is_missing_is_named(tmp_path, monkeypatch, spec, absent):
    module, plugin, extra = absent
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"linewright.plugins.{plugin}", raising=False)
    (tmp_path / "factory.yaml").write_text("format: 1\nhosts: [localhost, s3.us-east-1.amazonaws.com]\n")
    with pytest.raises(RequestError) as error:
        open_source("s", spec, tmp_path)

    assert f"pip install 'linewright[{extra}]'" in error.value.hint


def test_files_that_the_disk_has_no_room_for_are_not_fetched(serve, at, tmp_path, monkeypatch):
    monkeypatch.setattr("linewright.data.read.remote.downloads.ScratchFolder.free", 100)

    assert "no room" in refused(at(serve(good).url), tmp_path, Terminal).what


def test_a_page_that_swells_is_not_unpacked(serve, tmp_path, monkeypatch):
    """Few bytes may stand for a gigabyte, and not much more of it is ever in memory than a page may have."""
    monkeypatch.setattr("linewright.data.read.remote.rest_reader._MOST_PAGE", 100_000)
    packing = zlib.compressobj(wbits=31)
    body = b"".join(packing.compress(bytes(1 << 20)) for _ in range(200)) + packing.flush()
    server = serve(lambda asked: asked.say(body, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        error = refused(RestSource(rest=f"{server.url}/r"), tmp_path, RequestError)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert "a page is larger" in error.what
    assert most < 20 << 20


@pytest.mark.parametrize("packing", ["br", "zstd", "deflate", "gzip, gzip", "x"])
def test_a_page_that_is_packed_in_another_way_is_refused(serve, tmp_path, packing):
    """Whatever this machine could unpack: those have no bound."""
    server = serve(lambda asked: asked.say([{"id": 1}], headers={"Content-Encoding": packing}))

    error = refused(RestSource(rest=f"{server.url}/r"), tmp_path, RequestError)

    assert packing == error.found
    assert {"gzip"} == {headers["Accept-Encoding"] for _, headers in server.asked}


def test_a_packed_page_is_read_whole_or_not_at_all(serve, tmp_path):
    rows = [{"id": str(number), "text": "x" * 1_000} for number in range(3_000)]
    body = gzip.compress(json.dumps(rows).encode())
    held = {"body": body}
    server = serve(lambda asked: asked.say(held["body"], headers={"Content-Encoding": "gzip"}))
    spec = RestSource(rest=f"{server.url}/r")
    allow_here(tmp_path)

    assert rows == [
        row for batch in open_source("s", spec, tmp_path).batches() for row in batch.frame.to_dicts()
    ]
    for broken in (body[:-9], body[:500], b"", b"[]"):
        held["body"] = broken

        assert "does not answer as it should" in refused(spec, tmp_path, Transient).what


def test_the_proxy_serves_who_knows_its_password_and_leads_to_its_server_alone(serve):
    server, other = serve(good), serve(good)
    with SingleServerProxy(("127.0.0.1", server.server_port), ["127.0.0.1"]) as proxy:
        port = int(proxy.url.rpartition(":")[2])

        def said(first: str, word: str = "") -> bytes:
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(f"{first} HTTP/1.1\r\n{word}\r\n".encode())
                with suppress(ConnectionError):
                    return client.recv(100).partition(b"\r\n")[0]
            return b""

        assert b"407" in said(f"GET {server.url}/a.csv")
        assert b"407" in said(
            f"CONNECT 127.0.0.1:{server.server_port}", "Proxy-Authorization: Basic eA==\r\n"
        )
        assert b"403" in said(f"GET {other.url}/a.csv")
        assert b"403" in said(f"CONNECT 127.0.0.1:{other.server_port}")
        assert b"" == said("nonsense")
        assert ["127.0.0.1", "127.0.0.1"] == proxy.refused
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 5)
    assert [] == server.asked == other.asked
