"""Proposals: who may approve what, once, and only as long as nothing under it moves.

`LOGNAME=mallory` once satisfied `approve: [chief-risk-officer]`. Here each way to get a change through without another member is tried.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import commands
import duckdb
import httpx
import pytest
import small
from approvals import by, waiting_factory, write
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from linewright.capabilities.care.operations.maintenance import forget
from linewright.capabilities.drafts.operations import new
from linewright.capabilities.members.operations.members import member_add, member_remove, member_role
from linewright.capabilities.members.operations.tokens import token_create
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.proposals import line_file
from linewright.capabilities.proposals.operations import approve, decline, proposals, propose
from linewright.capabilities.proposals.vote import approve as vote_for
from linewright.capabilities.releases.operations import promote, rollback
from linewright.data.finding_text import evidence_in_words
from linewright.errors import Conflict, Denied, LinewrightError, NotFound, RequestError, SpecError
from linewright.interfaces.cli.show import render
from linewright.interfaces.http.app import control_app
from linewright.line.check.plan_checks import check_plan
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Forgotten
from linewright.line.proposals.pending_subject import keep_subject
from linewright.line.runs.execute import execute
from linewright.model.facts import Certificate
from linewright.operations.table import OPERATIONS
from linewright.people.facts import Applied, ChangeProposed, Voted
from linewright.people.proposals import standing_of
from linewright.release.facts import Deployed, Promoted, Refused
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.store.clock import later
from linewright.store.values import digest_of_bytes

pytestmark = pytest.mark.usefixtures("processes")
LINE = small.LINE
LATE = "2999-01-01T00:00:00.000000Z"


@pytest.fixture
def factory(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """Open a factory whose candidate claims@2, of a run that ada started, waits for an approver."""
    with Factory.open(waiting_factory(tmp_path_factory, tmp_path / "factory")) as opened:
        yield opened


def waiting(factory: Factory) -> str:
    """Return the id of the one proposal that waits."""
    [one] = proposals(factory, LINE).proposals
    return one.proposal


def champion(factory: Factory) -> int | None:
    return factory.metadata.pointer(LINE).champion


def promotions(factory: Factory) -> list[Promoted]:
    return [one for one in factory.metadata.events(Promoted, line=LINE) if one.model == 2]


def test_a_run_that_must_wait_proposes_and_a_second_person_lets_the_model_serve(factory):
    """The record says who asked, who approved, and on which certificate."""
    [one] = proposals(factory).proposals
    hint = f"linewright approve {one.proposal}"

    assert ("promotion", "claims@2", "open", ("ada",)) == (one.kind, one.model, one.state, one.authors)
    assert (("approver",), 1) == (one.approvers, one.needed)
    assert hint in status(factory, LINE).lines[0].next
    assert (one.proposal,) == status(factory, LINE).lines[0].approvals
    assert hint in factory.metadata.events(Refused, line=LINE)[-1].because
    said = render(proposals(factory))
    for part in ("claims@2 is to serve", "ada", "approver: bob, cid", "0 of 1", one.expires[:10], hint):
        assert part in said

    with by(factory, "bob") as bob:
        done = approve(bob, one.proposal, comment="the certificate holds")

    [promoted] = promotions(factory)
    assert ("done", 2) == (done.state, champion(factory))
    assert (one.proposal, one.certificate, False) == (
        promoted.proposal,
        promoted.certificate,
        promoted.forced,
    )
    assert "bob" in promoted.by
    assert [("bob", "the certificate holds")] == [(v.member, v.comment) for v in done.approved]
    assert () == proposals(factory).proposals
    assert ["done"] == [p.state for p in proposals(factory, all=True).proposals]


@pytest.mark.usefixtures("forked")
def test_a_run_that_a_child_carries_out_has_the_member_who_started_it_as_author(factory):
    """So do all runs that are started by a command or over HTTP: without an author its starter could approve it alone."""
    file = factory.root / "lines" / f"{LINE}.yaml"
    file.write_text(file.read_text().replace("true_positive: 9", "true_positive: 6"))
    with by(factory, "ada") as ada:
        execute(ada, LINE)
        newest = proposals(ada, LINE).proposals[-1]

        assert "ada" == factory.metadata.events(Accepted, line=LINE)[-1].member
        assert ("ada",) == newest.authors
        with pytest.raises(Denied, match="nobody approves their own change"):
            approve(ada, newest.proposal)


@pytest.mark.parametrize("name", ["ada", "eve", "ann"])
def test_neither_the_author_nor_one_without_the_role_can_approve(factory, name):
    """Ada has the role, and started the run; eve and ann have none of the roles that are named."""
    with by(factory, name) as member, pytest.raises((Denied, NotFound)):
        approve(member, waiting(factory))

    assert 1 == champion(factory)
    assert [] == factory.metadata.events(Voted)


def test_who_the_operating_system_says_somebody_is_satisfies_nothing(factory):
    """LOGNAME=bob is no bob: not even the owner of the folder is a member."""
    one = waiting(factory)
    done = subprocess.run(
        [*commands.python(), "-m", "linewright", "approve", one, "--json", "--factory", str(factory.root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LOGNAME": "bob", "USER": "bob", "LINEWRIGHT_ACTOR": "bob"},
    )

    assert (2, "Denied") == (done.returncode, json.loads(done.stdout)["error"])
    assert 1 == champion(factory)
    assert [] == factory.metadata.events(Voted)


def test_an_author_cannot_approve_by_asking_in_another_way(factory):
    """By a proposal of their own, by force, by another's proposal of their model, and by the name of a member in the list."""
    write(factory, "about: another\n")  # what the run proposed is void now
    with by(factory, "eve") as eve:
        again = promote(eve, f"{LINE}@2")
        forced = promote(eve, f"{LINE}@2", force=True, because="now")
    assert (("ada", "eve"), False) == (again.authors, again.forced)
    assert again.proposal == forced.proposal  # it has a passing certificate, so there is nothing to force
    assert 4 == again.exit_code
    for name in ("ada", "eve"):
        with by(factory, name) as author, pytest.raises((Denied, NotFound)):
            approve(author, again.proposal)
    assert 1 == champion(factory)


