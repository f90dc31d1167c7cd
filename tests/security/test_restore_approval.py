"""A restore needs the approval of a second person where the factory in the backup says so: once, for exactly this backup."""

import asyncio
import hashlib
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any

import commands
import httpx
import pytest
from approvals import by
from templates import copied, made_once

from linewright.capabilities.audit.operations import audit_entries
from linewright.capabilities.care.operations.maintenance import backup
from linewright.capabilities.care.operations.restore import propose_restore, restore, use_approval
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.members.operations.members import member_add, member_role
from linewright.capabilities.members.operations.tokens import token_create
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.proposals.operations import approve, decline, proposals
from linewright.capabilities.proposals.vote import approve as vote_for
from linewright.errors import Conflict, Denied, LinewrightError, NotFound, RequestError
from linewright.interfaces.cli.elsewhere import ask_elsewhere
from linewright.interfaces.cli.show import render
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.line.factory import Factory
from linewright.operations.table import OPERATIONS
from linewright.people.facts import Applied, BackupRestored, Voted
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import Identity
from linewright.serve.reach import Reach
from linewright.store.clock import later

pytestmark = pytest.mark.usefixtures("processes")
RULE = "format: 1\napprove: {restore: [approver]}\n"
ASKED = {"because": "the disk is damaged"}


def _make(root: Path) -> None:
    with Factory.create(root) as factory:
        (root / "factory.yaml").write_text(RULE)
        for name, role in (("ann", "admin"), ("bob", "approver"), ("cid", "approver"), ("eve", "engineer")):
            member_add(factory, name, role=role)  # type: ignore[arg-type]
        backup(factory, root / "copy.tar")


