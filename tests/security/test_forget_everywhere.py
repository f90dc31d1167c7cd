"""Nobody who is forgotten stands anywhere in a factory, but where the page on retention says so; and no kind of state is left out by mistake."""

import gzip
import os
import random
import sqlite3
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa
import pytest
from templates import copied, made_once

from linewright.capabilities.annotation.operations import annotate_answer, annotate_next, annotate_queue
from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.find_text import TextSearch
from linewright.capabilities.care.forget import forget
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.inbox.operations import comment, save_view
from linewright.capabilities.members.operations.members import member_add
from linewright.capabilities.schedules.run_tasks import do_task
from linewright.data.dataset.blobs import blobs_of, instead_of
from linewright.features.views.records import records_path
from linewright.interfaces.cli.dispatch import result_text
from linewright.interfaces.http.replies import Reply, SqliteReplies
from linewright.line.factory import Factory
from linewright.line.facts import Accepted
from linewright.line.holdings.references import needs_of
from linewright.line.predict.batch import predict_file
from linewright.line.predict.example_row import row_to_send, unforgotten_places
from linewright.line.record.archive_log import seal_next
from linewright.line.record.checkpoint import checkpoint_all
from linewright.line.release.view_maintenance import views_served
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.run_log import LogLine
from linewright.model.facts import Package
from linewright.model.package.model import read_golden
from linewright.people.facts import Commented
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.store.pushed_rows import Columns, PushedRows

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "retention.md"
LINE, VIEW = "claims", "paid_30d"
HER, KEYS = "person-QXP7731", ("claim-QXK1", "claim-QXK2", "claim-QXK3", "claim-QXK4")
TOWN, AMOUNT = "town-QXV9", 91234.5625
"""Values of hers that nobody else has: a word and a number."""
ROWS = 240
FILE = """\
line: claims
sources: {claims: {push: filed, key: claim}}
table: {key: claim, subject: person, time: at}
features: [paid_30d]
label: {column: fraud, positive: "yes"}
contract:
  columns:
    claim: {type: category}
    person: {type: category}
    at: {type: datetime}
    town: {type: category}
    amount: {type: number}
    age: {type: number, min: 0}
    fraud: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: quick, folds: 2, split: {by: random}}
gates:
  - {metric: roc_auc, at_least: 0.5}
predict:
  nightly: {rows: {file: ask.csv}, to: {file: out/answers.csv}, when: [{every: 30d}]}
"""
VIEW_FILE = """\
view: paid_30d
entity: person
source: {push: paid, key: payment}
time: at
columns: {total: sum(sum) over 30d, n: count() over 30d}
"""


def rows_of_table() -> list[dict[str, Any]]:
    """Return rows as a program sends them: her four are spread, so that all parts of the split have some, and the last one breaks the contract."""
    chance, rows = random.Random(7), list[dict[str, Any]]()
    for number in range(ROWS):
        amount = round(chance.gauss(50, 10), 4)
        row = {
            "claim": f"C{number:03}",
            "person": f"person-{number:05}",
            "at": f"2026-03-{1 + number % 28:02}T08:00:00Z",
            "town": f"town-{number % 5}",
            "amount": amount,
            "age": round(abs(chance.gauss(40, 9)), 1),
            "fraud": "yes" if amount + chance.gauss(0, 7) > 52 else "no",
        }
        rows.append(row)
    for place, key in zip((3, 44, 120, 200), KEYS, strict=True):
        rows[place] |= {"claim": key, "person": HER, "town": TOWN, "amount": AMOUNT}
    rows[200]["age"] = -7
    return rows


def send(factory: Factory, source: str, rows: list[dict[str, Any]]) -> None:
    """Send rows to a source, as the endpoint does."""
    pushed = PushedRows.of(factory.state, source, now=lambda: "2026-02-28T08:00:00.000000Z")
    pushed.keep(to_new_rows(rows, pushed.columns))


def write_csv(path: Path, rows: list[dict[str, Any]], *names: str) -> None:
    """Write some columns of rows."""
    path.parent.mkdir(exist_ok=True)
    pl.DataFrame(rows).select(names or rows[0]).write_csv(path)


