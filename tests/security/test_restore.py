"""`restore` of files that somebody crafted: nothing is written outside the folder, and nothing but a factory is made of one."""

import hashlib
import io
import json
import resource
import shlex
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from small import make_factory

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.care.verify import verify_factory
from linewright.errors import Conflict, Corrupt, LinewrightError, RequestError
from linewright.line.factory import Factory

METADATA = "factory/.linewright/metadata.sqlite"
FEEDBACK = "factory/.linewright/feedback/claims.sqlite"
ENGINE = "factory/.linewright/engine.sqlite"


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Members of a real backup, in their order: name and bytes."""
    root = make_factory(tmp_path_factory, tmp_path_factory.mktemp("restore") / "factory")
    with closing(sqlite3.connect(root / ".linewright" / "engine.sqlite")) as database:
        database.execute(
            "create table if not exists notes (id text primary key, at integer default (strftime('%s')))"
        )
    with Factory.open(root) as factory:
        make_backup(factory, root.parent / "copy.tar")
    with tarfile.open(root.parent / "copy.tar") as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


def with_sums(members: dict[str, bytes]) -> dict[str, bytes]:
    """Return members with sums that fit them: whoever crafts a backup makes those anew."""
    others = {name: data for name, data in members.items() if name not in {"backup.json", "sums.json"}}
    sums = json.loads(members["sums.json"])
    sums["files"] = {
        name.removeprefix("factory/"): f"sha256:{hashlib.sha256(data).hexdigest()}"
        for name, data in others.items()
        if "/artifacts/" not in name
    }
    sums["blobs"] = len(others) - len(sums["files"])
    return {"backup.json": members["backup.json"], **others, "sums.json": json.dumps(sums).encode()}


def packed(
    path: Path, members: dict[str, bytes], *more: tuple[tarfile.TarInfo, bytes], kind=tarfile.PAX_FORMAT
) -> Path:
    """Write members as a tar file, and more before the last, whatever they are."""
    *first, last = members.items()
    with tarfile.open(path, "w", format=kind) as archive:
        for name, data in first:
            archive.addfile(told(name, data), io.BytesIO(data))
        for info, data in more:
            archive.addfile(info, io.BytesIO(data))
        archive.addfile(told(*last), io.BytesIO(last[1]))
    return path


def told(name: str, data: bytes, **more) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    for what, value in more.items():
        setattr(info, what, value)
    return info


def edited(data: bytes, folder: Path, *statements: str) -> bytes:
    """Return a database with statements carried out."""
    file = folder / "edited.sqlite"
    file.write_bytes(data)
    with closing(sqlite3.connect(file)) as database:
        database.create_function("number_after", 2, lambda first, _: first, deterministic=True)
        for statement in statements:
            database.execute(statement)
        database.commit()
    return file.read_bytes()


def refused(tmp_path: Path, file: Path, kind: type[LinewrightError] = RequestError) -> str:
    """Require that a backup is refused as none, and that nothing at all is left of it; return what is said."""
    (tmp_path / "here").mkdir(exist_ok=True)
    before = outside(tmp_path)
    with pytest.raises(kind) as caught:
        restore_backup(Factory(tmp_path / "here" / "new"), file)

    assert before == outside(tmp_path)
    assert [] == list((tmp_path / "here").iterdir())
    said = str(caught.value)
    assert "check the disk" not in said
    assert kind is Corrupt or "this is no backup of a factory" in said, said
    return said


def outside(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if (folder / "here") not in path.parents}


def test_the_members_are_a_backup(members, tmp_path):
    """Else all below would be refused for nothing."""
    restore_backup(Factory(tmp_path / "new"), packed(tmp_path / "copy.tar", with_sums(members)))
    with Factory.open(tmp_path / "new") as factory:
        assert () == verify_factory(factory).problems


# Names


@pytest.mark.parametrize(
    "name",
    [
        "factory/.linewright/serving/.../x",
        "factory/.linewright/serving/claims.json",
        "factory/.linewright/serving/endpoint",
        "factory/.linewright/up.lock",
        "factory/.linewright/metadata.sqlite-journal",
        "factory/.linewright/log/.../x.log",
        "factory/.linewright/log/claims/.log/x",
        "factory/.linewright/feedback/Claims.sqlite",
        "factory/.linewright/artifacts/ab/short",
        "factory/.linewright",
        "factory/.../x",
        "factory/a/./x",
        "factory/a//x",
        "factory/../x",
        "factory//etc/x",
        "factory/.",
        "factory/..",
        "factory/",
        "factory",
        ".",
        "..",
        "elsewhere",
        "/etc/x",
        "factory/.restoring/x",
        "factory/claims.csv",
        "factory/claims.csv/x",
        "factory/lines",
        f"factory/{'x' * 256}",
        f"factory/{'a/' * 1_900}x",
        "backup.json",
    ],
)
def test_a_member_that_no_backup_has_is_refused(members, tmp_path, name):
    """CPython tarfile CVE-2025-4517 and BentoML CVE-2026-27905 class: what a member is named decides where it is written."""
    refused(tmp_path, packed(tmp_path / "crafted.tar", members, (told(name, b"x"), b"x")))


def test_a_line_that_the_record_names_writes_nothing_elsewhere(members, tmp_path):
    """The attack of finding 4: a restored record names a path, and the file that endpoints follow is written there."""
    target = tmp_path / "elsewhere" / "pwned"
    target.parent.mkdir()
    target.with_suffix(".json").write_text("mine")
    evil = edited(
        members[METADATA],
        tmp_path,
        f"insert into pointers values ('{'../' * 40}{target.relative_to('/')}', 1, null, null, 0)",  # noqa: S608 -- of this test
    )
    crafted = with_sums({**members, METADATA: evil})
    said = refused(tmp_path, packed(tmp_path / "crafted.tar", crafted))
    more = (told("factory/.linewright/serving/.../x", b"x"), b"x")
    refused(tmp_path, packed(tmp_path / "both.tar", crafted, more))

    assert "a line named" in said
    assert ["pwned.json"] == [path.name for path in target.parent.iterdir()]
    assert "mine" == target.with_suffix(".json").read_text()


# Kinds and sizes


@pytest.mark.parametrize("kind", "1234567LKSgXV")
def test_a_member_that_is_no_plain_file_is_refused(members, tmp_path, kind):
    """Links, devices, pipes, folders, holes and headers of other makers: a general reader takes them all."""
    info = told("factory/more.csv", b"", type=kind.encode(), linkname="/etc/passwd")
    refused(tmp_path, packed(tmp_path / "crafted.tar", members, (info, b"")))


@pytest.mark.parametrize("form", ["1.0", "0.1", "0.0"])
def test_a_file_of_holes_is_refused_at_once(members, tmp_path, form):
    """10 kB asked for 200 GB: GNU sparse members count as files, and their size is what they say."""
    size = 2**28  # as much as a disk that a test may fill has; the attack asked for 200 GB
    headers = {
        "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(size)},
        "0.1": {"GNU.sparse.size": str(size), "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,1"},
        "0.0": {"GNU.sparse.size": str(size), "GNU.sparse.offset": "0", "GNU.sparse.numbytes": "1"},
    }[form]
    body = b"1\n0\n1\n".ljust(512, b"\0") + b"x"
    info = told("factory/more.csv", body, pax_headers={"GNU.sparse.name": "factory/more.csv", **headers})
    said = refused(tmp_path, packed(tmp_path / "crafted.tar", members, (info, body)))

    assert "GNU.sparse" in said


def test_no_member_is_larger_than_the_file(members, tmp_path):
    """What is written is never more than what is there; a size that promises more is a file that is cut off."""
    path = tmp_path / "crafted.tar"
    with path.open("wb") as file:
        file.write(told("backup.json", members["backup.json"]).tobuf())
        file.write(members["backup.json"].ljust(512, b"\0"))
        file.write(told("factory/more.csv", b"x", size=40 * 2**30).tobuf())
        file.write(bytes(10_240))

    assert "42,949,672,960 bytes, of which 10,240 are there" in refused(tmp_path, path, Corrupt)


@pytest.mark.parametrize(
    "records",
    [
        b"30 size=-9223372036854775808\n",
        b"14 size=1e99\n\n",
        b"99999 path=x\n",
        b"x" * 70_000,
        b"12 path=a\n12 path=b\n",
    ],
)
def test_headers_that_say_nonsense_are_refused(members, tmp_path, records):
    """CVE-2025-8194 and CVE-2024-6232 class: negative sizes and endless headers kept a general reader busy for ever."""
    info = told("factory/more.csv", records, type=tarfile.XHDTYPE)
    refused(tmp_path, packed(tmp_path / "crafted.tar", members, (info, records)), LinewrightError)


def test_a_factory_file_of_gigabytes_is_not_read(members, tmp_path):
    """It is read whole, so whoever made it chooses how much memory that takes."""
    path = tmp_path / "crafted.tar"
    huge = told("factory/factory.yaml", b"", size=2**28)
    with path.open("wb") as file:
        file.write(told("backup.json", members["backup.json"]).tobuf())
        file.write(members["backup.json"].ljust(512, b"\0"))
        file.write(huge.tobuf())
        file.truncate(file.tell() + huge.size + 1024)  # zeros that take no space
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = refused(tmp_path, path)

    assert "factory.yaml of 268,435,456 bytes" in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_long_paths_and_other_letters_are_restored(members, tmp_path):
    """Guards must not cost a source whose name needs a header of its own."""
    name = "factory/données/" + "/".join(["x" * 60] * 4) + "/claims, last year's.csv"
    crafted = with_sums({**members, name: b"a,b\n"})
    restore_backup(Factory(tmp_path / "new"), packed(tmp_path / "copy.tar", crafted))

    assert b"a,b\n" == (tmp_path / "new" / name.removeprefix("factory/")).read_bytes()


# Databases


@pytest.mark.parametrize(
    ("file", "statement", "says"),
    [
        (METADATA, "create trigger undo after insert on events begin update pointers set halt = 0; end", "'undo' is not ours"),
        (METADATA, "create view more as select * from events", "'more' is not ours"),
        (METADATA, "create table more (a)", "'more' is not ours"),
        (METADATA, "create virtual table evil using fts4(x)", "not ours"),
        (METADATA, "create index more on events (at)", "'more' is not ours"),
        (METADATA, "drop trigger events_no_update", "'events_no_update' is missing"),
        (METADATA, "alter table pointers add column more default 1", "'pointers' is another one"),
        (FEEDBACK, "create trigger undo after insert on by_id begin delete from by_id; end", "'undo' is not ours"),
        (FEEDBACK, "drop trigger by_id_insert", "'by_id_insert' is missing"),
        (ENGINE, "create trigger undo after insert on notes begin delete from notes; end", "'undo' is not ours"),
        (ENGINE, "create view more as select 1", "'more' is not ours"),
        (ENGINE, "create virtual table evil using fts4(x)", "not ours"),
        (ENGINE, "create table more (a default (fts3_tokenizer('simple', x'41414141')))", "calls fts3_tokenizer"),
        (ENGINE, "create table more (a check (load_extension('/tmp/x.so')))", "calls load_extension"),
    ],
)  # fmt: skip
def test_a_database_that_brings_its_own_parts_is_refused(members, tmp_path, file, statement, says):
    """A trigger, view or virtual table does what its maker likes, by our hand, at the first write or read."""
    crafted = with_sums({**members, file: edited(members[file], tmp_path, statement)})
    (tmp_path / "edited.sqlite").unlink()

    assert says in refused(tmp_path, packed(tmp_path / "crafted.tar", crafted))


def test_a_database_that_is_none_is_refused(members, tmp_path):
    """Whatever it is, the sums fit it."""
    for file in (METADATA, FEEDBACK, ENGINE):
        crafted = with_sums({**members, file: b"SQLite format 3\0" + b"\xff" * 5000})
        refused(tmp_path, packed(tmp_path / "crafted.tar", crafted))


# Hints


def test_the_command_that_removes_what_was_interrupted_removes_nothing_else(members, tmp_path):
    """BentoML CVE-2026-33744 class: `rm -r` of a folder named by a quote and a semicolon."""
    root = tmp_path / "new'; touch pwned; '"
    for found in (".restoring", ".linewright"):
        (root / found).mkdir(parents=True)
    with pytest.raises(Conflict) as caught:
        restore_backup(Factory(root), packed(tmp_path / "copy.tar", members))
    command = caught.value.hint.partition("(")[2].rpartition("),")[0]

    assert ["rm", "-r", str(root)] == shlex.split(command)