def test_force_overrules_gates_and_never_approval(factory):
    """An approver sees that it is forced; the promotion says so."""
    certificate = factory.metadata.events(Refused, line=LINE)[-1].certificate
    worse = replace(factory.metadata.get(certificate, Certificate), verdict="reject")
    refused = replace(
        factory.metadata.events(Refused, line=LINE)[-1],
        at=factory.now(),
        certificate=factory.metadata.keep(worse),
        verdict="reject",
    )
    factory.metadata.record(refused)
    with by(factory, "eve") as eve:
        asked = promote(eve, f"{LINE}@2", force=True, because="the gate is wrong")
    assert ("open", True) == (asked.state, asked.forced)
    assert 1 == champion(factory)
    assert "by force" in render(asked)

    with by(factory, "bob") as bob:
        approve(bob, asked.proposal, comment="it is")

    assert [True] == [one.forced for one in promotions(factory)]


def test_an_approval_that_is_sent_again_changes_nothing(factory):
    """Nor does one by somebody else after it."""
    one = waiting(factory)
    with by(factory, "bob") as bob:
        first, again = approve(bob, one), approve(bob, one, comment="once more")
        with pytest.raises(Conflict, match="the proposal is done"):
            decline(bob, one)
    with by(factory, "cid") as cid, pytest.raises(Conflict, match="the proposal is done"):
        approve(cid, one)

    assert first == again
    assert (1, 1) == (len(promotions(factory)), len(factory.metadata.events(Voted)))