def somebody(root: Path, name: str, role: str) -> Factory:
    """Open the factory as a member."""
    identity = Identity(actor=name, member=name, scopes=(Scope(permissions=ROLES[role]),))
    return Factory.open(root, identity=identity)


def make(root: Path) -> None:
    """Make a factory in which she is everywhere."""
    (root / "lines").mkdir(parents=True)
    (root / "features").mkdir()
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    (root / "features" / f"{VIEW}.yaml").write_text(VIEW_FILE)
    rows = rows_of_table()
    asked = [row for row in rows[:60] if row["age"] >= 0]
    write_csv(root / "ask.csv", asked, "claim", "person", "at", "town", "amount", "age")
    with Factory.create(root) as factory:
        for source, key in (("filed", "claim"), ("paid", "payment")):
            PushedRows.of(factory.state, source).open_for(Columns(key))
        paid = [
            {
                "payment": f"P{row['claim']}",
                "person": row["person"],
                "at": "2026-02-27T08:00:00Z",
                "sum": row["amount"],
            }
            for row in rows
        ]
        send(factory, "filed", rows)
        send(factory, "paid", paid)
        execute_inline(factory, LINE)
        # The first version, and a correction.
        send(factory, "filed", [{**rows[44], "age": 77.5}])
        execute_inline(factory, LINE)
        elsewhere = root.parent / "elsewhere"
        write_csv(elsewhere / "asked.csv", asked, "claim", "person", "at", "town", "amount", "age")
        predict_file(factory, LINE, elsewhere / "asked.csv", elsewhere / "answers.csv")
        for path in factory.log_of(LINE).glob("*.log"):
            os.utime(path, (1, 1))
        while seal_next(factory, LINE):
            pass
        predict_file(factory, LINE, elsewhere / "asked.csv", elsewhere / "more.csv")
        do_task(factory, LINE, "predict", "nightly")
        one, *_ = (one.record for one in read_log(factory.log_of(LINE)) if one.record.key == KEYS[0])
        with closing(PredictionLog(factory.log_of(LINE))) as log:
            log.append([msgspec.structs.replace(one, id=ID.format(0), durability="durable")])
            log.append([msgspec.structs.replace(one, id=ID.format(1), arm="canary")])
            log.append([msgspec.structs.replace(one, id=ID.format(2), key=None, subject=HER)])
        with closing(PredictionLog(factory.copies_of(LINE) / "a1b2")) as log:
            log.append([msgspec.structs.replace(one, arm="shadow")])
        label(factory, {"key": KEYS[0], "label": "yes"}, {"id": ID.format(2), "label": "no"})
        label(factory, {"key": KEYS[0], "label": "no", "corrects": "yes"})
        label(factory, {"key": HER, "label": "yes"})
        checkpoint_all(factory)
        replies = SqliteReplies(factory.state / "replies.sqlite")
        for key in (f"reply to {HER}", f"reply to {KEYS[1]}", "another"):
            replies.begin(key, "sha256:00")
            replies.finish(key, Reply(200, "application/json", f'{{"about":"{HER}"}}'.encode()))
        comment(factory, LINE, f"look at {HER}, {KEYS[0]}, {TOWN}")
        run = factory.metadata.events(Accepted, line=LINE)[-1].run
        said = LogLine(at=factory.now(), says=f"row of {HER}, {KEYS[0]}, {TOWN}", by="process")
        (factory.state / "runs").mkdir(exist_ok=True)
        (factory.state / "runs" / f"{run}.log").write_bytes(msgspec.json.encode(said) + b"\n")
        make_backup(factory, root / "copy.tar")
        leave_by_kills(factory)
    ask_people(root)
    leave_free_pages(root / ".linewright")


