"""What the files of deploy/ promise: the rules of hardening hold, and what they name exists."""

import inspect
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import containerfile
import pytest
from containerfile import DEPLOY

from linewright.capabilities.serving.operations import up
from linewright.interfaces.cli.build import CommandLine
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS
from linewright.serve.http.app import _ROUTES

DEFAULTS = {name: each.default for name, each in inspect.signature(up).parameters.items()}
PORTS = {"endpoint": DEFAULTS["port"], "control": DEFAULTS["control_port"]}
OPEN = {path for path, _, _, permission in _ROUTES if permission == "open"}


def refuse(*_: Any) -> Any:
    raise AssertionError


def taken(words: list[str]) -> dict[str, Any]:
    """Return what the command line understands of a command; a word that it does not know is an error."""
    whole = CommandLine(OPERATIONS, refuse)
    with whole.make_context("linewright", list(words), resilient_parsing=False) as ctx:
        name, command, rest = whole.resolve_command(ctx, list(words))
        assert name is not None
        assert command is not None
    with command.make_context(name, rest) as inner:
        given = {one: value for one, value in inner.params.items() if value not in (None, (), False)}
        own = {each.name for each in load(name, OPERATIONS).parameters}
        load(name, OPERATIONS).check(
            {
                n: [str(p) for p in (v if isinstance(v, tuple) else (v,))]
                for n, v in given.items()
                if n in own
            },
            text=True,
        )
        return given


def commands() -> dict[str, list[str]]:
    """Return each command of linewright in the files, by where it stands."""
    services = containerfile.compose()["services"]
    deployment = containerfile.manifests()["Deployment"][0]["spec"]["template"]["spec"]
    found = {
        "Containerfile": containerfile.read().command,
        **{f"compose.yaml: {name}": services[name]["command"] for name in ("init", "linewright")},
        **{
            f"linewright.yaml: {each['name']}": each["args"]
            for kind in ("initContainers", "containers")
            for each in deployment[kind]
        },
    }
    for name in ("ExecStartPre", "ExecStart"):
        (line,) = containerfile.unit()[name]
        program, *words = shlex.split(line)
        assert program == f"{containerfile.read().venv}/bin/linewright"
        found[f"linewright.service: {name}"] = words
    (alternative,) = (
        line.partition("ExecStart=")[2]
        for line in (DEPLOY / "systemd" / "linewright.service").read_text().splitlines()
        if line.startswith("# ExecStart=")
    )
    return found | {"linewright.service: with TLS": shlex.split(alternative)[1:]}


@pytest.mark.parametrize(("place", "words"), commands().items(), ids=list(commands()))
def test_the_command_line_takes_each_command(place, words):
    """An option that was renamed would stop the start on somebody's server."""
    assert words[0] in {"init", "up"}, place
    given = taken(words)

    if words[0] == "up":
        is_reached = given.get("host", "127.0.0.1") != "127.0.0.1"
        assert not is_reached or {"tls_cert", "tls_key"} <= set(given) or "behind_proxy" in given
        assert {} == {
            name: given[name]
            for name in ("port", "control_port")
            if given.get(name, DEFAULTS[name]) != DEFAULTS[name]
        }


def test_the_page_on_remote_access_has_commands_that_exist(tmp_path, monkeypatch):
    """Nobody carries them out there: they need a certificate and a second machine."""
    monkeypatch.chdir(tmp_path)
    Path("churn.yaml").write_text("line: churn\n")
    page = (DEPLOY.parent / "docs" / "how-to" / "remote.md").read_text()
    commands = [line for line in page.splitlines() if line.startswith("linewright ")]

    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command.partition(" > ")[0], comments=True)[1:]
        assert taken(words) is not None, command


def test_an_option_that_does_not_exist_is_found():
    with pytest.raises(click.UsageError, match="No such option"):
        taken(["up", "--behind-proxies", "127.0.0.1"])