def test_two_approvals_at_once_carry_it_out_once(factory):
    """Whether each would do, or both are needed."""
    one = waiting(factory)

    def voted(name: str) -> str:
        try:
            with by(factory, name) as member:
                return approve(member, one).state
        except LinewrightError as error:
            return type(error).__name__

    with ThreadPoolExecutor(2) as pool:
        assert ["Conflict", "done"] == sorted(pool.map(voted, ("bob", "cid")))
    assert 1 == len(promotions(factory))


def test_as_many_members_as_are_needed_have_to_approve_each_once(factory):
    """An approval of a member who is gone, or whose role is, counts no more; nor does it for another of that name."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("approve: [approver]", "approve: [approver], approvals: 2"))
    with by(factory, "eve") as eve:
        one = promote(eve, f"{LINE}@2").proposal
    with by(factory, "bob") as bob:
        assert ["open"] * 2 == [approve(bob, one).state, approve(bob, one).state]

    member_role(factory, "bob", "approver", off=True)
    with by(factory, "cid") as cid:
        assert ("open", ["cid"]) == ((found := approve(cid, one)).state, [v.member for v in found.approved])
    member_remove(factory, "bob")
    member_add(factory, "bob", role="approver")
    assert ["cid"] == [v.member for v in proposals(factory).proposals[0].approved]
    assert 1 == champion(factory)

    with by(factory, "bob") as bob:
        assert "done" == approve(bob, one).state
    assert 1 == len(promotions(factory))


def test_a_declined_proposal_is_over(factory):
    """And a new one is another."""
    one = waiting(factory)
    with by(factory, "cid") as cid:
        assert ("declined", "no labels of May") == (
            (found := decline(cid, one, comment="no labels of May")).state,
            found.declined.comment,
        )
    with by(factory, "bob") as bob, pytest.raises(Conflict, match="the proposal is declined"):
        approve(bob, one)
    with by(factory, "eve") as eve:
        again = promote(eve, f"{LINE}@2").proposal
    assert one != again
    assert [] == promotions(factory)


def test_an_author_may_withdraw_what_they_asked_for(factory):
    """Though they may not approve it; nobody else takes it back, and no narrow token of theirs."""
    one = waiting(factory)
    with by(factory, "eve") as eve, pytest.raises(Denied, match="lacks the right approve"):
        decline(eve, one)
    with by(factory, "ada") as ada:
        ada.identity = replace(ada.identity, scopes=(Scope(permissions=ROLES["viewer"]),))
        with pytest.raises(Denied, match="lacks the right approve"):
            decline(ada, one)
    assert [] == factory.metadata.events(Voted)

    with by(factory, "ada") as ada:
        first = decline(ada, one, comment="the labels of May are wrong")
        again = decline(ada, one)
    assert first == again
    assert ("withdrawn", None) == (first.state, first.declined)
    assert ("ada", "the labels of May are wrong") == (first.withdrawn.member, first.withdrawn.comment)
    assert [("withdraw", "ada")] == [(voted.vote, voted.member) for voted in factory.metadata.events(Voted)]
    assert "withdrawn  ada" in render(first).replace("   ", " ")
    with by(factory, "bob") as bob, pytest.raises(Conflict, match="the proposal is withdrawn"):
        approve(bob, one)


def test_an_approver_who_is_nobody_is_a_finding(factory):
    """Else the first who learns of it is the one who waits for an approval."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    plain = path.read_text()

    def found(approve: str) -> list[tuple[str, dict[str, Any]]]:
        path.write_text(plain.replace("approve: [approver]", approve))
        spec = factory.line(LINE)
        return [
            (one.check, dict(one.evidence)) for one in check_plan(factory, spec) if "approver" in one.check
        ]

    assert [] == found("approve: [approver]")
    assert [] == found("approve: [bob, cid], approvals: 2")
    unknown = {"setting": "release.approve", "names": ("chief-risk-officer",)}
    assert [("unknown-approver", unknown)] == found("approve: [chief-risk-officer, approver]")
    few = {"setting": "release.approve", "members": 1, "needed": 2}
    assert [("few-approvers", few)] == found("approve: [bob], approvals: 2")
    assert "no member who may approve on this line is 'eve'" in evidence_in_words(
        "unknown-approver", {"setting": "release.approve", "names": ("eve",)}
    )
    path.write_text(plain + "changes: {approve: [dan], autonomy: [bob]}\n")
    assert ["changes.approve"] * 2 == [
        one.evidence["setting"] for one in check_plan(factory, factory.line(LINE))
    ]


