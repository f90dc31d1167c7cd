"""The README from another machine: each of its commands is given to a factory that is up there, by TLS, as a member."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import commands
import pytest
import trustme
from pages import blocks, examples, is_printed, write_customers
from ports import free_port

from linewright.capabilities.members.operations.invitations import member_invite
from linewright.capabilities.members.operations.members import member_add
from linewright.client import Client
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS

README = (Path(__file__).parents[2] / "README.md").read_text()
LOCAL = {
    "make": "builds this checkout",
    "mkdir": "the factory is there already",
    "up": "serves the factory on its own machine",
    "demo": "lives through a world on this machine",
}
"""Commands that are local by nature, with why."""
ALONE = {"rebuild": "rebuild churn@1", "replay": "replay --prediction {id}"}
"""How a command is given that the README only names, and that needs more words."""
PASSWORD = "a password of ada's own"  # noqa: S105 -- a test's


def of_blocks() -> list[tuple[str, list[str]]]:
    """Return the commands of the console blocks, in order, each with what it prints."""
    return [one for language, block in blocks(README) if language == "console" for one in examples(block)]


def of_text() -> list[str]:
    """Return the commands that the text names, without `linewright`, in order."""
    text = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    spans = (span.removeprefix("linewright ") for span in re.findall(r"`([^`\n]+)`", text))
    return [span for span in spans if span.split()[0] in OPERATIONS]


@dataclass
class Elsewhere:
    """A folder that has nothing of the factory but its address, a session, and who signed its certificate."""

    here: Path
    url: str
    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LINEWRIGHT")}
        path = f"{commands.folder()}{os.pathsep}{os.environ['PATH']}"
        authority = str(self.here / "ca.pem")
        more = {"SSL_CERT_FILE": authority, "CURL_CA_BUNDLE": authority, "XDG_CONFIG_HOME": str(self.here)}
        return {**kept, **more, "PATH": path, "LINEWRIGHT_FACTORY": self.url}

    def type(self, command: str, answers: str = "", **more: str) -> str:
        """Carry a command out, which must succeed, and return what it prints."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.here, env={**self.environment, **more}, input=answers,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert 0 == done.returncode, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def token(self) -> str:
        """Return the session's."""
        return json.loads((self.here / "linewright" / "logins.json").read_text())[self.url]["token"]


@contextmanager
def up(root: Path, here: Path) -> Iterator[Elsewhere]:
    """Hold a factory up by TLS, until whose log says that it is ready; it ends in order."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(here / "ca.pem"))
    issued, files = authority.issue_cert("127.0.0.1"), root.parent
    issued.cert_chain_pems[0].write_to_path(str(files / "cert.pem"))
    issued.private_key_pem.write_to_path(str(files / "key.pem"))
    (files / "key.pem").chmod(0o600)
    port, control, log = free_port(), free_port(), files / "up.log"
    options = ("--port", str(port), "--control-port", str(control))
    options += ("--tls-cert", str(files / "cert.pem"), "--tls-key", str(files / "key.pem"))
    with log.open("w") as said:
        process = commands.begin([sys.executable, "-m", "linewright", "up", *options], cwd=root, stderr=said)
    try:
        deadline = time.monotonic() + 90
        while "ready: both servers respond" not in log.read_text() and process.poll() is None:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        assert process.poll() is None, log.read_text()
        yield Elsewhere(here, f"https://127.0.0.1:{control}", f"https://127.0.0.1:{port}")
    finally:
        process.terminate()
        code = process.wait(timeout=60)
    assert 0 == code, log.read_text()


def until_answered(away, asked):
    """Ask until a model serves: an endpoint takes up a first one within a second, on a busy machine later."""
    for _ in range(40):
        said = away.type(asked, LINEWRIGHT_TOKEN=away.token())
        if '"error":"Transient"' not in said:
            break
        time.sleep(0.25)
    return said


@pytest.mark.usefixtures("processes")
def test_the_readme_holds_from_another_machine(tmp_path, monkeypatch):
    """From the first file to a corrected line, a model, predictions and labels, and nobody edits or restarts anything there."""
    root, here = tmp_path / "there" / "factory", tmp_path / "here"
    here.mkdir()
    with Factory.create(root) as factory:
        (root / "factory.yaml").write_text("format: 1\nlimits: {needs_token: true}\n")
        member_add(factory, "ada", role="engineer")
        invitation = member_invite(factory, "ada").invitation
    write_customers(here / "customers.csv")
    told = dict[str, str]()
    with up(root, here) as away:
        away.type(f"linewright login {away.url} --invitation {invitation}", answers=f"{PASSWORD}\n" * 2)
        for command, expected in of_blocks():
            first, name = command.split()[0], command.split()[1]
            if first == "linewright" and name not in LOCAL:
                told[name] = away.type(command)
                if name == "new":
                    correct(away)
            elif first == "curl":
                asked = command.replace("localhost:8000", away.endpoint)
                with_token = f'{asked} -H "Authorization: Bearer $LINEWRIGHT_TOKEN"'
                told[first] = until_answered(away, with_token)
                assert is_printed(expected, told[first]), told[first]
            else:
                assert first in LOCAL or name in LOCAL, command
        with monkeypatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(here / "ca.pem"))
            with Client(away.endpoint, token=away.token()) as client:
                answer = client.predict(
                    "churn", [{"customer": "C-2", "age": 41, "plan": "basic", "calls": 7}]
                )
                one = answer.predictions[0].id
                assert 1 == client.feedback("churn", [{"id": one, "label": "yes"}]).accepted
        with (
            Client(away.endpoint, token=away.token()) as client,
            pytest.raises(RequestError, match=r"certificate is not trusted.*SSL_CERT_FILE"),
        ):
            client.model("churn")
        for span in of_text():
            name = span.split()[0]
            if name not in LOCAL and (name not in told or span != name):
                told[name] = away.type(f"linewright {ALONE.get(span, span).format(id=one)}")
        again = next(line for line in away.type("linewright status churn").splitlines() if "try: " in line)
        assert f"{away.endpoint}/v1/lines/churn/predict" in again
        answered = json.loads(away.type(again.partition("try: ")[2], LINEWRIGHT_TOKEN=away.token()))

    assert ("churn@1", "churn@1") == (answer.model, answered["model"])
    assert str(root) not in told["new"]
    for name, part in {
        "new": "Next: read it (linewright line-file churn)",
        "run": f"runs on {away.url}",
        "status": "churn: churn@1",
        "card": "churn@1",
    }.items():
        assert part in told[name], told[name]


def correct(away: Elsewhere) -> None:
    """Correct the first file, as the README says: its author needs nobody for that."""
    text = away.type("linewright line-file churn")
    (away.here / "churn.yaml").write_text(text.replace("budget: normal", "budget: quick\n  folds: 2"))
    assert text != (away.here / "churn.yaml").read_text()
    assert "  done  " in away.type('linewright propose churn churn.yaml --because "quick is enough"')


def test_each_command_of_the_readme_is_known_here():
    """A new one is given from elsewhere too, or it is said why not."""
    assert len(of_blocks()) >= 9
    assert {"status", "alerts", "card", "why", "plan"} <= {span.split()[0] for span in of_text()}
    named = {command.split()[command.startswith("linewright ")] for command, _ in of_blocks()}

    assert {"curl"} == named - set(LOCAL) - set(OPERATIONS)
    assert set(LOCAL) <= {*named, *(span.split()[0] for span in of_text())}
