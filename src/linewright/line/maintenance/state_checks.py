"""Whether what is in the state besides record, artifacts, logs and labels is what the record says of it.

Where each change of something is an event of the record, it is compared with these; where not, its changes are chained and checkpoints
enter their ends, see `chained_files`. What may be lost or changed without harm is in the table of `docs/how-to/care.md`.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import chain

import msgspec

from linewright.engine.context import Progress
from linewright.errors import Corrupt, Transient
from linewright.line.factory import Factory
from linewright.line.facts import Forgotten, PredictionsMade
from linewright.line.file.line_tags import wrong_tags
from linewright.line.maintenance.problem import AGAIN, Problem, guarded, problem_of
from linewright.line.maintenance.record_checks import Record
from linewright.line.maintenance.schemas import OTHERS
from linewright.line.record.chained_files import (
    ALL_LINES,
    chained_file,
    name_of_annotations,
    names_of,
)
from linewright.line.record.checkpoint import HEAD_FILE
from linewright.line.retention.forgotten import forgetting_lines, forgotten_of
from linewright.line.scheduled.task_state import FOLDER as SCHEDULED
from linewright.line.scheduled.task_state import TaskState
from linewright.people.annotations import Annotations
from linewright.people.facts import MemberChanged, MemberInvited, SignedIn, TokenChanged
from linewright.serve.access.accounts import ACCESS_FILE, Accounts, Grant, Session, noted, read_accounts
from linewright.serve.access.line_tags import TAGS_FILE
from linewright.serve.access.sign_in import FIRST_ADMIN
from linewright.store.changes import damaged_pages
from linewright.store.clock import later, micros_of
from linewright.store.files.disk import explain_sqlite, is_busy
from linewright.store.metadata.database import open_file
from linewright.store.pushed_rows import FOLDER as PUSH
from linewright.store.pushed_rows import PushedRows
from linewright.store.values import digest_of_bytes
from linewright.text.numbers import count

_BUSY_S = 10.0
_MOVES_S = 0.5
"""Between a change of such a file and its event there is much less."""
_AHEAD_MICROS = 300_000_000
"""How far clocks may differ."""
_SIGNED_IN = 10_000
"""Newest events that are looked through for sessions of before their digest was noted."""


def check_state(factory: Factory, record: Record) -> Iterator[Problem]:
    """Compare all of it with the record, whose events were read."""
    checks: tuple[Callable[[], Iterator[Problem]], ...] = (
        lambda: _check_head(factory, record),
        lambda: _check_chained(factory, record),
        lambda: _check_lists(factory, record),
        lambda: _settled(lambda: _check_access(factory)),
        lambda: _check_tags(factory),
        lambda: _settled(lambda: _check_schedules(factory)),
        lambda: _check_other_databases(factory),
    )
    problems: list[Problem] = []
    for check in checks:
        guarded(problems, lambda check=check: problems.extend(check()))
    yield from problems


def _settled(check: Callable[[], Iterator[Problem]]) -> Iterator[Problem]:
    """Look again after a moment if something is wrong: the file may have changed and its event be about to be recorded."""
    if found := list(check()):
        time.sleep(_MOVES_S)
        found = list(check())
    yield from found


def _check_head(factory: Factory, record: Record) -> Iterator[Problem]:
    path = factory.state / HEAD_FILE
    if record.has_head and not path.exists():
        what = "the head of the record, by which an older copy of it is known, was removed"
        yield Problem(
            what=what,
            where=str(path),
            next="compare with a head that was kept elsewhere (linewright audit verify --against HEAD); `linewright up` keeps it again",
        )


def _check_chained(factory: Factory, record: Record) -> Iterator[Problem]:
    annotated = map(name_of_annotations, Annotations.queued(factory.state))
    for name in sorted({*record.ends, *names_of(factory, ALL_LINES), *annotated}):
        factory.report(Progress(step="verify", says=name))
        problems, marks = list[Problem](), record.ends.get(name, {})
        marks = {number: digest for number, digest in marks.items() if number}
        for what in guarded(problems, lambda name=name, marks=marks: _wrong_in(factory, name, marks)) or ():
            yield Problem(what=what, where=name, next=AGAIN)
        yield from problems


def _wrong_in(factory: Factory, name: str, marks: dict[int, str]) -> list[str]:
    file = chained_file(factory, name)
    if file is None:
        gone = f"it is lost: {count(max(marks, default=0), 'change')} of it were kept, and the file is gone"
        return [gone] if marks else []
    return file.wrong(marks)


def _check_lists(factory: Factory, record: Record) -> Iterator[Problem]:
    for line in sorted({*record.forgotten, *forgetting_lines(factory)}):
        problems = list[Problem]()
        found = guarded(
            problems, lambda line=line: list(_wrong_in_list(factory, line, record.forgotten.get(line, [])))
        )
        yield from problems
        for what in found or ():
            yield Problem(what=what, where=f"list of whom {line} forgot", next=AGAIN)


def _wrong_in_list(factory: Factory, line: str, removals: list[Forgotten]) -> Iterator[str]:
    known, recorded = forgotten_of(factory, line), {one.subject for one in removals}
    listed = {one.hash for one in known.subjects}
    if lost := recorded - listed:
        yield f"it lacks {len(lost):,} of those who were forgotten: their rows would be read again"
    if strange := {one.hash for one in known.subjects if one.done} - recorded:
        yield f"it has {len(strange):,} whose removal the record does not tell"
    keys = {one.key for one in removals if one.key}
    if keys and keys != {digest_of_bytes(known.key.encode())}:
        yield "its key is another one than when they were forgotten: nobody is known by a hash of it"
    sources = {name for one in removals for name in one.shortened if name.startswith(f"{PUSH}/")}
    for name in sorted(sources):
        those = {one.subject for one in removals if name in one.shortened}
        rows = chained_file(factory, name)
        if isinstance(rows, PushedRows) and not rows.lists(line, those):
            yield f"{name} would keep rows of persons who were forgotten"


def _check_access(factory: Factory) -> Iterator[Problem]:
    accounts, path = read_accounts(factory.state), factory.state / ACCESS_FILE
    # Read after the file: who changes it records it then.
    for what, after in chain(
        _wrong_members(factory, accounts),
        _wrong_tokens(factory, accounts),
        _wrong_sessions(factory, accounts),
    ):
        yield Problem(what=what, where=str(path), next=f"find out who wrote the file; {after}")


def _wrong_members(factory: Factory, accounts: Accounts) -> Iterator[tuple[str, str]]:
    recorded = {one.member: one for one in factory.metadata.events(MemberChanged, line="")}
    invited = {one.member for one in factory.metadata.events(MemberInvited, line="")}
    for name in sorted({*accounts.members, *recorded}):
        event, member = recorded.get(name), accounts.members.get(name)
        said = {(one.role, one.lines, one.tags) for one in event.roles} if event is not None else set()
        may = {(one.role, one.lines, one.tags) for one in member.grants} if member is not None else set()
        if name == FIRST_ADMIN and name in invited:  # whom `up` made, with this role, as nobody could sign in
            said, may = said - {_ADMIN}, may - {_ADMIN}
        elif member is not None and (event is None or event.is_removed):
            yield (
                f"member {name} is there, and the record does not say so",
                f"linewright member remove {name}",
            )
            continue
        if said != may:
            yield (
                f"member {name} may do something else than the record says",
                f"linewright member role {name} ROLE says it again",
            )


_ADMIN = ("admin", Grant(role="admin").lines, Grant(role="admin").tags)


def _wrong_tokens(factory: Factory, accounts: Accounts) -> Iterator[tuple[str, str]]:
    recorded = {one.token: one for one in factory.metadata.events(TokenChanged, line="")}
    for public, token in sorted(accounts.tokens.items()):
        event, after = recorded.get(public), f"linewright token revoke {public}"
        if event is None:
            yield f"token {public} is there, and the record does not say so", after
            continue
        said = (event.name, event.role, event.lines, event.tags, event.member, event.expires)
        grant = token.grant
        kept = (token.name, grant.role, grant.lines, grant.tags, token.member, token.expires)
        is_other = bool(event.sha256) and event.sha256 != noted(token.sha256)
        if kept != said or is_other or (event.is_revoked and not token.revoked):
            yield f"token {public} is another one than the record says, or may do something else", after


def _wrong_sessions(factory: Factory, accounts: Accounts) -> Iterator[tuple[str, str]]:
    now, left = factory.now(), dict[str, Session]()
    for public, session in sorted(accounts.sessions.items()):
        if (
            session.expires > now
            and factory.metadata.newest_with(SignedIn, "session", noted(session.sha256)) is None
        ):
            left[public] = session
    if not left:
        return
    events = factory.metadata.events(SignedIn, line="", newest_first=True, limit=_SIGNED_IN)
    # Of before the digest was noted.
    recorded = {(one.member, one.at) for one in events if not one.session}
    for public, session in left.items():
        if (session.member, session.created) not in recorded:
            what = f"session {public} of {session.member or 'the owner'} is there, and the record does not say that they signed in"
            yield what, "sign out everywhere"


def _check_tags(factory: Factory) -> Iterator[Problem]:
    for line in wrong_tags(factory.root, factory.state):
        yield Problem(
            what=f"{line} has other tags than its line file says, and rights by tags follow them",
            where=str(factory.state / TAGS_FILE),
            next="remove the file: `linewright up` writes it again",
        )


def _check_schedules(factory: Factory) -> Iterator[Problem]:
    ahead = later(factory.now(), _AHEAD_MICROS)
    for path in sorted((factory.state / SCHEDULED).glob("*/*.json")):
        line, (what, _, name) = path.parent.name, path.stem.partition(".")
        with suppress(FileNotFoundError):
            for wrong in _wrong_in_schedule(
                factory, line, name if what == "predict" else "", path.read_bytes(), ahead
            ):
                yield Problem(
                    what=wrong,
                    where=str(path),
                    next="remove the file: its schedule then counts from now",
                    exit_code=Transient.exit_code,
                )


def _wrong_in_schedule(factory: Factory, line: str, job: str, body: bytes, ahead: str) -> Iterator[str]:
    try:
        state = msgspec.json.decode(body, type=TaskState)
        instants = [one for one in (state.since, state.began, state.failed) if one is not None]
        latest = max(map(micros_of, instants))
    except (msgspec.MsgspecError, ValueError):
        yield "the state of the schedule cannot be read"
        return
    if latest > micros_of(ahead):
        yield "the schedule is said to have been served in the future, so that nothing would be done until then"
    elif job and state.began is not None:
        events = [one for one in factory.metadata.events(PredictionsMade, line=line) if one.job == job]
        if not any((one.began, one.rows, one.to) == (state.began, state.rows, state.to) for one in events):
            yield "the record does not tell of the predictions that the schedule says were made last"


def _check_other_databases(factory: Factory) -> Iterator[Problem]:
    """Look for damaged pages in those of which the record holds nothing."""
    for path in (factory.state / name for name in OTHERS):
        if not path.is_file():
            continue
        try:
            with closing(open_file(path, busy_s=_BUSY_S)) as database:
                damage = damaged_pages(database)
        except sqlite3.DatabaseError as error:
            damage = []
            if not is_busy(error):
                found = explain_sqlite(error, str(path)) or Corrupt(
                    f"the database cannot be read: {error}", where=str(path)
                )
                yield problem_of(found, next=AGAIN)
        for one in damage:
            yield Problem(what=one, where=str(path), next=AGAIN)