def test_after_seven_days_it_is_expired(factory):
    """Not a moment before."""
    found = proposals(factory).proposals[0]
    with by(factory, "bob", now=lambda: found.expires) as bob, pytest.raises(Conflict, match="is expired"):
        approve(bob, found.proposal)
    with by(factory, "bob", now=lambda: later(found.expires, -1)) as bob:
        assert "done" == approve(bob, found.proposal).state


def _moved_champion(factory: Factory) -> None:
    promote(factory, f"{LINE}@2")
    rollback(factory, LINE)


def _moved_file(factory: Factory) -> None:
    write(factory, "owner: eve\n")


def _moved_certificate(factory: Factory) -> None:
    told = factory.metadata.events(Refused, line=LINE)[-1]
    other = replace(factory.metadata.get(told.certificate, Certificate), gates=digest_of_bytes(b"others"))
    factory.metadata.record(replace(told, at=factory.now(), certificate=factory.metadata.keep(other)))


@pytest.mark.parametrize(
    ("move", "what"),
    [
        (_moved_champion, "champion"),  # the same one serves as before, and not since then
        (_moved_file, "line file"),
        (_moved_certificate, "certificate"),
    ],
    ids=["champion", "line file", "certificate"],
)
def test_it_is_void_once_something_under_it_moved(factory, move, what):
    """What was approved is what was shown."""
    one = waiting(factory)
    move(factory)

    with (
        by(factory, "bob") as bob,
        pytest.raises(Conflict, match=f"the proposal is void: found 'another {what}'"),
    ):
        approve(bob, one)

    [found] = [each for each in proposals(factory, all=True).proposals if each.proposal == one]
    assert ("void", (what,)) == (found.state, found.moved)
    assert 1 == champion(factory)


def test_the_owner_may_break_the_glass_and_a_rollback_needs_nobody(factory):
    """The record says that nobody verified who it was."""
    with by(factory, "eve") as eve:
        assert "open" == promote(eve, f"{LINE}@2").state
    promote(factory, f"{LINE}@2", because="at night")
    assert promotions(factory)[0].by.endswith("(unverified)")
    assert promotions(factory)[0].proposal is None
    with by(factory, "eve") as eve:
        assert f"{LINE}@1" == rollback(eve, LINE).champion


def test_without_members_a_person_promotes_as_before(factory):
    """Nobody could approve, so nothing is proposed."""
    (factory.state / "access.json").unlink()
    assert f"{LINE}@2" == promote(factory, f"{LINE}@2").champion
    assert promotions(factory)[0].by.endswith("(unverified)")


def test_an_approved_model_is_tried_first_where_the_line_says_so(factory):
    """The proposal is done with the beginning of the trial."""
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(
        path.read_text().replace("approve: [approver]", "approve: [bob], rollout: canary, steps: [0.1, 1.0]")
    )
    with by(factory, "eve") as eve:
        one = promote(eve, f"{LINE}@2").proposal
    with by(factory, "cid") as cid, pytest.raises(Denied, match="none of those who may decide"):
        approve(cid, one)
    with by(factory, "bob") as bob:
        assert ["done"] * 2 == [approve(bob, one).state, approve(bob, one).state]
    assert [one] == [each.proposal for each in factory.metadata.events(Deployed, line=LINE)]
    assert 1 == champion(factory)


