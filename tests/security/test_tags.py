"""Rights by tag: they hold for the lines that have the tag at the moment, for commands, at the control plane and at the endpoint."""

import contextlib
import importlib.util
import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any

import httpx
import pytest

from linewright.capabilities.care.operations.maintenance import backup
from linewright.capabilities.members.operations.members import member_add, member_list, member_role
from linewright.capabilities.members.operations.tokens import token_create, token_list
from linewright.capabilities.serving.tagging import Tagging
from linewright.errors import Denied, RequestError
from linewright.interfaces.cli.build import run
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags
from linewright.line.proposals.rules import approvers_of
from linewright.operations.table import OPERATIONS
from linewright.people.facts import MemberChanged, TokenChanged
from linewright.serve.access import line_tags
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.line_tags import TAGS_FILE
from linewright.serve.access.rights import Identity
from linewright.store.files.stamps import YOUNG_S

spec = importlib.util.spec_from_file_location(
    "made_by_hand", Path(__file__).parents[1] / "serve" / "conftest.py"
)
assert spec is not None
assert spec.loader is not None
hand = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand)

LINE = (
    "line: {name}\ntags: [{tags}]\nsources: {{t: {{file: t.csv}}}}\nlabel: {{column: y, positive: 'yes'}}\n"
)
LINES = {"claims": "retail, eu", "parts": "us", "ads": ""}
SOON_S = 8.0
"""Within which a tag that was taken away gives no right."""


def write(root: Path, name: str, tags: str) -> None:
    (root / "lines" / f"{name}.yaml").write_text(LINE.format(name=name, tags=tags))


def made(root: Path) -> Factory:
    factory = Factory.create(root)
    for name, tags in LINES.items():
        write(root, name, tags)
    return factory


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    with made(tmp_path / "factory") as opened:
        yield opened


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory whose lines serve."""
    folder = tmp_path_factory.mktemp("tags") / "factory"
    with made(folder) as factory:
        for name in LINES:
            served = hand.Claims(factory.state, name)
            factory.metadata.register(name, served.make(1), at=factory.now())
            served.point(1)
    return folder


@pytest.fixture(scope="module")
def tokens(root: Path) -> dict[str, str]:
    with Factory.open(root) as factory:
        member_add(factory, "ada", role="analyst", tags=("eu",))
        return {
            "eu": token_create(factory, "eu", kind="agent", tags=("eu",)).token,
            "eu and ads": token_create(factory, "eu-ads", kind="agent", tags=("eu",), lines=("ads",)).token,
            "ada": token_create(factory, "ada-laptop", kind="agent", member="ada").token,
            "nothing": token_create(factory, "nothing", kind="agent", tags=("unheard-of",)).token,
        }


@pytest.fixture(scope="module")
def control(root: Path) -> Iterator[str]:
    """Run a control plane beside what keeps tags, and give its address."""
    ports, ending = Queue[int](), Event()
    app = control_app(
        lambda asked: Factory.open(root, identity=asked),
        OPERATIONS,
        authenticator=Authenticator(state=root / ".linewright"),
        root=root,
    )
    work = partial(serve_control, app, bound("127.0.0.1", 0), ready=ports.put, is_stopped=ending.is_set)
    thread = threading.Thread(target=work)
    thread.start()
    with closing(Tagging(lambda: Factory.open(root))):
        yield f"http://127.0.0.1:{ports.get(timeout=60)}"
    ending.set()
    thread.join(30)


@pytest.fixture(scope="module")
def endpoint(root: Path) -> Iterator[Any]:
    running = hand.Endpoint(root / ".linewright", limits={"needs_token": True})
    yield running
    running.close()


Ask = Callable[[str, str], int]
"""Asks with a token about a line, and returns the status."""


@pytest.fixture(scope="module")
def asks(root: Path, control: str, endpoint: Any) -> tuple[Ask, ...]:
    return partial(by_http, control), partial(by_endpoint, endpoint), partial(by_command, root)


def by_command(root: Path, token: str, line: str) -> int:
    """Return the status that the exit code of `status LINE` stands for."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("LINEWRIGHT_TOKEN", token)
        words = ["runs", line, "--json", "--factory", str(root)]
        code = run(words, OPERATIONS, lambda root, _progress, _any, asked: Factory.open(root, identity=asked))
    return 200 if not code else 403 if json.loads(out.getvalue())["error"] == "Denied" else code


