"""Tokens: what each lets in, until when, and that they are kept nowhere."""

import importlib.util
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import commands
import pytest

from linewright.capabilities.audit.verify_chain import verify_chain
from linewright.capabilities.care.operations.maintenance import backup
from linewright.capabilities.care.operations.restore import restore
from linewright.capabilities.members.operations.members import (
    member_add,
    member_list,
    member_remove,
    member_role,
)
from linewright.capabilities.members.operations.tokens import token_create, token_list, token_revoke
from linewright.errors import BackendError, Conflict, Corrupt, Denied, NotFound, RequestError, Unauthenticated
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.people.facts import MemberChanged, TokenChanged
from linewright.serve.access.accounts import Grant, sha256
from linewright.serve.access.authenticate import LOOK_S, Authenticator
from linewright.serve.access.change_accounts import change, new_token, with_token, without_token
from linewright.serve.access.control_token import control_token
from linewright.serve.http.app import _ROUTES, OPEN

spec = importlib.util.spec_from_file_location(
    "made_by_hand", Path(__file__).parents[1] / "serve" / "conftest.py"
)
assert spec is not None
assert spec.loader is not None
hand = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand)

SOON_S = 1.0
"""Within which a token that was revoked is of no use."""


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    with Factory.create(tmp_path / "factory") as made:
        for line in ("claims", "parts"):
            made.metadata.register(line, "sha256:" + "0" * 64, at=made.now())
        yield made


def carry_out(root: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Carry out a command in a process of its own."""
    command = [*commands.python(), "-m", "linewright", *words]
    return subprocess.run(
        command,
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def by(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def actor_of(authenticator: Authenticator, token: str) -> str:
    return authenticator.identify([f"Bearer {token}"]).actor


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a state folder in which two lines serve."""
    folder = tmp_path_factory.mktemp("served") / ".linewright"
    line = hand.Claims(folder)
    line.make(1)
    line.point(1)
    other = hand.Claims(folder, "parts")
    other.make(1)
    other.point(1)
    return folder


@pytest.fixture(scope="module")
def endpoint(state: Path) -> Iterator[Any]:
    running = hand.Endpoint(state, limits={"needs_token": True})
    yield running
    running.close()


def made(
    state: Path, name: str, *lines: str, role: str = "predict", expires: str = "2999-01-01T00:00:00.000000Z"
) -> str:
    """Put a token into the file of a state folder."""
    grant = Grant(role=role, lines=lines)
    token = new_token(
        name=name, grant=grant, member="", created="2026-01-01T00:00:00.000000Z", expires=expires
    )
    change(state, with_token(token))
    return token.token


def route(path: str, line: str) -> str:
    return path.replace("{line}", line).replace("{version}", "1")


MAY = {
    "predict": {"predict"},
    "feedback": {"label"},
    "metrics": {"metrics"},
    "viewer": {"view"},
    "agent": {"predict", "view"},
}


@pytest.mark.parametrize("kind", MAY)
@pytest.mark.parametrize("lines", [(), ("claims",)])
def test_every_route_of_an_endpoint_wants_its_right(kind, lines, endpoint, state):
    """A line that is another's and one that is not there are refused alike; the body is wrong, so whoever may is told that."""
    token = made(state, f"{kind}-{len(lines)}", *lines, role=kind)
    for line in ("claims", "parts", "missing"):
        for path, method, _, permission in _ROUTES:
            is_covered = not lines or ("{line}" in path and line in lines)
            may = permission == OPEN or (permission in MAY[kind] and is_covered)

            status, _, told = endpoint.ask(
                method, route(path, line), {} if method == "POST" else None, **by(token)
            )

            assert may == (status not in {401, 403}), (line, method, path, status, told)


@pytest.mark.parametrize("token", [None, "", "lw_00000000_x", "lw_0a1b2c3d_" + "a" * 43, "a" * 5_000])
def test_without_a_token_that_is_known_only_open_routes_answer(token, endpoint):
    """They say that a server is here, and no line's name."""
    for path, method, _, permission in _ROUTES:
        headers = {} if token is None else by(token)
        status, _, told = endpoint.ask(
            method, route(path, "claims"), {} if method == "POST" else None, **headers
        )

        assert (permission == OPEN) == (status != 401), (method, path, status)
        assert permission != OPEN or "parts" not in json.dumps(told)


@pytest.mark.usefixtures("processes")
def test_where_no_token_is_needed_one_that_is_sent_counts_all_the_same(tmp_path):
    """On loopback the data plane is open, as it always was; but nobody goes on with a token that was revoked."""
    line = hand.Claims(tmp_path / ".linewright")
    line.make(1)
    line.point(1)
    token = made(line.state, "parts-only", "parts")
    running = hand.Endpoint(line.state)
    try:
        ask = {"rows": [hand.ROW]}
        got = [
            running.ask("POST", "/v1/lines/claims/predict", ask, **headers)[0]
            for headers in ({}, by(token), by("lw_0a1b2c3d_" + "a" * 43))
        ]
    finally:
        running.close()

    assert [200, 403, 401] == got


def test_a_token_that_is_revoked_under_load_lets_nobody_in_within_a_second(endpoint, state):
    """Each connection is kept alive: what is known of it does not outlive the token."""
    token = made(state, "leaked")
    done = threading.Event()
    seen: list[tuple[float, int]] = []

    def load() -> None:
        client = hand.http.client.HTTPConnection(*endpoint.address, timeout=30)
        body = json.dumps({"rows": [hand.ROW]})
        while not done.is_set():
            begun = time.monotonic()
            client.request(
                "POST", "/v1/lines/claims/predict", body, {"Content-Type": "application/json", **by(token)}
            )
            answer = client.getresponse()
            answer.read()
            seen.append((begun, answer.status))
            time.sleep(0.002)
        client.close()

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 300)
    revoking = time.monotonic()
    change(state, without_token("leaked", "2026-06-01T00:00:00.000000Z"))
    revoked = time.monotonic()
    until(lambda: time.monotonic() > revoked + SOON_S + 0.5)
    done.set()
    for thread in threads:
        thread.join(30)

    assert {200} == {status for begun, status in seen if begun < revoking - 0.05}
    assert {401} == {status for begun, status in seen if begun > revoked + SOON_S}