def test_a_first_file_is_its_authors_to_correct_until_there_is_a_model(factory):
    """Who makes a line from elsewhere has no editor there. What else of the machine it reads, and who approves, needs a second person."""
    path = factory.root / "lines" / "first.yaml"
    (factory.root / "mine.py").write_text("def make(): ...\n")
    roles = {"label": "fraud", "key": "claim"}
    with by(factory, "eve") as eve:
        new(eve, "first", data=factory.root / "claims.csv", **roles)
        for about in ("one", "two"):
            text = f'{path.read_text()}goal: "{about}"\n'.replace('goal: "one"\n', "", int(about == "two"))

            done = propose(eve, "first", text, because="a better word")

            assert ("done", text, "not needed" in render(done)) == (done.state, path.read_text(), True)
        for before, after in (
            ("claims.csv", "/etc/passwd"),
            ("\ntrain:", "\nchanges: {approve: [engineer]}\ntrain:"),
            ("\ntrain:", "\nnotify: {me: {webhook: https://example.com, secret: file:/etc/shadow}}\ntrain:"),
            ("\ntrain:", "\ntrain:\n  python: mine.py:make"),
        ):
            other = text.replace(before, after, 2)
            assert ("open", text) == (
                propose(eve, "first", other, because="more").state,
                path.read_text(),
            ), after
    with by(factory, "ada") as ada:
        assert "open" == propose(ada, "first", text + "owner: ada\n", because="mine").state

    package = factory.metadata.versions(LINE)[0].digest
    factory.metadata.register("first", package, at=factory.now())
    with by(factory, "eve") as eve:
        assert "open" == propose(eve, "first", text + "owner: eve\n", because="late").state


def test_a_query_that_nobody_has_approved_is_not_carried_out_for_who_may_only_plan(factory, monkeypatch):
    """What a database says of a query shows values of its tables."""
    file = factory.root / "people.duckdb"
    with duckdb.connect(file) as database:
        database.execute("create table people as select 'Ann Lee' as name")
    monkeypatch.setenv("PEOPLE_DB", f"duckdb:///{file}")
    source = 'sources: {people: {sql: "select cast(name as int) as claim from people", at: env:PEOPLE_DB}}'
    text = changed(factory, "").replace("sources: {claims: {file: claims.csv}}", source)
    member_add(factory, "ben", role="analyst", lines=(LINE,))
    with by(factory, "ben") as ben:
        done = propose(ben, LINE, text, because="more data")

        assert ("open", None) == (done.state, done.plan)
    with by(factory, "eve") as eve, pytest.raises(SpecError, match="Ann Lee"):
        propose(eve, LINE, text, because="more data")


def test_a_proposal_of_another_line_is_as_one_that_is_not_there(factory):
    """Word for word."""
    member_add(factory, "dan", role="approver", lines=(LINE,))
    (factory.root / "lines" / "parts.yaml").write_text(
        "line: parts\nsources: {t: {file: claims.csv}}\nlabel: {column: fraud}\n"
    )
    member_add(factory, "fay", role="approver", lines=("parts",))
    refusals = set[str]()
    with by(factory, "fay") as fay:
        for one in (waiting(factory), "0" * 12):
            with pytest.raises(NotFound) as refused:
                approve(fay, one)
            refusals.add(str(refused.value).replace(one, "ID"))
    assert 1 == len(refusals)
    with by(factory, "dan") as dan:
        assert "done" == approve(dan, waiting(factory)).state


# Line files


def changed(factory: Factory, *lines: str) -> str:
    """Return the text of the line file with further sections."""
    return (factory.root / "lines" / f"{LINE}.yaml").read_text() + "".join(lines)


def test_a_line_file_is_proposed_with_its_plan_and_replaced_when_approved(factory):
    """The exact bytes, on exactly the file that it was proposed on."""
    text = changed(factory, "about: Claims of cars  # as agreed\n")
    with by(factory, "eve") as eve:
        one = propose(eve, LINE, text, because="so that it is known")
        assert one.proposal == propose(eve, LINE, text, because="again").proposal
        with pytest.raises((Denied, NotFound)):
            approve(eve, one.proposal)
    assert ("line-change", "open", ("approver",)) == (one.kind, one.state, one.approvers)
    assert "+about: Claims of cars  # as agreed\n" in one.diff
    assert one.plan.plan.startswith("sha256:")
    assert all(part in render(one) for part in ("+about: Claims", "so that it is known", LINE))
    assert text != changed(factory)

    with by(factory, "bob") as bob:
        done = approve(bob, one.proposal, comment="good")

    assert ("done", text) == (done.state, changed(factory))
    assert [one.proposal] == [each.proposal for each in factory.metadata.events(Applied)]
    assert [LINE] == factory.names()


