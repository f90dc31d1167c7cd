"""Signed checkpoints: whatever is done to the record is found, and no checkpoint is lost or written over."""

import base64
import json
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from receivers import webhook

from linewright.capabilities.audit.auditing import Auditing
from linewright.capabilities.audit.key import make_key, open_key
from linewright.capabilities.audit.operations import audit_entries, audit_export, audit_key, audit_verify
from linewright.capabilities.audit.proof import Proof, prove
from linewright.capabilities.audit.publish import publish, withheld
from linewright.capabilities.audit.signed_note import Checkpoint, key_of, note_of, read_key, read_note
from linewright.capabilities.care.operations.maintenance import doctor
from linewright.capabilities.overview.operations.status import status
from linewright.errors import Conflict, Corrupt, Denied, NotFound, RequestError, SpecError
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS
from linewright.people.facts import MemberChanged
from linewright.plugins.ed25519 import Key, is_signed, new_key
from linewright.store.clock import later, now_utc
from linewright.store.metadata.audit_chain import ROOT, Head, Link, link

SEED = 20261129
ENTRIES, EVERY = 48, 6


def chained(rows: list[Link]) -> list[Link]:
    """Return entries with the digests that belong to them: as somebody leaves them who knows how the chain is made."""
    before, found = ROOT, list[Link]()
    for number, one in enumerate(rows, 1):
        fields = {name: getattr(one, name) for name in ("kind", "line", "at", "by", "because", "body")}
        before = link(before, **fields)
        found.append(one._replace(seq=number, chain=before))
    return found


def head_of(rows: list[Link]) -> Head:
    return Head(len(rows), rows[-1].chain if rows else ROOT)


RECORD = chained(
    [
        Link(n, "promoted", "claims", f"2026-11-25T00:00:{n:02}Z", "ada", "asked for", f'{{"model":{n}}}', "")
        for n in range(ENTRIES)
    ]
)
SIGNING = Key(new_key())
PUBLIC = key_of(SIGNING.public)


def note(entries: int, digest: str, previous: int | None = None, *, key: Key = SIGNING) -> bytes:
    public = key_of(key.public)
    checkpoint = Checkpoint(public.name, entries, digest, previous)
    return note_of(checkpoint, public, key.sign(checkpoint.text))


CHECKPOINTS = {
    f"{at:012d}.checkpoint": note(at, RECORD[at - 1].chain, at - EVERY)
    for at in range(EVERY, ENTRIES + 1, EVERY)
}


def proof(rows: list[Link], files: dict[str, bytes] = CHECKPOINTS) -> Proof:
    return prove(iter(rows), head_of(rows), files, [PUBLIC], is_signed)


def numbered(rows: list[Link]) -> list[Link]:
    return [one._replace(seq=number) for number, one in enumerate(rows, 1)]


def changed(one: Link, chance: random.Random) -> Link:
    field = chance.choice(["kind", "line", "at", "by", "because", "body"])
    return one._replace(**{field: getattr(one, field) + chance.choice([" ", "x", "\0"])})


Tampering = Callable[[list[Link], random.Random], tuple[list[Link], int]]
"""Takes entries, returns others, and how many before the first that is wrong."""


def change(rows: list[Link], chance: random.Random) -> tuple[list[Link], int]:
    at = chance.randrange(len(rows))
    return [*rows[:at], changed(rows[at], chance), *rows[at + 1 :]], at


def delete(rows: list[Link], chance: random.Random) -> tuple[list[Link], int]:
    at = chance.randrange(len(rows))
    return rows[:at] + rows[at + 1 :], at


def insert(rows: list[Link], chance: random.Random) -> tuple[list[Link], int]:
    at = chance.randrange(len(rows))
    return numbered([*rows[:at], changed(chance.choice(rows), chance), *rows[at:]]), at


def reorder(rows: list[Link], chance: random.Random) -> tuple[list[Link], int]:
    one, other = sorted(chance.sample(range(len(rows)), 2))
    found = list(rows)
    found[one], found[other] = rows[other], rows[one]
    return numbered(found), one


def truncate(rows: list[Link], chance: random.Random) -> tuple[list[Link], int]:
    """Cut off the end, also of what the database says of its own end; or put an older copy back, which is the same to see."""
    at = chance.randrange(len(rows))
    return rows[:at], at


def roll_back(rows: list[Link], chance: random.Random) -> tuple[list[Link], int]:
    """Put an older copy back, and let the factory go on with it."""
    at = chance.randrange(len(rows))
    more = [changed(chance.choice(rows), chance) for _ in range(chance.randrange(len(rows)))]
    return chained([*rows[:at], *more]), at