def until(is_so: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_token_lets_nobody_in_once_it_has_expired(tmp_path):
    """Also one whose use was just seen, and by a clock that was put forward meanwhile: what is kept of a token is no longer."""
    now = ["2026-06-01T00:00:00.000000Z"]
    state = tmp_path / ".linewright"
    token = made(state, "short", expires="2026-06-01T00:00:00.100000Z")
    authenticator = Authenticator(state=state, now=lambda: now[0])

    assert "token short" == actor_of(authenticator, token)
    now[0] = "2026-06-01T00:00:00.100000Z"
    with pytest.raises(Unauthenticated, match="expired"):
        actor_of(authenticator, token)


def test_what_was_admitted_is_remembered_for_that_alone_and_until_it_ends(tmp_path):
    """The endpoint asks no more than this of a token that it admitted a moment ago."""
    state = tmp_path / ".linewright"
    now = ["2026-06-01T00:00:00.000000Z"]
    token = made(state, "short", expires="2026-06-01T01:00:00.000000Z")
    authenticator = Authenticator(state=state, now=lambda: now[0])
    asked = (f"Bearer {token}", "predict", "claims")

    authenticator.remember(*asked)
    assert not authenticator.remembers(*asked), "it was never identified"
    authenticator.identify([asked[0]])
    authenticator.remember(*asked)
    assert authenticator.remembers(*asked)
    for other in ((asked[0] + "x", *asked[1:]), (*asked[:1], "manage", "claims"), (*asked[:2], "parts")):
        assert not authenticator.remembers(*other)
    now[0] = "2026-06-01T01:00:00.000000Z"
    assert not authenticator.remembers(*asked), "it has expired"


def test_what_was_admitted_is_forgotten_once_rights_change(factory):
    """Also if nobody but those who are remembered ask."""
    token = token_create(factory, "shop", kind="predict").token
    asked = (f"Bearer {token}", "predict", "claims")
    authenticator = Authenticator(state=factory.state)
    authenticator.identify([asked[0]])
    authenticator.remember(*asked)

    token_revoke(factory, "shop")
    time.sleep(LOOK_S + 0.05)
    assert not authenticator.remembers(*asked)
    with pytest.raises(Unauthenticated):
        authenticator.identify([asked[0]])
    assert not authenticator.remembers(*asked)


def test_a_members_token_can_do_what_both_may(factory):
    """A role that is taken away is gone at once; so is a member, with what they were signed in with."""
    member_add(factory, "ada@example.org", role="engineer", lines=("claims",))
    token = token_create(factory, "ci", kind="engineer", member="ada@example.org").token
    state = factory.state
    ada = Authenticator(state=state).identify([f"Bearer {token}"])

    assert ("ada@example.org (token ci)", "ada@example.org") == (ada.actor, ada.member)
    assert (True, False, False) == (
        ada.allows("run", "claims"),
        ada.allows("run", "parts"),
        ada.allows("run"),
    )

    member_role(factory, "ada@example.org", "engineer", lines=("claims",), off=True)
    member_role(factory, "ada@example.org", "viewer")
    ada = Authenticator(state=state).identify([f"Bearer {token}"])
    assert (False, True) == (ada.allows("run", "claims"), ada.allows("view"))

    member_remove(factory, "ada@example.org")
    with pytest.raises(Unauthenticated):
        actor_of(Authenticator(state=state), token)
    assert ("revoked",) == tuple(one.state for one in token_list(factory).tokens)
    assert () == member_list(factory).members


def test_the_owners_token_is_of_no_use_once_an_admin_has_one(factory):
    """Who can read the folder needs none; a copy of the token that somebody keeps must not last for ever."""
    authenticator = Authenticator("lw_00000000_" + "a" * 43, state=factory.state, actor="root")
    assert "root" == actor_of(authenticator, "lw_00000000_" + "a" * 43)

    token_create(factory, "boss", kind="admin")

    authenticator = Authenticator("lw_00000000_" + "a" * 43, state=factory.state, actor="root")
    with pytest.raises(Unauthenticated, match="an admin has one"):
        actor_of(authenticator, "lw_00000000_" + "a" * 43)


def test_a_token_is_told_once_and_kept_nowhere(tmp_path):
    """Its digest lets nobody in. A byte search of all that the factory has."""
    root = tmp_path / "factory"
    assert 0 == carry_out(root, "init", str(root)).returncode
    told = carry_out(root, "token", "create", "ci", "--kind", "predict", "--json", "--factory", str(root))
    token = json.loads(told.stdout)["token"]
    listed = carry_out(root, "token", "list", "--json", "--factory", str(root))

    assert "ci" == json.loads(listed.stdout)["tokens"][0]["name"]
    assert "Authorization" not in listed.stdout
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if token.split("_", 2)[-1].encode() in path.read_bytes()]
    assert 0o600 == (root / ".linewright" / "access.json").stat().st_mode & 0o777