def test_an_analyst_proposes_and_applies_nothing(factory):
    """Who sees the money move may ask for the change; it waits as that of anybody does."""
    member_add(factory, "lee", role="analyst")
    before = changed(factory)
    with by(factory, "lee") as lee:
        one = propose(lee, LINE, changed(factory, "about: a\n"), because="it pays")
    assert ("open", 1, before) == (one.state, one.needed, changed(factory))
    with by(factory, "bob") as bob:
        assert "done" == approve(bob, one.proposal).state


def test_a_change_of_a_line_file_that_somebody_edited_is_void(factory):
    """Else their edit would be lost, or something would come in that nobody saw."""
    with by(factory, "eve") as eve:
        one = propose(eve, LINE, changed(factory, "about: a\n"), because="x").proposal
    write(factory, "# by hand\n")
    before = changed(factory)
    with by(factory, "bob") as bob, pytest.raises(Conflict, match="another line file"):
        approve(bob, one)
    assert before == changed(factory)


def test_who_may_approve_is_said_by_the_file_in_force(factory):
    """A proposal that names its author as approver, or asks for no approval, is decided by those of before."""
    write(factory, "changes: {approve: [cid], approvals: 1, autonomy: [bob]}\n")
    text = changed(factory).replace("approve: [cid], approvals: 1, autonomy: [bob]", "approve: [ada]")
    with by(factory, "ada") as ada:
        one = propose(ada, LINE, text, because="x")
        plain = propose(ada, LINE, changed(factory, "about: b\n"), because="x")
        free = propose(
            ada, LINE, changed(factory).replace("release: {approve: [approver]}\n", ""), because="x"
        )
    assert ("autonomy-change", ("bob",)) == (one.kind, one.approvers)
    assert ("line-change", ("cid",)) == (plain.kind, plain.approvers)
    assert ("autonomy-change", ("bob",)) == (free.kind, free.approvers)
    with by(factory, "cid") as cid, pytest.raises(Denied):
        approve(cid, one.proposal)
    with by(factory, "ada") as ada, pytest.raises(Denied, match="their own change"):
        approve(ada, one.proposal)


def test_a_wrong_line_file_is_not_proposed(factory):
    """Nor one of another line, nor the same again."""
    with by(factory, "eve") as eve:
        for text, error in (
            ("line: parts\n", SpecError),
            ("no yaml: [", SpecError),
            (changed(factory).replace("label:", "labels:"), SpecError),
            (changed(factory), RequestError),
        ):
            with pytest.raises(error):
                propose(eve, LINE, text, because="x")
    assert [] == [one for one in factory.metadata.events(ChangeProposed) if one.change_kind != "promotion"]


def test_who_is_killed_after_the_file_was_written_has_carried_it_out(factory, monkeypatch):
    """What is approved and stands in the file is done, whatever the record could not take up."""
    text = changed(factory, "about: a\n")
    with by(factory, "eve") as eve:
        one = propose(eve, LINE, text, because="x").proposal

    def killed(*_: Any) -> None:
        line_file.write_whole(factory.path_of(LINE), text.encode())
        raise KeyboardInterrupt

    monkeypatch.setattr("linewright.capabilities.proposals.vote.replace_file", killed)
    with by(factory, "bob") as bob, pytest.raises(KeyboardInterrupt):
        approve(bob, one)
    with by(factory, "bob") as bob:
        assert "done" == vote_for(bob, one, "")[0].standing.state
    assert 1 == len(factory.metadata.events(Voted))


