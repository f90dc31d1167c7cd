"""What broke other servers of models over HTTP, tried on both of ours: each test names the case."""

import json
import os
import pickle  # noqa: TID251 -- what is refused has to be made
import time
from pathlib import Path

import pytest
from planes import LIVE, PLANES, PREDICT, WRITE, request, rest_of, running, status_of

JSON = "Content-Type: application/json"
GUARDED = ("Host", "Origin", "Content-Type", "Authorization", "Idempotency-Key")
REBOUND = (
    *("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example."),
    *("127.0.0.1@evil.example", "evil.example@127.0.0.1", "evil.example#127.0.0.1", "127.0.0.1/evil.example"),
    *("127.0.0.1, evil.example", "evil.example, 127.0.0.1", "127.0.0.1 evil.example", "[::1", "::1]"),
    *("0.0.0.0", "[::]", "0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.256"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1%evil.example]", "[::1%25evil.example]", "[fe80::1%lo]"),
    *(
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0.1:99999",
        "*",
        "",
        "metadata.google.internal",
        "169.254.169.254",
    ),
)
"""Spellings that a page may make a browser send, or that a lax reader takes for this machine."""
PICKLES = {
    "octets": "application/octet-stream",
    "pickle": "application/x-pickle",
    "bentoml": "application/vnd.bentoml+pickle",
    "json": "application/json",
    "none": "",
}
ROUTES = {
    "data": (
        PREDICT,
        "/v1/lines/claims/feedback",
        "/v2/models/claims/infer",
        "/v2/models/claims/versions/1/infer",
    ),
    "control": tuple(
        f"/api/v1/{name}" for name in ("halt", "run", "promote", "rollback", "feedback", "gc", "backup")
    ),
}


@pytest.fixture(scope="module", params=PLANES)
def plane(request, tmp_path_factory):
    """Give one server of each plane."""
    with running(request.param, tmp_path_factory.mktemp("peers") / "f") as one:
        yield one


def chunked(plane, head: list[str], trailers: list[str], *, chunk: str = "") -> int:
    """Send the write of a plane in one chunk with trailers, and return the status."""
    path, body, _ = WRITE[plane.kind]
    lines = [f"POST {path} HTTP/1.1", *head, "Transfer-Encoding: chunked", "Connection: close"]
    sent = "\r\n".join(lines) + f"\r\n\r\n{len(body):x}{chunk}\r\n{body}\r\n0\r\n"
    return status_of(plane.say((sent + "".join(f"{each}\r\n" for each in trailers) + "\r\n").encode()))


def test_dns_rebinding(plane):
    """MLflow CVE-2025-14279, MCP CVE-2025-66416 class: a name that a stranger rebinds to this machine reads and writes nothing."""
    path, body, _ = WRITE[plane.kind]
    for host in REBOUND:
        read = status_of(plane.say(request("GET", LIVE[plane.kind], "", "Connection: close", host=host)))
        write = status_of(plane.say(request("POST", path, body, JSON, "Connection: close", host=host)))

        assert {read, write} <= {400, 403}, host
    assert 200 == plane.ask()[0]


def test_http_1_1_names_its_host(plane):
    """RFC 9112, 3.2: a request without `Host` is 400; a proxy in front would otherwise choose one for it."""
    for method, (path, body) in {"GET": (LIVE[plane.kind], ""), "POST": WRITE[plane.kind][:2]}.items():
        asked = request(method, path, body, JSON, "Connection: close").replace(b"Host: 127.0.0.1\r\n", b"")

        assert 400 == status_of(plane.say(asked))


@pytest.mark.parametrize("name", GUARDED)
def test_what_decides_comes_once(plane, name):
    """Request smuggling between readers that take the first and the last: two of one name are 400, in either order."""
    good = {
        "Host": "127.0.0.1",
        "Origin": f"http://127.0.0.1:{plane.port}",
        "Content-Type": "application/json",
    }
    bad = {"Host": "evil.example", "Origin": "http://evil.example", "Content-Type": "text/plain"}
    pair = [f"{name}: {good.get(name, 'a')}", f"{name.upper()}: {bad.get(name, 'b')}"]
    path, body, _ = WRITE[plane.kind]
    for lines in (pair, pair[::-1], pair[:1] * 2):
        others = [each for each in (f"Host: 127.0.0.1:{plane.port}", JSON) if not each.startswith(f"{name}:")]
        head = [f"POST {path} HTTP/1.1", *others, *lines, f"Content-Length: {len(body)}", "Connection: close"]
        answer = plane.say(("\r\n".join(head) + "\r\n\r\n" + body).encode())

        assert 400 == status_of(answer)
        assert name == json.loads(answer.partition(b"\r\n\r\n")[2])["where"]
    assert 400 == status_of(
        plane.say(
            request("GET", LIVE[plane.kind], "", *pair, "Connection: close").replace(
                b"Host: 127.0.0.1\r\n", b"", 1 if name == "Host" else 0
            )
        )
    )


