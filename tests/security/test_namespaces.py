"""A factory and its users on machines of their own: network namespaces, TLS between them, and a recording of every frame.

Skipped where namespaces cannot be made, and without tcpdump.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from approvals import waiting_factory

CLIENTS = ("admin", "ada", "bob", "service")
PASSWORDS = {name: f"the password of {name} is long" for name in CLIENTS}
ADDRESS = "10.77.{number}.1"
TCPDUMP = shutil.which("tcpdump", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def can_make_namespaces() -> bool:
    name = f"lw-try-{os.getpid()}"
    if not (shutil.which("ip") and shutil.which("nsenter") and os.geteuid() == 0):
        return False
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        ip("netns", "del", name)
    return made


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@dataclass
class Net:
    """A namespace for the factory, and one for each client, with a cable between."""

    factory: str
    clients: dict[str, str]


@contextmanager
def net() -> Iterator[Net]:
    named = {name: f"lw{os.getpid()}{name}" for name in ("factory", *CLIENTS)}
    with ExitStack() as stack:
        for name in named.values():
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        for number, client in enumerate(CLIENTS, 1):
            ends = (f"lwf{number}", f"lwc{number}")
            ip(
                "-n",
                named["factory"],
                "link",
                "add",
                ends[0],
                "type",
                "veth",
                "peer",
                "name",
                ends[1],
                "netns",
                named[client],
            )
            for where, end, host in ((named["factory"], ends[0], 1), (named[client], ends[1], 2)):
                ip("-n", where, "address", "add", f"10.77.{number}.{host}/24", "dev", end)
                ip("-n", where, "link", "set", end, "up")
        yield Net(named["factory"], {name: named[name] for name in CLIENTS})


@contextmanager
def recording(namespace: str, file: Path) -> Iterator[None]:
    """Record every frame that passes a namespace with tcpdump."""
    command = [
        "ip",
        "netns",
        "exec",
        namespace,
        TCPDUMP,
        "-i",
        "any",
        "-B",
        "65536",
        "-Z",
        "root",
        "-U",
        "-w",
        file,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "listening on" not in (line := process.stderr.readline()):
        assert line, "tcpdump ended"
    try:
        yield
        time.sleep(0.5)  # what it has captured comes a moment after it passed
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert "\n0 packets dropped by kernel" in said


@dataclass
class Client:
    """Somebody at a machine of their own: its network, its folder, and the certificate of the authority."""

    name: str
    namespace: str
    url: str
    here: Path

    def say(self, *words: str, answers: str = "", code: int = 0, factory: bool = True, **more: str) -> Any:
        """Give a command and return its JSON."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LINEWRIGHT")}
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, sys.executable, "-m", "linewright", *words, "--json"],
            cwd=self.here, input=answers, capture_output=True, text=True, check=False, timeout=240,
            env={
                **kept,
                "XDG_CONFIG_HOME": str(self.here),
                "SSL_CERT_FILE": str(self.here.parent / "ca.pem"),
                **({"LINEWRIGHT_FACTORY": self.url} if factory else {}),
                **more,
            },
        )  # fmt: skip
        assert code == done.returncode, (words, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def sign_in(self, code: str) -> None:
        told = self.say(
            "login", self.url, "--invitation", code, answers=f"{PASSWORDS[self.name]}\n" * 2, factory=False
        )
        assert self.name == told["member"]


ASK = """
import json, sys
from linewright import Client
from linewright.errors import Denied
address, rows, predict, feedback = sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:]
with Client(address, token=predict) as client, Client(address, token=feedback) as other:
    answer = client.predict("claims", rows)
    labels = [{"id": answer.predictions[0].id, "label": "yes"}]
    refused = 0
    for wrong, path, given in ((client.feedback, "claims", labels), (other.predict, "claims", rows)):
        try:
            wrong(path, given)
        except Denied:
            refused += 1
    print(json.dumps([answer.model, refused, other.feedback("claims", labels).accepted]))
"""


@contextmanager
def up(root: Path, namespace: str, folder: Path) -> Iterator[Path]:
    """Hold the factory up in its namespace, and give the file with what it tells."""
    log = folder / "up.log"
    options = (
        "--host",
        "0.0.0.0",
        "--tls-cert",
        str(folder / "cert.pem"),
        "--tls-key",
        str(folder / "key.pem"),
    )
    with log.open("w") as told:
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-m", "linewright", "up", *options],
            cwd=root, stdout=told, stderr=told,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while "control plane and worker on" not in log.read_text() and process.poll() is None:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield log
    finally:
        process.terminate()
        code = process.wait(timeout=90)
    assert 0 == code, log.read_text()


@pytest.mark.usefixtures("processes")
def test_three_members_and_a_service_work_from_machines_of_their_own(tmp_path, tmp_path_factory):
    """Sign-in by a one-time link, approval by a second person, predictions by a narrow token: and no secret on the way."""
    if not can_make_namespaces():
        pytest.skip("no network namespaces can be made here")
    if TCPDUMP is None:
        pytest.skip("needs tcpdump (apt-get install tcpdump)")
    root = waiting_factory(tmp_path_factory, tmp_path / "factory")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert(*(ADDRESS.format(number=number) for number in range(1, 5)))
    (tmp_path / "cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "key.pem").chmod(0o600)

    recorded = tmp_path / "frames.pcap"
    with net() as nets, recording(nets.factory, recorded), up(root, nets.factory, tmp_path) as log:
        clients: dict[str, Client] = {}
        for number, (name, namespace) in enumerate(nets.clients.items(), 1):
            (tmp_path / name).mkdir()
            url = f"https://{ADDRESS.format(number=number)}:8080"
            clients[name] = Client(name, namespace, url, tmp_path / name)
        admin, ada, bob = (clients[name] for name in ("admin", "ada", "bob"))
        first = log.read_text().partition("/join?invitation=")[2].split()[0]
        admin.sign_in(first)
        assert (
            "Denied"
            == ada.say(
                "login",
                ada.url,
                "--invitation",
                first,
                answers=f"{PASSWORDS['ada']}\n" * 2,
                code=2,
                factory=False,
            )["error"]
        )
        invitations = {one.name: admin.say("member", "invite", one.name)["invitation"] for one in (ada, bob)}
        tokens = {
            kind: admin.say("token", "create", kind, "--kind", kind, "--lines", "claims")["token"]
            for kind in ("predict", "feedback")
        }
        ada.sign_in(invitations["ada"])
        bob.sign_in(invitations["bob"])
        [waiting] = ada.say("proposals")["proposals"]
        assert "Denied" == ada.say("approve", waiting["proposal"], "--comment", "it is mine", code=2)["error"]
        assert "done" == bob.say("approve", waiting["proposal"], "--comment", "sound")["state"]
        rows = json.dumps([{"claim": "C-1", "amount": 0.7, "age": 41.0}])
        asked = subprocess.run(
            ["ip", "netns", "exec", nets.clients["service"], sys.executable, "-c", ASK, f"https://{ADDRESS.format(number=4)}:8000", rows, tokens["predict"], tokens["feedback"]],
            capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")},
        )  # fmt: skip

        assert ["claims@2", 2, 1] == json.loads(asked.stdout or "[]"), asked.stderr
        assert (
            "Denied" == clients["service"].say("status", LINEWRIGHT_TOKEN=tokens["predict"], code=2)["error"]
        )

    sessions = [
        json.loads((tmp_path / one.name / "linewright" / "logins.json").read_text())
        for one in (admin, ada, bob)
    ]
    secrets = [
        *PASSWORDS.values(),
        *invitations.values(),
        *tokens.values(),
        first,
        *(login["token"] for one in sessions for login in one.values()),
    ]
    assert 3 + 2 + 2 + 1 + 3 <= len(secrets)
    frames = recorded.read_bytes()
    assert len(frames) > 50_000
    assert frames.count(b"\x16\x03") >= 10, "handshakes of TLS"
    assert not [secret for secret in secrets if secret.encode() in frames]
    assert b"HTTP/1.1" not in frames
    told = log.read_text()
    assert not [secret for secret in secrets if secret != first and secret in told]