def ask_people(root: Path) -> None:
    """Have members save a view and label rows."""
    with Factory.open(root) as factory:
        member_add(factory, "eve", role="engineer")
        member_add(factory, "ann", role="annotator")
    with somebody(root, "eve", "engineer") as engineer:
        annotate_queue(engineer, LINE, size=200)
        save_view(engineer, "hers", f"/lines/{LINE}/predictions?key={KEYS[0]}")
    with somebody(root, "ann", "annotator") as annotator:
        for _ in range(20):
            question = annotate_next(annotator, LINE).question
            assert question is not None
            annotate_answer(annotator, LINE, question.id, label="yes", seconds=1.25)


ID = "018f0000-0000-7000-8000-0000000000f{}"


def label(factory: Factory, *labels: dict[str, Any]) -> None:
    """Hand in labels, as the endpoint takes them."""
    package = factory.metadata.get(factory.metadata.versions(LINE)[0].digest, Package)
    factory.labels_of(LINE).accept(list(labels), package=package, idempotency_key=str(labels)[:200])


ALL_OF_HER = f"{HER} {KEYS[0]} {TOWN} {AMOUNT}\n".encode()


def leave_by_kills(factory: Factory) -> None:
    """Leave what killed processes leave: files that were being written, fetched or computed."""
    (facts,) = views_served(factory, LINE)
    records = records_path(factory.state, facts)
    state = factory.state
    for path in (
        records.with_name(f".{records.name}.{GONE}"),
        state / "artifacts" / "ab" / f".new-{'0' * 16}",
        state / "fits" / LINE / ("1" * 64) / f"{'2' * 64}.fit",
        state / "scratch" / "annotate-018f.parquet",
        state / "scratch" / "fetched-1" / ".lock",
        state / "scratch" / "fetched-1" / "rows.jsonl",
        state / "scheduled" / LINE / "predict.nightly" / "draft" / "log.jsonl",
        state / "files" / ("a" * 32) / "asked.csv",
        state / "preferences" / f".eve.json-{ID.format(9)}",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ALL_OF_HER)
        os.utime(path, (1, 1))
        os.utime(path.parent, (1, 1))


GONE = 2**22 + 1
"""The number of no process."""


def leave_free_pages(state: Path) -> None:
    """Have free pages and a log of writes hold her in each SQLite file from which rows are deleted, as these leave them."""
    for path in sorted({*state.rglob("*.sqlite")} - {state / "metadata.sqlite"}):  # a record loses no row
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA secure_delete = OFF")
            database.execute("CREATE TABLE was (text TEXT)")
            database.executemany("INSERT INTO was VALUES (?)", [(ALL_OF_HER.decode() * 50,)] * 5)
            database.execute("DROP TABLE was")


# What there is, and where she stands


class Place(NamedTuple):
    """A file of a factory or a table of one, and all that it holds."""

    name: str
    """As in `KINDS`."""
    held: bytes


def walk(factory: Factory) -> Iterator[Place]:
    """Give all that a factory has, decoded, and as it lies on the disk."""
    of_results = kinds_of_artifacts(factory)
    for path in sorted(factory.root.rglob("*")):
        if not path.is_file():
            continue
        name, body = path.relative_to(factory.root).as_posix(), path.read_bytes()
        digest = "sha256:" + "".join(path.parts[-2:])
        if path.parts[-3] == "artifacts" and not path.name.startswith("."):
            name = f"artifact of {of_results.get(digest, 'nothing')}"
        if body[:16] == b"SQLite format 3\0" and name.startswith(".linewright/"):
            yield from tables_of(path, name)
            name += ": pages"
        yield Place(name, b"\n".join(decoded(body)))


