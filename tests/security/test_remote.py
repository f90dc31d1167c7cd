"""Commands against a factory that is up elsewhere: the same operations, with a token, and nothing of it in the clear."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import commands
import pytest
import trustme

from linewright.capabilities.audit.signed_note import Checkpoint, key_of, note_of
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.members.operations.tokens import token_create
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.interfaces.http.expensive import Expensive
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.people.facts import MemberChanged
from linewright.plugins.ed25519 import Key, new_key
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.reach import Reach

LINE = "line: {name}\nsources: {{t: {{file: t.csv}}}}\nlabel: {{column: y, positive: 'yes'}}\n"


@dataclass
class Remote:
    """A control plane over TLS, and where commands are given, which have nothing of its folder."""

    address: str
    here: Path
    authority: Path

    def say(self, *words: str, token: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        """Give a command."""
        return subprocess.run(
            [*commands.python(), "-m", "linewright", *words, "--factory", self.address],
            cwd=self.here, capture_output=True, text=True, check=False, timeout=240,
            env={**os.environ, "SSL_CERT_FILE": str(self.authority), "LINEWRIGHT_TOKEN": token, **environment},
        )  # fmt: skip

    def json(self, *words: str, token: str = "") -> Any:
        return json.loads(self.say(*words, "--json", token=token).stdout)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("there") / "factory"
    with Factory.create(folder) as factory:
        for name in ("claims", "parts"):
            (folder / "lines" / f"{name}.yaml").write_text(LINE.format(name=name))
        member_add(factory, "ada", role="engineer", lines=("claims",))
    return folder


@pytest.fixture(scope="module")
def tokens(root: Path) -> dict[str, str]:
    with Factory.open(root) as factory:
        return {
            "ada": token_create(factory, "ada-laptop", kind="engineer", member="ada").token,
            "boss": token_create(factory, "boss", kind="admin").token,
            "engineer": token_create(factory, "maker", kind="engineer").token,
            "viewer": token_create(factory, "viewer", kind="viewer").token,
        }


@pytest.fixture(scope="module")
def remote(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    here = tmp_path_factory.mktemp("here")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(here / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(here / "cert.pem"))
    issued.private_key_pem.write_to_path(str(here / "key.pem"))
    (here / "key.pem").chmod(0o600)
    reach, ending, ports = (
        Reach(tls_cert=str(here / "cert.pem"), tls_key=str(here / "key.pem")),
        Event(),
        Queue[int](),
    )
    app = control_app(
        lambda asked: Factory.open(root, identity=asked),
        OPERATIONS,
        authenticator=Authenticator(state=root / ".linewright"),
        root=root,
        expensive=Expensive(root, report=lambda _: None),
    )
    serve = partial(
        serve_control, app, bound("127.0.0.1", 0, reach), reach, ready=ports.put, is_stopped=ending.is_set
    )
    thread = threading.Thread(target=serve)
    thread.start()
    yield Remote(f"https://localhost:{ports.get(timeout=30)}", here, here / "ca.pem")
    ending.set()
    thread.join(30)


def test_a_command_gives_what_it_gives_on_the_machine_of_the_factory(remote, root, tokens):
    """For people and for programs: the same text, the same JSON, the same exit code."""
    for words in (
        ("status",),
        ("models", "claims"),
        ("runs", "claims", "--limit", "3"),
        ("audit", "verify"),
        ("member", "list"),
        ("alerts",),
    ):
        there = remote.say(*words, token=tokens["boss"])
        here = subprocess.run(
            [*commands.python(), "-m", "linewright", *words, "--factory", str(root)],
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

        assert (here.returncode, here.stdout) == (there.returncode, there.stdout), there.stderr
    assert {"claims", "parts"} == {
        one["line"] for one in remote.json("status", token=tokens["viewer"])["lines"]
    }


def test_who_gave_it_stands_in_the_record(remote, root, tokens):
    """The name is that of the token, whatever the machine that it came from calls its user."""
    assert (
        0
        == remote.say(
            "member", "add", "bob", "--role", "viewer", token=tokens["boss"], LOGNAME="mallory"
        ).returncode
    )

    with Factory.open(root) as factory:
        newest = factory.metadata.events(MemberChanged)[-1]
    assert ("bob", "token boss") == (newest.member, newest.by)


def test_a_right_on_one_line_is_none_on_another(remote, tokens):
    """What is refused is refused as it is there, and nothing is told of the other line."""
    mine, other, all_of_them = (
        remote.say("models", *lines, "--json", token=tokens["ada"])
        if lines
        else remote.say("status", "--json", token=tokens["ada"])
        for lines in (("claims",), ("parts",), ())
    )

    assert 0 == mine.returncode, mine.stdout
    assert (2, "Denied") == (other.returncode, json.loads(other.stdout)["error"])
    assert (2, "Denied") == (all_of_them.returncode, json.loads(all_of_them.stdout)["error"])
    assert "claims" in json.loads(all_of_them.stdout)["allowed"]


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"token": ""}, 2, "linewright login"),
        ({"token": "lw_00000000_x"}, 2, "lets nobody in"),
        ({"SSL_CERT_FILE": ""}, 2, "its certificate is not trusted"),
        ({"to": "http://192.0.2.1:8080"}, 2, "would be readable on the way"),
        ({"to": "https://"}, 2, "not an address"),
        ({"to": "https://ada:secret@localhost"}, 2, "not an address"),
        ({"to": "https://localhost/elsewhere"}, 2, "not an address"),
        ({"to": "https://localhost:1"}, 6, "cannot be reached"),
    ],
)
def test_what_keeps_a_command_from_its_factory_is_named(change, code, says, remote, tokens):
    """With what is to be done about it; the token is in no message."""
    to, token = change.pop("to", ""), change.pop("token", tokens["boss"])
    asked = Remote(to, remote.here, remote.authority) if to else remote

    done = asked.say("status", token=token, **change)

    assert code == done.returncode, done.stderr
    assert says in done.stderr
    assert not token or token not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [("up",), ("serve",), ("init",)])
def test_a_command_that_works_in_the_folder_says_so(words, remote, tokens):
    """It would otherwise begin a factory in a folder called https:."""
    done = remote.say(*words, token=tokens["boss"])

    assert (2, True) == (done.returncode, "works in the factory's folder" in done.stderr)
    assert not list(remote.here.glob("http*"))


def test_a_line_is_made_from_a_file_of_this_machine(remote, root, tokens):
    """The file stays with the factory, once; another of its name is kept out; who may not gets nothing there."""
    table = "id,age,city,y\n" + "".join(
        f"{n},{n % 50},{'AB'[n % 2]}town,{'yes' if n % 3 else 'no'}\n" for n in range(300)
    )
    (remote.here / "people.csv").write_text(table)
    words = ("--data", "people.csv", "--label", "y", "--key", "id")
    refused = remote.say("new", "visits", *words, token=tokens["ada"])
    assert (2, False) == (refused.returncode, (root / "data" / "people.csv").exists()), refused.stderr

    made = remote.say("new", "visits", *words, token=tokens["engineer"])

    assert 0 == made.returncode, made.stderr
    assert table == (root / "data" / "people.csv").read_text()
    assert "data/people.csv" in (root / "lines" / "visits.yaml").read_text()
    again = "/api/v1/new/files/people.csv?offset=0&id="  # whoever sent it may still write to what they sent
    sent = [
        request(remote, "PUT", f"{again}{folder.name}", tokens["engineer"], b"x")[0]
        for folder in (root / ".linewright" / "files").iterdir()
    ]
    assert 200 in sent
    assert table == (root / "data" / "people.csv").read_text()
    (remote.here / "people.csv").write_text(table + "300,1,Atown,yes\n")
    other = remote.say("new", "more", *words, token=tokens["engineer"])
    assert (2, True) == (other.returncode, "another file of this name is there" in other.stderr), other.stderr
    assert not (root / "lines" / "more.yaml").exists()
    wrong = remote.say("new", "more", "--data", "people.csv", "--label", "nothing", token=tokens["engineer"])
    assert (2, table) == (wrong.returncode, (root / "data" / "people.csv").read_text())


def test_a_backup_comes_to_this_machine(remote, tokens):
    """Where it was asked for, and over no other file."""
    done = remote.say("backup", "kept.tar", token=tokens["boss"])

    assert 0 == done.returncode, done.stderr
    assert tarfile.is_tarfile(remote.here / "kept.tar")
    assert ("kept.tar" in done.stdout, "file:" in done.stdout) == (True, False)
    again = remote.say("backup", "kept.tar", token=tokens["boss"])
    assert (2, True) == (again.returncode, "there already" in again.stderr)
    assert (2, "Denied") == (
        remote.say("backup", "x.tar", "--json", token=tokens["viewer"]).returncode,
        remote.json("backup", "x.tar", token=tokens["viewer"])["error"],
    )
    assert not (remote.here / "x.tar").exists()


def request(
    remote: Remote, method: str, path: str, token: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, Any]]:
    """Ask the control plane as no command of ours would."""
    context = ssl.create_default_context(cafile=str(remote.authority))
    parts = urlsplit(remote.address)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=30)
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream", **headers}
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_file_of_a_client_is_for_who_sent_it(remote, root, tokens):
    """And no name of one leads out of its folder."""
    ada, engineer = tokens["ada"], tokens["engineer"]
    path = "/api/v1/feedback/files"
    status, kept = request(remote, "PUT", f"{path}/labels.csv", ada, b"id,label\n")
    assert 200 == status, kept
    assert (200, {**kept, "bytes": 11}) == request(
        remote, "PUT", f"{path}/labels.csv?id={kept['id']}&offset=9", ada, b"x\n"
    )

    others = request(remote, "PUT", f"{path}/labels.csv?id={kept['id']}&offset=0", engineer, b"gone")
    used = request(
        remote,
        "POST",
        "/api/v1/feedback",
        engineer,
        json.dumps({"line": "claims", "file": kept["file"]}).encode(),
        **{"Content-Type": "application/json"},
    )

    assert (404, 404) == (others[0], used[0]), (others, used)
    for name in (
        "..%2Flabels.csv",
        "%2e%2e",
        "..",
        "a%00b",
        ".owner",
        "a%5cb",
        "%2Fetc%2Fpasswd",
        "x" * 101,
        "x.py",
    ):
        for method in ("GET", "PUT"):
            status, told = request(
                remote, method, f"{path}/{name}?id={kept['id']}", ada, b"x" if method == "PUT" else b""
            )
            assert status in {404, 422}, (method, name, told)
    for file in (
        "/etc/passwd",
        "labels.csv",
        f"file:{kept['id']}/../../metadata.sqlite",
        "file:../x/y",
        f"file:{kept['id']}/.owner",
        "file:",
        ["file:x/y", "z"],
    ):
        body = json.dumps({"line": "claims", "file": file}).encode()
        status, told = request(
            remote, "POST", "/api/v1/feedback", ada, body, **{"Content-Type": "application/json"}
        )
        assert status in {404, 422}, (file, told)
    assert 422 == request(remote, "PUT", f"{path}/labels.csv?id={kept['id']}&offset=99", ada, b"x")[0]
    assert 403 == request(remote, "PUT", "/api/v1/new/files/x.csv", tokens["viewer"], b"x")[0]
    assert 422 == request(remote, "PUT", f"{path}/x.csv", ada, b"x", **{"Content-Type": "text/plain"})[0]
    assert 0o700 == (root / ".linewright" / "files").stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("answer", "words", "code", "says"),
    [
        (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nhello",
            "status",
            7,
            "not a control plane of",
        ),
        (
            b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n",
            "check a",
            6,
            "a proxy gave up waiting",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
            "status",
            6,
            "the connection was lost before the answer",
        ),
        (b"", "run claims", 6, "`linewright runs claims` shows how it ends"),
        (b"", "check a", 6, "it ended there with the connection"),
    ],
)
def test_what_answers_there_may_be_something_else_or_break_off(answer, words, code, says, remote):
    """A proxy's page of errors, another program on the port, or nothing more: it is said what became of the command."""
    listening = socket.create_server(("127.0.0.1", 0))

    def reply() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=reply)
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    done = Remote(address, remote.here, remote.authority).say(*words.split())
    thread.join(10)
    listening.close()

    assert (code, True) == (done.returncode, says in done.stderr), done.stderr


def test_a_checkpoint_of_this_machine_is_held_against_the_record_there(remote, root, tokens):
    """A folder and a copy of the database are read on the machine of the factory alone, and that is said."""
    key, note = Key(new_key()), remote.here / "000000000001.checkpoint"
    public = key_of(key.public)
    with Factory.open(root) as factory:
        head = factory.metadata.head()
    for entries, code in ((head.entries, 0), (head.entries + 1_000, 7)):
        checkpoint = Checkpoint(public.name, entries, head.digest, None)
        note.write_bytes(note_of(checkpoint, public, key.sign(checkpoint.text)))

        done = remote.say(
            "audit", "verify", "--checkpoints", note.name, "--public-key", public.text, token=tokens["boss"]
        )

        assert code == done.returncode, done.stdout + done.stderr
    for words, says in (
        (("--checkpoints", "."), "allowed  one file"),
        (("--database", "x"), "names a file of the factory's machine"),
    ):
        refused = remote.say("audit", "verify", *words, token=tokens["boss"])
        assert (2, True) == (refused.returncode, says in refused.stderr), refused.stderr
