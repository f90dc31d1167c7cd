"""What the container file makes, run as an engine would run it, without one; and nginx before it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import containerfile
import pytest
import trustme
from containerfile import DEPLOY, Image

NAME = "factory.example.org"
DEVICES = ("null", "zero", "random", "urandom")
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_UNSHARE = ("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork")
_MAY_ENTER = (
    os.getuid() == 0
    and all(map(shutil.which, ("unshare", "nsenter", "mount")))
    and subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True).returncode == 0
)
pytestmark = [
    pytest.mark.usefixtures("processes"),
    pytest.mark.skipif(not _MAY_ENTER, reason="namespaces may not be made here"),
]
CLIENT = """
import http.client, json, socket, ssl, sys, time
trusted = ssl.create_default_context(cafile=sys.argv[1])
def ask(method, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", 443)
    reached = socket.create_connection(("127.0.0.1", 443), 30)
    connection.sock = trusted.wrap_socket(reached, server_hostname="factory.example.org")
    connection.request(method, path, headers={"Host": "factory.example.org", **headers})
    response = connection.getresponse()
    return response.status, response.getheader("strict-transport-security"), response.read().decode()
deadline = time.monotonic() + 60
while ask("GET", "/", {})[0] == 502 and time.monotonic() < deadline:  # the control plane starts
    time.sleep(0.1)
for asked in json.loads(sys.argv[2]):
    print(json.dumps(ask(*asked)))
"""


@dataclass(frozen=True)
class Container:
    """An image that runs: its first process, and what holds it."""

    image: Image
    pid: int
    holder: "subprocess.Popen[str]"

    def execute(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the container, as its user."""
        user = str(self.image.user)
        enter = (
            "nsenter",
            "--target",
            str(self.pid),
            "--all",
            "--root",
            "--wd",
            f"--setuid={user}",
            f"--setgid={user}",
        )
        return subprocess.run([*enter, *words], capture_output=True, text=True, check=False, env=self.image.environment)  # fmt: skip

    def beside(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of this machine in the network of the container."""
        enter = ("nsenter", "--target", str(self.pid), "--net")
        return subprocess.run([*enter, *words], capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Engine:
    """Runs an image in namespaces of its own."""

    image: Image
    folder: Path

    @property
    def factory(self) -> Path:
        """The volume."""
        return self.folder / "volume"

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command of the image."""
        prefix, packages = sys.base_prefix, sysconfig.get_path("purelib")
        home = self.image.venv
        system = [f"/{name}" for name in ("usr", "bin", "lib", "lib64") if Path("/", name).is_dir()]
        own = f"{home}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        user = self.image.user
        told: dict[str, Any] = {
            "root": str(self.folder / "root"),
            "read": {
                **{place: place for place in (*system, "/etc/ssl") if not Path(place).is_symlink()},
                **({} if prefix == "/usr" else {prefix: prefix}),
                "/packages": packages,
                f"{own}/linewright": str(DEPLOY.parent / "src" / "linewright"),
                "/run/secrets": str(self.folder / "secrets"),
            },
            "written": {self.image.volume: str(self.factory)},
            "links": {
                **{place: str(Path(place).readlink()) for place in system if Path(place).is_symlink()},
                f"{home}/bin/python": f"{prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}",
            },
            "files": {
                "/etc/passwd": f"linewright:x:{user}:{user}::{self.image.volume}:/usr/sbin/nologin\n",
                "/etc/hosts": "127.0.0.1 localhost\n",
                f"{home}/pyvenv.cfg": f"home = {prefix}/bin\n",
                f"{own}/packages.pth": "/packages\n",
                f"{home}/bin/linewright": f"#!{home}/bin/python\nimport sys\nfrom linewright.interfaces.cli import main\nsys.exit(main())\n",
                **{
                    place: (DEPLOY.parent / source).read_text() for source, place in self.image.copied.items()
                },
            },
            "user": user,
            "devices": DEVICES,
            "folder": self.image.workdir,
            "environment": self.image.environment,
            "command": [*self.image.entrypoint, *words],
        }
        enter = [sys.executable, str(Path(__file__).with_name("enter.py")), json.dumps(told)]
        return subprocess.Popen([*_UNSHARE, *enter], stderr=subprocess.PIPE, text=True)

    @contextmanager
    def running(self, *words: str) -> Iterator[Container]:
        """Hold a factory up; SIGTERM ends it, and its code must be 0."""
        holder = self.start(*words)
        child = f"/proc/{holder.pid}/task/{holder.pid}/children"
        ended = False
        try:
            announced = self.factory / ".linewright" / "serving" / "endpoint"
            deadline = time.monotonic() + 120
            while not announced.exists() and holder.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            assert announced.exists(), holder.communicate(timeout=10)[1] if holder.poll() is not None else ""
            first = int(Path(child).read_text())
            yield Container(self.image, first, holder)
            os.kill(first, signal.SIGTERM)
            told = holder.communicate(timeout=90)[1]
            ended = True
            assert 0 == holder.returncode, told
        finally:
            if not ended:
                holder.kill()
                holder.communicate()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def engine(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    tmp_path = tmp_path_factory.mktemp("engine")
    image = containerfile.read()
    for name in ("root", "volume", "secrets"):
        (tmp_path / name).mkdir()
    issued = authority.issue_cert(NAME)
    files = {"tls.crt": issued.cert_chain_pems[0], "tls.key": issued.private_key_pem}
    for name, pem in files.items():
        pem.write_to_path(str(tmp_path / "secrets" / name))
        (tmp_path / "secrets" / name).chmod(0o400)
    for each in (tmp_path / "volume", *(tmp_path / "secrets" / name for name in files)):
        os.chown(each, image.user, image.user)
    engine = Engine(image, tmp_path)
    made = engine.start("init", image.volume)
    told = made.communicate(timeout=120)[1]
    assert 0 == made.returncode, told
    return engine


def test_the_image_runs_read_only_and_without_rights(engine):
    """It starts by its own command, its health check sees it by TLS, and SIGTERM ends it as process 1."""
    with engine.running(*engine.image.command) as container:
        health = container.execute(*engine.image.health)
        assert (0, "") == (health.returncode, health.stderr)

        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{container.pid}/status").read_text().splitlines()
        )
        assert {str(engine.image.user)} == set(status["Uid"].split())
        assert ["0"] * 3 == [str(int(status[name], 16)) for name in ("CapPrm", "CapEff", "CapBnd")]
        assert "1" == status["NoNewPrivs"].strip()
        mounts = [line.split() for line in Path(f"/proc/{container.pid}/mounts").read_text().splitlines()]
        written = {
            place for _, place, kind, options, *_ in mounts if "rw" in options.split(",") and kind != "proc"
        }
        devices = {f"/dev/{name}" for name in DEVICES}
        assert {engine.image.volume, "/tmp", "/dev/shm"} == written - devices  # noqa: S108 -- of the container
        assert "https://" in (engine.factory / ".linewright" / "serving" / "endpoint").read_text()


@pytest.mark.skipif(NGINX is None, reason="needs nginx (apt-get install nginx)")
def test_nginx_forwards_to_both_servers(engine, authority, tmp_path):
    """As the unit of systemd starts them: predictions to the endpoint, all else to the control plane; what a client says of itself is dropped."""
    words = containerfile.unit()["ExecStart"][-1]
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with (
        engine.running(*shlex.split(words)[1:]) as container,
        nginx(container, engine.folder / "secrets", tmp_path) as ask,
    ):
        assert 0 == container.execute(*engine.image.health).returncode
        asked = [
            ["GET", "/v2/health/live", {}],
            ["GET", "/", {}],
            ["GET", "/api/v1/status", {}],
            ["POST", "/v1/lines/none/predict", {"Content-Length": "0"}],
            ["GET", "/v2/health/live", {"Host": "evil.example"}],
            ["GET", "/v2/health/live", {"Origin": "http://factory.example.org", "X-Forwarded-Proto": "http"}],
        ]
        statuses, policies, bodies = zip(*ask(asked), strict=True)

    assert [200, 200, 401, 401, 403, 403] == list(statuses)
    assert {"max-age=31536000"} == set(policies)
    assert {"live": True} == json.loads(bodies[0])
    assert "/api/v1" in bodies[1]


@contextmanager
def nginx(container: Container, secrets: Path, folder: Path) -> Iterator[Any]:
    """Run nginx with the site in the network of a container; give what asks it, once the control plane responds too."""
    file = site(folder, secrets / "tls.crt", secrets / "tls.key")
    begun = container.beside(NGINX, "-c", str(file), "-g", "daemon on;")
    assert 0 == begun.returncode, begun.stderr

    def ask(asked: list[list[Any]]) -> list[list[Any]]:
        done = container.beside(sys.executable, "-c", CLIENT, str(folder / "ca.pem"), json.dumps(asked))
        assert 0 == done.returncode, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    try:
        yield ask
    finally:
        container.beside(NGINX, "-c", str(file), "-s", "quit")


def site(folder: Path, certificate: Path, key: Path) -> Path:
    """Write a whole configuration of nginx around the site, and return it."""
    own = (DEPLOY / "nginx" / "linewright.conf").read_text()
    for name, path in (("fullchain.pem", certificate), ("privkey.pem", key)):
        assert f"/etc/nginx/tls/{name}" in own
        own = own.replace(f"/etc/nginx/tls/{name}", str(path))
    upstreams = (DEPLOY / "nginx" / "upstreams.conf").read_text()
    places = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"user root;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}\n{upstreams}\n{own}\n}}\n"
    )
    return file


@pytest.mark.skipif(NGINX is None, reason="needs nginx (apt-get install nginx)")
@pytest.mark.parametrize("upstreams", ["upstreams.conf", "upstreams-compose.conf"])
def test_nginx_takes_the_site(upstreams, authority, tmp_path):
    """With each file of upstreams."""
    issued = authority.issue_cert(NAME)
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    file = site(tmp_path, tmp_path / "cert.pem", tmp_path / "key.pem")
    texts = [(DEPLOY / "nginx" / name).read_text() for name in ("upstreams.conf", upstreams)]
    file.write_text(file.read_text().replace(*texts))

    done = subprocess.run([NGINX, "-t", "-q", "-c", str(file)], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