def rebuilt(tamper: Tampering) -> Tampering:
    """Make the whole chain anew after a change."""

    def then(rows: list[Link], chance: random.Random) -> tuple[list[Link], int]:
        found, at = tamper(rows, chance)
        return chained(found), at

    return then


TAMPERINGS: dict[str, Tampering] = {
    "change": change,
    "delete": delete,
    "insert": insert,
    "reorder": reorder,
    "truncate": truncate,
    "roll back": roll_back,
    "change, rebuild": rebuilt(change),
    "delete, rebuild": rebuilt(delete),
    "insert, rebuild": rebuilt(insert),
    "reorder, rebuild": rebuilt(reorder),
}


def test_a_thousand_tamperings_are_found():
    """The first entry that is named is no later than the checkpoint behind the first that is wrong, and nothing wrong is proved."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    assert (ENTRIES, None, ()) == (proof(RECORD).proved, proof(RECORD).first_bad, proof(RECORD).findings)

    for number in range(1000):
        name = list(TAMPERINGS)[number % len(TAMPERINGS)]
        rows, at = TAMPERINGS[name](RECORD, chance)
        found = proof(rows)

        case = (number, name, at, found)
        assert found.first_bad is not None, case
        assert found.proved <= at, case
        assert found.proved < found.first_bad <= at + 1 + (name == "delete"), case


def test_a_checkpoint_that_was_touched_is_found():
    """Each is named: one that was changed, one of another key, one that is gone from among the others, and what is none."""
    first, second, *_ = CHECKPOINTS
    text = CHECKPOINTS[second]
    other = Key(new_key())
    faults = {
        "forged": {**CHECKPOINTS, second: text.replace(b"\n12\n", b"\n11\n")},
        "foreign": {**CHECKPOINTS, second: note(12, RECORD[11].chain, 6, key=other)},
        "missing": {name: one for name, one in CHECKPOINTS.items() if name != second},
        "unreadable": {**CHECKPOINTS, "x.checkpoint": b"nothing"},
        "rewritten": {**CHECKPOINTS, "x.checkpoint": note(12, RECORD[10].chain, 6)},
        "truncated": {**CHECKPOINTS, "x.checkpoint": note(99, RECORD[10].chain, ENTRIES)},
    }

    found = {fault: {one.fault for one in proof(RECORD, files).findings} for fault, files in faults.items()}

    assert {
        fault: {fault} | ({"missing"} if fault in {"forged", "foreign"} else set()) for fault in faults
    } == found
    assert not proof(RECORD, {**CHECKPOINTS, "begun.checkpoint": CHECKPOINTS[first][:40]}).findings


def test_signatures_are_those_of_the_specification():
    """The example of C2SP's signed-note, so that other tools read ours."""
    key = read_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )

    assert (key.id, True) == (signature[:4], is_signed(key.raw, signature[4:], text))
    assert PUBLIC == read_key(PUBLIC.text)
    read = read_note(note(6, RECORD[5].chain, 0))
    assert Checkpoint(PUBLIC.name, 6, RECORD[5].chain, 0) == read.checkpoint
    with pytest.raises(ValueError, match="id is not that of the key"):
        read_key(key.text.replace("c74f20a3", "c74f20a4"))


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    with Factory.create(tmp_path / "factory") as made:
        (tmp_path / "kept").mkdir()
        make_key(tmp_path / "audit.pem", state=made.state)
        declare(made, "../kept")
        yield made


def declare(factory: Factory, *to: str, every: str = "1s") -> None:
    audit = json.dumps({"key": "../audit.pem", "to": to, "every": every})
    (factory.root / "factory.yaml").write_text(f"format: 1\naudit: {audit}\n")


def grow(factory: Factory, number: int = 1) -> None:
    for _ in range(number):
        factory.metadata.record(
            MemberChanged(at=factory.now(), by="ada", because="asked for", line="", member="ada")
        )


def signed(factory: Factory) -> Checkpoint | None:
    spec = factory.file().audit
    assert spec is not None
    return publish(factory, spec, at_once=True)


def kept(factory: Factory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (factory.root.parent / "kept").iterdir()}