def test_a_command_with_a_token_is_who_has_it(tmp_path):
    """A program on the machine of the factory is held to what its token is for, and the record names it."""
    root = tmp_path / "factory"
    with Factory.create(root) as factory:
        narrow = token_create(factory, "narrow", kind="predict").token
        boss = token_create(factory, "boss", kind="admin").token

    def asked(token: str) -> tuple[int, dict[str, Any]]:
        words = ("member", "add", "ada", "--role", "viewer", "--json", "--factory", str(root))
        done = carry_out(root, *words, LINEWRIGHT_TOKEN=token)
        return done.returncode, json.loads(done.stdout)

    assert (2, "Denied") == (asked(narrow)[0], asked(narrow)[1]["error"])
    assert (2, "Unauthenticated") == (asked("lw_0a1b2c3d_x")[0], asked("lw_0a1b2c3d_x")[1]["error"])
    assert 0 == asked(boss)[0]
    with Factory.open(root) as factory:
        assert ["token boss"] == [one.by for one in factory.metadata.events(MemberChanged)]


def test_the_owners_token_is_the_owners_for_a_command_too(tmp_path):
    """Whoever is told of `.linewright/control.token`, and gives it, must not be sent to it again."""
    root = tmp_path / "factory"
    with Factory.create(root) as factory:
        owners = control_token(factory.state)
        boss = token_create(factory, "boss", kind="admin").token

    def asked(name: str, token: str) -> "subprocess.CompletedProcess[str]":
        words = ("member", "add", name, "--role", "viewer", "--factory", str(root))
        return carry_out(root, *words, LINEWRIGHT_TOKEN=token)

    assert 0 == asked("ada", owners).returncode
    refused = asked("bob", owners[:-1] + ("x" if owners[-1] != "x" else "y"))
    assert 2 == refused.returncode
    assert "control.token" not in refused.stderr
    assert "unset LINEWRIGHT_TOKEN" in refused.stderr
    assert [0, 0] == [asked("bob", "").returncode, asked("cem", boss).returncode]