def tables_of(path: Path, name: str) -> Iterator[Place]:
    """Give the tables of a SQLite file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        names = [one for (one,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in names:
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608
            cells = (cell for row in rows for cell in row if cell is not None)
            yield Place(
                f"{name}: {table}",
                b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells),
            )


def kinds_of_artifacts(factory: Factory) -> dict[str, str]:
    """Return by digest which kind of result each artifact is of."""
    found, metadata = dict[str, str](), factory.metadata
    for digest, kind, body in metadata.results():
        needs = needs_of(kind, digest, body)
        for one in (*needs.blobs, *needs.contents):
            those = {one, instead_of(one, metadata), *blobs_of(one, metadata)} - {None}
            found |= dict.fromkeys(map(str, those), kind)
    return found | dict.fromkeys((one.text for one in metadata.events(Commented)), "comment")


def decoded(body: bytes) -> Iterator[bytes]:
    """Give the bytes of a file, and what they say where they are packed."""
    yield body
    if body[:4] == b"PAR1":
        yield from columns_of(pl.read_parquet(BytesIO(body)))
    elif body[:6] == b"ARROW1":
        yield from columns_of(pl.read_ipc(BytesIO(body)))
    elif body[:2] == b"\x1f\x8b":
        yield from decoded(gzip.decompress(body))
    elif body[:4] == b"PK\3\4":
        with zipfile.ZipFile(BytesIO(body)) as archive:
            for name in archive.namelist():
                yield from decoded(archive.read(name))
    elif body[257:262] == b"ustar":
        with tarfile.open(fileobj=BytesIO(body)) as tar:
            for member in tar:
                if (file := tar.extractfile(member)) is not None:
                    yield from decoded(file.read())
    else:
        assert body[:4] != b"\x28\xb5\x2f\xfd", "packed by zstd: decode it here"


def columns_of(frame: pl.DataFrame) -> Iterator[bytes]:
    for column in frame:
        yield from (one if isinstance(one, bytes) else str(one).encode() for one in column.unique().to_list())


WANTED = {
    "id": (HER.encode(),),
    "key": tuple(map(str.encode, KEYS)),
    "value": (TOWN.encode(), str(AMOUNT).encode(), struct.pack("<d", AMOUNT), struct.pack("<f", AMOUNT)),
}


def found_in(factory: Factory) -> dict[str, set[str]]:
    """Return what of her stands in which place."""
    found = dict[str, set[str]]()
    for place in walk(factory):
        those = {what for what, texts in WANTED.items() if any(text in place.held for text in texts)}
        if those:
            found.setdefault(place.name, set()).update(those)
    return found


# What it is of

STATE = ".linewright/"
KINDS = {
    "files that a kill left": ("*/.new-*", "views/.*", "preferences/.*", "scratch/*"),
    "predictions and their copies": ("log/*", "shadow/*", "artifact of segment"),
    "labels": ("feedback/*",),
    "dataset versions": ("artifact of dataset",),
    "source histories": ("artifact of source_history",),
    "sent rows": ("push/*",),
    "records of feature views": ("views/*.records",),
    "annotation": ("annotate/*",),
    "quarantine": ("artifact of quarantine",),
    "pictures": ("artifact of nothing", "features/*", "sent-pictures/*"),
    "cached responses": ("replies.sqlite*",),
    "logs, notes and parts of runs": ("runs/*", "engine.sqlite*", "fits/*", "cancel/*"),
    "undelivered answers": ("scheduled/*",),
    "files of clients": ("files/*",),
    "saved views": ("preferences/*",),
    "proposals to forget": ("proposals/*",),
    "comments and reasons": ("artifact of comment", "metadata.sqlite: events"),
    "models": (
        "artifact of trained",
        "artifact of package",
        "artifact of explanation",
        "artifact of split",
        "artifact of series_values",
        "serving/*",
    ),
    "the rest of the record": (
        "metadata.sqlite*",
        "head.json",
        "checkpoints/*",
        "checked.json",
        "outbox.sqlite*",
    ),
    "who is forgotten": ("forgotten/*",),
    "members and processes": (
        "access.*",
        "tokens/*",
        "refused/*",
        "control.token",
        "tags.json",
        "endpoints/*",
        "FORMAT",
        ".gitignore",
        "*.lock",
    ),
    "delivered answers": ("out/*",),
    "your files": ("factory.yaml", "lines/*", "features/*.yaml", "ask.csv", "copy.tar"),
}
"""By row of the table on the page: the files of the state, the tables of its SQLite files and the artifacts that it is about."""
STAYS = {
    "models": ({"value"}, "they have learned them, and some keep test rows; `forget` names the models"),
    "the rest of the record": ({"value"}, "categories by their names, in what is known of models"),
    "your files": ({"id", "key", "value"}, "`forget` names them"),
}
"""What of her is found afterwards, and why."""


def kind_of(name: str) -> str | None:
    """Return the kind of a place; `None` if it is of none."""
    own = ("delivered answers", "your files")
    inside, of_state = name.removeprefix(STATE), name.startswith((STATE, "artifact of "))
    return next(
        (
            kind
            for kind, forms in KINDS.items()
            if of_state is (kind not in own) and any(fnmatch(inside, form) for form in forms)
        ),
        None,
    )


def kinds_with_her(factory: Factory) -> dict[str, set[str]]:
    """Return what of her stands in which kind of state."""
    found = dict[str, set[str]]()
    for name, those in found_in(factory).items():
        found.setdefault(kind_of(name) or name, set()).update(those)
    return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the factory once."""
    return made_once(tmp_path_factory, "forget-everywhere", make)