def test_a_database_alone_is_held_against_its_checkpoints(factory, tmp_path):
    """The auditor has a copy of the database, the checkpoints and the public key, and no factory."""
    for _ in range(4):
        grow(factory, 5)
        signed(factory)
    database, old = factory.state / "metadata.sqlite", tmp_path / "old.sqlite"
    shutil.copy(database, old)
    grow(factory, 5)
    signed(factory)
    public = open_key(tmp_path / "audit.pem", state=factory.state).public.text
    nowhere = Factory(tmp_path / "nowhere")

    def verified(path: Path) -> tuple[int | None, int | None, int]:
        found = audit_verify(nowhere, checkpoints=tmp_path / "kept", public_key=(public,), database=path)
        return found.proved, found.first_bad, found.exit_code

    assert (25, None, 0) == verified(database)
    assert (20, 21, 7) == verified(old)
    with closing(sqlite3.connect(old)) as altered, altered:
        rows = [
            Link(*row)
            for row in altered.execute('select seq, kind, line, at, "by", because, body, chain from events')
        ]
        rows = chained([*rows[:12], rows[12]._replace(by="eve"), *rows[13:]])
        for (name,) in altered.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            altered.execute(f"drop trigger {name}")
        altered.executemany(
            "update events set by = ?, chain = ? where seq = ?", [(r.by, r.chain, r.seq) for r in rows]
        )
        altered.execute("update heads set digest = ?", (rows[-1].chain,))
    assert (10, 11, 7) == verified(old)
    assert audit_verify(nowhere, database=old).problems == ()
    with closing(sqlite3.connect(old)) as altered, altered:
        altered.execute("alter table events rename to real_events")
        altered.execute("create view events as select * from real_events")
    with pytest.raises(Corrupt, match="not a record"):
        verified(old)
    with pytest.raises(NotFound, match="no factory"):
        audit_verify(nowhere, checkpoints=tmp_path / "kept")


def test_an_older_record_is_not_signed_over(factory):
    """Else whoever put it back would have it vouched for."""
    grow(factory, 3)
    database = factory.state / "metadata.sqlite"
    before = database.read_bytes()
    grow(factory, 3)
    signed(factory)
    factory.close()
    database.write_bytes(before)
    with Factory.open(factory.root) as older:
        grow(older, 9)

        with pytest.raises(Corrupt, match="older copy"):
            signed(older)

        assert ["000000000006.checkpoint"] == sorted(kept(older))
        assert "older copy" in status(older).withheld[0].trouble
        found = audit_verify(older, checkpoints=older.root.parent / "kept")
        assert (0, 1, 7) == (found.proved, found.first_bad, found.exit_code)


@pytest.mark.usefixtures("processes")
def test_checkpoints_wait_for_a_place_that_fails_and_none_is_lost(factory, tmp_path):
    """A folder that is not mounted, and a receiver that answers 503; `status` and `doctor` say so."""
    with webhook() as hook:
        declare(factory, "../kept", "../not-mounted", hook.url)
        hook.answer = lambda _: (503, {}, b"later")
        for _ in range(3):
            grow(factory)
            signed(factory)
        told = {one.to: (one.waiting, one.trouble) for one in status(factory).withheld}
        here = hook.url.removesuffix("/")
        assert (3, "No such file or directory") == told["../not-mounted"]
        assert 3 == next(waiting for to, (waiting, _) in told.items() if here.startswith(to))
        problems = doctor(factory, port=0, control_port=0, free=0).problems
        assert 2 == sum("audit" in one.where for one in problems)

        hook.answer = lambda _: (200, {}, b"")
        (tmp_path / "not-mounted").mkdir()
        assert signed(factory) is None

        assert [body for _, body in hook.got] == [kept(factory)[name] for name in sorted(kept(factory))]
        assert kept(factory) == {
            path.name: path.read_bytes() for path in (tmp_path / "not-mounted").iterdir()
        }
        assert () == status(factory).withheld
        assert 1 == len(list((factory.state / "checkpoints").glob("*.checkpoint")))

        hook.answer = lambda _: (302, {"location": f"{hook.url}/other"}, b"")
        grow(factory)
        signed(factory)
        assert "redirects are not followed" in status(factory).withheld[0].trouble


def test_a_file_of_checkpoints_is_never_written_over(factory, tmp_path):
    """What somebody put in its place stays, and is told; of what a kill left the whole follows under another name."""
    grow(factory)
    signed(factory)
    (name,) = kept(factory)
    state = factory.state / "checkpoints" / "places.json"
    for there, troubles in ((b"something else", 1), (kept(factory)[name][:30], 0)):
        (tmp_path / "kept" / name).write_bytes(there)
        found = json.loads(state.read_bytes())
        state.write_text(json.dumps({**found, "to": {}}))

        signed(factory)

        assert there == kept(factory)[name]
        assert troubles == len(status(factory).withheld)
    assert 2 == len(kept(factory))
    found = audit_verify(factory, checkpoints=tmp_path / "kept")
    assert (1, 0) == (found.proved, found.exit_code)