def test_trailers_are_no_headers(plane):
    """RFC 9112, 7.1.2 and GHSA-9w88-79f8-m3vp class: what follows a body overrules nothing that a proxy has set or looked at."""
    ours, status = f"Host: 127.0.0.1:{plane.port}", WRITE[plane.kind][2]
    origin = f"Origin: http://127.0.0.1:{plane.port}"
    foreign = ["Host: evil.example", "Origin: http://evil.example"]

    assert status == chunked(plane, [ours, JSON], [])
    assert 403 == chunked(plane, ["Host: evil.example", JSON], [ours])
    assert 403 == chunked(plane, [ours, JSON, foreign[1]], [origin])
    assert 403 == chunked(plane, [*foreign, JSON], [ours, origin])
    assert 415 == chunked(plane, [ours, "Content-Type: text/plain"], [JSON])
    assert 415 == chunked(plane, [ours], [JSON])
    assert status == chunked(
        plane,
        [ours, JSON],
        [
            *foreign,
            "Content-Type: text/plain",
            "Authorization: Bearer x",
            "Idempotency-Key: a b",
            "Sec-Fetch-Site: cross-site",
        ],
    )


def test_smuggling_basics(plane):
    """CL.TE, TE.CL and their like (h11 CVE-2025-43859 class): refused, and what was hidden is never answered."""
    path, body, _ = WRITE[plane.kind]
    hidden = f"GET /hidden HTTP/1.1\r\nHost: 127.0.0.1:{plane.port}\r\n\r\n"
    start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{plane.port}\r\n{JSON}\r\n"
    length, coded, chunk = (
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        f"{len(body):x}\r\n{body}",
    )
    cases = {
        "CL.TE": (start + length + coded + f"\r\n0\r\n\r\n{hidden}", {400}),
        "TE.CL": (start + coded + length + f"\r\n0\r\n\r\n{hidden}", {400}),
        "TE.TE": (start + coded + coded + f"\r\n0\r\n\r\n{hidden}", {400, 501}),
        "TE of another case and CL": (
            start + "transfer-encoding: Chunked\r\n" + length + f"\r\n0\r\n\r\n{hidden}",
            {400},
        ),
        "two lengths": (start + length + "Content-Length: 5\r\n" + f"\r\n{{}}  {hidden}", {400}),
        "a signed length": (start + "Content-Length: +4\r\n" + f"\r\n{{}}  {hidden}", {400}),
        "a blank before the colon": (
            start + "Transfer-Encoding : chunked\r\n" + f"\r\n0\r\n\r\n{hidden}",
            {400},
        ),
        "a folded header": (
            start + "Transfer-Encoding:\r\n chunked\r\n" + f"\r\n0\r\n\r\n{hidden}",
            {400, 501},
        ),
        "gzip, chunked": (
            start + f"Transfer-Encoding: gzip, chunked\r\n\r\n{chunk}\r\n0\r\n\r\n{hidden}",
            {501},
        ),
        "gzip and chunked apart": (
            start + f"Transfer-Encoding: gzip\r\n{coded}\r\n{chunk}\r\n0\r\n\r\n{hidden}",
            {400, 501},
        ),
        "chunked, gzip": (
            start + f"Transfer-Encoding: chunked, gzip\r\n\r\n{chunk}\r\n0\r\n\r\n{hidden}",
            {400, 501},
        ),
        "h11 CVE-2025-43859, a chunk that ends in other bytes": (
            start + coded + f"\r\n{chunk}XX0\r\n\r\n{hidden}",
            {400},
        ),
        "a chunk that ends in a bare LF": (start + coded + f"\r\n{chunk}\n0\r\n\r\n{hidden}", {400}),
        "a size of 2^64": (start + coded + f"\r\n10000000000000004\r\n{body}\r\n0\r\n\r\n{hidden}", {400}),
        "a size with 0x": (start + coded + f"\r\n0x{chunk}\r\n0\r\n\r\n{hidden}", {400}),
        "HTTP/1.0 with chunks": (
            (start + coded).replace("1.1", "1.0") + f"\r\n{chunk}\r\n0\r\n\r\n{hidden}",
            {400},
        ),
        "HTTP/0.9": (f"GET /hidden\r\n{hidden}", {400, 505}),
        "HTTP/2.0": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden, {400, 405, 505}),
        "HTTP/1.2": (start.replace("1.1", "1.2") + length + "\r\n{}  " + hidden, {400, 505}),
    }
    for name, (sent, statuses) in cases.items():
        answer = plane.say(sent.encode())

        assert status_of(answer) in statuses, (name, answer)
        assert b"/hidden" not in answer, name