# Removal


def test_forgetting_waits_for_approval_where_the_factory_says_so(factory):
    """The record never says who it is, and what is kept of it until then goes with the rest."""
    (factory.root / "factory.yaml").write_text("format: 1\napprove: {forget: [approver]}\n")
    path = factory.root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("table: {key: claim}", "table: {key: claim, subject: claim}"))
    with by(factory, "ann") as ann:
        one = forget(ann, LINE, subject="C001", yes=True)
        assert one.proposal == forget(ann, LINE, subject="C001", yes=True).proposal
    assert ("forget", "open", 4) == (one.kind, one.state, one.exit_code)
    assert 1 == one.removes["predictions"]
    told = factory.metadata.events(ChangeProposed)[-1]
    assert b"C001" not in factory.metadata.body(told.change)
    kept = factory.state / "proposals" / one.proposal
    assert 0 == kept.parent.stat().st_mode & 0o077

    with by(factory, "bob") as bob:
        done, again = approve(bob, one.proposal), approve(bob, one.proposal)

    assert ("done", 1, None) == (done.state, done.forgot.predictions, again.forgot)
    assert "removed: 1 prediction" in render(done)
    assert 1 == len(factory.metadata.events(Forgotten))
    assert not kept.exists()
    assert 0 == forget(factory, LINE, subject="C001", dry_run=True).predictions

    with by(factory, "ann") as ann:
        other = forget(ann, LINE, subject="C002", yes=True)
    keep_subject(factory, "0" * 12, "C002")
    assert 1 == forget(factory, LINE, subject="C002", yes=True).predictions  # the owner needs nobody
    assert [] == list((factory.state / "proposals").iterdir())
    with by(factory, "bob") as bob, pytest.raises(NotFound, match="not kept any more"):
        approve(bob, other.proposal)


# By HTTP and as a command