def test_a_checkpoint_comes_when_it_is_time_and_at_the_end(factory):
    """Not where nothing was recorded since."""
    spec = factory.file().audit
    assert spec is not None
    assert publish(factory, spec) is None
    grow(factory)
    declare(factory, "../kept", every="1h")
    spec = factory.file().audit
    assert spec is not None
    first = publish(factory, spec)
    assert first is not None
    assert 1 == first.entries
    grow(factory)
    assert publish(factory, spec) is None
    factory.now = lambda: later(now_utc(), 3_600_000_000)
    second = publish(factory, spec)
    assert second == (first.origin, 2, factory.metadata.head().digest, 1)
    assert publish(factory, spec) is None
    grow(factory)
    Auditing(lambda: Factory.open(factory.root), every_s=60.0).close()
    assert 3 == len(kept(factory))
    assert [] == withheld(factory, spec)


def test_the_key_is_its_owners_and_outside_of_the_state(factory, tmp_path):
    """Who can rewrite the record could sign it, and whoever reads the key too."""
    path = tmp_path / "audit.pem"
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    with pytest.raises(Conflict, match="of that name"):
        audit_key(factory, path)
    with pytest.raises(Denied, match="inside the state"):
        audit_key(factory, factory.state / "k.pem")
    with pytest.raises(NotFound, match="does not exist"):
        open_key(tmp_path / "none.pem", state=factory.state)
    (tmp_path / "link.pem").symlink_to(factory.state / "k.pem")
    with pytest.raises(Denied, match="inside the state"):
        open_key(tmp_path / "link.pem", state=factory.state)
    path.chmod(0o640)
    with pytest.raises(Denied, match="others may read"):
        open_key(path, state=factory.state)
    path.chmod(0o600)
    path.write_text("secret-that-is-none")
    with pytest.raises(RequestError, match="not a private key") as refused:
        open_key(path, state=factory.state)
    assert "secret-that-is-none" not in str(refused.value)


@pytest.mark.parametrize(
    "to",
    ["http://example.com/a", "https://u:p@example.com/a", "ftp://example.com", "https://", "http://[::1"],
)
def test_checkpoints_are_not_sent_where_others_could_read_the_way(to, factory):
    """A URL is https, or of this machine, and holds no password."""
    declare(factory, to)

    with pytest.raises(SpecError):
        read_factory_file(factory.root)


def test_entries_for_other_programs_go_on_where_they_ended(factory, tmp_path):
    """All of them come, each once, in order, and their chain can be followed from them alone."""
    grow(factory, 25)
    whole = list(audit_export(factory))
    parts, after = list[int](), 0
    while after is not None:
        page = audit_entries(factory, after=after, limit=10)
        parts += [one.number for one in page.entries]
        after = page.next

    assert list(range(1, 26)) == [one.number for one in whole] == parts
    assert [ROOT, *(one.hash for one in whole[:-1])] == [one.previous for one in whole]
    assert [] == list(audit_export(factory, after=7, out=tmp_path / "entries.jsonl"))
    lines = (tmp_path / "entries.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["previous"] == whole[6].hash
    assert list(range(8, 26)) == [json.loads(line)["number"] for line in lines]
    before = ROOT
    for one in map(json.loads, lines[-1:]):
        fields = {"kind": one["kind"], "line": one["line"], "at": one["at"], "by": one["actor"]}
        body = json.dumps(one["event"], separators=(",", ":"), sort_keys=True)
        before = link(one["previous"], **fields, because=one["event"]["because"], body=body)
    assert before == factory.metadata.head().digest
    assert [] == list(audit_export(factory, after=25)) == list(audit_export(factory, after=99))


def test_no_client_names_a_file_of_the_server(factory):
    """By HTTP a checkpoint is sent, and a key is a text: a path would tell what is on the disk."""
    local = load("audit verify", OPERATIONS)
    by_http = local.without_files()

    assert {"database"} == {p.name for p in local.parameters} - {p.name for p in by_http.parameters}
    assert {"checkpoints": "in"} == by_http.files
    sent = factory.client_files / ("0" * 32)
    sent.mkdir(parents=True)
    (sent / "a.checkpoint").write_bytes(note(1, ROOT))
    (factory.root / "key.pub").write_text(PUBLIC.text)
    key = str(factory.root / "key.pub")
    with pytest.raises(RequestError, match=r"not a public key: (?!No such file)"):
        audit_verify(factory, checkpoints=sent / "a.checkpoint", public_key=(key,))
    assert 7 == audit_verify(factory, checkpoints=sent / "a.checkpoint", public_key=(PUBLIC.text,)).exit_code