def by_http(address: str, token: str, line: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{address}/api/v1/runs", params={"line": line}, headers=headers).status_code


def by_endpoint(endpoint: Any, token: str, line: str) -> int:
    ask = {"rows": [hand.ROW]}
    return endpoint.ask("POST", f"/v1/lines/{line}/predict", ask, Authorization=f"Bearer {token}")[0]


@pytest.mark.parametrize(
    ("who", "may"),
    [("eu", {"claims"}), ("eu and ads", {"claims", "ads"}), ("ada", {"claims"}), ("nothing", set())],
)
def test_a_grant_by_tag_is_for_the_lines_that_have_it(who, may, tokens, asks):
    """Names and tags add up. A line that is another's and one that is not there get the same answer; an unknown tag gives nothing."""
    for line in ("claims", "parts", "ads", "missing"):
        assert [200 if line in may else 403] * len(asks) == [ask(tokens[who], line) for ask in asks], line


def test_a_tag_that_comes_or_goes_under_a_running_server_counts_soon(root, tokens, asks):
    """Who may change a line file may let others in, and keep them out."""
    asks_eu = [partial(ask, tokens["eu"]) for ask in asks]
    for line, tags, wanted in (
        ("parts", "us, eu", 200),
        ("parts", "us", 403),
        ("parts", "eu", 200),
        ("parts", "eu]", 403),
        ("parts", "us", 403),
    ):
        write(root, line, tags)
        until = time.monotonic() + SOON_S
        # A command would read the tags again by itself.
        while {wanted} != {ask(line) for ask in asks_eu[:2]} and time.monotonic() < until:
            time.sleep(0.1)
        assert [wanted] * len(asks_eu) == [ask(line) for ask in asks_eu], tags
        assert [200] * len(asks_eu) == [ask("claims") for ask in asks_eu], "other lines stay as they are"


def test_a_file_that_is_being_written_does_not_shut_out_who_may(factory):
    """An editor empties a file before it writes it; what stays wrong gives no right."""
    token = token_create(factory, "eu", kind="viewer", tags=("eu",)).token
    authenticator = Authenticator(state=factory.state)
    path = factory.root / "lines" / "claims.yaml"
    text = path.read_text()
    assert authenticator.identify([f"Bearer {token}"]).allows("view", "claims")

    for half in ("", text[:20]):
        path.write_text(half)
        keep_tags(factory.root, factory.state)
        time.sleep(line_tags.LOOK_S)
        assert authenticator.identify([f"Bearer {token}"]).allows("view", "claims")
    time.sleep(YOUNG_S)
    keep_tags(factory.root, factory.state)
    assert not identity(factory, token).allows("view", "claims")


def identity(factory: Factory, token: str) -> Identity:
    return Authenticator(state=factory.state).identify([f"Bearer {token}"])


def test_what_nobody_read_again_gives_no_right(factory, monkeypatch):
    """A worker that hangs, or is not there, must not keep somebody in: a file that was written since vouches for nothing."""
    monkeypatch.setattr(line_tags, "GRACE_S", 0.3)
    token = token_create(factory, "eu", kind="viewer", tags=("eu",)).token
    authenticator = Authenticator(state=factory.state)

    def may() -> bool:
        return authenticator.identify([f"Bearer {token}"]).allows("view", "claims")

    assert may()
    write(factory.root, "claims", "")
    assert not identity(factory, token).allows("view", "claims"), "who has not seen it right gives it no time"
    time.sleep(0.6)
    assert not may()
    write(factory.root, "claims", "eu")
    keep_tags(factory.root, factory.state)
    time.sleep(0.6)
    assert may()


@pytest.mark.parametrize("held", [b"{", b'{"lines": 3}', None])
def test_a_file_of_tags_that_is_damaged_or_gone_gives_no_right(held, factory):
    """And nobody is kept out for it who has a right by the name of a line."""
    token = token_create(factory, "eu", kind="viewer", tags=("eu",), lines=("ads",)).token
    (factory.state / TAGS_FILE).unlink()
    if held is not None:
        (factory.state / TAGS_FILE).write_bytes(held)
        (factory.state / TAGS_FILE).chmod(0o600)

    found = identity(factory, token)

    assert (False, True, False) == tuple(found.allows("view", line) for line in ("claims", "ads", None))


def test_others_must_not_have_written_the_file_of_tags(factory):
    """It says who may ask."""
    token = token_create(factory, "eu", kind="viewer", tags=("eu",)).token
    assert 0o600 == (factory.state / TAGS_FILE).stat().st_mode & 0o777
    (factory.state / TAGS_FILE).chmod(0o622)

    assert frozenset() == identity(factory, token).lines("view")


def test_a_right_by_tags_that_no_line_has_is_none(factory):
    """An empty set of lines must never be taken for all."""
    token = token_create(factory, "boss", kind="admin", tags=("unheard-of",)).token
    found = identity(factory, token)

    assert not found.allows_somewhere("manage")
    assert not found.is_owner
    with pytest.raises(Denied, match="found 'no right'"):
        found.require("manage")
    with pytest.raises(Denied):
        found.require("view", ["claims"])


@pytest.mark.parametrize("words", [("--tags", ""), ("--lines", ""), ("--tags", " "), ("--tags", "a" * 64)])
def test_an_empty_option_is_not_the_whole_factory(words, factory, capsys):
    """A shell's variable that is not set would give everything."""
    command = ["token", "create", "shop", "--kind", "predict", *words, "--json"]

    assert 2 == run(command, OPERATIONS, lambda *_: nullcontext(factory))
    assert "RequestError" == json.loads(capsys.readouterr().out)["error"]
    assert () == token_list(factory).tokens


def test_lists_and_record_say_the_tags(factory):
    """Who looks after members sees what a role is for; what is taken away is exactly what was given."""
    member_add(factory, "ada", role="engineer", tags=("retail", "eu", "eu"))
    member_role(factory, "ada", "viewer", lines=("ads",), tags=("us",))
    token_create(factory, "shop", kind="predict", tags=("eu",))

    assert ("engineer on tags eu, retail", "viewer on ads and tags us") == member_list(factory).members[
        0
    ].roles
    assert "predict on tags eu" == token_list(factory).tokens[0].may
    assert ("eu", "retail") == factory.metadata.events(MemberChanged)[-1].roles[0].tags
    assert ("eu",) == factory.metadata.events(TokenChanged)[-1].tags
    member_role(factory, "ada", "engineer", tags=("eu",), off=True)
    member_role(factory, "ada", "engineer", off=True)
    assert 2 == len(member_list(factory).members[0].roles)
    member_role(factory, "ada", "engineer", tags=("eu", "retail"), off=True)
    assert ("viewer on ads and tags us",) == member_list(factory).members[0].roles


def test_an_approver_by_tag_approves_on_the_lines_that_have_it(factory):
    """By the file in force: a proposal that adds a tag gives nobody a vote on itself."""
    member_add(factory, "bob", role="approver", tags=("eu",))

    assert {"bob"} == approvers_of(factory, "claims", ("approver",)).keys()
    assert {"bob"} == approvers_of(factory, "claims", ("bob",)).keys()
    assert set() == approvers_of(factory, "parts", ("approver", "bob")).keys()
    write(factory.root, "claims", "us")
    assert set() == approvers_of(factory, "claims", ("approver", "bob")).keys()


def test_a_backup_has_the_grants_and_not_the_tags_of_lines(factory, tmp_path):
    """They follow from the line files; a restored factory reads those."""
    member_add(factory, "ada", role="engineer", tags=("eu",))
    backup(factory, tmp_path / "backup.tar")

    with tarfile.open(tmp_path / "backup.tar") as archive:
        names = archive.getnames()
        held = archive.extractfile(next(one for one in names if one.endswith("access.json")))
        assert held is not None
        assert b'"eu"' in held.read()
    assert not [one for one in names if TAGS_FILE in one]


def test_words_that_are_no_tags_are_refused(factory):
    """Before anything is changed."""
    with pytest.raises(RequestError, match="cannot be a tag"):
        member_add(factory, "ada", role="viewer", tags=("",))
    assert () == member_list(factory).members
