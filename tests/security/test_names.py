"""Names that come from a store are no more to be trusted than those of a request: only a name of a line becomes a path."""

import shlex
import sqlite3

import msgspec
import pytest
from small import LINE, make_factory

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.care.verify import verify_factory
from linewright.errors import Corrupt, LinewrightError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.example_request import curl
from linewright.release.facts import Serving
from linewright.release.promotion import is_projected, project
from linewright.serve.facts import Outage
from linewright.serve.feedback.store import Feedback
from linewright.serve.log.outages import Outages, outages_of
from linewright.serve.models.canary_failure import Trouble, note_trouble
from linewright.serve.models.follow import Lines
from linewright.store.files.names import line_path
from linewright.store.metadata.sql import SqlMetadata

NAMES = (
    "",
    ".",
    "..",
    "...",
    "../claims",
    "../../elsewhere/pwned",
    "/tmp/pwned",  # noqa: S108 -- never made
    "claims/../../x",
    "a/b",
    "claims\0",
    "claims\n",
    "Claims",
    "cläims",
    "a..b",
    ".claims",
    "claims.",
    "a.b.c",
    "a" * 64,
    "$(id)",
)


@pytest.mark.parametrize("name", NAMES)
def test_no_other_name_becomes_a_path(tmp_path, name):
    """MLflow CVE-2023-1177 class: a path from a string, whoever gave it, and wherever it was read back from."""
    state, metadata = tmp_path / "in" / "state", SqlMetadata("sqlite://")
    factory = Factory(tmp_path / "in")
    outage = Outage(line=name, fault="write", because="full", since="2026-01-01T00:00:00.000000Z")
    uses = (
        lambda: line_path(state, name),
        lambda: project(metadata, state, name),
        lambda: is_projected(metadata, state, name),
        lambda: factory.log_of(name),
        lambda: factory.copies_of(name),
        lambda: factory.fits_of(name),
        lambda: factory.path_of(name),
        lambda: Feedback.of(state, name),
        lambda: note_trouble(state, name, Trouble(package="sha256:0", because="slow")),
        lambda: outages_of(state, name),
        lambda: Outages(state, name, tell=lambda _: None).say(outage.fault, outage.because),
    )
    for use in uses:
        with pytest.raises(LinewrightError):
            use()

    metadata.close()

    assert {"in"} >= {path.name for path in tmp_path.iterdir()}
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name", ["claims", "a", "0", "-", "inspect.lyon", "a" * 63, f"{'a' * 63}.{'b' * 63}"]
)
def test_every_name_that_a_line_may_have_is_a_path(tmp_path, name):
    """A guard that is too narrow would stop a line that works."""
    assert tmp_path / f"{name}.json" == line_path(tmp_path, name, ".json")
    with SqlMetadata("sqlite://") as metadata:
        project(metadata, tmp_path, name)
    assert {f"{name}.json", f".{name}.lock"} <= {path.name for path in tmp_path.iterdir()}


def test_an_endpoint_follows_no_pointer_that_no_line_can_have(tmp_path):
    """What somebody put into the folder of pointers is not served, and its name is told to nobody."""
    serving = Serving(line="...", generation=1, champion=None)
    for name in ("...", "Claims", "a b", "$(id)"):
        body = msgspec.json.encode(msgspec.structs.replace(serving, line=name))
        (tmp_path / f"{name}.json").write_bytes(body)
    (tmp_path / "claims.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(serving, line=LINE)))
    lines = Lines(tmp_path, lambda _: b"", tell=lambda _: None)
    lines.look()

    assert {LINE} == set(lines.live)
    lines.close()


@pytest.fixture(scope="module")
def factory_root(tmp_path_factory):
    return make_factory(tmp_path_factory, tmp_path_factory.mktemp("names") / "fac tory; touch 'pwned'\n$(id)")


def test_a_record_that_names_no_line_is_told_and_nothing_is_written_for_it(factory_root, tmp_path):
    """Somebody wrote a path where the record has a line's name: `verify`, `backup`, `doctor` and `up` read it back."""
    with sqlite3.connect(factory_root / ".linewright" / "metadata.sqlite") as database:
        database.execute(
            "insert into pointers values (?, 1, null, null, 0)", (f"../../../{tmp_path.name}/pwned",)
        )
    database.close()
    try:
        with Factory.open(factory_root) as factory:
            problems = [
                *verify_factory(factory).problems,
                *examine(factory, Needs(free_bytes=0, ports=())).problems,
            ]
            (evil,) = (line for line in factory.metadata.lines() if line != LINE)
            with pytest.raises(Corrupt, match="no line can have this name"):
                project(factory.metadata, factory.serving, evil)
            with pytest.raises(Corrupt, match="no line can have this name"):
                make_backup(factory, tmp_path / "copy.tar")
    finally:
        with sqlite3.connect(factory_root / ".linewright" / "metadata.sqlite") as database:
            database.execute("delete from pointers where line like '%pwned'")
        database.close()

    assert [one for one in problems if "no line can have this name" in one.what]
    assert [] == list(factory_root.parent.rglob("pwned.*"))
    assert [] == list(tmp_path.iterdir())


def test_commands_that_are_told_are_one_command_each(factory_root, tmp_path):
    """BentoML CVE-2026-33744 class: a word of a file or a folder, pasted into a shell, must stay a word."""
    evil = tmp_path / "b'\"; touch pwned; $(id)\n.tar"
    with Factory.open(factory_root) as factory:
        told = result_text(make_backup(factory, evil))
        asked = curl(factory, LINE, "http://[::1]:8000") or ""
        (factory_root / "lines" / "x; touch pwned.yaml").write_text("line: x\n")
        try:
            problems = examine(factory, Needs(free_bytes=0, ports=())).problems
        finally:
            (factory_root / "lines" / "x; touch pwned.yaml").unlink()

    command = told.partition("Next: ")[2]
    assert ["linewright", "restore", str(evil), "--factory", "NEW-FOLDER"] == shlex.split(command)
    assert "http://[::1]:8000/v1/lines/claims/predict" == shlex.split(asked)[2]
    checked = next(one.next for one in problems if "touch pwned" in one.next)
    assert ["linewright", "check", "x; touch pwned"] == shlex.split(checked.partition("; then ")[2])