def test_an_owner_whose_token_is_of_no_use_is_not_sent_to_it(tmp_path):
    """The hint names what works: another token."""
    with Factory.create(tmp_path) as factory:
        owners = control_token(factory.state)
        token_create(factory, "boss", kind="admin")

        with pytest.raises(Unauthenticated, match="of no use") as caught:
            Authenticator(owners, state=factory.state).identify([f"Bearer {owners}"])

    assert "linewright token create" in caught.value.hint
    assert "control.token" not in caught.value.hint


def test_what_is_asked_for_wrongly_changes_nothing(factory):
    """Each with a name, a role or a time that cannot be."""
    member_add(factory, "ada", role="admin")
    token_create(factory, "ci", kind="predict")
    before = (factory.state / "access.json").read_bytes()
    for error, wrong in (
        (Conflict, lambda: member_add(factory, "ada", role="viewer")),
        (RequestError, lambda: member_add(factory, "../ada", role="viewer")),
        (NotFound, lambda: member_add(factory, "bob", role="viewer", lines=("nowhere",))),
        (NotFound, lambda: member_role(factory, "bob", "viewer")),
        (Conflict, lambda: member_role(factory, "ada", "admin", off=True)),
        (Conflict, lambda: member_remove(factory, "ada")),
        (Conflict, lambda: token_create(factory, "ci", kind="predict")),
        (RequestError, lambda: token_create(factory, "x", kind="predict", expires="731d")),
        (RequestError, lambda: token_create(factory, "x", kind="predict", expires="0d")),
        (NotFound, lambda: token_create(factory, "x", kind="predict", member="bob")),
        (NotFound, lambda: token_revoke(factory, "nothing")),
    ):
        with pytest.raises(error):
            wrong()

    assert before == (factory.state / "access.json").read_bytes()
    assert (1, 1) == (len(factory.metadata.events(MemberChanged)), len(factory.metadata.events(TokenChanged)))
    assert verify_chain(factory).problems == ()