@pytest.fixture
def full(template: Path, tmp_path: Path) -> Iterator[Factory]:
    """Give a copy in which she still is."""
    with Factory.open(copied(template, tmp_path / "factory")) as factory:
        yield factory


HOLDS_NOBODY = {
    "source histories",
    "pictures",
    "proposals to forget",
    "who is forgotten",
    "members and processes",
}
"""Kinds that this factory has nothing of, or that hold no rows; the first three have tests of their own."""


def test_she_is_nowhere_but_where_the_page_says(full: Factory) -> None:
    """The promise is about every byte: as it lies on the disk, and as it is read; each kind held her before."""
    assert KINDS.keys() - HOLDS_NOBODY == kinds_with_her(full).keys()
    done = forget(full, LINE, HER, dry_run=False)

    assert {kind: what for kind, (what, _) in STAYS.items()} == kinds_with_her(full)
    assert {".linewright/metadata.sqlite"} >= {*done.left}
    assert () == verify_factory(full).problems


def test_each_file_and_table_is_of_a_kind_that_the_page_tells_of(full: Factory) -> None:
    """Whoever adds a store says what becomes of it when somebody is forgotten, or this fails."""
    unknown = {place.name for place in walk(full) if kind_of(place.name) is None}
    (full.state / "something.new").write_bytes(b"?")

    assert set() == unknown
    assert [f"{STATE}something.new"] == [one.name for one in walk(full) if kind_of(one.name) is None]