def test_it_is_the_same_over_http_and_as_a_command(factory):
    """With the tokens of members; a path in the body is a text like any other, and no file of the server is read."""
    tokens = {
        name: token_create(factory, f"{name}-t", kind=kind, member=name).token  # type: ignore[arg-type]
        for name, kind in (("ada", "approver"), ("bob", "approver"), ("eve", "engineer"))
    }
    scripts = token_create(factory, "scripts", kind="approver").token
    one = waiting(factory)

    @contextmanager
    def opened(identity: Identity) -> Iterator[Factory]:
        with Factory.open(factory.root, identity=identity) as asked:
            yield asked

    app = control_app(opened, OPERATIONS, authenticator=Authenticator(state=factory.state), root=factory.root)

    async def asked(asks: list[tuple[str, str, Mapping[str, Any]]]) -> list[tuple[int, Any]]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            found: list[tuple[int, Any]] = []
            for path, token, body in asks:
                headers = {"Authorization": f"Bearer {token}"}
                answer = await client.post(f"/api/v1/{path}", json=body, headers=headers)
                found.append((answer.status_code, answer.json()))
            return found

    text = changed(factory, "about: by http\n")
    refused = asyncio.run(
        asked(
            [
                ("approve", tokens["ada"], {"proposal": one}),
                ("approve", tokens["eve"], {"proposal": one}),
                ("approve", scripts, {"proposal": one}),
                ("propose", tokens["eve"], {"line": LINE, "file": "/etc/hostname", "because": "x"}),
                ("propose", tokens["eve"], {"line": LINE, "file": "x" * 300_000, "because": "x"}),
            ]
        )
    )
    assert [403, 403, 403, 422, 422] == [status for status, _ in refused]
    assert [] == factory.metadata.events(Voted)

    [(status_, proposed), (done, approved)] = asyncio.run(
        asked(
            [
                ("propose", tokens["eve"], {"line": LINE, "file": text, "because": "x"}),
                ("approve", tokens["bob"], {"proposal": one, "comment": "by http"}),
            ]
        )
    )
    assert (200, 200, "done", 2) == (status_, done, approved["state"], champion(factory))

    draft = factory.root / "draft.yaml"
    draft.write_text(text)
    for words, name, code in (
        (["propose", LINE, str(draft), "--because", "x"], "eve", 0),
        (["approve", proposed["proposal"], "--comment", "as a command"], "bob", 0),
    ):
        ran = subprocess.run(
            [*commands.python(), "-m", "linewright", *words, "--json", "--factory", str(factory.root)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LINEWRIGHT_TOKEN": tokens[name]},
        )
        assert code == ran.returncode, ran.stdout + ran.stderr
        assert proposed["proposal"] == json.loads(ran.stdout)["proposal"]
    assert text == changed(factory)


# Laws of the state

NAMES = ("ada", "bob", "cid", "dan")
PROPOSED = ChangeProposed(
    at="2026-01-02",
    by="ada",
    because="",
    line=LINE,
    id="p",
    change_kind="promotion",
    change="c",
    under={"champion": "1", "line file": "f"},
    authors=("ada",),
    expires="2026-01-09",
    approvers=("approver",),
    needed=2,
)
INSTANTS = st.sampled_from([f"2026-01-{day:02}" for day in range(1, 13)])
VOTES = st.lists(
    st.builds(
        Voted,
        at=INSTANTS,
        by=st.just("x"),
        because=st.just(""),
        line=st.just(LINE),
        proposal=st.sampled_from(["p", "p", "p", "q"]),
        change=st.sampled_from(["c", "c", "c", "d"]),
        vote=st.sampled_from(["approve", "approve", "approve", "decline", "withdraw"]),
        member=st.sampled_from(NAMES),
    ),
    max_size=8,
).map(lambda votes: sorted(votes, key=lambda one: one.at))
MEMBERS_SINCE = st.dictionaries(st.sampled_from(NAMES), INSTANTS)
UNDER = st.fixed_dictionaries({"champion": st.sampled_from("12"), "line file": st.sampled_from("fg")})


@given(votes=VOTES, since=MEMBERS_SINCE, under=UNDER, now=INSTANTS, is_done=st.booleans())
def test_the_state_keeps_its_laws(votes, since, under, now, is_done):
    """By any votes, members, times and moves."""
    given_ = {"now": now, "since": since, "under": under, "is_done": is_done}
    found = standing_of(PROPOSED, votes, **given_)
    names = [one.member for one in found.approved]

    assert len(names) == len(set(names))
    assert not {"ada"} & set(names)
    assert set(names) <= since.keys()
    assert all(since[one.member] <= one.at < PROPOSED.expires for one in found.approved)
    assert all((one.proposal, one.change, one.vote) == ("p", "c", "approve") for one in found.approved)
    assert is_done == (found.state == "done")
    if found.state == "approved":
        assert len(names) >= 2
        assert under == PROPOSED.under
        assert now < PROPOSED.expires
    if found.state == "void":
        assert (
            found.moved == tuple(name for name in sorted(under) if under[name] != PROPOSED.under[name]) != ()
        )
    assert found == standing_of(PROPOSED, [*votes, *votes], **given_)  # a replay changes nothing
    fewer = {name: at for name, at in since.items() if name != "bob"}
    assert len(standing_of(PROPOSED, votes, **{**given_, "since": fewer}).approved) <= len(names)
    others = [one for one in votes if one.vote == "approve"]
    mine = [one for one in votes if (one.proposal, one.change) == ("p", "c")]
    if any(one.vote == "decline" for one in mine):
        assert found.state in {"done", "declined"}
    elif any((one.vote, one.member) == ("withdraw", "ada") for one in mine):  # of somebody else it is nothing
        assert found.state in {"done", "withdrawn"}
    else:
        assert found == standing_of(PROPOSED, others, **given_)
    ended = standing_of(PROPOSED, votes, **{**given_, "now": LATE})
    assert ended.state in {"done", "declined", "withdrawn", "expired"}