def test_the_owner_is_let_in_again_where_no_admin_can_be(factory):
    """A token that says admin lets no admin in once it is revoked, has expired, or its member is none."""
    mine = "lw_00000000_" + "a" * 43
    member_add(factory, "ada", role="viewer")
    token_create(factory, "of-a-viewer", kind="admin", member="ada")
    token_create(factory, "short", kind="admin", expires="1s")
    later = "2999-01-01T00:00:00.000000Z"

    with pytest.raises(Unauthenticated, match="an admin has one"):
        actor_of(Authenticator(mine, state=factory.state), mine)
    assert "owner" == actor_of(Authenticator(mine, state=factory.state, now=lambda: later), mine)
    token_revoke(factory, "short")
    assert "owner" == actor_of(Authenticator(mine, state=factory.state), mine)


def test_a_backup_has_the_members_and_no_token(factory, tmp_path):
    """Else an old copy would let in again whom somebody has shut out; and one that was made up would let in its maker."""
    member_add(factory, "ada", role="engineer", lines=("claims",))
    token = token_create(factory, "ci", kind="predict", member="ada").token
    backup(factory, tmp_path / "b.tar")
    restored = restore(Factory(tmp_path / "new"), tmp_path / "b.tar")

    with Factory.open(restored.factory) as new:
        assert ["ada"] == [one.member for one in member_list(new).members]
        assert () == token_list(new).tokens
        with pytest.raises(Unauthenticated):
            actor_of(Authenticator(state=new.state), token)
    assert sha256(token).encode() not in (tmp_path / "b.tar").read_bytes()


@pytest.mark.parametrize("how", ["others may read it", "a link", "damaged", "a newer one"])
def test_a_file_of_members_and_tokens_that_is_not_right_lets_nobody_in(how, factory):
    """Somebody else may have written it."""
    token = token_create(factory, "ci", kind="predict").token
    path = factory.state / "access.json"
    if how == "others may read it":
        path.chmod(0o644)
    elif how == "a link":
        path.rename(path.with_name("elsewhere.json"))
        path.symlink_to("elsewhere.json")
    elif how == "damaged":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.write_text('{"version": 2}')

    with pytest.raises((Denied, Corrupt, BackendError)) as refused:
        actor_of(Authenticator(state=factory.state), token)
    assert "access.json" in str(refused.value)
    with pytest.raises((Denied, Corrupt, OSError)):
        member_add(factory, "ada", role="viewer")


def test_the_last_use_of_a_token_is_noted_to_the_minute(factory):
    """Whoever tidies up sees what nobody needs any more."""
    token = token_create(factory, "ci", kind="predict").token
    assert [None] == [one.last_use for one in token_list(factory).tokens]

    actor_of(Authenticator(state=factory.state), token)

    used = token_list(factory).tokens[0].last_use
    assert used is not None
    assert used.endswith(":00Z")
    assert 0o600 == (factory.state / "tokens" / token.split("_")[1]).stat().st_mode & 0o777


def test_the_file_of_a_factory_can_require_a_token(tmp_path):
    """As the page on rights says; a yes or no is not taken for a secret that somebody wrote into the file."""
    Factory.create(tmp_path).close()
    (tmp_path / "factory.yaml").write_text("format: 1\nlimits: {needs_token: true}\n")

    assert read_factory_file(tmp_path).limits.needs_token


def test_who_may_not_make_a_token_is_told_whom_to_ask(factory):
    """A hint that names the very command that was refused helps nobody; a token that is nobody's learns no names."""
    member_add(factory, "ada", role="engineer")
    member_add(factory, "eve@example.org", role="admin")
    tokens = [
        token_create(factory, name, kind="engineer", member=member).token
        for name, member in (("ci", "ada"), ("shop", None))
    ]
    ada, shop = (Authenticator(state=factory.state).identify([f"Bearer {token}"]) for token in tokens)

    assert "ask an admin: eve@example.org" == ada.refusal("manage").hint
    assert "ask the owner of the factory, or a member who is admin" == shop.refusal("manage").hint
    assert "an admin (eve@example.org) grants it: linewright member role" in ada.refusal("approve").hint
    assert "eve" not in shop.refusal("approve").hint