def test_http_1_0_without_a_host_is_a_health_check(plane):
    """The endpoint answers it, as load balancers ask so and no browser does; the control plane, which only ours ask, does not."""
    answer = plane.say(f"GET {LIVE[plane.kind]} HTTP/1.0\r\n\r\n".encode())

    assert {"data": 200, "control": 403}[plane.kind] == status_of(answer)


def test_a_body_of_tiny_chunks_is_bounded(plane):
    """BentoML CVE-2024-9056, Triton CVE-2025-23310 class: 64 MiB of one-byte chunks end by size, by time, or as an answer; memory stays."""
    before, most, sent = plane.memory(), 0.0, 0
    path = WRITE[plane.kind][0]
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{plane.port}\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
    tiny = b"1\r\n \r\n" * 40_000
    until = time.monotonic() + 60
    with plane.connect() as connection:
        connection.sendall(head.encode())
        try:
            while sent < 64 * 2**20 and time.monotonic() < until:
                sent += connection.send(tiny)
                most = max(most, plane.memory() - before)
        except OSError:
            pass
        answer = rest_of(connection)

    assert status_of(answer) in {0, 400, 408, 413}
    assert most < 64
    assert 200 == plane.ask()[0]


@pytest.mark.parametrize("extension", [";" + "x" * 1_000_000, ";a=b" * 100_000, ';a="' + "y" * 60_000 + '"'])
def test_chunk_extensions_are_bounded(plane, extension):
    """Go CVE-2023-39326 class: what is read and thrown away counts too, and means nothing."""
    before = plane.memory()
    status = chunked(plane, [f"Host: 127.0.0.1:{plane.port}", JSON], [], chunk=extension)

    assert status in {WRITE[plane.kind][2], 0, 400, 413}
    assert plane.memory() - before < 64


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_in_a_body_is_never_read(plane, kind, tmp_path):
    """BentoML CVE-2024-2912, CVE-2025-27520: a body that begins as a pickle ran as code; here no route finds a class in one."""
    mark = tmp_path / "ran"
    bodies = [pickle_that_touches(mark, protocol).decode("latin-1") for protocol in (0, 2, 5)]
    for path in ROUTES[plane.kind]:
        for body in bodies:
            headers = [f"Content-Type: {PICKLES[kind]}"] if PICKLES[kind] else []
            sent = request("POST", path, body, *headers, "Connection: close").replace(
                body.encode(), body.encode("latin-1")
            )
            status = status_of(plane.say(sent))

            assert 400 <= status < 500, (path, kind)
    assert not mark.exists()
    assert "PICKLE" not in plane.said()


def pickle_that_touches(mark: Path, protocol: int) -> bytes:
    """Return a pickle that makes a file when it is read."""

    class Touches:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    return pickle.dumps(Touches(), protocol=protocol)


@pytest.mark.parametrize(
    "ranges",
    ["bytes=0-0", "bytes=" + ",".join(f"{n}-" for n in range(5_000)), "bytes=-1", "x=0-,-1," * 2_000],
)
def test_ranges_are_ignored(plane, ranges):
    """Starlette CVE-2025-62727: `Range` cost quadratic time in files; here each answer is one, and whole."""
    status, whole = plane.ask("GET", "/openapi.json")
    asked, answer = plane.ask("GET", "/openapi.json", "", f"Range: {ranges}")

    assert (200, 200) == (status, asked)
    assert whole.partition("\r\n\r\n")[2] == answer.partition("\r\n\r\n")[2]
    assert "content-range" not in answer.lower()
    assert 1 == answer.count("HTTP/1.1")


def test_a_flood_of_bad_requests_is_no_flood_of_words(plane):
    """A line of stderr for each fills the disk on which the log is; they are counted, and told together."""
    time.sleep(1.2)  # what the tests before were refused is told: here once a second
    before = len(plane.said())
    for _ in range(200):
        assert 400 == status_of(plane.say(b"no http\r\n\r\n"))
    time.sleep(1.2)
    lines = plane.said()[before:].splitlines()

    assert len(lines) < 10
    assert 200 == sum(json.loads(line)["counts"]["400"] for line in lines)


def test_a_slow_body_holds_no_connection_beyond_its_deadline(tmp_path):
    """The control plane waited 60 s for a body and 15 s more for the rest of what it had refused."""
    with running("control", tmp_path / "f") as plane, plane.connect(30) as connection:
        begun = time.monotonic()
        connection.sendall(request("POST", "/api/v1/halt", "{" * 50, JSON)[:-9])
        answer = rest_of(connection)

    assert 408 == status_of(answer)
    assert time.monotonic() - begun < 2.0 + 5.0  # the deadline of these tests, and a busy machine