def test_the_image_has_a_user_and_one_volume():
    """No root, no shell at the start, nothing but the package that is built from this source."""
    build, last = containerfile.instructions()
    image = containerfile.read()

    assert [image.base] == [rest.partition(" AS ")[0] for word, rest in build if word == "FROM"]
    assert image.user == 10001
    assert all(
        f"{option} {image.user}" in " ".join(image.runs)
        for option in ("--uid", "--gid", "--owner", "--group")
    )
    assert image.volume == image.workdir == "/factory"
    assert set(image.ports) == set(PORTS.values())
    assert image.entrypoint == [f"{image.venv}/bin/linewright"]
    assert image.health == [f"{image.venv}/bin/python", image.copied["deploy/health.py"]]
    order = [word for word, _ in last]
    assert order.index("USER") > max(place for place, word in enumerate(order) if word in {"RUN", "COPY"})
    assert any("--constraint constraints.txt" in rest for word, rest in build if word == "RUN")
    sources = [
        source
        for word, rest in [*build, *last]
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    shown = {
        line[1:]
        for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert set(sources) == shown
    assert all((DEPLOY.parent / source).exists() for source in sources)


def test_each_service_of_compose_is_confined():
    """A read-only root, no capability, no way to more; the factory is reached through nginx alone."""
    found = containerfile.compose()
    for name, service in found["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["user"].partition(":")[0]) > 0, name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert ("ports" in service) == (name == "nginx"), name
    factory, proxy = found["services"]["linewright"], found["services"]["nginx"]
    image = containerfile.read()
    assert factory["user"] == f"{image.user}:{image.user}"
    assert factory["volumes"] == [f"factory:{image.volume}"]
    assert list(found["volumes"]) == ["factory"]
    own, theirs = (each["networks"]["inner"]["ipv4_address"] for each in (factory, proxy))
    assert taken(factory["command"])["behind_proxy"] == (theirs,)
    upstreams = (DEPLOY / "nginx" / "upstreams-compose.conf").read_text()
    local = (DEPLOY / "nginx" / "upstreams.conf").read_text()
    assert upstreams.splitlines()[1:] == [line.replace("127.0.0.1", own) for line in local.splitlines()[1:]]
    mounted = [each.split(":")[0] for each in proxy["volumes"]]
    assert all((DEPLOY / each).is_file() for each in mounted)
    site = (DEPLOY / "nginx" / "linewright.conf").read_text()
    assert all(each["target"] in site for each in proxy["secrets"])
    assert {each["source"] for each in proxy["secrets"]} == set(found["secrets"])


def test_the_site_forwards_to_the_usual_ports():
    """Headers that say who asks are replaced, never appended to."""
    upstreams = (DEPLOY / "nginx" / "upstreams.conf").read_text()
    for name, port in PORTS.items():
        assert f"upstream linewright-{name} {{ server 127.0.0.1:{port};" in upstreams
    site = (DEPLOY / "nginx" / "linewright.conf").read_text()
    assert "proxy_add_x_forwarded_for" not in site
    # In a location, one such line would hide all of those above.
    assert all(
        line.startswith("    proxy_set_header") for line in site.splitlines() if "proxy_set_header" in line
    )
    prefixes = {path.split("/")[1] for path, *_ in _ROUTES if path.startswith(("/v1/", "/v2/"))}
    assert all(
        f"location /{prefix}/ {{ proxy_pass http://linewright-endpoint; }}" in site for prefix in prefixes
    )
    assert "location = /endpoint/metrics { proxy_pass http://linewright-endpoint/metrics; }" in site


def test_the_manifest_has_one_confined_writer():
    """As the Restricted standard of Kubernetes wants it; two processes would be two writers of one factory."""
    objects = containerfile.manifests()
    (deployment,) = objects["Deployment"]
    spec, pod = deployment["spec"], deployment["spec"]["template"]["spec"]
    image = containerfile.read()
    assert (1, "Recreate") == (spec["replicas"], spec["strategy"]["type"])
    assert not pod["automountServiceAccountToken"]
    shared = pod["securityContext"]
    assert shared["runAsNonRoot"]
    assert {image.user} == {shared[name] for name in ("runAsUser", "runAsGroup", "fsGroup")}
    assert (shared["seccompProfile"], shared["fsGroupChangePolicy"]) == (
        {"type": "RuntimeDefault"},
        "OnRootMismatch",
    )
    for each in (*pod["initContainers"], *pod["containers"]):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {image.volume, "/tmp"} <= {mount["mountPath"] for mount in each["volumeMounts"]}  # noqa: S108 -- of the container
        assert "memory" in each["resources"]["limits"]
    (container,) = pod["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == PORTS
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[name]["httpGet"]
        assert asked["path"] in OPEN, name
        assert ("endpoint", "HTTPS") == (asked["port"], asked["scheme"]), name
        assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}], name
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert (
        volumes["factory"]["persistentVolumeClaim"]["claimName"]
        == objects["PersistentVolumeClaim"][0]["metadata"]["name"]
    )
    assert volumes["tls"]["secret"]["defaultMode"] & 0o007 == 0  # else the certificate is refused
    for service in objects["Service"]:
        assert (
            service["spec"]["selector"]
            == spec["selector"]["matchLabels"]
            == spec["template"]["metadata"]["labels"]
        )
        (port,) = service["spec"]["ports"]
        assert PORTS[port["targetPort"]] == port["port"]


def test_the_unit_confines_the_service():
    unit = containerfile.unit()
    wanted = {
        "DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
        "PrivateDevices": "yes", "CapabilityBoundingSet": "", "StateDirectory": "linewright", "StateDirectoryMode": "0700",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "Restart": "on-failure", "KillSignal": "SIGTERM", "KillMode": "mixed",
    }  # fmt: skip
    assert wanted == {name: unit[name][0] for name in wanted}
    assert unit["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert unit["WorkingDirectory"] == ["/var/lib/linewright"]


@pytest.mark.usefixtures("processes")
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path):
    """Each setting is known, and the exposure that systemd computes is low."""
    text = (DEPLOY / "systemd" / "linewright.service").read_text()
    file = tmp_path / "linewright.service"
    file.write_text(text.replace("/opt/linewright/bin/linewright", "/bin/true"))

    verified = subprocess.run(
        ["systemd-analyze", "verify", file], capture_output=True, text=True, check=False
    )
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (0, "") == (verified.returncode, verified.stderr)
    assert 0 == rated.returncode, rated.stdout[-200:]


@pytest.mark.usefixtures("processes")
def test_the_health_check_fails_without_an_endpoint(tmp_path):
    """Neither a factory that never started nor one whose process was killed is healthy."""
    check = [sys.executable, "-S", "-E", str(DEPLOY / "health.py")]
    assert 1 == subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode
    (tmp_path / ".linewright" / "serving").mkdir(parents=True)
    for address in ("https://factory.example.org:9", "127.0.0.1:9", "half"):
        (tmp_path / ".linewright" / "serving" / "endpoint").write_text(f"{address}\n")
        assert 1 == subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode, address