@pytest.fixture
def factory(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """Open a factory whose restore needs one approver; its backup is the file copy.tar in it."""
    with Factory.open(
        copied(made_once(tmp_path_factory, "restore-approval", _make), tmp_path / "old")
    ) as one:
        yield one


@pytest.fixture
def new(tmp_path: Path) -> Factory:
    """Return a folder that is no factory yet, and whose restore asks other factories as the command does."""
    folder = Factory(tmp_path / "new", actor="local:ops (unverified)")
    folder.elsewhere = partial(ask_elsewhere, token="")
    return folder


def digest_of(file: Path) -> str:
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def asked(factory: Factory, file: Path, *, voters: tuple[str, ...] = ("bob",), asks: str = "ann") -> str:
    """Propose that a file is restored, have members approve it, and return the id."""
    with by(factory, asks) as member:
        one = propose_restore(member, digest_of(file), **ASKED).proposal
    for name in voters:
        with by(factory, name) as member:
            approve(member, one, comment="go")
    return one


def refused(new: Factory, file: Path, kind: type[LinewrightError], says: str, **given: str) -> None:
    """Require that a restore is refused, and that nothing is left of it."""
    with pytest.raises(kind, match=says):
        restore(new, file, **given)
    assert not new.root.exists()


def test_the_backup_says_that_its_restore_needs_approval(factory, new):
    """Not the folder that it is restored into; half an approval, or a reason of nothing, is none."""
    file, of = factory.root / "copy.tar", str(factory.root)

    refused(new, file, Denied, "needs approval.*1 of approver.*propose-restore.*--without-approval")
    refused(new, file, RequestError, "--approval ID --of FACTORY", approval="0" * 12)
    refused(new, file, RequestError, "--approval ID --of FACTORY", of=of)
    refused(new, file, RequestError, "wants to know why", without_approval=" ")
    refused(
        new, file, RequestError, "or a reason to do without", approval="0" * 12, of=of, without_approval="x"
    )
    refused(new, file, NotFound, "no proposal has this id", approval="0" * 12, of=of)
    (factory.root / "factory.yaml").write_text("format: 1\n")
    backup(factory, factory.root / "free.tar")
    assert digest_of(factory.root / "free.tar") == restore(new, factory.root / "free.tar").digest
    with Factory.open(new.root) as restored:
        assert [] == restored.metadata.events(BackupRestored)


def test_an_approval_lets_exactly_this_backup_be_restored_once(factory, new, tmp_path):
    """Both records say so, and the factory may go on between."""
    file, of = factory.root / "copy.tar", str(factory.root)
    with by(factory, "ann") as ann:
        made = backup(ann, tmp_path / "second.tar")
        one = propose_restore(ann, made.digest.removeprefix("sha256:"), **ASKED)
        assert one.proposal == propose_restore(ann, made.digest, **ASKED).proposal
    assert made.digest == digest_of(tmp_path / "second.tar")
    assert ("restore", "open", "", made.digest) == (one.kind, one.state, one.line, one.backup)
    assert f"digest: {made.digest}" in render(made)
    said = render(proposals(factory))
    for part in (f"the backup {made.digest} is to be restored", "the disk is damaged", "approver: bob, cid"):
        assert part in said
    with by(factory, "bob") as bob:
        found = approve(bob, one.proposal, comment="go")
    assert ("approved", f"--approval {one.proposal}") == (found.state, found.next[0][24:47])
    member_role(factory, "eve", "viewer")  # the factory goes on

    refused(new, file, Denied, "about another backup", approval=one.proposal, of=of)
    restored = restore(new, tmp_path / "second.tar", approval=one.proposal, of=of)

    [used] = factory.metadata.events(Applied)
    assert (one.proposal, "", one.change) == (used.proposal, used.line, used.change)
    assert made.digest == restored.digest
    with Factory.open(new.root) as opened:
        last = opened.metadata.history(limit=1)[0].event
        assert isinstance(last, BackupRestored)
        assert (one.proposal, ("bob",), made.digest) == (last.proposal, last.approved, last.backup)
        assert (ASKED["because"], "local:ops (unverified)") == (last.because, last.by)
        assert () == verify_factory(opened).problems
        assert status(opened).restored is None
    other = Factory(tmp_path / "again")
    other.elsewhere = new.elsewhere
    refused(other, tmp_path / "second.tar", Conflict, "the proposal is done", approval=one.proposal, of=of)
    assert ["done"] == [each.state for each in proposals(factory, all=True).proposals]


def test_only_a_proposal_that_is_approved_now_counts(factory, new):
    """Not while it is open, nor one whose approver lost the role, that was declined, or that expired; nobody approves their own."""
    file, of = factory.root / "copy.tar", str(factory.root)
    member_role(factory, "ann", "approver")
    one = asked(factory, file, voters=())
    with by(factory, "ann") as ann, pytest.raises(Denied, match="their own change"):
        approve(ann, one)
    with by(factory, "eve") as eve, pytest.raises(NotFound):
        approve(eve, one)
    with pytest.raises(Denied, match="only a member"):
        approve(factory, one)
    assert [] == factory.metadata.events(Voted)
    refused(new, file, Conflict, "the proposal is open.*0 of 1 approvals", approval=one, of=of)

    with by(factory, "bob") as bob:
        assert ("approved", None) == (vote_for(bob, one, "")[0].standing.state, vote_for(bob, one, "")[1])
    member_role(factory, "bob", "approver", off=True)
    refused(new, file, Conflict, "the proposal is open", approval=one, of=of)
    with by(factory, "cid") as cid:
        assert "approved" == approve(cid, one).state
        assert "declined" == decline(cid, one).state
    refused(new, file, Conflict, "the proposal is declined", approval=one, of=of)

    one = asked(factory, file, voters=("cid",))
    with by(factory, "ann") as ann:
        assert "withdrawn" == decline(ann, one).state
    refused(new, file, Conflict, "the proposal is withdrawn", approval=one, of=of)
    one, late = asked(factory, file, voters=("cid",)), later(factory.now(), 7 * 86_400 * 10**6)
    with by(factory, "ann", now=lambda: late) as ann, pytest.raises(Conflict, match="expired"):
        use_approval(ann, one, backup=digest_of(file), head=factory.metadata.head().digest)
    assert [] == factory.metadata.events(Applied)


def test_another_factory_cannot_approve_it(factory, new, tmp_path):
    """Else whoever makes a factory with members of any name approves all; nor one that names no approvers."""
    file = factory.root / "copy.tar"
    _make(tmp_path / "other")
    with Factory.open(tmp_path / "other") as other:
        one = asked(other, file)
        refused(new, file, Denied, "another history", approval=one, of=str(other.root))
        (other.root / "factory.yaml").write_text("format: 1\n")
        with pytest.raises(RequestError, match="nobody is named"):
            propose_restore(other, digest_of(file), **ASKED)
    with pytest.raises(RequestError, match="wants to know why"):
        propose_restore(factory, digest_of(file))


def test_an_approval_that_is_in_a_backup_is_used_by_no_copy(factory, new, tmp_path):
    """Else each factory that is made of the backup has it unused."""
    file = factory.root / "copy.tar"
    one = asked(factory, file)
    backup(factory, tmp_path / "second.tar")
    restore(new, tmp_path / "second.tar", without_approval="a drill")

    other = Factory(tmp_path / "other")
    other.elsewhere = new.elsewhere
    refused(other, file, Conflict, "the proposal is void", approval=one, of=str(new.root))
    assert digest_of(file) == restore(other, file, approval=one, of=str(factory.root)).digest


def test_a_kill_at_the_last_moment_leaves_no_factory_without_approval(factory, new, monkeypatch):
    """The approval is used then, and nothing else is there."""
    file, of = factory.root / "copy.tar", str(factory.root)
    one = asked(factory, file)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("linewright.capabilities.care.restore._move_out", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(new, file, approval=one, of=of)
    assert 1 == len(factory.metadata.events(Applied))
    refused(new, file, Conflict, "the proposal is done.*propose it again", approval=one, of=of)


def test_a_changed_backup_uses_up_no_approval(factory, new, tmp_path):
    """Whatever is wrong with it is found before."""
    file = tmp_path / "changed.tar"
    file.write_bytes((factory.root / "copy.tar").read_bytes().replace(RULE.encode(), b"#" * len(RULE)))
    one = asked(factory, file)

    refused(new, file, LinewrightError, "was changed", approval=one, of=str(factory.root))
    assert [] == factory.metadata.events(Applied)


def test_after_a_total_loss_the_record_says_who_did_without_and_why(factory, tmp_path):
    """As a command: `status` says so from then on, and it is an entry like any other."""
    words = ["restore", str(factory.root / "copy.tar"), "--factory", str(tmp_path / "new")]
    ran = [
        subprocess.run(
            [*commands.python(), "-m", "linewright", *words, *more],
            capture_output=True, text=True, check=False, env={**os.environ, "LOGNAME": "ops"},
        )
        for more in ((), ("--without-approval", "the machine burned down"))
    ]  # fmt: skip

    assert [2, 0] == [one.returncode for one in ran], ran[1].stderr
    assert "the restore of this backup needs approval" in ran[0].stderr
    with Factory.open(tmp_path / "new") as restored:
        [told] = restored.metadata.events(BackupRestored)
        assert ("the machine burned down", "", ()) == (told.because, told.proposal, told.approved)
        assert "(unverified)" in told.by
        assert "restored without approval" in render(status(restored))
        assert "the machine burned down" in render(status(restored))
        assert "backup-restored" in render(audit_entries(restored))


def test_it_is_the_same_over_http_and_as_a_command(factory, tmp_path):
    """Proposed and approved by members elsewhere; the restore asks the factory that is up, with a token of its admin."""
    file, tokens = factory.root / "copy.tar", {}
    for name, kind in (("ann", "admin"), ("bob", "approver"), ("eve", "engineer")):
        tokens[name] = token_create(factory, f"{name}-t", kind=kind, member=name).token  # type: ignore[arg-type]

    @contextmanager
    def opened(identity: Identity) -> Iterator[Factory]:
        with Factory.open(factory.root, identity=identity) as one:
            yield one

    app = control_app(opened, OPERATIONS, authenticator=Authenticator(state=factory.state), root=factory.root)

    async def post(asks: list[tuple[str, str, Mapping[str, Any]]]) -> list[tuple[int, Any]]:
        transport, found = httpx.ASGITransport(app=app), []
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            for path, name, body in asks:
                headers = {"Authorization": f"Bearer {tokens[name]}"}
                answer = await client.post(f"/api/v1/{path}", json=body, headers=headers)
                found.append((answer.status_code, answer.json()))
        return found

    proposed = {"backup": digest_of(file), "because": "x"}
    use = {"proposal": "", "backup": digest_of(file), "head": "0" * 64}
    [(refused_, _), (status_, one), (no_digest, _)] = asyncio.run(
        post([("propose-restore", "eve", proposed), ("propose-restore", "ann", proposed),
              ("propose-restore", "ann", {**proposed, "backup": str(file)})])
    )  # fmt: skip
    use["proposal"] = one["proposal"]
    found = asyncio.run(
        post([("approve", "ann", {"proposal": use["proposal"]}), ("approve", "bob", {"proposal": use["proposal"]}),
              ("use-approval", "bob", use), ("use-approval", "ann", use)])
    )  # fmt: skip
    assert [403, 200, 422] == [refused_, status_, no_digest]
    assert [403, 200, 403, 403] == [code for code, _ in found]
    assert "approved" == found[1][1]["state"]

    ending, ports = Event(), Queue[int]()
    serve = partial(
        serve_control, app, bound("127.0.0.1", 0), Reach(), ready=ports.put, is_stopped=ending.is_set
    )
    thread = threading.Thread(target=serve)
    thread.start()
    of = f"http://127.0.0.1:{ports.get(timeout=30)}"
    try:
        words = ["restore", str(file), "--approval", one["proposal"], "--of", of, "--json"]
        ran = [
            subprocess.run(
                [*commands.python(), "-m", "linewright", *words, "--factory", str(tmp_path / folder)],
                capture_output=True, text=True, check=False,
                env={**os.environ, "LINEWRIGHT_TOKEN": tokens[name]},
            )
            for folder, name in (("new", "eve"), ("new", "ann"), ("again", "ann"))
        ]  # fmt: skip
    finally:
        ending.set()
        thread.join(30)

    assert [2, 0, 2] == [each.returncode for each in ran], ran[1].stdout + ran[1].stderr
    assert ["Denied", "Conflict"] == [json.loads(ran[each].stdout)["error"] for each in (0, 2)]
    assert not (tmp_path / "again").exists()
    [used] = factory.metadata.events(Applied)
    assert "ann" in used.by
    with Factory.open(tmp_path / "new") as restored:
        [told] = restored.metadata.events(BackupRestored)
    assert (one["proposal"], ("bob",)) == (told.proposal, told.approved)


def test_a_backup_without_its_factory_file_is_none(factory, new, tmp_path):
    """Else nothing would say that its restore needs approval: neither one that is gone nor one that stands elsewhere."""
    for place in (None, "factory.yaml"):
        file = tmp_path / "bare.tar"
        with tarfile.open(factory.root / "copy.tar") as old, tarfile.open(file, "w") as bare:
            for one in old:
                data = old.extractfile(one)
                assert data is not None
                if one.name != "factory/factory.yaml":
                    bare.addfile(one, data)
                elif place:
                    one.name = place
                    bare.addfile(one, data)
        refused(new, file, LinewrightError, "was changed|no backup")