def test_the_page_tells_of_just_these_kinds() -> None:
    """Its table is the promise."""
    table = PAGE.read_text().partition("| what | at `forget` |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]

    assert sorted(KINDS) == sorted(rows)


def test_a_line_and_a_view_whose_files_are_gone_forget_too(full: Factory) -> None:
    """Their rows stay, and so does the person's right; what was sent to the view is known from its records."""
    (full.root / "lines" / f"{LINE}.yaml").unlink()
    (full.root / "features" / f"{VIEW}.yaml").unlink()
    forget(full, LINE, HER, dry_run=False)
    still = kinds_with_her(full)

    assert set() == still.keys() - STAYS.keys()
    assert () == verify_factory(full).problems


def test_what_is_still_being_written_stays(full: Factory) -> None:
    """A process that writes goes on; what it writes is checked against the list of who is forgotten once it is there."""
    young = full.state / "views" / ".other.records.77"
    young.write_bytes(b"half")
    forget(full, LINE, HER, dry_run=False)

    assert young.exists()


def test_models_that_keep_rows_of_hers_are_named_and_the_next_keeps_none(full: Factory) -> None:
    """A package tries test rows when it is loaded; who wants nothing of her to stay has to know in which they are."""
    done = forget(full, LINE, HER, dry_run=False)
    execute_inline(full, LINE)
    packages = {
        f"{LINE}@{one.version}": full.metadata.get(one.digest, Package)
        for one in full.metadata.versions(LINE)
    }
    hold = {name for name, one in packages.items() if TOWN.encode() in full.artifacts.get(one.golden)}

    assert {f"{LINE}@1", f"{LINE}@2"} == {*done.tried} == hold
    assert f"keep test rows of it for their self-check: {LINE}@1, {LINE}@2" in str(result_text(done))
    assert 3 == len(packages)

    again = forget(full, LINE, HER, dry_run=True)
    assert {*done.learned} == {*again.learned}
    assert {*done.tried} == {*again.tried}
    assert f"{LINE}: no rows are stored about that subject\n  learned from it: " in str(result_text(again))


def test_no_example_shows_a_row_of_hers(full: Factory) -> None:
    """Who prepares a request sees the first row that came with a package; that row is somebody's."""
    package = full.metadata.get(full.metadata.versions(LINE)[0].digest, Package)
    rows = read_golden(package, full.artifacts.get).rows
    place = next(number for number, row in enumerate(rows) if row["town"] == TOWN)
    before = row_to_send(full, package, rows)
    forget(full, LINE, HER, dry_run=False)
    shown = {place, *range(len(rows))} - {*unforgotten_places(full, package, len(rows))}

    assert before["town"] == rows[0]["town"]
    assert {place} == shown
    assert TOWN not in row_to_send(full, package, rows).values()


def test_instructions_that_name_her_are_counted_also_before(full: Factory, tmp_path: Path) -> None:
    """A dry run that says nothing of what will stay is no plan."""
    predict_file(full, LINE, full.root / "ask.csv", tmp_path / "answers.csv")
    with somebody(full.root, "eve", "engineer") as engineer:
        annotate_queue(engineer, LINE, size=5, instructions=f"look at {HER}")
    for is_dry in (True, False):
        done = forget(full, LINE, HER, dry_run=is_dry)

        assert {"instructions for annotators": 1}.items() <= {
            one.kind: one.entries for one in done.in_record
        }.items()


def packed_files(folder: Path) -> dict[str, Path]:
    """Write her into files of the user's, none of which has her as plain bytes."""
    frame, text = (
        pl.DataFrame({"in": [[f"{number * 7919 % 10_007}, {HER}"] for number in range(2_000)]}),
        f"person\n{HER}\n".encode() * 40,
    )
    files = {name: folder / name for name in ("a.csv.gz", "b.csv.zst", "c.arrow", "d.zip", "e.tar", "f.db")}
    files["a.csv.gz"].write_bytes(gzip.compress(text))
    files["b.csv.zst"].write_bytes(pa.compress(text, "zstd", asbytes=True))
    frame.write_ipc(files["c.arrow"], compression="zstd")
    with zipfile.ZipFile(files["d.zip"], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more.csv", text)
    frame.write_parquet(folder / "rows", compression="zstd", statistics=False)
    with tarfile.open(files["e.tar"], "w") as tar:
        tar.add(folder / "rows", "rows.parquet")
    (folder / "rows").unlink()
    with closing(sqlite3.connect(files["f.db"], isolation_level=None)) as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE notes (text TEXT)")
        for after in range(980, 1030):  # one of them is cut by the end of a page
            database.execute("DELETE FROM notes")
            database.execute("VACUUM")
            database.execute("INSERT INTO notes VALUES (?)", (f"{'.' * 440} {HER} {'.' * after}",))
            if HER.encode() not in files["f.db"].read_bytes():
                break
    assert [] == [name for name, path in files.items() if HER.encode() in path.read_bytes()]
    return files


def test_files_that_are_packed_are_named_too(full: Factory) -> None:
    """Who reads that nothing is left believes it; what cannot be looked into is said to be so."""
    files = packed_files(full.root)
    closed = full.root / "old.7z"
    closed.write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(range(200)))
    done = forget(full, LINE, HER, dry_run=True)

    assert {str(one) for one in files.values()} <= {*done.files}
    assert (str(closed),) == done.unsearched
    assert f"cannot be searched, and may have it: {closed}" in str(result_text(done))


def test_an_id_is_found_in_all_ways_that_it_is_spelled(tmp_path: Path) -> None:
    """Libraries write the letters of other alphabets as escapes, and addresses as percents."""
    path = tmp_path / "log"
    for spelled in ("José-1", r"Jos\u00e9-1", "Jos%C3%A9-1"):
        path.write_text(f'{{"person": "{spelled}"}}')

        assert [path] == [*TextSearch("José-1").among({path})]
